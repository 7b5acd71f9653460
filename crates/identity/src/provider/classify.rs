//! What a refusal of a token endpoint means: by its `error` first, by the status only where there is none.
//! (RFC 6749 §5.2, RFC 8693 §2.2.2, RFC 9470, and what servers really send.)

use std::time::Duration;

use safeconduct_core::refusal::{Reason, is_page};
use thiserror::Error;

use super::answer::ErrorAnswer;
use super::google::ISSUER;
use super::said;
use crate::client_auth::ClientAuthError;
use crate::template::MissingClaim;
use crate::wire::WireError;

/// Why a step gave nothing. Texts are the operator's; none holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExchangeError {
    /// The subject token is expired, revoked or not acceptable.
    #[error("the token endpoint refuses the subject token: {error}")]
    SubjectRefused {
        /// `error` of the answer.
        error: String,
    },
    /// This caller may not have this target.
    #[error("the token endpoint denies the exchange: {error}")]
    Denied {
        /// `error` of the answer.
        error: String,
    },
    /// A better login is wanted.
    #[error("the token endpoint wants a better login")]
    StepUp {
        /// `acr_values` to ask for.
        acr_values: Option<String>,
        /// `max_age` in seconds.
        max_age: Option<u64>,
        /// `claims`, JSON.
        claims: Option<String>,
    },
    /// The user has to open a page.
    #[error("the token endpoint wants the user to open a page")]
    Interaction {
        /// The page, https.
        url: String,
    },
    /// This program's own client is refused.
    #[error("the token endpoint refuses this client: {error}")]
    ClientRefused {
        /// `error` of the answer.
        error: String,
    },
    /// The step cannot be as it is configured, says the endpoint.
    #[error("the token endpoint says that this step is wrong: {error}")]
    Misconfigured {
        /// The provider's word for it.
        error: String,
    },
    /// An answer that cannot be used.
    #[error("the token endpoint's answer cannot be used: {problem}")]
    BadAnswer {
        /// What is wrong with it.
        problem: String,
    },
    /// Down, too slow, or throttling.
    #[error("the token endpoint is not available: {problem}")]
    Unavailable {
        /// When to try again, as far as is known.
        retry_after: Option<Duration>,
        /// What was seen.
        problem: String,
    },
    /// It was asked, and what came of it is not known: what it was given may be used up.
    #[error("the token endpoint is not available: {problem}")]
    Lost {
        /// What was seen.
        problem: String,
    },
    /// The caller's token lacks what the configuration needs of it.
    #[error(transparent)]
    MissingClaim(#[from] MissingClaim),
}

impl ExchangeError {
    /// A word for the metric label.
    pub fn class(&self) -> &'static str {
        match self {
            Self::SubjectRefused { .. } => "subject_refused",
            Self::Denied { .. } => "denied",
            Self::StepUp { .. } => "step_up",
            Self::Interaction { .. } => "interaction",
            Self::ClientRefused { .. } => "client_refused",
            Self::Misconfigured { .. } => "misconfigured",
            Self::BadAnswer { .. } => "bad_answer",
            Self::Unavailable { .. } | Self::Lost { .. } => "unavailable",
            Self::MissingClaim(_) => "missing_claim",
        }
    }

    /// How long the same question gets the same answer without being asked again. None for what says nothing
    /// of the question (the endpoint is down: the breaker's business; this client is refused: the endpoint's).
    pub fn remembered(&self) -> Option<Duration> {
        match self {
            Self::SubjectRefused { .. } | Self::Denied { .. } | Self::Misconfigured { .. } => {
                Some(Duration::from_secs(15))
            }
            Self::StepUp { .. } | Self::Interaction { .. } | Self::BadAnswer { .. } => {
                Some(Duration::from_secs(5))
            }
            Self::ClientRefused { .. }
            | Self::Unavailable { .. }
            | Self::Lost { .. }
            | Self::MissingClaim(_) => None,
        }
    }

    /// The same of something that was asked for in this program's own name: no login of the caller's mends it.
    #[must_use]
    pub fn in_own_name(self) -> Self {
        match self {
            Self::SubjectRefused { error } => Self::Denied { error },
            Self::StepUp { .. } => Self::Denied { error: "step_up".into() },
            Self::Interaction { .. } => Self::Denied { error: "interaction_required".into() },
            other => other,
        }
    }

    /// The reason of the refused call; `step` says where in the chain.
    pub fn into_reason(self, step: &str) -> Reason {
        let step = step.to_owned();
        match self {
            Self::SubjectRefused { error } => Reason::SubjectRefused { step, error },
            Self::Denied { error } => Reason::ExchangeDenied { step, error },
            Self::StepUp { acr_values, max_age, claims } => {
                Reason::StepUpRequired { acr_values, max_age, claims }
            }
            Self::Interaction { url } if is_page(&url) => Reason::InteractionRequired { step, url },
            // Nobody is sent to a page that is not safe to open.
            Self::Interaction { .. } => {
                Reason::ExchangeDenied { step, error: "interaction_required".to_owned() }
            }
            Self::ClientRefused { error } => Reason::ClientRefused { step, error },
            Self::Misconfigured { error } => Reason::StepMisconfigured { step, error },
            Self::BadAnswer { problem } => Reason::BadTokenAnswer { step, problem },
            Self::Unavailable { retry_after, .. } => Reason::TokenEndpointUnavailable { step, retry_after },
            Self::Lost { .. } => Reason::TokenEndpointUnavailable { step, retry_after: None },
            Self::MissingClaim(MissingClaim(name)) => Reason::MissingClaim(name),
        }
    }
}

impl From<WireError> for ExchangeError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Connect { .. } | WireError::ShuttingDown => {
                Self::Unavailable { retry_after: None, problem: error.to_string() }
            }
            WireError::Broken { .. } | WireError::Timeout { .. } => Self::Lost { problem: error.to_string() },
            // The endpoint knows this client by its certificate.
            WireError::CertificateRefused { .. } => {
                Self::ClientRefused { error: "certificate_refused".into() }
            }
            WireError::AddressRefused { .. }
            | WireError::Redirected { .. }
            | WireError::TooLarge { .. }
            | WireError::Encoded { .. } => Self::BadAnswer { problem: error.to_string() },
        }
    }
}

impl From<ClientAuthError> for ExchangeError {
    /// The endpoint was not asked, but it is the same to everybody: this client cannot authenticate.
    fn from(error: ClientAuthError) -> Self {
        said::note(&error.to_string());
        if let ClientAuthError::Unavailable(problem) = error {
            return Self::Unavailable { retry_after: None, problem };
        }
        tracing::error!(%error, "a client cannot authenticate");
        Self::ClientRefused { error: "client_not_usable".into() }
    }
}

/// An answer that grants nothing.
pub(super) struct Refusal {
    /// HTTP status, or 400 for an error in a 200.
    pub(super) status: u16,
    pub(super) answer: ErrorAnswer,
    pub(super) retry_after: Option<Duration>,
}

impl Refusal {
    /// What it means, where nothing is known of the server.
    pub(super) fn classified(&self) -> ExchangeError {
        classify(self.status, &self.answer, self.retry_after)
    }
}

/// Classifies an answer that grants nothing. `status` is the HTTP status, or 400 for an error in a 200.
fn classify(status: u16, answer: &ErrorAnswer, retry_after: Option<Duration>) -> ExchangeError {
    let error = answer.error();
    let unavailable = || ExchangeError::Unavailable {
        retry_after,
        problem: format!("status {status} {}", error.as_deref().unwrap_or_default()).trim_end().into(),
    };
    // A throttle is a throttle, whatever it calls itself (Auth0: `too_many_attempts`).
    if matches!(status, 408 | 425 | 429) {
        return unavailable();
    }
    // Google says `invalid_grant` when it could not fetch the keys of the token's issuer, which says nothing of the token.
    if answer.description().starts_with("Error connecting to the given credential's issuer") {
        return ExchangeError::Unavailable { retry_after, problem: ISSUER.into() };
    }
    let Some(error) = error.clone() else { return by_status(status, unavailable) };
    match error.as_str() {
        "temporarily_unavailable" | "server_error" | "slow_down" => unavailable(),
        // RFC 8693 §2.2.2: invalid_request is what a bad subject token must be answered with.
        "invalid_grant" | "invalid_request" | "invalid_token" | "expired_token" => {
            ExchangeError::SubjectRefused { error }
        }
        // Keycloak's word for a client with a wrong secret; with another status it is about the caller (Google).
        "unauthorized_client" if status == 401 => ExchangeError::ClientRefused { error },
        "login_required" if answer.page().is_none() => ExchangeError::SubjectRefused { error },
        "invalid_target"
        | "invalid_scope"
        | "access_denied"
        | "unauthorized_client"
        | "insufficient_scope" => ExchangeError::Denied { error },
        // This program's own proof (RFC 9449 §5, §8): a challenge was answered once already.
        "invalid_client" | "unsupported_grant_type" | "invalid_dpop_proof" | "use_dpop_nonce" => {
            ExchangeError::ClientRefused { error }
        }
        "insufficient_user_authentication" => answer.step_up(),
        "interaction_required" | "consent_required" | "login_required" | "account_selection_required" => {
            match answer.page() {
                Some(url) => ExchangeError::Interaction { url },
                None if error == "interaction_required" => answer.step_up(),
                None => ExchangeError::Denied { error },
            }
        }
        _ if status >= 500 => unavailable(),
        _ if status == 401 => ExchangeError::ClientRefused { error },
        _ => ExchangeError::Denied { error },
    }
}

fn by_status(status: u16, unavailable: impl Fn() -> ExchangeError) -> ExchangeError {
    let error = format!("status {status}");
    match status {
        500.. => unavailable(),
        401 => ExchangeError::ClientRefused { error },
        403 => ExchangeError::Denied { error },
        _ => ExchangeError::BadAnswer { problem: format!("{error} without an error code") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(status: u16, body: &str) -> &'static str {
        classify(status, &ErrorAnswer::read(body.as_bytes()), None).class()
    }

    /// Edge: 55, 56, 60
    #[test]
    fn the_error_code_decides_before_the_status() {
        for (status, error, expected) in [
            (400, "invalid_grant", "subject_refused"),
            (401, "invalid_grant", "subject_refused"),
            (400, "invalid_request", "subject_refused"),
            (400, "invalid_target", "denied"),
            (401, "access_denied", "denied"),
            (403, "insufficient_scope", "denied"),
            (400, "unauthorized_client", "denied"),
            (401, "unauthorized_client", "client_refused"),
            (401, "invalid_client", "client_refused"),
            (400, "unsupported_grant_type", "client_refused"),
            (400, "temporarily_unavailable", "unavailable"),
            (500, "server_error", "unavailable"),
            (429, "too_many_attempts", "unavailable"),
            (400, "something_of_its_own", "denied"),
        ] {
            assert_eq!(class(status, &format!(r#"{{"error":"{error}"}}"#)), expected, "{status} {error}");
        }
    }

    /// Edge: 55
    #[test]
    fn without_an_error_code_the_status_decides() {
        for (status, expected) in
            [(401, "client_refused"), (403, "denied"), (404, "bad_answer"), (503, "unavailable")]
        {
            assert_eq!(class(status, "<html>"), expected, "{status}");
            assert_eq!(class(status, r#"{"error":7}"#), expected, "{status}");
        }
    }

    /// Edge: 58
    #[test]
    fn a_step_up_carries_what_the_login_must_have() {
        let body = br#"{"error":"insufficient_user_authentication","acr_values":"gold","max_age":60}"#;
        let error = classify(400, &ErrorAnswer::read(body), None);
        let expected =
            ExchangeError::StepUp { acr_values: Some("gold".into()), max_age: Some(60), claims: None };
        assert_eq!(error, expected);
    }

    /// Edge: 57
    #[test]
    fn a_claims_challenge_is_a_step_up() {
        let body = br#"{"error":"interaction_required","claims":"{\"access_token\":{}}"}"#;
        let ExchangeError::StepUp { claims, .. } = classify(400, &ErrorAnswer::read(body), None) else {
            panic!()
        };
        assert_eq!(claims.as_deref(), Some(r#"{"access_token":{}}"#));
    }

    /// Edge: 59
    #[test]
    fn a_page_to_open_is_handed_on_only_when_it_is_https() {
        let with = |url: &str| {
            let body = format!(r#"{{"error":"interaction_required","interaction_uri":"{url}"}}"#);
            classify(400, &ErrorAnswer::read(body.as_bytes()), None)
        };
        assert_eq!(
            with("https://idp/consent"),
            ExchangeError::Interaction { url: "https://idp/consent".into() }
        );
        assert_eq!(with("javascript:alert(1)").class(), "step_up");
    }

    #[test]
    fn an_error_code_is_cut_and_holds_no_control_characters() {
        let body = format!(r#"{{"error":"bad\r\n{}"}}"#, "x".repeat(500));
        let ExchangeError::Denied { error } = classify(400, &ErrorAnswer::read(body.as_bytes()), None) else {
            panic!()
        };
        assert_eq!(error.len(), 64);
        assert!(error.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
