//! Questions to the engine whose answers its client does not understand: Podman knows states of a container that are
//! none of Docker's. The client would fail on the whole answer; here the state is a word.

use std::collections::HashMap;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Duration, timeout};

use super::find::Address;
use crate::egress::Io;
use crate::engine::EngineError;

/// An answer that takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);
/// An answer that is longer is none: a container's is some ten thousand bytes.
const LONGEST: usize = 32 << 20;

/// A container among all.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(default)]
    pub(super) image: String,
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) created: i64,
    #[serde(default)]
    pub(super) labels: Option<HashMap<String, String>>,
}

/// A container by itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    state: State,
}

/// How it is with a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct State {
    pub(super) status: String,
    pub(super) running: bool,
    pub(super) pid: i64,
    pub(super) exit_code: i64,
    #[serde(rename = "OOMKilled")]
    pub(super) out_of_memory: bool,
}

/// What Podman says of itself, where the API that it shares with Docker says less, or something else: an ordinary
/// user's engine cannot limit anything with control groups of version 1, and does not say so there.
#[derive(Debug, Deserialize)]
struct Info {
    host: Host,
}

/// Podman's machine.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Host {
    pub(super) cgroup_controllers: Vec<String>,
    pub(super) cgroup_version: String,
    pub(super) security: Security,
}

/// Its security.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Security {
    pub(super) rootless: bool,
    pub(super) seccomp_enabled: bool,
    pub(super) selinux_enabled: bool,
}

/// What Podman says of itself.
pub(super) async fn podman(address: &Address) -> Result<Host, EngineError> {
    Ok(get::<Info>(address, "/v4.0.0/libpod/info").await?.host)
}

/// All containers that a filter leaves, running or not.
pub(super) async fn list(
    address: &Address,
    filters: &HashMap<String, Vec<String>>,
) -> Result<Vec<Listed>, EngineError> {
    let filters = serde_json::to_string(filters).map_err(|error| EngineError::Refused(error.to_string()))?;
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("all", "true")
        .append_pair("filters", &filters)
        .finish();
    get(address, &format!("/containers/json?{query}")).await
}

/// How it is with one.
pub(super) async fn state(address: &Address, container: &str) -> Result<State, EngineError> {
    Ok(get::<Found>(address, &format!("/containers/{container}/json")).await?.state)
}

async fn get<T: DeserializeOwned>(address: &Address, path: &str) -> Result<T, EngineError> {
    let (status, body) = timeout(PATIENCE, fetch(address, path))
        .await
        .map_err(|_| EngineError::Absent("no answer in time".to_owned()))?
        .map_err(EngineError::Absent)?;
    match status {
        200 => serde_json::from_slice(&body)
            .map_err(|error| EngineError::Refused(format!("its answer is not understood: {error}"))),
        404 => Err(EngineError::Missing(message(&body))),
        _ => Err(EngineError::Refused(message(&body))),
    }
}

async fn fetch(address: &Address, path: &str) -> Result<(u16, Bytes), String> {
    let told = |error: &dyn std::error::Error| error.to_string();
    let io: Io = match address {
        Address::Socket(socket) => Box::new(UnixStream::connect(socket).await.map_err(|error| told(&error))?),
        Address::Port(host) => Box::new(TcpStream::connect(host).await.map_err(|error| told(&error))?),
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(|error| told(&error))?;
    let request = Request::get(path).header(header::HOST, "engine").header(header::CONNECTION, "close");
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| told(&error))?;
    let asking = async {
        let answer = sender.send_request(request).await.map_err(|error| told(&error))?;
        let status = answer.status().as_u16();
        let body =
            Limited::new(answer.into_body(), LONGEST).collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(asking);
    tokio::select! {
        answer = &mut asking => answer,
        // The connection may be seen to end before its last bytes are.
        _ = connection => asking.await,
    }
}

fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let text = serde_json::from_slice::<Message>(body).map(|said| said.message);
    let text = text.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    super::error::line(&text)
}

#[cfg(test)]
mod tests {
    use super::{Found, Listed};

    #[test]
    fn a_state_is_a_word_whichever_engine_says_it() {
        let text =
            r#"{"State":{"Status":"stopped","Running":false,"Pid":0,"ExitCode":137,"OOMKilled":true,"X":1}}"#;
        let state = serde_json::from_str::<Found>(text).unwrap().state;
        assert_eq!((state.status.as_str(), state.exit_code, state.out_of_memory), ("stopped", 137, true));
        let text =
            r#"[{"Id":"a","Image":"i","State":"stopped","Status":"","Created":5,"Labels":null,"Ports":[]}]"#;
        assert_eq!(serde_json::from_str::<Vec<Listed>>(text).unwrap()[0].state, "stopped");
    }
}
