//! The command line: what can be typed, and where it goes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::commands::connect::ConnectArgs;
use crate::commands::run::RunArgs;
use crate::commands::serve::Failure;
use crate::commands::servers::{ListArgs, LogsArgs, StopArgs};
use crate::commands::{
    check, completions, connect, demo, doctor, explain, lock, revoke, run, schema, secret, serve, servers,
    setup, token, version,
};
use crate::exit::Exit;
use crate::logging;
use crate::present::{Paint, Said};

/// An identity gateway for MCP servers.
///
/// It checks who calls, decides what they may do, and asks the MCP server with a second, short-lived token. The
/// caller's own token never gets there.
#[derive(Debug, Parser)]
#[command(name = "safeconduct", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// What is logged on standard error: a level, or `target=level` pairs as in RUST_LOG (which is used without this).
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 all went well or the call is permitted, 1 it failed or the call is denied, 2 usage or configuration.
Standard output is data, standard error is for people. NO_COLOR is respected.";

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// See the whole mission work on this machine: two trust domains, two people, real tokens, in seconds.
    ///
    /// Starts an identity provider, a token service of another domain, two APIs, an unmodified MCP server and the
    /// gateway on loopback, plays both scenarios as an MCP client would, and checks what each of them saw. Exits with
    /// 0 only if all of it held.
    #[command(after_help = "\
Examples:
  safeconduct demo
  safeconduct demo --output json | jq '.scenes[].checks[]'
  safeconduct demo --cloud google       # or aws, entra
  safeconduct demo --keep     # leaves it running, with commands to paste")]
    Demo {
        /// Leave it running, and print commands to paste.
        #[arg(long)]
        keep: bool,
        /// Play the other trust domain in the shapes of a cloud.
        #[arg(long, value_enum)]
        cloud: Option<demo::Cloud>,
        #[command(flatten)]
        format: Format,
    },
    /// Run the gateway.
    ///
    /// The file and its policies are read again when they change and on SIGHUP; a file with mistakes leaves the old
    /// plan at work. SIGTERM drains: calls in flight end, no new ones begin.
    #[command(after_help = "\
Examples:
  safeconduct serve
  safeconduct serve --config /etc/safeconduct/safeconduct.yaml --log safeconduct=debug")]
    Serve {
        #[command(flatten)]
        file: File,
    },
    /// Run one MCP server behind the gateway, without a file: an image or a package, confined, or a
    /// program, or one that runs already.
    ///
    /// Without --issuer an identity provider for this machine is started with it, where you say who you are: no account
    /// anywhere is needed.
    #[command(after_help = "\
Examples:
  safeconduct run ghcr.io/acme/weather-mcp@sha256:... --allow api.weather.example:443
  safeconduct run uvx:mcp-server-time@2025.7.1 -- --local-timezone Europe/Berlin
  safeconduct run npx:@modelcontextprotocol/server-everything@2025.7.1
  safeconduct run https://mcp.example.com/mcp --api-key env:EXAMPLE_KEY
  safeconduct run -- npx -y @modelcontextprotocol/server-memory
  safeconduct run --print-config ghcr.io/acme/weather-mcp@sha256:... > safeconduct.yaml")]
    Run(Box<RunArgs>),
    /// Try your own server with logins: `run` with an identity provider for this machine.
    #[command(after_help = "\
Examples:
  safeconduct dev http://127.0.0.1:9000/mcp --user alice@example.com:support --user bob@example.com
  safeconduct dev --policy policies/ -- python3 server.py")]
    Dev(Box<RunArgs>),
    /// Add a server of the gateway to an MCP client's configuration, or take it out again.
    ///
    /// The change is shown, and the file as it was stays beside it.
    #[command(after_help = "\
Examples:
  safeconduct connect claude-code --server orders
  safeconduct connect vscode --url https://mcp.example.com/orders/mcp --dry-run
  safeconduct connect cursor --server orders --undo")]
    Connect(ConnectArgs),
    /// List the MCP servers that this program started.
    #[command(after_help = "\
Examples:
  safeconduct list
  safeconduct list --all --output json | jq '.[].instance'")]
    List(ListArgs),
    /// Show what a started server says outside of the protocol.
    #[command(after_help = "\
Examples:
  safeconduct logs weather
  safeconduct logs -f weather")]
    Logs(LogsArgs),
    /// End what runs of a started server. The next call starts it again.
    #[command(after_help = "\
Examples:
  safeconduct stop weather
  safeconduct stop weather-3f9a1c2b4d5e     # one instance, as list shows it")]
    Stop(StopArgs),
    /// Remove what the container engine keeps of a server: containers, running or not, and their networks.
    #[command(after_help = "\
Examples:
  safeconduct rm weather")]
    Rm(StopArgs),
    /// Find every mistake in a configuration and its policies, without the network.
    ///
    /// All problems at once, each with its line and what to do. Exits with 2 when there is an error; warnings are none.
    #[command(after_help = "\
Examples:
  safeconduct check
  safeconduct check --config staging.yaml --output json | jq '.problems[].message'")]
    Check {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        format: Format,
    },
    /// Find everything that is wrong with what the configuration needs of others, by asking them.
    ///
    /// Numbered checks, each with what to do: the issuers (discovery, keys, clock), the gateway as its clients see it, its clients at
    /// the token endpoints, the MCP servers; with a token also whether it is believed, and what the server's credential chain
    /// makes of it. Exits with 1 when a check fails.
    #[command(after_help = "\
Examples:
  safeconduct doctor
  safeconduct doctor --server orders --token-file token.jwt
  safeconduct doctor --output json | jq '.checks[] | select(.outcome == \"fail\")'")]
    Doctor(Box<doctor::Question>),
    /// Say whether a call would be permitted, by which policy, and what would be sent; nothing is.
    ///
    /// Exits with 0 when it is permitted and with 1 when it is denied.
    #[command(after_help = "\
Examples:
  safeconduct explain --server orders --tool refund --args '{\"amount\":900}' \\
    --claims '{\"sub\":\"alice\",\"groups\":[\"support\"]}'
  safeconduct explain --server orders --resource file:///orders/7 --token-file token.jwt
  safeconduct explain --server orders --tool purge --annotations '{\"destructiveHint\":true}' \\
    --token-file - < token.jwt
  safeconduct explain --server orders --method logging/setLevel --claims '{\"sub\":\"alice\"}' -o json")]
    Explain(Box<explain::Question>),
    /// End a user's logins at a running gateway, before their tokens end.
    ///
    /// Within a second: tokens from before are not accepted, credentials and sessions of theirs are gone, their streams
    /// and calls in flight end. A new login is let in. Asks the gateway's admin listener; each replica has its own.
    #[command(after_help = "\
Examples:
  safeconduct revoke --user alice@example.com
  safeconduct revoke --issuer corp --session 08a5019c-17e1-4977-8f42-65a12843ea02
  safeconduct revoke --user alice --admin http://127.0.0.1:9090 --output json | jq .credentials")]
    Revoke(revoke::Question),
    /// Show what the servers' tools are pinned to; `diff` says what has changed since, `approve` that it may.
    ///
    /// A tool that is not what it was when it was first seen is quarantined: left out of lists, and not called. A running
    /// gateway sees for itself that something was approved.
    #[command(after_help = "\
Examples:
  safeconduct lock
  safeconduct lock diff --server orders
  safeconduct lock approve --server orders --tool send
  safeconduct lock --output json | jq '.servers[] | select(.quarantined != [])'")]
    Lock(lock::LockArgs),
    /// Keep secrets that the configuration refers to: in an encrypted file, or in the system's keyring.
    #[command(subcommand)]
    Secret(secret::Command),
    /// Look at a token, or run a chain with it.
    #[command(subcommand)]
    Token(token::Command),
    /// Print what an administrator has to do at a provider, so that this configuration works there.
    ///
    /// Commands (or Terraform) and trust policies with the issuer, audiences, roles and accounts of the configuration.
    /// Nothing is run. `doctor` tells whether it is done.
    #[command(after_help = "\
Examples:
  safeconduct setup google --server warehouse > setup.sh
  safeconduct setup aws --terraform > roles.tf
  safeconduct setup aws --subject 'auth0|alice'     # only this caller
  safeconduct setup keycloak --config staging.yaml")]
    Setup(setup::Question),
    /// Print the JSON schema of the configuration file, for editors.
    #[command(after_help = "\
Example:
  safeconduct schema > safeconduct.schema.json
  # then, on top of safeconduct.yaml:
  # yaml-language-server: $schema=./safeconduct.schema.json")]
    Schema,
    /// Print the version, and what this build can do.
    #[command(after_help = "\
Examples:
  safeconduct version
  safeconduct version --output json | jq -r .version")]
    Version {
        #[command(flatten)]
        format: Format,
    },
    /// Print completions for a shell.
    #[command(after_help = "\
Examples:
  safeconduct completions bash > /etc/bash_completion.d/safeconduct
  safeconduct completions zsh > ~/.zfunc/_safeconduct
  safeconduct completions fish > ~/.config/fish/completions/safeconduct.fish")]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Which configuration.
#[derive(Debug, Args)]
pub struct File {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "safeconduct.yaml")]
    pub config: PathBuf,
}

/// How the answer is written.
#[derive(Debug, Args)]
struct Format {
    /// How the answer is written on standard output.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // What the demo provokes on purpose is in its report; a log of it between the lines would only confuse.
    let quiet = matches!(cli.command, Command::Demo { .. }).then_some("off");
    if let Err(error) = logging::start(cli.log.as_deref().or(quiet)) {
        return Said::failure(Exit::Usage, error).print().into();
    }
    cli.command.run().print().into()
}

impl Command {
    fn run(self) -> Said {
        match self {
            Self::Demo { keep, cloud, format } => {
                demo::run(demo::Options { keep, json: format.output == Output::Json, cloud })
            }
            Self::Serve { file } => served(serve::run(&file.config, Paint::of_stderr().is_on())),
            Self::Connect(args) => connect::run(&args),
            Self::List(args) => servers::list(&args),
            Self::Logs(args) => servers::logs(&args),
            Self::Stop(args) => servers::stop(&args),
            Self::Rm(args) => servers::remove(&args),
            Self::Run(args) => run::run(&args, Paint::of_stderr()),
            Self::Dev(args) => match &args.issuer {
                Some(_) => {
                    Said::failure(Exit::Usage, "dev is its own identity provider: leave --issuer to run")
                }
                None => run::run(&args, Paint::of_stderr()),
            },
            Self::Check { file, format } => check::run(&file.config, format.output, Paint::of_stderr()),
            Self::Doctor(question) => doctor::run(&question, Paint::of_stdout(), Paint::of_stderr()),
            Self::Explain(question) => explain::run(&question, Paint::of_stdout(), Paint::of_stderr()),
            Self::Revoke(question) => revoke::run(&question),
            Self::Lock(args) => lock::run(&args),
            Self::Secret(command) => secret::run(&command, Paint::of_stderr()),
            Self::Token(command) => token::run(&command, Paint::of_stdout(), Paint::of_stderr()),
            Self::Setup(question) => setup::run(&question, Paint::of_stderr()),
            Self::Schema => schema::run(),
            Self::Version { format } => version::run(format.output),
            Self::Completions { shell } => completions::run(shell),
        }
    }
}

fn served(result: Result<(), Failure>) -> Said {
    match result {
        Ok(()) => Said::data(""),
        Err(Failure::Configuration(report)) => {
            Said { data: String::new(), people: report, exit: Exit::Usage }
        }
        Err(failure @ (Failure::Failed(_) | Failure::Signals(_))) => Said::failure(Exit::Failed, failure),
    }
}
