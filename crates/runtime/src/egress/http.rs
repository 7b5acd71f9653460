//! HTTP/1 of an instance: requests to the proxy (plain ones and CONNECT), and requests of software that knows of no
//! proxy and believes that it speaks to the host itself. Each request says where it goes, and each is asked about.
#![expect(clippy::disallowed_types, reason = "this is the way out of a confined server, not the way to one")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::copy_bidirectional;

use super::Inner;
use super::counted::{Counted, Meter};
use super::host::Host;
use super::log::{Reason, Way};
use super::reach::{Open, Reached};
use super::tunnel::Io;

/// Whom requests on a connection may be for.
pub(crate) enum For {
    /// Whoever is allowed: the connection is one to the proxy.
    Anyone,
    /// This host alone: the connection was made to it.
    Host(Host, u16),
    /// Whoever is allowed, at this port.
    Port(u16),
}

/// Serves one connection of an instance. `reached` is where it already leads.
pub(crate) async fn serve(egress: &Arc<Inner>, client: Io, aim: For, reached: Option<Reached>) {
    let meter = Meter::new();
    let way = if matches!(aim, For::Anyone) { Way::Http } else { Way::Direct };
    let talk = Arc::new(Talk {
        egress: Arc::clone(egress),
        way,
        aim,
        line: tokio::sync::Mutex::default(),
        then: Mutex::default(),
    });
    if let (Some(reached), For::Host(host, port)) = (reached, &talk.aim) {
        *talk.line.lock().await = Line::open(host.clone(), *port, reached).await;
    }
    let serving = Arc::clone(&talk);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(egress.limits.head)
        .serve_connection(
            TokioIo::new(Counted::new(client, Arc::clone(&meter))),
            service_fn(move |request| {
                let talk = Arc::clone(&serving);
                async move { Ok::<_, Infallible>(talk.answer(request).await) }
            }),
        )
        .with_upgrades();
    tokio::select! {
        _ = connection => {}
        () = meter.run_out(egress.limits.idle, egress.limits.total) => return,
    }
    let then = talk.then.lock().unwrap_or_else(PoisonError::into_inner).take();
    match then {
        Some(Then::Tunnel { client, host, port, reached }) => {
            if let Ok(client) = client.await {
                egress.tunnel(Way::Connect, Box::new(TokioIo::new(client)), &host, port, reached).await;
            }
        }
        Some(Then::Join { client, server }) => {
            if let (Ok(client), Ok(server)) = (client.await, server.await) {
                let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    () = meter.run_out(egress.limits.idle, egress.limits.total) => {}
                }
            }
        }
        None => {}
    }
}

type Body = BoxBody<Bytes, hyper::Error>;

/// One connection's requests, one after the other.
struct Talk {
    egress: Arc<Inner>,
    way: Way,
    aim: For,
    line: tokio::sync::Mutex<Option<Line>>,
    then: Mutex<Option<Then>>,
}

/// A connection to a host, kept for the next request.
struct Line {
    host: Host,
    port: u16,
    sender: SendRequest<Incoming>,
    _driver: Driver,
    _open: Open,
}

/// What becomes of the connection after the answer.
enum Then {
    Tunnel { client: OnUpgrade, host: Host, port: u16, reached: Reached },
    Join { client: OnUpgrade, server: OnUpgrade },
}

impl Talk {
    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        let (host, port) = match self.target(&request) {
            Ok(target) => target,
            Err(reason) => {
                let told = request
                    .headers()
                    .get(header::HOST)
                    .and_then(|host| host.to_str().ok())
                    .unwrap_or_default();
                self.egress.refuse(self.way, told, None, reason.clone()).await;
                return refusal(told, &reason);
            }
        };
        let answered = if request.method() == Method::CONNECT {
            self.connect(&mut request, &host, port).await
        } else {
            self.forward(request, &host, port).await
        };
        answered.unwrap_or_else(|reason| refusal(&format!("{host}:{port}"), &reason))
    }

    /// Whom a request is for. What the request line says and what `Host` says must be the same.
    fn target(&self, request: &Request<Incoming>) -> Result<(Host, u16), Reason> {
        let told = match (&self.aim, request.uri().authority(), request.uri().scheme_str()) {
            (For::Anyone, Some(authority), None) if *request.method() == Method::CONNECT => {
                let port = authority.port_u16().ok_or(Reason::Malformed)?;
                return Ok((Host::parse(authority.host()).ok_or(Reason::Malformed)?, port));
            }
            (_, Some(authority), Some("http")) => authority.clone(),
            (For::Host(..) | For::Port(_), None, None) => host_header(request)?,
            (For::Anyone, None, None) => return Err(Reason::Nameless),
            _ => return Err(Reason::Malformed),
        };
        let host = Host::parse(told.host()).ok_or(Reason::Malformed)?;
        let port = told.port_u16().unwrap_or(80);
        if host_header(request).is_ok_and(|header| header != told) && !matches!(self.aim, For::Anyone) {
            return Err(Reason::Malformed);
        }
        match &self.aim {
            For::Host(expected, _) if *expected != host => Err(Reason::OtherHost(host.to_string())),
            For::Host(_, port) | For::Port(port) => Ok((host, *port)),
            For::Anyone => Ok((host, port)),
        }
    }

    async fn connect(
        &self,
        request: &mut Request<Incoming>,
        host: &Host,
        port: u16,
    ) -> Result<Response<Body>, Reason> {
        let reached = self.egress.reach(Way::Connect, host, port).await?;
        let client = hyper::upgrade::on(request);
        self.afterwards(Then::Tunnel { client, host: host.clone(), port, reached });
        Ok(Response::new(empty()))
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        host: &Host,
        port: u16,
    ) -> Result<Response<Body>, Reason> {
        let switches = request.headers().get(header::UPGRADE).cloned();
        let client = switches.is_some().then(|| hyper::upgrade::on(&mut request));
        let mut request = prepare(request, host, port)?;
        if let Some(to) = switches {
            request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(header::UPGRADE, to);
        }
        let mut answer = self.send(request, host, port).await?;
        let server =
            (answer.status() == StatusCode::SWITCHING_PROTOCOLS).then(|| hyper::upgrade::on(&mut answer));
        let to = answer.headers().get(header::UPGRADE).cloned();
        strip(answer.headers_mut());
        if let (Some(client), Some(server), Some(to)) = (client, server, to) {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            answer.headers_mut().insert(header::UPGRADE, to);
            self.afterwards(Then::Join { client, server });
        }
        Ok(answer.map(BodyExt::boxed))
    }

    /// Sends it on the line that is open to this host, or on a new one. A line that the other side closed meanwhile
    /// gives the request back.
    async fn send(
        &self,
        mut request: Request<Incoming>,
        host: &Host,
        port: u16,
    ) -> Result<Response<Incoming>, Reason> {
        let mut line = self.line.lock().await;
        if let Some(open) = line.as_mut().filter(|open| open.host == *host && open.port == port)
            && open.sender.ready().await.is_ok()
        {
            match open.sender.try_send_request(request).await {
                Ok(answer) => return Ok(answer),
                Err(mut error) => request = error.take_message().ok_or(Reason::Unreachable(BROKEN))?,
            }
        }
        let reached = self.egress.reach(self.way, host, port).await?;
        *line = Line::open(host.clone(), port, reached).await;
        let open = line.as_mut().ok_or(Reason::Unreachable(BROKEN))?;
        open.sender.send_request(request).await.map_err(|_| Reason::Unreachable(BROKEN))
    }

    fn afterwards(&self, then: Then) {
        *self.then.lock().unwrap_or_else(PoisonError::into_inner) = Some(then);
    }
}

const BROKEN: std::io::ErrorKind = std::io::ErrorKind::ConnectionReset;

impl Line {
    async fn open(host: Host, port: u16, reached: Reached) -> Option<Self> {
        let Reached { stream, open } = reached;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        let driver = tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        });
        Some(Self { host, port, sender, _driver: Driver(driver), _open: open })
    }
}

/// Drives a connection for as long as somebody holds it.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The request as the host gets it: for its path, in its name, without what was meant for the proxy.
fn prepare(mut request: Request<Incoming>, host: &Host, port: u16) -> Result<Request<Incoming>, Reason> {
    let name = if port == 80 { host.to_string() } else { format!("{host}:{port}") };
    let name = HeaderValue::try_from(name).map_err(|_| Reason::Malformed)?;
    let mut parts = uri::Parts::default();
    parts.path_and_query = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Reason::Malformed)?;
    *request.version_mut() = http::Version::HTTP_11;
    strip(request.headers_mut());
    request.headers_mut().remove(header::EXPECT);
    request.headers_mut().insert(header::HOST, name);
    Ok(request)
}

/// Takes away the fields that are for one connection only (RFC 9110 §7.6.1).
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        header::CONNECTION,
        header::UPGRADE,
        header::TE,
        header::TRANSFER_ENCODING,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ] {
        headers.remove(name);
    }
}

fn host_header(request: &Request<Incoming>) -> Result<uri::Authority, Reason> {
    let mut values = request.headers().get_all(header::HOST).iter();
    let value = values.next().ok_or(Reason::Nameless)?;
    if values.next().is_some() {
        return Err(Reason::Malformed);
    }
    let authority = uri::Authority::try_from(value.as_bytes()).map_err(|_| Reason::Malformed)?;
    if authority.as_str().contains('@') { Err(Reason::Malformed) } else { Ok(authority) }
}

/// Tells the instance, in words that its log will show.
fn refusal(target: &str, reason: &Reason) -> Response<Body> {
    let status = match reason {
        Reason::NotAllowed | Reason::Address { .. } | Reason::OtherName(_) => StatusCode::FORBIDDEN,
        Reason::OtherHost(_) => StatusCode::MISDIRECTED_REQUEST,
        Reason::Unresolved | Reason::Unreachable(_) => StatusCode::BAD_GATEWAY,
        Reason::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        Reason::Nameless | Reason::Malformed => StatusCode::BAD_REQUEST,
    };
    let text = format!("safeconduct: no connection to {target}: {reason}\n");
    let mut answer = Response::new(Full::from(text).map_err(|never: Infallible| match never {}).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(REFUSED, HeaderValue::from_static(reason.code()));
    answer
}

/// Says with a stable word why a request was refused.
const REFUSED: HeaderName = HeaderName::from_static("x-safeconduct-refused");

fn empty() -> Body {
    Full::default().map_err(|never: Infallible| match never {}).boxed()
}
