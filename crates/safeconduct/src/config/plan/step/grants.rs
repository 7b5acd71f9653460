//! `client_credentials`, `jwt_bearer`, `id_jag`.

use super::{AtPlan, ExpectedPlan, TargetsPlan};
use crate::config::plan::Deviation;

/// A token for the gateway itself (RFC 6749 §4.4).
#[derive(Clone, Debug)]
pub struct ClientCredentialsPlan {
    /// Where, and as whom.
    pub at: AtPlan,
    /// What for.
    pub targets: TargetsPlan,
    /// What of an issued token is checked.
    pub expected: ExpectedPlan,
}

/// A JWT as an authorization grant (RFC 7523).
#[derive(Clone, Debug)]
pub struct JwtBearerPlan {
    /// Where, and as whom.
    pub at: AtPlan,
    /// What for.
    pub targets: TargetsPlan,
    /// What of an issued token is checked.
    pub expected: ExpectedPlan,
    /// Whether the server takes an assertion once.
    pub single_use: bool,
}

/// An identity assertion for another domain's authorization server.
#[derive(Clone, Debug)]
pub struct IdJagPlan {
    /// Where, and as whom.
    pub at: AtPlan,
    /// What for; one audience.
    pub targets: TargetsPlan,
    /// `subject_token_type`, a URI.
    pub subject_token_type: String,
    /// Our client identifier at the other server.
    pub client_there: String,
    /// What is accepted besides what the draft says.
    pub accept: Vec<Deviation>,
}
