//! The way out, over loopback: software that knows proxies, software that does not, and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where it fails"
)]

mod direct;
mod edges;
mod http;
mod names;
mod tunnel;
