//! What one `initialize` of a legacy client opened. It outlives the process: a client does not notice that an idle
//! one was ended, or that a crashed one was replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::stream::Stream;

/// Streams of one session that its client may come back to.
const STREAMS: usize = 32;

/// How a process is opened for a session: two sessions with the same handshake may share one.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    /// What makes it the same as another.
    pub(super) key: Arc<str>,
    /// The `initialize` request, as it is sent.
    pub(super) request: Bytes,
}

/// What a legacy client said of itself, for a server that wants to hear it with every request (2026-07-28).
pub(super) struct Lift {
    /// JSON text of its capabilities.
    pub(super) capabilities: Box<str>,
    /// JSON text of its name and version.
    pub(super) client: Box<str>,
    /// JSON texts of the kinds of changes that the server announces (`"toolsListChanged":true`).
    pub(super) changes: Vec<&'static str>,
    /// Questions that the client has not answered, by their ids.
    pub(super) questions: Mutex<BTreeMap<u64, oneshot::Sender<Bytes>>>,
    /// The process that is listened to, and who listens.
    pub(super) listening: Mutex<Option<(u64, AbortHandle)>>,
}

/// A legacy session.
pub(super) struct Session {
    pub(super) id: Box<str>,
    pub(super) handshake: Handshake,
    /// The revision that was agreed on.
    pub(super) version: Box<str>,
    /// What belongs to no request: read by GET.
    pub(super) common: Arc<Stream>,
    /// Its server knows no sessions.
    pub(super) lift: Option<Lift>,
    state: Mutex<State>,
}

struct State {
    streams: BTreeMap<u64, Arc<Stream>>,
    subscriptions: BTreeSet<Box<str>>,
    level: Option<Box<str>>,
    used: Instant,
}

impl Session {
    pub(super) fn new(
        id: Box<str>,
        handshake: Handshake,
        version: Box<str>,
        lift: Option<Lift>,
    ) -> Arc<Self> {
        let state = State {
            streams: BTreeMap::new(),
            subscriptions: BTreeSet::new(),
            level: None,
            used: Instant::now(),
        };
        let common = Stream::unheard(0);
        Arc::new(Self { id, handshake, version, common, lift, state: Mutex::new(state) })
    }

    /// Its client can resume a response, and is told so by a first event without data (SEP-1699).
    pub(super) fn primes(&self) -> bool {
        &*self.version >= "2025-11-25"
    }

    /// A new stream for the answer to a request, kept for a client that comes back to it.
    pub(super) fn open(&self, number: u64) -> Arc<Stream> {
        let stream = Stream::new(number, true);
        let mut state = self.lock();
        state.streams.insert(number, stream.clone());
        while state.streams.len() > STREAMS {
            // One that has ended, else the oldest.
            let oldest = state.streams.iter().find(|(_, stream)| stream.has_ended());
            let Some(gone) = oldest.or_else(|| state.streams.iter().next()).map(|(number, _)| *number) else {
                break;
            };
            state.streams.remove(&gone);
        }
        stream
    }

    /// The stream with this number.
    pub(super) fn stream(&self, number: u64) -> Option<Arc<Stream>> {
        if number == self.common.number() {
            return Some(self.common.clone());
        }
        self.lock().streams.get(&number).cloned()
    }

    /// Nobody will come back to this one.
    pub(super) fn forget(&self, number: u64) {
        self.lock().streams.remove(&number);
    }

    pub(super) fn subscribe(&self, uri: &str) {
        self.lock().subscriptions.insert(uri.into());
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        self.lock().subscriptions.remove(uri);
    }

    pub(super) fn subscriptions(&self) -> Vec<Box<str>> {
        self.lock().subscriptions.iter().cloned().collect()
    }

    /// Whether it subscribed to this resource, or to one that it is a part of.
    pub(super) fn hears_of(&self, uri: &str) -> bool {
        let part = |whole: &str| {
            let rest = uri.strip_prefix(whole);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || whole.ends_with('/'))
        };
        self.lock().subscriptions.iter().any(|subscribed| part(subscribed))
    }

    /// Somebody waits for news of resources.
    pub(super) fn is_subscribed(&self) -> bool {
        self.common.is_read() && !self.lock().subscriptions.is_empty()
    }

    /// The JSON text of the log level that its client set.
    pub(super) fn level(&self) -> Option<Box<str>> {
        self.lock().level.clone()
    }

    pub(super) fn set_level(&self, level: &str) {
        self.lock().level = Some(level.into());
    }

    /// Since when its client said nothing.
    pub(super) fn used(&self) -> Instant {
        self.lock().used
    }

    pub(super) fn touch(&self) {
        self.lock().used = Instant::now();
    }

    /// Ends all its streams.
    pub(super) fn end(&self) {
        if let Some(lift) = &self.lift {
            lift.end();
        }
        self.common.end();
        std::mem::take(&mut self.lock().streams).into_values().for_each(|stream| stream.end());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lift {
    fn end(&self) {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if let Some((_, listener)) = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take() {
            listener.abort();
        }
    }
}

impl Drop for Lift {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Handshake, STREAMS, Session};

    fn session() -> Arc<Session> {
        let handshake = Handshake { key: "k".into(), request: "{}".into() };
        Session::new("s".into(), handshake, "2025-11-25".into(), None)
    }

    #[test]
    fn streams_that_a_client_may_come_back_to_are_bounded_and_ended_ones_go_first() {
        let session = session();
        let first = session.open(1);
        let second = session.open(2);
        second.end();
        (3..=STREAMS as u64 + 1).for_each(|number| drop(session.open(number)));
        assert!(session.stream(2).is_none());
        assert!(Arc::ptr_eq(&session.stream(1).unwrap(), &first));
    }

    #[test]
    fn a_part_of_a_subscribed_resource_is_heard_of() {
        let session = session();
        session.subscribe("file:///a/");
        session.subscribe("file:///c");
        assert!(session.hears_of("file:///a/b") && !session.hears_of("file:///b"));
        assert!(session.hears_of("file:///c") && session.hears_of("file:///c/d"));
        assert!(!session.hears_of("file:///cd"));
        session.unsubscribe("file:///a/");
        assert!(!session.hears_of("file:///a/b"));
    }
}
