//! Streams that only listen, on their way to the caller. They are held by the thousand and say nothing for hours, and
//! hyper keeps buffers of 16 KiB for each connection. So it reads their requests only: the answer is given here, on a
//! connection that is its own from then on.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use http::response::Parts;
use http::{HeaderValue, Response, header};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::body::ResponseBody;
use crate::chunks::{END, chunk};

/// Between the service of a connection and the task that drives it.
pub struct Handover {
    /// All that hyper has written was sent. Only then can nothing be lost when it gives the connection up.
    sent: AtomicBool,
    answer: Mutex<Option<Response<ResponseBody>>>,
}

impl Handover {
    /// For one connection: watches what is written to it.
    pub fn of<I>(io: I) -> (Arc<Self>, Watched<I>) {
        let handover = Arc::new(Self { sent: AtomicBool::new(true), answer: Mutex::default() });
        (handover.clone(), Watched { io, handover })
    }

    /// An answer of the service, for hyper to give. One that only listens is kept instead, and never comes back.
    pub async fn pass(&self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        if response.body().only_listens()
            && self.sent.load(Ordering::Relaxed)
            && let Ok(mut answer) = self.answer.lock()
        {
            *answer = Some(response);
        } else {
            return response;
        }
        pending().await
    }

    /// Drives a connection to its end, or until there is an answer to be given on it.
    pub async fn drive<C: Future + Unpin>(&self, connection: &mut C) -> Option<Response<ResponseBody>> {
        poll_fn(|cx| {
            let ended = Pin::new(&mut *connection).poll(cx).is_ready();
            match self.answer.lock().ok().and_then(|mut answer| answer.take()) {
                None if !ended => Poll::Pending,
                answer => Poll::Ready(answer),
            }
        })
        .await
    }
}

/// Gives an answer on its own connection, and ends that with it. An answer that breaks off is not ended but cut.
///
/// # Errors
/// Those of the connection and of the answer.
pub async fn give<I>(mut io: I, response: Response<ResponseBody>) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let (parts, mut body) = response.into_parts();
    io.write_all(&head(parts)).await?;
    io.flush().await?;
    loop {
        let frame = tokio::select! {
            biased;
            closed = closed(&mut io) => return closed,
            frame = body.frame() => frame.transpose()?,
        };
        let Some(frame) = frame else { break };
        if let Some(piece) = frame.into_data().ok().filter(|piece| !piece.is_empty()) {
            io.write_all_buf(&mut chunk(piece)).await?;
            io.flush().await?;
        }
    }
    io.write_all(END).await?;
    io.shutdown().await
}

/// Resolves when the caller closes. What else it sends is left alone: after `close` no request is read (RFC 9112 §9.6).
async fn closed(io: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    match io.read(&mut [0]).await? {
        0 => Ok(()),
        _ => pending().await,
    }
}

fn head(mut parts: Parts) -> Vec<u8> {
    let headers = &mut parts.headers;
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(std::time::SystemTime::now())) {
        headers.insert(header::DATE, date);
    }
    let mut text = format!("HTTP/1.1 {}\r\n", parts.status).into_bytes();
    for (name, value) in &parts.headers {
        text.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// A connection of which is known whether all that was written to it was sent: whoever writes flushes when there is
/// nothing more.
pub struct Watched<I> {
    io: I,
    handover: Arc<Handover>,
}

impl<I> Watched<I> {
    /// The connection alone.
    pub fn into_inner(self) -> I {
        self.io
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.handover.sent.store(false, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.handover.sent.store(false, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.handover.sent.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
