//! What all steps at an OAuth token endpoint have in common.

use super::super::Resolver;
use super::{ATTEMPT, list};
use crate::config::decode::{At, Field};
use crate::config::plan::{AtPlan, BroaderScope, ExpectedPlan, IssuedAudience, TargetsPlan};
use crate::config::raw::{self, AuthMethod, Common};
use crate::config::values::Many;

/// Parameters of token requests that have a setting of their own.
const OWN: [&str; 15] = [
    "grant_type",
    "subject_token",
    "subject_token_type",
    "requested_token_type",
    "requested_token_use",
    "actor_token",
    "actor_token_type",
    "assertion",
    "audience",
    "resource",
    "scope",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

/// Short names of token types (RFC 8693 §3).
const SHORT: [&str; 6] = ["access_token", "refresh_token", "id_token", "saml1", "saml2", "jwt"];

impl Resolver<'_> {
    /// Where the step asks, and as whom.
    pub(super) fn at(&mut self, step: Common<'_>) -> Option<AtPlan> {
        let client = self.step_client(step.client);
        self.client_fits(step);
        if let Some(issuer) = step.lone_issuer {
            self.problems
                .error(issuer.site.clone(), "`issuer` says nothing without a `preset`")
                .label("where is its token endpoint?")
                .help("write `token_endpoint`, or the `preset` that knows where it is");
        }
        let endpoint = step.token_endpoint.given();
        let usable = endpoint.and_then(|url| self.url("callers' tokens", url, step.allow_http));
        usable?;
        Some(AtPlan {
            token_endpoint: endpoint?.value.clone(),
            client: client?,
            max_lifetime: step.max_lifetime.value().map(|period| period.0),
            pause_after_refusal: step.pause_after_refusal.value().map(|period| period.0),
            attempt_timeout: step.attempt_timeout.value().map_or(ATTEMPT, |period| period.0),
            timeout: step.timeout.value().map_or_else(|| self.token_endpoint_time(), |period| period.0),
            allow_http: step.allow_http.or(false),
        })
    }

    /// The client proves itself as the service of the step's preset takes it.
    fn client_fits(&mut self, step: Common<'_>) {
        let Some((preset, quirks)) = step.quirks.filter(|(_, quirks)| !quirks.auth.is_empty()) else {
            return;
        };
        let Some(client) = self.client_named(step.client) else { return };
        let auth = match &client.auth {
            Field::Given(auth) => auth.value.word(),
            Field::Absent => AuthMethod::ClientSecretBasic.word(),
            Field::Broken => return,
        };
        if let (Some(name), false) = (step.client.given(), quirks.auth.iter().any(|known| known == auth)) {
            self.problems
                .warning(name.span.clone(), format!("`{preset}` would not know the client `{}`", name.value))
                .label(format!("has `auth: {auth}`"))
                .help(format!("there it may have `auth: {}`", quirks.auth.join("`, `")));
        }
    }

    /// What the step asks for; `audience` apart, which some steps have only one of.
    pub(super) fn targets(&mut self, step: Common<'_>, audience: &[At<String>]) -> TargetsPlan {
        let many = |field: &Field<Many<String>>| field.value().map(|many| many.0.clone()).unwrap_or_default();
        let (resources, scopes) = (many(step.resource), many(step.scopes));
        for scope in &scopes {
            if scope.value.contains(char::is_whitespace) {
                self.problems
                    .error(scope.span.clone(), format!("`{}` is not one scope", scope.value))
                    .label("has a space")
                    .help("several scopes are a list: [a, b]");
            }
        }
        for resource in &resources {
            // RFC 8693 §2.1: an absolute URI without a fragment; any scheme (`urn:`, `orn:`).
            let absolute = resource.value.split_once(':').is_some_and(|(scheme, rest)| {
                !rest.is_empty()
                    && !scheme.is_empty()
                    && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            });
            if !absolute || resource.value.contains('#') {
                self.problems
                    .error(resource.span.clone(), format!("`{}` is not an absolute URI", resource.value))
                    .label("not a `resource` (RFC 8693 §2.1)")
                    .help("logical names go into `audience`");
            }
        }
        audience.iter().chain(&resources).chain(&scopes).for_each(|text| self.template(text));
        TargetsPlan {
            audiences: audience.iter().map(|at| at.value.clone()).collect(),
            resources: list(step.resource),
            scopes: list(step.scopes),
            parameters: self.parameters(step),
        }
    }

    /// A token type, by its short name or as a URI.
    pub(super) fn token_type(&mut self, written: &Field<String>) -> Option<String> {
        let at = written.given()?;
        if SHORT.contains(&at.value.as_str()) {
            return Some(long(&at.value));
        }
        if !at.value.contains(':') {
            self.problems
                .error(at.span.clone(), format!("`{}` is not a token type", at.value))
                .label("neither a URI nor a short name")
                .maybe_help(crate::config::near::suggest(&at.value, SHORT));
            return None;
        }
        Some(at.value.clone())
    }

    fn parameters(&mut self, step: Common<'_>) -> Vec<(String, String)> {
        let Some(written) = step.parameters.value() else { return Vec::new() };
        let mut parameters = Vec::new();
        for (name, value) in written.iter() {
            if OWN.contains(&name.value.as_str()) {
                self.problems
                    .error(name.span.clone(), format!("`{}` has a setting of its own", name.value))
                    .label("not under `parameters`");
            }
            self.template(value);
            parameters.push((name.value.clone(), value.value.clone()));
        }
        parameters
    }
}

/// What of an issued token is checked.
pub(super) fn expected(
    issued_audience: &Field<raw::IssuedAudience>,
    expected_audience: &Field<Many<String>>,
    broader_scope: &Field<raw::BroaderScope>,
) -> ExpectedPlan {
    ExpectedPlan {
        issued_audience: issued_audience.or(IssuedAudience::Exact),
        expected_audience: list(expected_audience),
        broader_scope: broader_scope.or(BroaderScope::Refuse),
    }
}

/// The elements with their places.
pub(super) fn elements(field: &Field<Many<String>>) -> &[At<String>] {
    field.value().map(|many| many.0.as_slice()).unwrap_or_default()
}

/// The URI of a short name.
pub(super) fn long(short: &str) -> String {
    format!("urn:ietf:params:oauth:token-type:{short}")
}
