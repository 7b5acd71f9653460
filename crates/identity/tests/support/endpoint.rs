//! A token endpoint on loopback that answers what it is told, and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// 1 for the first.
    pub number: usize,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub method: http::Method,
    pub body: Bytes,
    pub form: Vec<(String, String)>,
    /// The client's certificate, DER, where the connection has one.
    pub certificate: Option<Vec<u8>>,
}

impl Asked {
    /// The values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.form.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a field that is there once.
    pub fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name}");
        all[0]
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The value of a header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What is answered.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<&'static str, String>,
    pub body: Bytes,
    /// Answered when there is a permit.
    pub when: Option<Arc<Semaphore>>,
    /// The connection breaks instead.
    pub broken: bool,
}

impl Reply {
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        let headers = BTreeMap::from([("content-type", "application/json".to_owned())]);
        Self { status, headers, body: Bytes::from(body.into()), when: None, broken: false }
    }

    /// A success as RFC 8693 wants it.
    pub fn granted(token: &str, expires_in: u64) -> Self {
        let body = serde_json::json!({
            "access_token": token,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": expires_in,
        });
        Self::json(200, body.to_string())
    }

    /// A success as RFC 6749 wants it.
    pub fn token(token: &str, expires_in: u64) -> Self {
        let body =
            serde_json::json!({ "access_token": token, "token_type": "Bearer", "expires_in": expires_in });
        Self::json(200, body.to_string())
    }

    /// A success of the first leg of an identity assertion grant.
    pub fn id_jag(assertion: &str) -> Self {
        let body = serde_json::json!({
            "access_token": assertion,
            "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag",
            "token_type": "N_A",
            "expires_in": 300,
        });
        Self::json(200, body.to_string())
    }

    /// A success as Entra words it.
    pub fn entra(token: &str, scope: &str) -> Self {
        let body = serde_json::json!({
            "token_type": "Bearer",
            "scope": scope,
            "expires_in": 3269,
            "ext_expires_in": 3269,
            "access_token": token,
        });
        Self::json(200, body.to_string())
    }

    pub fn error(status: u16, error: &str) -> Self {
        Self::json(status, format!(r#"{{"error":"{error}"}}"#))
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.to_owned());
        self
    }

    /// Held back until the semaphore has a permit.
    pub fn when(mut self, gate: &Arc<Semaphore>) -> Self {
        self.when = Some(gate.clone());
        self
    }

    pub fn broken() -> Self {
        Self { broken: true, ..Self::json(200, "") }
    }
}

type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

pub struct TokenEndpoint {
    pub url: String,
    log: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl TokenEndpoint {
    pub async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let (log, script): (Arc<Mutex<Vec<Asked>>>, Script) = (Arc::default(), Arc::new(script));
        let task = tokio::spawn(serve(listener, None, log.clone(), script));
        Self { url, log, task }
    }

    /// The same over TLS; the host of the URL is `localhost`.
    pub async fn start_tls(
        tls: rustls::ServerConfig,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/token", listener.local_addr().unwrap().port());
        let (log, script): (Arc<Mutex<Vec<Asked>>>, Script) = (Arc::default(), Arc::new(script));
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let task = tokio::spawn(serve(listener, Some(acceptor), log.clone(), script));
        Self { url, log, task }
    }

    /// Requests so far.
    pub fn count(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for TokenEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, log: Arc<Mutex<Vec<Asked>>>, script: Script) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (log, script, tls) = (log.clone(), script.clone(), tls.clone());
        tokio::spawn(async move {
            let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let Some(tls) = tls else {
                let service = service_fn(move |request| answer(request, None, log.clone(), script.clone()));
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
                return;
            };
            let Ok(stream) = tls.accept(stream).await else { return };
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let shown = shown.map(|certificate| certificate.to_vec());
            let service =
                service_fn(move |request| answer(request, shown.clone(), log.clone(), script.clone()));
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: http::Request<hyper::body::Incoming>,
    certificate: Option<Vec<u8>>,
    log: Arc<Mutex<Vec<Asked>>>,
    script: Script,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let asked = {
        let mut log = log.lock().unwrap();
        let asked = Asked {
            number: log.len() + 1,
            path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers: head.headers,
            method: head.method,
            body: body.clone(),
            form: decoded(&body),
            certificate,
        };
        log.push(asked.clone());
        asked
    };
    let reply = script(&asked);
    if let Some(gate) = &reply.when {
        gate.acquire().await.unwrap().forget();
    }
    if reply.broken {
        return Err(std::io::Error::other("broken on purpose"));
    }
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status.try_into().unwrap();
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    Ok(response)
}

fn decoded(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (percent(name), percent(value)))
        .collect()
}

fn percent(text: &str) -> String {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(out).unwrap()
}
