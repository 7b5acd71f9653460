//! Server-sent events, sans I/O: where events end, and what their data is. Bytes that are not changed are
//! the bytes that came (WHATWG HTML §9.2: lines end with CRLF, LF or CR; a blank line ends an event).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

/// How tightly a stream is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grip {
    /// Bytes pass at once; only the borders of events are tracked.
    Track,
    /// Bytes pass at once, and each event is looked at when it is complete (if it is not over the limit).
    Observe,
    /// An event passes when it is complete and was looked at.
    Hold,
}

/// Looks at one complete event: None to let it pass as it is.
pub(super) trait Look {
    /// What the event becomes.
    ///
    /// # Errors
    /// The stream must end here.
    fn event(&mut self, event: &Bytes) -> Result<Option<Bytes>, &'static str>;

    /// Whether the event that was looked at last may be the one that answers the call.
    fn answers(&self) -> bool;
}

/// A stream of events in the making.
pub(super) struct Events {
    grip: Grip,
    /// Longest event that is looked at, in bytes.
    limit: usize,
    /// A held event over the limit ends the stream; else it passes unseen.
    strict: bool,
    /// The present line has no bytes yet.
    blank: bool,
    /// The last byte was a CR: an LF now belongs to it.
    after_cr: bool,
    /// Something of an event has come and its end has not.
    open: bool,
    pending: BytesMut,
    overlong: bool,
    out: VecDeque<Bytes>,
    /// The place in `out` of the first event that may answer the call. Known of held streams only.
    answer: Option<usize>,
}

impl Events {
    pub(super) fn new(grip: Grip, limit: usize, strict: bool) -> Self {
        Self {
            grip,
            limit,
            strict,
            blank: true,
            after_cr: false,
            open: false,
            pending: BytesMut::new(),
            overlong: false,
            out: VecDeque::new(),
            answer: None,
        }
    }

    /// From now on an event passes when it is complete and was looked at; one over the limit passes unseen if
    /// nothing in the stream had to be kept from the caller before.
    pub(super) fn hold(&mut self) {
        if self.grip != Grip::Hold {
            self.grip = Grip::Hold;
            self.strict = false;
        }
    }

    /// How many pieces will be given by [`Self::next`] before the one that may answer the call; told once.
    pub(super) fn before_answer(&mut self) -> Option<usize> {
        self.answer.take()
    }

    /// Takes a chunk of the stream.
    ///
    /// # Errors
    /// What the look refused, or an event that had to be held and is over the limit. What passed before stays.
    pub(super) fn feed(&mut self, mut chunk: Bytes, look: &mut impl Look) -> Result<(), &'static str> {
        if self.grip != Grip::Hold {
            self.out.push_back(chunk.clone());
        }
        self.late_lf(&mut chunk);
        while let Some(end) = self.event_end(&chunk) {
            let event = self.joined(chunk.split_to(end));
            self.complete(event, look)?;
        }
        self.keep(&chunk)
    }

    /// An LF whose CR ended the event before: it is not of the next one, and passes.
    fn late_lf(&mut self, chunk: &mut Bytes) {
        if self.after_cr && self.pending.is_empty() && !self.open && chunk.first() == Some(&b'\n') {
            self.after_cr = false;
            let late = chunk.split_to(1);
            if self.grip == Grip::Hold {
                self.out.push_back(late);
            }
        }
    }

    /// The stream ended. What is pending was no event to a strict reader; a lax one might read it, so it is
    /// treated as one.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub(super) fn end(&mut self, look: &mut impl Look) -> Result<(), &'static str> {
        let event = self.pending.split().freeze();
        if event.is_empty() { Ok(()) } else { self.complete(event, look) }
    }

    /// The next bytes to send.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    /// True where an event of the gateway's own may be put: nothing of an unfinished one was sent.
    pub(super) fn between(&self) -> bool {
        self.grip == Grip::Hold || !self.open
    }

    fn complete(&mut self, event: Bytes, look: &mut impl Look) -> Result<(), &'static str> {
        let overlong = std::mem::take(&mut self.overlong);
        match self.grip {
            Grip::Track => {}
            Grip::Observe if overlong => {}
            Grip::Observe => {
                look.event(&event)?;
            }
            Grip::Hold => {
                let changed = look.event(&event)?;
                let event = changed.unwrap_or(event);
                if !event.is_empty() {
                    if look.answers() {
                        self.answer.get_or_insert(self.out.len());
                    }
                    self.out.push_back(event);
                }
            }
        }
        Ok(())
    }

    fn joined(&mut self, rest: Bytes) -> Bytes {
        if self.pending.is_empty() {
            return rest;
        }
        if self.pending.len() + rest.len() > self.limit {
            self.overlong = true;
        }
        self.pending.extend_from_slice(&rest);
        self.pending.split().freeze()
    }

    fn keep(&mut self, rest: &Bytes) -> Result<(), &'static str> {
        if self.grip == Grip::Track || rest.is_empty() || (self.overlong && self.grip == Grip::Observe) {
            return Ok(());
        }
        if self.pending.len() + rest.len() > self.limit {
            if self.grip == Grip::Hold {
                if self.strict {
                    return Err("an event over the limit");
                }
                self.grip = Grip::Observe;
                // Nobody looked at it: it may be the answer.
                self.answer.get_or_insert(self.out.len());
                self.out.extend([self.pending.split().freeze(), rest.clone()]);
            }
            self.overlong = true;
            self.pending.clear();
            return Ok(());
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// Where the first event of the chunk ends, in bytes; the scan goes on there the next time.
    fn event_end(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        if self.after_cr && !chunk.is_empty() {
            self.after_cr = false;
            at = usize::from(chunk.first() == Some(&b'\n'));
        }
        loop {
            let rest = chunk.get(at..).unwrap_or_default();
            let Some(line) = memchr::memchr2(b'\r', b'\n', rest) else {
                if !rest.is_empty() {
                    self.blank = false;
                    self.open = true;
                }
                return None;
            };
            let blank = self.blank && line == 0;
            self.blank = true;
            self.open = true;
            at += line + 1;
            if rest.get(line) == Some(&b'\r') {
                match chunk.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if blank {
                self.open = false;
                return Some(at);
            }
        }
    }
}

/// The data of an event: its `data` lines joined with LF. None if it has none, or only empty ones (a priming
/// event, SEP-1699).
pub(super) fn data(event: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut joined: Option<Cow<'_, [u8]>> = None;
    for line in lines(event) {
        let Some(value) = data_of(event, &line) else { continue };
        joined = Some(match joined {
            None => Cow::Borrowed(value),
            Some(before) => Cow::Owned([&before[..], b"\n", value].concat()),
        });
    }
    joined.filter(|data| !data.is_empty())
}

/// The event with other data; all lines but the `data` ones stay as they are.
pub(super) fn with_data(event: &[u8], data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(event.len());
    let mut put = false;
    for line in lines(event) {
        if data_of(event, &line).is_none() {
            out.extend_from_slice(event.get(line.content.start..line.end).unwrap_or_default());
            continue;
        }
        if std::mem::replace(&mut put, true) {
            continue;
        }
        let terminator = event.get(line.content.end..line.end).filter(|end| !end.is_empty()).unwrap_or(b"\n");
        for part in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(part);
            out.extend_from_slice(terminator);
        }
    }
    out.into()
}

struct Line {
    content: Range<usize>,
    /// After its terminator.
    end: usize,
}

fn lines(event: &[u8]) -> impl Iterator<Item = Line> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut rest = event.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        let length = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        rest.advance(length);
        let terminator = match rest {
            [b'\r', b'\n', ..] => 2,
            [] => 0,
            _ => 1,
        };
        at = start + length + terminator;
        Some(Line { content: start..start + length, end: at })
    })
}

/// The value of a `data` line. A byte order mark before the first line is not part of it.
fn data_of<'a>(event: &'a [u8], line: &Line) -> Option<&'a [u8]> {
    let content = event.get(line.content.clone())?;
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    let value = match content.strip_prefix(b"data")? {
        [] => return Some(b""),
        [b':', value @ ..] => value,
        _ => return None,
    };
    Some(value.strip_prefix(b" ").unwrap_or(value))
}
