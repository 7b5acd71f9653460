//! Names that differ only by case. Go's `encoding/json` matches them, so a peer could be shown one name and
//! read another; they are refused wherever the gateway reads a name.

use std::borrow::Cow;
use std::collections::HashSet;

use unicase::UniCase;

use super::Value;

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

/// Checks that an object has no name that folds to a known one without being it, and no two names that fold
/// to the same.
///
/// # Errors
/// The offending name.
pub fn clear_names<'a>(object: Value<'a>, known: &[&str]) -> Result<(), Cow<'a, str>> {
    let mut few: Vec<Cow<'a, str>> = Vec::new();
    let mut many: HashSet<UniCase<Cow<'a, str>>> = HashSet::new();
    for member in object.members() {
        let name = member.name();
        if known.iter().any(|known| *known != name && fold_equal(known, &name)) {
            return Err(name);
        }
        if few.len() < FEW {
            if few.iter().any(|seen| fold_equal(seen, &name)) {
                return Err(name);
            }
            few.push(name);
            continue;
        }
        if many.is_empty() {
            many.extend(few.iter().cloned().map(UniCase::new));
        }
        if !many.insert(UniCase::new(name.clone())) {
            return Err(name);
        }
    }
    Ok(())
}
