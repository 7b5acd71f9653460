//! Server-sent events, written and read (WHATWG HTML, "Server-sent events").

use serde_json::Value;

/// One event, or one comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `id:`
    pub id: Option<String>,
    /// `event:`
    pub kind: Option<String>,
    /// `data:` lines, joined by line breaks; None when there was no `data:` line at all.
    pub data: Option<String>,
    /// `retry:` in milliseconds.
    pub retry: Option<u64>,
    /// Text of comment lines before the event.
    pub comment: Option<String>,
}

impl Event {
    /// An event that carries a JSON-RPC message.
    pub fn message(value: &Value) -> Self {
        Self { kind: Some("message".into()), data: Some(value.to_string()), ..Self::default() }
    }

    /// Its data as JSON; null when it is none.
    pub fn json(&self) -> Value {
        self.data.as_deref().and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default()
    }

    /// The event as it is written, with the empty line that ends it.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push('\n');
        };
        if let Some(comment) = &self.comment {
            line("", comment);
        }
        if let Some(id) = &self.id {
            line("id", id);
        }
        if let Some(kind) = &self.kind {
            line("event", kind);
        }
        if let Some(retry) = self.retry {
            line("retry", &retry.to_string());
        }
        for data in self.data.iter().flat_map(|data| data.split('\n')) {
            line("data", data);
        }
        text.push('\n');
        text
    }

    fn take_line(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => self.comment = Some(value.to_owned()),
            "id" => self.id = Some(value.to_owned()),
            "event" => self.kind = Some(value.to_owned()),
            "retry" => self.retry = value.parse().ok(),
            "data" => {
                let data = self.data.get_or_insert_default();
                if !data.is_empty() {
                    data.push('\n');
                }
                data.push_str(value);
            }
            _ => {}
        }
    }
}

/// Puts events together from bytes as they come. Lines end with LF, CR LF or CR.
#[derive(Debug, Default)]
pub struct EventReader {
    buffer: Vec<u8>,
}

impl EventReader {
    /// Takes more bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event, if it is there.
    pub fn next_event(&mut self) -> Option<Event> {
        let mut event = Event::default();
        let mut rest: &[u8] = &self.buffer;
        loop {
            let (line, after) = split_line(rest)?;
            rest = after;
            if line.is_empty() {
                break;
            }
            event.take_line(&String::from_utf8_lossy(line));
        }
        self.buffer = rest.to_vec();
        // A lone empty line is no event.
        if event == Event::default() { self.next_event() } else { Some(event) }
    }
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr2(b'\n', b'\r', bytes)?;
    let (line, rest) = bytes.split_at(end);
    let rest = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..))?;
    Some((line, rest))
}

#[cfg(test)]
mod tests {
    use super::{Event, EventReader};
    use serde_json::json;

    #[test]
    fn events_are_read_as_they_were_written_whatever_the_pieces() {
        let events = [
            Event { id: Some("0-0".into()), retry: Some(500), data: Some(String::new()), ..Event::default() },
            Event { id: Some("0-1".into()), ..Event::message(&json!({"jsonrpc": "2.0", "id": 1})) },
            Event { data: Some("two\nlines".into()), ..Event::default() },
            Event { comment: Some("still here".into()), ..Event::default() },
        ];
        let text: String = events.iter().map(Event::to_text).collect();
        let mut reader = EventReader::default();
        let mut read = Vec::new();
        for byte in text.as_bytes() {
            reader.push(&[*byte]);
            read.extend(reader.next_event());
        }
        assert_eq!(read, events);
    }

    #[test]
    fn carriage_returns_end_lines_too() {
        let mut reader = EventReader::default();
        reader.push(b"data: a\r\n\r\ndata: b\n\n");
        assert_eq!(reader.next_event().unwrap().data.unwrap(), "a");
        assert_eq!(reader.next_event().unwrap().data.unwrap(), "b");
        assert_eq!(reader.next_event(), None);
    }
}
