//! The configuration file that the flags stand for.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::args::{RunArgs, Target};
use crate::config::plan::EngineWord;

/// Whom the file believes about callers.
pub(super) struct Believed<'a> {
    pub(super) issuer: &'a str,
    pub(super) audience: Vec<String>,
}

#[derive(Serialize)]
struct File {
    listen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<String>,
    issuers: BTreeMap<&'static str, Issuer>,
    servers: BTreeMap<String, Server>,
    policy: Vec<String>,
    audit: Audit,
    #[serde(skip_serializing_if = "Runtime::is_default")]
    runtime: Runtime,
}

#[derive(Serialize, Default, PartialEq)]
struct Runtime {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    build: BTreeMap<&'static str, String>,
}

impl Runtime {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Serialize)]
struct Issuer {
    issuer: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audience: Vec<String>,
}

#[derive(Serialize)]
struct Audit {
    file: String,
}

#[derive(Serialize, Default)]
struct Server {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_image: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    install_scripts: bool,
    #[serde(skip_serializing_if = "is_false")]
    allow_tags: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    command: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<Transport>,
    #[serde(skip_serializing_if = "Permissions::is_default")]
    permissions: Permissions,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    environment: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<String, String>,
    credential: Credential,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver: Option<BTreeMap<&'static str, String>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Transport {
    Http { http: u16 },
}

#[derive(Serialize, Default, PartialEq)]
struct Permissions {
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Files>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    root: bool,
}

#[derive(Serialize, PartialEq)]
#[serde(untagged)]
enum Network {
    Learn(&'static str),
    Allow { allow: Vec<String> },
}

#[derive(Serialize, PartialEq)]
struct Files {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    read: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    write: Vec<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Credential {
    None(&'static str),
    Steps(Vec<BTreeMap<&'static str, BTreeMap<&'static str, String>>>),
}

impl Default for Credential {
    fn default() -> Self {
        Self::None("none")
    }
}

impl Permissions {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The file's text. Relative paths are those of the directory that they were typed in; None leaves them as they are.
///
/// # Errors
/// A flag that cannot be understood, as a sentence.
pub(super) fn text(
    args: &RunArgs,
    believed: &Believed<'_>,
    policy: Vec<String>,
    audit: String,
    state: Option<String>,
    typed_in: Option<&Path>,
) -> Result<String, String> {
    let issuer = Issuer { issuer: believed.issuer.to_owned(), audience: believed.audience.clone() };
    let file = File {
        listen: args.listen.clone(),
        admin: args.admin.clone(),
        issuers: [("login", issuer)].into(),
        servers: [(args.server_name(), server(args, typed_in)?)].into(),
        policy,
        audit: Audit { file: audit },
        runtime: Runtime { state, build: build(args) },
    };
    serde_saphyr::to_string(&file).map_err(|error| error.to_string())
}

fn server(args: &RunArgs, typed_in: Option<&Path>) -> Result<Server, String> {
    let path =
        |path: &String| typed_in.map_or_else(|| path.clone(), |here| here.join(path).display().to_string());
    let reference = |text: &String| match text.strip_prefix("file:") {
        Some(file) => format!("file:{}", path(&file.to_owned())),
        None => text.clone(),
    };
    let mut server = Server { allow_tags: args.allow_tags, ..Server::default() };
    match args.what() {
        Target::Url(url) => server.url = Some(url),
        Target::Image(image) => server.image = Some(image),
        Target::Package(package) => server.package = Some(package),
        // Whoever writes a program after `--` has said that it is no container.
        Target::Program => server.engine = Some(EngineWord::Process.word()),
    }
    if let Some(engine) = args.engine {
        server.engine = Some(engine.word());
    }
    server.command.clone_from(&args.command);
    server.entry.clone_from(&args.entry);
    server.base_image.clone_from(&args.base_image);
    server.install_scripts = args.install_scripts;
    if args.transport != "stdio" {
        let port = args.transport.parse().map_err(|_| "--transport is `stdio` or a port".to_owned())?;
        server.transport = Some(Transport::Http { http: port });
    }
    let network = match (args.learn, args.allow.is_empty()) {
        (true, _) => Some(Network::Learn("learn")),
        (false, false) => Some(Network::Allow { allow: args.allow.clone() }),
        (false, true) => None,
    };
    let files = (!args.read.is_empty() || !args.write.is_empty()).then(|| Files {
        read: args.read.iter().map(path).collect(),
        write: args.write.iter().map(path).collect(),
    });
    server.permissions = Permissions {
        network,
        files,
        memory: args.memory.clone(),
        cpus: args.cpus.clone(),
        user: args.user_inside.clone(),
        root: args.root,
    };
    server.environment = pairs("--env", &args.env)?;
    server.secrets =
        pairs("--secret", &args.secret)?.into_iter().map(|(name, text)| (name, reference(&text))).collect();
    if let Some(key) = &args.api_key {
        server.credential = Credential::Steps(vec![[("static", [("secret", reference(key))].into())].into()]);
        server.deliver = Some([("header", args.header.clone())].into());
    }
    Ok(server)
}

/// How a package is built: what holds for all packages in a file.
fn build(args: &RunArgs) -> BTreeMap<&'static str, String> {
    let python = matches!(args.what(), Target::Package(package) if package.starts_with("uvx:"));
    let index = if python { "python_index" } else { "npm_registry" };
    let settings = [(index, &args.index), ("network", &args.build_network)];
    settings.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
}

fn pairs(flag: &str, written: &[String]) -> Result<BTreeMap<String, String>, String> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("{flag} is NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    written.iter().map(pair).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(flag: &bool) -> bool {
    !flag
}
