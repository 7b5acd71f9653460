#![no_main]
//! Configuration files: whatever stands in one, reading it ends in a plan or in problems that can be printed, and no
//! secret is in what is printed.

use safeconduct::config::{self, Surroundings};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if names_a_place(text) {
        return;
    }
    let surroundings = Surroundings {
        variable: Box::new(|_| Some("CANARY-0f4b1c".into())),
        directory: "/nonexistent".into(),
        lock: "/nonexistent/safeconduct.lock".into(),
    };
    let loaded = config::read("safeconduct.yaml", text, &surroundings);
    assert!(loaded.plan.is_some() || loaded.report.has_errors());
    assert!(text.contains("CANARY-0f4b1c") || !loaded.report.text(false).contains("CANARY-0f4b1c"));
});

/// Absolute paths and the keyring are left alone: a fuzzer has no business with what is on this machine.
fn names_a_place(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.windows(2).enumerate().any(|(at, pair)| {
        let starts = at == 0 || !bytes[at - 1].is_ascii_alphanumeric() && bytes[at - 1] != b'/' && bytes[at - 1] != b'.';
        pair[0] == b'/' && pair[1] != b'/' && starts
    }) || text.contains("..") || text.contains("keyring:")
}
