//! Opaque tokens: asks the issuer about them (RFC 7662). Answers are kept for a while, refusals too.

mod desk;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use safeconduct_core::caller::{
    Bearer, IssuerRules, TokenDigest, TokenProblem, Verified, verify_introspection,
};
use safeconduct_core::credential::Form;
use safeconduct_core::refusal::Reason;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;

use crate::client_auth::{ClientAuth, ClientAuthError, Errand};
use crate::wire::{Endpoint, Retry, Wire, WireError};
use desk::Desk;

/// Longest time that an answer is believed without asking again.
pub const LONGEST: Duration = Duration::from_secs(60);
/// Time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How one issuer is asked.
pub struct Introspection {
    questions: Arc<Questions>,
    cache: Duration,
    desk: Arc<Desk>,
}

struct Questions {
    endpoint: Endpoint,
    client: Arc<dyn ClientAuth>,
    wire: Wire,
}

impl Introspection {
    /// Asks at this endpoint as this client (it must be protected, RFC 7662 §2.1), and believes an answer for `cache`,
    /// or for [`LONGEST`] if that is shorter.
    pub fn new(endpoint: Endpoint, client: Arc<dyn ClientAuth>, cache: Duration, wire: Wire) -> Self {
        let questions = Arc::new(Questions { endpoint, client, wire });
        Self { questions, cache: cache.min(LONGEST), desk: Arc::default() }
    }

    /// How long an answer is believed.
    pub fn cache(&self) -> Duration {
        self.cache
    }

    /// What an earlier answer depends on besides the token: where it came from, and whom it was given to.
    pub(crate) fn identity(&self) -> String {
        let Questions { endpoint, client, .. } = &*self.questions;
        format!("{endpoint} {:?} {} {:?}", client.client_id(), client.method(), self.cache)
    }

    /// Asks about a token. Callers who ask about the same one at the same time share the question; it goes on when
    /// one of them leaves.
    ///
    /// # Errors
    /// [`Asked`].
    pub async fn ask(
        &self,
        bearer: &Bearer,
        digest: &TokenDigest,
        rules: &IssuerRules,
        now: Timestamp,
    ) -> Result<Verified, Asked> {
        let questions = self.questions.clone();
        let answer = self.desk.answer(digest, &self.questions.wire, |retry| {
            let token = Secret::new(bearer.expose_for_verification().to_vec());
            async move { questions.ask(&token, retry, now).await }
        });
        let answer = answer.await.map_err(Asked::Unavailable)?;
        verify_introspection(bearer, &answer, rules, now).map_err(|problem| match problem {
            // The answer is what is malformed, not the token: the caller can do nothing about it.
            TokenProblem::Malformed(_) => Asked::Unavailable(Failed::of(format_args!(
                "{}: the introspection answer is not a JSON object",
                self.questions.endpoint
            ))),
            problem => Asked::Refused(problem),
        })
    }
}

impl Questions {
    async fn ask(&self, token: &Secret, retry: Retry, now: Timestamp) -> Result<Bytes, Failed> {
        let errand = Errand { client: &*self.client, endpoint: &self.endpoint, retry, timeout: ATTEMPT, now };
        let answer = errand.inquire::<Failed>(&self.wire, || Ok(form(token))).await?;
        if answer.status.is_success() && answer.is_json() {
            return Ok(answer.body);
        }
        let status = answer.status.as_u16();
        let why = Failed::of(format_args!("{}: HTTP {status}, not an introspection answer", self.endpoint));
        // Another status may be the token's doing, and a caller must not be able to keep others from being asked about.
        Err(if matches!(status, 429 | 502 | 503 | 504) { why.down() } else { why })
    }
}

fn form(token: &Secret) -> Form {
    let mut form = Form::new();
    form.secret("token", token).field("token_type_hint", "access_token");
    form
}

/// Why a token is not believed.
pub enum Asked {
    /// The issuer says no, or something that is not believed.
    Refused(TokenProblem),
    /// The issuer says nothing.
    Unavailable(Failed),
}

/// There is no usable answer. The text is the operator's.
#[derive(Clone)]
pub struct Failed {
    why: Arc<str>,
    /// The endpoint is not to be had at all, whatever it is asked.
    down: bool,
}

impl Failed {
    fn of(why: impl std::fmt::Display) -> Self {
        Self { why: why.to_string().into(), down: false }
    }

    fn down(self) -> Self {
        Self { down: true, ..self }
    }
}

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self::of(error).down()
    }
}

impl From<ClientAuthError> for Failed {
    fn from(error: ClientAuthError) -> Self {
        Self::of(error)
    }
}

impl From<Failed> for Reason {
    fn from(failed: Failed) -> Self {
        Self::IssuerUnavailable(failed.why.to_string())
    }
}

impl From<Asked> for Reason {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Refused(problem) => problem.into(),
            Asked::Unavailable(failed) => failed.into(),
        }
    }
}
