//! Refusals in Entra's words.

use http::StatusCode;
use serde_json::{Value, json};

use crate::canary;
use crate::wire::Reply;

/// An `error`, an AADSTS code, and what is said of it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    error: &'static str,
    code: u64,
    words: String,
    suberror: Option<&'static str>,
    claims: Option<String>,
}

impl Refusal {
    pub(super) fn new(error: &'static str, code: u64, words: impl Into<String>) -> Self {
        Self { error, code, words: words.into(), suberror: None, claims: None }
    }

    /// Nobody consented.
    pub(super) fn consent(application: &str) -> Self {
        let words = format!(
            "The user or administrator has not consented to use the application with ID '{application}'. Send an \
             interactive authorization request for this user and resource."
        );
        Self { suberror: Some("consent_required"), ..Self::new("invalid_grant", 65001, words) }
    }

    /// The API is for those only who were assigned to it.
    pub(super) fn unassigned(user: &str, api: &str) -> Self {
        let words = format!(
            "Your administrator has configured the application '{api}' to block users unless they are specifically \
             granted ('assigned') access to the application. The signed in user '{user}' is blocked because they are \
             not a direct member of a group with access, nor had access directly assigned by an administrator. Please \
             contact your administrator to assign access to this application."
        );
        Self::new("invalid_grant", 50105, words)
    }

    /// A login with this authentication context is wanted.
    pub(super) fn context(api: &str, context: &str) -> Self {
        let claims = json!({ "access_token": { "acrs": { "essential": true, "value": context } } });
        let words = format!(
            "Due to a configuration change made by your administrator, or because you moved to a new location, you \
             must use multi-factor authentication to access '{api}'."
        );
        Self {
            claims: Some(claims.to_string()),
            suberror: Some("basic_action"),
            ..Self::new("interaction_required", 50076, words)
        }
    }

    pub(super) fn reply(&self) -> Reply {
        let (trace, correlation) = (canary::random_hex(), canary::random_hex());
        let mut body = json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: 2026-11-22 10:00:00Z",
                self.code, self.words
            ),
            "error_codes": [self.code],
            "timestamp": "2026-11-22 10:00:00Z",
            "trace_id": trace,
            "correlation_id": correlation,
        });
        let mut more = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body[name] = value;
            }
        };
        more("suberror", self.suberror.map(Value::from));
        more("claims", self.claims.clone().map(Value::from));
        let status = match self.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        Reply::json(status, &body).header("cache-control", "no-store, no-cache")
    }
}
