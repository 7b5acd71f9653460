//! Names that differ only by case. Go's `encoding/json` matches them, so a peer could be shown one name and
//! read another; they are refused wherever the gateway reads a name.

use std::borrow::Cow;
use std::collections::HashSet;

use unicase::UniCase;

use super::{Member, Value};

/// Names of one object that are compared pair by pair before a set is made of them.
const FEW: usize = 16;

/// Whether two names are equal under Unicode case folding (full, which includes simple: U+017F is `s`,
/// U+212A is `k`).
pub fn fold_equal(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    unicase::eq(one, other)
}

/// An object whose members were walked once.
#[derive(Clone, Debug)]
pub struct Object<'a>(Vec<Member<'a>>);

impl<'a> Object<'a> {
    /// The members of a value, if it is an object.
    pub fn of(value: Value<'a>) -> Option<Self> {
        value.is_object().then(|| Self(value.members().collect()))
    }

    /// The members, in order.
    pub fn members(&self) -> impl Iterator<Item = &Member<'a>> {
        self.0.iter()
    }

    /// The value of a member.
    pub fn member(&self, name: &str) -> Option<Value<'a>> {
        self.0.iter().find(|member| member.name() == name).map(|member| member.value)
    }

    /// Checks that no name folds to a known one without being it, and no two names fold to the same.
    ///
    /// # Errors
    /// The offending name.
    pub fn clear(&self, known: &[&str]) -> Result<(), Cow<'a, str>> {
        let names: Vec<_> = self.0.iter().map(Member::name).collect();
        for name in &names {
            if known.iter().any(|known| *known != name && fold_equal(known, name)) {
                return Err(name.clone());
            }
        }
        if names.len() <= FEW {
            let twice = names
                .iter()
                .enumerate()
                .find(|(place, name)| names.iter().take(*place).any(|before| fold_equal(before, name)));
            return twice.map_or(Ok(()), |(_, name)| Err(name.clone()));
        }
        let mut seen = HashSet::with_capacity(names.len());
        for name in &names {
            if !seen.insert(UniCase::new(&**name)) {
                return Err(name.clone());
            }
        }
        Ok(())
    }
}

/// [`Object::clear`] of a value that is not looked at any further; true of what is no object.
///
/// # Errors
/// The offending name.
pub fn clear_names<'a>(value: Value<'a>, known: &[&str]) -> Result<(), Cow<'a, str>> {
    Object::of(value).map_or(Ok(()), |object| object.clear(known))
}

#[cfg(test)]
mod tests {
    use super::{clear_names, fold_equal};
    use crate::mcp::json::checked;

    #[test]
    fn names_are_equal_under_unicode_folding_and_not_by_likeness() {
        for (one, other) in [
            ("method", "Method"),
            ("params", "param\u{17f}"),
            ("task", "tas\u{212a}"),
            ("stra\u{df}e", "STRASSE"),
        ] {
            assert!(fold_equal(one, other), "{one} {other}");
        }
        // A Cyrillic o.
        for (one, other) in [("method", "metho"), ("method", "meth\u{43e}d"), ("id", "\u{131}d")] {
            assert!(!fold_equal(one, other), "{one} {other}");
        }
    }

    /// Row: P4
    #[test]
    fn a_name_that_differs_by_case_from_a_known_one_is_refused() {
        let clear = |text: &str| clear_names(checked(text.as_bytes()).unwrap(), &["id", "method"]).is_ok();
        assert!(clear(r#"{"id":1,"method":"x","other":2}"#));
        assert!(!clear(r#"{"id":1,"Method":"x"}"#));
        assert!(!clear(r#"{"\u0049d":1}"#));
    }

    /// Row: P4
    #[test]
    fn two_names_that_fold_to_the_same_are_refused_in_small_and_large_objects() {
        let object = |count: usize, last: &str| {
            let members: String = (0..count).map(|n| format!("\"n{n}\":0,")).collect();
            format!("{{{members}\"{last}\":0}}")
        };
        for count in [2, 15, 16, 17, 200] {
            let clear = |last| clear_names(checked(object(count, last).as_bytes()).unwrap(), &[]).is_ok();
            assert!(clear("m1"), "{count}");
            assert!(!clear("N1"), "{count}");
        }
    }
}
