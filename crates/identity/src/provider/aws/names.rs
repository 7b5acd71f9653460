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
