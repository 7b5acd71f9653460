//! What is on its way through one process: requests of clients, requests of the server, and who may hear what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use super::listener::Listener;
use super::session::Session;
use super::stream::Stream;

/// Things that are remembered beyond their request, of each kind: tasks, progress of tasks, elicitations.
const REMEMBERED: usize = 256;

/// A client's request that the process has not answered.
pub(super) struct Asked {
    /// JSON text of the client's own id.
    pub(super) reply_id: Box<str>,
    /// JSON text of the client's own progress token.
    pub(super) token: Option<Box<str>>,
    /// Where the answer and what comes before it go.
    pub(super) stream: Arc<Stream>,
    /// The legacy session that it is of.
    pub(super) session: Option<Arc<Session>>,
    /// Something may be asked of the client while it runs, or said to it.
    pub(super) talks: bool,
    /// It asked for log lines (2026-07-28).
    pub(super) logs: bool,
    /// It is a `subscriptions/listen`.
    pub(super) listens: bool,
    /// A process is idle in spite of it.
    pub(super) idle: bool,
}

/// A request of the server that its client has not answered.
pub(super) struct Owed {
    /// JSON text of the server's id.
    pub(super) id: Box<str>,
    /// Who was asked.
    pub(super) session: Option<Weak<Session>>,
    /// On which stream.
    pub(super) stream: Weak<Stream>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Table {
    closed: bool,
    /// By the number that is their id on the wire.
    pub(super) asked: BTreeMap<u64, Asked>,
    /// By the number that is their id for the client.
    pub(super) owed: BTreeMap<u64, Owed>,
    pub(super) sessions: Vec<Weak<Session>>,
    pub(super) listeners: Vec<Weak<Listener>>,
    /// Whose the tasks are (2025-11-25).
    pub(super) tasks: Remembered<Weak<Session>>,
    /// Whose elicitations by URL are.
    pub(super) elicitations: Remembered<Weak<Session>>,
    /// Progress tokens of tasks, which live longer than the request that made the task.
    pub(super) tokens: Remembered<(Box<str>, Weak<Session>)>,
}

/// A bounded map: the oldest goes first.
pub(super) struct Remembered<T>(VecDeque<(Box<str>, T)>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Clone> Remembered<T> {
    pub(super) fn keep(&mut self, key: &str, value: T) {
        self.0.retain(|(known, _)| &**known != key);
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((key.into(), value));
    }

    pub(super) fn find(&self, key: &str) -> Option<T> {
        self.0.iter().find(|(known, _)| &**known == key).map(|(_, value)| value.clone())
    }
}

/// Where a message goes that no id ties to a request.
pub(super) struct Target {
    pub(super) stream: Arc<Stream>,
    pub(super) session: Option<Arc<Session>>,
}

impl Table {
    /// Takes a request in; false when the process is over.
    pub(super) fn ask(&mut self, number: u64, asked: Asked) -> bool {
        if !self.closed {
            self.asked.insert(number, asked);
        }
        !self.closed
    }

    /// Takes a request of the server in; of very many, the oldest is forgotten.
    pub(super) fn owe(&mut self, number: u64, owed: Owed) {
        if self.owed.len() >= REMEMBERED {
            self.owed.pop_first();
        }
        self.owed.insert(number, owed);
    }

    /// Nothing is taken in any more; what is not answered comes out.
    pub(super) fn close(&mut self) -> Vec<Asked> {
        self.closed = true;
        self.owed.clear();
        std::mem::take(&mut self.asked).into_values().collect()
    }

    /// Requests that wait for an answer, but for those that the bridge itself listens with.
    pub(super) fn busy(&self) -> usize {
        self.asked.values().filter(|asked| !asked.idle).count()
    }

    /// Whether this session uses the process.
    pub(super) fn has(&mut self, session: &Arc<Session>) -> bool {
        self.sessions().iter().any(|known| Arc::ptr_eq(known, session))
    }

    /// The sessions that are still there.
    pub(super) fn sessions(&mut self) -> Vec<Arc<Session>> {
        self.sessions.retain(|session| session.strong_count() > 0);
        self.sessions.iter().filter_map(Weak::upgrade).collect()
    }

    /// Adds a session, once.
    pub(super) fn attach(&mut self, session: &Arc<Session>) {
        if !self.has(session) {
            self.sessions.push(Arc::downgrade(session));
        }
    }

    /// Whom the server means when it does not say so: the latest request that it may be working on; without one, the
    /// latest session. All of them are the same caller's.
    pub(super) fn meant(&mut self) -> Option<Target> {
        let talking = self.asked.iter().rev().find(|(_, asked)| asked.talks);
        let any = || self.asked.iter().rev().find(|(_, asked)| asked.session.is_some());
        if let Some((_, asked)) = talking.or_else(any) {
            return Some(Target { stream: asked.stream.clone(), session: asked.session.clone() });
        }
        self.sessions().pop().map(Target::of)
    }
}

impl Target {
    /// The session's own stream.
    pub(super) fn of(session: Arc<Session>) -> Self {
        Self { stream: session.common.clone(), session: Some(session) }
    }
}
