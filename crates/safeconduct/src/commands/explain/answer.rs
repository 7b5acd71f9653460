//! The answer: each check of the path, in its order, up to the one that refuses.

use safeconduct_core::caller::{Kind, Principal};
use safeconduct_core::mcp::Target;
use safeconduct_core::policy::{Effect, Explanation, Policy, Query};
use safeconduct_core::refusal::Reason;
use safeconduct_core::server::{Delivery, Server};
use safeconduct_core::time::Timestamp;
use safeconduct_identity::acquire::CredentialPlan;
use serde::Serialize;

use super::Unanswerable;
use super::call::Call;
use super::caller::Caller;
use super::checks::{self, Check};
use super::steps::{self, Step};
use crate::app::Rehearsal;
use crate::config::plan::{Plan, ServerPlan, StepPlan};

/// The whole answer. Holds no token, no secret and no value of any argument.
#[derive(Debug, Serialize)]
pub(super) struct Explained {
    pub(super) permitted: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Refused>,
    pub(super) call: Asked,
    /// None when the token was not believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) caller: Option<Who>,
    /// The checks that were passed before the policies were asked.
    pub(super) checks: Vec<Check>,
    /// None when the policies were not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decision: Option<Explanation>,
    /// The credential steps that would run; none for a call that is refused, and none for `credential: none`.
    pub(super) credential: Vec<Step>,
    /// The request to the MCP server; None for a call that is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Request>,
}

/// The refusal, as docs/refusals.md lists it.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    pub(super) code: &'static str,
    pub(super) fault: &'static str,
    pub(super) why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
    /// Whether the caller is answered as if it did not exist.
    pub(super) hidden: bool,
    /// What whoever asks this question could add to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<&'static str>,
}

/// What was asked about.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    pub(super) server: String,
    pub(super) method: String,
    /// `Tool::"orders/refund"`, as policies name it.
    pub(super) resource: String,
    /// Names of the arguments.
    pub(super) arguments: Vec<String>,
}

/// The caller.
#[derive(Debug, Serialize)]
pub(super) struct Who {
    /// `User::"corp/alice"`, as policies name it.
    pub(super) principal: String,
    pub(super) kind: Kind,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) client: Option<String>,
    pub(super) email: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) scopes: Vec<String>,
    pub(super) actors: Vec<String>,
    /// False for supposed claims.
    pub(super) verified: bool,
}

/// The request to the MCP server.
#[derive(Debug, Serialize)]
pub(super) struct Request {
    pub(super) url: String,
    /// The header that the credential goes into, with `<...>` for the credential; None for `credential: none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) header: Option<String>,
}

impl Explained {
    pub(super) fn of(
        plan: &Plan,
        server: &ServerPlan,
        policy: &Policy,
        call: &Call,
        caller: Caller,
        rehearsal: &Rehearsal<'_>,
        now: Timestamp,
    ) -> Result<Self, Unanswerable> {
        let failed = |failed: crate::app::Failed| Unanswerable::failed(failed.to_string());
        let (mut known, chain) = rehearsal.server(server).map_err(failed)?;
        known.catalogue = call.catalogue();
        known.pins = rehearsal.pins(server).map_err(failed)?;
        let mut explained = Self::empty(server, call);
        let (principal, audiences, verified) = match caller {
            Caller::Known { principal, audiences, verified } => (principal, audiences, verified),
            Caller::Refused(reason) => return Ok(explained.refused(&reason)),
        };
        explained.caller = Some(Who::of(&principal, verified));
        let accepted =
            plan.issuer(&principal.issuer).map(|issuer| issuer.audiences.as_slice()).unwrap_or_default();
        let checks = [
            checks::issuer(&principal, &known),
            checks::audience(audiences.as_deref(), &known, accepted),
            checks::method(call, policy),
            checks::scopes(&principal, &known, call),
        ];
        for (check, reason) in checks {
            explained.checks.push(check);
            if let Some(reason) = reason {
                return Ok(explained.refused(&reason));
            }
        }
        let query = Query {
            principal: &principal,
            server: &known,
            action: call.method.name(),
            target: &call.target,
            arguments: call.arguments.as_deref().map(str::as_bytes),
            now,
            source_ip: call.source_ip,
            era: call.era,
        };
        let explanation = policy.explain(&query);
        let reason = reason(policy.decide(&query).effect, &call.target, explanation.visible)
            .or_else(|| known.quarantined(&call.target, now).map(Reason::Quarantined));
        explained.decision = Some(explanation);
        match reason {
            Some(reason) => Ok(explained.refused(&reason).noted(call)),
            None => Ok(explained.sent(server, &known, &chain, &principal)),
        }
    }

    fn empty(server: &ServerPlan, call: &Call) -> Self {
        let place = |kind: &str, name: &str| format!("{kind}::\"{}/{name}\"", server.name);
        let resource = match &call.target {
            Target::Server => format!("Server::\"{}\"", server.name),
            Target::Tool(name) => place("Tool", name),
            Target::Prompt(name) => place("Prompt", name),
            Target::Resource(uri) => place("Resource", uri),
            Target::Task(id) => place("Task", id),
        };
        let method = call.method.name().to_owned();
        let call = Asked { server: server.name.clone(), method, resource, arguments: call.argument_names() };
        Self {
            permitted: false,
            refusal: None,
            call,
            caller: None,
            checks: Vec::new(),
            decision: None,
            credential: Vec::new(),
            request: None,
        }
    }

    fn refused(mut self, reason: &Reason) -> Self {
        self.refusal = Some(Refused::of(reason));
        self
    }

    // A tool's hints come from its server, which is not asked here.
    fn noted(mut self, call: &Call) -> Self {
        let attributes = ["readOnly", "destructive", "idempotent", "openWorld"];
        let unknown = matches!(call.target, Target::Tool(_)) && call.hints.is_none();
        if let Some(refused) = self.refusal.as_mut().filter(|refused| unknown && refused.code == "SC-P03")
            && attributes.iter().any(|name| refused.why.contains(name))
        {
            refused.note = Some(
                "what the server says of its tool is not known here: add it, as in --annotations '{\"readOnlyHint\":true}'",
            );
        }
        self
    }

    fn sent(
        mut self,
        plan: &ServerPlan,
        server: &Server,
        chain: &CredentialPlan,
        caller: &Principal,
    ) -> Self {
        match steps::steps(plan, chain, caller) {
            Ok(steps) => {
                self.permitted = true;
                self.credential = steps;
                self.request = Some(Request::of(plan, server));
                self
            }
            Err(missing) => self.refused(&Reason::MissingClaim(missing.0)),
        }
    }
}

fn reason(effect: Effect, target: &Target, visible: bool) -> Option<Reason> {
    let hidden = !visible && matches!(target, Target::Tool(_) | Target::Prompt(_) | Target::Resource(_));
    match effect {
        Effect::Permit => None,
        Effect::Deny(remedy) => Some(Reason::Denied { hidden, remedy }),
        Effect::Error(error) => Some(Reason::PolicyError { hidden, error }),
        Effect::Ambiguous(name) => Some(Reason::AmbiguousArgument(name)),
    }
}

impl Refused {
    fn of(reason: &Reason) -> Self {
        let (code, fault) = (reason.code(), reason.fault().word());
        let (why, remedy, hidden) = match reason {
            Reason::Denied { hidden, remedy } => (
                "no policy permits it, or one forbids it".to_owned(),
                remedy.clone().filter(|_| !hidden),
                *hidden,
            ),
            Reason::PolicyError { hidden, error } => {
                (format!("a policy cannot be evaluated: {error}"), None, *hidden)
            }
            Reason::AmbiguousArgument(name) => (
                format!("the argument `{name}` differs only by case from one that a policy reads"),
                None,
                false,
            ),
            Reason::Quarantined(why) => (
                format!("the tool is quarantined: {why}"),
                Some("safeconduct lock diff, then safeconduct lock approve".to_owned()),
                false,
            ),
            Reason::InvalidToken(why) => (format!("the token is not believed: {why}"), None, false),
            Reason::WrongAudience => ("the token is for another audience".to_owned(), None, false),
            Reason::UnknownMethod(_) => ("the method is unknown".to_owned(), None, false),
            Reason::InsufficientScope(all) => {
                (format!("the token lacks a scope; the method needs {}", all.join(", ")), None, false)
            }
            Reason::MissingClaim(what) => (
                format!("a credential step needs what the caller's token does not give: {what}"),
                None,
                false,
            ),
            other => (format!("{other:?}"), None, false),
        };
        Self { code, fault, why, remedy, hidden, note: None }
    }
}

impl Who {
    fn of(caller: &Principal, verified: bool) -> Self {
        let texts = |texts: &[Box<str>]| texts.iter().map(ToString::to_string).collect();
        Self {
            principal: named(caller),
            kind: caller.kind,
            issuer: caller.issuer_url.to_string(),
            subject: caller.subject.to_string(),
            client: caller.client.as_deref().map(str::to_owned),
            email: caller.email.as_deref().map(str::to_owned),
            groups: texts(&caller.groups),
            scopes: texts(&caller.scopes),
            actors: caller.actors.iter().map(|actor| actor.subject.clone()).collect(),
            verified,
        }
    }
}

/// As policies name it.
pub(in crate::commands) fn named(caller: &Principal) -> String {
    let kind = match caller.kind {
        Kind::User => "User",
        Kind::Workload => "Workload",
    };
    format!("{kind}::\"{}/{}\"", caller.issuer, caller.subject)
}

impl Request {
    fn of(plan: &ServerPlan, server: &Server) -> Self {
        let credential = plan.credential.last().map(|step| match step {
            StepPlan::Static(secret) => format!("<{}>", secret.origin),
            _ => format!("<the {} of step {}>", step.gives().noun(), plan.credential.len()),
        });
        let header = credential.and_then(|credential| match &server.delivery {
            Delivery::Header { name, prefix } => {
                Some(format!("{}: {prefix}{credential}", titled(name.as_str())))
            }
            Delivery::SigV4(signer) => Some(format!(
                "Authorization: AWS4-HMAC-SHA256 <signed for {signer:?} with the keys of step {}>",
                plan.credential.len()
            )),
            Delivery::Instance => None,
        });
        Self { url: server.url.to_string(), header }
    }
}

// `x-api-key` as people write it: `X-Api-Key`.
fn titled(header: &str) -> String {
    let mut start = true;
    header
        .chars()
        .map(|c| {
            let titled = if start { c.to_ascii_uppercase() } else { c };
            start = c == '-';
            titled
        })
        .collect()
}
