//! `safeconduct completions`: what a shell needs to complete the command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::present::Said;

/// Prints the completions for this shell.
pub fn run(shell: Shell) -> Said {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "safeconduct", &mut script);
    String::from_utf8(script).map_or_else(|error| Said::failure(Exit::Failed, error), Said::data)
}
