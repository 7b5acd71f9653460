//! What all steps that ask an OAuth token endpoint have in common: where and as whom they ask, what for, how the
//! request is written down once for the wire and for people, and what of the answer is believed.

mod checks;
mod endpoint;
mod request;
mod step;
mod targets;

pub use checks::{AudienceCheck, BroaderScope, Expected, IssuedTypeCheck};
pub(super) use checks::{Types, bad, end, grant, presentable};
pub(super) use endpoint::Repeat;
pub use endpoint::TokenEndpoint;
pub(super) use request::Fieldset;
pub use step::Step;
pub(super) use step::{Again, Given, Grant, fields};
pub(super) use targets::Asked;
pub use targets::{BadTarget, Targets};

/// Token type identifiers (RFC 8693 §3).
pub mod token_type {
    /// An OAuth access token, issued by the server that is asked.
    pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
    /// An OpenID Connect ID token.
    pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
    /// Any JWT (RFC 7519 §9).
    pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
    /// An identity assertion for another domain's authorization server (draft-ietf-oauth-identity-assertion-authz-grant).
    pub const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
}

/// True for an absolute URI (RFC 3986 §4.3), with or without a fragment.
pub(super) fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic())
}
