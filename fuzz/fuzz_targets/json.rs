#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_core::mcp::fuzzing::json(data));
