//! One connection that carries many requests, plain or in TLS, HTTP/1.1 or HTTP/2.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::patience::within;

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// See the module.
pub(crate) struct Line(Sender);

/// What came back.
pub(crate) struct Came {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Came {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Line {
    /// Plain HTTP/1.1 to `http://host:port`.
    pub(crate) async fn plain(base: &str) -> Self {
        let stream = TcpStream::connect(base.trim_start_matches("http://")).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(Sender::One(sender))
    }

    /// TLS that believes this certificate, with the protocol (`h2`, `http/1.1`) that is asked for.
    pub(crate) async fn secure(
        base: &str,
        believed: &CertificateDer<'static>,
        protocol: &str,
    ) -> std::io::Result<Self> {
        let io = TokioIo::new(tls(base, believed, protocol).await?);
        if protocol == "h2" {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            return Ok(Self(Sender::Two(sender)));
        }
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Ok(Self(Sender::One(sender)))
    }

    /// HTTP/2 of a peer that never opens the window of a stream: not a byte of an answer's body can be sent to it.
    pub(crate) async fn shut(base: &str, believed: &CertificateDer<'static>) -> Self {
        let io = TokioIo::new(tls(base, believed, "h2").await.unwrap());
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.initial_stream_window_size(0).handshake(io).await.unwrap();
        tokio::spawn(connection);
        Self(Sender::Two(sender))
    }

    /// Sends on this connection and reads the whole answer.
    pub(crate) async fn send(&mut self, request: Request<Bytes>) -> Came {
        let (head, body) = self.open(request).await.into_parts();
        let body = within(body.collect()).await.unwrap().to_bytes();
        Came { status: head.status, headers: head.headers, body }
    }

    /// Sends on this connection and reads the head of the answer.
    pub(crate) async fn open(&mut self, mut request: Request<Bytes>) -> Response<Incoming> {
        let uri = request.uri().clone();
        match &mut self.0 {
            Sender::One(sender) => {
                if !request.headers().contains_key(header::HOST) {
                    let host = uri.authority().unwrap().as_str().parse().unwrap();
                    request.headers_mut().insert(header::HOST, host);
                }
                *request.uri_mut() = uri.path_and_query().unwrap().as_str().parse().unwrap();
                within(sender.ready()).await.unwrap();
                within(sender.send_request(request.map(Full::new))).await.unwrap()
            }
            Sender::Two(sender) => {
                let secure = uri.to_string().replace("http://", "https://");
                *request.uri_mut() = secure.parse().unwrap();
                within(sender.send_request(request.map(Full::new))).await.unwrap()
            }
        }
    }
}

async fn tls(
    base: &str,
    believed: &CertificateDer<'static>,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(believed.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let tcp = TcpStream::connect(base.trim_start_matches("http://")).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
    Ok(stream)
}
