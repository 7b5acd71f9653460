//! Bodies in chunks (RFC 9112 §7.1), sans I/O. hyper does this for all answers but those that only listen, whose
//! connections are taken from it; see [`crate::listening`].

use bytes::buf::Chain;
use bytes::{Buf, Bytes, BytesMut};

/// What ends a body in chunks.
pub const END: &[u8] = b"0\r\n\r\n";

/// Longest line of a chunk's size and extensions, or of a trailer, in bytes.
const LONGEST_LINE: usize = 4096;

/// One piece of a body as a chunk. Empty pieces are no chunks: an empty one would be the end.
pub fn chunk(piece: Bytes) -> Chain<Chain<Bytes, Bytes>, &'static [u8]> {
    Bytes::from(format!("{:x}\r\n", piece.len())).chain(piece).chain(b"\r\n".as_slice())
}

/// Takes a body out of its chunks. What is not needed any more is not kept: between two chunks nothing is.
#[derive(Debug, Default)]
pub struct Chunks {
    next: Next,
    /// The start of a line whose end has not come.
    line: Vec<u8>,
}

/// Bytes that are no chunks. The answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer's chunks are malformed")]
pub struct Malformed;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// The line of a chunk's size.
    #[default]
    Size,
    /// So many bytes of data.
    Data(u64),
    /// The line end after them.
    DataEnd,
    /// A trailer, or the empty line at the end. Trailers end here, as headers do that are not allowed.
    Trailer,
    /// Nothing.
    End,
}

impl Chunks {
    /// The data in the next bytes that were read. Bytes after the end are of no answer: they are passed over.
    ///
    /// # Errors
    /// When these are no chunks. Nothing may be read from there on.
    pub fn take(&mut self, mut read: &[u8]) -> Result<Bytes, Malformed> {
        let mut data = BytesMut::new();
        while !read.is_empty() && !self.ended() {
            if let Next::Data(left) = self.next {
                let length = usize::try_from(left).map_or(read.len(), |left| left.min(read.len()));
                let (piece, rest) = read.split_at_checked(length).ok_or(Malformed)?;
                data.extend_from_slice(piece);
                read = rest;
                let left = left.saturating_sub(length as u64);
                self.next = if left == 0 { Next::DataEnd } else { Next::Data(left) };
            } else if let Some(line) = self.line(&mut read)? {
                self.next = after(self.next, &line)?;
            }
        }
        Ok(data.freeze())
    }

    /// The last chunk and the trailers have come.
    pub fn ended(&self) -> bool {
        self.next == Next::End
    }

    /// The next line with its LF, if that has come.
    fn line(&mut self, read: &mut &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        let end = memchr::memchr(b'\n', read).map(|at| at + 1);
        let (piece, rest) = read.split_at_checked(end.unwrap_or(read.len())).ok_or(Malformed)?;
        *read = rest;
        if self.line.len() + piece.len() > LONGEST_LINE {
            return Err(Malformed);
        }
        self.line.extend_from_slice(piece);
        Ok(end.map(|_| std::mem::take(&mut self.line)))
    }
}

/// What comes after a line.
fn after(next: Next, line: &[u8]) -> Result<Next, Malformed> {
    match next {
        Next::Size => match size(line)? {
            0 => Ok(Next::Trailer),
            size => Ok(Next::Data(size)),
        },
        Next::DataEnd if line == b"\r\n" => Ok(Next::Size),
        Next::Trailer if line == b"\r\n" => Ok(Next::End),
        Next::Trailer => Ok(Next::Trailer),
        Next::DataEnd | Next::Data(_) | Next::End => Err(Malformed),
    }
}

/// httparse takes a line without digits for a size of 0, and would so end an answer that does not end.
fn size(line: &[u8]) -> Result<u64, Malformed> {
    if !line.first().is_some_and(u8::is_ascii_hexdigit) {
        return Err(Malformed);
    }
    match httparse::parse_chunk_size(line) {
        Ok(httparse::Status::Complete((length, size))) if length == line.len() => Ok(size),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Buf, Bytes};
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use proptest::sample::Index;

    use super::{Chunks, END, LONGEST_LINE, Malformed, chunk};

    /// Feeds `text` in pieces cut at these places.
    fn read(text: &[u8], cuts: &[Index]) -> (Result<Vec<u8>, Malformed>, bool) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let mut chunks = Chunks::default();
        let mut data = Vec::new();
        for pair in places.windows(2) {
            match chunks.take(&text[pair[0]..pair[1]]) {
                Ok(piece) => data.extend_from_slice(&piece),
                Err(malformed) => return (Err(malformed), false),
            }
        }
        (Ok(data), chunks.ended())
    }

    fn whole(text: &str) -> (Result<Vec<u8>, Malformed>, bool) {
        read(text.as_bytes(), &[])
    }

    #[test]
    fn sizes_extensions_and_trailers_are_read_as_the_rfc_has_them() {
        let text = "5\r\nhello\r\n00000006;name=\"value\"\r\n world\r\n0\r\nDigest: x\r\n\r\nafter";
        assert_eq!(whole(text), (Ok(b"hello world".to_vec()), true));
        assert_eq!(whole("A \r\n0123456789\r\n"), (Ok(b"0123456789".to_vec()), false));
        assert_eq!(whole("0\r\n\r\n"), (Ok(Vec::new()), true));
        assert_eq!(whole("0\r\n"), (Ok(Vec::new()), false));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bad in [
            "\r\nhello",
            ";name\r\n",
            " 5\r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhello!\r\n",
            "5\r\nhello\n",
            "-5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "5;a\nb\r\nhello\r\n",
            "11111111111111111\r\n",
            "HTTP/1.1 200 OK\r\n",
        ] {
            assert_eq!(whole(bad).0, Err(Malformed), "{bad:?}");
        }
        let name = "x".repeat(LONGEST_LINE);
        assert_eq!(whole(&format!("5;{name}")).0, Err(Malformed), "a line without an end is not kept");
    }

    proptest! {
        #[test]
        fn what_was_put_into_chunks_comes_out_of_them_wherever_they_are_cut(
            pieces in vec(vec(any::<u8>(), 1..300), 0..6),
            cuts in vec(any::<Index>(), 0..12),
        ) {
            let mut text = Vec::new();
            for piece in &pieces {
                let mut chunk = chunk(Bytes::copy_from_slice(piece));
                while chunk.has_remaining() {
                    text.extend_from_slice(chunk.chunk());
                    chunk.advance(chunk.chunk().len());
                }
            }
            prop_assert!(!read(&text, &cuts).1);
            text.extend_from_slice(END);
            prop_assert_eq!(read(&text, &cuts), (Ok(pieces.concat()), true));
        }

        #[test]
        fn any_bytes_are_read_alike_wherever_they_are_cut(
            text in "[0-9a-f\r\n; x]{0,60}",
            cuts in vec(any::<Index>(), 0..12),
        ) {
            prop_assert_eq!(read(text.as_bytes(), &cuts).0, read(text.as_bytes(), &[]).0);
        }

        #[test]
        fn nothing_is_kept_but_the_start_of_a_line(text in vec(any::<u8>(), 0..9000)) {
            let mut chunks = Chunks::default();
            let _ = chunks.take(&text);
            prop_assert!(chunks.line.len() <= LONGEST_LINE);
        }
    }
}
