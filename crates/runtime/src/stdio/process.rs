//! One running process: its pumps, what was asked of it and not answered yet, and its end.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::Sharing;
use super::frame::{Line, Lines, framed, unbroken};
use super::message;
use super::table::{Asked, Table};
use crate::engine::{Exit, Instance, Pipes};
use crate::launch::Ladder;
use crate::logs::{Log, Source};

/// Bytes that may wait to be read by the process.
const UNREAD: usize = 8 << 20;
/// How long one who asks waits for a process that reads nothing.
const INPUT_PATIENCE: Duration = Duration::from_secs(30);
/// How long output is still read after the process has ended: what it started may hold its output open.
const LATE_OUTPUT: Duration = Duration::from_secs(1);

/// A line to be written, and the room that it takes until it is.
type Queued = (Vec<u8>, OwnedSemaphorePermit);

/// A process that was started and that nobody has spoken to yet.
pub struct Spawned {
    /// What runs.
    pub instance: Arc<dyn Instance>,
    /// Its standard streams.
    pub pipes: Pipes,
    /// Its log.
    pub log: Arc<Log>,
    /// Let go of when it is gone: permits, what was delivered to it.
    pub kept: Box<dyn Any + Send + Sync>,
}

/// What all processes of one bridge have in common.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) runtime: Handle,
    pub(super) sharing: Sharing,
    pub(super) ladder: Ladder,
    /// Longest line that is read, in bytes.
    pub(super) longest: usize,
    /// Numbers that no two of its requests, streams and processes share.
    pub(super) numbers: Arc<AtomicU64>,
}

impl Common {
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// A running process.
pub(super) struct Process {
    pub(super) number: u64,
    pub(super) common: Common,
    pub(super) log: Arc<Log>,
    instance: Arc<dyn Instance>,
    input: Mutex<Option<mpsc::UnboundedSender<Queued>>>,
    room: Arc<Semaphore>,
    table: Mutex<Table>,
    over: watch::Sender<Option<Arc<str>>>,
    /// All that was kept for it is let go of.
    gone: watch::Sender<bool>,
    used: Mutex<Instant>,
    /// What it said of itself when it was opened.
    pub(super) opened: OnceLock<Opened>,
    /// `notifications/initialized` was sent.
    pub(super) initialized: AtomicBool,
    /// As often as somebody needs it beyond requests.
    held: Arc<()>,
}

/// What a process said of itself when it was opened, by its era.
#[derive(Clone, Debug)]
pub(super) enum Opened {
    /// The answer to `initialize`.
    Handshake(Bytes),
    /// The answer to `server/discover`.
    Discovery(Bytes),
}

/// It is not there any more; why, in words for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Over(pub(super) Arc<str>);

impl Process {
    /// Begins to read and write.
    pub(super) fn run(common: Common, spawned: Spawned) -> Arc<Self> {
        let Spawned { instance, pipes, log, kept } = spawned;
        let (input, queue) = mpsc::unbounded_channel();
        let process = Arc::new(Self {
            number: common.number(),
            log: log.clone(),
            instance,
            input: Mutex::new(Some(input)),
            room: Arc::new(Semaphore::new(UNREAD)),
            table: Mutex::default(),
            over: watch::Sender::new(None),
            gone: watch::Sender::new(false),
            used: Mutex::new(Instant::now()),
            opened: OnceLock::new(),
            initialized: AtomicBool::new(false),
            held: Arc::default(),
            common,
        });
        let runtime = &process.common.runtime;
        runtime.spawn(write(queue, pipes.stdin, process.over.subscribe()));
        runtime.spawn(async move { log.drain(Source::Stderr, pipes.stderr).await });
        runtime.spawn(process.clone().read(pipes.stdout, kept));
        process
    }

    /// The instance's name.
    pub(super) fn name(&self) -> &str {
        self.log.instance()
    }

    /// It speaks a revision with a handshake.
    pub(super) fn has_handshake(&self) -> bool {
        matches!(self.opened.get(), Some(Opened::Handshake(_)))
    }

    /// Why it is over; None while it runs.
    pub(super) fn ended(&self) -> Option<Over> {
        self.over.borrow().clone().map(Over)
    }

    /// Waits for its end.
    pub(super) async fn end(&self) -> Over {
        let mut over = self.over.subscribe();
        let reason = over.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        Over(reason.unwrap_or_default())
    }

    /// How many requests are not answered yet, and since when nobody used it.
    pub(super) fn activity(&self) -> (usize, Instant) {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        (self.table().busy() + Arc::strong_count(&self.held) - 1, used)
    }

    /// It is not idle for as long as this is kept.
    pub(super) fn hold(&self) -> Arc<()> {
        self.held.clone()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// It is over, or did not read for too long.
    pub(super) async fn write(&self, message: &[u8]) -> Result<(), Over> {
        let line = framed(message);
        self.touch();
        let size = u32::try_from(line.len().min(UNREAD)).unwrap_or(u32::MAX);
        let room = tokio::time::timeout(INPUT_PATIENCE, self.room.clone().acquire_many_owned(size));
        let Ok(Ok(permit)) = room.await else {
            return Err(Over("The server does not read its input.".into()));
        };
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = input.as_ref().is_some_and(|input| input.send((line, permit)).is_ok());
        drop(input);
        if sent { Ok(()) } else { Err(self.ended().unwrap_or_else(|| Over("The server has ended.".into()))) }
    }

    /// Sends a message later, from where nothing can be awaited.
    pub(super) fn write_soon(self: &Arc<Self>, message: Bytes) {
        let process = self.clone();
        // When it is over, nobody is there to be told.
        self.common.runtime.spawn(async move { drop(process.write(&message).await) });
    }

    /// Ends it, politely at first. Whatever is not answered yet is answered with `reason`.
    pub(super) async fn stop(&self, reason: &str) {
        self.finish(reason.into());
        self.take_away().await;
        let mut gone = self.gone.subscribe();
        // The reader sees the end of the output, or has waited for it long enough.
        let _ = tokio::time::timeout(2 * LATE_OUTPUT, gone.wait_for(|gone| *gone)).await;
    }

    async fn take_away(&self) {
        // What could not be taken away was said by the engine.
        if let Err(error) = self.instance.stop(self.common.ladder).await {
            self.log.line(Source::Runtime, error.to_string().as_bytes());
        }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    async fn read(self: Arc<Self>, stdout: impl AsyncRead + Unpin, kept: Box<dyn Any + Send + Sync>) {
        let mut lines = Lines::new(stdout, self.common.longest);
        let ended = self.instance.ended();
        tokio::pin!(ended);
        let late = tokio::time::sleep(Duration::MAX);
        tokio::pin!(late);
        let mut exit = None;
        loop {
            tokio::select! {
                biased;
                line = lines.next() => match line {
                    Ok(Some(line)) => self.line(line).await,
                    _ => break,
                },
                end = &mut ended, if exit.is_none() => {
                    exit = Some(end.ok());
                    late.as_mut().reset(tokio::time::Instant::now() + LATE_OUTPUT);
                }
                () = &mut late, if exit.is_some() => break,
            }
        }
        if exit.is_none() {
            // Whoever closes its output is about to exit; why is worth a moment.
            exit = tokio::time::timeout(LATE_OUTPUT, &mut ended).await.ok().map(Result::ok);
        }
        let reason = exit.flatten().map_or_else(|| "it closed its output".into(), |exit| words(&exit));
        self.finish(format!("The server ended before it answered: {reason}.").into());
        self.take_away().await;
        drop(kept);
        self.gone.send_replace(true);
    }

    async fn line(self: &Arc<Self>, line: Line) {
        self.touch();
        match line {
            Line::Whole(text) if text.trim_ascii().is_empty() => {}
            Line::Whole(text) => self.take(unbroken(text)).await,
            Line::TooLong { length, id, start } => {
                self.log.line(Source::Runtime, format!("a line of {length} bytes was dropped").as_bytes());
                self.log.line(Source::Stdout, &start);
                let asked =
                    id.and_then(|id| id.parse().ok()).and_then(|number| self.table().asked.remove(&number));
                if let Some(asked) = asked {
                    let said = "The server's answer was too long.";
                    asked.stream.answer(message::error(&asked.reply_id, message::INTERNAL, said));
                }
            }
        }
    }

    /// Nothing more is asked of it; what is not answered yet is answered with `reason`.
    pub(super) fn finish(&self, reason: Arc<str>) {
        self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.over.borrow().is_some() {
            return;
        }
        let unanswered = self.table().close();
        self.over.send_replace(Some(reason.clone()));
        for Asked { reply_id, stream, .. } in unanswered {
            stream.answer(message::error(&reply_id, message::INTERNAL, &reason));
        }
    }
}

async fn write(
    mut queue: mpsc::UnboundedReceiver<Queued>,
    mut stdin: impl AsyncWrite + Unpin,
    mut over: watch::Receiver<Option<Arc<str>>>,
) {
    while let Some((line, _room)) = queue.recv().await {
        let written = async {
            stdin.write_all(&line).await?;
            stdin.flush().await
        };
        tokio::select! {
            biased;
            _ = over.wait_for(Option::is_some) => break,
            written = written => if written.is_err() { break },
        }
    }
    // Dropped here: the process sees the end of its input.
}

fn words(exit: &Exit) -> String {
    match exit {
        Exit { out_of_memory: true, .. } => "it used more memory than it may".into(),
        Exit { code: Some(code), .. } => format!("exit code {code}"),
        Exit { code: None, .. } => "a signal ended it".into(),
    }
}
