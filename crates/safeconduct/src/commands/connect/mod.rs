//! `safeconduct connect`: adds a server of the gateway to an MCP client's configuration, or takes it out again. What is
//! changed is shown; the file as it was stays beside it.

mod clients;
mod edit;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;

use self::clients::CLIENTS;
use crate::config;
use crate::exit::Exit;
use crate::present::Said;

/// What to connect with what.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// The client.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(CLIENTS.iter().map(|client| client.word)))]
    client: String,
    /// The server's name in the configuration. May be left out where there is one only.
    #[arg(short, long)]
    server: Option<String>,
    /// The server's URL, instead of a configuration file.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    url: Option<String>,
    /// The configuration file of the gateway.
    #[arg(short, long, value_name = "FILE", default_value = "safeconduct.yaml")]
    config: PathBuf,
    /// The client's own file, where it is not in its usual place.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Takes the server out again.
    #[arg(long)]
    undo: bool,
    /// Shows the change, and makes none.
    #[arg(long)]
    dry_run: bool,
}

/// Connects, or takes back.
pub fn run(args: &ConnectArgs) -> Said {
    let done =
        target(args).map_err(|why| (Exit::Usage, why)).and_then(|(name, url)| change(args, &name, &url));
    match done {
        Ok(data) => Said::data(data),
        Err((exit, why)) => Said::failure(exit, why),
    }
}

/// Name and URL of the server.
fn target(args: &ConnectArgs) -> Result<(String, String), String> {
    if let Some(url) = &args.url {
        let name = args.server.clone().or_else(|| {
            let path = url.trim_end_matches('/').trim_end_matches("/mcp");
            path.rsplit('/').next().map(str::to_owned)
        });
        return Ok((name.unwrap_or_else(|| "safeconduct".to_owned()), url.clone()));
    }
    let loaded = config::load(&args.config);
    let plan = loaded.plan.ok_or_else(|| {
        format!("{} does not hold up (see `safeconduct check`); or say --url URL", args.config.display())
    })?;
    let names = || plan.servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>().join(", ");
    let server = match (&args.server, plan.servers.as_slice()) {
        (Some(name), _) => {
            plan.server(name).ok_or_else(|| format!("no server is called `{name}`: there are {}", names()))?
        }
        (None, [only]) => only,
        (None, _) => return Err(format!("which server? --server {}", names())),
    };
    Ok((server.name.clone(), server.resource.clone()))
}

fn change(args: &ConnectArgs, name: &str, url: &str) -> Result<String, (Exit, String)> {
    let failed = |why: String| (Exit::Failed, why);
    let client = CLIENTS
        .iter()
        .find(|client| client.word == args.client)
        .ok_or((Exit::Usage, "unknown client".into()))?;
    let path = match &args.file {
        Some(path) => path.clone(),
        None => client.file().ok_or_else(|| failed("HOME is not set: say --file FILE".into()))?,
    };
    let before = read(&path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
    let text = before.as_deref().unwrap_or("{}");
    let edited = match args.undo {
        true => edit::without(text, client.section, name),
        false => edit::with(text, client.section, name, &client.entry(url)),
    };
    let after = edited.map_err(|why| failed(format!("{}: {why}", path.display())))?;
    if before.as_deref() == Some(after.as_str()) {
        return Ok(format!("{}: nothing to change\n", path.display()));
    }
    let mut said =
        format!("{}\n{}", path.display(), edit::difference(before.as_deref().unwrap_or_default(), &after));
    if args.dry_run {
        return Ok(said);
    }
    let backup = write(&path, before.as_deref(), &after)
        .map_err(|error| failed(format!("{}: {error}", path.display())))?;
    if let Some(backup) = backup {
        said += &format!("\nas it was: {}\n", backup.display());
    }
    if !args.undo {
        said += &format!("\n{}\n", client.next);
    }
    Ok(said)
}

fn read(path: &Path) -> std::io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The new file takes the old one's place whole; the old one stays beside it.
fn write(path: &Path, before: Option<&str>, after: &str) -> std::io::Result<Option<PathBuf>> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    // Through a link to where the file really is.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let beside = |ending: &str| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(ending);
        path.with_file_name(name)
    };
    // Clients keep secrets in these files: nobody else may read the copies either.
    let mode = std::fs::metadata(&path).map_or(0o600, |about| about.permissions().mode() & 0o777);
    let put = |to: &Path, text: &str| {
        let _ = std::fs::remove_file(to);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(to)?;
        std::io::Write::write_all(&mut file, text.as_bytes())
    };
    // Under a name that is free: what an earlier change kept may be the only copy of what the user wrote.
    let backup = before.map(|_| {
        let names = std::iter::once(".before-safeconduct".to_owned())
            .chain((2..).map(|number| format!(".before-safeconduct.{number}")));
        names.map(|name| beside(&name)).find(|free| free.symlink_metadata().is_err()).unwrap_or_default()
    });
    if let (Some(backup), Some(before)) = (&backup, before) {
        put(backup, before)?;
    }
    let next = beside(".next");
    put(&next, after)?;
    std::fs::rename(next, &path)?;
    Ok(backup)
}
