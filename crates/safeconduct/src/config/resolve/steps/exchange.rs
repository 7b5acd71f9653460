//! `exchange`.

use super::super::Resolver;
use super::{ATTEMPT, list};
use crate::config::decode::{Field, Named};
use crate::config::plan::{BroaderScope, ExchangePlan, IssuedAudience, IssuedType};
use crate::config::raw::Exchange;

/// Parameters of RFC 8693 §2.1 that have a setting of their own.
const OWN: [&str; 13] = [
    "grant_type",
    "subject_token",
    "subject_token_type",
    "requested_token_type",
    "actor_token",
    "actor_token_type",
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
    pub(super) fn exchange(
        &mut self,
        exchange: &Exchange,
        site: &std::ops::Range<usize>,
    ) -> Option<ExchangePlan> {
        let client = self.step_client(&exchange.client)?;
        let endpoint = exchange.token_endpoint.given();
        let usable = endpoint.and_then(|url| self.url("callers' tokens", url, &exchange.allow_http));
        self.targets(exchange, site);
        self.templates(exchange);
        let parameters = self.parameters(exchange);
        let subject_token_type = self.token_type(&exchange.subject_token_type);
        let requested_token_type = match exchange.requested_token_type.value().map(String::as_str) {
            Some("omit") | None => None,
            Some(_) => self.token_type(&exchange.requested_token_type),
        };
        let actor_type = self.token_type(&exchange.actor_token_type).or_else(|| long("access_token"));
        let actor = exchange.actor_token.given().and_then(|token| self.secret(token));
        if let (Some(at), true) = (exchange.actor_token_type.given(), exchange.actor_token.is_absent()) {
            self.problems
                .error(at.site.clone(), "`actor_token_type` without an `actor_token`")
                .label("not allowed alone (RFC 8693 §2.1)");
        }
        usable?;
        Some(ExchangePlan {
            token_endpoint: endpoint?.value.clone(),
            client,
            audiences: list(&exchange.audience),
            resources: list(&exchange.resource),
            scopes: list(&exchange.scopes),
            subject_token_type: subject_token_type.or_else(|| long("access_token"))?,
            requested_token_type,
            actor: actor.zip(actor_type),
            issued_token_type: exchange.issued_token_type.or(IssuedType::Strict),
            issued_audience: exchange.issued_audience.or(IssuedAudience::Exact),
            expected_audience: list(&exchange.expected_audience),
            broader_scope: exchange.broader_scope.or(BroaderScope::Refuse),
            parameters,
            max_lifetime: exchange.max_lifetime.value().map(|period| period.0),
            attempt_timeout: exchange.attempt_timeout.value().map_or(ATTEMPT, |period| period.0),
            timeout: exchange.timeout.value().map_or_else(|| self.token_endpoint_time(), |period| period.0),
            allow_http: exchange.allow_http.or(false),
        })
    }

    fn targets(&mut self, exchange: &Exchange, site: &std::ops::Range<usize>) {
        if exchange.audience.is_absent() && exchange.resource.is_absent() && exchange.scopes.is_absent() {
            self.problems
                .error(site.clone(), "this exchange names no target")
                .label("no `audience`, `resource` or `scopes`")
                .help("without any of them the new token could be good for anything");
        }
        for scope in exchange.scopes.value().map(|many| many.0.as_slice()).unwrap_or_default() {
            if scope.value.contains(char::is_whitespace) {
                self.problems
                    .error(scope.span.clone(), format!("`{}` is not one scope", scope.value))
                    .label("has a space")
                    .help("several scopes are a list: [a, b]");
            }
        }
        for resource in exchange.resource.value().map(|many| many.0.as_slice()).unwrap_or_default() {
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
    }

    fn token_type(&mut self, written: &Field<String>) -> Option<String> {
        let at = written.given()?;
        if SHORT.contains(&at.value.as_str()) {
            return long(&at.value);
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

    fn parameters(&mut self, exchange: &Exchange) -> Vec<(String, String)> {
        let Some(written) = exchange.parameters.value() else { return Vec::new() };
        let mut parameters = Vec::new();
        for (name, value) in written.iter() {
            if OWN.contains(&name.value.as_str()) {
                self.problems
                    .error(name.span.clone(), format!("`{}` has a setting of its own", name.value))
                    .label("not under `parameters`");
            }
            parameters.push((name.value.clone(), value.value.clone()));
        }
        parameters
    }

    fn templates(&mut self, exchange: &Exchange) {
        let lists = [&exchange.audience, &exchange.resource, &exchange.scopes];
        let texts = lists.into_iter().filter_map(Field::value).flat_map(|many| many.0.iter());
        let named =
            exchange.parameters.value().map(|named: &Named<String>| named.iter().map(|(_, value)| value));
        for text in texts.chain(named.into_iter().flatten()) {
            self.template(text);
        }
    }
}

fn long(short: &str) -> Option<String> {
    Some(format!("urn:ietf:params:oauth:token-type:{short}"))
}
