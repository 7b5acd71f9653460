//! `application/x-www-form-urlencoded`, both ways.

use std::fmt::Write as _;

/// A decoded form; names may repeat (RFC 8693 §2.1 `audience`, `resource`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Decodes; what is not valid percent-encoding stays as it is.
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of the name.
    pub fn one(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// All values of the name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Words of a space-separated value, such as `scope`.
    pub fn words(&self, name: &str) -> Vec<&str> {
        self.one(name).map(|value| value.split_ascii_whitespace().collect()).unwrap_or_default()
    }
}

/// Encodes pairs as a form.
pub fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        encode_into(&mut text, name);
        text.push('=');
        encode_into(&mut text, value);
    }
    text
}

/// Decodes `+` and `%XX`.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encode_into(text: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                text.push(char::from(byte))
            }
            b' ' => text.push('+'),
            other => {
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, encode};

    #[test]
    fn what_was_encoded_is_decoded_to_the_same_with_repeated_names() {
        let text = encode([("audience", "a b"), ("audience", "https://x/?q=1&r=ü"), ("scope", "one two")]);
        let form = Form::parse(text.as_bytes());
        assert_eq!(form.all("audience"), ["a b", "https://x/?q=1&r=ü"]);
        assert_eq!(form.words("scope"), ["one", "two"]);
        assert_eq!(form.one("missing"), None);
    }

    #[test]
    fn broken_percent_signs_do_not_break_the_reader() {
        assert_eq!(Form::parse(b"a=100%&b=%zz").all("b"), ["%zz"]);
    }
}
