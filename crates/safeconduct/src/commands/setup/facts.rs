//! What the configuration says that a provider must be told.

use crate::commands::doctor::origin;
use crate::config::plan::{AtPlan, IssuerPlan, Plan, ServerPlan, StepPlan, TargetsPlan};

/// The part of the configuration that is set up.
pub(super) struct Facts<'p> {
    pub(super) plan: &'p Plan,
    pub(super) servers: Vec<&'p ServerPlan>,
    /// Whom to let in; empty: everybody that the issuer vouches for.
    pub(super) subjects: &'p [String],
}

/// The tokens that a step presents.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Presented {
    /// Their `iss`.
    pub(super) issuer: String,
    /// Their `aud`: one of these.
    pub(super) audiences: Vec<String>,
    /// What is to be known of it besides.
    pub(super) remark: Option<String>,
}

impl<'p> Facts<'p> {
    /// The steps of the servers that `take` wants, with their place.
    pub(super) fn steps<T>(
        &self,
        take: impl Fn(&'p StepPlan) -> Option<T>,
    ) -> Vec<(&'p ServerPlan, usize, T)> {
        let of = |server: &&'p ServerPlan| {
            let server: &'p ServerPlan = server;
            let taken = |(index, step)| Some((server, index, take(step)?));
            server.credential.iter().enumerate().filter_map(taken).collect::<Vec<_>>()
        };
        self.servers.iter().flat_map(of).collect()
    }

    /// The tokens that a step of a server presents: the caller's, or what the step before gives.
    pub(super) fn presented(&self, server: &ServerPlan, index: usize) -> Presented {
        match index.checked_sub(1).and_then(|before| server.credential.get(before)).and_then(asks) {
            Some((at, targets)) => self.given(at, targets),
            None => self.callers(server),
        }
    }

    fn callers(&self, server: &ServerPlan) -> Presented {
        let issuers: Vec<&IssuerPlan> =
            server.issuers.iter().filter_map(|name| self.plan.issuer(name)).collect();
        let first = issuers.first();
        let mut audiences = first.map(|issuer| issuer.audiences.clone()).unwrap_or_default();
        audiences.push(server.resource.clone());
        let others: Vec<&str> = issuers.iter().skip(1).map(|issuer| issuer.issuer.as_str()).collect();
        let remark = (!others.is_empty()).then(|| {
            format!(
                "The server `{}` believes other issuers too; this is for the first: {}",
                server.name,
                others.join(", ")
            )
        });
        Presented { issuer: first.map(|issuer| issuer.issuer.clone()).unwrap_or_default(), audiences, remark }
    }

    fn given(&self, at: &AtPlan, targets: &TargetsPlan) -> Presented {
        let within =
            |issuer: &&IssuerPlan| at.token_endpoint.starts_with(issuer.issuer.trim_end_matches('/'));
        let audiences = targets.audiences.iter().chain(&targets.resources).cloned().collect();
        if let Some(issuer) = self.plan.issuers.iter().find(within) {
            return Presented { issuer: issuer.issuer.clone(), audiences, remark: None };
        }
        let remark = format!(
            "Correct the issuer: it is the `iss` of the tokens that {} issues (safeconduct token exchange shows it).",
            at.token_endpoint
        );
        Presented { issuer: origin(&at.token_endpoint), audiences, remark: Some(remark) }
    }

    /// What a text of a step can come to: each value of a group map that stands in it. None when claims decide.
    pub(super) fn expanded(&self, text: &str) -> Option<Vec<String>> {
        let Some((before, rest)) = text.split_once('{') else { return Some(vec![text.to_owned()]) };
        let (name, after) = rest.split_once('}')?;
        let map = name.strip_prefix("group:")?;
        let (_, rows) = self.plan.group_maps.iter().find(|(known, _)| known == map)?;
        let mut all: Vec<String> = Vec::new();
        for (_, value) in rows {
            for whole in self.expanded(&format!("{before}{value}{after}"))? {
                if !all.contains(&whole) {
                    all.push(whole);
                }
            }
        }
        Some(all)
    }
}

/// Where a step asks, and what for, when it gives a token of that place.
fn asks(step: &StepPlan) -> Option<(&AtPlan, &TargetsPlan)> {
    match step {
        StepPlan::Exchange(plan) => Some((&plan.at, &plan.targets)),
        StepPlan::JwtBearer(plan) => Some((&plan.at, &plan.targets)),
        StepPlan::ClientCredentials(plan) => Some((&plan.at, &plan.targets)),
        StepPlan::IdJag(plan) => Some((&plan.at, &plan.targets)),
        _ => None,
    }
}
