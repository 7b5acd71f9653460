//! The path, from a client's socket to the backend's and back: the real gateway between the testkit's edges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::type_complexity,
    clippy::disallowed_types,
    reason = "a test ends where it fails, and may speak HTTP as it likes"
)]

mod answers;
mod as_whom;
mod audit;
mod audit_first;
mod aws;
mod bound;
mod challenges;
mod codes;
mod conversation;
mod crowds;
mod doorstep;
mod entra;
mod eras;
mod exchange;
mod google;
mod grants;
mod greedy;
mod hammer;
mod held;
mod hostile;
mod integrity;
mod issuers;
mod limits;
mod line;
mod lists;
mod may;
mod modern;
mod notices;
mod outage;
mod pages;
mod patience;
mod pinned;
mod presets;
mod reload;
mod revoke;
mod rounds;
mod started;
mod streams;
mod traces;
mod transport;
mod vault;
mod who;
mod world;
