//! Speaks to issuers and token endpoints: keys, introspection, exchange, and the shared credential cache.

mod breaker;
mod gate;
pub mod acquire;
pub mod cache;
pub mod client_auth;
pub mod clock;
pub mod introspection;
pub mod issuer;
pub mod provider;
pub mod secret_source;
pub mod template;
pub mod verifier;
pub mod wire;
