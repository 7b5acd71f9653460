//! Speaks to issuers and token endpoints: keys, introspection, exchange, and the shared credential cache.

pub mod acquire;
mod breaker;
pub mod cache;
pub mod client_auth;
pub mod clock;
mod gate;
pub mod introspection;
pub mod issuer;
pub mod provider;
pub mod secret_source;
pub mod template;
pub mod verifier;
pub mod wire;
