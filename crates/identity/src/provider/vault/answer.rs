//! What the vault says.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::provider::answer::TokenText;
use crate::provider::pick::Members;
use crate::provider::said::{masked, note};
use crate::provider::{ExchangeError, oauth::bad};
use safeconduct_core::secret::Secret;

/// A login's answer.
pub(super) struct Entered {
    pub(super) token: Secret,
    pub(super) lasting: Duration,
    pub(super) renewable: bool,
}

/// A secret's answer.
pub(super) struct Found {
    pub(super) members: Members,
    /// What was made for this reading, and ends.
    pub(super) lease: Option<Lease>,
    /// How long a secret without a lease is worth keeping.
    pub(super) hint: Option<Duration>,
}

/// A lease.
pub(super) struct Lease {
    pub(super) id: Box<str>,
    pub(super) lasting: Duration,
    pub(super) renewable: bool,
}

#[derive(Deserialize)]
struct LoginAnswer {
    auth: Option<Auth>,
}

#[derive(Deserialize)]
struct Auth {
    client_token: TokenText,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

#[derive(Deserialize)]
struct SecretAnswer<'a> {
    #[serde(default)]
    lease_id: String,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The key-value engine's second version has its secret one level deeper, beside what it knows of it.
#[derive(Deserialize)]
struct Versioned<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(rename = "metadata")]
    _metadata: IgnoredAny,
}

/// Reads a login's answer, or a renewed one.
pub(super) fn login(body: &[u8]) -> Result<Entered, ExchangeError> {
    let answer: LoginAnswer = read(body)?;
    let auth = answer.auth.ok_or_else(|| bad("the login gave no token"))?;
    if auth.client_token.0.is_empty() {
        return Err(bad("the login gave no token"));
    }
    Ok(Entered {
        token: auth.client_token.0,
        lasting: lasting(auth.lease_duration),
        renewable: auth.renewable,
    })
}

/// Reads a secret's answer.
pub(super) fn secret(body: &[u8]) -> Result<Found, ExchangeError> {
    let answer: SecretAnswer<'_> = read(body)?;
    let data = answer.data.ok_or_else(|| bad("there is no data at this path"))?;
    let inner = serde_json::from_str::<Versioned<'_>>(data.get()).map_or(data, |versioned| versioned.data);
    // A version that was deleted is null.
    let members =
        serde_json::from_str(inner.get()).map_err(|_| bad("there is no object of secrets at this path"))?;
    let lasting = lasting(answer.lease_duration);
    let lease = (!answer.lease_id.is_empty()).then(|| Lease {
        id: answer.lease_id.into(),
        lasting,
        renewable: answer.renewable,
    });
    let hint = (lease.is_none() && !lasting.is_zero()).then_some(lasting);
    Ok(Found { members, lease, hint })
}

/// Reads the answer to a renewed lease.
pub(super) fn lease(body: &[u8]) -> Result<Lease, ExchangeError> {
    let answer: SecretAnswer<'_> = read(body)?;
    let lasting = lasting(answer.lease_duration);
    Ok(Lease { id: answer.lease_id.into(), lasting, renewable: answer.renewable })
}

/// Seconds as the vault counts them; what is longer than anything lasts is cut, so that it can be reckoned with.
fn lasting(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(10 * 365 * 86_400))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ExchangeError> {
    serde_json::from_slice(body).map_err(|_| bad("the vault's answer is not what its API says"))
}

/// A refusal.
pub(super) struct Refused {
    status: u16,
    /// The first error, for the operator.
    error: String,
    retry_after: Option<Duration>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Errors {
    errors: Vec<String>,
}

/// Sentences of a refused login that are about the token itself.
const OF_TOKEN: [&str; 5] = [
    "error validating token",
    "error verifying token",
    "error parsing token",
    "token is expired",
    "audience claim found in JWT",
];

impl Refused {
    pub(super) fn new(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let errors: Errors = serde_json::from_slice(body).unwrap_or_default();
        errors.errors.iter().for_each(|error| note(error));
        let error = errors.errors.first().map(|error| masked(error, 160)).unwrap_or_default();
        Self { status, error, retry_after }
    }

    /// Of a login: the status says nothing (400 for all), the sentence does.
    pub(super) fn of_login(self) -> ExchangeError {
        if let Some(down) = self.down() {
            return down;
        }
        let of_token = OF_TOKEN.iter().any(|sentence| self.error.contains(sentence));
        match of_token {
            true => ExchangeError::SubjectRefused { error: self.words() },
            false => ExchangeError::Denied { error: self.words() },
        }
    }

    /// Of a secret: 403 for what may not be read, 404 for what is not there.
    pub(super) fn of_read(self) -> ExchangeError {
        self.down().unwrap_or_else(|| ExchangeError::Denied { error: self.words() })
    }

    /// Sealed (503), throttled (429), a standby that must not answer (472, 473), one that is behind (412), broken.
    pub(super) fn down(&self) -> Option<ExchangeError> {
        let down = matches!(self.status, 408 | 412 | 429 | 472 | 473 | 500..);
        down.then(|| ExchangeError::Unavailable { retry_after: self.retry_after, problem: self.words() })
    }

    fn words(&self) -> String {
        format!("status {} {}", self.status, self.error).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_login_is_classified_by_its_sentence() {
        for (status, error, expected) in [
            (
                400,
                "error validating token: invalid expiration time (exp) claim: token is expired",
                "subject_refused",
            ),
            (400, "error validating token: error verifying token signature: no known key", "subject_refused"),
            (400, "error validating token: invalid audience (aud) claim", "subject_refused"),
            (400, "audience claim found in JWT but no audiences bound to the role", "subject_refused"),
            (400, "role \\\"nobody\\\" could not be found", "denied"),
            (
                400,
                "error validating claims: claim \\\"groups\\\" does not match any bound claim values",
                "denied",
            ),
            (400, "claim \\\"email\\\" not found in token", "denied"),
            (400, "could not load configuration", "denied"),
            (403, "permission denied", "denied"),
            (503, "Vault is sealed", "unavailable"),
            (429, "request path matched a rate limit quota", "unavailable"),
            (473, "", "unavailable"),
        ] {
            let body = format!(r#"{{"errors":["{error}"]}}"#);
            assert_eq!(Refused::new(status, body.as_bytes(), None).of_login().class(), expected, "{error}");
        }
        assert_eq!(Refused::new(400, b"<html>", None).of_login().class(), "denied");
        assert_eq!(Refused::new(404, br#"{"errors":[]}"#, None).of_read().class(), "denied");
    }

    #[test]
    fn both_versions_of_the_key_value_engine_and_leases_are_read() {
        let found = secret(br#"{"lease_id":"","lease_duration":2764800,"data":{"key":"v"}}"#).unwrap();
        assert_eq!(found.hint, Some(Duration::from_secs(2_764_800)));
        assert!(found.lease.is_none());
        let body =
            br#"{"lease_id":"","lease_duration":0,"data":{"data":{"key":"v"},"metadata":{"version":3}}}"#;
        let found = secret(body).unwrap();
        assert!(found.hint.is_none());
        assert!(crate::provider::Pick::Member("key".into()).from(&found.members).is_ok());
        let body = br#"{"lease_id":"database/creds/r/1","lease_duration":60,"renewable":true,"data":{"username":"u","password":"p"}}"#;
        let lease = secret(body).unwrap().lease.unwrap();
        assert_eq!((&*lease.id, lease.lasting.as_secs(), lease.renewable), ("database/creds/r/1", 60, true));
        for nothing in
            [&br#"{"data":null}"#[..], br#"{"data":{"data":null,"metadata":{}}}"#, b"{}", b"[]", b""]
        {
            assert!(secret(nothing).is_err());
        }
    }
}
