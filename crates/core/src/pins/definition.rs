//! A tool as a list defines it: all that stands there, in one spelling.

use aws_lc_rs::digest::{SHA256, digest};

use crate::mcp::json::{Kind, Value};

/// SHA-256 of a definition in its canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// From `sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.is_ascii())?;
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Everything that a list says of one tool. All of it counts, whatever its name: what one client passes over, another
/// shows to its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The tool's name.
    pub name: Box<str>,
    /// Its canonical form: JSON without spaces, names sorted, strings in one spelling; numbers as they came.
    pub text: Box<str>,
    /// Of the text.
    pub digest: Digest,
}

impl Definition {
    /// Of an item of a list of tools; None where it has no name.
    pub(crate) fn of(item: Value<'_>) -> Option<Self> {
        let name = item.member("name")?.string()?.into();
        let mut text = String::new();
        canonical(item, &mut text);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Some(Self { name, text: text.into(), digest: Digest(bytes) })
    }
}

/// The reader bounds the depth, and lets no name stand twice.
fn canonical(value: Value<'_>, out: &mut String) {
    match value.kind() {
        Kind::Object => {
            let mut members: Vec<_> = value.members().map(|member| (member.name(), member.value)).collect();
            members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            out.push('{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quoted(&name, out);
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Kind::Array => {
            out.push('[');
            for (at, element) in value.elements().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                canonical(element, out);
            }
            out.push(']');
        }
        _ => match value.string() {
            Some(text) => quoted(&text, out),
            None => out.push_str(value.raw()),
        },
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
