//! A caller, let in and spoken for: the gateway's own verification, and its own chain.

use std::sync::Arc;

use safeconduct_core::material::Material;
use safeconduct_core::path::Authorized;
use safeconduct_core::policy::Policy;
use safeconduct_core::refusal::Reason;
use safeconduct_core::secret::Secret;
use serde_json::{Value, json};

use super::super::check::Finding;
use super::super::remedy::remedy;
use crate::app::Rehearsal;
use crate::commands::yielded::{Leg, Look, Refused, Yielded};
use crate::config::plan::ServerPlan;

/// Is the token good for this server?
pub(super) async fn token(
    server: &ServerPlan,
    policy: &Policy,
    token: &Secret,
    rehearsal: &Rehearsal<'_>,
    call: &mut Option<Authorized>,
) -> Finding {
    match rehearsal.permitted(server, policy, token.expose()).await {
        Err(failed) => Finding::fail(failed.to_string(), "mend the configuration: `safeconduct check`"),
        Ok(Err(reason)) => refused(server, token, &reason, rehearsal),
        Ok(Ok(permitted)) => {
            let finding = believed(token, &permitted);
            *call = Some(permitted);
            finding
        }
    }
}

fn refused(server: &ServerPlan, token: &Secret, reason: &Reason, rehearsal: &Rehearsal<'_>) -> Finding {
    let why = safeconduct_proxy::answer::detail(reason);
    let remedy = remedy(reason).unwrap_or_default();
    let found = match reason {
        Reason::WrongAudience => {
            let issuers = server.issuers.iter().filter_map(|name| rehearsal.issuer(name));
            let mut accepted = vec![server.resource.clone()];
            accepted.extend(issuers.flat_map(|issuer| issuer.audiences.clone()));
            let look = Look::at(token.expose());
            let own = look.claims.as_ref().and_then(|claims| claims.get("aud")).map(Value::to_string);
            format!(
                "its audience is {}; accepted here: {}",
                own.unwrap_or_else(|| "none".into()),
                accepted.join(", ")
            )
        }
        _ => why,
    };
    Finding::fail(format!("{}: {found}", reason.code()), remedy)
}

fn believed(token: &Secret, call: &Authorized) -> Finding {
    let caller = call.principal();
    let mut found = format!("believed as {}", crate::commands::explain::named(caller));
    for (name, texts) in [("groups", &caller.groups), ("scopes", &caller.scopes)] {
        let list = if texts.is_empty() { "none".to_owned() } else { texts.join(", ") };
        found.push_str(&format!("; {name}: {list}"));
    }
    let look = Look::at(token.expose());
    let claims = look.claims.unwrap_or_default();
    let details = json!({ "claims": claims });
    // Entra leaves the groups out where there are too many for a token.
    let names_groups = claims.get("_claim_names").is_some_and(|names| names.get("groups").is_some());
    if names_groups || claims.get("hasgroups").is_some() {
        return Finding::warn(
            format!("{found}; the groups were left out of the token because there are too many (overage)"),
            "policies by group will not permit this caller: let Entra emit only the groups assigned to the application, or use app roles",
        )
        .with(details);
    }
    Finding::ok(found).with(details)
}

/// What does the chain yield?
pub(super) async fn check(
    server: &ServerPlan,
    call: &Authorized,
    token: &Secret,
    rehearsal: &Rehearsal<'_>,
    last: &mut Option<Arc<Material>>,
) -> Finding {
    let (steps, walk) = match rehearsal.walk(server, call).await {
        Ok(walked) => walked,
        Err(failed) => {
            return Finding::fail(failed.to_string(), "mend the configuration: `safeconduct check`");
        }
    };
    let yielded = Yielded::of(&server.name, token.expose(), call.principal(), steps, &walk);
    *last = walk.granted.last().filter(|_| yielded.ok).map(|step| step.material.clone());
    let finding = match &yielded.refusal {
        Some(refusal) => failed(&yielded, refusal),
        None if yielded.steps.is_empty() => Finding::ok("a configured secret: nobody is asked"),
        None => Finding::ok(summary(&yielded.steps)),
    };
    match serde_json::to_value(&yielded) {
        Ok(details) => finding.with(details),
        Err(_) => finding,
    }
}

fn failed(yielded: &Yielded, refusal: &Refused) -> Finding {
    let mut found = summary(&yielded.steps);
    if !found.is_empty() {
        found.push_str("; then ");
    }
    found.push_str(&format!("{} {}", refusal.code, refusal.why));
    for words in [refusal.said.as_deref(), refusal.means].into_iter().flatten() {
        found.push_str(&format!(". {words}"));
    }
    Finding::fail(found, refusal.remedy.clone().unwrap_or_default())
}

/// `exchange: a JWT for backend-server, of alice, scopes a b, until 2026-..`
fn summary(steps: &[Leg]) -> String {
    let one = |leg: &Leg| {
        let granted = leg.granted.as_ref()?;
        let claim = |name: &str| {
            let claim = granted.look.claims.as_ref()?.get(name)?;
            Some(claim.as_str().map_or_else(|| claim.to_string(), ToOwned::to_owned))
        };
        let mut words = match granted.look.kind {
            "jwt" => String::from("a JWT"),
            "aws_keys" => format!("AWS keys {}", granted.look.access_key_id.as_deref().unwrap_or_default()),
            _ => String::from("an opaque token"),
        };
        for (name, before) in [("aud", "for"), ("sub", "of")] {
            if let Some(value) = claim(name) {
                words.push_str(&format!(" {before} {value}"));
            }
        }
        if !granted.scopes.is_empty() {
            words.push_str(&format!(", scopes {}", granted.scopes.join(" ")));
        }
        if let Some(expires) = &granted.expires {
            words.push_str(&format!(", until {expires}"));
        }
        Some(format!("{}: {words}", leg.description.step))
    };
    steps.iter().filter_map(one).collect::<Vec<_>>().join("; ")
}
