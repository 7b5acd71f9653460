//! What must not be possible does not compile. Each file in `illegal/` tries one such thing, from outside of core.
//! `TRYBUILD=overwrite cargo test -p safeconduct-core --test illegal_states_do_not_compile` writes the expected errors.

#[test]
fn illegal_states_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/illegal/*.rs");
}
