//! A running gateway, over its admin listener.

use std::io::Write;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use safeconduct_identity::wire::{Endpoint, Request, Wire, WireConfig};
use safeconduct_proxy::admin::{ORDER_HEADER, Stop};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::Place;
use crate::commands::revoke::reachable;
use crate::config;

/// The gateway's admin listener; None when it has none, or nobody listens there.
pub(super) struct Admin {
    base: String,
}

impl Admin {
    /// Where the place says it is.
    pub(super) fn at(place: &Place) -> Option<Self> {
        if let Some(url) = &place.admin {
            return Some(Self { base: url.trim_end_matches('/').to_owned() });
        }
        let admin = config::admin(&place.config).ok().flatten()?;
        Some(Self { base: format!("http://{}", reachable(admin)) })
    }

    /// `/status`
    pub(super) async fn status(&self) -> Option<Value> {
        let answer = wire()?.send(Request::read(self.endpoint("/status")?)).await.ok()?;
        (answer.status == StatusCode::OK).then(|| serde_json::from_slice(&answer.body).ok())?
    }

    /// `POST /stop`. How many instances ended; None when the gateway does not answer, or starts no such server.
    pub(super) async fn stop(&self, server: &str) -> Option<u64> {
        let mut request = Request::read(self.endpoint("/stop")?);
        request.method = Method::POST;
        request.timeout = Duration::from_secs(40);
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers.insert(HeaderName::from_static(ORDER_HEADER), HeaderValue::from_static("stop"));
        request.body = serde_json::to_vec(&Stop { server: server.to_owned() }).ok()?.into();
        let answer = wire()?.send(request).await.ok()?;
        let said: Value = serde_json::from_slice(&answer.body).ok()?;
        said.get("stopped")?.as_u64()
    }

    /// Writes a server's log to standard output as it comes.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub(super) async fn logs(&self, server: &str, follow: bool, out: &mut impl Write) -> Result<(), String> {
        let authority = self.base.strip_prefix("http://").ok_or("the admin listener speaks plain http")?;
        let failed = |error: std::io::Error| format!("{}: {error}", self.base);
        let mut stream = TcpStream::connect(authority).await.map_err(failed)?;
        let follow = if follow { "?follow" } else { "" };
        // HTTP/1.0: the lines come as they are, and end with the connection.
        let asked = format!("GET /logs/{server}{follow} HTTP/1.0\r\nHost: {authority}\r\n\r\n");
        stream.write_all(asked.as_bytes()).await.map_err(failed)?;
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next_line().await.map_err(failed)?.unwrap_or_default();
        while lines.next_line().await.map_err(failed)?.is_some_and(|header| !header.is_empty()) {}
        while let Some(line) = lines.next_line().await.map_err(failed)? {
            if !status.contains(" 200") {
                return Err(format!("{}: {line}", self.base));
            }
            if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn endpoint(&self, path: &str) -> Option<Endpoint> {
        // Whoever types the address knows what lies between.
        Endpoint::parse(&format!("{}{path}", self.base), true).ok()
    }
}

fn wire() -> Option<Wire> {
    Wire::new(&WireConfig::default(), tokio::runtime::Handle::current()).ok()
}
