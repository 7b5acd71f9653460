//! `exchange`.

use std::sync::Arc;
use std::time::Duration;

use crate::config::plan::{BroaderScope, IssuedAudience, IssuedType, SecretValue};

/// Token exchange (RFC 8693). Texts may hold templates (`{subject}`).
#[derive(Clone, Debug)]
pub struct ExchangePlan {
    /// Token endpoint.
    pub token_endpoint: String,
    /// Name of the client that asks, in [`Plan::clients`]; None: no client authentication.
    pub client: Option<String>,
    /// `audience` parameters.
    pub audiences: Vec<String>,
    /// `resource` parameters.
    pub resources: Vec<String>,
    /// Scopes asked for.
    pub scopes: Vec<String>,
    /// `subject_token_type`, a URI.
    pub subject_token_type: String,
    /// `requested_token_type`, a URI; None: not sent.
    pub requested_token_type: Option<String>,
    /// Actor token and its type, a URI.
    pub actor: Option<(Arc<SecretValue>, String)>,
    /// Whether `issued_token_type` may be missing.
    pub issued_token_type: IssuedType,
    /// How an issued JWT's `aud` is checked.
    pub issued_audience: IssuedAudience,
    /// The `aud` expected, where it is not what is asked for; empty: what is asked for.
    pub expected_audience: Vec<String>,
    /// What happens to a token with more scopes.
    pub broader_scope: BroaderScope,
    /// More parameters.
    pub parameters: Vec<(String, String)>,
    /// Longest use of an issued token.
    pub max_lifetime: Option<Duration>,
    /// Longest wait for one attempt.
    pub attempt_timeout: Duration,
    /// Longest wait, retries included.
    pub timeout: Duration,
    /// Whether plain http is accepted beyond loopback.
    pub allow_http: bool,
}
