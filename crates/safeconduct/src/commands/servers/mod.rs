//! `list`, `logs`, `stop`, `rm`: the MCP servers that this program started. A running gateway is asked over its admin
//! listener; what its engine knows is asked there, whether or not a gateway runs.

mod admin;
mod engine;
mod list;
mod logs;
mod stop;

use std::path::PathBuf;

use clap::Args;

pub use list::run as list;
pub use logs::run as logs;
pub use stop::{remove, stop};

use crate::cli::Output;

/// Where the servers are.
#[derive(Debug, Args)]
pub struct Place {
    /// The configuration file of the gateway.
    #[arg(short, long, value_name = "FILE", default_value = "safeconduct.yaml")]
    pub config: PathBuf,
    /// Where the gateway's admin listener is: `http://127.0.0.1:9090`. Otherwise the configuration says it.
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
}

/// `list`
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// Those of other gateways of this machine, too.
    #[arg(short, long)]
    pub(super) all: bool,
    /// How the answer is written on standard output.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// `logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The server's name in the configuration.
    pub(super) server: String,
    /// Go on with what it says from now on.
    #[arg(short, long)]
    pub(super) follow: bool,
    #[command(flatten)]
    pub(super) place: Place,
}

/// `stop` and `rm`
#[derive(Debug, Args)]
pub struct StopArgs {
    /// The server's name in the configuration, or an instance's as `list` shows it.
    pub(super) server: String,
    #[command(flatten)]
    pub(super) place: Place,
}
