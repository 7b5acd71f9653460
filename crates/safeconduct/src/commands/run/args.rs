//! What can be typed after `run` and `dev`. The flags mirror the file.

use std::path::PathBuf;

use clap::Args;

use safeconduct_runtime::package::Name;

use crate::config::plan::EngineWord;

/// One server, behind the gateway, without a file.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// A container image (by digest, or a tag with --allow-tags), a package (uvx:NAME@VERSION or npx:NAME@VERSION), or the
    /// URL of a server that runs already.
    #[arg(value_name = "IMAGE|PACKAGE|URL", required_unless_present = "command")]
    pub target: Option<String>,
    /// A program of this machine and its arguments, after `--`. With an image, it replaces the image's command;
    /// with a package, they are its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// The server's name: it is served at /NAME/mcp. Default: made of the image, host or program.
    #[arg(long)]
    pub name: Option<String>,
    /// Where the gateway listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Where health, metrics and status are served.
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<String>,
    /// Identity provider of the callers. Default: one on this machine, where you say who you are.
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// Audience that the provider's tokens are for, besides the server's own URL.
    #[arg(long, requires = "issuer")]
    pub audience: Vec<String>,
    /// People of the provider on this machine, with their groups.
    #[arg(long = "user", value_name = "NAME[:GROUP,...]", conflicts_with = "issuer")]
    pub users: Vec<String>,
    /// A file or directory of policies. Default: whoever is logged in may do everything with this server.
    #[arg(long)]
    pub policy: Vec<PathBuf>,
    /// A secret that the server wants in a header: env:NAME or file:PATH. The same for every caller.
    #[arg(long, value_name = "REFERENCE")]
    pub api_key: Option<String>,
    /// The header that it goes into.
    #[arg(long, requires = "api_key", default_value = "Authorization")]
    pub header: String,
    /// How a started server is spoken to: stdio, or the port that it listens on.
    #[arg(long, value_name = "stdio|PORT", default_value = "stdio")]
    pub transport: String,
    /// Where a started server may connect to, as host:port; may be repeated.
    #[arg(long, value_name = "HOST:PORT")]
    pub allow: Vec<String>,
    /// Lets a started server connect anywhere public, and says what to allow.
    #[arg(long, conflicts_with = "allow")]
    pub learn: bool,
    /// A file or directory that a started server may read: PATH or PATH:INSIDE; may be repeated.
    #[arg(long, value_name = "PATH")]
    pub read: Vec<String>,
    /// A file or directory that it may change; may be repeated.
    #[arg(long, value_name = "PATH")]
    pub write: Vec<String>,
    /// A variable of its environment; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// A secret of its environment, by reference: NAME=env:OTHER or NAME=file:PATH; may be repeated.
    #[arg(long, value_name = "NAME=REFERENCE")]
    pub secret: Vec<String>,
    /// Memory that it may use.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Processors that it may use.
    #[arg(long, value_name = "NUMBER")]
    pub cpus: Option<String>,
    /// User that it runs as inside: UID or UID:GID.
    #[arg(long)]
    pub user_inside: Option<String>,
    /// Accepts an image that runs as root.
    #[arg(long)]
    pub root: bool,
    /// Accepts an image by tag, and a package without a version.
    #[arg(long)]
    pub allow_tags: bool,
    /// The package's program, if it is not called like the package.
    #[arg(long, value_name = "PROGRAM")]
    pub entry: Option<String>,
    /// The image that the package is built on.
    #[arg(long, value_name = "IMAGE")]
    pub base_image: Option<String>,
    /// Lets the package's code run while it is installed.
    #[arg(long)]
    pub install_scripts: bool,
    /// The index that the package comes from, instead of PyPI or npm's.
    #[arg(long, value_name = "URL")]
    pub index: Option<String>,
    /// The engine's network that the build has: a name, or host.
    #[arg(long, value_name = "NETWORK")]
    pub build_network: Option<String>,
    /// What runs it: docker, podman, or process (no container, for development).
    #[arg(long, value_parser = engine)]
    pub engine: Option<EngineWord>,
    /// Writes the configuration file on standard output instead of running.
    #[arg(long)]
    pub print_config: bool,
}

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Url(String),
    Image(String),
    Package(String),
    Program,
}

impl RunArgs {
    pub(super) fn what(&self) -> Target {
        match &self.target {
            None => Target::Program,
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                Target::Url(url.clone())
            }
            Some(package) if Name::is_meant(package) => Target::Package(package.clone()),
            Some(image) => Target::Image(image.clone()),
        }
    }

    /// The server's name: plain enough for a path and a policy.
    pub(super) fn server_name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let long = match self.what() {
            Target::Url(url) => {
                let uri: Option<http::Uri> = url.parse().ok();
                uri.and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default()
            }
            Target::Image(image) => {
                let named = image.split('@').next().unwrap_or_default();
                let last = named.rsplit('/').next().unwrap_or_default();
                last.split(':').next().unwrap_or_default().to_owned()
            }
            Target::Package(package) => package
                .parse::<Name>()
                .map_or_else(|_| "server".to_owned(), |name| name.short().trim_start_matches('@').to_owned()),
            Target::Program => program_name(&self.command),
        };
        let plain: String = long
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
            .collect();
        let plain = plain.trim_matches('-');
        if plain.is_empty() || plain.starts_with("sha256") { "server".to_owned() } else { plain.to_owned() }
    }
}

fn engine(word: &str) -> Result<EngineWord, String> {
    let known = [EngineWord::Docker, EngineWord::Podman, EngineWord::Process];
    known
        .into_iter()
        .find(|engine| engine.word() == word)
        .ok_or_else(|| "docker, podman or process".to_owned())
}

/// Of `npx -y @scope/server-memory` that is `server-memory`: the first word that is neither a launcher nor a flag.
fn program_name(command: &[String]) -> String {
    const LAUNCHERS: [&str; 9] = ["npx", "uvx", "node", "python", "python3", "uv", "run", "-m", "env"];
    let stem = |word: &str| {
        let last = word.rsplit('/').next().unwrap_or_default();
        let last = last.split(['@', '=']).find(|part| !part.is_empty()).unwrap_or_default();
        last.trim_end_matches(".py").trim_end_matches(".js").trim_end_matches(".mjs").to_owned()
    };
    let words: Vec<String> = command.iter().map(|word| stem(word)).collect();
    let telling = words.iter().find(|word| !word.starts_with('-') && !LAUNCHERS.contains(&word.as_str()));
    telling.or(words.first()).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::program_name;

    fn name(command: &str) -> String {
        program_name(&command.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_server_is_called_after_what_it_is_and_not_after_what_starts_it() {
        assert_eq!(name("npx -y @modelcontextprotocol/server-memory@1.2"), "server-memory");
        assert_eq!(name("uvx mcp-server-time==2026.1"), "mcp-server-time");
        assert_eq!(name("python3 server.py --port 1"), "server");
        assert_eq!(name("/usr/local/bin/weather"), "weather");
        assert_eq!(name("node"), "node");
    }
}
