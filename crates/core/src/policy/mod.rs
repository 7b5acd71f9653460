//! May they: Cedar behind one function.
//!
//! Deny is what happens when nothing happened: no permit, an unknown method, an evaluation error in any policy that
//! could apply, an argument that Cedar cannot hold exactly or that has two readings.
//!
//! What a policy can speak of:
//! - principal: `User::"ISSUER/SUBJECT"` or `Workload::"ISSUER/SUBJECT"` in `Group::"ISSUER/GROUP"`, with `issuer`,
//!   `subject`, `client?`, `email?`, `scopes`, `groups`, `expires` (seconds since the epoch); every claim but exp,
//!   iat, nbf and jti as a tag, a set of strings. `ISSUER` is the name in the configuration.
//! - action: the methods of [`crate::mcp::methods::TABLE`], in the groups `read`, `write`, `life` and `list`, and
//!   any other name with a `/` in it, in no group.
//! - resource: `Tool`, `Prompt`, `Resource`, `Task`, each `"SERVER/NAME"` in `Server::"SERVER"`. Tools have
//!   `readOnly`, `destructive`, `idempotent` and `openWorld` once a list of their server has named them.
//! - context: `args`, `actor?` (the current actor's subject, after `ISSUER|` if that is not the token's own), `acr?`,
//!   `amr?`, `auth_time?`, `now` (seconds), `time` (a datetime), `source_ip?`, `era` (`legacy` or `2026-07-28`).
//! - annotations: `@id` names a policy in explanations, `@remedy` is told to whom it refuses.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use cedar_policy::Authorizer;

use crate::caller::Principal;
use crate::mcp::{Era, Target};
use crate::server::{Server, ToolHints};
use crate::time::Timestamp;

mod arguments;
mod compile;
mod decide;
mod entities;
mod explain;
mod infer;
mod memo;
mod near;
mod number;
mod reads;
mod rule;
mod schema;
mod see;
mod select;
mod validate;
mod wanted;

use decide::{Question, Verdict};
use entities::{Caller, Types, identity};
use memo::{Key, Memo};
use select::{Index, Ready};

pub use explain::{Considered, Explanation};

/// A policy file: its name as people know it and its text.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path as it is printed in decisions (`policies/orders.cedar`).
    pub file: String,
    /// Cedar text.
    pub text: String,
}

/// Something wrong (or doubtful) in a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Index into the sources.
    pub source: usize,
    /// Byte offset and length in the text.
    pub span: std::ops::Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
    /// True for what is only doubtful.
    pub warning: bool,
}

/// One question to the policy.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// At which server.
    pub server: &'a Server,
    /// Method name.
    pub action: &'a str,
    /// On what.
    pub target: &'a Target,
    /// JSON text of the arguments, already checked by the door.
    pub arguments: Option<&'a [u8]>,
    /// When.
    pub now: Timestamp,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// Protocol era.
    pub era: Era,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What was decided.
    pub effect: Effect,
    /// `file:line` of the determining policies.
    pub policies: Arc<[Box<str>]>,
    /// True when the decision cache had it.
    pub cached: bool,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A permit applies and no forbid does.
    Permit,
    /// Nothing permits, or something forbids; the text of the `@remedy` annotation, if any.
    Deny(Option<String>),
    /// A policy could not be evaluated: denied.
    Error(String),
    /// Arguments that a policy reads have two readings: denied; the name.
    Ambiguous(String),
}

/// The compiled policies of one plan. Total and pure: every query has an answer.
pub struct Policy {
    types: Types,
    authorizer: Authorizer,
    index: Index,
    custom: BTreeSet<Box<str>>,
    decisions: Option<Memo<Arc<Verdict>>>,
    verdicts: Memo<Arc<Verdict>>,
    callers: Memo<Arc<Caller>>,
}

/// Decisions that are remembered.
const DECISIONS: usize = 32_768;
/// Verdicts that these share: the same policy permits thousands of callers.
const VERDICTS: usize = 1024;
/// Callers that are kept as Cedar wants them. One takes some 15 KB, and a decision that is remembered needs none.
const CALLERS: usize = 1024;
/// Arguments longer than this are decided on each time: hashing them would not be cheaper by much.
const MAX_REMEMBERED: usize = 16 * 1024;

impl Policy {
    fn new(types: Types, index: Index, custom: BTreeSet<Box<str>>) -> Self {
        let (decisions, verdicts) = (Some(Memo::new(DECISIONS)), Memo::new(VERDICTS));
        let (authorizer, callers) = (Authorizer::new(), Memo::new(CALLERS));
        Self { types, authorizer, index, custom, decisions, verdicts, callers }
    }

    /// The same policies, asked anew for each decision: for measurements.
    #[must_use]
    pub fn without_decision_cache(self) -> Self {
        Self { decisions: None, ..self }
    }

    /// Decides. Never fails: what cannot be evaluated is denied.
    pub fn decide(&self, query: &Query<'_>) -> Decision {
        self.remembered(query, Asked::Call).unwrap_or_else(failed)
    }

    /// Whether the caller may use the item with *some* arguments: what lists show, and what decides between
    /// "denied" and "unknown". The query's arguments are not looked at.
    pub fn may_see(&self, query: &Query<'_>) -> bool {
        let query = &Query { arguments: None, ..*query };
        self.remembered(query, Asked::Sight).is_ok_and(|decision| decision.effect == Effect::Permit)
    }

    /// Whether a decision on this query looks at the tool's hints.
    pub(crate) fn looks_at_hints(&self, query: &Query<'_>) -> bool {
        let ready = self.index.ready(&self.types, &query.server.name, query.action, query.target);
        ready.is_ok_and(|ready| ready.choice.reads.hints)
    }

    /// Whether any policy names this method, which is in no revision of the protocol.
    pub fn names_method(&self, name: &str) -> bool {
        self.custom.contains(name)
    }

    /// Decides, and says why. The same code as [`Self::decide`], never from memory.
    pub fn explain(&self, query: &Query<'_>) -> Explanation {
        let visible = self.may_see(query);
        let explained = self.kind_of_call(query).and_then(|(ready, hints)| {
            self.put(query, &ready, hints, |question| {
                let (effect, policies) = question.verdict();
                explain::explanation(question, &Decision { effect, policies, cached: false }, visible)
            })
        });
        explained.unwrap_or_else(|error| Explanation::unasked(&failed(error)))
    }

    fn remembered(&self, query: &Query<'_>, asked: Asked) -> Result<Decision, String> {
        let (ready, hints) = self.kind_of_call(query)?;
        let key =
            self.decisions.as_ref().and_then(|memo| Some((memo, key(memo, query, &ready, hints, asked)?)));
        if let Some(verdict) = key.and_then(|(memo, key)| memo.recall(key)) {
            let (effect, policies) = &*verdict;
            return Ok(Decision { effect: effect.clone(), policies: policies.clone(), cached: true });
        }
        let reads_arguments = !ready.choice.reads.arguments.is_empty();
        let (effect, policies) = self.put(query, &ready, hints, |question| match asked {
            Asked::Sight if reads_arguments => {
                let effect = if question.possible() { Effect::Permit } else { Effect::Deny(None) };
                (effect, Arc::new([]) as Arc<[_]>)
            }
            _ => question.verdict(),
        })?;
        if let Some((memo, key)) = key {
            memo.keep(key, self.shared(&effect, &policies));
        }
        Ok(Decision { effect, policies, cached: false })
    }

    /// The verdict as all decisions share it that are alike: a decision takes no room but its place.
    fn shared(&self, effect: &Effect, policies: &Arc<[Box<str>]>) -> Arc<Verdict> {
        let mut fields = self.verdicts.fields();
        let (kind, text) = match effect {
            Effect::Permit => (0, None),
            Effect::Deny(remedy) => (1, remedy.as_deref()),
            Effect::Error(error) => (2, Some(error.as_str())),
            Effect::Ambiguous(name) => (3, Some(name.as_str())),
        };
        fields.number(kind).number(text.is_some().into()).bytes(text.unwrap_or_default().as_bytes());
        policies.iter().for_each(|name| {
            fields.bytes(name.as_bytes());
        });
        let key = fields.key();
        self.verdicts.recall(key).unwrap_or_else(|| {
            let verdict = Arc::new((effect.clone(), policies.clone()));
            self.verdicts.keep(key, verdict.clone());
            verdict
        })
    }

    /// What is known of the call without looking at the caller; the tool's hints, if they are known and looked at.
    fn kind_of_call(&self, query: &Query<'_>) -> Result<(Arc<Ready>, Option<ToolHints>), String> {
        let ready = self.index.ready(&self.types, &query.server.name, query.action, query.target)?;
        let hints = match query.target {
            Target::Tool(name) if ready.choice.reads.hints => {
                query.server.catalogue.tool(name).map(|tool| tool.hints)
            }
            _ => None,
        };
        Ok((ready, hints))
    }

    /// Puts a question that has to be answered anew.
    fn put<T>(
        &self,
        query: &Query<'_>,
        ready: &Ready,
        hints: Option<ToolHints>,
        answer: impl FnOnce(&Question<'_>) -> T,
    ) -> Result<T, String> {
        let caller = &*self.caller(query.principal)?;
        let (types, authorizer) = (&self.types, &self.authorizer);
        Ok(answer(&Question { types, authorizer, query, ready, caller, hints }))
    }

    fn caller(&self, principal: &Principal) -> Result<Arc<Caller>, String> {
        // Two tokens of one login may end at different times, and `expires` can be read.
        let mut fields = self.callers.fields();
        let key = fields.bytes(identity(principal)).number(principal.expires.secs()).key();
        if let Some(caller) = self.callers.recall(key) {
            return Ok(caller);
        }
        let caller = Arc::new(self.types.caller(principal)?);
        self.callers.keep(key, caller.clone());
        Ok(caller)
    }
}

/// What cannot be asked is denied.
fn failed(error: String) -> Decision {
    Decision { effect: Effect::Error(error), policies: Arc::new([]), cached: false }
}

/// Which question is put.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// May this call be made?
    Call,
    /// May a call like it be made, with whatever arguments?
    Sight,
}

/// All that the answer can depend on; None when it may be another one a moment later.
fn key(
    memo: &Memo<Arc<Verdict>>,
    query: &Query<'_>,
    ready: &Ready,
    hints: Option<ToolHints>,
    asked: Asked,
) -> Option<Key> {
    let reads = &ready.choice.reads;
    if reads.moment() {
        return None;
    }
    let mut fields = memo.fields();
    fields.part(ready.key).bytes(identity(query.principal));
    if !reads.arguments.is_empty() {
        match (asked, query.arguments) {
            (Asked::Sight, _) => fields.number(0),
            (Asked::Call, None) => fields.number(1),
            (Asked::Call, Some(json)) if json.len() <= MAX_REMEMBERED => fields.number(2).bytes(json),
            (Asked::Call, Some(_)) => return None,
        };
    }
    if reads.context("era") {
        fields.number(query.era as u64);
    }
    if reads.context("source_ip") {
        match query.source_ip {
            None => fields.number(0),
            Some(IpAddr::V4(ip)) => fields.bytes(&ip.octets()),
            Some(IpAddr::V6(ip)) => fields.bytes(&ip.octets()),
        };
    }
    if reads.hints {
        fields.number(hints.map_or(0, |hints| {
            let bits = [true, hints.read_only, hints.destructive, hints.idempotent, hints.open_world];
            bits.into_iter().fold(0, |all, bit| all << 1 | u64::from(bit))
        }));
    }
    Some(fields.key())
}

#[cfg(test)]
mod tests;
