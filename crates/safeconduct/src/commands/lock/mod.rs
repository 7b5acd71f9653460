//! `safeconduct lock`: what the servers' tools are pinned to, what has changed since, and that it is approved. It works on
//! the lock file; a running gateway sees for itself that the file has changed.

mod change;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use self::change::{Change, of_server};
use crate::cli::Output;
use crate::config;
use crate::exit::Exit;
use crate::lock::{Entry, Lock, Store};
use crate::present::{Said, columns, plain};

/// Which lock file, and what of it.
#[derive(Debug, Args)]
pub struct LockArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// The configuration file, which says where the lock file is.
    #[arg(short, long, value_name = "FILE", default_value = "safeconduct.yaml", global = true)]
    config: PathBuf,
    /// The lock file itself.
    #[arg(long, value_name = "FILE", global = true)]
    file: Option<PathBuf>,
    /// How the answer is written on standard output.
    #[arg(short, long, value_enum, default_value_t = Output::Text, global = true)]
    output: Output,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
enum Action {
    /// Show in words what has changed since it was approved.
    #[command(after_help = "\
Examples:
  safeconduct lock diff
  safeconduct lock diff --server orders --output json | jq '.changes[].tool'")]
    Diff {
        /// Only of this server.
        #[arg(short, long, value_name = "NAME")]
        server: Option<String>,
    },
    /// Approve what has changed: it is what is pinned from now on.
    #[command(after_help = "\
Examples:
  safeconduct lock approve --server orders --tool send
  safeconduct lock approve --server orders
  safeconduct lock approve              # everything")]
    Approve {
        /// Only of this server.
        #[arg(short, long, value_name = "NAME")]
        server: Option<String>,
        /// Only this tool of the server.
        #[arg(short, long, value_name = "NAME", requires = "server")]
        tool: Option<String>,
    },
}

/// Does it.
pub fn run(args: &LockArgs) -> Said {
    let path = match &args.file {
        Some(file) => Ok(file.clone()),
        None => config::lock(&args.config),
    };
    let store = match path {
        Ok(path) => Store::at(&path),
        Err(why) => {
            let file = args.config.display();
            let why = format!("{file} {why}; name another with --config, or the lock file with --file");
            return Said::failure(Exit::Usage, why);
        }
    };
    match &args.action {
        None => args.read(&store, state),
        Some(Action::Diff { server }) => {
            args.read(&store, |store, lock, output| diff(store, lock, server.as_deref(), output))
        }
        Some(Action::Approve { server, tool }) => {
            approve(&store, server.as_deref(), tool.as_deref(), args.output)
        }
    }
}

impl LockArgs {
    fn read(&self, store: &Store, say: impl FnOnce(&Store, &Lock, Output) -> Said) -> Said {
        match store.read() {
            Ok(lock) => say(store, &lock, self.output),
            Err(error) => Said::failure(Exit::Usage, error),
        }
    }
}

/// One server, in short.
#[derive(Serialize)]
struct Row<'l> {
    server: &'l str,
    at: &'l str,
    since: Option<&'l str>,
    /// A whole list was seen.
    complete: bool,
    pinned: usize,
    quarantined: Vec<&'l str>,
    image: Option<&'l crate::lock::Image>,
}

fn row<'l>((server, entry): (&'l String, &'l Entry)) -> Row<'l> {
    Row {
        server,
        at: &entry.at,
        since: entry.since.as_deref(),
        complete: entry.complete,
        pinned: entry.tools.values().filter(|tool| tool.pinned.is_some()).count(),
        quarantined: entry.quarantined().collect(),
        image: entry.image.as_ref(),
    }
}

fn state(store: &Store, lock: &Lock, output: Output) -> Said {
    let rows: Vec<Row<'_>> = lock.servers.iter().map(row).collect();
    if output == Output::Json {
        return Said::json(&json!({"file": store.path(), "servers": rows}), Exit::Fine);
    }
    if rows.is_empty() {
        return Said::data(format!(
            "{}: nothing is pinned yet; the first list of each server will be\n",
            store.path().display()
        ));
    }
    let words = |row: &Row<'_>| {
        let mut words = format!("{} pinned", counted(row.pinned));
        if !row.quarantined.is_empty() {
            words.push_str(&format!(", quarantined: {}", plain(&row.quarantined.join(", "))));
        }
        if let Some(image) = row.image {
            let another = image.quarantined.as_ref().map_or("", |_| " (another one is quarantined)");
            words.push_str(&format!(
                "\nimage {} is {}{another}",
                plain(&image.reference),
                plain(&image.digest)
            ));
        }
        (plain(row.server), words)
    };
    let table: Vec<(String, String)> = rows.iter().map(words).collect();
    Said::data(columns(0, &table))
}

fn counted(tools: usize) -> String {
    if tools == 1 { "1 tool".to_owned() } else { format!("{tools} tools") }
}

fn diff(store: &Store, lock: &Lock, server: Option<&str>, output: Output) -> Said {
    if let Some(unknown) = server.filter(|server| !lock.servers.contains_key(*server)) {
        return no_such(unknown, lock);
    }
    let changes = changes(lock, server, None);
    match output {
        Output::Json => Said::json(&json!({"file": store.path(), "changes": changes}), Exit::Fine),
        Output::Text if changes.is_empty() => Said::data("nothing has changed\n"),
        Output::Text => Said::data(changes.iter().map(Change::words).collect::<String>()),
    }
}

fn changes(lock: &Lock, server: Option<&str>, tool: Option<&str>) -> Vec<Change> {
    let meant = |name: &str| server.is_none_or(|server| server == name);
    let all = lock.servers.iter().filter(|(name, _)| meant(name));
    all.flat_map(|(name, entry)| of_server(name, entry))
        .filter(|change| tool.is_none() || change.tool.as_deref() == tool)
        .collect()
}

fn approve(store: &Store, server: Option<&str>, tool: Option<&str>, output: Output) -> Said {
    let changed = store.change(|lock| {
        if server.is_some_and(|server| !lock.servers.contains_key(server)) {
            return None;
        }
        let changes = changes(lock, server, tool);
        for (_, entry) in lock.servers.iter_mut().filter(|(name, _)| server.is_none_or(|it| it == *name)) {
            entry.approve(tool);
        }
        Some(changes)
    });
    let (lock, changes) = match changed {
        Ok((lock, changes, _)) => (lock, changes),
        Err(error) => return Said::failure(Exit::Failed, error),
    };
    let Some(changes) = changes else { return no_such(server.unwrap_or_default(), &lock) };
    if let (Some(tool), true) = (tool, changes.is_empty()) {
        return Said::failure(Exit::Failed, format!("the tool {} is not quarantined", plain(tool)));
    }
    match output {
        Output::Json => Said::json(&json!({"file": store.path(), "approved": changes}), Exit::Fine),
        Output::Text if changes.is_empty() => Said::data("there is nothing to approve\n"),
        Output::Text => {
            let words: String = changes.iter().map(Change::words).collect();
            Said::data(format!("{words}approved\n"))
        }
    }
}

fn no_such(server: &str, lock: &Lock) -> Said {
    let known: Vec<&str> = lock.servers.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
    Said::failure(Exit::Usage, format!("nothing of a server {} is pinned; there is: {known}", plain(server)))
}
