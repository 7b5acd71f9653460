//! The one thread that writes: gathers for at most 5 ms, writes, and keeps what it could not write.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{io, mem};

use super::buffer::{Buffer, KEPT, Wishes};
use super::clock::Clock;
use super::line;
use super::target::{Output, Target};

/// Longest time that a line waits for company.
const GATHER: Duration = Duration::from_millis(5);
/// Between two attempts on a file that cannot be written.
const RETRY: Duration = Duration::from_millis(100);
/// How often the log is told that it still cannot be written.
const REMIND: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    buffer: Arc<Buffer>,
    clock: Arc<dyn Clock>,
    target: Target,
    output: Output,
    /// Lines in hand; those before `done` are written.
    batch: Vec<u8>,
    done: usize,
    spare: Vec<u8>,
    told: Option<Instant>,
}

impl Writer {
    pub(super) fn new(buffer: Arc<Buffer>, clock: Arc<dyn Clock>, target: Target, output: Output) -> Self {
        let (batch, spare) = (Vec::new(), Vec::new());
        Self { buffer, clock, target, output, batch, done: 0, spare, told: None }
    }

    /// Writes until it is asked to stop; then once more.
    pub(super) fn run(mut self) {
        loop {
            let Turn { reopen, stop } = self.wait();
            if reopen {
                self.reopen();
            }
            let ticket = self.buffer.last_ticket();
            let awaited = ticket > self.buffer.progress.borrow().durable;
            self.buffer.take(&mut self.batch, &mut self.spare);
            match self.attempt(awaited) {
                Ok(()) => self.succeeded(ticket),
                Err(error) => self.failed(&error, ticket),
            }
            if stop {
                break;
            }
        }
    }

    /// Writes what is in hand, then how much is missing; losses are told only when there is somebody to tell.
    fn attempt(&mut self, awaited: bool) -> io::Result<()> {
        self.write_all()?;
        let lost = self.buffer.untold.swap(0, Ordering::Relaxed);
        if lost > 0 {
            // Lines made before the losses stand before their count.
            self.buffer.take(&mut self.batch, &mut self.spare);
            let before = self.batch.len();
            line::write_lost(&mut self.batch, lost, self.clock.now());
            self.buffer.added(self.batch.len() - before);
            self.write_all()?;
        }
        if awaited { self.output.sync() } else { Ok(()) }
    }

    /// Waits for lines, then for more of them; returns early for who is in a hurry, and while the file cannot be
    /// written, after a pause.
    fn wait(&self) -> Turn {
        let buffer = &self.buffer;
        let mut wishes = buffer.wishes();
        if buffer.failing.load(Ordering::Relaxed) {
            wishes = buffer.pause(wishes, RETRY, |wishes| !(wishes.reopen || wishes.stop));
        } else {
            wishes = buffer.pause_until(wishes, Wishes::any);
            wishes = buffer.pause(wishes, GATHER, |wishes| !(wishes.hurry || wishes.reopen || wishes.stop));
        }
        let taken = mem::take(&mut *wishes);
        Turn { reopen: taken.reopen, stop: taken.stop }
    }

    /// Writes what is in hand. What is left after an error stays in hand.
    fn write_all(&mut self) -> io::Result<()> {
        while let Some(rest) = self.batch.get(self.done..).filter(|rest| !rest.is_empty()) {
            match self.output.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.done += count;
                    self.buffer.left(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn succeeded(&mut self, ticket: u64) {
        self.batch.clear();
        self.done = 0;
        if self.batch.capacity() > KEPT {
            self.batch = Vec::new();
        }
        if self.buffer.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the audit log can be written again");
            self.told = None;
        }
        self.buffer.progress.send_if_modified(|progress| {
            let moved = progress.durable < ticket;
            progress.durable = progress.durable.max(ticket);
            moved
        });
    }

    fn failed(&mut self, error: &io::Error, ticket: u64) {
        self.buffer.failing.store(true, Ordering::Relaxed);
        if self.told.is_none_or(|told| told.elapsed() >= REMIND) {
            tracing::error!(%error, waiting = self.buffer.bytes(), "the audit log cannot be written");
            self.told = Some(Instant::now());
        }
        if self.done == self.batch.len() && self.done > 0 {
            // Written but not made durable: what the disk holds is not known, so all of it is written again.
            // A line that stands there twice has the same id twice.
            self.buffer.added(self.done);
            self.done = 0;
        }
        self.buffer.progress.send_if_modified(|progress| {
            let moved = progress.failed < ticket;
            progress.failed = progress.failed.max(ticket);
            moved
        });
    }

    /// Opens the target anew, after a rotation. The old file keeps whole lines, and the new one begins with one.
    fn reopen(&mut self) {
        match Output::open(&self.target) {
            Ok(Some(output)) => {
                if self.buffer.last_ticket() > self.buffer.progress.borrow().durable {
                    // Best effort: what somebody waits for may stand in the old file.
                    let _ = self.output.sync();
                }
                self.output = output;
                let written = self.batch.get(..self.done).unwrap_or_default();
                let line_start = memchr::memrchr(b'\n', written).map_or(0, |end| end + 1);
                self.buffer.added(self.done - line_start);
                self.done = line_start;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "the audit log cannot be reopened; the old file stays in use");
            }
        }
    }
}

impl Drop for Writer {
    /// Counts what is still in hand as lost, and says that there will be nothing more.
    fn drop(&mut self) {
        let rest = self.batch.get(self.done..).unwrap_or_default();
        let lines = memchr::memchr_iter(b'\n', rest).count() as u64;
        self.buffer.lost.fetch_add(lines, Ordering::Relaxed);
        let lost = lines + self.buffer.untold.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::error!(lost, "audit lines could not be written before the end");
        }
        self.buffer.progress.send_modify(|progress| progress.ended = true);
    }
}

struct Turn {
    reopen: bool,
    stop: bool,
}
