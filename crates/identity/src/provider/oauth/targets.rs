//! What a token is asked for: audiences, resources, scopes, and what a provider wants said besides.

use std::sync::Arc;

use safeconduct_core::caller::Principal;
use thiserror::Error;

use super::{Fieldset, is_absolute_uri};
use crate::cache::Fields;
use crate::template::{MissingClaim, Template};

/// Targets of a step.
#[derive(Default)]
pub struct Targets {
    /// Logical names of the targets; may be several.
    pub audience: Vec<Template>,
    /// URIs of the targets, without fragment; may be several (RFC 8707).
    pub resource: Vec<Template>,
    /// Scopes at the target; none: the parameter is not sent.
    pub scopes: Vec<Template>,
    /// Further parameters (`connector_id`, `organization` ...).
    pub parameters: Vec<(Box<str>, Template)>,
}

/// A target that cannot be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadTarget {
    /// RFC 8693 §2.1: an absolute URI without fragment.
    #[error("resource {0:?} must be an absolute URI without a fragment (RFC 8693 §2.1)")]
    Resource(String),
    /// A further parameter that would take the place of one that the step itself sends.
    #[error("parameter {0:?} cannot be set by hand: the step sends it itself")]
    Parameter(String),
    /// A scope that is not one.
    #[error("scope {0:?} must be one word (RFC 6749 §3.3)")]
    Scope(String),
}

/// Parameters of token requests that have a setting of their own.
const OWN: [&str; 15] = [
    "grant_type",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "requested_token_use",
    "assertion",
    "audience",
    "resource",
    "scope",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

impl Targets {
    /// True when nothing says what the token is to be good for.
    pub fn is_empty(&self) -> bool {
        self.audience.is_empty() && self.resource.is_empty() && self.scopes.is_empty()
    }

    /// Finds what cannot be right, as far as it does not depend on the caller.
    ///
    /// # Errors
    /// See [`BadTarget`].
    pub fn check(&self) -> Result<(), BadTarget> {
        for resource in self.resource.iter().filter_map(Template::as_fixed) {
            check_resource(resource).map_err(BadTarget::Resource)?;
        }
        if let Some((name, _)) = self.parameters.iter().find(|(name, _)| OWN.contains(&&**name)) {
            return Err(BadTarget::Parameter(name.to_string()));
        }
        for scope in self.scopes.iter().filter_map(Template::as_fixed) {
            if scope.is_empty() || scope.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(BadTarget::Scope(scope.into()));
            }
        }
        Ok(())
    }

    /// Fills the templates.
    pub(in crate::provider) fn asked(&self, caller: &Principal) -> Result<Asked, MissingClaim> {
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

    /// Audiences and resources as the configuration has them.
    pub(in crate::provider) fn named(&self) -> Vec<Box<str>> {
        self.audience.iter().chain(&self.resource).map(|one| one.text().into()).collect()
    }

    /// The configuration's part of a cache key.
    pub(in crate::provider) fn identify(&self, fields: &mut Fields) {
        for set in [&self.audience, &self.resource, &self.scopes] {
            let digest = |template: &Template| {
                let mut one = Fields::new();
                template.identify(&mut one);
                one.digest()
            };
            fields.set(set.iter().map(digest));
        }
        fields.number(self.parameters.len() as u64);
        for (name, template) in &self.parameters {
            fields.text(name);
            template.identify(fields);
        }
    }

    /// The caller's part of a cache key.
    pub(in crate::provider) fn inputs(
        &self,
        caller: &Principal,
        fields: &mut Fields,
    ) -> Result<(), MissingClaim> {
        let parameters = self.parameters.iter().map(|(_, template)| template);
        let mut templates = self.audience.iter().chain(&self.resource).chain(&self.scopes).chain(parameters);
        templates.try_for_each(|template| template.input(caller, fields))
    }
}

/// What is asked for, with the templates filled in.
pub(in crate::provider) struct Asked {
    pub(in crate::provider) audience: Vec<Box<str>>,
    pub(in crate::provider) resource: Vec<Box<str>>,
    pub(in crate::provider) scopes: Arc<[Box<str>]>,
    parameters: Vec<(Box<str>, Box<str>)>,
}

impl Asked {
    /// Audiences and resources, in the order of the configuration.
    pub(in crate::provider) fn targets(&self) -> Arc<[Box<str>]> {
        self.audience.iter().chain(&self.resource).cloned().collect()
    }

    /// Adds it to a request.
    pub(in crate::provider) fn write(&self, request: &mut Fieldset) {
        self.audience.iter().for_each(|audience| request.text("audience", audience));
        self.resource.iter().for_each(|resource| request.text("resource", resource));
        if !self.scopes.is_empty() {
            request.text("scope", &self.scopes.join(" "));
        }
        self.parameters.iter().for_each(|(name, value)| request.text(name, value));
    }
}

/// An absolute URI without fragment, or the text that is none.
fn check_resource(resource: &str) -> Result<(), String> {
    if is_absolute_uri(resource) && !resource.contains('#') { Ok(()) } else { Err(resource.into()) }
}
