//! `exchange`.

use std::sync::Arc;

use super::{AtPlan, ExpectedPlan, PickPlan, TargetsPlan};
use crate::config::plan::{IssuedType, SecretValue};

/// Token exchange (RFC 8693).
#[derive(Clone, Debug)]
pub struct ExchangePlan {
    /// Where, and as whom.
    pub at: AtPlan,
    /// What for.
    pub targets: TargetsPlan,
    /// `subject_token_type`, a URI.
    pub subject_token_type: String,
    /// `requested_token_type`, a URI; None: not sent.
    pub requested_token_type: Option<String>,
    /// Who acts for the subject.
    pub actor: Option<ActorPlan>,
    /// Whether `issued_token_type` may be missing.
    pub issued_token_type: IssuedType,
    /// What else of an issued token is checked.
    pub expected: ExpectedPlan,
    /// Which member of an object in place of a token is the credential.
    pub pick: Option<PickPlan>,
}

/// An actor token, and its type, a URI.
#[derive(Clone, Debug)]
pub enum ActorPlan {
    /// By reference.
    Configured(Arc<SecretValue>, String),
    /// What the step before gave; the subject is the caller's own token.
    Step(String),
}
