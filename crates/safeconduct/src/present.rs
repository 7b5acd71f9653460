//! What commands say, and how it looks: stdout is data, stderr is for people. Colour only ever repeats what the
//! words say.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::exit::Exit;

/// What a command has to say, when it has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// For standard output.
    pub data: String,
    /// For standard error.
    pub people: String,
    /// How it ended.
    pub exit: Exit,
}

impl Said {
    /// Data, and all went well.
    pub fn data(data: impl Into<String>) -> Self {
        Self { data: data.into(), people: String::new(), exit: Exit::Fine }
    }

    /// A value as indented JSON.
    pub fn json(value: &impl Serialize, exit: Exit) -> Self {
        match serde_json::to_string_pretty(value) {
            Ok(text) => Self { data: text + "\n", people: String::new(), exit },
            Err(error) => Self::failure(Exit::Failed, format!("this cannot be written as JSON: {error}")),
        }
    }

    /// What went wrong, as one line for people.
    pub fn failure(exit: Exit, why: impl std::fmt::Display) -> Self {
        Self { data: String::new(), people: format!("error: {why}\n"), exit }
    }

    /// Prints it. A reader that went away (`| head`) is no failure of ours.
    pub fn print(&self) -> Exit {
        let people = io::stderr().lock().write_all(self.people.as_bytes());
        let data = write_data(self.data.as_bytes());
        let lost =
            |result: io::Result<()>| result.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe);
        if lost(data) || lost(people) { Exit::Failed } else { self.exit }
    }
}

fn write_data(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// Never.
    pub const NEVER: Self = Self(false);

    /// For standard output: when it is a terminal and `NO_COLOR` is not set.
    pub fn of_stdout() -> Self {
        Self(io::stdout().is_terminal() && !refused())
    }

    /// For standard error, by the same rule.
    pub fn of_stderr() -> Self {
        Self(io::stderr().is_terminal() && !refused())
    }

    /// Whether there is colour.
    pub const fn is_on(self) -> bool {
        self.0
    }

    /// What went well.
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What did not.
    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// A heading.
    pub fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// An aside.
    pub fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

// https://no-color.org: set to anything but nothing.
fn refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Rows of two columns, the first as wide as its widest, `indent` spaces before it. Further lines of the second
/// column stand below it.
pub fn columns(indent: usize, rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (name, value) in rows {
        for (number, line) in value.lines().chain(value.is_empty().then_some("")).enumerate() {
            let name = if number == 0 { name.as_str() } else { "" };
            let row = format!("{:indent$}{name:width$}  {line}", "");
            text.push_str(row.trim_end());
            text.push('\n');
        }
    }
    text
}

/// Text from outside on one line: control characters are shown as escapes, so that nothing can draw on the terminal.
pub fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() || is_bidi(c) { c.escape_unicode().collect() } else { vec![c] })
        .collect()
}

// Marks that change the order in which text is shown.
const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{Paint, columns, plain};

    #[test]
    fn columns_line_up_and_lose_no_line() {
        let rows = [
            ("a".to_owned(), "1\n2".to_owned()),
            ("long".to_owned(), String::new()),
            ("b".into(), "3".into()),
        ];
        assert_eq!(columns(2, &rows), "  a     1\n        2\n  long\n  b     3\n");
    }

    #[test]
    fn without_colour_the_words_are_all_there_is() {
        assert_eq!(Paint::NEVER.bad("denied"), "denied");
        assert_eq!(Paint(true).bad("denied"), "\x1b[31mdenied\x1b[0m");
    }

    #[test]
    fn text_from_outside_cannot_draw_on_the_terminal() {
        assert_eq!(plain("alice\u{1b}[2J\u{202e}x"), "alice\\u{1b}[2J\\u{202e}x");
    }
}
