//! The audit log: lines are made on the request's thread into memory, and written by a thread of their own.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use safeconduct_core::audit::{Record, Sink};
use safeconduct_core::refusal::Reason;
use safeconduct_core::time::Timestamp;

use super::buffer::Buffer;
use super::clock::Clock;
use super::line::{self, Arguments};
use super::target::{Output, Target};
use super::writer::Writer;

/// What happens when lines cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// No further request is admitted until they can.
    #[default]
    Deny,
    /// Requests are served; the lines that do not fit in memory are counted, and the count is written.
    Continue,
}

/// When a line reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Flush {
    /// Written within 5 ms; the operating system brings it to the disk when it likes.
    #[default]
    Batch,
    /// On the disk (fdatasync) before the caller has the answer.
    BeforeAnswer,
}

/// How the audit log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where.
    pub target: Target,
    /// What of the arguments is written.
    pub arguments: Arguments,
    /// When a line reaches the disk.
    pub flush: Flush,
    /// What happens when it cannot.
    pub on_failure: OnFailure,
    /// Lines not yet written may fill so many bytes; requests in flight when that is reached may add as much again.
    pub buffer: usize,
}

impl Settings {
    /// The defaults for a target: digests, batches, deny, 16 MiB (half a second of lines at the rates of docs/performance.md).
    pub fn new(target: Target) -> Self {
        Self {
            target,
            arguments: Arguments::default(),
            flush: Flush::default(),
            on_failure: OnFailure::default(),
            buffer: 16 << 20,
        }
    }
}

/// A record is not on disk, and it is not known when it will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct NotDurable;

/// Lines that had not been written when the log was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{lost} audit lines were lost, and {waiting} bytes of them not written at the end")]
pub struct Unwritten {
    /// Lines lost since the start.
    pub lost: u64,
    /// Bytes in memory at the end.
    pub waiting: usize,
}

/// The state of the log, for metrics and readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// Bytes not yet written.
    pub waiting: usize,
    /// Lines lost since the start.
    pub lost: u64,
    /// False while the last attempt to write has failed.
    pub writable: bool,
}

/// The audit log; see the module.
pub struct FileSink {
    settings: Settings,
    clock: Arc<dyn Clock>,
    buffer: Arc<Buffer>,
    closed: AtomicBool,
    /// Hangs up when the writer has ended. None when there is nothing to write to.
    ended: Option<Mutex<mpsc::Receiver<()>>>,
}

impl FileSink {
    /// Opens the target and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread can be started.
    pub fn open(settings: Settings, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let buffer = Arc::new(Buffer::new(threads.min(64), settings.buffer / 4));
        let ended = match Output::open(&settings.target)? {
            None => None,
            Some(output) => {
                let writer = Writer::new(buffer.clone(), clock.clone(), settings.target.clone(), output);
                let (alive, ended) = mpsc::channel();
                std::thread::Builder::new().name("audit".into()).spawn(move || {
                    let _alive = alive;
                    writer.run();
                })?;
                Some(Mutex::new(ended))
            }
        };
        Ok(Self { settings, clock, buffer, closed: AtomicBool::new(false), ended })
    }

    /// Whether another request may be admitted. When not, it is refused with [`Reason::AuditUnavailable`].
    pub fn room(&self) -> bool {
        match self.settings.on_failure {
            OnFailure::Continue => true,
            OnFailure::Deny => {
                self.buffer.bytes() < self.settings.buffer && !self.buffer.failing.load(Ordering::Relaxed)
            }
        }
    }

    /// Waits until every record written before this call is on disk. Calls that wait together share one sync.
    ///
    /// # Errors
    /// When an attempt to write it has failed. It is tried again, so the line may still come.
    pub async fn durable(&self) -> Result<(), NotDurable> {
        if self.ended.is_none() {
            return Ok(());
        }
        let mut progress = self.buffer.progress.subscribe();
        let ticket = self.buffer.ticket();
        let reached = progress
            .wait_for(|progress| progress.durable >= ticket || progress.failed >= ticket || progress.ended)
            .await
            .map_err(|_| NotDurable)?;
        if reached.durable >= ticket { Ok(()) } else { Err(NotDurable) }
    }

    /// What the configuration asks for between a closed record and its answer: [`FileSink::durable`] with
    /// `flush: before_answer`, nothing with `batch`. With `on_failure: continue` an answer is not held back for a
    /// log that cannot be written.
    ///
    /// # Errors
    /// As [`FileSink::durable`].
    pub async fn settle(&self) -> Result<(), NotDurable> {
        match (self.settings.flush, self.settings.on_failure) {
            (Flush::Batch, _) => Ok(()),
            (Flush::BeforeAnswer, OnFailure::Deny) => self.durable().await,
            (Flush::BeforeAnswer, OnFailure::Continue) => {
                let _ = self.durable().await;
                Ok(())
            }
        }
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Opens the file again by its name, after a rotation.
    pub fn reopen(&self) {
        self.buffer.wish(|wishes| wishes.reopen = true);
    }

    /// Its state.
    pub fn gauge(&self) -> Gauge {
        Gauge {
            waiting: self.buffer.bytes(),
            lost: self.buffer.lost.load(Ordering::Relaxed),
            writable: !self.buffer.failing.load(Ordering::Relaxed) && !self.closed.load(Ordering::Relaxed),
        }
    }

    /// Writes what there is, waiting for it at most `within`, and ends the writer. Blocks; to be called last.
    ///
    /// # Errors
    /// When lines were lost, now or before.
    pub fn close(&self, within: Duration) -> Result<(), Unwritten> {
        self.closed.store(true, Ordering::Relaxed);
        if let Some(ended) = &self.ended {
            self.buffer.wish(|wishes| wishes.stop = true);
            let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            // Nothing is ever sent: it ends by hanging up, or by the time.
            let _ = ended.recv_timeout(within);
        }
        let Gauge { lost, waiting, .. } = self.gauge();
        if lost == 0 && waiting == 0 { Ok(()) } else { Err(Unwritten { lost, waiting }) }
    }

    /// In-flight calls may go over the bound, as they were admitted when there was room; a refusal that says
    /// that there is no room may not, or refusals alone would fill the memory.
    fn keeps(&self, record: &Record) -> bool {
        let bound = match self.settings.on_failure {
            OnFailure::Deny if record.code != Some(Reason::AuditUnavailable.code()) => {
                self.settings.buffer * 2
            }
            _ => self.settings.buffer,
        };
        self.buffer.bytes() < bound && !self.closed.load(Ordering::Relaxed)
    }
}

impl Sink for FileSink {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn write(&self, record: &Record) {
        if self.ended.is_none() {
            return;
        }
        if self.keeps(record) {
            let now = self.clock.now();
            self.buffer.push(|out| line::write(out, record, self.settings.arguments, now));
        } else {
            self.buffer.lose();
        }
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if !self.closed.load(Ordering::Relaxed) {
            // What was lost is in the log already.
            let _ = self.close(Duration::from_secs(1));
        }
    }
}
