//! A form sent to an endpoint as a client. Every step and every question goes this way, so that none forgets
//! what a method needs besides the form: something fetched beforehand, a certificate for the connection, another
//! address for clients with one.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use safeconduct_core::bound::{DPOP, Prover as _, nonce};
use safeconduct_core::credential::Form;
use safeconduct_core::time::Timestamp;

use super::{ClientAuth, ClientAuthError, DpopKey};
use crate::wire::{Answer, Endpoint, Request, Retry, Via, Wire, WireError};

/// See the module.
pub struct Errand<'a> {
    /// As whom.
    pub client: &'a dyn ClientAuth,
    /// Where to, as the configuration says it.
    pub endpoint: &'a Endpoint,
    /// How often, and within how long in all.
    pub retry: Retry,
    /// Time for one attempt.
    pub timeout: Duration,
    /// The present moment.
    pub now: Timestamp,
}

impl Errand<'_> {
    /// Sends what `form` makes, and again where that is safe and may help. The form is made anew for each attempt,
    /// because a client assertion is good for one only; it holds everything but the client's own part.
    ///
    /// For what issues tokens: with a proof, where the client's are bound to a key, and with a second one where the
    /// endpoint wants its nonce in it (RFC 9449 §8).
    ///
    /// # Errors
    /// `E` of `form`; that the client cannot authenticate; the last attempt's [`WireError`].
    pub async fn run<E>(
        &self,
        wire: &Wire,
        mut form: impl FnMut() -> Result<Form, E> + Send,
    ) -> Result<Answer, E>
    where
        E: From<WireError> + From<ClientAuthError>,
    {
        let endpoint = self.prepared(wire).await?;
        let Some(key) = self.client.dpop() else {
            return wire.send_retrying(self.retry, || Ok(self.request(&endpoint, form()?)?)).await;
        };
        let mut challenged = false;
        loop {
            let proven = || -> Result<Request, E> { Ok(self.proven(key, &endpoint, form()?)?) };
            let answer = wire.send_retrying(self.retry, proven).await?;
            let Some(nonce) = nonce(&answer.headers) else { return Ok(answer) };
            key.note(endpoint.uri(), nonce);
            if challenged || !wants_nonce(&answer) {
                return Ok(answer);
            }
            challenged = true;
        }
    }

    /// The same for what issues nothing (introspection, revocation): without a proof.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn inquire<E>(
        &self,
        wire: &Wire,
        mut form: impl FnMut() -> Result<Form, E> + Send,
    ) -> Result<Answer, E>
    where
        E: From<WireError> + From<ClientAuthError>,
    {
        let endpoint = self.prepared(wire).await?;
        wire.send_retrying(self.retry, || Ok(self.request(&endpoint, form()?)?)).await
    }

    async fn prepared(&self, wire: &Wire) -> Result<Cow<'_, Endpoint>, ClientAuthError> {
        if let Some(preparing) = self.client.ready(wire, self.now) {
            preparing.await?;
        }
        Ok(self.client.endpoint(self.endpoint))
    }

    fn proven(&self, key: &DpopKey, endpoint: &Endpoint, form: Form) -> Result<Request, ClientAuthError> {
        let mut request = self.request(endpoint, form)?;
        let proof = key.prove(&request.method, endpoint.uri(), None, self.now);
        let failed = || ClientAuthError::Proof(self.client.client_id().unwrap_or_default().into());
        request.headers.insert(DPOP, proof.ok_or_else(failed)?);
        Ok(request)
    }

    fn request(&self, endpoint: &Endpoint, mut form: Form) -> Result<Request, ClientAuthError> {
        let mut headers = HeaderMap::new();
        self.client.apply(&mut form, &mut headers, &endpoint.to_string(), self.now)?;
        let via = self.client.via()?;
        if matches!(via, Via::Certificate(_)) && !endpoint.is_https() {
            return Err(ClientAuthError::NoTls(endpoint.to_string()));
        }
        let mut request = Request::form(endpoint.clone(), form);
        request.headers.extend(headers);
        request.timeout = self.timeout;
        request.via = via;
        Ok(request)
    }
}

fn wants_nonce(answer: &Answer) -> bool {
    #[derive(serde::Deserialize)]
    struct Refused {
        error: String,
    }
    let refused = || serde_json::from_slice::<Refused>(&answer.body);
    matches!(answer.status.as_u16(), 400 | 401)
        && refused().is_ok_and(|refused| refused.error == "use_dpop_nonce")
}
