//! A YAML document as a tree in which every value knows where it stands.
//!
//! Reading stops at the first mistake when a document is read straight into structs. The tree is read first, so
//! that all mistakes of shape and of meaning can be told at once.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

/// One value and its place.
#[derive(Clone)]
pub(crate) struct Node {
    /// Bytes of the value.
    pub(crate) span: Range<usize>,
    /// What is underlined when something about the whole value is wrong: its name, or the value itself.
    pub(crate) site: Range<usize>,
    /// The value.
    pub(crate) kind: Kind,
}

/// A value.
#[derive(Clone)]
pub(crate) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number, as it is written.
    Number(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file; names may repeat.
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) name_span: Range<usize>,
    pub(crate) value: Node,
}

/// Why a text is not YAML.
pub(crate) struct Unreadable {
    pub(crate) message: String,
    pub(crate) span: Range<usize>,
}

impl Kind {
    /// The kind in words.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Reads one YAML document.
pub(crate) fn parse(text: &str) -> Result<Node, Unreadable> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    let raw: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or(0..0, |location| line_of(text, location));
        let message = error.without_snippet().to_string();
        // The place is shown by the underline; the text repeats it as ` at line 1, column 2`.
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        Unreadable { message, span: clip(text, place) }
    })?;
    Ok(node(text, raw, None))
}

fn node(text: &str, raw: Spanned<Raw>, name: Option<&Range<usize>>) -> Node {
    let span = clip(text, range(raw.defined));
    let site = name.cloned().unwrap_or_else(|| first_line(text, &span));
    let kind = match raw.value {
        Raw::Null => Kind::Null,
        Raw::Flag(flag) => Kind::Flag(flag),
        // As written, so that `client_id: 007` stays what it is.
        Raw::Number(number) => Kind::Number(text.get(span.clone()).map_or(number, |t| t.trim().to_owned())),
        Raw::Text(string) => Kind::Text(string),
        Raw::List(items) => Kind::List(items.into_iter().map(|item| node(text, item, None)).collect()),
        Raw::Map(entries) => {
            Kind::Map(entries.into_iter().map(|(name, value)| entry(text, name, value)).collect())
        }
    };
    Node { span, site, kind }
}

fn entry(text: &str, name: Spanned<String>, value: Spanned<Raw>) -> Entry {
    let name_span = clip(text, range(name.defined));
    let value = node(text, value, Some(&name_span));
    Entry { name: name.value, name_span, value }
}

fn range(location: Location) -> Range<usize> {
    let span = location.span();
    let start = span.byte_offset().and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
    let len = span.byte_len().and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
    start..start.saturating_add(len)
}

// An error's location has a line and a column, not always bytes: from there to the end of the line.
fn line_of(text: &str, location: Location) -> Range<usize> {
    let lines = usize::try_from(location.line()).unwrap_or(0).saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(lines).map(str::len).sum();
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let column = usize::try_from(location.column()).unwrap_or(0).saturating_sub(1);
    let skipped = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    start + skipped..start + line.len().max(skipped)
}

// Within the text, on character boundaries, without white space at the end.
fn clip(text: &str, range: Range<usize>) -> Range<usize> {
    let boundary =
        |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (start, end) = (boundary(range.start), boundary(range.end));
    let kept = text.get(start..end).map_or(0, |part| part.trim_end().len());
    start..start + kept
}

fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let end = text.get(span.clone()).and_then(|part| part.find('\n'));
    end.map_or_else(|| span.clone(), |end| clip(text, span.start..span.start + end))
}

enum Raw {
    Null,
    Flag(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Flag(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Node, parse};

    fn text_at<'t>(text: &'t str, node: &Node) -> &'t str {
        &text[node.span.clone()]
    }

    fn field<'n>(node: &'n Node, name: &str) -> &'n Node {
        let Kind::Map(entries) = &node.kind else { panic!("not a mapping") };
        &entries.iter().find(|entry| entry.name == name).unwrap().value
    }

    #[test]
    fn every_value_knows_its_bytes() {
        let text =
            "é: 1\nlist:\n  - one\n  - { a: \"two\", b: 007 }\nflag: true\nempty:\nname: 'x y' # note\n";
        let root = parse(text).ok().unwrap();
        assert_eq!(text_at(text, field(&root, "name")), "'x y'");
        assert_eq!(&text[field(&root, "name").site.clone()], "name");
        let Kind::List(items) = &field(&root, "list").kind else { panic!("not a list") };
        assert_eq!(text_at(text, &items[0]), "one");
        assert_eq!(text_at(text, field(&items[1], "a")), "\"two\"");
        let Kind::Number(number) = &field(&items[1], "b").kind else { panic!("not a number") };
        assert_eq!(number, "007");
        assert!(matches!(field(&root, "flag").kind, Kind::Flag(true)));
        assert!(matches!(field(&root, "empty").kind, Kind::Null));
    }

    #[test]
    fn repeated_names_are_kept_for_the_reader_to_refuse() {
        let Kind::Map(entries) = parse("a: 1\na: 2\n").ok().unwrap().kind else { panic!("not a mapping") };
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn what_is_not_yaml_says_where() {
        let unreadable = parse("a: [1, 2\nb: 3\n").err().unwrap();
        assert!(!unreadable.message.is_empty());
        assert!(unreadable.span.start > 0);
    }
}
