//! Who this user is at a registry, as `docker login` and `podman login` wrote it down.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::find::Surroundings;
use crate::engine::EngineError;

/// A credential helper that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Docker's own registry stands under this name in the files.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The files in which logins are written down.
pub(super) struct Registries(Vec<PathBuf>);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: HashMap<String, Login>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    auth: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

impl Registries {
    pub(super) fn of(around: &Surroundings) -> Self {
        let docker = std::env::var_os("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| around.home.as_ref().map(|home| home.join(".docker")))
            .map(|directory| directory.join("config.json"));
        let podman = std::env::var_os("REGISTRY_AUTH_FILE")
            .map(PathBuf::from)
            .or_else(|| around.runtime_dir.as_ref().map(|directory| directory.join("containers/auth.json")));
        Self(podman.into_iter().chain(docker).collect())
    }

    /// The login at a registry; None when there is none: then it is asked anonymously.
    pub(super) async fn credentials(&self, registry: &str) -> Result<Option<DockerCredentials>, EngineError> {
        for file in &self.0 {
            let Ok(text) = tokio::fs::read(file).await else { continue };
            let config: Config = serde_json::from_slice(&text)
                .map_err(|error| EngineError::Refused(format!("cannot read {}: {error}", file.display())))?;
            let named = if registry == "docker.io" { DOCKER_HUB } else { registry };
            if let Some(helper) = config.cred_helpers.get(registry).or(config.creds_store.as_ref())
                && let Some(found) = ask(helper, named).await?
            {
                return Ok(Some(found));
            }
            let login = config.auths.get(named).or_else(|| config.auths.get(&format!("https://{named}")));
            if let Some(Login { auth, identitytoken }) = login
                && (auth.is_some() || identitytoken.is_some())
            {
                return Ok(Some(DockerCredentials {
                    auth: auth.clone(),
                    identitytoken: identitytoken.clone(),
                    serveraddress: Some(named.to_owned()),
                    ..split(auth.as_deref())
                }));
            }
        }
        Ok(None)
    }
}

/// Name and password of `auth`: not every engine takes it apart itself.
fn split(auth: Option<&str>) -> DockerCredentials {
    use base64::Engine;
    let plain = auth.and_then(|auth| base64::engine::general_purpose::STANDARD.decode(auth.trim()).ok());
    let plain = plain.and_then(|plain| String::from_utf8(plain).ok()).unwrap_or_default();
    match plain.split_once(':') {
        Some((name, password)) => DockerCredentials {
            username: Some(name.to_owned()),
            password: Some(password.trim_end_matches('\0').to_owned()),
            ..DockerCredentials::default()
        },
        None => DockerCredentials::default(),
    }
}

/// Asks a credential helper: `docker-credential-NAME get`, the registry on its input. One that knows nothing fails.
async fn ask(helper: &str, registry: &str) -> Result<Option<DockerCredentials>, EngineError> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: &dyn std::fmt::Display| EngineError::Refused(format!("{program}: {why}"));
    let asking = async {
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(registry.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(PATIENCE, asking).await.map_err(|_| failed(&"no answer in time"))?;
    let output = output.map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Ok(None);
    }
    let helped: Helped =
        serde_json::from_slice(&output.stdout).map_err(|_| failed(&"its answer is not understood"))?;
    let serveraddress = Some(registry.to_owned());
    Ok(Some(if helped.username == "<token>" {
        DockerCredentials {
            identitytoken: Some(helped.secret),
            serveraddress,
            ..DockerCredentials::default()
        }
    } else {
        DockerCredentials {
            username: Some(helped.username),
            password: Some(helped.secret),
            serveraddress,
            ..DockerCredentials::default()
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::{Registries, split};

    #[test]
    fn a_written_login_is_a_name_and_a_password() {
        let login = split(Some("YWxpY2U6cGE6c3M="));
        assert_eq!((login.username.as_deref(), login.password.as_deref()), (Some("alice"), Some("pa:ss")));
        assert_eq!(split(Some("!")).username, None);
    }

    #[tokio::test]
    async fn the_login_of_a_registry_is_found_and_of_no_other() {
        let directory = std::env::temp_dir().join(format!("safeconduct-registries-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("config.json");
        let text = r#"{"auths":{"ghcr.io":{"auth":"YWxpY2U6cGFzcw=="},"https://index.docker.io/v1/":{"auth":"Yjpj"}}}"#;
        std::fs::write(&file, text).unwrap();
        let registries = Registries(vec![directory.join("none"), file]);
        let found = registries.credentials("ghcr.io").await.unwrap().unwrap();
        assert_eq!(found.username.as_deref(), Some("alice"));
        let hub = registries.credentials("docker.io").await.unwrap().unwrap();
        assert_eq!(hub.username.as_deref(), Some("b"));
        assert!(registries.credentials("quay.io").await.unwrap().is_none());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
