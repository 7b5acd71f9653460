//! What must not be possible does not compile. Each file in `illegal/` tries one such thing, from outside of core.
//! `TRYBUILD=overwrite cargo test -p safeconduct-core --test illegal_states_do_not_compile` writes the expected errors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends where it fails"
)]

#[test]
fn illegal_states_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/illegal/*.rs");
}
