//! `safeconduct token exchange`: a configured chain, run by hand.

mod text;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use safeconduct_core::material::Material;
use safeconduct_core::policy::Policy;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use serde_json::json;

use super::from_file;
use crate::app::{Failed, Rehearsal};
use crate::cli::{File, Output};
use crate::commands::pick;
use crate::commands::yielded::Yielded;
use crate::config::plan::{Plan, ServerPlan};
use crate::config::{self};
use crate::exit::Exit;
use crate::present::{Paint, Said};

/// What is typed.
#[derive(Debug, Args)]
#[group(id = "subject", required = true)]
pub struct Question {
    #[command(flatten)]
    file: File,
    /// Whose chain. May be left out when the configuration has only one server.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// A file with the caller's token; `-` for standard input.
    #[arg(long, group = "subject", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The caller's token comes by standard input.
    #[arg(long, group = "subject")]
    token_stdin: bool,
    /// Prints the last token, and nothing else, on standard output; AWS keys as `credential_process` wants them. Never
    /// to a terminal.
    #[arg(long)]
    print_token: bool,
    /// How the answer is written on standard output.
    #[arg(short, long, value_enum, default_value_t = Output::Text, conflicts_with = "print_token")]
    output: Output,
}

/// Runs the chain. `paint` is for the answer, `people` for standard error.
pub(super) fn run(question: &Question, now: Timestamp, paint: Paint, people: Paint) -> Said {
    if question.print_token && std::io::stdout().is_terminal() {
        return Said::failure(
            Exit::Usage,
            "a token is not printed to a terminal: redirect standard output to a file or a program",
        );
    }
    let mut loaded = config::load(&question.file.config);
    let policy = loaded.plan.as_ref().and_then(|plan| config::compile(plan, &mut loaded.report));
    let (Some(plan), Some(policy)) = (&loaded.plan, policy) else {
        return Said { data: String::new(), people: loaded.report.text(people.is_on()), exit: Exit::Usage };
    };
    let server = match pick::server(question.server.as_deref(), plan) {
        Ok(server) => server,
        Err(why) => return Said::failure(Exit::Usage, why),
    };
    let file = question.token_file.as_deref().unwrap_or(Path::new("-"));
    let token = match from_file(file) {
        Ok(token) => Secret::new(token),
        Err(why) => return Said::failure(Exit::Usage, format!("the token in {}: {why}", file.display())),
    };
    match ran(plan, server, &policy, &token) {
        Ok((yielded, last)) => said(question, &yielded, last.as_deref(), now, paint, people),
        Err(failed) => Said::failure(Exit::Failed, failed),
    }
}

/// What the chain came to, and the last thing that it gave.
fn ran(
    plan: &Plan,
    server: &ServerPlan,
    policy: &Policy,
    token: &Secret,
) -> Result<(Yielded, Option<Arc<Material>>), Failed> {
    let rehearsal = Rehearsal::of(plan)?;
    rehearsal.wait(async {
        let call = match rehearsal.permitted(server, policy, token.expose()).await? {
            Ok(call) => call,
            Err(reason) => return Ok((Yielded::refused(&server.name, token.expose(), &reason), None)),
        };
        let (steps, walk) = rehearsal.walk(server, &call).await?;
        let yielded = Yielded::of(&server.name, token.expose(), call.principal(), steps, &walk);
        let last = walk.granted.last().map(|step| step.material.clone());
        Ok((yielded, last))
    })
}

fn said(
    question: &Question,
    yielded: &Yielded,
    last: Option<&Material>,
    now: Timestamp,
    paint: Paint,
    people: Paint,
) -> Said {
    let exit = if yielded.ok { Exit::Fine } else { Exit::Failed };
    if question.print_token {
        let token = last.filter(|_| yielded.ok).and_then(|last| printed(last, yielded));
        // Nobody may take an empty file for a token.
        let exit = if token.is_some() { exit } else { Exit::Failed };
        let words = text::written(yielded, now, people);
        return Said { data: token.unwrap_or_default(), people: words, exit };
    }
    match question.output {
        Output::Json => Said::json(yielded, exit),
        Output::Text => Said { data: text::written(yielded, now, paint), people: String::new(), exit },
    }
}

/// What was granted, as data.
fn printed(last: &Material, yielded: &Yielded) -> Option<String> {
    if let Some(token) = last.subject() {
        return Some(format!("{}\n", token.expose_str()?));
    }
    let keys = last.aws()?;
    let expires = yielded.steps.last().and_then(|leg| leg.granted.as_ref()?.expires.clone());
    // https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
    let document = json!({
        "Version": 1,
        "AccessKeyId": keys.access_key_id,
        "SecretAccessKey": keys.secret_access_key.expose_str()?,
        "SessionToken": keys.session_token.expose_str()?,
        "Expiration": expires,
    });
    Some(format!("{document}\n"))
}
