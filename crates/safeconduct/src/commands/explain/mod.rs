//! `safeconduct explain`: the gateway's own code, without sending anything: who, which policy decided, which credential
//! steps would run, and what would be sent. Never a secret.

mod answer;
mod call;
mod caller;
mod checks;
mod steps;
mod text;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use safeconduct_core::mcp::Era;
use safeconduct_core::time::Timestamp;
use safeconduct_identity::clock::{Clock as _, SystemClock};

use crate::app::Rehearsal;
use crate::cli::{File, Output};
use crate::commands::pick;
use crate::config::{self, Plan};
use crate::exit::Exit;
use crate::present::{Paint, Said};

pub(super) use answer::named;

/// The question, as it is typed.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("who").required(true)), group(ArgGroup::new("what").required(true).multiple(true)))]
pub struct Question {
    #[command(flatten)]
    file: File,
    /// At which server. May be left out when the configuration has only one.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// A call of this tool.
    #[arg(long, group = "what", value_name = "NAME", conflicts_with_all = ["prompt", "resource", "task"])]
    tool: Option<String>,
    /// Getting this prompt.
    #[arg(long, group = "what", value_name = "NAME", conflicts_with_all = ["resource", "task"])]
    prompt: Option<String>,
    /// Reading this resource.
    #[arg(long, group = "what", value_name = "URI", conflicts_with = "task")]
    resource: Option<String>,
    /// Asking for this task.
    #[arg(long, group = "what", value_name = "ID")]
    task: Option<String>,
    /// Another method, alone or with one of the above (`--method resources/subscribe --resource URI`).
    #[arg(long, group = "what")]
    method: Option<String>,
    /// The call's arguments.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// What the server's list says of the tool, as in its `annotations`: `{"readOnlyHint":true}`. It is not asked.
    #[arg(long, value_name = "JSON", requires = "tool")]
    annotations: Option<String>,
    /// A file with the caller's token, which is verified; `-` for standard input.
    #[arg(long, group = "who", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Supposes a caller with these claims; `sub` is enough.
    #[arg(long, group = "who", value_name = "JSON")]
    claims: Option<String>,
    /// The issuer that the claims are of, when neither the claims nor the server leave only one.
    #[arg(long, value_name = "NAME", requires = "claims")]
    issuer: Option<String>,
    /// The caller's address, for policies that read `context.source_ip`.
    #[arg(long, value_name = "IP")]
    source_ip: Option<IpAddr>,
    /// The protocol era, for policies that read `context.era`.
    #[arg(long, value_enum, default_value_t = EraWord::Legacy)]
    era: EraWord,
    /// How the answer is written on standard output.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// An era, as policies name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EraWord {
    /// MCP revisions up to 2025-11-25.
    Legacy,
    /// The revision 2026-07-28.
    #[value(name = "2026-07-28")]
    Modern,
}

impl EraWord {
    const fn era(self) -> Era {
        match self {
            Self::Legacy => Era::Legacy,
            Self::Modern => Era::Modern,
        }
    }
}

/// The question cannot be answered: what was typed, or what is missing.
#[derive(Debug)]
struct Unanswerable {
    exit: Exit,
    why: String,
}

impl Unanswerable {
    fn usage(why: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, why: why.into() }
    }

    fn failed(why: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, why: why.into() }
    }
}

/// Answers the question. `paint` is for the answer, `warnings` for the problems of the file.
pub fn run(question: &Question, paint: Paint, warnings: Paint) -> Said {
    let mut loaded = config::load(&question.file.config);
    let policy = loaded.plan.as_ref().and_then(|plan| config::compile(plan, &mut loaded.report));
    let (Some(plan), Some(policy)) = (&loaded.plan, policy) else {
        let people = loaded.report.text(warnings.is_on());
        return Said { data: String::new(), people, exit: Exit::Usage };
    };
    match answered(question, plan, &policy, SystemClock::new().wall()) {
        Ok(explained) => {
            let exit = if explained.permitted { Exit::Fine } else { Exit::Failed };
            match question.output {
                Output::Json => Said::json(&explained, exit),
                Output::Text => Said { data: text::written(&explained, paint), people: String::new(), exit },
            }
        }
        Err(Unanswerable { exit, why }) => Said::failure(exit, why),
    }
}

fn answered(
    question: &Question,
    plan: &Plan,
    policy: &safeconduct_core::policy::Policy,
    now: Timestamp,
) -> Result<answer::Explained, Unanswerable> {
    let server = pick::server(question.server.as_deref(), plan).map_err(Unanswerable::usage)?;
    let call = call::Call::read(question, policy)?;
    let rehearsal = Rehearsal::of(plan).map_err(|failed| Unanswerable::failed(failed.to_string()))?;
    let caller = caller::Caller::read(question, plan, server, &rehearsal, now)?;
    answer::Explained::of(plan, server, policy, &call, caller, &rehearsal, now)
}
