//! `google_sts`, `google_impersonate`, `google_id_token`.

use std::time::Duration;

use super::{AtPlan, TargetsPlan};

/// A federated token of Google.
#[derive(Clone, Debug)]
pub struct GoogleStsPlan {
    /// Where, and as whom.
    pub at: AtPlan,
    /// The provider of the pool, and the scopes.
    pub targets: TargetsPlan,
    /// `subject_token_type`, a URI.
    pub subject_token_type: String,
    /// Project that quota goes to.
    pub user_project: Option<String>,
    /// What the token is narrowed to; empty: nothing.
    pub access_boundary: Vec<BoundaryPlan>,
}

/// What a narrowed token may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundaryPlan {
    /// Resource.
    pub resource: String,
    /// Permissions.
    pub permissions: Vec<String>,
    /// CEL.
    pub condition: Option<String>,
}

/// Whom to impersonate, and where.
#[derive(Clone, Debug)]
pub struct ServiceAccountPlan {
    /// Base of the IAM Credentials API.
    pub endpoint: String,
    /// The account; may hold templates.
    pub account: String,
    /// Accounts on the way.
    pub delegates: Vec<String>,
    /// Longest use of an issued token.
    pub max_lifetime: Option<Duration>,
    /// Longest wait for one attempt.
    pub attempt_timeout: Duration,
    /// Longest wait, retries included.
    pub timeout: Duration,
    /// Whether plain http is accepted beyond loopback.
    pub allow_http: bool,
}

/// A service account's access token.
#[derive(Clone, Debug)]
pub struct GoogleImpersonatePlan {
    /// Whom, and where.
    pub at: ServiceAccountPlan,
    /// Scopes.
    pub scopes: Vec<String>,
    /// Life.
    pub lifetime: Duration,
}

/// A service account's ID token.
#[derive(Clone, Debug)]
pub struct GoogleIdTokenPlan {
    /// Whom, and where.
    pub at: ServiceAccountPlan,
    /// Whom it is for; may hold templates.
    pub audience: String,
    /// Whether the address stands in it.
    pub include_email: bool,
}
