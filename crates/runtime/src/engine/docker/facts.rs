//! What an engine is, and what it can enforce.

use bollard::Docker as Api;

use super::ask::{self, Host};
use super::error::told;
use super::find::Address;
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
    /// It filters system calls.
    pub(super) seccomp: bool,
    /// It can limit memory.
    pub(super) memory: bool,
    /// It can limit the number of processes.
    pub(super) pids: bool,
    /// It can limit processors.
    pub(super) cpus: bool,
}

impl Facts {
    pub(super) async fn of(api: &Api, address: &Address) -> Result<Self, EngineError> {
        let version = api.version().await.map_err(told)?;
        let podman = version.components.iter().flatten().any(|part| part.name.contains("Podman"));
        let version = version.version.unwrap_or_default();
        if podman {
            return Ok(Self::of_podman(version, &ask::podman(address).await?));
        }
        let info = api.info().await.map_err(told)?;
        let options = info.security_options.unwrap_or_default();
        let has = |name: &str| {
            options.iter().any(|option| option.split(',').any(|part| part == format!("name={name}")))
        };
        Ok(Self {
            podman,
            version,
            rootless: has("rootless"),
            remapped: has("userns"),
            selinux: has("selinux"),
            seccomp: has("seccomp") && !options.iter().any(|option| option.contains("profile=unconfined")),
            memory: info.memory_limit != Some(false),
            pids: info.pids_limit != Some(false),
            cpus: info.cpu_cfs_quota != Some(false),
        })
    }

    fn of_podman(version: String, host: &Host) -> Self {
        let limits = !host.security.rootless || host.cgroup_version == "v2";
        let can =
            |controller: &str| limits && host.cgroup_controllers.iter().any(|known| known == controller);
        Self {
            podman: true,
            version,
            rootless: host.security.rootless,
            remapped: false,
            selinux: host.security.selinux_enabled,
            seccomp: host.security.seccomp_enabled,
            memory: can("memory"),
            pids: can("pids"),
            cpus: can("cpu"),
        }
    }

    /// What it cannot enforce, in words.
    pub(super) fn lacking(&self) -> Vec<&'static str> {
        [
            (self.seccomp, "which system calls are allowed (seccomp)"),
            (self.memory, "memory"),
            (self.pids, "the number of processes"),
            (self.cpus, "processors"),
        ]
        .into_iter()
        .filter_map(|(enforced, what)| (!enforced).then_some(what))
        .collect()
    }

    /// Refuses to start anything that would not be confined. A share of the processors is not a matter of that;
    /// memory and processes are, unless that was accepted.
    pub(super) fn enough(&self, unlimited: bool) -> Result<(), EngineError> {
        if self.seccomp && (unlimited || self.memory && self.pids) {
            return Ok(());
        }
        let hint = if self.rootless {
            " (a rootless engine needs control groups of version 2, delegated to its user)"
        } else {
            ""
        };
        Err(EngineError::Forbidden(format!("this engine cannot limit {}{hint}", self.lacking().join(", "))))
    }
}

#[cfg(test)]
pub(super) fn all() -> Facts {
    Facts {
        podman: false,
        version: String::new(),
        rootless: false,
        remapped: false,
        selinux: false,
        seccomp: true,
        memory: true,
        pids: true,
        cpus: true,
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, all};

    #[test]
    fn an_engine_that_confines_is_enough_and_one_that_does_not_says_what_it_lacks() {
        assert!(all().enough(false).is_ok());
        assert!(Facts { cpus: false, ..all() }.enough(false).is_ok());
        let rootless = Facts { rootless: true, memory: false, pids: false, ..all() };
        let told = rootless.enough(false).unwrap_err().to_string();
        assert!(
            told.contains("cannot limit memory, the number of processes (a rootless engine needs"),
            "{told}"
        );
        assert!(rootless.enough(true).is_ok());
        assert!(Facts { seccomp: false, ..all() }.enough(true).is_err());
    }
}
