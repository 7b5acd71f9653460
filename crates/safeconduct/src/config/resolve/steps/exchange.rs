//! `exchange`.

use std::ops::Range;

use super::super::Resolver;
use super::common::{elements, expected, long};
use crate::config::decode::Field;
use crate::config::plan::{ActorPlan, ExchangePlan, IssuedType};
use crate::config::raw::Exchange;

impl Resolver<'_> {
    pub(super) fn exchange(&mut self, exchange: &Exchange, site: &Range<usize>) -> Option<ExchangePlan> {
        let at = self.at(exchange.common());
        let asked_for = ["audience", "resource", "scopes"];
        let said = exchange
            .common()
            .quirks
            .is_some_and(|(_, quirks)| asked_for.iter().any(|setting| quirks.needs.contains_key(*setting)));
        let absent =
            exchange.audience.is_absent() && exchange.resource.is_absent() && exchange.scopes.is_absent();
        if absent && !said {
            self.problems
                .error(site.clone(), "this exchange names no target")
                .label("no `audience`, `resource` or `scopes`")
                .help("without any of them the new token could be good for anything");
        }
        let targets = self.targets(exchange.common(), elements(&exchange.audience));
        let subject_token_type = self.token_type(&exchange.subject_token_type);
        let requested_token_type = match exchange.requested_token_type.value().map(String::as_str) {
            Some("omit") | None => None,
            Some(_) => self.token_type(&exchange.requested_token_type),
        };
        let actor = self.actor(exchange);
        let pick = self.pick(&exchange.field, &exchange.basic);
        if let (Some(_), None) = (&pick, &requested_token_type) {
            let place = exchange.field.given().map(|at| at.site.clone());
            let place = place.or_else(|| exchange.basic.given().map(|at| at.site.clone()));
            self.problems
                .error(place.unwrap_or_else(|| site.clone()), "an object of secrets has to be asked for")
                .label("needs `requested_token_type`")
                .help("urn:okta:params:oauth:token-type:vaulted-secret, or ...:service-account");
        }
        Some(ExchangePlan {
            at: at?,
            targets,
            subject_token_type: subject_token_type.unwrap_or_else(|| long("access_token")),
            requested_token_type,
            actor,
            issued_token_type: exchange.issued_token_type.or(IssuedType::Strict),
            expected: expected(
                &exchange.issued_audience,
                &exchange.expected_audience,
                &exchange.broader_scope,
            ),
            pick,
        })
    }

    fn actor(&mut self, exchange: &Exchange) -> Option<ActorPlan> {
        let kind = self.token_type(&exchange.actor_token_type).unwrap_or_else(|| long("access_token"));
        if let (Field::Given(token), Field::Given(_)) = (&exchange.actor_token, &exchange.actor) {
            self.problems
                .error(token.site.clone(), "`actor_token` beside `actor`: there is one actor")
                .label("which of the two?")
                .help("keep one of them");
        }
        if exchange.actor.given().is_some() {
            return Some(ActorPlan::Step(kind));
        }
        if let (Some(at), true) = (exchange.actor_token_type.given(), exchange.actor_token.is_absent()) {
            self.problems
                .error(at.site.clone(), "`actor_token_type` without an `actor_token`")
                .label("not allowed alone (RFC 8693 §2.1)");
        }
        let token = exchange.actor_token.given().and_then(|token| self.secret(token))?;
        Some(ActorPlan::Configured(token, kind))
    }
}
