//! What the request threads and the writer share: lines not yet written, and what is known of the writing.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// How far the writing has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// All that was asked to be durable up to this ticket is.
    pub(super) durable: u64,
    /// The last ticket that an attempt failed for; it is tried again, but who cannot wait may give up.
    pub(super) failed: u64,
    /// The writer has ended.
    pub(super) ended: bool,
}

/// What the writer is asked for.
#[derive(Default)]
pub(super) struct Wishes {
    /// There are lines.
    pub(super) lines: bool,
    /// Somebody waits for them to be on disk, or there are many: do not gather any longer.
    pub(super) hurry: bool,
    /// The file was renamed.
    pub(super) reopen: bool,
    /// Write what there is and end.
    pub(super) stop: bool,
}

impl Wishes {
    /// True when there is anything to do.
    pub(super) fn any(&self) -> bool {
        self.lines || self.hurry || self.reopen || self.stop
    }
}

/// Lines not yet written. A thread always uses the same shard, so that its lock is nearly always free.
pub(super) struct Buffer {
    shards: Box<[Mutex<Vec<u8>>]>,
    /// Bytes in the shards and in the writer's hands.
    bytes: AtomicUsize,
    /// So many bytes do not wait for company.
    many: usize,
    /// True from the first line until the writer takes it: only that line wakes the writer.
    woken: AtomicBool,
    wishes: Mutex<Wishes>,
    changed: Condvar,
    tickets: AtomicU64,
    pub(super) progress: watch::Sender<Progress>,
    /// True while the file cannot be written.
    pub(super) failing: AtomicBool,
    /// Lines not kept, not yet told in the file.
    pub(super) untold: AtomicU64,
    /// Lines not kept, ever.
    pub(super) lost: AtomicU64,
}

impl Buffer {
    pub(super) fn new(shards: usize, many: usize) -> Self {
        Self {
            shards: (0..shards.max(1)).map(|_| Mutex::default()).collect(),
            bytes: AtomicUsize::new(0),
            many,
            woken: AtomicBool::new(false),
            wishes: Mutex::default(),
            changed: Condvar::new(),
            tickets: AtomicU64::new(0),
            progress: watch::Sender::new(Progress::default()),
            failing: AtomicBool::new(false),
            untold: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Bytes not yet written.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Adds a line to this thread's shard.
    pub(super) fn push(&self, line: impl FnOnce(&mut Vec<u8>)) {
        let Some(shard) = self.shards.get(own_place() % self.shards.len()) else { return };
        let (before, added) = {
            let mut shard = locked(shard);
            let length = shard.len();
            line(&mut shard);
            let added = shard.len() - length;
            // Under the lock: the writer must not count bytes out before they are counted in.
            (self.bytes.fetch_add(added, Ordering::Relaxed), added)
        };
        if before < self.many && before + added >= self.many {
            self.wish(|wishes| wishes.hurry = true);
        }
        if !self.woken.swap(true, Ordering::SeqCst) {
            self.wish(|wishes| wishes.lines = true);
        }
    }

    /// Counts a line that was not kept; the writer will tell.
    pub(super) fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.untold.fetch_add(1, Ordering::Relaxed);
        if !self.woken.swap(true, Ordering::SeqCst) {
            self.wish(|wishes| wishes.lines = true);
        }
    }

    /// A ticket for everything that was pushed before: it is durable when the progress has reached it.
    pub(super) fn ticket(&self) -> u64 {
        let ticket = self.tickets.fetch_add(1, Ordering::SeqCst) + 1;
        self.wish(|wishes| wishes.hurry = true);
        ticket
    }

    /// The last ticket given out; to be read before the shards are taken.
    pub(super) fn last_ticket(&self) -> u64 {
        self.tickets.load(Ordering::SeqCst)
    }

    /// Asks the writer for something.
    pub(super) fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut locked(&self.wishes));
        self.changed.notify_one();
    }

    pub(super) fn wishes(&self) -> MutexGuard<'_, Wishes> {
        locked(&self.wishes)
    }

    /// Sleeps while `calm` holds, at most `time`.
    pub(super) fn pause<'a>(
        &self,
        wishes: MutexGuard<'a, Wishes>,
        time: Duration,
        calm: fn(&Wishes) -> bool,
    ) -> MutexGuard<'a, Wishes> {
        let (wishes, _) = self
            .changed
            .wait_timeout_while(wishes, time, |wishes| calm(wishes))
            .unwrap_or_else(PoisonError::into_inner);
        wishes
    }

    /// Sleeps until `wanted` holds.
    pub(super) fn pause_until<'a>(
        &self,
        wishes: MutexGuard<'a, Wishes>,
        wanted: fn(&Wishes) -> bool,
    ) -> MutexGuard<'a, Wishes> {
        self.changed.wait_while(wishes, |wishes| !wanted(wishes)).unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends all lines to `batch`. Lines pushed after this wake the writer again.
    pub(super) fn take(&self, batch: &mut Vec<u8>, spare: &mut Vec<u8>) {
        self.woken.store(false, Ordering::SeqCst);
        for shard in &self.shards {
            std::mem::swap(&mut *locked(shard), spare);
            batch.append(spare);
            // A burst's memory is given back.
            if spare.capacity() > KEPT {
                *spare = Vec::new();
            }
        }
    }

    /// Notes that bytes were written.
    pub(super) fn left(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Notes that the writer has bytes to write that did not come from a shard.
    pub(super) fn added(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Capacity that an emptied buffer may keep, in bytes.
pub(super) const KEPT: usize = 256 * 1024;

/// A number of this thread, counted from 0.
fn own_place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed));
    PLACE.try_with(|place| *place).unwrap_or(0)
}

/// A buffer of bytes is whole after any panic: each line is cut back by its writer or complete.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
