//! What was seen and is not written down yet.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use safeconduct_core::pins::{Ledger, Note};
use safeconduct_core::time::Timestamp;
use tokio::sync::Notify;

use crate::lock::{Admitted, Lock};

/// Bytes of definitions that wait to be written; what does not fit is seen again with the next list.
const ROOM: usize = 32 << 20;

/// See the module.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<(Vec<Sighting>, usize)>,
    pub(super) wake: Notify,
}

/// Something that was seen of a server.
pub(super) struct Sighting {
    pub(super) server: String,
    pub(super) address: String,
    pub(super) first_use: Duration,
    pub(super) at: Timestamp,
    pub(super) what: What,
}

/// What was seen.
pub(super) enum What {
    /// Of a tool.
    Tool(Note),
    /// What an image is, and whether that is new.
    Image { reference: String, moves: bool, id: String, admitted: Admitted },
}

impl Sighting {
    /// Takes it down.
    pub(super) fn note(&self, lock: &mut Lock) {
        let entry = lock.entry_mut(&self.server, &self.address);
        match &self.what {
            What::Tool(note) => entry.note(note, self.at, self.first_use),
            What::Image { reference, moves, id, .. } => {
                entry.admit(reference, *moves, id);
            }
        }
    }
}

impl Inbox {
    /// All that waits.
    pub(super) fn take(&self) -> Vec<Sighting> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)).0
    }

    pub(super) fn put(&self, sighting: Sighting) {
        let size = match &sighting.what {
            What::Tool(Note::Tool(definition, _)) => definition.text.len(),
            _ => 0,
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.1 + size <= ROOM {
            waiting.1 += size;
            waiting.0.push(sighting);
            self.wake.notify_one();
        }
    }
}

/// Where the path hands in what it has seen of one server.
pub(super) struct Desk {
    pub(super) inbox: Arc<Inbox>,
    pub(super) address: String,
    pub(super) first_use: Duration,
}

impl Ledger for Desk {
    fn note(&self, server: &str, at: Timestamp, note: Note) {
        self.inbox.put(Sighting {
            server: server.to_owned(),
            address: self.address.clone(),
            first_use: self.first_use,
            at,
            what: What::Tool(note),
        });
    }
}
