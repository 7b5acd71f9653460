//! One request over one new connection: no pool, so a dropped answer is a closed connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

/// How long a whole answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer read to its end.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Fetched {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's first value as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// An answer's body still on the wire; dropping it closes the connection.
#[derive(Debug)]
pub struct OnTheWire {
    incoming: Incoming,
    connection: AbortHandle,
}

impl Drop for OnTheWire {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Body for OnTheWire {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.incoming).poll_frame(context)
    }
}

/// Sends a request with an absolute `http://` address and returns when the head of the answer is there.
///
/// # Errors
/// When the address is not plain http, nobody listens, or the connection ends before the head.
pub async fn open(mut request: Request<Bytes>) -> io::Result<Response<OnTheWire>> {
    let bad_address = || io::Error::new(io::ErrorKind::InvalidInput, "an absolute http:// address is needed");
    let uri = request.uri().clone();
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(bad_address)?;
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(async move {
        // Its error is also given to the request in flight.
        let _ = connection.await;
    })
    .abort_handle();
    if !request.headers().contains_key(header::HOST) {
        let host = HeaderValue::from_str(authority.as_str()).map_err(io::Error::other)?;
        request.headers_mut().insert(header::HOST, host);
    }
    *request.uri_mut() =
        uri.path_and_query().map_or("/", |path| path.as_str()).parse().map_err(io::Error::other)?;
    let response = sender.send_request(request.map(Full::new)).await.map_err(io::Error::other)?;
    Ok(response.map(|incoming| OnTheWire { incoming, connection }))
}

/// Sends a request and reads the whole answer, within thirty seconds.
///
/// # Errors
/// As [`open`], and when the body is cut or the time is over.
pub async fn fetch(request: Request<Bytes>) -> io::Result<Fetched> {
    let whole = async {
        let (head, body) = open(request).await?.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Fetched { status: head.status, headers: head.headers, body })
    };
    tokio::time::timeout(PATIENCE, whole).await.map_err(io::Error::other)?
}

/// GET.
///
/// # Errors
/// As [`fetch`].
pub async fn get(url: &str) -> io::Result<Fetched> {
    fetch(Request::get(url).body(Bytes::new()).map_err(io::Error::other)?).await
}

/// POST of a form, as to a token endpoint, with an optional `Authorization` header.
///
/// # Errors
/// As [`fetch`].
pub async fn post_form(url: &str, authorization: Option<&str>, form: &[(&str, &str)]) -> io::Result<Fetched> {
    let mut request = Request::post(url).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    let body = Bytes::from(super::encode_form(form.iter().copied()));
    fetch(request.body(body).map_err(io::Error::other)?).await
}
