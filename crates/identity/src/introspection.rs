//! Opaque tokens: asks the issuer about them (RFC 7662). Answers are kept for a while, refusals too.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use safeconduct_core::caller::{Bearer, IssuerRules, TokenProblem, Verified, verify_introspection};
use safeconduct_core::credential::Form;
use safeconduct_core::refusal::Reason;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;

use crate::client_auth::ClientAuth;
use crate::wire::{Endpoint, Request, Retry, Wire, WireError};

/// Longest time that an answer is believed without asking again.
pub const LONGEST: Duration = Duration::from_secs(60);

/// How one issuer is asked.
pub struct Introspection {
    /// Introspection endpoint.
    pub endpoint: Endpoint,
    /// Who asks; the endpoint must be protected (RFC 7662 §2.1).
    pub client: Arc<dyn ClientAuth>,
    /// How long an answer is believed; at most [`LONGEST`].
    pub cache: Duration,
}

impl Introspection {
    /// Asks about a token.
    ///
    /// # Errors
    /// `IssuerUnavailable` when there is no usable answer; else as [`verify_introspection`].
    pub async fn ask(
        &self,
        bearer: &Bearer,
        rules: &IssuerRules,
        wire: &Wire,
        now: Timestamp,
    ) -> Result<Verified, Asked> {
        let retry = Retry { total: Duration::from_secs(8), ..Retry::default() };
        let token = Secret::new(bearer.expose_for_verification().to_vec());
        let answer =
            wire.send_retrying(retry, || self.request(&token, now)).await.map_err(Asked::Unavailable)?;
        if !answer.status.is_success() || !answer.is_json() {
            let why =
                format!("{}: HTTP {}, not an introspection answer", self.endpoint, answer.status.as_u16());
            return Err(Asked::Unavailable(Failed(why)));
        }
        verify_introspection(bearer, &answer.body, rules, now).map_err(|problem| match problem {
            // The answer is what is malformed, not the token: the caller can do nothing about it.
            TokenProblem::Malformed(_) => Asked::Unavailable(Failed(format!(
                "{}: the introspection answer is not a JSON object",
                self.endpoint
            ))),
            problem => Asked::Refused(problem),
        })
    }

    fn request(&self, token: &Secret, now: Timestamp) -> Result<Request, Failed> {
        let mut form = Form::new();
        form.secret("token", token).field("token_type_hint", "access_token");
        let mut headers = HeaderMap::new();
        self.client
            .apply(&mut form, &mut headers, &self.endpoint.to_string(), now)
            .map_err(|error| Failed(error.to_string()))?;
        let mut request = Request::form(self.endpoint.clone(), form);
        request.headers.extend(headers);
        Ok(request)
    }
}

/// Why a token is not believed.
pub enum Asked {
    /// The issuer says no, or something that is not believed.
    Refused(TokenProblem),
    /// The issuer says nothing.
    Unavailable(Failed),
}

/// There is no usable answer. The text is the operator's.
pub struct Failed(String);

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self(error.to_string())
    }
}

impl From<Asked> for Reason {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Refused(problem) => problem.into(),
            Asked::Unavailable(Failed(why)) => Self::IssuerUnavailable(why),
        }
    }
}
