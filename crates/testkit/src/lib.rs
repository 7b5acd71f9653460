//! Fake edges that behave for real, over HTTP on loopback: an identity provider, a token service of another
//! domain, APIs that verify their tokens, MCP servers and clients of both eras, faults, a clock, and the canary.
//! Tests and `safeconduct demo` are played with them. Nothing here is fit to guard anything real.

#![allow(
    clippy::indexing_slicing,
    reason = "only serde_json values are indexed here: absent members read as null, and only objects made here are written"
)]

pub mod abroad;
pub mod api;
pub mod aws;
pub mod backend;
pub mod canary;
pub mod client;
pub mod clock;
pub mod entra;
pub mod events;
pub mod forge;
pub mod google;
pub mod idp;
pub mod keyring;
pub mod keys;
pub mod log_watch;
pub mod oauth;
pub mod server;
pub mod sts;
pub mod vault;
pub mod verify;
pub mod wire;
