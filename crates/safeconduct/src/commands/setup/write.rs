//! Scripts and Terraform, written so that no value of the configuration can end its quotes.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A script or a Terraform file in the making.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// A remark; each of its lines is one.
    pub(super) fn remark(&mut self, text: &str) -> &mut Self {
        for line in text.lines() {
            // A control character cannot end the line.
            let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = writeln!(self.0, "# {line}");
        }
        self
    }

    /// A command: the words as they are to reach the program.
    pub(super) fn command(&mut self, words: &[&str]) -> &mut Self {
        let words: Vec<Cow<'_, str>> = words.iter().map(|word| shell(word)).collect();
        self.line(&words.join(" "))
    }

    /// A command whose first words are shell already (`ID=$(kcadm.sh`), and what stands after it.
    pub(super) fn wrapped(&mut self, before: &str, words: &[&str], after: &str) -> &mut Self {
        let words: Vec<Cow<'_, str>> = words.iter().map(|word| shell(word)).collect();
        self.line(&format!("{before}{}{after}", words.join(" ")))
    }

    /// A line as it stands. Nothing of the configuration belongs in it, unless it was quoted.
    pub(super) fn line(&mut self, line: &str) -> &mut Self {
        self.0.push_str(line);
        self.0.push('\n');
        self
    }

    /// A file with this JSON in it.
    pub(super) fn document(&mut self, file: &str, json: &serde_json::Value) -> &mut Self {
        let document = serde_json::to_string_pretty(json).unwrap_or_default();
        let file = shell(file).into_owned();
        // In JSON no line is END: it would be a string, in quotes.
        self.line(&format!("cat > {file} <<'END'\n{document}\nEND"))
    }

    /// A Terraform block: `resource "type" "name"` and its arguments.
    pub(super) fn block(&mut self, kind: &str, name: &str, arguments: &[(&str, Hcl)]) -> &mut Self {
        self.nested(kind, name, arguments, "")
    }

    /// The same with a block in it, which is quoted already.
    pub(super) fn nested(
        &mut self,
        kind: &str,
        name: &str,
        arguments: &[(&str, Hcl)],
        inner: &str,
    ) -> &mut Self {
        let width = arguments.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let _ = writeln!(self.0, "resource \"{kind}\" \"{name}\" {{");
        for (name, value) in arguments {
            let _ = writeln!(self.0, "  {name:width$} = {}", value.written());
        }
        if !inner.is_empty() {
            let _ = writeln!(self.0, "  {inner}");
        }
        self.0.push_str("}\n");
        self
    }

    /// An empty line.
    pub(super) fn gap(&mut self) -> &mut Self {
        self.line("")
    }

    /// All of it.
    pub(super) fn whole(self) -> String {
        self.0
    }
}

/// What was written down already: two servers may need the same thing.
#[derive(Default)]
pub(super) struct Made(std::collections::BTreeSet<String>);

impl Made {
    /// True the first time that this is asked for.
    pub(super) fn first(&mut self, what: impl Into<String>) -> bool {
        self.0.insert(what.into())
    }
}

/// Each word once, in the order of their first places.
pub(super) fn once<'w>(words: impl Iterator<Item = &'w String>) -> Vec<String> {
    let mut made = Made::default();
    words.filter(|word| made.first(word.as_str())).cloned().collect()
}

/// A value of Terraform.
#[derive(Clone)]
pub(super) enum Hcl {
    /// Text.
    Text(String),
    /// Texts.
    List(Vec<String>),
    /// An expression (a reference, a number, `true`).
    Raw(String),
    /// A map of texts.
    Map(Vec<(String, String)>),
}

impl Hcl {
    /// Text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// An expression.
    pub(super) fn raw(expression: impl Into<String>) -> Self {
        Self::Raw(expression.into())
    }

    fn written(&self) -> String {
        match self {
            Self::Text(text) => hcl(text),
            Self::List(texts) => {
                format!("[{}]", texts.iter().map(|text| hcl(text)).collect::<Vec<_>>().join(", "))
            }
            Self::Raw(expression) => expression.clone(),
            Self::Map(pairs) => {
                let rows: Vec<String> =
                    pairs.iter().map(|(name, value)| format!("    {} = {}", hcl(name), hcl(value))).collect();
                format!("{{\n{}\n  }}", rows.join("\n"))
            }
        }
    }
}

/// One word of a POSIX shell.
pub(super) fn shell(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

/// A string of Terraform's language.
pub(super) fn hcl(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            // `${` and `%{` begin an expression; doubled they are themselves.
            '$' | '%' if characters.peek() == Some(&'{') => quoted.extend([c, c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A name for a Terraform block.
pub(super) fn label(text: &str) -> String {
    let label: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    if label.starts_with(|c: char| c.is_ascii_digit()) { format!("_{label}") } else { label }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{hcl, label, shell};

    #[test]
    fn a_word_reaches_the_program_as_it_is_whatever_is_in_it() {
        for word in [
            "plain",
            "",
            "two words",
            "it's",
            "$(id)",
            "`id`",
            "a;b|c&d",
            "new\nline",
            "*",
            "~",
            "\\",
            "\"",
            "#x",
        ] {
            let echoed =
                Command::new("sh").args(["-c", &format!("printf %s {}", shell(word))]).output().unwrap();
            assert_eq!(String::from_utf8(echoed.stdout).unwrap(), word);
        }
    }

    #[test]
    fn a_string_of_terraform_cannot_end_its_quotes_nor_begin_an_expression() {
        assert_eq!(hcl(r#"a"b\c"#), r#""a\"b\\c""#);
        assert_eq!(hcl("${file(\"x\")}%{if}$"), r#""$${file(\"x\")}%%{if}$""#);
        assert_eq!(hcl("a\nb\u{7}"), r#""a\nb\u0007""#);
        assert_eq!(label("backend-api:read"), "backend_api_read");
        assert_eq!(label("1st"), "_1st");
    }
}
