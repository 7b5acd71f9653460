//! What a person types, and what is said: every text under comparison. After a change that is meant, `UPDATE=1` writes
//! the texts anew; read the difference before you keep it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends where it fails"
)]

mod connect;
mod doctor;
mod documents;
mod examples;
mod explain;
mod gallery;
mod help;
mod lock;
mod program;
mod run;
mod secret;
mod serve;
mod setup;
mod snapshot;
mod tokens;
