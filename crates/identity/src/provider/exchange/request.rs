//! The form: pure, from the configuration, the caller's claims and the subject.

use std::sync::Arc;

use safeconduct_core::caller::Principal;
use safeconduct_core::credential::Form;

use super::config::{ExchangeConfig, check_resource};
use crate::provider::{ExchangeError, Preview, Subject};
use crate::secret_source::is_telling;
use crate::template::{MissingClaim, Template};

/// `grant_type` (RFC 8693 §2.1).
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What is asked for, with the templates filled in.
pub(super) struct Asked {
    pub(super) audience: Vec<Box<str>>,
    pub(super) resource: Vec<Box<str>>,
    pub(super) scopes: Arc<[Box<str>]>,
    parameters: Vec<(Box<str>, Box<str>)>,
}

impl Asked {
    /// Audiences and resources, in the order of the configuration: what the audit record says.
    pub(super) fn targets(&self) -> Arc<[Box<str>]> {
        self.audience.iter().chain(&self.resource).cloned().collect()
    }
}

impl ExchangeConfig {
    /// Fills the templates.
    pub(super) fn asked(&self, caller: &Principal) -> Result<Asked, MissingClaim> {
        let filled = |templates: &[Template]| -> Result<Vec<Box<str>>, MissingClaim> {
            templates.iter().map(|template| Ok(template.fill(caller)?.into())).collect()
        };
        let resource = filled(&self.resource)?;
        for one in &resource {
            check_resource(one).map_err(|_| MissingClaim("a usable resource URI".into()))?;
        }
        let scopes = filled(&self.scopes)?;
        // A claim must not smuggle a second scope in.
        if scopes.iter().any(|scope| scope.contains(char::is_whitespace)) {
            return Err(MissingClaim("a scope of one word".into()));
        }
        let parameters = self
            .parameters
            .iter()
            .map(|(name, template)| Ok((name.clone(), template.fill(caller)?.into())))
            .collect::<Result<_, MissingClaim>>()?;
        Ok(Asked { audience: filled(&self.audience)?, resource, scopes: scopes.into(), parameters })
    }

    /// What [`Self::form`] sends, for people.
    pub(super) fn preview(&self, asked: &Asked, subject: &str) -> Preview {
        let mut shown: Preview = Vec::new();
        let mut put = |name: &str, value: &str| shown.push((name.into(), value.into()));
        put("grant_type", GRANT_TYPE);
        put("subject_token", subject);
        put("subject_token_type", &self.subject_token_type);
        if let Some(actor) = &self.actor {
            put("actor_token", "<the configured secret>");
            put("actor_token_type", &actor.token_type);
        }
        asked.audience.iter().for_each(|audience| put("audience", audience));
        asked.resource.iter().for_each(|resource| put("resource", resource));
        if !asked.scopes.is_empty() {
            put("scope", &asked.scopes.join(" "));
        }
        if let Some(kind) = self.requested_token_type.uri() {
            put("requested_token_type", kind);
        }
        for (name, value) in &asked.parameters {
            put(name, if is_telling(name) { "<not shown>" } else { value });
        }
        shown
    }

    /// The form, without the client's part.
    pub(super) fn form(&self, asked: &Asked, subject: &Subject) -> Result<Form, ExchangeError> {
        let mut form = Form::new();
        form.field("grant_type", GRANT_TYPE);
        subject.write(&mut form, "subject_token")?;
        form.field("subject_token_type", &self.subject_token_type);
        if let Some(actor) = &self.actor {
            form.secret("actor_token", &actor.token.current()).field("actor_token_type", &actor.token_type);
        }
        for audience in &asked.audience {
            form.field("audience", audience);
        }
        for resource in &asked.resource {
            form.field("resource", resource);
        }
        if !asked.scopes.is_empty() {
            form.field("scope", &asked.scopes.join(" "));
        }
        if let Some(kind) = self.requested_token_type.uri() {
            form.field("requested_token_type", kind);
        }
        for (name, value) in &asked.parameters {
            form.field(name, value);
        }
        Ok(form)
    }
}
