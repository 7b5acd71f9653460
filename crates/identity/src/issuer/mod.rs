//! Issuers of callers' tokens: where their keys are, and the keys as they are known now.
//!
//! Keys are fetched in the background: at the start, again before they are old, and once more, at most every 30
//! seconds, when a token names a key that is not among them. While an issuer cannot be reached the last good
//! keys serve (R11, R12 of the federation notes).

mod discovery;
mod keys;
mod pace;
mod source;

pub(crate) use discovery::{Endpoints, Metadata, metadata};
pub use keys::{IssuerKeys, IssuerStatus, Keys};
pub use source::{KeySource, Unavailable};
