//! An MCP server: does it answer, is a given caller let in, and what does its credential chain yield for them?

mod answers;
mod chain;
mod engine;
mod principal;

use safeconduct_core::policy::Policy;
use safeconduct_core::secret::Secret;

use super::check::Group;
use crate::app::Rehearsal;
use crate::config::plan::ServerPlan;

/// All of them; those of a caller with a token only.
pub(super) async fn checks(
    server: &ServerPlan,
    policy: &Policy,
    token: Option<&Secret>,
    rehearsal: &Rehearsal<'_>,
) -> Group {
    let mut group = Group::about(format!("server {}", server.name));
    match &server.run {
        None => group.check("answers", answers::check(server, rehearsal.wire())).await,
        Some(run) => group.check("engine", engine::check(run, rehearsal.plan())).await,
    };
    let Some(token) = token else { return group };
    let mut call = None;
    group.check("token", chain::token(server, policy, token, rehearsal, &mut call)).await;
    if let Some(call) = call
        && !server.credential.is_empty()
    {
        let mut last = None;
        group.check("chain", chain::check(server, &call, token, rehearsal, &mut last)).await;
        if let Some(last) = last.filter(|_| principal::is_askable(server)) {
            group.check("principal", principal::check(server, &last, rehearsal)).await;
        }
    }
    group
}
