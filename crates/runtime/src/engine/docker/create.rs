//! What the engine is told to make: everything that is not allowed is taken away here, in one place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount as EngineMount, MountBindOptions, MountBindOptionsPropagationEnum, MountType, NetworkingConfig,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use rustix::process::{Resource, getrlimit};
use safeconduct_core::secret::Secret;

use super::facts::Facts;
use super::image::Image;
use super::labels::labels;
use super::mark::Mark;
use super::no_container;
use crate::engine::EngineError;
use crate::launch::{FILES, Launch, Mount, Program, Transport};

/// Bytes of `/dev/shm`.
const SHARED_MEMORY: u64 = 64 << 20;
/// Files that a process may have open.
const FILES_OPEN: i64 = 8192;
/// Processes of one user of the host: those of all containers that run as the same user count together.
const PROCESSES: i64 = 32768;
/// Bytes of log that the engine keeps of a server that is spoken to over HTTP, in each of two files.
const LOG_SIZE: &str = "10m";

/// What a container needs besides its launch.
pub(super) struct Outfit<'a> {
    pub(super) mark: &'a Mark,
    pub(super) launch: &'a Launch,
    pub(super) image: &'a Image,
    pub(super) facts: &'a Facts,
    /// Checked mounts: host's path, and whether it may be written.
    pub(super) mounts: Vec<(Mount, bool)>,
    /// Where the engine finds the in-memory files.
    pub(super) files: Option<PathBuf>,
    /// A file to stand at `/etc/resolv.conf`, for an engine that makes none.
    pub(super) resolv_conf: Option<PathBuf>,
    /// Where the engine finds a filter of system calls, for one whose own is too wide.
    pub(super) seccomp: Option<PathBuf>,
    /// Network and own address on it; None: no network at all.
    pub(super) network: Option<(String, Ipv4Addr)>,
    /// Who answers questions for names.
    pub(super) names: IpAddr,
    /// Names with their addresses.
    pub(super) hosts: Vec<(String, Ipv4Addr)>,
    /// Variables that the way out needs, unless the launch has set them.
    pub(super) variables: Vec<(&'static str, String)>,
}

impl Outfit<'_> {
    /// The engine's request.
    pub(super) fn body(self) -> Result<ContainerCreateBody, EngineError> {
        let permissions = &self.launch.permissions;
        let stdio = self.launch.transport == Transport::Stdio;
        let command = match &self.launch.program {
            Program::Image { command, .. } => command.clone(),
            // The image that was made of it begins with its program.
            Program::Package(package) => package.arguments.clone(),
            Program::Command { .. } => return Err(no_container()),
        };
        Ok(ContainerCreateBody {
            image: Some(self.image.id.clone()),
            cmd: (!command.is_empty()).then_some(command),
            user: permissions.user.clone(),
            env: Some(environment(&self.launch.environment, &self.variables)?),
            labels: Some(labels(
                self.mark,
                &self.launch.server,
                &self.launch.instance,
                if stdio { "stdio" } else { "http" },
            )),
            attach_stdin: Some(stdio),
            attach_stdout: Some(stdio),
            attach_stderr: Some(stdio),
            open_stdin: Some(stdio),
            stdin_once: Some(stdio),
            tty: Some(false),
            // What the image would have run inside, again and again, by itself.
            healthcheck: self.image.config.healthcheck.is_some().then(no_healthcheck),
            networking_config: self.network.as_ref().map(endpoint),
            host_config: Some(self.host_config(stdio)),
            ..ContainerCreateBody::default()
        })
    }

    fn host_config(&self, stdio: bool) -> HostConfig {
        let permissions = &self.launch.permissions;
        HostConfig {
            privileged: Some(false),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(self.security()),
            readonly_rootfs: Some(true),
            memory: self.facts.memory.then(|| signed(permissions.memory)),
            // Memory and swap together: no swap.
            memory_swap: self.facts.memory.then(|| signed(permissions.memory)),
            nano_cpus: self.facts.cpus.then(|| i64::from(permissions.cpus) * 1_000_000),
            pids_limit: self.facts.pids.then(|| i64::from(permissions.pids)),
            ulimits: Some(ulimits()),
            shm_size: Some(signed(SHARED_MEMORY.min(permissions.memory))),
            tmpfs: Some(self.tmpfs()),
            mounts: Some(self.binds()),
            binds: self.files.as_ref().map(|host| {
                let label = if self.facts.selinux { ",Z" } else { "" };
                vec![format!("{}:{FILES}:ro{label}", host.display())]
            }),
            network_mode: Some(
                self.network.as_ref().map_or_else(|| "none".to_owned(), |(name, _)| name.clone()),
            ),
            dns: self.resolv_conf.is_none().then(|| vec![self.names.to_string()]),
            dns_search: self.resolv_conf.is_none().then(|| vec![".".to_owned()]),
            extra_hosts: Some(self.hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect()),
            sysctls: self.network.as_ref().and_then(|_| without_ipv6()),
            ipc_mode: Some("private".to_owned()),
            log_config: Some(log(stdio)),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                ..RestartPolicy::default()
            }),
            auto_remove: Some(false),
            ..HostConfig::default()
        }
    }

    fn security(&self) -> Vec<String> {
        let filter = self.seccomp.as_ref().map(|host| format!("seccomp={}", host.display()));
        std::iter::once("no-new-privileges".to_owned()).chain(filter).collect()
    }

    /// Places in memory that are instead of what would be on the host's disk, or where the engine would put writable
    /// ones.
    fn tmpfs(&self) -> HashMap<String, String> {
        let scratch = |size| format!("rw,nosuid,nodev,noexec,size={size},mode=1777");
        let tmp = self.launch.permissions.tmp;
        let mut places = HashMap::from([("/tmp".to_owned(), scratch(tmp))]);
        let named = |place: &str| self.mounts.iter().any(|(mount, _)| mount.inside.as_os_str() == place);
        if self.facts.podman {
            for place in ["/run", "/var/tmp"].into_iter().filter(|place| !named(place)) {
                places.insert(place.to_owned(), "ro,nosuid,nodev,noexec,size=4096".to_owned());
            }
        }
        for volume in self.image.config.volumes.iter().flatten().filter(|volume| !named(volume)) {
            places.insert(volume.clone(), scratch(tmp));
        }
        places
    }

    fn binds(&self) -> Vec<EngineMount> {
        let bind = |source: String, target: String, read_only: bool| EngineMount {
            typ: Some(MountType::BIND),
            source: Some(source),
            target: Some(target),
            read_only: Some(read_only),
            bind_options: Some(MountBindOptions {
                propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
                // What is mounted below would come along, and could be written even if this cannot.
                non_recursive: Some(true),
                ..MountBindOptions::default()
            }),
            ..EngineMount::default()
        };
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let named =
            self.mounts.iter().map(|(mount, write)| bind(text(&mount.host), text(&mount.inside), !write));
        let resolv =
            self.resolv_conf.iter().map(|host| bind(text(host), "/etc/resolv.conf".to_owned(), true));
        named.chain(resolv).collect()
    }
}

fn no_healthcheck() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }
}

fn environment(
    set: &[(String, Secret)],
    variables: &[(&'static str, String)],
) -> Result<Vec<String>, EngineError> {
    let mut all = Vec::new();
    for (name, value) in set {
        let bad = |why| EngineError::Forbidden(format!("the variable `{name}` {why}"));
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(bad("has no name that a variable can have"));
        }
        let value =
            value.expose_str().filter(|value| !value.contains('\0')).ok_or_else(|| bad("is no text"))?;
        all.push(format!("{name}={value}"));
    }
    for (name, value) in variables {
        if !set.iter().any(|(set, _)| set == name) {
            all.push(format!("{name}={value}"));
        }
    }
    Ok(all)
}

fn endpoint((name, address): &(String, Ipv4Addr)) -> NetworkingConfig {
    let ipam =
        EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..EndpointIpamConfig::default() };
    let settings = EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() };
    NetworkingConfig { endpoints_config: Some(HashMap::from([(name.clone(), settings)])) }
}

/// No dumps of memory, which the host might keep; few open files; and a number of processes, where Podman would ask for
/// one that not every machine grants. How many there may really be says the control group.
fn ulimits() -> Vec<ResourcesUlimits> {
    let own = |what| getrlimit(what).maximum.and_then(|most| i64::try_from(most).ok());
    let files = own(Resource::Nofile).unwrap_or(FILES_OPEN).min(FILES_OPEN);
    let processes = own(Resource::Nproc).unwrap_or(PROCESSES).min(PROCESSES);
    [("core", 0, 0), ("nofile", files.min(1024), files), ("nproc", processes, processes)]
        .into_iter()
        .map(|(name, soft, hard)| ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: Some(soft),
            hard: Some(hard),
        })
        .collect()
}

/// The bridge has an address of IPv6 that nobody gave it; where the kernel knows of none, there is nothing to turn off.
fn without_ipv6() -> Option<HashMap<String, String>> {
    std::path::Path::new("/proc/sys/net/ipv6").exists().then(|| {
        ["net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6"]
            .into_iter()
            .map(|name| (name.to_owned(), "1".to_owned()))
            .collect()
    })
}

/// What a server writes over its standard streams is its conversation, and stands in no log of the engine.
fn log(stdio: bool) -> HostConfigLogConfig {
    let bounded = [("max-size", LOG_SIZE), ("max-file", "2")];
    HostConfigLogConfig {
        typ: Some(if stdio { "none" } else { "json-file" }.to_owned()),
        config: (!stdio)
            .then(|| bounded.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()),
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use bollard::models::{HealthConfig, ImageConfig};
    use safeconduct_core::secret::Secret;
    use serde_json::{Value, json};

    use super::super::facts::all;
    use super::super::image::Image;
    use super::super::mark::Mark;
    use super::super::meeting::INSIDE;
    use super::Outfit;
    use crate::launch::{Launch, Mount, Permissions, Program, Pull, Transport};

    fn launch(transport: Transport) -> Launch {
        Launch {
            server: "orders".into(),
            instance: "orders-1".into(),
            program: Program::Image {
                reference: "x".into(),
                command: vec![],
                allow_tag: true,
                pull: Pull::Never,
            },
            transport,
            permissions: Permissions::default(),
            environment: vec![("A".into(), Secret::new(b"b=c".to_vec()))],
            files: vec![],
        }
    }

    fn mark() -> Mark {
        Mark { owner: "gw".into(), gateway: "container:1".into() }
    }

    fn body(launch: &Launch, change: impl FnOnce(&mut Outfit<'_>)) -> Result<Value, String> {
        let facts = all();
        let config = ImageConfig {
            volumes: Some(vec!["/data".into()]),
            healthcheck: Some(HealthConfig::default()),
            ..ImageConfig::default()
        };
        let image = Image { id: "sha256:1".into(), config };
        let mut outfit = Outfit {
            mark: &mark(),
            launch,
            image: &image,
            facts: &facts,
            mounts: vec![],
            files: None,
            resolv_conf: None,
            seccomp: None,
            network: None,
            names: INSIDE,
            hosts: vec![],
            variables: vec![],
        };
        change(&mut outfit);
        outfit.body().map(|body| serde_json::to_value(body).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn by_default_nothing_is_allowed() {
        let body = body(&launch(Transport::Stdio), |_| {}).unwrap();
        let host = &body["HostConfig"];
        for (name, value) in [
            ("CapDrop", json!(["ALL"])),
            ("SecurityOpt", json!(["no-new-privileges"])),
            ("ReadonlyRootfs", json!(true)),
            ("Privileged", json!(false)),
            ("NetworkMode", json!("none")),
            ("Memory", json!(536_870_912)),
            ("MemorySwap", json!(536_870_912)),
            ("NanoCpus", json!(1_000_000_000)),
            ("PidsLimit", json!(128)),
            ("Mounts", json!([])),
            ("LogConfig", json!({"Type": "none"})),
            ("RestartPolicy", json!({"Name": "no"})),
            ("ExtraHosts", json!([])),
        ] {
            assert_eq!(host[name], value, "{name}");
        }
        for never in [
            "CapAdd",
            "Devices",
            "DeviceRequests",
            "PortBindings",
            "GroupAdd",
            "PidMode",
            "Binds",
            "VolumesFrom",
        ] {
            assert_eq!(host[never], Value::Null, "{never}");
        }
        let scratch = "rw,nosuid,nodev,noexec,size=67108864,mode=1777";
        assert_eq!(host["Tmpfs"], json!({"/tmp": scratch, "/data": scratch}));
        assert_eq!(host["Ulimits"][0], json!({"Name": "core", "Soft": 0, "Hard": 0}));
        assert_eq!(body["Env"], json!(["A=b=c"]));
        assert_eq!(body["Image"], "sha256:1");
        assert_eq!(body["Healthcheck"]["Test"], json!(["NONE"]));
        assert_eq!(body["Labels"]["safeconduct.owner"], "gw");
        assert_eq!(body["Labels"]["safeconduct.gateway"], mark().gateway);
    }

    #[test]
    fn what_is_named_is_mounted_by_itself_and_read_only_unless_it_may_be_written() {
        let mounts = vec![
            (Mount { host: "/srv/a".into(), inside: "/data".into() }, false),
            (Mount { host: "/srv/b".into(), inside: "/b".into() }, true),
        ];
        let body = body(&launch(Transport::Stdio), |outfit| outfit.mounts = mounts).unwrap();
        let host = &body["HostConfig"];
        let options = json!({"Propagation": "rprivate", "NonRecursive": true});
        assert_eq!(
            host["Mounts"],
            json!([
                {"Type": "bind", "Source": "/srv/a", "Target": "/data", "ReadOnly": true, "BindOptions": options},
                {"Type": "bind", "Source": "/srv/b", "Target": "/b", "ReadOnly": false, "BindOptions": options}
            ])
        );
        // The image's volume at the same place is not made besides.
        assert_eq!(host["Tmpfs"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn the_log_of_a_server_over_http_is_bounded() {
        let http = Transport::Http { port: 8000, path: "/mcp".into() };
        let body = body(&launch(http), |_| {}).unwrap();
        assert_eq!(
            body["HostConfig"]["LogConfig"],
            json!({"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}})
        );
        assert_eq!(body["OpenStdin"], json!(false));
    }

    #[test]
    fn a_variable_of_the_launch_is_not_overwritten_and_one_that_is_none_is_refused() {
        let variables = vec![("A", "proxy".to_owned()), ("B", "proxy".to_owned())];
        let value = body(&launch(Transport::Stdio), |outfit| outfit.variables = variables).unwrap();
        assert_eq!(value["Env"], json!(["A=b=c", "B=proxy"]));
        let mut bad = launch(Transport::Stdio);
        bad.environment = vec![("A=B".into(), Secret::new(b"secret".to_vec()))];
        let told = body(&bad, |_| {}).unwrap_err();
        assert!(told.contains("A=B") && !told.contains("secret"), "{told}");
    }
}
