//! Requests to the vault's API.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use safeconduct_core::secret::Secret;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::VaultConfig;
use super::answer::Refused;
use crate::provider::ExchangeError;
use crate::wire::{Endpoint, Request, Retry, Wire, retry_after};

/// A body made anew for each attempt.
type Body = Result<Option<Bytes>, ExchangeError>;

/// Where the vault is, and how it is asked.
pub(super) struct Api {
    base: Box<str>,
    /// Plain http was accepted for the address, so it is for its paths.
    plain: bool,
    namespace: Option<HeaderValue>,
    attempt_timeout: Duration,
    total_timeout: Duration,
    wire: Arc<Wire>,
}

impl Api {
    /// None for a namespace that no header may hold.
    pub(super) fn new(config: &VaultConfig, wire: Arc<Wire>) -> Option<Self> {
        let namespace = config.namespace.as_deref().map(HeaderValue::from_str).transpose().ok()?;
        Some(Self {
            base: config.address.to_string().trim_end_matches('/').into(),
            plain: !config.address.is_https(),
            namespace,
            attempt_timeout: config.attempt_timeout,
            total_timeout: config.total_timeout,
            wire,
        })
    }

    pub(super) fn runtime(&self) -> &Handle {
        self.wire.runtime()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.base)
    }

    pub(super) async fn get(
        &self,
        path: &str,
        token: &Secret,
    ) -> Result<Result<Bytes, Refused>, ExchangeError> {
        let retry = Retry { total: self.total_timeout, ..Retry::default() };
        self.send(Method::GET, path, Some(token), retry, || Ok(None)).await
    }

    pub(super) async fn post(
        &self,
        path: &str,
        token: Option<&Secret>,
        body: impl FnMut() -> Body + Send,
    ) -> Result<Result<Bytes, Refused>, ExchangeError> {
        let retry = Retry { total: self.total_timeout, ..Retry::default() };
        self.send(Method::POST, path, token, retry, body).await
    }

    /// The same once, for what is tidied up in passing.
    pub(super) async fn post_once(
        &self,
        path: &str,
        token: &Secret,
    ) -> Result<Result<Bytes, Refused>, ExchangeError> {
        self.send(Method::POST, path, Some(token), Retry::ONCE, || Ok(None)).await
    }

    /// The body of a success, or the refusal.
    async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        retry: Retry,
        mut body: impl FnMut() -> Body + Send,
    ) -> Result<Result<Bytes, Refused>, ExchangeError> {
        let url = Endpoint::parse(&self.url(path), self.plain)
            .map_err(|error| ExchangeError::BadAnswer { problem: error.to_string() })?;
        let token = token.map(header).transpose()?;
        let answer = self
            .wire
            .send_retrying::<ExchangeError>(retry, || {
                let mut request = Request::read(url.clone());
                request.method = method.clone();
                // What a proxy of the vault wants to see, so that no browser can be made to ask it.
                request.headers.insert("x-vault-request", HeaderValue::from_static("true"));
                if let Some(namespace) = &self.namespace {
                    request.headers.insert("x-vault-namespace", namespace.clone());
                }
                if let Some(token) = &token {
                    request.headers.insert(HeaderName::from_static("x-vault-token"), token.clone());
                }
                if let Some(body) = body()? {
                    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                    request.body = body;
                }
                request.timeout = self.attempt_timeout;
                Ok(request)
            })
            .await?;
        if answer.status.is_success() {
            return Ok(Ok(answer.body));
        }
        let pause = retry_after(&answer.headers, SystemTime::now());
        Ok(Err(Refused::new(answer.status.as_u16(), &answer.body, pause)))
    }
}

/// The vault's own token, which it issued to this program for the caller.
fn header(token: &Secret) -> Result<HeaderValue, ExchangeError> {
    let bytes = Bytes::from_owner(Zeroizing::new(token.expose().to_vec()));
    let mut value = HeaderValue::from_maybe_shared(bytes).map_err(|_| ExchangeError::BadAnswer {
        problem: "the vault's token holds characters that no header may hold".into(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Percent-encoding of a path (RFC 3986 §3.3); slashes stay.
pub(super) fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
