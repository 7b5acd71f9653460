//! What an edge received, for assertions, and a way to wait for it without sleeping.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use tokio::sync::watch;

use super::Form;

/// One request as it was received.
#[derive(Clone, Debug)]
pub struct Seen {
    /// HTTP method.
    pub method: Method,
    /// Request target: path and query.
    pub uri: Uri,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Seen {
    /// Path without the query.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// A header's first value as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The token of `Authorization: Bearer` (RFC 6750 §2.1).
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization").and_then(|value| value.strip_prefix("Bearer "))
    }

    /// The body as a form.
    pub fn form(&self) -> Form {
        Form::parse(&self.body)
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// True when the text stands anywhere in the request: target, header names and values, body.
    pub fn mentions(&self, text: &str) -> bool {
        let needle = memchr::memmem::Finder::new(text);
        let within = |bytes: &[u8]| needle.find(bytes).is_some();
        within(self.uri.to_string().as_bytes())
            || self
                .headers
                .iter()
                .any(|(name, value)| within(name.as_str().as_bytes()) || within(value.as_bytes()))
            || within(&self.body)
    }
}

/// All requests of an edge, in order of arrival. Clones share it.
#[derive(Clone, Debug)]
pub struct Log {
    seen: Arc<Mutex<Vec<Seen>>>,
    count: Arc<watch::Sender<usize>>,
}

impl Default for Log {
    fn default() -> Self {
        Self { seen: Arc::default(), count: Arc::new(watch::Sender::new(0)) }
    }
}

impl Log {
    /// Every request so far.
    pub fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Requests to one path.
    pub fn to(&self, path: &str) -> Vec<Seen> {
        self.all().into_iter().filter(|seen| seen.path() == path).collect()
    }

    /// The latest request.
    pub fn last(&self) -> Option<Seen> {
        self.all().pop()
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.count.send_replace(0);
    }

    /// True when the text stands anywhere in any request.
    pub fn mentions(&self, text: &str) -> bool {
        self.all().iter().any(|seen| seen.mentions(text))
    }

    /// Waits until there were at least `count`, at most ten seconds; false when they did not come.
    pub async fn reaches(&self, count: usize) -> bool {
        let mut counted = self.count.subscribe();
        let reached = counted.wait_for(|seen| *seen >= count);
        tokio::time::timeout(Duration::from_secs(10), reached).await.is_ok_and(|reached| reached.is_ok())
    }

    pub(crate) fn push(&self, seen: Seen) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(seen);
        self.count.send_replace(all.len());
    }
}
