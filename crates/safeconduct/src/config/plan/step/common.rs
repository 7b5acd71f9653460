//! What all steps at an OAuth token endpoint are told, whichever grant it is.

use std::time::Duration;

use crate::config::plan::{BroaderScope, IssuedAudience};

/// Where a step asks, as whom, and how long it waits.
#[derive(Clone, Debug)]
pub struct AtPlan {
    /// Token endpoint.
    pub token_endpoint: String,
    /// Name of the client that asks, in [`Plan::clients`](crate::config::Plan::clients); None: no client
    /// authentication.
    pub client: Option<String>,
    /// Longest use of an issued token.
    pub max_lifetime: Option<Duration>,
    /// How long a refused caller is not asked for again; None: as usual.
    pub pause_after_refusal: Option<Duration>,
    /// Longest wait for one attempt.
    pub attempt_timeout: Duration,
    /// Longest wait, retries included.
    pub timeout: Duration,
    /// Whether plain http is accepted beyond loopback.
    pub allow_http: bool,
}

/// What a token is asked for. Texts may hold templates (`{subject}`).
#[derive(Clone, Debug, Default)]
pub struct TargetsPlan {
    /// `audience` parameters.
    pub audiences: Vec<String>,
    /// `resource` parameters.
    pub resources: Vec<String>,
    /// Scopes asked for.
    pub scopes: Vec<String>,
    /// More parameters.
    pub parameters: Vec<(String, String)>,
}

/// What an issued token must be like.
#[derive(Clone, Debug)]
pub struct ExpectedPlan {
    /// How an issued JWT's `aud` is checked.
    pub issued_audience: IssuedAudience,
    /// The `aud` expected, where it is not what is asked for; empty: what is asked for.
    pub expected_audience: Vec<String>,
    /// What happens to a token with more scopes.
    pub broader_scope: BroaderScope,
}
