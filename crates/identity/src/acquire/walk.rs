//! A chain run by hand, step by step: for `doctor` and `token exchange`. Nothing is taken from the cache, and
//! nothing is put into it; breakers and refused clients are not looked at, because finding out is the point.

use std::sync::Arc;

use safeconduct_core::credential::Warrant;
use safeconduct_core::material::Material;
use safeconduct_core::refusal::Reason;
use safeconduct_core::time::Timestamp;

use super::{Credentials, Plan};
use crate::provider::{ExchangeError, Granted, Subject, Use, said};

/// How far a chain came.
pub struct Walk {
    /// The steps that were granted, in order.
    pub granted: Vec<Walked>,
    /// Where it went no further, and why.
    pub failure: Option<Stopped>,
}

/// The step that a chain ends at.
pub struct Stopped {
    /// The step.
    pub step: Box<str>,
    /// What the call would be refused for.
    pub reason: Reason,
    /// The provider's own words, or what was seen of it; without what may be a token.
    pub said: Option<String>,
}

/// One step's answer.
pub struct Walked {
    /// The step.
    pub step: Box<str>,
    /// What was granted: to be looked into, never to be printed whole.
    pub material: Arc<Material>,
    /// What it is good for.
    pub usable: Use,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Scopes granted.
    pub scopes: Arc<[Box<str>]>,
}

impl Credentials {
    /// Runs the chain of the warrant's server once. No steps for `static`, `none` and an unknown server.
    pub async fn walk(&self, warrant: &Warrant) -> Walk {
        let mut walk = Walk { granted: Vec::new(), failure: None };
        let Some(Plan::Chain(chain)) = self.plans.get(&warrant.server().name) else { return walk };
        let mut subject = Subject::Caller(warrant.subject().clone());
        for (index, leg) in (0..).map_while(|index| Some((index, chain.leg(index)?))) {
            let asking = leg.provider.exchange(warrant, subject, self.store.clock.wall());
            let waiting = tokio::time::timeout(self.store.limits.step, asking);
            let (outcome, said) = said::listening(waiting).await;
            match outcome.unwrap_or_else(|_| Err(too_slow())) {
                Ok(Granted { material, usable, expires, scopes, .. }) => {
                    let material = Arc::new(material);
                    subject = Subject::Step(material.clone());
                    walk.granted.push(Walked {
                        step: chain.label(index).into(),
                        material,
                        usable,
                        expires,
                        scopes,
                    });
                }
                Err(error) => {
                    let said = said.or_else(|| seen(&error));
                    let (step, reason) = (chain.label(index).into(), error.into_reason(chain.label(index)));
                    walk.failure = Some(Stopped { step, reason, said });
                    return walk;
                }
            }
        }
        walk
    }
}

/// What a reason does not tell.
fn seen(error: &ExchangeError) -> Option<String> {
    match error {
        ExchangeError::Unavailable { problem, .. } | ExchangeError::Lost { problem } => Some(problem.clone()),
        _ => None,
    }
}

fn too_slow() -> ExchangeError {
    ExchangeError::Unavailable { retry_after: None, problem: "it took too long".into() }
}
