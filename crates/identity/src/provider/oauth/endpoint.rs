//! A token endpoint, as a step asks it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use safeconduct_core::credential::Form;
use safeconduct_core::time::Timestamp;

use crate::cache::Fields;
use crate::client_auth::{ClientAuth, Errand};
use crate::provider::answer::{ErrorAnswer, TokenAnswer};
use crate::provider::classify::Refusal;
use crate::provider::{Counterpart, Description, ExchangeError, PAUSE_AFTER_REFUSAL, said};
use crate::wire::{Answer, Endpoint, Retry, Wire, retry_after};

use super::{Targets, bad};

/// Where a step asks, as whom, and how long it waits.
pub struct TokenEndpoint {
    url: Endpoint,
    /// The URL as text.
    name: Box<str>,
    /// Who we are there.
    pub client: Arc<dyn ClientAuth>,
    /// Longest time that a token is kept, whatever the answer says.
    pub max_lifetime: Duration,
    /// How long a caller whose token was refused is not asked for again.
    pub pause_after_refusal: Duration,
    /// Time for one attempt.
    pub attempt_timeout: Duration,
    /// Time for all attempts together.
    pub total_timeout: Duration,
}

/// Whether a request may be sent again after an attempt that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Repeat {
    /// Yes: asking twice gives two tokens and harms nobody (RFC 8693).
    Safely,
    /// Not once it may have been acted upon: what it presents may be good for one use (edge case 54).
    Unsent,
}

impl TokenEndpoint {
    /// As it usually is.
    pub fn new(url: Endpoint, client: Arc<dyn ClientAuth>) -> Self {
        Self {
            name: url.to_string().into(),
            url,
            client,
            max_lifetime: Duration::from_secs(24 * 3600),
            pause_after_refusal: PAUSE_AFTER_REFUSAL,
            attempt_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
        }
    }

    /// What breakers and limits are kept by.
    pub(in crate::provider) fn counterpart(&self) -> Counterpart<'_> {
        Counterpart { endpoint: &self.name, client: self.client.client_id().unwrap_or_default() }
    }

    /// What a step that asks here for these targets says of itself.
    pub(in crate::provider) fn description(&self, step: &str, targets: &Targets) -> Description {
        Description {
            step: step.into(),
            endpoint: Some(self.name.clone()),
            client: self.client.client_id().map(Into::into),
            authentication: Some(self.client.method()),
            audience: targets.named(),
            scopes: targets.scopes.iter().map(|scope| scope.text().into()).collect(),
        }
    }

    /// The endpoint's part of a step's identity.
    pub(in crate::provider) fn identify(&self, fields: &mut Fields) {
        self.client.identify(fields);
        fields.text(&self.name).number(self.max_lifetime.as_secs());
    }

    /// Asks, and reads the answer; `form` makes each attempt anew.
    ///
    /// # Errors
    /// No usable answer; `Lost` when nothing is known of what came of the request.
    pub(in crate::provider) async fn ask(
        &self,
        wire: &Wire,
        now: Timestamp,
        repeat: Repeat,
        form: impl FnMut() -> Result<Form, ExchangeError> + Send,
    ) -> Result<Result<TokenAnswer, Refusal>, ExchangeError> {
        let unsent_only = repeat == Repeat::Unsent;
        let errand = Errand {
            client: &*self.client,
            endpoint: &self.url,
            retry: Retry { total: self.total_timeout, unsent_only, ..Retry::default() },
            timeout: self.attempt_timeout,
            now,
        };
        let answer = errand.run(wire, form).await?;
        // It may have failed after it took what it was given.
        if unsent_only && answer.status.is_server_error() {
            return Err(ExchangeError::Lost { problem: format!("status {}", answer.status.as_u16()) });
        }
        self.read(&answer)
    }

    fn read(&self, answer: &Answer) -> Result<Result<TokenAnswer, Refusal>, ExchangeError> {
        let status = answer.status.as_u16();
        let refused = ErrorAnswer::read(&answer.body);
        // Some servers put the error into a 200 (against RFC 6749 §5.2).
        if !answer.status.is_success() || refused.error().is_some() {
            let status = if answer.status.is_success() { 400 } else { status };
            said::note(refused.words());
            let retry_after = retry_after(&answer.headers, SystemTime::now());
            let (description, trace) = (refused.description(), refused.trace());
            if !description.is_empty() {
                tracing::info!(endpoint = %self.url, status, description, trace, "the token endpoint says");
            }
            return Ok(Err(Refusal { status, answer: refused, retry_after }));
        }
        if !answer.is_json() {
            return Err(bad("the content type is not JSON"));
        }
        let read = TokenAnswer::read(&answer.body);
        read.map(Ok).ok_or_else(|| bad("not a JSON object with a token, or a member twice"))
    }
}
