//! Which tokens are believed: the requirements R1-R10, R14 and R15 on signed tokens, opaque ones, and what callers become.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends where it fails"
)]

#[cfg(test)]
#[path = "tokens/claims.rs"]
mod claims;
#[cfg(test)]
#[path = "tokens/headers.rs"]
mod headers;
#[cfg(test)]
#[path = "tokens/keys.rs"]
mod keys;
#[cfg(test)]
#[path = "tokens/logout.rs"]
mod logout;
#[cfg(test)]
#[path = "tokens/mint.rs"]
mod mint;
#[cfg(test)]
#[path = "tokens/opaque.rs"]
mod opaque;
#[cfg(test)]
#[path = "tokens/presets.rs"]
mod presets;
#[cfg(test)]
#[path = "tokens/shape.rs"]
mod shape;
