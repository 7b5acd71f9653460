//! Logins that were ended before their tokens were: whose, since when, and what of theirs has ended with them.
//!
//! Two clocks count. A token says in `iat` when it was issued, by its issuer's clock; what the gateway itself made
//! for a caller (a sealed session, a noted task) is stamped by its own. A revocation names a moment on each.

mod ledger;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

pub use ledger::{MOST, Revocations};

use crate::caller::Principal;
use crate::time::Timestamp;

/// One caller's logins, or one of them, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The issuer's identifier, as it stands in `iss`.
    pub issuer: Box<str>,
    /// Whose logins.
    pub whose: Whose,
    /// By the issuer's clock: tokens issued then or before are not accepted any more.
    pub issued: Timestamp,
    /// By the gateway's clock: what was made then or before has ended.
    pub at: Timestamp,
    /// How long a token from before may live: for so long it is remembered by name.
    pub keep: Duration,
}

/// Whose logins end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// All of this subject.
    Subject(Box<str>),
    /// One session of the issuer (`sid`; OpenID Connect Front-Channel Logout 1.0 §3).
    Session {
        /// The session.
        sid: Box<str>,
        /// Whose it is, where it is said. A token of theirs that names no session could be of this one: it ends too.
        subject: Option<Box<str>>,
    },
}

impl Whose {
    /// Whether a login of this subject and session is meant.
    pub fn covers(&self, subject: &str, session: Option<&str>) -> bool {
        match (self, session) {
            (Self::Subject(whose), _) => **whose == *subject,
            (Self::Session { sid, .. }, Some(session)) => **sid == *session,
            (Self::Session { subject: whose, .. }, None) => whose.as_deref() == Some(subject),
        }
    }
}

impl Revocation {
    /// Whether this caller's login is meant, whenever it was.
    pub fn covers(&self, who: &Principal) -> bool {
        *self.issuer == *who.issuer_url && self.whose.covers(&who.subject, who.session.as_deref())
    }
}

/// The name of a login session, for where it is compared only: 128 bits of SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoginTag(pub(crate) [u8; 16]);

impl LoginTag {
    /// Of a `sid`.
    pub fn of(sid: &str) -> Self {
        let mut tag = [0; 16];
        digest(&SHA256, sid.as_bytes()).as_ref().iter().zip(&mut tag).for_each(|(from, to)| *to = *from);
        Self(tag)
    }
}

/// When the gateway made something for a caller, and in which of their logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    pub(crate) at: Timestamp,
    pub(crate) login: Option<LoginTag>,
}

impl Birth {
    /// Made at this moment, for this caller.
    pub fn of(who: &Principal, at: Timestamp) -> Self {
        Self { at, login: who.session.as_deref().map(LoginTag::of) }
    }
}
