//! Every token and secret of the kit is a canary: text that must never be seen in a log, an audit line or an
//! answer. Opaque secrets hold the word [`MARK`]; a JWT hides any word behind base64, so its payload and its
//! signature are remembered here, and a place is dirty when one of them, or the beginning of one, stands in it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError, RwLock};

use memchr::memmem;

/// The word that every opaque secret holds.
pub const MARK: &str = "CANARY";

/// Shorter runs of characters are not looked up: they could be anything.
const SHORTEST: usize = 16;

static NEEDLES: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());
static SIGHTINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A new opaque secret, `CANARY-name-random`; all of it is safe in a URL, a header and a form.
pub fn secret(name: &str) -> String {
    let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    format!("{MARK}-{name}-{}", random_hex())
}

/// 128 random bits in hexadecimal.
pub fn random_hex() -> String {
    let mut bytes = [0u8; 16];
    // Fails only where the system has no randomness at all; then the value is constant, and tests that need
    // distinct ones fail loudly.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Remembers a JWT: its payload and signature become needles.
pub fn remember_token(token: &str) {
    for part in token.split('.').skip(1) {
        remember(part);
    }
}

/// Remembers any text, for example the encoded form of a client's secret.
pub fn remember(text: &str) {
    if text.len() >= SHORTEST {
        NEEDLES.write().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned());
    }
}

/// What was found in `bytes`, described without repeating it; None when they are clean.
pub fn find(bytes: &[u8]) -> Option<String> {
    if let Some(at) = memmem::find(bytes, MARK.as_bytes()) {
        return Some(format!("the word {MARK} at byte {at}"));
    }
    let needles = NEEDLES.read().unwrap_or_else(PoisonError::into_inner);
    let url_safe = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let standard = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let known = |run: &str| {
        let needle = needles.range(run.to_owned()..).next();
        needle.is_some_and(|needle| needle.starts_with(run))
    };
    runs(bytes, url_safe)
        .chain(runs(bytes, standard))
        .find(|run| known(run))
        .map(|run| format!("a part of a token or secret, {} characters long", run.len()))
}

/// Fails the test when `bytes` hold a canary. `place` says what they are.
///
/// # Panics
/// On sight of a canary: that is its purpose.
pub fn assert_clean(place: &str, bytes: &[u8]) {
    let found = find(bytes);
    assert!(found.is_none(), "{place} shows a secret: {}", found.unwrap_or_default());
}

/// Notes a sighting at a place where a panic would be swallowed (a log line inside a task).
pub(crate) fn sighted(place: &str, found: &str) {
    let mut sightings = SIGHTINGS.lock().unwrap_or_else(PoisonError::into_inner);
    sightings.push(format!("{place} shows a secret: {found}"));
}

/// What the log layer has seen in this process, and forgets it.
pub fn sightings() -> Vec<String> {
    std::mem::take(&mut *SIGHTINGS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn runs<'a>(bytes: &'a [u8], part: impl Fn(&u8) -> bool + 'a) -> impl Iterator<Item = &'a str> {
    bytes
        .split(move |byte| !part(byte))
        .filter(|run| run.len() >= SHORTEST)
        .filter_map(|run| std::str::from_utf8(run).ok())
}

#[cfg(test)]
mod tests {
    use super::{assert_clean, find, remember, remember_token, secret};

    #[test]
    fn text_without_a_secret_is_clean() {
        assert_clean(
            "a line",
            b"{\"subject\":\"alice@example.com\",\"fingerprint\":\"sha256:0011223344556677\"}",
        );
    }

    #[test]
    fn an_opaque_secret_is_seen_by_its_word() {
        assert!(find(format!("x={}", secret("gateway")).as_bytes()).is_some());
    }

    #[test]
    fn a_token_is_seen_by_its_signature_and_by_the_beginning_of_its_payload() {
        let token = "aaaabbbbccccdddd.payloadpayloadpayloadpayload.signature-signature_signature";
        remember_token(token);
        assert!(find(b"token: signature-signature_signature!").is_some());
        assert!(find(b"cut: payloadpayloadpay...").is_some());
        assert!(find(b"header only: aaaabbbbccccdddd").is_none());
    }

    #[test]
    fn a_basic_credential_is_seen_although_it_is_encoded() {
        remember("Y2xpZW50OnNlY3JldC9zZWNyZXQ=");
        assert!(find(b"authorization: Basic Y2xpZW50OnNlY3JldC9zZWNyZXQ=").is_some());
    }
}
