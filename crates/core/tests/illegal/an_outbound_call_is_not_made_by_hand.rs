//! Only `Authorized::with` makes a call that leaves.
use safeconduct_core::credential::Credential;
use safeconduct_core::path::{Authorized, Outbound};

fn forge(authorized: Authorized, credential: Credential) -> Outbound {
    Outbound { authorized, credential }
}

fn main() {}
