//! The request at its ages, and the pure functions between them.
//!
//! A call enters as [`path::Arrived`] and leaves as [`path::Released`]; each age is a type with private
//! fields that owns what it proves and is consumed by the next move. Nothing in this crate opens a socket
//! or a file, awaits, or reads a clock: keys, documents and the time are handed in.

pub mod audit;
pub mod bound;
pub mod caller;
pub mod challenge;
pub mod credential;
pub mod material;
pub mod mcp;
pub mod path;
pub mod pins;
pub mod policy;
pub mod refusal;
pub mod revocation;
pub mod secret;
pub mod server;
pub mod sigv4;
pub mod time;
