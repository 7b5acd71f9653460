//! Only verification says who calls.
use safeconduct_core::caller::{Principal, Verified};

fn forge(principal: Principal) -> Verified {
    Verified::new([0; 32], principal, Vec::new())
}

fn main() {}
