//! The arguments of a call as Cedar values: one pass over the JSON text, only what a policy reads is built.
//!
//! The door has checked the text already (UTF-8, no duplicate names, depth). This reader still trusts nothing:
//! what it cannot read is an error, and an error is a denial.

use std::borrow::Cow;

use cedar_policy::RestrictedExpression;
use unicase::UniCase;

use super::number::{Number, number};
use super::wanted::{WHOLE, Wanted};

/// Deepest nesting; the door's limit too.
const MAX_DEPTH: usize = 128;
/// Most values that are built for one decision: sets are sorted, so their cost is more than linear.
const MAX_VALUES: usize = 16_384;
/// Most bytes of paths that are kept of values that Cedar cannot hold.
const MAX_PATHS: usize = 1 << 20;

/// A path of names below `context.args`.
pub(super) type Path = Vec<Box<str>>;

/// What was read.
#[derive(Debug)]
pub(super) struct Arguments {
    /// `context.args`, as far as some policy reads it.
    pub(super) record: RestrictedExpression,
    /// Where a number stands that Cedar cannot hold exactly, or a null.
    pub(super) inexact: Vec<Path>,
    /// For each of the names asked for: a name in the arguments that differs from it by case only.
    pub(super) folded: Vec<Option<Box<str>>>,
}

/// Why arguments cannot be read. Never holds a value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the arguments are not a JSON object")]
    NotAnObject,
    #[error("the arguments are not JSON")]
    NotJson,
    #[error("a name stands twice in the arguments")]
    Duplicate,
    #[error("the arguments are nested too deeply, or hold too many values, to be decided on")]
    TooLarge,
}

/// Reads what is `wanted`, and looks for variants of `names` at any depth of all of it.
pub(super) fn read(json: &[u8], wanted: &Wanted, names: &[Box<str>]) -> Result<Arguments, Unreadable> {
    let text = std::str::from_utf8(json).map_err(|_| Unreadable::NotJson)?;
    let mut reader = Reader {
        text,
        at: 0,
        names,
        path: Vec::new(),
        inexact: Vec::new(),
        folded: vec![None; names.len()],
        values: 0,
        kept: 0,
    };
    if reader.peek() != Some(b'{') {
        return Err(Unreadable::NotAnObject);
    }
    let record = reader.value(Some(wanted), 0)?.ok_or(Unreadable::NotAnObject)?;
    if reader.peek().is_some() {
        return Err(Unreadable::NotJson);
    }
    Ok(Arguments { record, inexact: reader.inexact, folded: reader.folded })
}

/// The record of a call without arguments.
pub(super) fn none() -> Result<RestrictedExpression, Unreadable> {
    RestrictedExpression::new_record([]).map_err(|_| Unreadable::Duplicate)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    names: &'a [Box<str>],
    path: Vec<Cow<'a, str>>,
    inexact: Vec<Path>,
    folded: Vec<Option<Box<str>>>,
    values: usize,
    /// Bytes of the paths kept in `inexact`.
    kept: usize,
}

type Value = Option<RestrictedExpression>;

impl<'a> Reader<'a> {
    /// The value that stands here; None when it is not wanted, or when Cedar cannot hold it.
    fn value(&mut self, wanted: Option<&Wanted>, depth: usize) -> Result<Value, Unreadable> {
        self.values += usize::from(wanted.is_some());
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err(Unreadable::TooLarge);
        }
        match self.peek().ok_or(Unreadable::NotJson)? {
            b'{' => self.object(wanted, depth),
            b'[' => self.array(wanted, depth),
            b'"' => {
                let string = self.string(wanted.is_some())?;
                Ok(wanted.map(|_| RestrictedExpression::new_string(string.into_owned())))
            }
            b't' => self.word("true").map(|()| wanted.map(|_| RestrictedExpression::new_bool(true))),
            b'f' => self.word("false").map(|()| wanted.map(|_| RestrictedExpression::new_bool(false))),
            b'n' => {
                self.word("null")?;
                self.unknown(wanted)
            }
            _ => match self.number()? {
                Number::Exact(value) => Ok(wanted.map(|_| RestrictedExpression::new_long(value))),
                Number::Inexact => self.unknown(wanted),
            },
        }
    }

    fn object(&mut self, wanted: Option<&Wanted>, depth: usize) -> Result<Value, Unreadable> {
        self.at += 1;
        let mut fields = Vec::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                if self.peek() != Some(b'"') {
                    return Err(Unreadable::NotJson);
                }
                let name = self.string(true)?;
                self.compare(&name);
                self.expect(b':')?;
                match wanted.and_then(|wanted| wanted.child(&name)) {
                    Some(child) => {
                        self.path.push(name);
                        let value = self.value(Some(child), depth + 1)?;
                        let name = self.path.pop().unwrap_or_default();
                        fields.extend(value.map(|value| (name.into_owned(), value)));
                    }
                    None => drop(self.value(None, depth + 1)?),
                }
                if self.ends(b'}')? {
                    break;
                }
            }
        }
        if wanted.is_none() {
            return Ok(None);
        }
        RestrictedExpression::new_record(fields).map(Some).map_err(|_| Unreadable::Duplicate)
    }

    fn array(&mut self, wanted: Option<&Wanted>, depth: usize) -> Result<Value, Unreadable> {
        self.at += 1;
        let mut elements = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                // Cedar has sets, not lists: whoever reads into one reads all of it.
                elements.extend(self.value(wanted.map(|_| &WHOLE), depth + 1)?);
                if self.ends(b']')? {
                    break;
                }
            }
        }
        Ok(wanted.map(|_| RestrictedExpression::new_set(elements)))
    }

    fn string(&mut self, needed: bool) -> Result<Cow<'a, str>, Unreadable> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        let mut at = start + 1;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(0x20..) => at += 1,
                _ => return Err(Unreadable::NotJson),
            }
        }
        self.at = at + 1;
        if escaped && needed {
            let quoted = self.text.get(start..=at).ok_or(Unreadable::NotJson)?;
            return serde_json::from_str(quoted).map(Cow::Owned).map_err(|_| Unreadable::NotJson);
        }
        self.text.get(start + 1..at).map(Cow::Borrowed).ok_or(Unreadable::NotJson)
    }

    fn number(&mut self) -> Result<Number, Unreadable> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end =
            rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).and_then(number).ok_or(Unreadable::NotJson)
    }

    fn word(&mut self, word: &str) -> Result<(), Unreadable> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(Unreadable::NotJson);
        }
        self.at += word.len();
        Ok(())
    }

    fn unknown(&mut self, wanted: Option<&Wanted>) -> Result<Value, Unreadable> {
        if wanted.is_some() {
            // Each is kept with its whole path, and the names in it are the caller's choice.
            self.kept += self.path.iter().map(|name| name.len() + 32).sum::<usize>();
            if self.kept > MAX_PATHS {
                return Err(Unreadable::TooLarge);
            }
            self.inexact.push(self.path.iter().map(|name| Box::from(&**name)).collect());
        }
        Ok(None)
    }

    fn compare(&mut self, name: &str) {
        for (wanted, folded) in self.names.iter().zip(&mut self.folded) {
            if folded.is_none() && **wanted != *name && same_but_for_case(wanted, name) {
                *folded = Some(name.into());
            }
        }
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unreadable> {
        if self.peek() != Some(byte) {
            return Err(Unreadable::NotJson);
        }
        self.at += 1;
        Ok(())
    }

    /// True at the end of an object or array, false after a comma.
    fn ends(&mut self, close: u8) -> Result<bool, Unreadable> {
        let byte = self.peek().ok_or(Unreadable::NotJson)?;
        self.at += 1;
        match byte {
            b',' => Ok(false),
            _ if byte == close => Ok(true),
            _ => Err(Unreadable::NotJson),
        }
    }
}

/// Go's `encoding/json` and others match names without case, by Unicode's rules: `ſtatus` is `status` to them.
fn same_but_for_case(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    UniCase::new(one) == UniCase::new(other)
}

#[cfg(test)]
mod tests {
    use super::{Unreadable, Wanted, read};

    fn wanted(paths: &[&str]) -> Wanted {
        let mut wanted = Wanted::default();
        for path in paths {
            let names: Vec<Box<str>> =
                path.split('.').filter(|name| !name.is_empty()).map(Into::into).collect();
            wanted.add(&names);
        }
        wanted
    }

    fn built(json: &str, paths: &[&str]) -> String {
        let record = read(json.as_bytes(), &wanted(paths), &[]).unwrap().record;
        cedar_policy::Context::from_pairs([("args".to_owned(), record)]).unwrap().to_string()
    }

    #[test]
    fn only_what_is_wanted_is_built() {
        let json = r#" { "a" : {"b": 1, "c": [true, "x\u00e9\n"]}, "d": null, "e": -5e1 } "#;
        assert_eq!(built(json, &["a.b"]), r#"{args: {a: {b: 1}}}"#);
        assert_eq!(built(json, &["a.c"]), "{args: {a: {c: [true, \"xé\\n\"]}}}");
        assert_eq!(built(json, &["e", "a.x"]), r#"{args: {a: {}, e: -50}}"#);
        assert_eq!(built(json, &["a", "a.b"]), "{args: {a: {b: 1, c: [true, \"xé\\n\"]}}}");
    }

    #[test]
    fn inexact_values_are_named_by_their_path_where_they_are_wanted() {
        let json = r#"{"a":{"b":1.5,"c":[1,2.5]},"d":null,"e":1e30}"#;
        let paths = |wants: &[&str]| -> Vec<String> {
            let read = read(json.as_bytes(), &wanted(wants), &[]).unwrap();
            read.inexact.iter().map(|path| path.join(".")).collect()
        };
        assert_eq!(paths(&["a.b"]), ["a.b"]);
        assert_eq!(paths(&["a"]), ["a.b", "a.c"]);
        assert_eq!(paths(&["a.x", "d.y"]), ["d"]);
        assert_eq!(paths(&["f"]), [""; 0]);
    }

    #[test]
    fn names_that_differ_by_case_are_found_at_any_depth() {
        let names: Vec<Box<str>> = vec!["status".into(), "amount".into()];
        let folded = |json: &str| read(json.as_bytes(), &wanted(&["status"]), &names).unwrap().folded;
        assert_eq!(folded(r#"{"status":1,"amount":2,"x":[{"status":3}]}"#), [None, None]);
        assert_eq!(folded(r#"{"status":1,"Amount":2}"#), [None, Some("Amount".into())]);
        assert_eq!(folded(r#"{"x":[{"\u017ftatus":3}]}"#), [Some("ſtatus".into()), None]);
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for json in [
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\":tru}",
            "{} {}",
            "{\"a\":\"\u{1}\"}",
            "{\"a\":\"\\",
        ] {
            assert_eq!(
                read(json.as_bytes(), &wanted(&[""]), &[]).unwrap_err(),
                Unreadable::NotJson,
                "{json}"
            );
        }
        assert_eq!(read(b"[1]", &wanted(&[""]), &[]).unwrap_err(), Unreadable::NotAnObject);
        assert_eq!(read(b"{\"a\":1,\"a\":2}", &wanted(&["a"]), &[]).unwrap_err(), Unreadable::Duplicate);
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(read(deep.as_bytes(), &wanted(&["b"]), &[]).unwrap_err(), Unreadable::TooLarge);
        let wide = format!("{{\"a\":[{}1]}}", "1,".repeat(20_000));
        assert!(read(wide.as_bytes(), &wanted(&["b"]), &[]).is_ok());
        assert_eq!(read(wide.as_bytes(), &wanted(&["a"]), &[]).unwrap_err(), Unreadable::TooLarge);
    }
}
