//! What AWS accepts, so that a configuration that it would refuse is refused before it is used.

use std::ops::RangeInclusive;
use std::time::Duration;

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use super::arn::RoleArn;
use super::names;

/// What is wrong with a value, in a few words.
pub type Wrong = &'static str;

/// How long a session may be.
pub const DURATION: RangeInclusive<Duration> = Duration::from_secs(900)..=Duration::from_secs(43_200);
/// How long a session may be that was assumed with another role's keys (role chaining).
pub const CHAINED: RangeInclusive<Duration> = Duration::from_secs(900)..=Duration::from_secs(3600);

/// A region: `eu-central-1`, or `aws-global` for the global endpoint.
///
/// # Errors
/// What is wrong.
pub fn region(text: &str) -> Result<(), Wrong> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=32).contains(&text.len()) && text.contains('-') && text.bytes().all(letter);
    fits.then_some(()).ok_or("a region is written as `eu-central-1`")
}

/// The ARN of a role.
///
/// # Errors
/// What is wrong.
pub fn role(text: &str) -> Result<(), Wrong> {
    RoleArn::read(text).map(drop).ok_or("a role is written as `arn:aws:iam::123456789012:role/NAME`")
}

/// The partition that a role's ARN names.
pub fn partition_of(role: &str) -> Option<&str> {
    RoleArn::read(role).map(|role| role.partition)
}

/// A session's name or a source identity that is the same for all callers.
///
/// # Errors
/// What is wrong.
pub fn name(text: &str) -> Result<(), Wrong> {
    names::fits(text).then_some(()).ok_or("2 to 64 letters, digits and `_+=,.@-`")
}

/// A session policy: a JSON object of at most 2048 characters.
///
/// # Errors
/// What is wrong.
pub fn policy(text: &str) -> Result<(), Wrong> {
    if text.chars().count() > 2048 {
        return Err("a session policy has at most 2048 characters");
    }
    let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(text);
    object
        .ok()
        .filter(|policy| policy.contains_key("Statement"))
        .map(drop)
        .ok_or("not a policy: a JSON object with a `Statement`")
}

/// The ARN of a managed policy.
///
/// # Errors
/// What is wrong.
pub fn policy_arn(text: &str) -> Result<(), Wrong> {
    let fits = (20..=2048).contains(&text.len())
        && text.starts_with("arn:")
        && text.contains(":policy/")
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(()).ok_or("a managed policy is written as `arn:aws:iam::aws:policy/NAME`")
}

/// An external id.
///
/// # Errors
/// What is wrong.
pub fn external_id(text: &str) -> Result<(), Wrong> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte);
    let fits = (2..=1224).contains(&text.len()) && text.bytes().all(allowed);
    fits.then_some(()).ok_or("2 to 1224 letters, digits and `_+=,.@:/-`")
}

/// The key of a session tag.
///
/// # Errors
/// What is wrong.
pub fn tag_key(text: &str) -> Result<(), Wrong> {
    if text.to_ascii_lowercase().starts_with("aws:") {
        return Err("tags that begin with `aws:` are AWS's own");
    }
    let fits = (1..=128).contains(&text.chars().count()) && text.chars().all(in_tags);
    fits.then_some(()).ok_or("1 to 128 letters, digits, spaces and `_.:/=+-@`")
}

/// The value of a session tag; empty is one.
///
/// # Errors
/// What is wrong.
pub fn tag_value(text: &str) -> Result<(), Wrong> {
    let fits = text.chars().count() <= 256 && text.chars().all(in_tags);
    fits.then_some(()).ok_or("at most 256 letters, digits, spaces and `_.:/=+-@`")
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`, of the spaces the visible one only. (`char::is_alphabetic` is wider than `\p{L}`: it has marks.)
fn in_tags(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    let letter = GeneralCategoryGroup::Letter.union(GeneralCategoryGroup::Number).contains(category);
    letter || c == ' ' || "_.:/=+-@".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_letters_of_all_languages_and_none_of_their_marks() {
        for good in ["", "alice + s\u{f6}hne", "\u{4e16}\u{754c}", "\u{661}\u{bd}", "a/b:c=d@e-f_g.h"] {
            assert_eq!(tag_value(good), Ok(()), "{good}");
        }
        for bad in ["a&b", "\u{24b6}", "\u{93f}", "a\u{345}", "a\u{a0}b", "a\nb"] {
            assert!(tag_value(bad).is_err() && tag_key(bad).is_err(), "{bad}");
        }
    }
}
