//! Views into a checked text.

use std::borrow::Cow;
use std::ops::Range;

/// A value of a checked text. Made only by [`super::checked`], and from its own parts.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    text: &'a str,
    start: usize,
    end: usize,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{}`
    Object,
    /// `[]`
    Array,
    /// `""`
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
}

/// A name and its value, with their place.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    name: Value<'a>,
    /// The value.
    pub value: Value<'a>,
}

impl<'a> Member<'a> {
    /// The decoded name.
    pub fn name(&self) -> Cow<'a, str> {
        self.name.string().unwrap_or_default()
    }

    /// From the name's quote to the value's last byte, in the whole text.
    pub fn range(&self) -> Range<usize> {
        self.name.start..self.value.end
    }
}

impl<'a> Value<'a> {
    pub(super) fn new(text: &'a str, range: Range<usize>) -> Self {
        Self { text, start: range.start, end: range.end }
    }

    /// Where it stands in the whole text.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Its own text.
    pub fn raw(&self) -> &'a str {
        self.text.get(self.start..self.end).unwrap_or_default()
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.text.as_bytes().get(self.start) {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// True for an object.
    pub fn is_object(&self) -> bool {
        self.kind() == Kind::Object
    }

    /// The decoded text of a string.
    pub fn string(&self) -> Option<Cow<'a, str>> {
        self.raw_string().map(decoded)
    }

    /// What stands between the quotes of a string, as written.
    pub fn raw_string(&self) -> Option<&'a str> {
        if self.kind() != Kind::String {
            return None;
        }
        self.text.get(self.start + 1..self.end.saturating_sub(1))
    }

    /// The truth of a boolean.
    pub fn boolean(&self) -> Option<bool> {
        match self.raw() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// True for a number without fraction and exponent.
    pub fn is_integer(&self) -> bool {
        self.kind() == Kind::Number && !self.raw().bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
    }

    /// The members of an object, in order; none if it is not one.
    pub fn members(&self) -> Members<'a> {
        Members(self.walk(Kind::Object))
    }

    /// The elements of an array, in order; none if it is not one.
    pub fn elements(&self) -> Elements<'a> {
        Elements(self.walk(Kind::Array))
    }

    /// The value of an object's member.
    pub fn member(&self, name: &str) -> Option<Value<'a>> {
        self.members().find(|member| member.name() == name).map(|member| member.value)
    }

    fn walk(&self, kind: Kind) -> Walk<'a> {
        let inside = self.kind() == kind;
        Walk { text: self.text, at: if inside { self.start + 1 } else { self.end }, end: self.end }
    }
}

/// Iterator over the members of an object.
#[derive(Clone, Debug)]
pub struct Members<'a>(Walk<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let name = self.0.value()?;
        let value = self.0.value()?;
        Some(Member { name, value })
    }
}

/// Iterator over the elements of an array.
#[derive(Clone, Debug)]
pub struct Elements<'a>(Walk<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.0.value()
    }
}

/// Steps from value to value inside a container. The text is checked: separators need no second look.
#[derive(Clone, Debug)]
struct Walk<'a> {
    text: &'a str,
    at: usize,
    end: usize,
}

impl<'a> Walk<'a> {
    fn value(&mut self) -> Option<Value<'a>> {
        let bytes = self.text.as_bytes().get(..self.end)?;
        let start = self.at + bytes.get(self.at..)?.iter().position(|byte| !is_between(*byte))?;
        let end = match bytes.get(start)? {
            b']' | b'}' => {
                self.at = self.end;
                return None;
            }
            b'"' => string_end(bytes, start)?,
            b'{' | b'[' => container_end(bytes, start)?,
            _ => start + bytes.get(start..)?.iter().position(|byte| is_end(*byte)).unwrap_or(0),
        };
        self.at = end;
        Some(Value { text: self.text, start, end })
    }
}

fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':')
}

fn is_end(byte: u8) -> bool {
    is_between(byte) || matches!(byte, b']' | b'}')
}

fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

fn container_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Decodes what stands between the quotes of a checked string.
pub(super) fn decoded(raw: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', raw.as_bytes()) else { return Cow::Borrowed(raw) };
    let (plain, mut rest) = raw.split_at(first);
    let mut out = String::with_capacity(raw.len());
    out.push_str(plain);
    while let Some(escape) = rest.strip_prefix('\\') {
        let mut after = escape.chars();
        match after.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (character, length) = unicode(escape);
                out.push(character);
                after = escape.get(length..).unwrap_or_default().chars();
            }
            Some(same) => out.push(same),
            None => {}
        }
        rest = after.as_str();
        let plain = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        let (before, next) = rest.split_at(plain);
        out.push_str(before);
        rest = next;
    }
    Cow::Owned(out)
}

/// The character of `uXXXX` or `uXXXX\uXXXX`, and how long that is.
fn unicode(escape: &str) -> (char, usize) {
    let unit = |range| escape.get(range).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    let first = unit(1..5).unwrap_or(0xFFFD);
    if !(0xD800..0xE000).contains(&first) {
        return (char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER), 5);
    }
    let pair = [first, unit(7..11).unwrap_or(0xFFFD)];
    let character = char::decode_utf16(pair).next().and_then(Result::ok);
    (character.unwrap_or(char::REPLACEMENT_CHARACTER), 11)
}
