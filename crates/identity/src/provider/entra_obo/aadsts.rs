//! What Entra's error codes mean, where they say more than `error` does. A code that is not here is classified by
//! `error` alone; Microsoft may change them at any time.

use crate::provider::ExchangeError;
use crate::provider::classify::Refusal;

/// What is to be done about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The caller's token: expired, revoked, not for this application.
    Subject,
    /// The caller may not: not assigned, blocked, disabled; or what is asked for does not exist.
    Denied,
    /// Nobody has consented.
    Consent,
    /// Another login is wanted: a second factor, a compliant device.
    Login,
    /// This application's own proof or registration.
    Client,
    /// The assertion that this application proves itself with has ended.
    StaleProof,
    /// A federated credential that was made a moment ago.
    NotKnownYet,
    /// Something at Microsoft.
    Transient,
}

const TABLE: &[(Class, &[u64])] = &[
    (
        Class::Subject,
        &[
            50013, 500_131, 500_133, 50027, 50055, 50058, 50089, 50132, 50133, 50173, 70008, 70043, 700_082,
            700_084,
        ],
    ),
    (
        Class::Denied,
        &[
            16000, 50001, 500_011, 50020, 50034, 50057, 50105, 53003, 530_034, 530_035, 53011, 65002, 65005,
            650_052, 650_054, 650_056, 650_057, 70011,
        ],
    ),
    (Class::Consent, &[65001, 65004, 90094]),
    (
        Class::Login,
        &[
            50005, 50072, 50074, 50076, 50078, 50079, 50097, 50129, 50131, 50158, 53000, 53001, 53002, 53004,
            53010,
        ],
    ),
    (
        Class::Client,
        &[
            50012, 50048, 50194, 70001, 700_011, 700_016, 70002, 700_025, 700_027, 700_030, 700_212,
            7_000_112, 7_000_215, 7_000_218, 7_000_222, 90002,
        ],
    ),
    (Class::StaleProof, &[700_024]),
    (Class::NotKnownYet, &[70021, 700_211, 700_213]),
    (Class::Transient, &[50033, 50087, 50088, 50166, 90006, 90024, 90033]),
];

/// The class of the first code that is known.
pub(super) fn class(codes: &[u64]) -> Option<Class> {
    codes
        .iter()
        .find_map(|code| TABLE.iter().find(|(_, known)| known.contains(code)).map(|(class, _)| *class))
}

/// What a refusal means.
pub(super) fn classified(refusal: &Refusal, consent_page: Option<&str>) -> ExchangeError {
    let (answer, codes) = (&refusal.answer, refusal.answer.codes());
    let error = named(answer.error().as_deref().unwrap_or("refused"), codes);
    // A throttle is a throttle, whatever it calls itself.
    if refusal.status == 429 {
        return refusal.classified();
    }
    // With claims in it, a new login that has them mends it, whatever the code is.
    if answer.wants_claims() {
        return answer.step_up();
    }
    let consent = || match consent_page {
        Some(page) => ExchangeError::Interaction { url: page.into() },
        None => ExchangeError::Denied { error: named("consent_required", codes) },
    };
    if answer.suberror() == Some("consent_required") {
        return consent();
    }
    match class(codes) {
        Some(Class::Subject) => ExchangeError::SubjectRefused { error },
        Some(Class::Denied) => ExchangeError::Denied { error },
        Some(Class::Consent) => consent(),
        Some(Class::Login) => answer.step_up(),
        Some(Class::Client | Class::StaleProof | Class::NotKnownYet) => {
            ExchangeError::ClientRefused { error }
        }
        Some(Class::Transient) => {
            ExchangeError::Unavailable { retry_after: refusal.retry_after, problem: error }
        }
        // A protocol error (RFC 6749 §5.2), not RFC 8693's word for a bad subject.
        None if answer.error().as_deref() == Some("invalid_request") => ExchangeError::Denied { error },
        None => with_code(refusal.classified(), codes),
    }
}

/// `invalid_grant AADSTS65001`: what the operator looks up.
fn named(error: &str, codes: &[u64]) -> String {
    match codes.first() {
        Some(code) => format!("{error} AADSTS{code}"),
        None => error.into(),
    }
}

fn with_code(error: ExchangeError, codes: &[u64]) -> ExchangeError {
    match error {
        ExchangeError::SubjectRefused { error } => {
            ExchangeError::SubjectRefused { error: named(&error, codes) }
        }
        ExchangeError::Denied { error } => ExchangeError::Denied { error: named(&error, codes) },
        ExchangeError::ClientRefused { error } => {
            ExchangeError::ClientRefused { error: named(&error, codes) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::answer::ErrorAnswer;

    fn refusal(status: u16, body: &str) -> Refusal {
        Refusal { status, answer: ErrorAnswer::read(body.as_bytes()), retry_after: None }
    }

    #[test]
    fn no_code_has_two_classes() {
        let mut all: Vec<u64> = TABLE.iter().flat_map(|(_, codes)| codes.iter().copied()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    /// Edge: 56, 57, 105, 107
    #[test]
    fn the_code_decides_before_the_error_and_stands_beside_it() {
        for (error, code, expected) in [
            ("invalid_grant", 50013, "subject_refused"),
            ("invalid_grant", 500_131, "subject_refused"),
            ("invalid_grant", 500_133, "subject_refused"),
            ("invalid_grant", 65001, "denied"),
            ("invalid_grant", 50105, "denied"),
            ("invalid_grant", 50076, "step_up"),
            ("interaction_required", 50079, "step_up"),
            ("invalid_client", 7_000_215, "client_refused"),
            ("invalid_client", 7_000_222, "client_refused"),
            ("invalid_client", 700_024, "client_refused"),
            ("invalid_request", 70021, "client_refused"),
            ("invalid_request", 700_213, "client_refused"),
            ("invalid_client", 700_212, "client_refused"),
            ("invalid_grant", 50033, "unavailable"),
            ("invalid_scope", 70011, "denied"),
            ("invalid_request", 900_144, "denied"),
            ("invalid_grant", 1, "subject_refused"),
            ("invalid_resource", 1, "denied"),
        ] {
            let body = format!(r#"{{"error":"{error}","error_codes":[{code}]}}"#);
            let found = classified(&refusal(400, &body), None);
            assert_eq!(found.class(), expected, "{error} {code}");
            if !matches!(found, ExchangeError::StepUp { .. }) {
                assert!(found.to_string().contains(&format!("AADSTS{code}")), "{found}");
            }
        }
    }

    /// Edge: 57
    #[test]
    fn claims_are_a_challenge_to_the_caller_whatever_the_code() {
        let body = r#"{"error":"invalid_grant","error_codes":[53003],"claims":"{\"access_token\":{}}"}"#;
        let ExchangeError::StepUp { claims, .. } = classified(&refusal(400, body), None) else { panic!() };
        assert_eq!(claims.as_deref(), Some(r#"{"access_token":{}}"#));
    }

    /// Edge: 59
    #[test]
    fn a_missing_consent_opens_the_page_that_is_configured() {
        let body = r#"{"error":"invalid_grant","error_codes":[1],"suberror":"consent_required"}"#;
        let page = "https://apps.example.com/consent";
        let error = classified(&refusal(400, body), Some(page));
        assert_eq!(error, ExchangeError::Interaction { url: page.into() });
        assert_eq!(classified(&refusal(400, body), None).class(), "denied");
    }

    /// Edge: 49
    #[test]
    fn a_throttle_is_a_throttle_with_any_code() {
        let body = r#"{"error":"invalid_grant","error_codes":[50196]}"#;
        assert_eq!(classified(&refusal(429, body), None).class(), "unavailable");
    }
}
