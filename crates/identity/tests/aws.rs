//! `aws_web_identity` and `aws_assume_role`: what is sent, and what is made of the answers.
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
mod support;

#[cfg(test)]
mod aws {
    mod assume_role;
    mod refusals;
    mod web_identity;
}
