//! Streams of MCP servers that only listen. They are held by the thousand and say nothing for hours, and hyper keeps
//! buffers of 16 KiB and a queue of 9 KiB for each connection. So they are asked for here: on a connection that serves
//! one exchange and ends with it, with room for what comes only while it comes. All other calls are hyper's.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use safeconduct_core::refusal::Reason;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use crate::berth::Io;
use crate::chunks::Chunks;

/// Most bytes that are read at once.
const READ: usize = 8 * 1024;
/// Largest head of an answer, in bytes, and most headers.
const HEAD: usize = 64 * 1024;
const HEADERS: usize = 128;

/// Asks, and reads the head of the answer. The request is in origin form and has a Host (RFC 9112 §3.2).
///
/// # Errors
/// `BackendUnreachable` when the connection ends before; `BadBackendAnswer` when that is no HTTP.
pub async fn ask(mut io: Box<dyn Io>, request: Request<Bytes>) -> Result<Response<Listening>, Reason> {
    let asked = async {
        io.write_all(&written(&request)).await?;
        io.write_all(request.body()).await?;
        io.flush().await
    };
    asked.await.map_err(unreachable)?;
    let mut read = BytesMut::new();
    let head = loop {
        let before = read.len();
        if before > HEAD {
            return Err(bad("the head of the answer is too large"));
        }
        if io.read_buf(&mut read).await.map_err(unreachable)? == 0 {
            // What came without a line's end is no head: that says more than that it broke off.
            last_head(&mut read)?;
            return Err(unreachable(io::ErrorKind::UnexpectedEof.into()));
        }
        if read.iter().skip(before).any(|&byte| byte == b'\n')
            && let Some(head) = last_head(&mut read)?
        {
            break head;
        }
    };
    let body = Listening { framing: framing(&head)?, io, read: read.freeze() };
    Ok(head.map(|()| body))
}

fn unreachable(error: io::Error) -> Reason {
    Reason::BackendUnreachable(error.to_string())
}

fn bad(what: &'static str) -> Reason {
    Reason::BadBackendAnswer(what.into())
}

/// The head of a request.
fn written(request: &Request<Bytes>) -> Vec<u8> {
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    let mut put = |name: &HeaderName, value: &[u8]| {
        text.extend_from_slice(&[name.as_str().as_bytes(), b": ", value, b"\r\n"].concat());
    };
    request.headers().iter().for_each(|(name, value)| put(name, value.as_bytes()));
    put(&header::CONNECTION, b"close");
    if !request.body().is_empty() {
        put(&header::CONTENT_LENGTH, request.body().len().to_string().as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// Takes heads out of what was read, up to the one that is not informational (RFC 9110 §15.2).
fn last_head(read: &mut BytesMut) -> Result<Option<Response<()>>, Reason> {
    while let Some((length, head)) = parsed(read)? {
        read.advance(length);
        if !head.status().is_informational() || head.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// A head and its length, if it is there as a whole. Its values do not share what was read: they outlive that.
fn parsed(read: &[u8]) -> Result<Option<(usize, Response<()>)>, Reason> {
    let malformed = "the head of the answer is malformed";
    let mut fields = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Response::new(&mut fields);
    let Ok(status) = parsed.parse(read) else { return Err(bad(malformed)) };
    let httparse::Status::Complete(length) = status else { return Ok(None) };
    let mut head = Response::new(());
    let code = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    *head.status_mut() = code.ok_or_else(|| bad(malformed))?;
    *head.version_mut() = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    for field in parsed.headers.iter() {
        let name = HeaderName::try_from(field.name).map_err(|_| bad(malformed))?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| bad(malformed))?;
        head.headers_mut().append(name, value);
    }
    Ok(Some((length, head)))
}

/// Where a body ends (RFC 9112 §6.3).
#[derive(Debug)]
enum Framing {
    Chunks(Chunks),
    /// After so many bytes.
    Length(u64),
    /// With the connection.
    Open,
}

fn framing(head: &Response<()>) -> Result<Framing, Reason> {
    let headers = head.headers();
    if head.status().is_informational() || matches!(head.status().as_u16(), 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if let Some(coding) = only(headers, &header::TRANSFER_ENCODING)? {
        let chunked =
            coding.as_bytes().eq_ignore_ascii_case(b"chunked") && head.version() == Version::HTTP_11;
        let malformed = || bad("the answer's transfer encoding is not chunked");
        return chunked.then(|| Framing::Chunks(Chunks::default())).ok_or_else(malformed);
    }
    let Some(length) = only(headers, &header::CONTENT_LENGTH)? else { return Ok(Framing::Open) };
    // Not with `parse` alone, which takes a sign.
    let digits = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = digits.and_then(|digits| digits.parse().ok());
    length.map(Framing::Length).ok_or_else(|| bad("the answer's length is not a number"))
}

/// A header that must not be there twice.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Reason> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() { Err(bad("the answer says twice where it ends")) } else { Ok(value) }
}

/// The body of such an answer.
pub struct Listening {
    io: Box<dyn Io>,
    framing: Framing,
    /// What was read of it with the head.
    read: Bytes,
}

impl Listening {
    /// Takes what was read, nothing at the end of the connection.
    fn take(&mut self, read: &[u8]) -> io::Result<Bytes> {
        match &mut self.framing {
            Framing::Open if read.is_empty() => {
                self.framing = Framing::Length(0);
                Ok(Bytes::new())
            }
            _ if read.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            Framing::Open => Ok(Bytes::copy_from_slice(read)),
            Framing::Length(left) => {
                let length = usize::try_from(*left).map_or(read.len(), |left| left.min(read.len()));
                *left = left.saturating_sub(length as u64);
                Ok(read.get(..length).map(Bytes::copy_from_slice).unwrap_or_default())
            }
            Framing::Chunks(chunks) => chunks.take(read).map_err(io::Error::other),
        }
    }
}

impl Body for Listening {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        while !this.is_end_stream() {
            let before = std::mem::take(&mut this.read);
            let data = if before.is_empty() {
                // On the stack: a stream that says nothing has no room for what it might say.
                let mut room = [const { MaybeUninit::uninit() }; READ];
                let mut read = ReadBuf::uninit(&mut room);
                ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
                this.take(read.filled())?
            } else {
                this.take(&before)?
            };
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        match &self.framing {
            Framing::Chunks(chunks) => chunks.ended(),
            Framing::Length(left) => *left == 0,
            Framing::Open => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.framing {
            Framing::Length(left) => SizeHint::with_exact(*left),
            Framing::Chunks(_) | Framing::Open => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use proptest::sample::Index;
    use tokio::io::AsyncWriteExt;

    use super::{Bytes, Reason, Request, Response, ask};

    /// What is written to the server, and what comes of its answer: status and body, or why not.
    async fn asked(
        request: Request<Bytes>,
        answer: &[u8],
        cuts: &[usize],
    ) -> (String, Result<(u16, String), String>) {
        let (io, mut server) = tokio::io::duplex(1 << 20);
        let mut places = [&[0], cuts, &[answer.len()]].concat();
        places.sort_unstable();
        let pieces: Vec<Vec<u8>> = places.windows(2).map(|pair| answer[pair[0]..pair[1]].to_vec()).collect();
        let serve = async move {
            for piece in pieces {
                let _ = server.write_all(&piece).await;
                tokio::task::yield_now().await;
            }
            let _ = server.shutdown().await;
            let mut written = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut server, &mut written).await.unwrap();
            written
        };
        let read = async {
            let answer = match ask(Box::new(io), request).await {
                Ok(answer) => answer,
                Err(Reason::BackendUnreachable(why)) => return Err(why),
                Err(reason) => return Err(format!("{reason:?}")),
            };
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Ok((head.status.as_u16(), String::from_utf8(body.to_bytes().to_vec()).unwrap()))
        };
        tokio::join!(serve, read)
    }

    fn get() -> Request<Bytes> {
        Request::get("/mcp?a=b")
            .header("host", "server")
            .header("accept", "text/event-stream")
            .body(Bytes::new())
            .unwrap()
    }

    async fn answered(answer: &str) -> Result<(u16, String), String> {
        asked(get(), answer.as_bytes(), &[]).await.1
    }

    #[tokio::test]
    async fn a_request_is_written_as_it_is() {
        let (written, _) = asked(get(), b"", &[]).await;
        assert_eq!(
            written,
            "GET /mcp?a=b HTTP/1.1\r\nhost: server\r\naccept: text/event-stream\r\nconnection: close\r\n\r\n"
        );
        let post = Request::post("/mcp").header("host", "server").body(Bytes::from_static(b"{}")).unwrap();
        let (written, _) = asked(post, b"", &[]).await;
        assert_eq!(
            written,
            "POST /mcp HTTP/1.1\r\nhost: server\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
        );
    }

    #[tokio::test]
    async fn an_answer_ends_where_its_head_says() {
        let good = |status, body: &str| Ok((status, body.to_owned()));
        assert_eq!(
            answered("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nrest").await,
            good(200, "abc")
        );
        assert_eq!(answered("HTTP/1.1 405 No\r\ncontent-length: 2\r\n\r\nnorest").await, good(405, "no"));
        assert_eq!(answered("HTTP/1.1 200 OK\r\n\r\nto the end").await, good(200, "to the end"));
        assert_eq!(answered("HTTP/1.0 200 OK\r\n\r\nto the end").await, good(200, "to the end"));
        assert_eq!(answered("HTTP/1.1 204 None\r\ncontent-length: 9\r\n\r\nrest").await, good(204, ""));
        assert_eq!(
            answered("HTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
                .await,
            good(200, "x")
        );
        assert_eq!(answered("HTTP/1.1 101 Switch\r\n\r\nrest").await, good(101, ""));
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_or_is_ambiguous_is_an_error() {
        for bad in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            assert!(answered(bad).await.is_err(), "{bad:?}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nname: {}", "x".repeat(super::HEAD));
        assert!(answered(&endless).await.unwrap_err().contains("too large"));
    }

    /// Found by the property below: a read that ended with the first head hid that what followed is none.
    #[tokio::test]
    async fn what_follows_a_head_that_is_informational_is_judged_alike_wherever_it_is_cut() {
        let text = b"HTTP/1.1 102 Processing\r\n\r\na";
        let once = asked(get(), text, &[]).await.1;
        assert!(once.as_ref().unwrap_err().contains("malformed"), "{once:?}");
        assert_eq!(asked(get(), text, &[text.len() - 1]).await.1, once);
    }

    proptest! {
        #[test]
        fn an_answer_is_read_alike_wherever_it_is_cut(
            status in 100u16..600,
            framing in 0usize..4,
            body in "[a-f0-9\r\n]{0,40}",
            cuts in vec(any::<Index>(), 0..8),
        ) {
            let length = format!("content-length: {}\r\n", body.len() / 2);
            let framing = ["", &length, "transfer-encoding: chunked\r\n", "Transfer-Encoding:\tchunked \r\n"][framing];
            let text = format!("HTTP/1.1 {status} Reason\r\n{framing}\r\n{body}");
            let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let once = runtime.block_on(asked(get(), text.as_bytes(), &[])).1;
            let cut = runtime.block_on(asked(get(), text.as_bytes(), &cuts)).1;
            prop_assert_eq!(once, cut);
        }
    }

    #[test]
    fn what_is_kept_of_a_head_does_not_hold_what_was_read() {
        let text = Bytes::from_static(b"HTTP/1.1 200 OK\r\nmcp-session-id: 1\r\n\r\n");
        let (length, head): (usize, Response<()>) = super::parsed(&text).unwrap().unwrap();
        assert_eq!((length, head.headers()["mcp-session-id"].as_bytes()), (text.len(), b"1".as_slice()));
    }
}
