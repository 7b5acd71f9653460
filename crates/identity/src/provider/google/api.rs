//! A call of the IAM Credentials API, in the name of the federated token.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, header};
use safeconduct_core::secret::Secret;
use zeroize::Zeroizing;

use super::error::classify;
use crate::cache::Fields;
use crate::provider::{Counterpart, ExchangeError, Subject};
use crate::template::Template;
use crate::wire::{Endpoint, Request, Retry, Wire, retry_after};

/// Where service accounts are impersonated, and how long is waited.
pub struct ServiceAccounts {
    /// `https://iamcredentials.googleapis.com`, without a path.
    pub base: Endpoint,
    /// The account's address; may depend on the caller.
    pub account: Template,
    /// Accounts on the way there, each of which may impersonate the next; mostly none.
    pub delegates: Vec<Box<str>>,
    /// Longest time that an answer is kept.
    pub max_lifetime: Duration,
    /// Time for one attempt.
    pub attempt_timeout: Duration,
    /// Time for all attempts together.
    pub total_timeout: Duration,
    name: Box<str>,
}

impl ServiceAccounts {
    /// As it usually is.
    pub fn new(base: Endpoint, account: Template) -> Self {
        Self {
            name: base.to_string().into(),
            base,
            account,
            delegates: Vec::new(),
            max_lifetime: Duration::from_secs(12 * 3600),
            attempt_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
        }
    }

    pub(super) fn counterpart(&self) -> Counterpart<'_> {
        Counterpart { endpoint: &self.name, client: "" }
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.name
    }

    pub(super) fn identify(&self, fields: &mut Fields) {
        fields.text(&self.name).number(self.max_lifetime.as_secs());
        self.account.identify(fields);
        fields.number(self.delegates.len() as u64);
        self.delegates.iter().for_each(|delegate| {
            fields.text(delegate);
        });
    }

    /// Resource names of the delegates, as the API wants them.
    pub(super) fn delegates(&self) -> Vec<String> {
        self.delegates.iter().map(|account| format!("projects/-/serviceAccounts/{account}")).collect()
    }

    /// The URL of a method.
    pub(super) fn url(&self, account: &str, method: &str) -> String {
        let base = self.name.trim_end_matches('/');
        format!("{base}/v1/projects/-/serviceAccounts/{account}:{method}")
    }

    /// Asks, and gives the body of a success.
    ///
    /// # Errors
    /// What Google says, classified.
    pub(super) async fn call(
        &self,
        wire: &Arc<Wire>,
        account: &str,
        method: &str,
        subject: &Subject,
        body: Vec<u8>,
    ) -> Result<Bytes, ExchangeError> {
        if !is_address(account) {
            return Err(ExchangeError::BadAnswer { problem: "the service account is no address".into() });
        }
        let url = Endpoint::parse(&self.url(account, method), !self.base.is_https())
            .map_err(|error| ExchangeError::BadAnswer { problem: error.to_string() })?;
        let authorization = bearer(subject)?;
        let body = Bytes::from(body);
        let retry = Retry { total: self.total_timeout, ..Retry::default() };
        let answer = wire
            .send_retrying::<ExchangeError>(retry, || {
                let mut request = Request::read(url.clone());
                request.method = http::Method::POST;
                request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                request.headers.insert(header::AUTHORIZATION, authorization.clone());
                request.body = body.clone();
                request.timeout = self.attempt_timeout;
                Ok(request)
            })
            .await?;
        if !answer.status.is_success() {
            let pause = retry_after(&answer.headers, SystemTime::now());
            return Err(classify(answer.status.as_u16(), &answer.body, pause));
        }
        if !answer.is_json() {
            return Err(ExchangeError::BadAnswer { problem: "the content type is not JSON".into() });
        }
        Ok(answer.body)
    }
}

/// Of the step before only: the caller's own token is no header, here as everywhere.
fn bearer(subject: &Subject) -> Result<HeaderValue, ExchangeError> {
    let problem = |problem: &str| ExchangeError::BadAnswer { problem: problem.into() };
    let Subject::Step(material) = subject else {
        return Err(problem("a step before must give a token of Google"));
    };
    let token: &Secret = material.token().ok_or_else(|| problem("the step before gave no bearer token"))?;
    let mut text = Zeroizing::new(Vec::with_capacity(7 + token.len()));
    text.extend_from_slice(b"Bearer ");
    text.extend_from_slice(token.expose());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text))
        .map_err(|_| problem("the token of the step before holds characters that no header may hold"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A service account's address: it becomes a part of a path.
fn is_address(account: &str) -> bool {
    account.len() <= 255
        && account.contains('@')
        && account
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'.' | b'-' | b'_'))
}
