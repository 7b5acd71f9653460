//! The moves consume: one decision, one call.
use safeconduct_core::credential::Credential;
use safeconduct_core::path::{Authorized, Outbound};

fn twice(authorized: Authorized, credential: Credential) -> (Outbound, Outbound) {
    (authorized.with(credential.clone()), authorized.with(credential))
}

fn main() {}
