//! The `id` of a message that is too long to be kept, found while it passes.

/// Ids longer than this are nobody's.
const LONGEST: usize = 256;

/// Looks for the value of the top-level member `id` in the bytes of one JSON object.
#[derive(Default)]
pub(super) struct TopLevelId {
    depth: u32,
    inside: bool,
    escaped: bool,
    /// The next string at the top level is a name.
    name_next: bool,
    text: Vec<u8>,
    /// What stands in `text`.
    taking: Taking,
    found: Option<Box<str>>,
}

#[derive(Default, PartialEq)]
enum Taking {
    #[default]
    Nothing,
    Name,
    Id,
}

impl TopLevelId {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.byte(*byte));
    }

    /// Its JSON text.
    pub(super) fn found(self) -> Option<Box<str>> {
        self.found
    }

    fn byte(&mut self, byte: u8) {
        if self.inside {
            self.take(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.inside = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => {
                self.inside = true;
                if self.depth == 1 && self.name_next {
                    self.begin(Taking::Name);
                    self.name_next = false;
                }
                self.take(byte);
            }
            b'{' | b'[' => {
                self.take(byte);
                self.depth = self.depth.saturating_add(1);
                self.name_next = self.depth == 1;
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end();
                }
                self.depth = self.depth.saturating_sub(1);
                self.take(byte);
            }
            b',' if self.depth == 1 => {
                self.end();
                self.name_next = true;
            }
            b':' if self.depth == 1 => {
                let id = self.taking == Taking::Name && self.text == b"\"id\"";
                self.begin(if id { Taking::Id } else { Taking::Nothing });
            }
            b' ' | b'\t' | b'\r' => {}
            _ => self.take(byte),
        }
    }

    fn begin(&mut self, taking: Taking) {
        self.taking = taking;
        self.text.clear();
    }

    fn take(&mut self, byte: u8) {
        if self.taking != Taking::Nothing && self.text.len() <= LONGEST {
            self.text.push(byte);
        }
    }

    fn end(&mut self) {
        if self.taking == Taking::Id && self.text.len() <= LONGEST {
            self.found = std::str::from_utf8(&self.text).ok().map(Into::into);
        }
        self.begin(Taking::Nothing);
    }
}

#[cfg(test)]
mod tests {
    use super::TopLevelId;

    fn id(text: &str) -> Option<Box<str>> {
        let mut scan = TopLevelId::default();
        text.as_bytes().chunks(3).for_each(|chunk| scan.feed(chunk));
        scan.found()
    }

    #[test]
    fn the_top_level_id_is_found_wherever_it_stands() {
        assert_eq!(id(r#"{"id":7,"result":{"id":8}}"#).as_deref(), Some("7"));
        assert_eq!(
            id(r#"{"result":[{"id":8},"id"],"jsonrpc":"2.0","id" : "a\",}b" }"#).as_deref(),
            Some(r#""a\",}b""#)
        );
        assert_eq!(id(r#"{"x":"\"id\":1","error":{},"id":12345}"#).as_deref(), Some("12345"));
    }

    #[test]
    fn an_id_that_is_somewhere_else_is_not_found() {
        assert_eq!(id(r#"{"result":{"id":8}}"#), None);
        assert_eq!(id(r#"[{"id":8}]"#), None);
        assert_eq!(id("not json \"id\":8"), None);
        assert_eq!(id(&format!("{{\"id\":\"{}\"}}", "x".repeat(1000))), None);
    }
}
