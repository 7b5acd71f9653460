//! Calls of modern clients that wait for input, while the legacy server that works on them waits for an answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::runtime::Handle;

use super::ask::Ticket;
use super::message;
use super::process::Process;
use super::stream::Reader;

/// How many calls of one bridge may wait.
const MOST: usize = 256;
/// What our `requestState` begins with.
const PREFIX: &str = "safeconduct-round-";

/// A call that is under way in a process.
pub(super) struct Call {
    pub(super) process: Arc<Process>,
    pub(super) reader: Reader,
    /// Dropped, it cancels the call.
    pub(super) ticket: Ticket,
    /// What the call is: its method and what it names. Input for another one is not taken.
    pub(super) what: Box<str>,
    /// Log lines were asked for.
    pub(super) logs: bool,
    /// What the server waits for: the number of its request, and the input request that stands for it (JSON text).
    pub(super) questions: Vec<(u64, Box<str>)>,
}

impl Drop for Call {
    fn drop(&mut self) {
        for (number, _) in &self.questions {
            let owed = self.process.table().owed.remove(number);
            if let Some(owed) = owed {
                self.process.write_soon(message::error(&owed.id, message::INTERNAL, "No input came."));
            }
        }
    }
}

/// The calls of one bridge that wait.
#[derive(Clone, Default)]
pub(super) struct Rounds(Arc<Mutex<HashMap<Box<str>, Call>>>);

impl Rounds {
    /// Keeps a call until its input comes, or has not come for too long; the state that the input comes with. None
    /// when too many wait.
    pub(super) fn wait(&self, call: Call, patience: Duration, runtime: &Handle) -> Option<Box<str>> {
        let mut random = [0; 16];
        rand::fill(&mut random).ok()?;
        let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let state: Box<str> = format!("{PREFIX}{hex}").into();
        {
            let mut waiting = self.lock();
            if waiting.len() >= MOST {
                return None;
            }
            waiting.insert(state.clone(), call);
        }
        let (rounds, late) = (self.clone(), state.clone());
        runtime.spawn(async move {
            tokio::time::sleep(patience).await;
            // Dropped outside of the lock: it looks into other tables.
            let gone = rounds.lock().remove(&late);
            drop(gone);
        });
        Some(state)
    }

    /// The call that waits for input with this state, if it is the same call.
    pub(super) fn resume(&self, state: &str, what: &str) -> Option<Call> {
        let mut waiting = self.lock();
        waiting.get(state).filter(|call| &*call.what == what)?;
        waiting.remove(state)
    }

    /// Gives up all of them.
    pub(super) fn clear(&self) {
        let gone = std::mem::take(&mut *self.lock());
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
