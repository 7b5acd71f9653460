//! The record is closed by value.
use safeconduct_core::audit::Trail;

fn twice(trail: Trail) {
    trail.answered(1);
    trail.answered(2);
}

fn main() {}
