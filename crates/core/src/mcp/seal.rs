//! Sealed values: what the server minted (a session id, a `requestState`) leaves the gateway encrypted and
//! bound to the caller, and comes back as the server wrote it. Any replica with the key can open it, no
//! store is needed, and to another caller it is an unknown value.
//!
//! Form: base64url(version ‖ nonce ‖ AES-256-GCM(key, birth ‖ value, aad)), where aad is the purpose, the issuer's
//! URL, the subject, the server's name and what else the purpose binds, each with its length before it. The birth
//! says when it was sealed and in which login, so that what is older than a revocation is known as such.
//! Nonces are random: one key serves for 2^32 seals (NIST SP 800-38D §8.3).

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::caller::Principal;
use crate::revocation::{Birth, LoginTag};
use crate::server::Server;
use crate::time::Timestamp;

const VERSION: u8 = 2;
/// Flag of the sealed text: it was sealed in a login session of the issuer, whose name follows.
const IN_LOGIN: u8 = 1;
/// Flag of the sealed text: the client of this session opens pages.
const OPENS_PAGES: u8 = 2;
/// Longest sealed text that is looked at: a value of 16 KiB.
const MAX_SEALED: usize = 24 * 1024;

/// What a sealed value is for. A value sealed for one purpose does not open for another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'a> {
    /// A legacy session id.
    Session,
    /// `requestState` of the answer to this method on this target (2026-07-28).
    State(&'a str, &'a str),
}

/// What is sealed, and what is sealed with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed<'v> {
    /// What the server minted.
    pub(crate) value: std::borrow::Cow<'v, [u8]>,
    /// When, and in which login of the caller.
    pub(crate) birth: Birth,
    /// Of a session: its client opens pages that it is asked to (URL elicitation).
    pub(crate) opens_pages: bool,
}

/// A key was refused by the cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealing key cannot be used")]
pub struct KeyRefused;

/// The keys: the first seals, all of them open, so that a key can be replaced without ending sessions.
pub(crate) struct Seal {
    first: RandomizedNonceKey,
    retired: Vec<RandomizedNonceKey>,
}

impl Seal {
    pub(crate) fn new(first: &[u8; 32], retired: &[[u8; 32]]) -> Result<Self, KeyRefused> {
        let key = |bytes: &[u8; 32]| RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| KeyRefused);
        Ok(Self { first: key(first)?, retired: retired.iter().map(key).collect::<Result<_, _>>()? })
    }

    /// Seals; None only if the system has no randomness.
    pub(crate) fn seal(
        &self,
        purpose: Purpose<'_>,
        who: &Principal,
        at: &Server,
        what: &Sealed<'_>,
    ) -> Option<String> {
        let mut text = what.to_bytes();
        let nonce = self.first.seal_in_place_append_tag(bound(purpose, who, at), &mut text).ok()?;
        let mut out = Vec::with_capacity(1 + NONCE_LEN + text.len());
        out.push(VERSION);
        out.extend_from_slice(nonce.as_ref());
        out.extend_from_slice(&text);
        Some(URL_SAFE_NO_PAD.encode(out))
    }

    /// Opens; None for what is forged, another's, for something else, or sealed with an unknown key.
    pub(crate) fn open(
        &self,
        purpose: Purpose<'_>,
        who: &Principal,
        at: &Server,
        sealed: &[u8],
    ) -> Option<Sealed<'static>> {
        if sealed.len() > MAX_SEALED {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>()?;
        if *version != VERSION {
            return None;
        }
        std::iter::once(&self.first).chain(&self.retired).find_map(|key| {
            let mut text = text.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length = key.open_in_place(nonce, bound(purpose, who, at), &mut text).ok()?.len();
            Sealed::from_bytes(text.get(..length)?)
        })
    }
}

impl Sealed<'_> {
    fn to_bytes(&self) -> Vec<u8> {
        let Birth { at, login } = self.birth;
        let mut text = Vec::with_capacity(64 + self.value.len());
        let flags = [(login.is_some(), IN_LOGIN), (self.opens_pages, OPENS_PAGES)];
        text.push(flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag));
        text.extend_from_slice(&at.micros().to_be_bytes());
        text.extend_from_slice(login.as_ref().map_or(&[], |login| &login.0));
        text.extend_from_slice(&self.value);
        text
    }

    fn from_bytes(text: &[u8]) -> Option<Sealed<'static>> {
        let (flags, rest) = text.split_first()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (login, value) = match flags & IN_LOGIN {
            0 => (None, rest),
            _ => rest.split_first_chunk().map(|(login, value)| (Some(LoginTag(*login)), value))?,
        };
        let at = Timestamp::from_micros(u64::from_be_bytes(*at));
        Some(Sealed {
            value: value.to_vec().into(),
            birth: Birth { at, login },
            opens_pages: flags & OPENS_PAGES != 0,
        })
    }
}

fn bound(purpose: Purpose<'_>, who: &Principal, at: &Server) -> Aad<Vec<u8>> {
    let mut aad = Vec::with_capacity(128);
    let mut field = |text: &str| {
        aad.extend_from_slice(&(text.len() as u64).to_be_bytes());
        aad.extend_from_slice(text.as_bytes());
    };
    let purpose = match purpose {
        Purpose::Session => ["session", "legacy", ""],
        Purpose::State(method, target) => ["state", method, target],
    };
    purpose.into_iter().for_each(&mut field);
    [&*who.issuer_url, &*who.subject, &*at.name].into_iter().for_each(&mut field);
    Aad::from(aad)
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Seal, Sealed};
    use crate::mcp::fixture::{caller, server};
    use crate::revocation::Birth;
    use crate::time::Timestamp;

    const KEY: [u8; 32] = [7; 32];
    const NEXT: [u8; 32] = [8; 32];

    fn value(value: &[u8]) -> Sealed<'_> {
        let birth = Birth::of(&caller("alice"), Timestamp::from_secs(7));
        Sealed { value: value.into(), birth, opens_pages: false }
    }

    /// Row: T10
    #[test]
    fn a_sealed_session_opens_for_its_caller_and_for_nobody_else() {
        let seal = Seal::new(&KEY, &[]).unwrap();
        let (alice, bob, orders) = (caller("alice"), caller("bob"), server("orders"));
        let sealed = seal.seal(Purpose::Session, &alice, &orders, &value(b"upstream-1")).unwrap();
        let open = |who, at: &_, key: &Seal| key.open(Purpose::Session, who, at, sealed.as_bytes());
        assert_eq!(open(&alice, &orders, &seal), Some(value(b"upstream-1")));
        assert_eq!(open(&bob, &orders, &seal), None);
        assert_eq!(open(&alice, &server("billing"), &seal), None);
        let mut elsewhere = caller("alice");
        elsewhere.issuer_url = "https://other.example".into();
        assert_eq!(open(&elsewhere, &orders, &seal), None);
        assert_eq!(open(&alice, &orders, &Seal::new(&NEXT, &[]).unwrap()), None);
    }

    #[test]
    fn a_sealed_session_hides_the_servers_id_and_does_not_open_as_state() {
        let seal = Seal::new(&KEY, &[]).unwrap();
        let (alice, orders) = (caller("alice"), server("orders"));
        let sealed = seal.seal(Purpose::Session, &alice, &orders, &value(b"upstream-1")).unwrap();
        assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        assert!(!sealed.contains("upstream"));
        assert_eq!(seal.open(Purpose::State("tools/call", "x"), &alice, &orders, sealed.as_bytes()), None);
    }

    #[test]
    fn what_is_sealed_says_when_and_in_which_login_it_was() {
        let seal = Seal::new(&KEY, &[]).unwrap();
        let (mut alice, orders) = (caller("alice"), server("orders"));
        for (session, opens_pages) in [(None, false), (Some("s1"), false), (None, true), (Some("s2"), true)] {
            alice.session = session.map(Into::into);
            let birth = Birth::of(&alice, Timestamp::from_micros(1_763_805_600_123_456));
            let what = Sealed { value: (&b""[..]).into(), birth, opens_pages };
            let sealed = seal.seal(Purpose::Session, &alice, &orders, &what).unwrap();
            assert_eq!(seal.open(Purpose::Session, &alice, &orders, sealed.as_bytes()), Some(what));
        }
    }

    #[test]
    fn a_retired_key_still_opens_but_the_first_seals() {
        let old = Seal::new(&KEY, &[]).unwrap();
        let new = Seal::new(&NEXT, &[KEY]).unwrap();
        let (alice, orders) = (caller("alice"), server("orders"));
        let before = old.seal(Purpose::Session, &alice, &orders, &value(b"s")).unwrap();
        assert!(new.open(Purpose::Session, &alice, &orders, before.as_bytes()).is_some());
        let after = new.seal(Purpose::Session, &alice, &orders, &value(b"s")).unwrap();
        assert!(old.open(Purpose::Session, &alice, &orders, after.as_bytes()).is_none());
    }

    #[test]
    fn a_forged_or_cut_session_does_not_open() {
        let seal = Seal::new(&KEY, &[]).unwrap();
        let (alice, orders) = (caller("alice"), server("orders"));
        let sealed = seal.seal(Purpose::Session, &alice, &orders, &value(b"upstream-1")).unwrap();
        let mut flipped = sealed.clone().into_bytes();
        flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
        for forged in [&flipped[..], &sealed.as_bytes()[..10], b"", b"upstream-1", b"AQ"] {
            assert_eq!(seal.open(Purpose::Session, &alice, &orders, forged), None);
        }
    }
}
