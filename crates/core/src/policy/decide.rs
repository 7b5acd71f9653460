//! One decision: the arguments are read, the question is put to Cedar, and whatever goes wrong denies.

use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as Answer, Entities, EvaluationError, PolicySet,
    Request, Response, RestrictedExpression,
};

use super::arguments::{self, Arguments};
use super::entities::{Caller, Types};
use super::reads::Reads;
use super::rule::Rule;
use super::select::Ready;
use super::{Effect, Query};
use crate::mcp::Era;
use crate::server::ToolHints;

/// What was decided, and which policies decided it.
pub(super) type Verdict = (Effect, Arc<[Box<str>]>);

/// One question, all parts of it at hand.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) types: &'a Types,
    pub(super) authorizer: &'a Authorizer,
    pub(super) query: &'a Query<'a>,
    pub(super) ready: &'a Ready,
    pub(super) caller: &'a Caller,
    /// Hints of the tool, if known and if a policy looks at them.
    pub(super) hints: Option<ToolHints>,
}

/// What Cedar is asked, built once and put to any set of policies.
pub(super) struct Prepared {
    request: Request,
    entities: Entities,
}

impl<'a> Question<'a> {
    /// Decides.
    pub(super) fn verdict(&self) -> Verdict {
        match self.prepare() {
            Ok(prepared) => self.judge(&self.ask(&prepared, &self.ready.choice.set)),
            Err(verdict) => verdict,
        }
    }

    /// Reads the arguments and builds the request, unless that decides it already.
    pub(super) fn prepare(&self) -> Result<Prepared, Verdict> {
        let arguments = self.arguments()?;
        self.with_arguments(arguments).map_err(|error| (Effect::Error(error), Arc::from([])))
    }

    /// The request with these as its arguments.
    pub(super) fn with_arguments(&self, arguments: Option<RestrictedExpression>) -> Result<Prepared, String> {
        let context = context(&self.ready.choice.reads, self.query, arguments)?;
        let Ready { action, target, server, entities: [acting, acted_on], .. } = self.ready;
        let acted_on = match self.hints {
            None => acted_on.clone(),
            hints => self.types.target_entity(target, server, hints)?,
        };
        let entities = self.caller.entities.clone().add_entities([acting.clone(), acted_on], None);
        let request = Request::new(self.caller.uid.clone(), action.clone(), target.clone(), context, None);
        Ok(Prepared {
            request: request.map_err(|error| error.to_string())?,
            entities: entities.map_err(|error| error.to_string())?,
        })
    }

    /// Puts the question to Cedar.
    pub(super) fn ask(&self, prepared: &Prepared, policies: &PolicySet) -> Response {
        self.authorizer.is_authorized(&prepared.request, policies, &prepared.entities)
    }

    /// Puts a question with an unknown in it to Cedar.
    pub(super) fn ask_partially(
        &self,
        prepared: &Prepared,
        policies: &PolicySet,
    ) -> cedar_policy::PartialResponse {
        self.authorizer.is_authorized_partial(&prepared.request, policies, &prepared.entities)
    }

    /// The policies whose scope lets this very request through, and that look at its arguments.
    fn readers(&self) -> impl Iterator<Item = &'a Arc<Rule>> {
        let caller = self.caller;
        let reads = |rule: &&Arc<Rule>| !rule.reads.arguments.is_empty() && rule.fits_principal(caller);
        self.ready.choice.rules.iter().filter(reads)
    }

    /// The arguments, as far as they are looked at. Nobody who has no say is listened to: a policy for others
    /// cannot make this caller's arguments doubtful.
    fn arguments(&self) -> Result<Option<RestrictedExpression>, Verdict> {
        if self.readers().next().is_none() {
            return Ok(None);
        }
        let choice = &self.ready.choice;
        let failed = |error: arguments::Unreadable| {
            (Effect::Error(error.to_string()), self.readers().map(|rule| rule.name.clone()).collect())
        };
        let Some(json) = self.query.arguments else { return arguments::none().map(Some).map_err(failed) };
        let Arguments { record, inexact, folded } =
            arguments::read(json, &choice.wanted, &choice.names).map_err(failed)?;
        for (name, variant) in choice.names.iter().zip(folded) {
            let Some(variant) = variant else { continue };
            let names: Arc<[_]> = self
                .readers()
                .filter(|rule| rule.reads.names.contains(name))
                .map(|rule| rule.name.clone())
                .collect();
            if !names.is_empty() {
                return Err((Effect::Ambiguous(shortened(variant.into())), names));
            }
        }
        for path in &inexact {
            let names: Arc<[_]> = self
                .readers()
                .filter(|rule| rule.reads.touches(path))
                .map(|rule| rule.name.clone())
                .collect();
            if let Some(name) = names.first() {
                let place =
                    path.iter().fold("context.args".to_owned(), |place, name| format!("{place}.{name}"));
                let error = format!("{name}: `{place}` holds null or a number that is not exact");
                return Err((Effect::Error(shortened(error)), names));
            }
        }
        Ok(Some(record))
    }

    fn judge(&self, response: &Response) -> Verdict {
        let rules = &self.ready.choice.rules;
        let mut errors: Vec<_> = response.diagnostics().errors().map(told).collect();
        if !errors.is_empty() {
            errors.sort_unstable();
            let names = errors.iter().map(|(name, _)| Box::from(name.as_str())).collect();
            let texts: Vec<_> = errors.into_iter().map(|(name, error)| format!("{name}: {error}")).collect();
            return (Effect::Error(texts.join("; ")), names);
        }
        let reasons: Vec<&str> = response.diagnostics().reason().map(AsRef::as_ref).collect();
        let determining = || rules.iter().filter(|rule| reasons.contains(&&*rule.name));
        let names = determining().map(|rule| rule.name.clone()).collect();
        let effect = match response.decision() {
            Answer::Allow => Effect::Permit,
            Answer::Deny if reasons.is_empty() => Effect::Deny(self.advice()),
            Answer::Deny => {
                Effect::Deny(determining().find_map(|rule| rule.remedy.as_deref()).map(Into::into))
            }
        };
        (effect, names)
    }

    /// What a permit that was not satisfied advises; rather one for this caller than one for others.
    fn advice(&self) -> Option<String> {
        let permits =
            || self.ready.choice.rules.iter().filter(|rule| rule.permits() && rule.remedy.is_some());
        let nearest = permits().find(|rule| rule.fits_principal(self.caller)).or_else(|| permits().next());
        nearest.and_then(|rule| rule.remedy.as_deref()).map(Into::into)
    }
}

/// An evaluation error, without the values that Cedar would print: they are the caller's arguments.
pub(super) fn told(error: &AuthorizationError) -> (String, String) {
    let AuthorizationError::PolicyEvaluationError(error) = error;
    let text = match error.inner() {
        EvaluationError::IntegerOverflow(_) => "integer overflow".into(),
        EvaluationError::FailedExtensionFunctionExecution(_) => {
            "an extension function refused its input".into()
        }
        EvaluationError::NonValue(_) => "something in it is unknown".into(),
        // The name of a tag can be computed, and be the value of an argument.
        EvaluationError::EntityAttrDoesNotExist(missing)
            if missing.to_string().contains("not have the tag `") =>
        {
            "the principal does not have a tag that is asked for".into()
        }
        other => other.to_string(),
    };
    (error.policy_id().to_string(), shortened(text))
}

/// Names in a call are the caller's choice, and may be megabytes.
fn shortened(mut text: String) -> String {
    const MOST: usize = 300;
    if text.len() > MOST {
        let end = (0..=MOST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

/// `context`: only what one of the policies looks at.
fn context(
    reads: &Reads,
    query: &Query<'_>,
    arguments: Option<RestrictedExpression>,
) -> Result<Context, String> {
    let principal = query.principal;
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let number = |value: u64| RestrictedExpression::new_long(i64::try_from(value).unwrap_or(i64::MAX));
    let mut pairs = Vec::new();
    let mut put = |name: &str, value: &dyn Fn() -> Option<RestrictedExpression>| {
        if reads.context(name) {
            pairs.extend(value().map(|value| (name.to_owned(), value)));
        }
    };
    put("actor", &|| principal.actors.first().map(|actor| text(&actor_name(actor, &principal.issuer_url))));
    put("acr", &|| principal.acr.as_deref().map(text));
    put("amr", &|| {
        let methods = || principal.amr.iter().map(|method| text(method));
        (!principal.amr.is_empty()).then(|| RestrictedExpression::new_set(methods()))
    });
    put("auth_time", &|| principal.auth_time.map(number));
    put("now", &|| Some(number(query.now.secs())));
    put("time", &|| Some(RestrictedExpression::new_datetime(query.now.rfc3339())));
    put("source_ip", &|| {
        query.source_ip.map(|ip| RestrictedExpression::new_ip(ip.to_canonical().to_string()))
    });
    put("era", &|| {
        Some(text(match query.era {
            Era::Legacy => "legacy",
            Era::Modern => "2026-07-28",
        }))
    });
    pairs.extend(arguments.map(|arguments| ("args".to_owned(), arguments)));
    Context::from_pairs(pairs).map_err(|_| "the context cannot be built".into())
}

/// The current actor (RFC 8693 §4.1): its subject, with its issuer before it if that is not the token's own.
/// Identity is issuer and subject together, and a bare name must mean one of ours.
fn actor_name(actor: &crate::caller::Actor, issuer: &str) -> String {
    match actor.issuer.as_deref() {
        Some(other) if other != issuer => format!("{other}|{}", actor.subject),
        _ => actor.subject.clone(),
    }
}
