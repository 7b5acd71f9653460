//! The scan: RFC 8259 grammar, depth, duplicate names, surrogates, number range.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::value::decoded;
use super::{MAX_DEPTH, Unreadable};

/// Names of one object that are compared one by one before a set is made of them.
const FEW: usize = 16;

/// Checks `text` as one value; its span without the white space around it.
pub(super) fn scan(text: &str) -> Result<Range<usize>, Unreadable> {
    let mut scan = Scan { text, bytes: text.as_bytes(), at: 0, names: Vec::new() };
    scan.space();
    let start = scan.at;
    scan.value(0)?;
    let end = scan.at;
    scan.space();
    if scan.at < scan.bytes.len() {
        return Err(scan.wrong("something after the value"));
    }
    Ok(start..end)
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Decoded names of all objects that are open, the outermost first.
    names: Vec<Cow<'a, str>>,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn wrong(&self, what: &'static str) -> Unreadable {
        Unreadable { what, at: self.at }
    }

    fn value(&mut self, depth: usize) -> Result<(), Unreadable> {
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(_) => Err(self.wrong("not a value")),
            None => Err(self.wrong("the end, where a value should stand")),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Unreadable> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.wrong("not a value"))
    }

    fn array(&mut self, depth: usize) -> Result<(), Unreadable> {
        self.deeper(depth)?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            self.value(depth)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.wrong("neither , nor ] after an element")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Unreadable> {
        self.deeper(depth)?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let first = self.names.len();
        let mut many = None;
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("no name where one should stand"));
            }
            self.name(first, &mut many)?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.wrong("no : after a name"));
            }
            self.at += 1;
            self.space();
            self.value(depth)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    self.names.truncate(first);
                    return Ok(());
                }
                _ => return Err(self.wrong("neither , nor } after a member")),
            }
        }
    }

    fn deeper(&mut self, depth: usize) -> Result<(), Unreadable> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("nesting that is too deep"));
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a name and refuses it if the open object (whose names begin at `first`) has it already.
    fn name(&mut self, first: usize, many: &mut Option<HashSet<Cow<'a, str>>>) -> Result<(), Unreadable> {
        let start = self.at;
        let (inner, escaped) = self.string()?;
        let raw = self.text.get(inner).unwrap_or_default();
        let name = if escaped { decoded(raw) } else { Cow::Borrowed(raw) };
        let twice = Unreadable { what: "a name that stands twice in its object", at: start };
        if let Some(many) = many {
            return if many.insert(name) { Ok(()) } else { Err(twice) };
        }
        let names = self.names.get(first..).unwrap_or_default();
        if names.contains(&name) {
            return Err(twice);
        }
        if names.len() == FEW {
            let mut set: HashSet<_> = self.names.drain(first..).collect();
            set.insert(name);
            *many = Some(set);
        } else {
            self.names.push(name);
        }
        Ok(())
    }

    /// Reads a string; the span between its quotes and whether it has escapes.
    fn string(&mut self) -> Result<(Range<usize>, bool), Unreadable> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let inner = start..self.at;
                    self.at += 1;
                    return Ok((inner, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0x20..) => self.at += 1,
                Some(_) => return Err(self.wrong("a control character in a string")),
                None => return Err(self.wrong("the end inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Unreadable> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.unit(self.at)? {
                0xD800..=0xDBFF => match self.unit(self.at + 6) {
                    Ok(0xDC00..=0xDFFF) => {
                        self.at += 12;
                        Ok(())
                    }
                    _ => Err(self.wrong("a lone surrogate")),
                },
                0xDC00..=0xDFFF => Err(self.wrong("a lone surrogate")),
                _ => {
                    self.at += 6;
                    Ok(())
                }
            },
            _ => Err(self.wrong("an escape that does not exist")),
        }
    }

    /// The code unit of `\uXXXX` that begins at `at`.
    fn unit(&self, at: usize) -> Result<u16, Unreadable> {
        self.text
            .get(at..at + 6)
            .and_then(|escape| escape.strip_prefix("\\u"))
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .ok_or(self.wrong("an escape that does not exist"))
    }

    fn number(&mut self) -> Result<(), Unreadable> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let integer = self.digits()?;
        if integer.len() > 1 && self.bytes.get(integer.start) == Some(&b'0') {
            return Err(self.wrong("a number with a leading zero"));
        }
        let mut plain = integer.len() < 300;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
            plain = false;
        }
        let text = || self.text.get(start..self.at).unwrap_or_default();
        // Parsers disagree beyond a double: infinity, an error, or the exact number. The bound is a little
        // below the largest double, because they also disagree in rounding there.
        if !plain && text().parse::<f64>().map_or(true, |number| number.abs() > 1e308) {
            return Err(Unreadable { what: "a number beyond the range of a double", at: start });
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<Range<usize>, Unreadable> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if start == self.at { Err(self.wrong("no digit where one should stand")) } else { Ok(start..self.at) }
    }
}
