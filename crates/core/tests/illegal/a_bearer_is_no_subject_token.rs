//! A token can be presented to a token endpoint only after it was verified.
use safeconduct_core::caller::{Bearer, SubjectToken};

fn unverified(bearer: Bearer) -> SubjectToken {
    bearer.into_subject()
}

fn main() {}
