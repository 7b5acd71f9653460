//! What an engine is, and what it can enforce.

use bollard::Docker as Api;

use super::error::told;
use crate::engine::EngineError;

/// An engine's answers to what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) podman: bool,
    pub(super) version: String,
    /// It belongs to an ordinary user.
    pub(super) rootless: bool,
    /// The users of containers are other users of the host.
    pub(super) remapped: bool,
    pub(super) selinux: bool,
    /// What it cannot enforce, in words.
    pub(super) lacking: Vec<&'static str>,
}

impl Facts {
    pub(super) async fn of(api: &Api) -> Result<Self, EngineError> {
        let version = api.version().await.map_err(told)?;
        let podman = version.components.iter().flatten().any(|part| part.name.contains("Podman"));
        let info = api.info().await.map_err(told)?;
        let options = info.security_options.unwrap_or_default();
        let has = |name: &str| {
            options.iter().any(|option| option.split(',').any(|part| part == format!("name={name}")))
        };
        let mut lacking = Vec::new();
        if !has("seccomp") || options.iter().any(|option| option.contains("profile=unconfined")) {
            lacking.push("which system calls are allowed (seccomp)");
        }
        for (enforced, what) in [
            (info.memory_limit, "memory"),
            (info.pids_limit, "the number of processes"),
            (info.cpu_cfs_quota, "processors"),
        ] {
            if enforced == Some(false) {
                lacking.push(what);
            }
        }
        Ok(Self {
            podman,
            version: version.version.unwrap_or_default(),
            rootless: has("rootless"),
            remapped: has("userns"),
            selinux: has("selinux"),
            lacking,
        })
    }

    /// Refuses to start anything that would not be confined.
    pub(super) fn enough(&self) -> Result<(), EngineError> {
        if self.lacking.is_empty() {
            return Ok(());
        }
        let hint = if self.rootless {
            " (a rootless engine needs cgroups of version 2, delegated to its user)"
        } else {
            ""
        };
        Err(EngineError::Forbidden(format!("this engine cannot limit {}{hint}", self.lacking.join(", "))))
    }
}
