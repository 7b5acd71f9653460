//! Speaks to issuers and token endpoints: keys, introspection, exchange, and the shared credential cache.

pub mod client_auth;
pub mod clock;
pub mod secret_source;
pub mod wire;
