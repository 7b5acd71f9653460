//! What an instance says outside of the protocol: to the operator's log, at a bounded rate and without its secrets,
//! and to whoever follows it. The last lines are kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::broadcast;

use crate::masks::Masks;

/// Bytes of one line that are read; what is longer is cut.
const READ: usize = 64 << 10;
/// Bytes of one line that are shown, after secrets were masked.
const SHOWN: usize = 4 << 10;
/// Lines that are kept of one instance, and their bytes.
const KEPT_LINES: usize = 1000;
const KEPT_BYTES: usize = 256 << 10;
/// Lines a second that reach the operator's log, and how many may come at once.
const RATE: f64 = 50.0;
const BURST: f64 = 500.0;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Its error output.
    Stderr,
    /// Its output, where that is no message.
    Stdout,
    /// This program, about it.
    Runtime,
}

impl Source {
    /// `stderr`, `stdout`, `runtime`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stderr => "stderr",
            Self::Stdout => "stdout",
            Self::Runtime => "runtime",
        }
    }
}

/// One line, fit to be shown: no secret that the instance was given, no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The instance.
    pub instance: Box<str>,
    /// Where it came from.
    pub source: Source,
    /// The text.
    pub line: Box<str>,
}

/// The log of one instance.
pub struct Log {
    server: Box<str>,
    instance: Box<str>,
    masks: Arc<Masks>,
    state: Mutex<State>,
    followers: broadcast::Sender<Arc<Said>>,
}

struct State {
    kept: VecDeque<Arc<Said>>,
    bytes: usize,
    allowance: f64,
    refilled: Instant,
    left_out: u64,
}

impl Log {
    /// An empty log.
    pub fn new(server: &str, instance: &str, masks: Arc<Masks>) -> Arc<Self> {
        let state = State {
            kept: VecDeque::new(),
            bytes: 0,
            allowance: BURST,
            refilled: Instant::now(),
            left_out: 0,
        };
        Arc::new(Self {
            server: server.into(),
            instance: instance.into(),
            masks,
            state: Mutex::new(state),
            followers: broadcast::channel(256).0,
        })
    }

    /// The server that it is of.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The instance that it is of.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Takes one line.
    pub fn line(&self, source: Source, bytes: &[u8]) {
        let read = bytes.get(..bytes.len().min(READ)).unwrap_or_default();
        let text = String::from_utf8_lossy(read);
        // Masked before it is cut: half a secret is one, too.
        let line = shown(&self.masks.mask(text.trim_end()));
        let said = Arc::new(Said { instance: self.instance.clone(), source, line });
        let Ok(mut state) = self.state.lock() else { return };
        state.keep(said.clone());
        let admitted = state.admitted(Instant::now());
        drop(state);
        // Without a follower there is nobody to tell.
        let _ = self.followers.send(said.clone());
        let (server, instance, stream) = (&*self.server, &*self.instance, source.name());
        if let Some(left_out) = admitted {
            if left_out > 0 {
                tracing::warn!(target: "safeconduct::server", server, instance, left_out, "lines left out: it says too much");
            }
            tracing::info!(target: "safeconduct::server", server, instance, stream, "{}", said.line);
        }
    }

    /// The lines that are kept, and those that will come. A follower that is too slow loses the oldest.
    pub fn follow(&self) -> (Vec<Arc<Said>>, broadcast::Receiver<Arc<Said>>) {
        let Ok(state) = self.state.lock() else { return (Vec::new(), self.followers.subscribe()) };
        // Both under the lock, so that no line is missed or told twice.
        (state.kept.iter().cloned().collect(), self.followers.subscribe())
    }

    /// The last line that it said, for a report of its end.
    pub fn last(&self) -> Option<Arc<Said>> {
        let state = self.state.lock().ok()?;
        state.kept.iter().rev().find(|said| said.source != Source::Runtime).cloned()
    }

    /// Reads a stream to its end, line by line.
    pub async fn drain(&self, source: Source, mut from: impl AsyncRead + Unpin) {
        let mut line = Vec::new();
        let mut chunk = vec![0; 8 << 10];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            let mut rest = chunk.get(..count).unwrap_or_default();
            while let Some(end) = memchr::memchr(b'\n', rest) {
                let (piece, after) = rest.split_at(end);
                push(&mut line, piece);
                self.line(source, &line);
                line.clear();
                rest = after.get(1..).unwrap_or_default();
            }
            push(&mut line, rest);
        }
        if !line.is_empty() {
            self.line(source, &line);
        }
    }
}

impl State {
    fn keep(&mut self, said: Arc<Said>) {
        self.bytes += said.line.len();
        self.kept.push_back(said);
        while self.kept.len() > KEPT_LINES || self.bytes > KEPT_BYTES {
            let Some(gone) = self.kept.pop_front() else { break };
            self.bytes -= gone.line.len();
        }
    }

    /// Whether the operator's log takes a line now, and how many it did not take before.
    fn admitted(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        self.allowance = (self.allowance + passed * RATE).min(BURST);
        if self.allowance < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.allowance -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

fn push(line: &mut Vec<u8>, piece: &[u8]) {
    let room = READ.saturating_sub(line.len());
    line.extend_from_slice(piece.get(..piece.len().min(room)).unwrap_or_default());
}

/// At most [`SHOWN`] bytes, control characters escaped: a log is read on terminals.
fn shown(text: &str) -> Box<str> {
    let mut out = String::with_capacity(text.len().min(SHOWN));
    for character in text.chars() {
        if out.len() >= SHOWN {
            out.push('…');
            break;
        }
        if character.is_control() && character != '\t' {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use safeconduct_core::secret::Secret;

    use super::{BURST, KEPT_BYTES, KEPT_LINES, Log, SHOWN, Source};
    use crate::masks::Masks;

    fn log() -> Arc<Log> {
        let masks = Masks::default();
        masks.add(&Secret::new(b"canary-secret-canary".to_vec()));
        Log::new("orders", "orders-1", Arc::new(masks))
    }

    fn lines(log: &Log) -> Vec<String> {
        log.follow().0.iter().map(|said| said.line.to_string()).collect()
    }

    /// Row: S1
    #[tokio::test]
    async fn error_output_is_kept_line_by_line_without_secrets_and_control_characters() {
        let log = log();
        let text = b"starting\nmy token is canary-secret-canary!\n\x1b[2Jred\x07\nno line end";
        log.drain(Source::Stderr, &text[..]).await;
        assert_eq!(lines(&log), ["starting", "my token is [secret]!", "\\u{1b}[2Jred\\u{7}", "no line end"]);
        assert_eq!(log.last().unwrap().source, Source::Stderr);
    }

    #[test]
    fn a_secret_is_masked_also_where_the_line_is_cut() {
        let log = log();
        let line = format!("{}canary-secret-canary", "x".repeat(SHOWN - 6));
        log.line(Source::Stdout, line.as_bytes());
        assert!(!lines(&log)[0].contains("canary"));
    }

    #[test]
    fn a_flood_is_bounded_and_the_last_lines_stay() {
        let log = log();
        for number in 0..5000 {
            log.line(Source::Stderr, format!("{number} {}", "x".repeat(200)).as_bytes());
        }
        let kept = lines(&log);
        assert!(kept.len() <= KEPT_LINES && kept.iter().map(String::len).sum::<usize>() <= KEPT_BYTES);
        assert!(kept.last().unwrap().starts_with("4999 "));
    }

    #[test]
    fn the_operators_log_takes_a_burst_and_then_its_rate_and_says_what_it_left_out() {
        let log = log();
        let mut state = log.state.lock().unwrap();
        let start = Instant::now();
        state.refilled = start;
        let taken = (0..5000).filter(|_| state.admitted(start).is_some()).count();
        assert_eq!(taken, BURST as usize);
        let later = start + Duration::from_secs(1);
        assert_eq!(state.admitted(later), Some(4500));
        assert_eq!(state.admitted(later), Some(0));
    }

    #[tokio::test]
    async fn a_follower_gets_what_was_said_and_what_will_be() {
        let log = log();
        log.line(Source::Stderr, b"before");
        let (before, mut after) = log.follow();
        log.line(Source::Stderr, b"after");
        assert_eq!(&*before[0].line, "before");
        assert_eq!(&*after.recv().await.unwrap().line, "after");
    }
}
