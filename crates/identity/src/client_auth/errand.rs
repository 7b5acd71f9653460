//! A form sent to an endpoint as a client. Every step and every question goes this way, so that none forgets
//! what a method needs besides the form: something fetched beforehand, a certificate for the connection, another
//! address for clients with one.

use std::time::Duration;

use http::HeaderMap;
use safeconduct_core::credential::Form;
use safeconduct_core::time::Timestamp;

use super::{ClientAuth, ClientAuthError};
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
        if let Some(preparing) = self.client.ready(wire, self.now) {
            preparing.await?;
        }
        let endpoint = self.client.endpoint(self.endpoint);
        wire.send_retrying(self.retry, || Ok(self.request(&endpoint, form()?)?)).await
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
