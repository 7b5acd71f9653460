//! Whether this program itself runs in a container of the engine, and in which.

use std::path::{Path, PathBuf};

use bollard::Docker as Api;
use bollard::query_parameters::InspectContainerOptions;

use super::error::told;
use crate::engine::EngineError;

/// This program's own container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) id: String,
    /// It has the host's network: then it is as if it ran on the host.
    pub(super) host_network: bool,
    /// Mounts: where they are inside, and on the host.
    mounts: Vec<(PathBuf, PathBuf)>,
}

impl Own {
    /// Asks the engine about the containers that this process might be in.
    pub(super) async fn find(api: &Api) -> Result<Option<Self>, EngineError> {
        for id in candidates(&Traces::of_process()) {
            let found = match api.inspect_container(&id, None::<InspectContainerOptions>).await.map_err(told)
            {
                Ok(found) => found,
                Err(EngineError::Missing(_)) => continue,
                Err(other) => return Err(other),
            };
            let mode = found.host_config.and_then(|config| config.network_mode).unwrap_or_default();
            let mounts =
                found.mounts.unwrap_or_default().into_iter().filter_map(|mount| {
                    Some((PathBuf::from(mount.destination?), PathBuf::from(mount.source?)))
                });
            let id = found.id.unwrap_or(id);
            return Ok(Some(Self { id, host_network: mode == "host", mounts: mounts.collect() }));
        }
        Ok(None)
    }

    /// Where the host has a path of ours; None where it does not.
    pub(super) fn on_host(&self, path: &Path) -> Option<PathBuf> {
        let below = |(inside, host): &(PathBuf, PathBuf)| {
            Some((inside.clone(), host.join(path.strip_prefix(inside).ok()?)))
        };
        self.mounts
            .iter()
            .filter_map(below)
            .max_by_key(|(inside, _)| inside.components().count())
            .map(|(_, host)| host)
    }
}

/// What tells a process in which container it is.
#[derive(Default)]
struct Traces {
    mounts: String,
    groups: String,
    hostname: String,
    marked: bool,
}

impl Traces {
    fn of_process() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            mounts: read("/proc/self/mountinfo"),
            groups: read("/proc/self/cgroup"),
            hostname: read("/proc/sys/kernel/hostname").trim().to_owned(),
            marked: Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists(),
        }
    }
}

/// Ids of containers that this may be: of the files that an engine mounts into each container; of the control group;
/// the hostname, which is the id's beginning unless another was chosen.
fn candidates(traces: &Traces) -> Vec<String> {
    let mut found = Vec::new();
    for line in traces.mounts.lines() {
        let mut fields = line.split(' ').skip(3);
        let (root, place) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        if matches!(place, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf" | "/run/.containerenv") {
            found.extend(root.split('/').filter(|part| is_id(part)).map(str::to_owned));
        }
    }
    for path in traces.groups.lines().filter_map(|line| line.rsplit(':').next()) {
        let last = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".scope");
        let last = last.trim_start_matches("docker-").trim_start_matches("libpod-");
        if is_id(last) {
            found.push(last.to_owned());
        }
    }
    let short =
        (12..=64).contains(&traces.hostname.len()) && traces.hostname.bytes().all(|b| b.is_ascii_hexdigit());
    if traces.marked && short {
        found.push(traces.hostname.clone());
    }
    let mut once = Vec::new();
    for id in found {
        if !once.contains(&id) {
            once.push(id);
        }
    }
    once
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Own, Traces, candidates};

    #[test]
    fn a_container_is_known_by_what_the_engine_mounts_into_it() {
        let (docker, podman) = ("d".repeat(64), "e".repeat(64));
        let mounts = format!(
            "626 610 254:0 /var/lib/docker/containers/{docker}/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda rw\n\
             627 610 254:0 /var/lib/docker/containers/{docker}/hosts /etc/hosts rw - ext4 /dev/vda rw\n\
             628 610 0:52 /overlay-containers/{podman}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw\n"
        );
        assert_eq!(candidates(&Traces { mounts, ..Traces::default() }), [docker, podman]);
    }

    #[test]
    fn the_host_is_not_taken_for_the_containers_whose_mounts_it_sees() {
        let id = "d".repeat(64);
        let mounts = format!("90 25 0:40 / /var/lib/docker/containers/{id}/mounts/shm rw - tmpfs shm rw\n");
        let traces =
            Traces { mounts, hostname: "deadbeefdead".into(), groups: "0::/\n".into(), marked: false };
        assert!(candidates(&traces).is_empty());
    }

    #[test]
    fn a_container_is_known_by_its_group_or_by_its_name() {
        let id = "d".repeat(64);
        let groups =
            format!("12:memory:/docker/{id}\n1:name=systemd:/system.slice/docker-{id}.scope\n0::/\n");
        assert_eq!(candidates(&Traces { groups, ..Traces::default() }), [id]);
        let traces = Traces { hostname: "deadbeefdead".into(), marked: true, ..Traces::default() };
        assert_eq!(candidates(&traces), ["deadbeefdead"]);
    }

    #[test]
    fn a_path_is_found_on_the_host_by_the_closest_mount() {
        let mount = |inside: &str, host: &str| (PathBuf::from(inside), PathBuf::from(host));
        let own = Own {
            id: String::new(),
            host_network: false,
            mounts: vec![mount("/run", "/host/run"), mount("/run/safeconduct", "/dev/shm/sc")],
        };
        assert_eq!(own.on_host(Path::new("/run/safeconduct/gw/x")), Some("/dev/shm/sc/gw/x".into()));
        assert_eq!(own.on_host(Path::new("/run/x")), Some("/host/run/x".into()));
        assert_eq!(own.on_host(Path::new("/srv")), None);
    }
}
