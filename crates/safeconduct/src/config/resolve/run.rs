//! Servers that this program starts.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use safeconduct_runtime::launch::{Destination, Mount, Network, Permissions, Program, Pull, Transport};

use super::{Resolver, plainly};
use crate::config::decode::{At, Field};
use crate::config::plan::{EngineWord, RunPlan, RunSecret, RuntimePlan};
use crate::config::raw::{self, Net, PullWord, Server, Speech};
use crate::config::values::Many;

const IDLE: Duration = Duration::from_secs(600);
const START: Duration = Duration::from_secs(60);
const INSTANCES: u32 = 50;
const PER_CALLER: u32 = 10;
/// Less than this no server starts with.
const LEAST_MEMORY: u64 = 6 << 20;

impl Resolver<'_> {
    /// What starts servers.
    pub(super) fn runtime(&mut self) -> RuntimePlan {
        let runtime = self.file.runtime.value();
        let text =
            |field: fn(&raw::Runtime) -> &Field<String>| runtime.and_then(|it| field(it).value()).cloned();
        let number = |field: Option<&At<crate::config::values::Count>>, default: u32| {
            field
                .and_then(|at| u32::try_from(at.value.0).ok())
                .filter(|number| *number > 0)
                .unwrap_or(default)
        };
        let engine = runtime.and_then(|runtime| runtime.engine.given());
        if let Some(at) = engine.filter(|at| at.value == EngineWord::Process) {
            self.warn_of_process(at.site.clone());
        }
        self.indexes();
        RuntimePlan {
            engine: engine.map(|at| at.value),
            socket: text(|runtime| &runtime.socket).map(|path| self.path(&path)),
            state: text(|runtime| &runtime.state).map(|path| self.path(&path)),
            instances: number(runtime.and_then(|runtime| runtime.instances.given()), INSTANCES),
            per_caller: number(runtime.and_then(|runtime| runtime.per_caller.given()), PER_CALLER),
            owner: self.owner(),
            sealed: self.sealed_paths(),
            start: runtime.and_then(|runtime| runtime.start.value()).map_or(START, |period| period.0),
        }
    }

    /// A name that another configuration does not have, and this one has again after a restart.
    fn owner(&self) -> String {
        let directory = &self.surroundings.directory;
        let directory = directory.canonicalize().unwrap_or_else(|_| directory.clone());
        let listen = self.file.listen.value().map_or_else(String::new, |address| address.0.to_string());
        let mut text = format!("{}\0{listen}", directory.display());
        // One that has another state directory is another gateway.
        if let Some(state) = self.file.runtime.value().and_then(|runtime| runtime.state.value()) {
            text += &format!("\0{}", self.path(state).display());
        }
        let digest = digest(&SHA256, text.as_bytes());
        digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// What is started, and how it is addressed inside.
    pub(super) fn started(&mut self, name: &At<String>, server: &Server) -> Option<(http::Uri, RunPlan)> {
        if let Some(url) = server.url.given() {
            self.problems
                .error(
                    url.site.clone(),
                    "`url` is where a server is, `image`, `package` and `command` start one",
                )
                .label("keep one of them");
            return None;
        }
        let engine = self.engine(server);
        // All of them are looked at, whatever the others come to.
        let program = self.program(name, server, engine);
        let transport = self.transport(server);
        let permissions = self.permissions(server, engine);
        let environment = self.environment(server);
        let secrets = self.run_secrets(server);
        let idle = server.idle.value().map_or(IDLE, |period| period.0);
        let (url, transport) = transport?;
        let run = RunPlan {
            engine,
            program: program?,
            transport,
            permissions,
            environment,
            secrets: secrets?,
            idle,
            per_caller: server.per_caller.or(false),
        };
        Some((url, run))
    }

    /// Settings of started servers, beside a `url`.
    pub(super) fn only_when_started(&mut self, server: &Server) {
        let settings = [
            ("allow_tags", place(&server.allow_tags)),
            ("pull", place(&server.pull)),
            ("entry", place(&server.entry)),
            ("base_image", place(&server.base_image)),
            ("install_scripts", place(&server.install_scripts)),
            ("engine", place(&server.engine)),
            ("transport", place(&server.transport)),
            ("permissions", place(&server.permissions)),
            ("environment", place(&server.environment)),
            ("secrets", place(&server.secrets)),
            ("idle", place(&server.idle)),
            ("per_caller", place(&server.per_caller)),
        ];
        for (setting, place) in settings {
            let Some(place) = place else { continue };
            self.problems
                .error(place, format!("`{setting}` is for a server that is started here"))
                .label("this server is not")
                .help("give its `image` (or `package`, or `command`) instead of `url`, or remove the line");
        }
    }

    fn engine(&mut self, server: &Server) -> Option<EngineWord> {
        let own = server.engine.given();
        if let Some(at) = own.filter(|at| at.value == EngineWord::Process) {
            self.warn_of_process(at.site.clone());
        }
        let general = self.file.runtime.value().and_then(|runtime| runtime.engine.value());
        own.map(|at| at.value).or(general.copied())
    }

    fn warn_of_process(&mut self, site: Range<usize>) {
        self.problems
            .warning(site, "a plain process is not confined: it has this user's files and network")
            .label("for development")
            .help("`docker` or `podman` confine it");
    }

    fn program(&mut self, name: &At<String>, server: &Server, engine: Option<EngineWord>) -> Option<Program> {
        let pull = match server.pull.or(PullWord::Missing) {
            PullWord::Missing => Pull::Missing,
            PullWord::Always => Pull::Always,
            PullWord::Never => Pull::Never,
        };
        if let Some(package) = server.package.given() {
            if let Some(image) = server.image.given() {
                self.problems
                    .error(image.site.clone(), "`image` and `package` are two things to run")
                    .label("keep one of them");
                return None;
            }
            return self.package(package, server, engine, pull);
        }
        self.only_for_packages(server);
        let command = server.command.value().map(|many| many.values().cloned().collect::<Vec<_>>());
        let Some(image) = server.image.given() else {
            return self.own_program(name, server, command?, engine);
        };
        if engine == Some(EngineWord::Process) {
            self.problems
                .error(image.span.clone(), "an image needs a container engine, and `engine` is `process`")
                .label("cannot run as a plain process");
            return None;
        }
        let allow_tag = server.allow_tags.or(false);
        let digest = image.value.rsplit_once('@').is_some_and(|(_, digest)| is_digest(digest))
            || is_digest(&image.value);
        if image.value.is_empty() || image.value.contains(char::is_whitespace) {
            self.problems
                .error(image.span.clone(), "this is not the name of an image")
                .label("cannot be one");
            return None;
        }
        if !digest && !allow_tag {
            self.problems
                .error(image.span.clone(), format!("`{}` names an image by tag", image.value))
                .label("not by digest")
                .help("a tag can be made another image at any time: write NAME@sha256:..., or `allow_tags: true` beside it");
            return None;
        }
        Some(Program::Image {
            reference: image.value.clone(),
            command: command.unwrap_or_default(),
            allow_tag,
            pull,
        })
    }

    fn own_program(
        &mut self,
        name: &At<String>,
        server: &Server,
        arguments: Vec<String>,
        engine: Option<EngineWord>,
    ) -> Option<Program> {
        for (setting, place) in [("allow_tags", place(&server.allow_tags)), ("pull", place(&server.pull))] {
            let Some(place) = place else { continue };
            self.problems.error(place, format!("`{setting}` is for an image")).label("there is no `image`");
        }
        if engine != Some(EngineWord::Process) {
            self.problems
                .error(
                    name.span.clone(),
                    "a program of this machine runs without a container, which must be said",
                )
                .label("needs `engine: process` or an `image`")
                .help("`engine: process` is for development; `image` runs it confined");
            return None;
        }
        if arguments.first().is_none_or(String::is_empty) {
            self.problems.error(name.span.clone(), "`command` is empty").label("nothing to run");
            return None;
        }
        Some(Program::Command { arguments, directory: Some(self.surroundings.directory.clone()) })
    }

    fn transport(&mut self, server: &Server) -> Option<(http::Uri, Transport)> {
        let http = match &server.transport {
            Field::Absent => None,
            Field::Broken => return None,
            Field::Given(at) => match &at.value {
                Speech::Stdio => None,
                Speech::Http(http) => Some(http),
            },
        };
        let Some(http) = http else {
            return Some((http::Uri::from_static("http://localhost/mcp"), Transport::Stdio));
        };
        let port = http.port.given()?;
        let Some(number) = u16::try_from(port.value.0).ok().filter(|number| *number > 0) else {
            self.problems.error(port.span.clone(), "this is not a port").label("1 to 65535");
            return None;
        };
        let path = http.path.value().cloned().unwrap_or_else(|| "/mcp".to_owned());
        let url = format!("http://localhost:{number}{path}").parse().ok().filter(|_| path.starts_with('/'));
        if url.is_none() {
            let span = http.path.given().map_or_else(|| port.span.clone(), |at| at.span.clone());
            self.problems.error(span, format!("`{path}` is not a path")).label("begins with `/`");
        }
        Some((url?, Transport::Http { port: number, path }))
    }

    fn permissions(&mut self, server: &Server, engine: Option<EngineWord>) -> Permissions {
        let mut permissions = Permissions::default();
        let Some(written) = server.permissions.given() else { return permissions };
        let confined = !server.package.is_absent() && engine != Some(EngineWord::Process);
        if server.image.is_absent() && !confined {
            self.problems
                .warning(written.site.clone(), "a plain process is not held to `permissions`")
                .label("not enforced but for memory and processes");
        }
        let written = &written.value;
        permissions.network = match written.network.value() {
            None | Some(Net::None) => Network::None,
            Some(Net::Learn) => Network::Learn,
            Some(Net::Allow(allow)) => Network::Allow(self.destinations(&allow.allow)),
        };
        if let Some(files) = written.files.value() {
            permissions.read = self.mounts(&files.read);
            permissions.write = self.mounts(&files.write);
        }
        if let Some(memory) = written.memory.given() {
            if memory.value.0 < LEAST_MEMORY {
                self.problems
                    .error(memory.span.clone(), "no server runs in so little memory")
                    .label("at least 6MiB");
            }
            permissions.memory = memory.value.0;
        }
        permissions.cpus = written.cpus.value().map_or(permissions.cpus, |cpus| cpus.0);
        permissions.pids = written
            .pids
            .value()
            .and_then(|pids| u32::try_from(pids.0).ok())
            .filter(|pids| *pids > 0)
            .unwrap_or(permissions.pids);
        permissions.tmp = written.tmp.value().map_or(permissions.tmp, |tmp| tmp.0);
        permissions.root = written.root.or(false);
        if let Some(user) = written.user.given() {
            let number = |text: &str| text.parse::<u32>().is_ok();
            let good = user
                .value
                .split_once(':')
                .map_or_else(|| number(&user.value), |(uid, gid)| number(uid) && number(gid));
            if !good {
                self.problems
                    .error(user.span.clone(), format!("`{}` is not a user", user.value))
                    .label("numbers: `1000` or `1000:1000`");
            }
            permissions.user = Some(user.value.clone());
        }
        if permissions.root
            && let Some(root) = written.root.given()
        {
            self.problems
                .warning(
                    root.site.clone(),
                    "root inside a container is one mistake of the kernel away from root outside",
                )
                .label("accepted")
                .help("`user: 1000` runs most images just as well");
        }
        permissions
    }

    fn destinations(&mut self, written: &Field<Many<String>>) -> Vec<Destination> {
        let mut all = Vec::new();
        for one in written.value().map(|many| many.0.as_slice()).unwrap_or_default() {
            match one.value.parse::<Destination>() {
                Ok(destination) => all.push(destination),
                Err(error) => {
                    self.problems.error(one.span.clone(), error.to_string()).label("not `host:port`").help(
                        "\"api.example.com:443\", \"*.example.com:443\" or a network, \"10.1.0.0/16:5432\"",
                    );
                }
            }
        }
        all
    }

    fn mounts(&mut self, written: &Field<Many<String>>) -> Vec<Mount> {
        let mut mounts = Vec::new();
        for one in written.value().map(|many| many.0.as_slice()).unwrap_or_default() {
            let (host, inside) = match one.value.rsplit_once(":/") {
                Some((host, inside)) => (host, Some(PathBuf::from(format!("/{inside}")))),
                None => (one.value.as_str(), None),
            };
            match self.path(host).canonicalize() {
                Ok(host) => mounts.push(Mount { inside: inside.unwrap_or_else(|| host.clone()), host }),
                Err(error) => {
                    self.problems
                        .error(one.span.clone(), format!("cannot find `{host}`: {}", plainly(&error)))
                        .label("this path")
                        .help("relative paths start at the directory of the configuration file");
                }
            }
        }
        mounts
    }

    fn environment(&mut self, server: &Server) -> Vec<(String, String)> {
        let Some(written) = server.environment.value() else { return Vec::new() };
        let mut environment = Vec::new();
        for (name, value) in written.iter() {
            self.variable(&name.value, &name.span);
            if safeconduct_identity::secret_source::is_telling(&name.value) {
                self.problems
                    .warning(name.span.clone(), format!("`{}` looks like a secret", name.value))
                    .label("stands in the file itself")
                    .help("under `secrets` it is given by reference, and is never printed");
            }
            environment.push((name.value.clone(), value.value.clone()));
        }
        environment
    }

    fn run_secrets(&mut self, server: &Server) -> Option<Vec<RunSecret>> {
        let Some(written) = server.secrets.value() else {
            return (!matches!(server.secrets, Field::Broken)).then(Vec::new);
        };
        let mut secrets = Vec::new();
        let mut good = true;
        for (name, reference) in written.iter() {
            self.variable(&name.value, &name.span);
            match self.secret(reference) {
                Some(secret) => secrets.push(RunSecret { variable: name.value.clone(), secret }),
                None => good = false,
            }
        }
        good.then_some(secrets)
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

pub(super) fn place<T>(field: &Field<T>) -> Option<Range<usize>> {
    field.given().map(|at| at.site.clone())
}
