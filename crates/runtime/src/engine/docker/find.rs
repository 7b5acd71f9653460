//! Finds an engine: where the environment says, and where Docker and Podman listen by default.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker as Api};
use tokio::net::UnixStream;

use super::error::told;
use crate::engine::EngineError;

/// Requests that take longer have failed; those that stream are not meant.
const TIMEOUT: u64 = 120;
/// Until an engine has said that it is there: one that starts many containers is slow to.
const GREETING: Duration = Duration::from_secs(60);

/// Which engine is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Whichever answers first.
    #[default]
    Any,
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// The one that listens there: `unix:///run/user/1000/podman/podman.sock`.
    At(String),
}

/// Where engines may listen, of this process's environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `CONTAINER_HOST`, which Podman's client reads.
    pub container_host: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| text(name).map(PathBuf::from);
        Self {
            docker_host: text("DOCKER_HOST"),
            container_host: text("CONTAINER_HOST"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            home: path("HOME"),
        }
    }
}

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// A socket of this machine.
    Socket(PathBuf),
    /// A port of this machine: `127.0.0.1:2375`.
    Port(String),
}

/// The engine's client.
pub(super) struct Connected {
    pub(super) api: Api,
    pub(super) address: Address,
}

/// Connects to the first engine that answers. What the environment names is the only one that is tried.
pub(super) async fn find(wanted: &Wanted, around: &Surroundings) -> Result<Connected, EngineError> {
    let named = match wanted {
        Wanted::At(at) => Some(("the configuration", at)),
        Wanted::Podman => around.container_host.as_ref().map(|host| ("CONTAINER_HOST", host)),
        _ => around.docker_host.as_ref().map(|host| ("DOCKER_HOST", host)),
    };
    if let Some((by, text)) = named {
        let address =
            address(text).map_err(|why| EngineError::Absent(format!("{text} (named by {by}): {why}")))?;
        return connect(address.clone())
            .await
            .map_err(|why| EngineError::Absent(format!("{text} (named by {by}): {why}")));
    }
    let mut tried = Vec::new();
    for socket in sockets(wanted, around) {
        if !socket.exists() {
            continue;
        }
        match connect(Address::Socket(socket.clone())).await {
            Ok(found) => return Ok(found),
            Err(why) => tried.push(format!("{}: {why}", socket.display())),
        }
    }
    Err(EngineError::Absent(if tried.is_empty() { none(wanted) } else { tried.join("; ") }))
}

/// The sockets that are tried, in order.
pub(super) fn sockets(wanted: &Wanted, around: &Surroundings) -> Vec<PathBuf> {
    let below = |root: &Option<PathBuf>, path: &str| root.as_ref().map(|root| root.join(path));
    let docker = [
        Some(PathBuf::from("/var/run/docker.sock")),
        below(&around.runtime_dir, "docker.sock"),
        below(&around.home, ".docker/run/docker.sock"),
    ];
    let podman =
        [below(&around.runtime_dir, "podman/podman.sock"), Some(PathBuf::from("/run/podman/podman.sock"))];
    let (docker, podman) = (docker.into_iter().flatten(), podman.into_iter().flatten());
    match wanted {
        Wanted::Docker => docker.collect(),
        Wanted::Podman => podman.collect(),
        Wanted::Any | Wanted::At(_) => docker.chain(podman).collect(),
    }
}

fn none(wanted: &Wanted) -> String {
    let socket = "its socket is started with `systemctl --user start podman.socket`";
    match wanted {
        Wanted::Docker => {
            "no Docker socket is here: install Docker, or say in DOCKER_HOST where it listens".to_owned()
        }
        Wanted::Podman => {
            format!(
                "no Podman socket is here: install Podman ({socket}), or say in CONTAINER_HOST where it listens"
            )
        }
        _ => format!(
            "no container engine is here: install Docker or Podman ({socket}), or say in DOCKER_HOST where one listens"
        ),
    }
}

fn address(text: &str) -> Result<Address, String> {
    match text.split_once("://") {
        Some(("unix", path)) => Ok(Address::Socket(path.into())),
        Some(("tcp" | "http", host)) => {
            let name = host.trim_end_matches('/').rsplit_once(':').map_or(host, |(name, _)| name);
            let loopback = name == "localhost"
                || name
                    .trim_matches(['[', ']'])
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback());
            if !loopback {
                return Err(
                    "an engine of another machine is not supported: whoever reaches its port owns it"
                        .to_owned(),
                );
            }
            Ok(Address::Port(host.trim_end_matches('/').to_owned()))
        }
        Some((scheme, _)) => {
            Err(format!("`{scheme}` is not supported: name a socket, `unix:///path/to.sock`"))
        }
        None if text.starts_with('/') => Ok(Address::Socket(text.into())),
        None => Err("name a socket, `unix:///path/to.sock`".to_owned()),
    }
}

async fn connect(address: Address) -> Result<Connected, String> {
    let api = match &address {
        Address::Socket(path) => {
            readable(path).await?;
            Api::connect_with_unix(&path.to_string_lossy(), TIMEOUT, API_DEFAULT_VERSION)
        }
        Address::Port(host) => Api::connect_with_http(host, TIMEOUT, API_DEFAULT_VERSION),
    };
    let api = api.map_err(|error| told(error).to_string())?;
    let api = tokio::time::timeout(GREETING, api.negotiate_version())
        .await
        .map_err(|_| format!("no answer within {} s", GREETING.as_secs()))?
        .map_err(|error| match told(error) {
            EngineError::Absent(why) => why,
            other => other.to_string(),
        })?;
    Ok(Connected { api, address })
}

/// Says why a socket cannot be used: the client's own error does not.
async fn readable(path: &Path) -> Result<(), String> {
    match UnixStream::connect(path).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(
            "permission denied: this user may not speak to it (a rootless engine needs no group, and no root)".to_owned(),
        ),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err("nobody listens there".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("there is no such socket".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Address, Surroundings, Wanted, address, find, sockets};

    fn around() -> Surroundings {
        Surroundings {
            runtime_dir: Some("/run/user/1000".into()),
            home: Some("/home/me".into()),
            ..Surroundings::default()
        }
    }

    #[test]
    fn the_sockets_of_both_engines_are_tried_also_those_of_a_user() {
        let paths = |wanted| -> Vec<String> {
            sockets(&wanted, &around()).iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(
            paths(Wanted::Any),
            [
                "/var/run/docker.sock",
                "/run/user/1000/docker.sock",
                "/home/me/.docker/run/docker.sock",
                "/run/user/1000/podman/podman.sock",
                "/run/podman/podman.sock"
            ]
        );
        assert_eq!(paths(Wanted::Podman), ["/run/user/1000/podman/podman.sock", "/run/podman/podman.sock"]);
    }

    #[test]
    fn an_engine_is_of_this_machine() {
        assert_eq!(address("unix:///a/b.sock"), Ok(Address::Socket(PathBuf::from("/a/b.sock"))));
        assert_eq!(address("/a/b.sock"), Ok(Address::Socket(PathBuf::from("/a/b.sock"))));
        assert_eq!(address("tcp://127.0.0.1:2375"), Ok(Address::Port("127.0.0.1:2375".into())));
        assert_eq!(address("tcp://[::1]:2375/"), Ok(Address::Port("[::1]:2375".into())));
        for no in ["tcp://10.0.0.1:2375", "ssh://me@host", "host:1", "tcp://localhost.evil.test:2375"] {
            assert!(address(no).is_err(), "{no}");
        }
    }

    #[tokio::test]
    async fn where_there_is_none_it_is_said_what_to_do() {
        let nowhere = Surroundings { docker_host: Some("unix:///nowhere/docker.sock".into()), ..around() };
        let told = find(&Wanted::Any, &nowhere).await.err().unwrap().to_string();
        assert_eq!(
            told,
            "the container engine does not answer: unix:///nowhere/docker.sock (named by DOCKER_HOST): \
             there is no such socket"
        );
        let told = find(&Wanted::At("ssh://me@host".into()), &around()).await.err().unwrap().to_string();
        assert!(told.contains("name a socket"), "{told}");
    }
}
