//! An instance on loopback that does not run, and a client that writes its own bytes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use safeconduct_core::material::{AwsKeys, Material};
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use safeconduct_runtime::delivery::slot::{Held, Renew};
use safeconduct_runtime::delivery::{Delivered, Delivery, Freshness, Prepared};
use safeconduct_runtime::engine::{Doing, EngineError, Exit, Instance, Listener, Pipes, Place};
use safeconduct_runtime::launch::{Ladder, Launch};
use safeconduct_runtime::masks::Masks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A place at loopback.
pub(crate) struct Loopback;

impl Place for Loopback {
    fn listen(&self, port: u16) -> Doing<'_, Listener> {
        Box::pin(async move {
            let bound = TcpListener::bind((HERE, port)).await;
            bound
                .and_then(|listener| Listener::bound(listener, Some(HERE)))
                .map_err(|error| EngineError::Refused(error.to_string()))
        })
    }

    fn start<'a>(self: Box<Self>, _: &'a Launch) -> Doing<'a, Arc<dyn Instance>> {
        Box::pin(async { Err(EngineError::Missing("nothing runs here".into())) })
    }
}

/// An instance whose files are remembered.
pub(crate) struct Still {
    written: watch::Sender<Vec<(PathBuf, String)>>,
}

impl Still {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { written: watch::channel(Vec::new()).0 })
    }

    pub(crate) fn written(&self) -> Vec<String> {
        self.written.borrow().iter().map(|(_, content)| content.clone()).collect()
    }

    /// Waits until the last content of a file is this.
    pub(crate) async fn holds(&self, content: &str) {
        let mut written = self.written.subscribe();
        written.wait_for(|written| written.last().is_some_and(|(_, last)| last == content)).await.unwrap();
    }
}

impl Instance for Still {
    fn pipes(&self) -> Option<Pipes> {
        None
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }

    fn source(&self) -> IpAddr {
        HERE
    }

    fn write<'a>(&'a self, file: &'a Path, content: &'a Secret) -> Doing<'a, ()> {
        Box::pin(async move {
            let content = content.expose_str().unwrap().to_owned();
            self.written.send_modify(|written| written.push((file.to_owned(), content)));
            Ok(())
        })
    }

    fn ended(&self) -> Doing<'_, Exit> {
        Box::pin(std::future::pending())
    }

    fn stop(&self, _: Ladder) -> Doing<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A prepared instance: its environment, its address, and what keeps it up to date.
pub(crate) struct Served {
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) delivered: Delivered,
    pub(crate) instance: Arc<Still>,
}

impl Served {
    pub(crate) async fn with(delivery: &Delivery, held: Held, renew: Option<Arc<dyn Renew>>) -> Self {
        let masks = Arc::new(Masks::default());
        let Prepared { environment, delivered, .. } =
            delivery.prepare(&Loopback, held, renew, &masks).await.unwrap();
        let instance = Still::new();
        let shared: Arc<dyn Instance> = instance.clone();
        delivered.serve(&shared);
        let environment = environment
            .into_iter()
            .map(|(name, value)| (name, value.expose_str().unwrap().to_owned()))
            .collect();
        Self { environment, delivered, instance }
    }

    pub(crate) fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(own, _)| own == name);
        &found.unwrap_or_else(|| panic!("{name} is not set")).1
    }

    /// Where the endpoint is, by whichever variable names it.
    pub(crate) fn address(&self) -> SocketAddr {
        let names = ["GCE_METADATA_HOST", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "IDENTITY_ENDPOINT"];
        let names = names.into_iter().chain(["AWS_EC2_METADATA_SERVICE_ENDPOINT"]);
        let value = names
            .filter_map(|name| self.environment.iter().find(|(own, _)| own == name))
            .map(|(_, value)| value.trim_start_matches("http://"))
            .next()
            .unwrap();
        value.split('/').next().unwrap().parse().unwrap()
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.address(), "GET", path, headers).await
    }

    pub(crate) async fn update(&self, held: Held) -> Freshness {
        self.delivered.update(held, None, &*self.instance).await.unwrap()
    }

    pub(crate) async fn clear(&self) {
        self.delivered.clear(&*self.instance).await.unwrap();
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) async fn ask(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask_from(HERE, at, method, path, headers).await.expect("no answer")
}

/// None when the connection is closed without an answer.
pub(crate) async fn ask_from(
    from: IpAddr,
    at: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Option<Answer> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{lines}\r\n");
    let asking = async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(at).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
    };
    tokio::time::timeout(Duration::from_secs(10), asking).await.expect("answered in time")
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap(),
    )
}

pub(crate) fn held(material: Material, left: Duration) -> Held {
    Held {
        material: Arc::new(material),
        expires: Some(now().plus(left)),
        scopes: Arc::new([]),
        audience: Arc::new([]),
    }
}

pub(crate) fn token(text: &str, left: Duration) -> Held {
    held(Material::Token(Secret::new(text.as_bytes().to_vec())), left)
}

pub(crate) fn keys(whose: &str, left: Duration) -> Held {
    let secret = |what: &str| Secret::new(format!("{what}-of-{whose}").into_bytes());
    held(
        Material::Aws(AwsKeys {
            access_key_id: format!("ASIA{}", whose.to_uppercase()).into(),
            secret_access_key: secret("key"),
            session_token: secret("session"),
        }),
        left,
    )
}

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Gives the next of these each time it is asked, and counts.
pub(crate) struct Next {
    answers: Mutex<Vec<Option<Held>>>,
    pub(crate) asked: watch::Sender<usize>,
}

impl Next {
    pub(crate) fn of(answers: impl IntoIterator<Item = Option<Held>>) -> Arc<Self> {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Arc::new(Self { answers: Mutex::new(answers), asked: watch::channel(0).0 })
    }

    pub(crate) fn times(&self) -> usize {
        *self.asked.borrow()
    }
}

impl Renew for Next {
    fn renew(&self) -> Pin<Box<dyn Future<Output = Option<Held>> + Send + '_>> {
        Box::pin(async {
            self.asked.send_modify(|asked| *asked += 1);
            self.answers.lock().unwrap().pop().flatten()
        })
    }
}
