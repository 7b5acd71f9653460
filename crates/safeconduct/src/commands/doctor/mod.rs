//! `safeconduct doctor`: everything that needs the network, looked at one by one, each with what to do about it.

mod ask;
mod check;
mod client;
mod issuer;
pub(super) mod known;
mod metadata;
pub(super) mod remedy;
mod server;
mod text;

use std::path::PathBuf;

use clap::Args;
use futures_util::future::join_all;
use safeconduct_core::policy::Policy;
use safeconduct_core::secret::Secret;
use serde::Serialize;

use super::{pick, token};
use crate::app::Rehearsal;
use crate::cli::{File, Output};
use crate::config::plan::{ClientPlan, IssuerPlan, Plan, ServerPlan};
use crate::config::{self};
use crate::exit::Exit;
use crate::present::{Paint, Said};
pub(super) use ask::origin;
use check::{Check, Group, Outcome};

/// What is typed.
#[derive(Debug, Args)]
pub struct Question {
    #[command(flatten)]
    file: File,
    /// Only this server, its issuers and its clients.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// A file with a caller's token, `-` for standard input: is it good for the server, and what does the server's chain
    /// make of it?
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How the answer is written on standard output.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What `--output json` prints.
#[derive(Serialize)]
struct Diagnosis<'c> {
    /// Whether no check failed.
    ok: bool,
    checks: &'c [Check],
}

/// What is looked at.
struct Scope<'p> {
    issuers: Vec<&'p IssuerPlan>,
    clients: Vec<&'p ClientPlan>,
    servers: Vec<&'p ServerPlan>,
}

/// Makes the checks. `paint` is for the answer, `people` for the problems of the file.
pub fn run(question: &Question, paint: Paint, people: Paint) -> Said {
    let mut loaded = config::load(&question.file.config);
    let policy = loaded.plan.as_ref().and_then(|plan| config::compile(plan, &mut loaded.report));
    let (Some(plan), Some(policy)) = (&loaded.plan, policy) else {
        return Said { data: String::new(), people: loaded.report.text(people.is_on()), exit: Exit::Usage };
    };
    let scope = match Scope::of(question.server.as_deref(), plan) {
        Ok(scope) => scope,
        Err(why) => return Said::failure(Exit::Usage, why),
    };
    let token = match question.token_file.as_deref().map(token::from_file).transpose() {
        Ok(token) => token.map(Secret::new),
        Err(why) => return Said::failure(Exit::Usage, format!("the token: {why}")),
    };
    let rehearsal = match Rehearsal::of(plan) {
        Ok(rehearsal) => rehearsal,
        Err(failed) => return Said::failure(Exit::Failed, failed),
    };
    let checks = rehearsal.wait(made(plan, &scope, &policy, token.as_ref(), &rehearsal));
    let ok = checks.iter().all(|check| check.outcome != Outcome::Fail);
    let exit = if ok { Exit::Fine } else { Exit::Failed };
    match question.output {
        Output::Json => Said::json(&Diagnosis { ok, checks: &checks }, exit),
        Output::Text => Said { data: text::written(&checks, paint), people: String::new(), exit },
    }
}

/// All checks, numbered. What is about one thing goes in order, different things at the same time.
async fn made(
    plan: &Plan,
    scope: &Scope<'_>,
    policy: &Policy,
    token: Option<&Secret>,
    rehearsal: &Rehearsal<'_>,
) -> Vec<Check> {
    let issuers = join_all(scope.issuers.iter().map(|issuer| issuer::checks(issuer, rehearsal)));
    let gateway = metadata::checks(plan, &scope.servers, rehearsal.wire());
    let clients =
        scope.clients.iter().map(|client| client::checks(client, &scope.servers, &scope.issuers, rehearsal));
    let clients = join_all(clients);
    let servers =
        join_all(scope.servers.iter().map(|server| server::checks(server, policy, token, rehearsal)));
    let (issuers, gateway, clients, servers) = tokio::join!(issuers, gateway, clients, servers);
    let groups = issuers.into_iter().chain([gateway]).chain(clients).chain(servers);
    let checks = groups.flat_map(|Group { made, .. }| made);
    checks.zip(1..).map(|(check, number)| Check { number, ..check }).collect()
}

impl<'p> Scope<'p> {
    fn of(server: Option<&str>, plan: &'p Plan) -> Result<Self, String> {
        let servers = match server {
            None => plan.servers.iter().collect(),
            Some(name) => vec![pick::server(Some(name), plan)?],
        };
        let believed = |issuer: &&IssuerPlan| {
            servers.iter().any(|server: &&ServerPlan| server.issuers.contains(&issuer.name))
        };
        let issuers = plan.issuers.iter().filter(believed).collect();
        Ok(Self { issuers, clients: plan.clients.iter().collect(), servers })
    }
}
