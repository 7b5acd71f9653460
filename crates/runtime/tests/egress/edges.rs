//! The other sides: an origin that writes down what it got, names that lead where a test says, and a log.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use safeconduct_runtime::egress::{
    Common, Egress, EgressLog, Event, Limits, Outcome, Reason, Resolve, Resolving, Who,
};
use safeconduct_runtime::engine::Listener;
use safeconduct_runtime::launch::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Longer than anything here takes; a test that waits for this long has failed.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Where names lead. A name with several answers gives one after the other, and then the last one again.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<String, Vec<Vec<IpAddr>>>>);

impl Names {
    pub(crate) fn lead(self, name: &str, answers: &[&[&str]]) -> Self {
        let answers =
            answers.iter().rev().map(|one| one.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        self.0.lock().unwrap().insert(name.to_owned(), answers);
        self
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        let mut names = self.0.lock().unwrap();
        let found = match names.get_mut(name) {
            Some(answers) if answers.len() > 1 => Ok(answers.pop().unwrap()),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::other("no such name")),
        };
        Box::pin(async move { found })
    }
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) way: &'static str,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) outcome: Outcome,
}

/// Hands on what is told.
pub(crate) struct Log(mpsc::UnboundedSender<Told>);

impl EgressLog for Log {
    fn record(&self, event: &Event<'_>) {
        assert_eq!((&*event.who.server, &*event.who.instance), ("orders", "orders-1"));
        let (host, outcome) = (event.host.to_owned(), event.outcome.clone());
        let _ = self.0.send(Told { way: event.way.word(), host, port: event.port, outcome });
    }
}

/// One instance's way out under test.
pub(crate) struct Border {
    pub(crate) egress: Egress,
    told: mpsc::UnboundedReceiver<Told>,
    running: Vec<AbortHandle>,
}

impl Border {
    pub(crate) fn new(allow: &[String], names: Names) -> Self {
        Self::with(&network(allow), names, Limits::default())
    }

    pub(crate) fn with(network: &Network, names: Names, limits: Limits) -> Self {
        let (log, told) = mpsc::unbounded_channel();
        let common = Common { resolver: Arc::new(names), log: Arc::new(Log(log)), limits };
        let who = Who { server: "orders".into(), instance: "orders-1".into() };
        Self { egress: Egress::new(who, network, common), told, running: Vec::new() }
    }

    /// Serves a listener, and says where it is.
    pub(crate) async fn serve<S>(&mut self, serve: impl FnOnce(Egress, Listener) -> S) -> SocketAddr
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = Listener::bound(bind().await, None).unwrap();
        let at = listener.address();
        self.running.push(tokio::spawn(serve(self.egress.clone(), listener)).abort_handle());
        at
    }

    pub(crate) async fn proxy(&mut self) -> SocketAddr {
        self.serve(|egress, listener| async move { egress.proxy(listener).await }).await
    }

    /// The next thing told.
    pub(crate) async fn told(&mut self) -> Told {
        timeout(SOON, self.told.recv()).await.expect("nothing was told").unwrap()
    }

    /// The next thing told must be a refusal; its reason.
    pub(crate) async fn refused(&mut self, host: &str, port: impl Into<Option<u16>>) -> Reason {
        let told = self.told().await;
        assert_eq!((told.host.as_str(), told.port), (host, port.into()), "{told:?}");
        match told.outcome {
            Outcome::Refused(reason) => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The next thing told must be that a connection was opened; where to.
    pub(crate) async fn opened(&mut self) -> SocketAddr {
        match self.told().await.outcome {
            Outcome::Opened { to } => to,
            other => panic!("not opened: {other:?}"),
        }
    }
}

impl Drop for Border {
    fn drop(&mut self) {
        self.running.iter().for_each(AbortHandle::abort);
    }
}

/// A server that answers every connection with `answer` as soon as `until` was sent, and writes down what it got.
pub(crate) struct Origin {
    pub(crate) at: SocketAddr,
    got: watch::Receiver<Vec<u8>>,
    running: AbortHandle,
}

impl Origin {
    pub(crate) async fn answering(until: &'static [u8], answer: &'static [u8]) -> Self {
        let (listener, (note, got)) = (bind().await, watch::channel(Vec::new()));
        let at = listener.local_addr().unwrap();
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, until, answer, note.clone()));
            }
        });
        Self { at, got, running: running.abort_handle() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.at.port()
    }

    /// All that it got so far, on whichever connection.
    pub(crate) fn got(&self) -> String {
        String::from_utf8_lossy(&self.got.borrow()).into_owned()
    }

    pub(crate) async fn got_all(&mut self, what: &str) {
        let seen = |got: &Vec<u8>| String::from_utf8_lossy(got).contains(what);
        timeout(SOON, self.got.wait_for(seen)).await.expect("it never came").unwrap();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn converse(mut stream: TcpStream, until: &[u8], answer: &[u8], note: watch::Sender<Vec<u8>>) {
    let mut pending = Vec::new();
    if until.is_empty() {
        let _ = stream.write_all(answer).await;
    }
    loop {
        let begin = pending.len();
        if !matches!(stream.read_buf(&mut pending).await, Ok(1..)) {
            return;
        }
        note.send_modify(|got| got.extend_from_slice(&pending[begin..]));
        if !until.is_empty() && pending.ends_with(until) {
            pending.clear();
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

pub(crate) async fn bind() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

pub(crate) fn network(allow: &[String]) -> Network {
    Network::Allow(allow.iter().map(|text| text.parse().unwrap()).collect())
}

/// Sends bytes, and reads until `end` or the connection's end.
pub(crate) async fn exchange(stream: &mut TcpStream, send: &str, end: &str) -> String {
    stream.write_all(send.as_bytes()).await.unwrap();
    read_until(stream, end).await
}

/// Sends a request, and reads the refusal: its body ends with the line.
pub(crate) async fn refusal(stream: &mut TcpStream, send: &str) -> String {
    let mut answer = exchange(stream, send, "\r\n\r\n").await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    if !body.ends_with('\n') {
        answer.push_str(&read_until(stream, "\n").await);
    }
    answer
}

pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut got = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&got).contains(end) {
            if !matches!(stream.read_buf(&mut got).await, Ok(1..)) {
                break;
            }
        }
    };
    timeout(SOON, reading).await.expect("no answer");
    String::from_utf8(got).unwrap()
}

/// The connection is closed without a further byte.
pub(crate) async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("still open");
    assert!(rest.is_empty() || read.is_err(), "{rest:?}");
}
