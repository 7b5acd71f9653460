//! What a caller is called in AWS: a role session's name and the source identity, which CloudTrail shows.
//!
//! AWS takes 2 to 64 letters, digits and `_+=,.@-`. A name that fits is taken as it is. What does not fit is replaced, and
//! a mark (64 bits of a hash over issuer and name) tells it from all others that become alike; so is every name where
//! several issuers are believed, because the same name of two issuers is two people.

use safeconduct_core::caller::Principal;

use crate::cache::Fields;

/// Longest name.
const LONGEST: usize = 64;
/// Hexadecimal digits of a mark.
const MARK: usize = 16;

/// The name for this caller, of what a template has become for them.
pub(super) fn session_name(text: &str, caller: &Principal, several_issuers: bool) -> String {
    if fits(text) && !is_marked(text) && !several_issuers {
        return text.to_owned();
    }
    let mut fields = Fields::new();
    fields.text(&caller.issuer_url).text(text);
    let mark: String = fields.digest().iter().take(MARK / 2).map(|byte| format!("{byte:02x}")).collect();
    let mut readable = String::new();
    for c in text.chars() {
        if c.is_ascii() && allowed(c as u8) {
            readable.push(c);
        } else if !readable.ends_with('-') {
            readable.push('-');
        }
    }
    let readable = readable.trim_matches('-');
    let readable = readable.get(..LONGEST - MARK - 1).unwrap_or(readable);
    if readable.is_empty() { format!("caller-{mark}") } else { format!("{readable}-{mark}") }
}

/// A name that AWS takes.
pub(super) fn fits(text: &str) -> bool {
    (2..=LONGEST).contains(&text.len()) && text.bytes().all(allowed)
}

/// Ends as a name that was given a mark: it could be taken for another's.
fn is_marked(text: &str) -> bool {
    let mark = text.len().checked_sub(MARK).and_then(|at| text.split_at_checked(at));
    mark.is_some_and(|(readable, mark)| {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        readable.ends_with('-') && mark.bytes().all(hex)
    })
}

fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{prop_assert, prop_assert_eq, prop_assume, proptest};
    use safeconduct_core::caller::{IssuerRules, Preset, suppose};
    use safeconduct_core::time::Timestamp;
    use serde_json::json;

    use super::*;

    fn caller(issuer: &str, subject: &str) -> Principal {
        let claims = json!({ "iss": issuer, "sub": subject, "aud": "a", "exp": 2_000_000_000u64, "iat": 1 });
        let rules = IssuerRules::new("corp", issuer, Preset::Oidc);
        suppose(claims.to_string().as_bytes(), &rules, Timestamp::from_secs(1)).unwrap()
    }

    fn named(subject: &str) -> String {
        session_name(subject, &caller("https://a.example", "s"), false)
    }

    /// Edge: 95
    #[test]
    fn a_name_that_aws_takes_is_taken_as_it_is_and_any_other_is_replaced_and_marked() {
        for plain in ["alice@example.com", "al", "a_b+c=d,e.f-g", &"x".repeat(64)] {
            assert_eq!(named(plain), plain);
        }
        let replaced = named("auth0|x y");
        assert!(replaced.starts_with("auth0-x-y-") && replaced.len() == 26, "{replaced}");
        assert!(named("a").starts_with("a-"));
        assert!(named("zo\u{eb} \u{1f600}").starts_with("zo-"));
        assert!(named("\u{4e16}\u{754c}").starts_with("caller-"));
        assert!(named(&"y".repeat(80)).starts_with(&"y".repeat(47)));
        for odd in [
            "auth0|x y",
            "a",
            "",
            "zo\u{eb}",
            "\u{4e16}\u{754c}",
            &"y".repeat(80),
            "https://idp/users/1",
            "::",
            "-",
        ] {
            let name = named(odd);
            assert!(fits(&name), "{odd} {name}");
            assert_eq!(name, named(odd), "it stays the same");
        }
    }

    /// Edge: 95
    #[test]
    fn subjects_that_become_alike_have_different_names() {
        let odd = [
            "auth0|x y",
            "auth0|x_y",
            "auth0 x y",
            "auth0||x y",
            "auth0-x-y",
            &"y".repeat(80),
            &"y".repeat(81),
        ];
        let names: BTreeSet<String> = odd.iter().map(|subject| named(subject)).collect();
        assert_eq!(names.len(), odd.len());
        let marked = named("auth0|x y");
        assert_ne!(named(&marked), marked, "nobody is named as another was marked");
    }

    /// Edge: 94
    #[test]
    fn where_several_issuers_are_believed_the_same_subject_of_two_has_two_names() {
        let name = |issuer: &str| session_name("alice", &caller(issuer, "alice"), true);
        assert!(name("https://a.example").starts_with("alice-"));
        assert_ne!(name("https://a.example"), name("https://b.example"));
        assert_eq!(name("https://a.example"), name("https://a.example"));
    }

    proptest! {
        /// Edge: 94, 95
        #[test]
        fn every_name_fits_and_no_two_callers_share_one(one in ".{0,90}", other in ".{0,90}", several: bool) {
            prop_assume!(one != other);
            let issuer = "https://a.example";
            let name = |text: &str| session_name(text, &caller(issuer, "s"), several);
            prop_assert!(fits(&name(&one)));
            prop_assert!(name(&one) != name(&other));
            let elsewhere = session_name(&one, &caller("https://b.example", "s"), several);
            prop_assert_eq!(elsewhere == name(&one), !several && fits(&one) && !is_marked(&one));
        }
    }
}
