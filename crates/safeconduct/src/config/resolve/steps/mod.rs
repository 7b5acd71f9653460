//! Credential chains: what is common to all steps. Each step has a file here.

mod aws;
mod common;
mod entra_obo;
mod exchange;
mod fixed;
mod google;
mod grants;
mod order;
mod vault;

use std::time::Duration;

use super::Resolver;
use super::outside::TOKEN_ENDPOINT;
use crate::config::decode::{At, Field};
use crate::config::plan::StepPlan;
use crate::config::raw::{Chain, Client, Step};
use crate::config::values::Many;

/// Longest wait for one attempt, unless the file says otherwise.
const ATTEMPT: Duration = Duration::from_secs(5);

impl Resolver<'_> {
    /// The chain; None when it is absent or a step cannot be used.
    pub(super) fn chain(&mut self, written: &Field<Chain>) -> Option<Vec<StepPlan>> {
        let chain = &written.given()?.value;
        // Steps beside a broken one are checked all the same.
        let whole = chain.steps().is_some();
        let Chain::Steps(fields) = chain else { return Some(Vec::new()) };
        let written: Vec<&At<Step>> = fields.iter().filter_map(Field::given).collect();
        let following = written.iter().skip(1).copied().map(Some).chain([None]);
        let steps: Vec<Option<StepPlan>> =
            written.iter().zip(following).map(|(step, next)| self.step(step, next)).collect();
        let steps = steps.into_iter().collect::<Option<Vec<_>>>().filter(|_| whole)?;
        let sites: Vec<_> = written.iter().map(|step| step.site.clone()).collect();
        self.order(&steps, &sites);
        Some(steps)
    }

    fn step(&mut self, written: &At<Step>, next: Option<&At<Step>>) -> Option<StepPlan> {
        let site = &written.site;
        match &written.value {
            Step::AwsAssumeRole(step) => {
                self.aws_assume_role(step).map(Box::new).map(StepPlan::AwsAssumeRole)
            }
            Step::AwsWebIdentity(step) => {
                self.aws_web_identity(step).map(Box::new).map(StepPlan::AwsWebIdentity)
            }
            Step::ClientCredentials(step) => {
                self.client_credentials(step).map(Box::new).map(StepPlan::ClientCredentials)
            }
            Step::EntraObo(step) => self.entra_obo(step).map(Box::new).map(StepPlan::EntraObo),
            Step::Exchange(step) => self.exchange(step, site).map(Box::new).map(StepPlan::Exchange),
            Step::GoogleIdToken(step) => {
                self.google_id_token(step).map(Box::new).map(StepPlan::GoogleIdToken)
            }
            Step::GoogleImpersonate(step) => {
                self.google_impersonate(step, site).map(Box::new).map(StepPlan::GoogleImpersonate)
            }
            Step::GoogleSts(step) => self.google_sts(step, site).map(Box::new).map(StepPlan::GoogleSts),
            Step::IdJag(step) => self.id_jag(step, next).map(Box::new).map(StepPlan::IdJag),
            Step::JwtBearer(step) => self.jwt_bearer(step).map(Box::new).map(StepPlan::JwtBearer),
            Step::Vault(step) => self.vault(step).map(Box::new).map(StepPlan::Vault),
            Step::Static(step) => self.fixed(step).map(StepPlan::Static),
        }
    }

    /// The client that a step names; `Some(None)` when it names none, None when it cannot be used.
    fn step_client(&mut self, client: &Field<String>) -> Option<Option<String>> {
        let known = self.client_names();
        match client {
            Field::Given(client) => {
                self.known("client", "clients", client, &known).then(|| Some(client.value.clone()))
            }
            Field::Absent => Some(None),
            Field::Broken => None,
        }
    }

    /// What is written of the client that a step names.
    fn client_named(&self, name: &Field<String>) -> Option<&Client> {
        let (name, clients) = (name.value()?, self.file.clients.value()?);
        clients.iter().find(|(known, _)| known.value == *name).map(|(_, client)| &client.value)
    }

    fn token_endpoint_time(&self) -> Duration {
        let timeouts = self.file.timeouts.value();
        timeouts
            .and_then(|timeouts| timeouts.token_endpoint.value())
            .map_or(TOKEN_ENDPOINT, |period| period.0)
    }

    // `{subject}`, `{email}`, `{claim:NAME}`, `{group:MAP}`; `{{` and `}}` are braces.
    fn template(&mut self, text: &At<String>) {
        let maps: Vec<String> = self
            .file
            .group_maps
            .value()
            .map(|maps| maps.names().map(str::to_owned).collect())
            .unwrap_or_default();
        let plain = text.value.replace("{{", "").replace("}}", "");
        let mut parts = plain.split('{');
        let stray = parts.next().is_some_and(|before| before.contains('}'));
        let wrong = parts.find_map(|part| match part.split_once('}') {
            None => Some("a brace is not closed".to_owned()),
            Some((_, after)) if after.contains('}') => {
                Some("a brace is closed that was not opened".to_owned())
            }
            Some(("subject" | "email", _)) => None,
            Some((name, _)) => match name.split_once(':') {
                Some(("claim", claim)) if !claim.is_empty() => None,
                Some(("group", map)) if maps.iter().any(|known| known == map) => None,
                Some(("group", map)) => Some(format!("no group map is called `{map}`")),
                _ => Some(format!("`{{{name}}}` stands for nothing")),
            },
        });
        if let Some(wrong) =
            wrong.or_else(|| stray.then(|| "a brace is closed that was not opened".to_owned()))
        {
            self.problems
                .error(text.span.clone(), wrong)
                .label("this template")
                .help("known: {subject}, {email}, {claim:NAME}, {group:MAP} with MAP under `group_maps`; {{ and }} are braces");
        }
    }
}

fn list(field: &Field<Many<String>>) -> Vec<String> {
    field.value().map(|many| many.values().cloned().collect()).unwrap_or_default()
}
