//! The standard streams of a container: one connection to the engine, taken apart into three pipes.
//!
//! What a server writes is read only as fast as it is taken: the engine holds back, and in the end the server's own
//! write waits. Its error output must not do that to its output, with which it shares the connection: what nobody
//! takes is dropped there, and it is said how much.

use std::fmt::Write as _;
use std::io;

use bollard::Docker as Api;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures_util::StreamExt;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;

use super::error::told;
use crate::engine::{EngineError, Pipes};

/// Bytes that a pipe holds, as much as the kernel's.
const PIPE: usize = 64 << 10;

/// Streams, and the pumps that fill and empty them.
pub(super) struct Attached {
    pub(super) pipes: Pipes,
    /// Ends its input, whoever holds the pipe.
    pub(super) close: watch::Sender<bool>,
}

/// Attaches to a container that was made and does not run yet: nothing that it writes is lost.
pub(super) async fn attach(api: &Api, container: &str) -> Result<Attached, EngineError> {
    let options =
        AttachContainerOptionsBuilder::new().stdin(true).stdout(true).stderr(true).stream(true).build();
    let AttachContainerResults { output, input } =
        api.attach_container(container, Some(options)).await.map_err(told)?;
    let (stdin, ours_in) = duplex(PIPE);
    let (stdout, ours_out) = duplex(PIPE);
    let (stderr, ours_err) = duplex(PIPE);
    let (close, closed) = watch::channel(false);
    tokio::spawn(feed(ours_in, input, closed));
    tokio::spawn(take_apart(output, ours_out, ours_err));
    let pipes = Pipes { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(stderr) };
    Ok(Attached { pipes, close })
}

async fn feed(
    mut from: DuplexStream,
    mut to: std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>,
    mut closed: watch::Receiver<bool>,
) {
    tokio::select! {
        _ = tokio::io::copy(&mut from, &mut to) => {}
        _ = closed.wait_for(|closed| *closed) => {}
    }
    // The engine closes the server's input when ours is closed.
    let _ = to.shutdown().await;
    // Until the end the connection stays: its other direction is still read.
    let _ = closed.wait_for(|_| false).await;
}

async fn take_apart(
    mut frames: impl futures_util::Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin,
    mut stdout: DuplexStream,
    stderr: DuplexStream,
) {
    let mut stderr = Lossy::new(stderr);
    let mut heard = true;
    while let Some(frame) = frames.next().await {
        let Ok(frame) = frame else { break };
        match frame {
            LogOutput::StdErr { message } => stderr.write(&message).await,
            // When nobody takes the output any more, the server may still end by itself: it is read and dropped.
            LogOutput::StdOut { message } | LogOutput::Console { message } if heard => {
                heard = stdout.write_all(&message).await.is_ok();
            }
            _ => {}
        }
    }
    let _ = stdout.shutdown().await;
    let _ = stderr.pipe.shutdown().await;
}

/// A pipe that never makes its writer wait.
struct Lossy {
    pipe: DuplexStream,
    dropped: usize,
}

impl Lossy {
    fn new(pipe: DuplexStream) -> Self {
        Self { pipe, dropped: 0 }
    }

    async fn write(&mut self, bytes: &[u8]) {
        if self.dropped > 0 {
            let mut told = String::new();
            let _ = writeln!(told, "\n[{} bytes dropped]", self.dropped);
            if !self.at_once(told.as_bytes()).await {
                self.dropped += bytes.len();
                return;
            }
            self.dropped = 0;
        }
        if !self.at_once(bytes).await {
            self.dropped += bytes.len();
        }
    }

    /// Writes as much as there is room for; false when there was no room for all.
    async fn at_once(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let written = tokio::select! {
                biased;
                // There is room or there is not; that this task has done much already is no reason.
                written = tokio::task::unconstrained(self.pipe.write(bytes)) => written,
                () = std::future::ready(()) => Err(io::ErrorKind::WouldBlock.into()),
            };
            match written {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use bollard::container::LogOutput;
    use bytes::Bytes;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, duplex};

    use super::take_apart;

    type Frame = Result<LogOutput, bollard::errors::Error>;

    fn out(text: &str) -> Frame {
        Ok(LogOutput::StdOut { message: Bytes::copy_from_slice(text.as_bytes()) })
    }

    fn err(text: &str) -> Frame {
        Ok(LogOutput::StdErr { message: Bytes::copy_from_slice(text.as_bytes()) })
    }

    #[tokio::test]
    async fn output_and_errors_are_told_apart() {
        let (mut stdout, ours_out) = duplex(100);
        let (mut stderr, ours_err) = duplex(100);
        take_apart(stream::iter([out("a"), err("x"), out("b"), err("y")]), ours_out, ours_err).await;
        let (mut got, mut noise) = (String::new(), String::new());
        stdout.read_to_string(&mut got).await.unwrap();
        stderr.read_to_string(&mut noise).await.unwrap();
        assert_eq!((got.as_str(), noise.as_str()), ("ab", "xy"));
    }

    #[tokio::test]
    async fn output_waits_for_its_reader_and_errors_do_not() {
        let (mut stdout, ours_out) = duplex(4);
        let (mut stderr, ours_err) = duplex(40);
        let frames: Vec<Frame> =
            vec![err(&"x".repeat(30)), err(&"y".repeat(30)), out("0123456789"), err("z"), out("end")];
        let pump = tokio::spawn(take_apart(stream::iter(frames), ours_out, ours_err));
        let mut got = String::new();
        // All of it arrives although the pipe holds four bytes, and the errors were in nobody's way.
        stdout.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "0123456789end");
        pump.await.unwrap();
        let mut noise = String::new();
        stderr.read_to_string(&mut noise).await.unwrap();
        assert!(noise.starts_with(&"x".repeat(30)), "{noise}");
        assert!(!noise.contains('z'), "{noise}");
    }
}
