//! Who calls: the token as it came, the token once verified, and the caller it speaks for.

mod actors;
mod algorithm;
mod claims;
mod fingerprint;
mod introspect;
mod jwt;
mod keys;
mod logout;
mod presets;
mod principal;
mod problem;
mod rules;

pub use algorithm::Algorithm;
pub use introspect::verify_introspection;
pub use jwt::{MAX_TOKEN, Peeked, examine, looks_signed, peek, peek_issuer, suppose, verify_jwt};
pub use keys::{BadKeySet, KeySet, MAX_BYTES as MAX_KEY_SET, MAX_KEYS, Skipped};
pub use logout::{LogoutRules, LogoutToken, verify_logout};
pub use presets::{PRESETS, Preset, Quirks, WorkloadSign};
pub use principal::{Actor, Fingerprint, Kind, Principal};
pub use problem::TokenProblem;
pub use rules::{ClaimPath, ClaimPaths, IssuerRules, MAX_LEEWAY};

use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};

use crate::secret::Secret;

/// A token as it came, not verified. It can be digested (to look a verified one up) and verified; nothing else.
pub struct Bearer {
    token: Secret,
    /// Asked for by whoever looks the token up and by whoever takes the proof; hashed once.
    digest: OnceLock<TokenDigest>,
}

/// SHA-256 of a token: the key of the verified-token cache. Not reversible, safe to keep.
pub type TokenDigest = [u8; 32];

impl Bearer {
    pub(crate) fn new(token: Vec<u8>) -> Self {
        Self { token: Secret::new(token), digest: OnceLock::new() }
    }

    /// For verification only: the compact JWT, or the opaque string that introspection is asked about.
    pub fn expose_for_verification(&self) -> &[u8] {
        self.token.expose()
    }

    /// SHA-256 over the token.
    pub fn digest(&self) -> TokenDigest {
        *self.digest.get_or_init(|| {
            let mut out = [0; 32];
            out.copy_from_slice(digest(&SHA256, self.token.expose()).as_ref());
            out
        })
    }

    pub(crate) fn into_subject(self) -> SubjectToken {
        SubjectToken(Arc::new(self.token))
    }
}

/// A verified caller's token. It can be presented to a token endpoint, in a form field, and nothing else:
/// no header can be made of it and no bytes can be read from it outside this crate.
#[derive(Clone)]
pub struct SubjectToken(Arc<Secret>);

impl SubjectToken {
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Proof that the token with this digest was verified and speaks for this caller.
///
/// Made only by the verification functions of this module; kept in the verified-token cache.
#[derive(Clone)]
pub struct Verified {
    digest: TokenDigest,
    principal: Arc<Principal>,
    audiences: Arc<[Box<str>]>,
}

impl Verified {
    // Called by jwt and introspection verification only.
    pub(crate) fn new(digest: TokenDigest, principal: Principal, audiences: Vec<Box<str>>) -> Self {
        Self { digest, principal: Arc::new(principal), audiences: audiences.into() }
    }

    /// The token's digest.
    pub fn digest(&self) -> &TokenDigest {
        &self.digest
    }

    /// The caller.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The token's `aud`, as a list (RFC 7519 §4.1.3).
    pub fn audiences(&self) -> &[Box<str>] {
        &self.audiences
    }
}
