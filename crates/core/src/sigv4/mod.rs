//! AWS Signature Version 4: a request to an AWS service is not given a token, it is signed with the caller's keys.
//!
//! - <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>
//! - Signed is a small explicit set of headers (`host`, `content-type`, `x-amz-*`, `mcp-*`), so that nothing which a later
//!   hop adds, folds or drops can break the signature; and the whole body, which is known: it was checked.
//! - The path is normalized and encoded once more than it is sent, as every service but S3 has it.

mod canonical;
mod keys;
mod refusal;

pub use keys::SigningKeys;
pub use refusal::Refused;

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header};

use crate::time::Timestamp;

/// `x-amz-date`
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
/// `x-amz-security-token`
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// Clocks that differ by more are not believed: a server could have requests signed for a far day.
const MOST_SKEW: Duration = Duration::from_secs(3600);
/// AWS refuses from five minutes on; what differs by less than this was not refused for its time.
const LEAST_SKEW: Duration = Duration::from_secs(60);

/// One AWS service in one region, and how far its clock is from ours, as far as its refusals have taught.
pub struct Signer {
    region: Box<str>,
    service: Box<str>,
    /// Microseconds that its clock is ahead.
    ahead: AtomicI64,
}

/// A region or service name that no signature can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a region and a service are named in small letters, digits and dashes")]
pub struct BadScope;

impl Signer {
    /// For a service as it signs itself: `us-east-1`, `aws-mcp`.
    ///
    /// # Errors
    /// [`BadScope`]
    pub fn new(region: &str, service: &str) -> Result<Self, BadScope> {
        let named = |word: &str| {
            let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=64).contains(&word.len()) && word.bytes().all(letter)
        };
        if !named(region) || !named(service) {
            return Err(BadScope);
        }
        Ok(Self { region: region.into(), service: service.into(), ahead: AtomicI64::new(0) })
    }

    /// Region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// What a request is dated that is signed at `now`.
    pub fn moment(&self, now: Timestamp) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        Timestamp::from_micros(now.micros().saturating_add_signed(ahead))
    }

    /// Takes over the service's clock from the `Date` of a refusal that came at `now`, to a request that was dated
    /// `dated`. False when another attempt would fare no better: the two hardly differ, or too much to be believed.
    pub fn learn(&self, date: Timestamp, dated: Timestamp, now: Timestamp) -> bool {
        let ahead = i128::from(date.micros()) - i128::from(now.micros());
        let believed = i64::try_from(ahead).ok().filter(|_| apart(date, now) <= MOST_SKEW);
        let Some(ahead) = believed else { return false };
        self.ahead.store(ahead, Ordering::Relaxed);
        apart(date, dated) >= LEAST_SKEW
    }

    /// Signs: the last thing that is done to a request. Its `host` must be set as it will be sent.
    pub fn sign(&self, keys: &SigningKeys, request: &mut Request<Bytes>, now: Timestamp) {
        self.sign_these(keys, request, now, is_signed);
    }

    fn sign_these(
        &self,
        keys: &SigningKeys,
        request: &mut Request<Bytes>,
        now: Timestamp,
        signed: fn(&HeaderName, &HeaderValue) -> bool,
    ) {
        let (day, moment) = self.moment(now).aws();
        let headers = request.headers_mut();
        headers.remove(header::AUTHORIZATION);
        headers.remove(TOKEN);
        put(headers, DATE, &moment);
        if let Some(token) = keys.session() {
            headers.insert(TOKEN, token.clone());
        }
        let names = canonical::names(headers, signed);
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let digest = canonical::digest(request, &names);
        let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}");
        let key = keys.derived(&scope);
        let signature = canonical::hex(hmac::sign(&key, text.as_bytes()).as_ref());
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
            keys.id(),
            canonical::joined(&names),
        );
        put(request.headers_mut(), header::AUTHORIZATION, &value);
    }
}

/// The explicit set. A value that two readers could fold differently (a tab, what is not ASCII) is left unsigned.
fn is_signed(name: &HeaderName, value: &HeaderValue) -> bool {
    let known = *name == header::HOST || *name == header::CONTENT_TYPE;
    let named = name.as_str().starts_with("x-amz-") || name.as_str().starts_with("mcp-");
    (known || named) && value.as_bytes().iter().all(|byte| matches!(byte, 0x20..0x7f))
}

/// All that goes in is ASCII; a request that could not be signed is refused by the service.
fn put(headers: &mut http::HeaderMap, name: HeaderName, value: &str) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(name == header::AUTHORIZATION);
        headers.insert(name, value);
    }
}

fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}

impl PartialEq for Signer {
    fn eq(&self, other: &Self) -> bool {
        self.region == other.region && self.service == other.service
    }
}

impl Eq for Signer {}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.region, self.service)
    }
}

#[cfg(test)]
mod tests;
