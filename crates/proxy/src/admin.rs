//! The admin listener: health, readiness, metrics and status, for probes and people, never for callers; and what may be
//! ordered here (`order`).

mod order;

pub use order::{HEADER as ORDER_HEADER, Order, OrderRefused, Revoked, Stop};

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// What the admin listener shows. Everything is read when it is asked for.
pub trait Show: Send + Sync + 'static {
    /// What keeps the gateway from serving; empty when it is ready.
    fn missing(&self) -> Vec<String>;
    /// Metrics as text.
    fn metrics(&self) -> String;
    /// Everything, for people; JSON.
    fn status(&self) -> serde_json::Value;
    /// What the instances of a started server say, line by line; with `follow` also what they will say. None for a server
    /// that is not started here.
    fn logs(&self, server: &str, follow: bool) -> Option<Lines>;
}

/// Lines of a log, as they come.
pub type Lines = Pin<Box<dyn Stream<Item = String> + Send>>;

/// A body: whole, or as it comes.
type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// What the admin listener does. Whoever can reach it may order it.
pub trait Obey: Send + Sync + 'static {
    /// `POST /revoke`: ends logins.
    fn revoke(&self, order: Order) -> Pin<Box<dyn Future<Output = Result<Revoked, OrderRefused>> + Send>>;
    /// `POST /stop`: ends what runs of a started server. How many, or None where there is no such server.
    fn stop(&self, order: Stop) -> Pin<Box<dyn Future<Output = Option<usize>> + Send>>;
}

/// Binds now and serves on the current runtime until it ends.
///
/// # Errors
/// Those of binding.
pub fn serve(
    address: SocketAddr,
    shown: Arc<dyn Show>,
    obeying: Arc<dyn Obey>,
    runtime: &tokio::runtime::Handle,
) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let _entered = runtime.enter();
    let listener = TcpListener::from_std(listener)?;
    runtime.spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (shown, obeying) = (shown.clone(), obeying.clone());
            tokio::spawn(async move {
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (shown, obeying) = (shown.clone(), obeying.clone());
                    async move {
                        let orders = order::PATHS.contains(&request.uri().path());
                        Ok::<_, Infallible>(match orders {
                            true => order::answer(request, &*obeying).await,
                            false => answer(&request, &*shown),
                        })
                    }
                });
                let _ = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(10))
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    });
    Ok(address)
}

fn answer(request: &Request<Incoming>, shown: &dyn Show) -> Response<Answer> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n".into());
    }
    // Who calls and what servers say: a web page is not to read it, under whatever name it calls this listener.
    let path = request.uri().path();
    let private = path == "/status" || path.starts_with("/logs/");
    if private && !order::has_address(request.headers()) {
        return text(StatusCode::FORBIDDEN, "the Host must be an address or localhost\n".into());
    }
    match path {
        "/healthz" => text(StatusCode::OK, "ok\n".into()),
        "/readyz" => ready(&shown.missing()),
        "/metrics" => typed(
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            shown.metrics(),
        ),
        "/status" => json(StatusCode::OK, &shown.status()),
        path => match path.strip_prefix("/logs/") {
            Some(server) => logs(request, server, shown),
            None => text(
                StatusCode::NOT_FOUND,
                "/healthz /readyz /metrics /status /logs/SERVER; POST /revoke /stop\n".into(),
            ),
        },
    }
}

fn logs(request: &Request<Incoming>, server: &str, shown: &dyn Show) -> Response<Answer> {
    let Some(lines) = shown.logs(server, request.uri().query() == Some("follow")) else {
        return text(StatusCode::NOT_FOUND, "no such server is started here\n".into());
    };
    let frames = lines.map(|line| Ok::<_, Infallible>(Frame::data(Bytes::from(line + "\n"))));
    let mut response = text(StatusCode::OK, String::new());
    *response.body_mut() = StreamBody::new(frames).boxed_unsync();
    response
}

fn ready(missing: &[String]) -> Response<Answer> {
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &serde_json::json!({"ready": missing.is_empty(), "missing": missing}))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Answer> {
    let body = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    typed(status, "application/json", body)
}

fn text(status: StatusCode, body: String) -> Response<Answer> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Response<Answer> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
