//! A fetch: runs to its end whoever gives up waiting, and lands for all who wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use safeconduct_core::audit::CredentialRecord;
use safeconduct_core::credential::{Credential, Warrant};
use safeconduct_core::material::Material;
use safeconduct_core::time::Timestamp;

use super::chain::{Chain, Leg};
use super::store::CredentialStore;
use crate::cache::{Bounds, Failure, Found, Held, Keep, Landed, Lead, Slot, login_ended};
use crate::provider::{ExchangeError, Granted, Subject, SubjectUse, Use};
use crate::template::MissingClaim;

/// Begins the fetch of a step's answer.
pub(super) fn begin(
    store: Arc<CredentialStore>,
    chain: Arc<Chain>,
    index: usize,
    warrant: Warrant,
    lead: Lead,
) {
    let runtime = store.runtime.clone();
    runtime.spawn(async move {
        let bound = lead.bound(warrant.principal().expires);
        let flight = Flight { store, chain, warrant, bound, shared: lead.is_shared() };
        let fetched = flight.fetch(index).await.map_err(|failure| flight.in_whose_name(index, failure));
        let (landed, keep) = match fetched {
            // Neither kept nor handed on, whatever came of it: not even a refusal, which a later login would meet.
            _ if flight.has_ended() => {
                flight.chain.spent(&flight.warrant);
                (Err(flight.failure(index, login_ended())), None)
            }
            Ok(granted) => flight.settle(index, granted),
            Err(failure) => flight.refused(index, failure),
        };
        lead.land(landed, keep, flight.store.moment());
    });
}

struct Flight {
    store: Arc<CredentialStore>,
    chain: Arc<Chain>,
    warrant: Warrant,
    /// Until when what is fetched may serve, as far as the caller goes.
    bound: Timestamp,
    /// It is the same for all callers, and fetched for whoever came first.
    shared: bool,
}

type Failed = Arc<Failure>;

/// An earlier step's answer, and whether it was kept. Boxed, because it may ask for the one before it.
type Asking<'a> = Pin<Box<dyn Future<Output = Result<(Arc<Material>, bool), Failed>> + Send + 'a>>;

impl Flight {
    /// Asks for a step's answer, with the answer of the step before it.
    async fn fetch(&self, index: usize) -> Result<Granted, Failed> {
        let Some(leg) = self.chain.leg(index) else {
            return Err(self.failure(index, bad("a chain without steps")));
        };
        let Some(before) = index.checked_sub(1) else {
            let subject = Subject::Caller(self.warrant.subject().clone());
            return self.ask(leg, index, subject).await;
        };
        let (subject, kept) = self.subject(before).await?;
        match self.ask(leg, index, Subject::Step(subject.clone())).await {
            Err(failure) if self.wants_another(before, kept, &failure.error) => {
                self.let_go(before, &subject);
                let (another, _) = self.subject(before).await?;
                // The same once more would be a repetition of what may be used up, or was refused.
                if another.is_same_as(&subject) {
                    return Err(failure);
                }
                self.ask(leg, index, Subject::Step(another)).await
            }
            outcome => outcome,
        }
    }

    /// Whether the step is worth asking once more with a new answer of the step before: what was kept may have
    /// been revoked meanwhile; what was presented may be used up.
    fn wants_another(&self, before: usize, kept: bool, error: &ExchangeError) -> bool {
        match error {
            ExchangeError::SubjectRefused { .. } => kept,
            ExchangeError::Lost { .. } => {
                self.chain.leg(before).is_some_and(|leg| leg.presented != SubjectUse::Any)
            }
            _ => false,
        }
    }

    /// What a refusal is to the caller, where the step asked in this program's own name.
    fn in_whose_name(&self, index: usize, failure: Failed) -> Failed {
        let own = *failure.step == *self.chain.label(index);
        if !own || self.chain.leg(index).is_none_or(|leg| !leg.shared) {
            return failure;
        }
        Arc::new(Failure { step: failure.step.clone(), error: failure.error.clone().in_own_name() })
    }

    /// The answer of an earlier step, and whether it was already there.
    fn subject(&self, index: usize) -> Asking<'_> {
        Box::pin(async move {
            let caller = self.warrant.principal();
            let failed = |error: ExchangeError| self.failure(index, error);
            let slot = self.slot(index).map_err(|missing| failed(missing.into()))?;
            let (flying, kept) = match self.store.cache.look(slot, self.store.moment(), caller.expires) {
                Found::Hit(Held::Subject(subject), refresh) => {
                    if let Some(lead) = refresh {
                        self.begin(index, lead);
                    }
                    return Ok((subject, true));
                }
                Found::Hit(..) => return Err(failed(bad("a credential where a subject belongs"))),
                Found::Refused(error) => return Err(failed(ExchangeError::clone(&error))),
                Found::Wait(flying) => (flying, false),
                Found::Fetch(lead, flying) => {
                    self.begin(index, lead);
                    (flying, false)
                }
            };
            match flying.landed().await {
                Some(Ok(Held::Subject(subject))) => Ok((subject, kept)),
                Some(Err(failure)) => Err(failure),
                _ => Err(failed(unavailable("the fetch was given up"))),
            }
        })
    }

    /// The caller was revoked since the call was permitted; what is not theirs goes on for the others.
    fn has_ended(&self) -> bool {
        !self.shared && self.store.revocations.ends(self.warrant.principal())
    }

    fn begin(&self, index: usize, lead: Lead) {
        begin(self.store.clone(), self.chain.clone(), index, self.warrant.clone(), lead);
    }

    fn slot(&self, index: usize) -> Result<Slot, MissingClaim> {
        let (cache, warrant) = (&self.store.cache, &self.warrant);
        self.chain.slot_at(cache, index, warrant.principal(), warrant.challenge())
    }

    fn let_go(&self, index: usize, subject: &Arc<Material>) {
        if let Ok(slot) = self.slot(index) {
            self.store.cache.drop_subject(slot, subject);
        }
    }

    /// Asks, once, through the gate of the endpoint.
    async fn ask(&self, leg: &Leg, index: usize, subject: Subject) -> Result<Granted, Failed> {
        let pass = match &leg.gate {
            Some((gate, client)) => {
                let pass = gate.enter(client, &self.store.clock).await;
                Some(pass.map_err(|error| self.failure(index, error))?)
            }
            None => None,
        };
        if self.has_ended() {
            return Err(self.failure(index, login_ended()));
        }
        let began = self.store.clock.steady();
        let asking = leg.provider.exchange(&self.warrant, subject, self.store.clock.wall());
        let outcome = match tokio::time::timeout(self.store.limits.step, asking).await {
            Ok(outcome) => outcome,
            Err(_) => Err(unavailable("it took too long")),
        };
        if let Err(error) = &outcome {
            let (server, step) = (&*self.warrant.server().name, self.chain.label(index));
            tracing::warn!(server, step, %error, "a credential could not be acquired");
        }
        if let Some(pass) = pass {
            self.store.counters.exchanged(self.store.clock.steady().saturating_sub(began));
            pass.learn(outcome.as_ref().err());
        }
        outcome.map_err(|error| self.failure(index, error))
    }

    /// Makes of a grant what is kept and handed out.
    fn settle(&self, index: usize, granted: Granted) -> (Landed, Option<Keep>) {
        let now = self.store.moment();
        let Granted { material, usable, expires, audience, scopes } = granted;
        let bytes = material.size();
        let material = Arc::new(material);
        let held = if index < self.chain.last() {
            Held::Subject(material)
        } else {
            if usable != Use::Bearer {
                let failure = self.failure(index, bad("the token is no bearer token (token_type N_A)"));
                return self.refused(index, failure);
            }
            let (audience, scopes) = match self.chain.leg(index) {
                Some(leg) => (leg.audience.shared(audience), leg.scopes.shared(scopes)),
                None => (audience, scopes),
            };
            let record = CredentialRecord {
                steps: self.chain.steps.clone(),
                source: "cache",
                speaks_for: self.chain.speaks_for(),
                audience,
                scopes,
                expires,
            };
            match Credential::issued(&material, &self.chain.delivery, record) {
                Ok(credential) => Held::Credential(credential),
                Err(undeliverable) => {
                    let failure = self.failure(index, bad(&undeliverable.to_string()));
                    return self.refused(index, failure);
                }
            }
        };
        let caller_expires = self.bound;
        let leg = self.chain.leg(index).filter(|leg| leg.presented != SubjectUse::Once);
        let bounds = leg.zip(expires).map(|(leg, expires)| Bounds {
            expires,
            caller_expires,
            longest: leg.provider.max_lifetime(),
        });
        let lifetime = bounds.and_then(|bounds| bounds.lifetime(now.wall, crate::wire::random()));
        let keep = lifetime.map(|lifetime| Keep::Credential {
            lifetime,
            ends: now.wall.plus(lifetime.kept),
            worth_with: if lifetime.by_caller { caller_expires } else { Timestamp::default() },
            bytes,
        });
        (Ok(held), keep)
    }

    /// What is remembered of a failure: only by the step that failed, and only what is the question's fault.
    fn refused(&self, index: usize, failure: Failed) -> (Landed, Option<Keep>) {
        let own = *failure.step == *self.chain.label(index);
        let asked_with = self.bound;
        let keep =
            failure.error.remembered().filter(|_| own).map(|lasting| Keep::Refusal { lasting, asked_with });
        (Err(failure), keep)
    }

    fn failure(&self, index: usize, error: ExchangeError) -> Failed {
        let step = self.chain.label(index);
        self.store.counters.failed(step, error.class());
        Arc::new(Failure { step: step.into(), error })
    }
}

fn bad(problem: &str) -> ExchangeError {
    ExchangeError::BadAnswer { problem: problem.into() }
}

fn unavailable(problem: &str) -> ExchangeError {
    ExchangeError::Unavailable { retry_after: None, problem: problem.into() }
}
