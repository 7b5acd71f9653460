//! The caller, as the rest of the program knows it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde::Serialize;

use crate::time::Timestamp;

/// A person or a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A person, or an agent acting for one.
    User,
    /// A program acting for itself (client credentials: the subject is the client; RFC 9700 §4.15).
    Workload,
}

/// One link of the `act` chain (RFC 8693 §4.1), outermost (current) first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// `iss` of the actor, when it says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `sub` of the actor.
    pub subject: String,
}

/// Hash over the claims that make the caller who they are: all but exp, iat, nbf, jti and the like.
/// A refreshed token of the same login has the same fingerprint; a changed group or acr does not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().take(16).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The caller: issuer and subject together are the identity, never the subject alone. Holds no secret.
#[derive(Debug)]
pub struct Principal {
    /// A person or a program.
    pub kind: Kind,
    /// The issuer's name in the configuration (`corp`).
    pub issuer: Box<str>,
    /// The issuer's identifier as it stands in `iss`.
    pub issuer_url: Box<str>,
    /// `sub`: 1 to 255 characters.
    pub subject: Box<str>,
    /// The client that presented the login (`azp`, `client_id`, ...).
    pub client: Option<Box<str>>,
    /// `email`, only when the token says so (and not `email_verified: false`).
    pub email: Option<Box<str>>,
    /// Groups, in the order of the token.
    pub groups: Vec<Box<str>>,
    /// Scopes, in the order of the token.
    pub scopes: Vec<Box<str>>,
    /// Every claim as a set of strings (a number or boolean by its JSON text, an object by its JSON text),
    /// but exp, iat, nbf and jti: these change with each refresh.
    pub claims: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// `act` chain, outermost first.
    pub actors: Vec<Actor>,
    /// `acr`: authentication context class.
    pub acr: Option<Box<str>>,
    /// `amr`: authentication methods.
    pub amr: Vec<Box<str>>,
    /// `auth_time`, seconds since the epoch.
    pub auth_time: Option<u64>,
    /// `sid`: the login session at the issuer, for logout.
    pub session: Option<Box<str>>,
    /// `iat`: when the token was issued, by the issuer's clock.
    pub issued: Option<Timestamp>,
    /// When the token ends.
    pub expires: Timestamp,
    /// See [`Fingerprint`].
    pub fingerprint: Fingerprint,
    /// Hash of all that a policy can see of the caller; made at the first decision.
    pub(crate) identity: OnceLock<[u8; 32]>,
}
