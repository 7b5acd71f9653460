//! What Google's refusals mean.

use std::time::Duration;

use serde::Deserialize;

use crate::provider::{ExchangeError, said};

/// The word of [`ExchangeError::Unavailable`] when Google could not reach the issuer.
pub(in crate::provider) const ISSUER: &str = "Google could not reach the token's issuer";

/// Whether it is that.
pub(super) fn is_issuer(problem: &str) -> bool {
    problem == ISSUER
}

/// The body of a refusal of Google's APIs (google.rpc.Status as JSON).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    status: String,
    message: String,
}

/// Classifies a refusal of the IAM Credentials API.
pub(super) fn classify(status: u16, body: &[u8], retry_after: Option<Duration>) -> ExchangeError {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let error = word(&refusal.error.status, status);
    if !refusal.error.message.is_empty() {
        said::note(&refusal.error.message);
        tracing::info!(status, message = %said::masked(&refusal.error.message, 256), "Google says");
    }
    match status {
        408 | 429 | 500.. => {
            ExchangeError::Unavailable { retry_after, problem: format!("status {status} {error}") }
        }
        // The federated token is no longer good: it is bought again, once.
        401 => ExchangeError::SubjectRefused { error },
        403 | 404 => ExchangeError::Denied { error },
        _ => ExchangeError::BadAnswer { problem: format!("status {status} {error}") },
    }
}

fn word(status: &str, number: u16) -> String {
    let plain: String = status.chars().filter(char::is_ascii_graphic).take(64).collect();
    if plain.is_empty() { format!("status {number}") } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_permission_is_a_denial_and_an_ended_token_is_the_subjects() {
        let denied = br#"{"error":{"code":403,"message":"Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).","status":"PERMISSION_DENIED"}}"#;
        assert_eq!(classify(403, denied, None), ExchangeError::Denied { error: "PERMISSION_DENIED".into() });
        let ended = br#"{"error":{"code":401,"status":"UNAUTHENTICATED"}}"#;
        assert_eq!(
            classify(401, ended, None),
            ExchangeError::SubjectRefused { error: "UNAUTHENTICATED".into() }
        );
        assert_eq!(classify(503, b"<html>", None).class(), "unavailable");
        assert_eq!(classify(400, b"[]", None).class(), "bad_answer");
    }
}
