//! One request, one record.
use safeconduct_core::audit::Trail;

fn copy(trail: &Trail) -> Trail {
    trail.clone()
}

fn main() {}
