//! The credential steps that would run, and what each would send.

use std::sync::Arc;

use safeconduct_core::caller::Principal;
use safeconduct_identity::acquire::CredentialPlan;
use safeconduct_identity::provider::{Description, Provider as _};
use safeconduct_identity::template::{GroupMap, MissingClaim, Template};
use serde::Serialize;

use super::Unanswerable;
use crate::config::is_telling;
use crate::config::plan::{ExchangePlan, ServerPlan, StepPlan};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// One step.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// What it is and whom it asks.
    #[serde(flatten)]
    pub(super) description: Description,
    /// Its form, in order. Tokens and secrets stand as `<...>`.
    pub(super) form: Vec<Field>,
}

/// One parameter of a form.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: String,
}

/// Why there are no steps.
pub(super) enum Stopped {
    /// The caller's token does not give what a step needs: the call is refused.
    Missing(MissingClaim),
    /// The configuration cannot be put to work.
    Failed(Unanswerable),
}

impl From<MissingClaim> for Stopped {
    fn from(missing: MissingClaim) -> Self {
        Self::Missing(missing)
    }
}

/// The steps for this caller.
pub(super) fn steps(
    server: &ServerPlan,
    chain: &CredentialPlan,
    maps: &[Arc<GroupMap>],
    caller: &Principal,
) -> Result<Vec<Step>, Stopped> {
    let descriptions: Vec<Description> = match chain {
        CredentialPlan::None => Vec::new(),
        CredentialPlan::Static(secret) => vec![secret.description()],
        CredentialPlan::Chain(providers) => providers.iter().map(|provider| provider.description()).collect(),
    };
    let step = |(number, (plan, description)): (usize, (&StepPlan, Description))| {
        let mut form = Form { maps, caller, fields: Vec::new() };
        match plan {
            StepPlan::Static(secret) => form.put("secret", format!("<{}>", secret.origin)),
            StepPlan::Exchange(exchange) => form.exchange(exchange, number)?,
        }
        Ok(Step { description, form: form.fields })
    };
    server.credential.iter().zip(descriptions).enumerate().map(step).collect()
}

struct Form<'a> {
    maps: &'a [Arc<GroupMap>],
    caller: &'a Principal,
    fields: Vec<Field>,
}

impl Form<'_> {
    fn exchange(&mut self, plan: &ExchangePlan, number: usize) -> Result<(), Stopped> {
        let subject = match number {
            0 => String::from("<the caller's token>"),
            _ => format!("<the token of step {number}>"),
        };
        self.put("grant_type", GRANT);
        self.put("subject_token", subject);
        self.put("subject_token_type", &plan.subject_token_type);
        if let Some((token, kind)) = &plan.actor {
            self.put("actor_token", format!("<{}>", token.origin));
            self.put("actor_token_type", kind);
        }
        for audience in &plan.audiences {
            self.put("audience", self.filled(audience)?);
        }
        for resource in &plan.resources {
            self.put("resource", self.filled(resource)?);
        }
        let scopes = plan.scopes.iter().map(|scope| self.filled(scope)).collect::<Result<Vec<_>, _>>()?;
        if scopes.iter().any(|scope| scope.contains(char::is_whitespace)) {
            return Err(MissingClaim("a scope of one word".into()).into());
        }
        if !scopes.is_empty() {
            self.put("scope", scopes.join(" "));
        }
        if let Some(kind) = &plan.requested_token_type {
            self.put("requested_token_type", kind);
        }
        for (name, value) in &plan.parameters {
            let value = self.filled(value)?;
            self.put(name, if is_telling(name) { "<not shown>".to_owned() } else { value });
        }
        Ok(())
    }

    fn filled(&self, text: &str) -> Result<String, Stopped> {
        let template = Template::parse(text, self.maps)
            .map_err(|error| Stopped::Failed(Unanswerable::failed(error.to_string())))?;
        Ok(template.fill(self.caller)?.into_owned())
    }

    fn put(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.fields.push(Field { name: name.into(), value: value.into() });
    }
}
