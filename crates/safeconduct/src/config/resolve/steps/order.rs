//! What can follow what: each step is given what the one before gives, and the last one's is delivered.

use std::ops::Range;

use super::super::Resolver;
use crate::config::plan::{Gives, StepPlan, Takes};

impl Resolver<'_> {
    /// Checks a chain whose steps are each right by themselves; `sites` are their places.
    pub(super) fn order(&mut self, steps: &[StepPlan], sites: &[Range<usize>]) {
        for (pair, site) in steps.windows(2).zip(sites.iter().skip(1)) {
            let [before, step] = pair else { continue };
            self.follows(before, step, site);
        }
        if let (Some(StepPlan::Exchange(_)), Some(site)) = (steps.first(), sites.first())
            && steps.first().is_some_and(|step| step.takes() == Takes::TokenAndCaller)
        {
            self.problems
                .error(site.clone(), "there is no step before this one to give the actor token")
                .label("`actor: step` in the first step")
                .help("put a `client_credentials` step before it, or name an `actor_token`");
        }
        if let (Some(first), Some(site)) = (steps.first(), sites.first())
            && first.takes() == Takes::TokenOfStep
        {
            self.problems
                .error(
                    site.clone(),
                    format!("`{}` needs a token of Google from the step before it", first.name()),
                )
                .label("there is no step before it")
                .help("put `google_sts` before it");
        }
        if let (Some(Takes::AwsKeys), Some(site)) = (steps.first().map(StepPlan::takes), sites.first()) {
            self.problems
                .error(site.clone(), "there is no step before this one to give it AWS keys")
                .label("the first step is given the caller's token")
                .help("put an `aws_web_identity` step before it: it makes AWS keys of the caller's token");
        }
        let (Some(last), Some(site)) = (steps.last(), sites.last()) else { return };
        if last.gives() == Gives::Grant {
            self.problems
                .error(site.clone(), format!("this chain ends in {}", last.gives().words()))
                .label("no credential for a server")
                .help("add a `jwt_bearer` step at the other domain's authorization server");
        }
        if StepPlan::are_shared(steps) {
            self.shared(steps, sites);
        }
    }

    fn follows(&mut self, before: &StepPlan, step: &StepPlan, site: &Range<usize>) {
        let name = step.name();
        if step.takes() == Takes::Nothing {
            self.problems
                .error(site.clone(), format!("`{name}` does not use what the steps before it got"))
                .label(if name == "static" { "must stand alone" } else { "must be the first step" })
                .help("remove the other steps, or this one");
        } else if !step.takes().fits(before.gives()) {
            let given = before.gives().words();
            self.problems
                .error(site.clone(), format!("`{name}` cannot use what `{}` gives: {given}", before.name()))
                .label("cannot follow it");
        }
    }

    /// The server cannot tell callers apart: nobody should find that out by surprise.
    fn shared(&mut self, steps: &[StepPlan], sites: &[Range<usize>]) {
        let own = steps.iter().zip(sites).rfind(|(step, _)| step.takes() == Takes::Nothing);
        let Some((step, site)) = own else { return };
        let message = match step {
            StepPlan::Static(_) => "every caller reaches this server with the same secret",
            _ => "every caller reaches this server as the gateway itself",
        };
        self.problems
            .warning(site.clone(), message)
            .label("shared by all callers")
            .help("the server cannot tell callers apart; only the gateway's policies and audit do");
    }
}
