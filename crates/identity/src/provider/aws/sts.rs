//! The token service: asks it, signed or not, as often as that helps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Uri};
use safeconduct_core::credential::Form;
use safeconduct_core::sigv4::{BadScope, Refused, Signer, SigningKeys};
use safeconduct_core::time::Timestamp;

use super::partition::signing_region;
use super::refusal::Said;
use super::xml::Element;
use crate::provider::{ExchangeError, Subject};
use crate::wire::{Answer, Endpoint, Request, Retry, Wire, WireError};

/// As Amazon's own libraries send it.
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");

/// A region's token service.
pub struct Sts {
    endpoint: Endpoint,
    shown: Box<str>,
    signer: Signer,
    wire: Arc<Wire>,
    /// Time for one attempt.
    pub attempt_timeout: Duration,
    /// Time for all attempts together.
    pub total_timeout: Duration,
}

/// Who asks.
#[derive(Clone, Copy)]
pub(super) enum Asker<'a> {
    /// Nobody but the bearer of this token.
    Bearer(&'a Subject),
    /// The holder of these keys.
    Keys(&'a SigningKeys),
}

/// Why it gave nothing.
pub(super) enum Failed {
    /// It refuses.
    Refused(Said),
    /// It could not be asked, or its answer cannot be used.
    Otherwise(ExchangeError),
}

impl Sts {
    /// At this endpoint, which is a region's.
    ///
    /// # Errors
    /// [`BadScope`] for what is no region.
    pub fn new(endpoint: Endpoint, region: &str, wire: Arc<Wire>) -> Result<Self, BadScope> {
        let signer = Signer::new(signing_region(region), "sts")?;
        let shown = endpoint.to_string().into();
        let (attempt_timeout, total_timeout) = (Duration::from_secs(5), Duration::from_secs(10));
        Ok(Self { endpoint, shown, signer, wire, attempt_timeout, total_timeout })
    }

    /// URL.
    pub(super) fn url(&self) -> &str {
        &self.shown
    }

    /// Asks; what passes by itself is tried again, and so is a request that was signed by the wrong clock, once.
    pub(super) async fn ask(
        &self,
        asked: &[(Box<str>, Box<str>)],
        asker: Asker<'_>,
        now: Timestamp,
    ) -> Result<Element, Failed> {
        let retry = Retry { total: self.total_timeout, ..Retry::default() };
        let mut resent = false;
        loop {
            let dated = self.signer.moment(now);
            let build = || self.request(asked, asker, now);
            let answer =
                self.wire.send_retrying_when(retry, build, |answer| Said::read(answer).passes()).await?;
            if answer.status.is_success() {
                return Element::read(&answer.body).ok_or_else(|| Failed::Otherwise(not_xml()));
            }
            let said = Said::read(&answer);
            said.log(&self.shown);
            if !resent && self.learns(&answer, asker, dated, now) {
                resent = true;
                continue;
            }
            return Err(Failed::Refused(said));
        }
    }

    /// Whether the answer taught the service's clock.
    fn learns(&self, answer: &Answer, asker: Asker<'_>, dated: Timestamp, now: Timestamp) -> bool {
        let signed = matches!(asker, Asker::Keys(_));
        match Refused::read(&answer.headers, &answer.body) {
            Refused::Skewed(Some(date)) if signed => self.signer.learn(date, dated, now),
            _ => false,
        }
    }

    fn request(
        &self,
        asked: &[(Box<str>, Box<str>)],
        asker: Asker<'_>,
        now: Timestamp,
    ) -> Result<Request, Failed> {
        let mut form = Form::new();
        asked.iter().for_each(|(name, value)| {
            form.field(name, value);
        });
        if let Asker::Bearer(subject) = asker {
            subject.write(&mut form, "WebIdentityToken").map_err(Failed::Otherwise)?;
        }
        let mut request = Request::form(self.endpoint.clone(), form);
        request.timeout = self.attempt_timeout;
        request.headers.remove(ACCEPT);
        request.headers.insert(CONTENT_TYPE, FORM);
        if let Asker::Keys(keys) = asker {
            request.headers = self.signed(keys, request.headers, request.body.clone(), now);
        }
        Ok(request)
    }

    /// The headers with the signature. `Host` is set when the request leaves, as it is signed here.
    fn signed(&self, keys: &SigningKeys, headers: HeaderMap, body: Bytes, now: Timestamp) -> HeaderMap {
        let mut request = http::Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.uri().clone();
        *request.headers_mut() = headers;
        if let Ok(host) = HeaderValue::from_str(&host(self.endpoint.uri())) {
            request.headers_mut().insert(HOST, host);
        }
        self.signer.sign(keys, &mut request, now);
        request.headers_mut().remove(HOST);
        request.into_parts().0.headers
    }
}

/// Host and port, the port only where it is not the scheme's own: as the HTTP client writes it.
fn host(uri: &Uri) -> String {
    let (name, secure) = (uri.host().unwrap_or_default(), uri.scheme_str() == Some("https"));
    match uri.port_u16() {
        Some(port) if port != if secure { 443 } else { 80 } => format!("{name}:{port}"),
        _ => name.to_owned(),
    }
}

fn not_xml() -> ExchangeError {
    ExchangeError::BadAnswer { problem: "not XML, or XML that could be read in two ways".into() }
}

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self::Otherwise(error.into())
    }
}

impl From<Failed> for ExchangeError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(said) => said.into_error(),
            Failed::Otherwise(error) => error,
        }
    }
}
