//! The one HTTP client to issuers and token endpoints.
//!
//! https only (see [`Endpoint`]), no redirects, no compression, no cookies, bounded in time and size. Requests run
//! on the runtime that the [`Wire`] was made with, whichever runtime awaits them.

mod certificate;
mod connect;
mod endpoint;
mod error;
mod pools;
mod retry;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use rustls_pki_types::CertificateDer;
use safeconduct_core::credential::Form;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use pools::{Client, Pools};

pub use certificate::ClientCertificate;
pub(crate) use certificate::certificates;
pub use connect::Addresses;
pub use endpoint::{BadEndpoint, Endpoint, is_loopback_host};
pub use error::WireError;
pub use pools::Via;
pub use retry::{Retry, retry_after};
pub use tls::{BadRoots, roots_from_pem};

/// Longest answer that is read, in bytes.
pub const ANSWER_CAP: usize = 1024 * 1024;

/// How the client connects.
#[derive(Clone, Debug)]
pub struct WireConfig {
    /// Certificates believed besides the system's (a company's own authority).
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Whether the system's certificates are believed at all.
    pub system_roots: bool,
    /// Time for the TCP connection; TLS has half as much again.
    pub connect: Duration,
    /// Which addresses names may resolve to.
    pub addresses: Addresses,
}

impl Default for WireConfig {
    fn default() -> Self {
        Self {
            extra_roots: Vec::new(),
            system_roots: true,
            connect: Duration::from_secs(2),
            addresses: Addresses::default(),
        }
    }
}

/// The client. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Wire {
    pools: Arc<Pools>,
    runtime: Handle,
}

/// One attempt at a request.
pub struct Request {
    /// Method.
    pub method: Method,
    /// Where to.
    pub endpoint: Endpoint,
    /// Headers besides `Host`, `User-Agent` and `Content-Length`.
    pub headers: HeaderMap,
    /// Body; empty for none.
    pub body: Bytes,
    /// Time for the whole attempt: connecting, sending, and reading all of the answer.
    pub timeout: Duration,
    /// How it is connected.
    pub via: Via,
}

/// An answer, read whole. Holds tokens: it has no Debug, and its body is zeroized on drop.
pub struct Answer {
    /// Status; never a redirect.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, at most [`ANSWER_CAP`] bytes.
    pub body: Bytes,
}

impl Wire {
    /// Makes a client whose connections live on `runtime`.
    ///
    /// # Errors
    /// When TLS cannot be set up with these certificates.
    pub fn new(config: &WireConfig, runtime: Handle) -> Result<Self, BadRoots> {
        Ok(Self { pools: Arc::new(Pools::new(config)?), runtime })
    }

    /// The runtime that requests run on.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Sends once, and reads the whole answer. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// See [`WireError`]; a status that is not a redirect is an answer, not an error.
    pub async fn send(&self, request: Request) -> Result<Answer, WireError> {
        let client = self.pools.of(&request.via);
        let task = self.runtime.spawn(async move {
            let host = request.endpoint.host().to_owned();
            match tokio::time::timeout(request.timeout, attempt(client, request, &host)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(WireError::Timeout { host }),
            }
        });
        GivenUp(task).finished().await
    }

    /// Waits on this client's runtime, for callers whose own has no timers.
    pub async fn sleep(&self, pause: Duration) {
        let task = self.runtime.spawn(async move {
            tokio::time::sleep(pause).await;
            Ok(())
        });
        let _ = GivenUp(task).finished().await;
    }
}

impl Request {
    /// A GET that asks for JSON, with the usual five seconds.
    pub fn read(endpoint: Endpoint) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let timeout = Duration::from_secs(5);
        Self { method: Method::GET, endpoint, headers, body: Bytes::new(), timeout, via: Via::Network }
    }

    /// A POST of a form, with the usual five seconds.
    pub fn form(endpoint: Endpoint, form: Form) -> Self {
        let mut request = Self::read(endpoint);
        request.method = Method::POST;
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(CONTENT_TYPE, kind);
        request.body = form.into_body();
        request
    }
}

impl Answer {
    /// True for statuses after which another attempt may fare better (federation 6.2).
    pub fn is_transient(&self) -> bool {
        matches!(self.status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
    }

    /// True for `application/json` and `application/*+json`, with any parameters.
    pub fn is_json(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
    }
}

/// A spawned task that ends with whoever awaits it.
struct GivenUp<T>(JoinHandle<Result<T, WireError>>);

impl<T> GivenUp<T> {
    async fn finished(mut self) -> Result<T, WireError> {
        (&mut self.0).await.unwrap_or(Err(WireError::ShuttingDown))
    }
}

impl<T> Drop for GivenUp<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn attempt(client: Client, request: Request, host: &str) -> Result<Answer, WireError> {
    let mut outgoing = http::Request::new(Full::new(request.body));
    *outgoing.method_mut() = request.method;
    *outgoing.uri_mut() = request.endpoint.uri().clone();
    *outgoing.headers_mut() = request.headers;
    let name = HeaderValue::from_static(concat!("safeconduct/", env!("CARGO_PKG_VERSION")));
    outgoing.headers_mut().insert(USER_AGENT, name);
    let answer = client.request(outgoing).await.map_err(|error| WireError::from_client(host, &error))?;
    let (head, mut body) = answer.into_parts();
    if head.status.is_redirection() {
        return Err(WireError::Redirected { host: host.into(), status: head.status.as_u16() });
    }
    if head
        .headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(WireError::Encoded { host: host.into() });
    }
    let too_large = || WireError::TooLarge { host: host.into(), cap: ANSWER_CAP };
    let announced =
        head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > ANSWER_CAP) {
        return Err(too_large());
    }
    let mut read = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(4096)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| WireError::from_body(host, &error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if read.len() + data.len() > ANSWER_CAP {
            return Err(too_large());
        }
        read.extend_from_slice(&data);
    }
    Ok(Answer { status: head.status, headers: head.headers, body: Bytes::from_owner(read) })
}

/// An even random number, for jitter.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness there is no jitter, which harms nobody.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
