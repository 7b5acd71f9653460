//! The protocol: what a message is, which methods there are, and what a reply may carry.

mod bounded;
mod call;
pub mod door;
pub mod filter;
#[cfg(any(test, fuzzing))]
pub(crate) mod fixture;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod json;
pub mod methods;
pub mod seal;

pub use call::{Call, Era, Head, Kind, Target, Verb};
