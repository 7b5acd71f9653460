//! Lines: how messages are told apart on a process's standard streams (MCP stdio transport). A line that is too long
//! is not kept, but whose answer it was is still found out, so that nobody waits for it.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::scan::TopLevelId;

const CHUNK: usize = 16 << 10;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// What stood on it.
    Whole(Bytes),
    /// It was longer than allowed and is gone.
    TooLong {
        /// How long it was.
        length: usize,
        /// JSON text of its top-level `id`, if it had one.
        id: Option<Box<str>>,
        /// How it began.
        start: Bytes,
    },
}

/// The lines of a stream.
pub(super) struct Lines<R> {
    input: R,
    limit: usize,
    buffer: BytesMut,
    /// Bytes of the buffer that are known to hold no line end.
    searched: usize,
    overlong: Option<Overlong>,
    ended: bool,
}

struct Overlong {
    length: usize,
    id: TopLevelId,
    start: Bytes,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of at most `limit` bytes.
    pub(super) fn new(input: R, limit: usize) -> Self {
        Self { input, limit, buffer: BytesMut::new(), searched: 0, overlong: None, ended: false }
    }

    /// The next line; None at the end of the stream. What stands after the last line end is a line, too. Can be
    /// dropped and asked again.
    ///
    /// # Errors
    /// Those of the stream.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.buffered() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(self.rest());
            }
            self.buffer.reserve(CHUNK);
            self.ended = self.input.read_buf(&mut self.buffer).await? == 0;
        }
    }

    fn buffered(&mut self) -> Option<Line> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', unsearched) else {
            self.searched = self.buffer.len();
            if self.overlong.is_some() || self.buffer.len() > self.limit {
                self.let_go(self.buffer.len());
            }
            return None;
        };
        let end = self.searched + end;
        self.searched = 0;
        if self.overlong.is_some() || end > self.limit {
            self.let_go(end);
            let _ = self.buffer.split_to(1);
            return self.overlong.take().map(Overlong::line);
        }
        let line = self.buffer.split_to(end).freeze();
        let _ = self.buffer.split_to(1);
        Some(Line::Whole(without_cr(line)))
    }

    fn rest(&mut self) -> Option<Line> {
        self.searched = 0;
        if self.overlong.is_some() {
            self.let_go(self.buffer.len());
            return self.overlong.take().map(Overlong::line);
        }
        let rest = self.buffer.split().freeze();
        (!rest.is_empty()).then(|| Line::Whole(without_cr(rest)))
    }

    /// Forgets the next bytes of a line that is too long.
    fn let_go(&mut self, count: usize) {
        let gone = self.buffer.split_to(count.min(self.buffer.len())).freeze();
        self.searched = 0;
        let overlong = self.overlong.get_or_insert_with(|| Overlong {
            length: 0,
            id: TopLevelId::default(),
            // A copy, so that the long line's memory is given back.
            start: Bytes::copy_from_slice(gone.get(..gone.len().min(256)).unwrap_or_default()),
        });
        overlong.length += gone.len();
        overlong.id.feed(&gone);
    }
}

impl Overlong {
    fn line(self) -> Line {
        Line::TooLong { length: self.length, id: self.id.found(), start: self.start }
    }
}

fn without_cr(line: Bytes) -> Bytes {
    if line.last() == Some(&b'\r') { line.slice(..line.len() - 1) } else { line }
}

/// A message as one line with its end: line breaks can stand only between the tokens of checked JSON, where a space
/// means the same.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(message.len() + 1);
    line.extend_from_slice(message);
    spaced(&mut line);
    line.push(b'\n');
    line
}

/// The message without line breaks, as the data of one event.
pub(super) fn unbroken(message: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &message).is_none() {
        return message;
    }
    let mut copy = message.to_vec();
    spaced(&mut copy);
    copy.into()
}

fn spaced(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines, framed};
    use bytes::Bytes;
    use tokio::io::AsyncWriteExt;

    async fn lines(pieces: &[&[u8]], limit: usize) -> Vec<Line> {
        let (mut into, out) = tokio::io::duplex(7);
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let writing = tokio::spawn(async move {
            for piece in pieces {
                into.write_all(&piece).await.unwrap();
            }
        });
        let (mut lines, mut all) = (Lines::new(out, limit), Vec::new());
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        writing.await.unwrap();
        all
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    /// Row: S1
    #[tokio::test]
    async fn lines_are_the_same_however_they_are_cut() {
        let all = lines(&[b"{\"a\":1}\r\n\n{\"b\":", b"2}\n", b"{\"c\":3}"], 100).await;
        assert_eq!(all, [whole("{\"a\":1}"), whole(""), whole("{\"b\":2}"), whole("{\"c\":3}")]);
    }

    /// Row: S1
    #[tokio::test]
    async fn a_line_at_the_limit_passes_and_a_longer_one_only_says_whose_answer_it_was() {
        let long = format!("{{\"result\":{{\"id\":1,\"x\":\"{}\"}},\"id\":\"abc\"}}\n", "y".repeat(500));
        let all = lines(&[b"12345678\n", long.as_bytes(), b"next\n"], 8).await;
        assert_eq!(all.len(), 3);
        assert_eq!(all[0], whole("12345678"));
        let Line::TooLong { length, id, .. } = &all[1] else { panic!("{:?}", all[1]) };
        assert_eq!((*length, id.as_deref()), (long.len() - 1, Some("\"abc\"")));
        assert_eq!(all[2], whole("next"));
    }

    /// Row: S1
    #[tokio::test]
    async fn a_stream_that_never_ends_its_line_costs_no_more_than_the_limit() {
        let (mut into, out) = tokio::io::duplex(64 << 10);
        let mut lines = Lines::new(out, 1 << 10);
        let writing = tokio::spawn(async move {
            for _ in 0..1000 {
                into.write_all(&[b'x'; 10_000]).await.unwrap();
            }
        });
        let line = lines.next().await.unwrap();
        assert!(matches!(line, Some(Line::TooLong { length: 10_000_000, id: None, .. })));
        assert!(lines.buffer.capacity() < 1 << 20);
        writing.await.unwrap();
    }

    /// Row: S1
    #[test]
    fn a_message_that_was_written_on_several_lines_leaves_on_one() {
        assert_eq!(framed(b"{\r\n \"a\": \"x\\n\"\n}"), b"{   \"a\": \"x\\n\" }\n");
    }
}
