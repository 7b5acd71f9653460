//! What goes to one client on one HTTP response, in order: bounded, and kept for a while where the client may come
//! back for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

/// Bytes that wait for a reader before whoever sends has to wait, too.
const WAITING: usize = 4 << 20;
/// Bytes that were read and are kept for a reader that comes back.
const KEPT: usize = 256 << 10;
/// Bytes that wait for a reader that may never come; the oldest message goes first.
const UNHEARD: usize = 256 << 10;

/// One message on its way to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The message, with the client's own ids.
    pub(super) text: Bytes,
    /// It answers the request that the stream is for: nothing follows.
    pub(super) last: bool,
}

/// A sequence of messages with one reader at a time.
pub(super) struct Stream {
    number: u64,
    kept: bool,
    /// It may never have a reader: nobody waits for one.
    unheard: bool,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

struct State {
    /// Number of the first of `messages`.
    first: u64,
    messages: VecDeque<Item>,
    bytes: usize,
    /// Number of the first message that no reader has taken.
    unread: u64,
    /// Bytes from there on.
    waiting: usize,
    ended: bool,
    /// Which reader may read.
    reader: u64,
}

impl Stream {
    /// `kept`: its reader may come back and read again.
    pub(super) fn new(number: u64, kept: bool) -> Arc<Self> {
        Self::build(number, kept, false)
    }

    /// One that may never have a reader.
    pub(super) fn unheard(number: u64) -> Arc<Self> {
        Self::build(number, true, true)
    }

    fn build(number: u64, kept: bool, unheard: bool) -> Arc<Self> {
        let state = State {
            first: 0,
            messages: VecDeque::new(),
            bytes: 0,
            unread: 0,
            waiting: 0,
            ended: false,
            reader: 0,
        };
        Arc::new(Self { number, kept, unheard, state: Mutex::new(state), changed: watch::Sender::default() })
    }

    /// Its number, the first part of event ids.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Adds a message; waits up to `patience` while a slow reader has too much before it. False when it did not
    /// find room: the stream has ended then.
    pub(super) async fn push(&self, message: Bytes, patience: Duration) -> bool {
        if self.unheard {
            return self.offer(message);
        }
        let mut changed = self.changed.subscribe();
        let room = async {
            loop {
                if self.lock().has_room() || changed.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(patience, room).await.is_err() {
            self.end();
            return false;
        }
        self.put(message);
        true
    }

    /// Adds a message whatever waits already.
    pub(super) fn put(&self, message: Bytes) {
        self.lock().add(Item { text: message, last: false }, self.kept);
        self.changed.send_replace(());
    }

    /// Adds the answer, whatever waits already, and ends.
    pub(super) fn answer(&self, message: Bytes) {
        let mut state = self.lock();
        state.add(Item { text: message, last: true }, self.kept);
        state.ended = true;
        drop(state);
        self.changed.send_replace(());
    }

    /// Adds a message if there is room at once. Where nobody may ever read, the oldest makes room.
    pub(super) fn offer(&self, message: Bytes) -> bool {
        let mut state = self.lock();
        if self.unheard {
            state.make_room(UNHEARD);
        }
        let room = state.has_room() && !state.ended;
        if room {
            state.add(Item { text: message, last: false }, self.kept);
        }
        drop(state);
        self.changed.send_replace(());
        room
    }

    /// Nothing more will come.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.send_replace(());
    }

    /// True when nothing more will come.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// True while somebody reads.
    pub(super) fn is_read(&self) -> bool {
        self.changed.receiver_count() > 0
    }

    /// Reads on where the last reader stopped; that one gets nothing more.
    pub(super) fn reader(self: &Arc<Self>) -> Reader {
        let mut state = self.lock();
        state.reader += 1;
        let (reader, next) = (state.reader, state.unread);
        drop(state);
        self.changed.send_replace(());
        Reader { stream: self.clone(), changed: self.changed.subscribe(), reader, next }
    }

    /// Reads again from a message on, as far as they are kept.
    pub(super) fn reader_from(self: &Arc<Self>, message: u64) -> Reader {
        let mut reader = self.reader();
        reader.next = message.min(reader.next);
        reader
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.ended || self.waiting < WAITING
    }

    fn make_room(&mut self, most: usize) {
        while self.waiting >= most {
            let Some(gone) = self.messages.pop_front() else { break };
            self.bytes -= gone.text.len();
            if self.first >= self.unread {
                self.waiting -= gone.text.len();
                self.unread = self.first + 1;
            }
            self.first += 1;
        }
    }

    fn add(&mut self, item: Item, kept: bool) {
        if self.ended {
            return;
        }
        self.bytes += item.text.len();
        self.waiting += item.text.len();
        self.messages.push_back(item);
        self.forget(kept);
    }

    fn take(&mut self, number: u64, kept: bool) -> Option<(u64, Item)> {
        // What is no longer kept is skipped: the reader came back too late.
        let number = number.max(self.first);
        let place = usize::try_from(number - self.first).ok()?;
        let item = self.messages.get(place)?.clone();
        if number >= self.unread {
            self.unread = number + 1;
            self.waiting = self.waiting.saturating_sub(item.text.len());
        }
        self.forget(kept);
        Some((number, item))
    }

    fn forget(&mut self, kept: bool) {
        let allowed = if kept { KEPT } else { 0 };
        while self.first < self.unread && self.bytes - self.waiting > allowed {
            let Some(gone) = self.messages.pop_front() else { break };
            self.bytes -= gone.text.len();
            self.first += 1;
        }
    }
}

/// Reads a stream.
pub(super) struct Reader {
    stream: Arc<Stream>,
    changed: watch::Receiver<()>,
    reader: u64,
    next: u64,
}

impl Reader {
    /// The next message with its number; None at the end, and when another reader took over.
    pub(super) async fn next(&mut self) -> Option<(u64, Item)> {
        loop {
            self.changed.borrow_and_update();
            {
                let mut state = self.stream.lock();
                if state.reader != self.reader {
                    return None;
                }
                if let Some(taken) = state.take(self.next, self.stream.kept) {
                    drop(state);
                    self.next = taken.0 + 1;
                    self.stream.changed.send_replace(());
                    return Some(taken);
                }
                if state.ended {
                    return None;
                }
            }
            self.changed.changed().await.ok()?;
        }
    }

    /// The stream that is read.
    pub(super) fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::{Item, KEPT, Stream, UNHEARD, WAITING};

    const AT_ONCE: Duration = Duration::ZERO;

    fn at(number: u64, text: &'static str) -> Option<(u64, Item)> {
        Some((number, Item { text: text.into(), last: false }))
    }

    #[tokio::test]
    async fn messages_are_read_in_order_and_again_from_any_on() {
        let stream = Stream::new(3, true);
        for text in ["a", "b", "c"] {
            assert!(stream.push(text.into(), AT_ONCE).await);
        }
        let mut reader = stream.reader();
        assert_eq!(reader.next().await, at(0, "a"));
        assert_eq!(reader.next().await, at(1, "b"));
        let mut again = stream.reader_from(1);
        assert_eq!(reader.next().await, None, "another reader took over");
        assert_eq!(again.next().await, at(1, "b"));
        stream.end();
        assert_eq!(again.next().await, at(2, "c"));
        assert_eq!(again.next().await, None);
    }

    #[tokio::test]
    async fn a_reader_that_comes_after_another_reads_only_what_is_new() {
        let stream = Stream::new(0, true);
        stream.put("a".into());
        drop(stream.reader().next().await);
        stream.put("b".into());
        assert_eq!(stream.reader().next().await, at(1, "b"));
    }

    #[tokio::test]
    async fn a_sender_waits_for_a_slow_reader_and_goes_on_when_it_reads() {
        let stream = Stream::new(0, false);
        let mut reader = stream.reader();
        let half = Bytes::from(vec![b'x'; WAITING / 2]);
        assert!(stream.push(half.clone(), AT_ONCE).await && stream.push(half.clone(), AT_ONCE).await);
        assert!(!stream.offer("more".into()));
        let waiting = {
            let stream = stream.clone();
            tokio::spawn(async move { stream.push("more".into(), Duration::from_secs(60)).await })
        };
        assert_eq!(reader.next().await.unwrap().1.text, half);
        assert!(waiting.await.unwrap());
        drop(reader.next().await);
        assert_eq!(reader.next().await, at(2, "more"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_never_reads_loses_its_stream_and_nothing_else() {
        let stream = Stream::new(0, false);
        let _reader = stream.reader();
        assert!(stream.push(vec![b'x'; WAITING].into(), AT_ONCE).await);
        assert!(!stream.push("more".into(), Duration::from_secs(5)).await);
        assert!(stream.has_ended());
    }

    #[tokio::test]
    async fn what_is_kept_for_a_reader_that_comes_back_is_bounded() {
        let stream = Stream::new(0, true);
        let mut reader = stream.reader();
        for _ in 0..10 {
            stream.put(vec![b'x'; KEPT / 4].into());
            assert!(reader.next().await.is_some());
        }
        let state = stream.lock();
        assert!(state.bytes <= KEPT && state.first >= 6, "{} {}", state.bytes, state.first);
    }

    #[tokio::test]
    async fn where_nobody_reads_the_latest_messages_stay_and_nobody_waits() {
        let stream = Stream::unheard(0);
        for number in 0..100_u8 {
            assert!(stream.push(vec![number; UNHEARD / 10].into(), Duration::from_secs(3600)).await);
        }
        stream.end();
        let (mut reader, mut read) = (stream.reader(), Vec::new());
        while let Some((place, item)) = reader.next().await {
            read.push((place, item.text[0]));
        }
        assert_eq!(read.last(), Some(&(99, 99)));
        assert!(
            read.len() <= 11 && read.iter().all(|(place, first)| *place == u64::from(*first)),
            "{read:?}"
        );
    }
}
