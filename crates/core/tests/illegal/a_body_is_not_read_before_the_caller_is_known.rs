//! The body is admitted by an authenticated call; one that only arrived has no way to.
use bytes::Bytes;
use safeconduct_core::mcp::door::Door;
use safeconduct_core::path::Arrived;

fn read_early(arrived: Arrived, body: Bytes, door: &Door) {
    let _ = arrived.admit(body, door);
}

fn main() {}
