//! A gateway's engine for one test, and conversations with what runs inside.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use safeconduct_core::secret::Secret;
use safeconduct_runtime::egress::{Common, EgressLog, Event, Outcome, Resolve, Resolving};
use safeconduct_runtime::engine::docker::{Docker, Settings, Surroundings, Wanted};
use safeconduct_runtime::engine::{Engine, EngineError, Instance, Pipes};
use safeconduct_runtime::launch::{Ladder, Launch, Network, Permissions, Program, Pull, Transport};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// Longer than anything here takes, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// A variable that the script sets.
pub(crate) fn told(name: &str) -> String {
    std::env::var(format!("SAFECONDUCT_TEST_{name}")).unwrap_or_else(|_| {
        panic!("SAFECONDUCT_TEST_{name} is not set: these tests are run by interop/engine.sh")
    })
}

/// One test's gateway.
pub(crate) struct World {
    pub(crate) docker: Docker,
    pub(crate) owner: String,
    log: mpsc::UnboundedReceiver<(String, Option<u16>, Outcome)>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Names::default()).await
    }

    pub(crate) async fn with(names: Names) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let owner = format!("{}-{}-{count}", told("OWNER"), std::process::id());
        let (tell, log) = mpsc::unbounded_channel();
        let mut settings = settings(&owner);
        settings.egress = Common { resolver: Arc::new(names), log: Arc::new(Log(tell)), ..Common::default() };
        let docker = engine(settings).await;
        assert_eq!(docker.name(), told("NAME"));
        assert_eq!(docker.link(), told("LINK"), "instances and the gateway do not meet as this run means");
        Self { docker, owner, log }
    }

    /// A launch of the probe, without any permission.
    pub(crate) fn launch(&self, name: &str) -> Launch {
        Launch {
            server: "probe".into(),
            instance: format!("{}-{name}", self.owner).into(),
            program: image(told("IMAGE"), &[]),
            transport: Transport::Stdio,
            permissions: Permissions::default(),
            environment: vec![],
            files: vec![],
        }
    }

    pub(crate) async fn try_start(&self, launch: &Launch) -> Result<Arc<dyn Instance>, EngineError> {
        timeout(SOON, async { self.docker.prepare(launch).await?.start(launch).await })
            .await
            .expect("it never started")
    }

    pub(crate) async fn start(&self, launch: &Launch) -> Arc<dyn Instance> {
        self.try_start(launch).await.unwrap()
    }

    /// Starts one, and talks to it.
    pub(crate) async fn probe(&self, launch: &Launch) -> Probe {
        Probe::new(self.start(launch).await)
    }

    /// What the next refusal was about, and why.
    pub(crate) async fn refused(&mut self) -> (String, Option<u16>, &'static str) {
        loop {
            let (host, port, outcome) =
                timeout(SOON, self.log.recv()).await.expect("nothing was refused").unwrap();
            if let Outcome::Refused(reason) = outcome {
                return (host, port, reason.code());
            }
        }
    }

    /// Nothing is left of this gateway.
    pub(crate) async fn finish(self) {
        assert_eq!(self.docker.list(Some(&self.owner)).await.unwrap(), [], "containers were left behind");
        let swept = self.docker.sweep(|_| false).await.unwrap();
        assert_eq!((swept.containers, swept.networks), (0, 0), "something was left behind");
        for base in ["/run/safeconduct", "/dev/shm/safeconduct"] {
            let left = std::fs::read_dir(PathBuf::from(base).join(&self.owner)).into_iter().flatten().count();
            assert_eq!(left, 0, "files were left in {base}");
            let _ = std::fs::remove_dir(PathBuf::from(base).join(&self.owner));
        }
    }
}

pub(crate) fn settings(owner: &str) -> Settings {
    let mut settings = Settings::new(owner);
    settings.program = std::env::var("SAFECONDUCT_TEST_INSIDE").ok().map(PathBuf::from);
    settings.unlimited = told("UNLIMITED") == "1";
    settings
}

pub(crate) async fn engine(settings: Settings) -> Docker {
    let around = Surroundings::of_process();
    Docker::find(&Wanted::At(told("ENGINE")), around, settings).await.expect("these tests need an engine")
}

pub(crate) fn image(reference: String, command: &[&str]) -> Program {
    let command = command.iter().map(|part| (*part).to_owned()).collect();
    Program::Image { reference, command, allow_tag: false, pull: Pull::Never }
}

pub(crate) fn allow(destinations: &[String]) -> Network {
    Network::Allow(destinations.iter().map(|text| text.parse().unwrap()).collect())
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// What runs inside, over its standard streams.
pub(crate) struct Probe {
    pub(crate) instance: Arc<dyn Instance>,
    stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    lines: Lines<BufReader<Box<dyn tokio::io::AsyncRead + Send + Unpin>>>,
    pub(crate) stderr: Option<Box<dyn tokio::io::AsyncRead + Send + Unpin>>,
}

impl Probe {
    pub(crate) fn new(instance: Arc<dyn Instance>) -> Self {
        let Pipes { stdin, stdout, stderr } = instance.pipes().expect("it has no streams");
        assert!(instance.pipes().is_none(), "streams are given once");
        Self { instance, stdin: Some(stdin), lines: BufReader::new(stdout).lines(), stderr: Some(stderr) }
    }

    /// Gives an order, and waits for what came of it.
    pub(crate) async fn ask(&mut self, order: Value) -> Value {
        self.order(&order).await;
        let line =
            timeout(SOON, self.lines.next_line()).await.unwrap_or_else(|_| panic!("no answer to {order}"));
        match line.unwrap() {
            Some(line) => serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}")),
            None => {
                let mut noise = String::new();
                let _ = self.stderr.as_mut().unwrap().read_to_string(&mut noise).await;
                panic!("it ended instead of {order}: {noise}");
            }
        }
    }

    pub(crate) async fn order(&mut self, order: &Value) {
        let line = format!("{order}\n");
        self.stdin.as_mut().unwrap().write_all(line.as_bytes()).await.unwrap();
    }

    /// It must succeed; what it got.
    pub(crate) async fn can(&mut self, order: Value) -> Value {
        let answer = self.ask(order.clone()).await;
        assert_eq!(answer["ok"], true, "{order}: {answer}");
        answer["got"].clone()
    }

    /// It must fail; why.
    pub(crate) async fn cannot(&mut self, order: Value) -> String {
        let answer = self.ask(order.clone()).await;
        assert_eq!(answer["ok"], false, "{order} succeeded: {answer}");
        answer["why"].as_str().unwrap().to_owned()
    }

    /// A connection must fail.
    pub(crate) async fn unreachable(&mut self, host: impl ToString, port: u16) {
        self.cannot(json!({"do": "connect", "host": host.to_string(), "port": port, "seconds": 1.5})).await;
    }

    pub(crate) fn close(&mut self) {
        self.stdin = None;
    }

    pub(crate) async fn stop(self) {
        drop(self.stdin);
        timeout(SOON, self.instance.stop(Ladder::default())).await.expect("it never stopped").unwrap();
    }
}

/// Where names lead. A name with several answers gives one after the other, and then the last one again.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<String, Vec<IpAddr>>>);

impl Names {
    pub(crate) fn lead(self, name: &str, answers: &[&str]) -> Self {
        let answers = answers.iter().rev().map(|ip| ip.parse().unwrap()).collect();
        self.0.lock().unwrap().insert(name.to_owned(), answers);
        self
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        let mut names = self.0.lock().unwrap();
        let found = match names.get_mut(name) {
            Some(answers) if answers.len() > 1 => Ok(vec![answers.pop().unwrap()]),
            Some(answers) => Ok(answers.clone()),
            None => Err(io::Error::other("no such name")),
        };
        Box::pin(async move { found })
    }
}

struct Log(mpsc::UnboundedSender<(String, Option<u16>, Outcome)>);

impl EgressLog for Log {
    fn record(&self, event: &Event<'_>) {
        let _ = self.0.send((event.host.to_owned(), event.port, event.outcome.clone()));
    }
}

/// A server of the gateway's side, which counts its visitors.
pub(crate) struct Origin {
    pub(crate) at: SocketAddr,
    visits: watch::Receiver<usize>,
    running: tokio::task::AbortHandle,
}

impl Origin {
    pub(crate) async fn on(address: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let (note, visits) = watch::channel(0);
        let running = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let note = note.clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    if matches!(stream.read(&mut request).await, Ok(1..)) {
                        note.send_modify(|visits| *visits += 1);
                    }
                    let _ = stream
                        .write_all(
                            b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\noutside",
                        )
                        .await;
                });
            }
        });
        Self { at, visits, running: running.abort_handle() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.at.port()
    }

    pub(crate) fn visits(&self) -> usize {
        *self.visits.borrow()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.running.abort();
    }
}
