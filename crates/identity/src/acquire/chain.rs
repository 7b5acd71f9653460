//! One server's steps, with everything hashed that can be hashed before a call comes.

use std::sync::Arc;

use safeconduct_core::audit::SpeaksFor;
use safeconduct_core::caller::Principal;
use safeconduct_core::challenge::Challenge;
use safeconduct_core::credential::Warrant;
use safeconduct_core::server::{Delivery, Server};

use super::alike::Alike;
use crate::cache::{Cache, Fields, Slot};
use crate::gate::{Gate, Gates};
use crate::provider::{Description, PAUSE_AFTER_REFUSAL, Provider, StaticSecret, SubjectUse, Whose};
use crate::template::MissingClaim;

/// How a server's credential comes about, as the configuration says it.
pub enum CredentialPlan {
    /// `credential: none`.
    None,
    /// One named secret for all callers.
    Static(StaticSecret),
    /// Steps; each one's result is the next one's subject. Without any, every call is refused.
    Chain(Vec<Arc<dyn Provider>>),
}

/// See the module.
pub(super) struct Chain {
    legs: Vec<Leg>,
    /// Labels of the steps, for the audit record.
    pub(super) steps: Arc<[Box<str>]>,
    pub(super) delivery: Delivery,
}

/// One step.
pub(super) struct Leg {
    pub(super) provider: Arc<dyn Provider>,
    /// Hash over the configuration of this step and of those before it, and the server's name and delivery.
    digest: [u8; 32],
    /// What it gives is this program's own, the same for all callers, as far as no template says otherwise.
    pub(super) shared: bool,
    /// How often the next step may present what this one gives.
    pub(super) presented: SubjectUse,
    /// Where it asks, and as which client; None for what asks no one.
    pub(super) gate: Option<(Arc<Gate>, Box<str>)>,
    pub(super) audience: Alike,
    pub(super) scopes: Alike,
}

impl Chain {
    pub(super) fn new(gates: &Gates, server: &Server, providers: Vec<Arc<dyn Provider>>) -> Self {
        let names: Vec<&str> = providers.iter().map(|provider| provider.name()).collect();
        let steps = names.iter().enumerate().map(|(index, name)| label(&names, index, name)).collect();
        // A credential belongs to one server: another one's never serves, even if it would be the same.
        let mut before = Fields::new();
        before.text(&server.name);
        identify(&server.delivery, &mut before);
        let mut digest = before.digest();
        let next_use = providers.iter().skip(1).map(|next| next.subject_use()).chain([SubjectUse::Any]);
        let uses: Vec<SubjectUse> = next_use.collect();
        let mut shared = false;
        let leg = |(provider, presented): (Arc<dyn Provider>, SubjectUse)| {
            let mut fields = Fields::new();
            fields.bytes(&digest);
            provider.identify(&mut fields);
            digest = fields.digest();
            shared = match provider.whose() {
                Whose::Subject => shared,
                Whose::Caller => false,
                Whose::Gateway => true,
            };
            let gate = provider.counterpart().map(|it| (gates.to(it.endpoint), Box::from(it.client)));
            let (audience, scopes) = (Alike::default(), Alike::default());
            Leg { provider, digest, shared, presented, gate, audience, scopes }
        };
        Self {
            legs: providers.into_iter().zip(uses).map(leg).collect(),
            steps,
            delivery: server.delivery.clone(),
        }
    }

    pub(super) fn last(&self) -> usize {
        self.legs.len().saturating_sub(1)
    }

    pub(super) fn leg(&self, index: usize) -> Option<&Leg> {
        self.legs.get(index)
    }

    pub(super) fn label(&self, index: usize) -> &str {
        self.steps.get(index).map_or("credential", |label| label)
    }

    pub(super) fn descriptions(&self) -> Vec<Description> {
        let described =
            |(leg, label): (&Leg, Box<str>)| Description { step: label, ..leg.provider.description() };
        self.legs.iter().zip(self.steps.iter().cloned()).map(described).collect()
    }

    /// Whether a server's challenge can be met by a step.
    pub(super) fn heeds_challenges(&self) -> bool {
        self.legs.iter().any(|leg| leg.provider.heeds_challenges())
    }

    /// The place of the last step's answer.
    pub(super) fn slot(
        &self,
        cache: &Cache,
        caller: &Principal,
        challenge: Option<&Challenge>,
    ) -> Result<Slot, MissingClaim> {
        self.slot_at(cache, self.last(), caller, challenge)
    }

    /// The place of a step's answer. It depends on what the steps before it ask for, too, and on the challenge from the
    /// first step on that heeds it.
    pub(super) fn slot_at(
        &self,
        cache: &Cache,
        index: usize,
        caller: &Principal,
        challenge: Option<&Challenge>,
    ) -> Result<Slot, MissingClaim> {
        let mut inputs = Fields::new();
        let mut heeds = false;
        for leg in self.legs.iter().take(index + 1) {
            leg.provider.inputs(caller, &mut inputs)?;
            heeds |= leg.provider.heeds_challenges();
        }
        let (mut digest, shared) =
            self.legs.get(index).map_or(([0; 32], false), |leg| (leg.digest, leg.shared));
        if let Some(challenge) = challenge.filter(|_| heeds) {
            digest = challenged(&digest, challenge);
        }
        // What the caller's claims shaped is the caller's, though it was bought with something shared.
        if shared && inputs.is_empty() {
            return Ok(cache.shared_slot(&digest));
        }
        let pause =
            self.legs.get(index).map_or(PAUSE_AFTER_REFUSAL, |leg| leg.provider.pause_after_refusal());
        Ok(cache.slot(&digest, caller, &inputs).paused(pause))
    }

    /// The server refuses the credential: what steps keep of it by themselves goes.
    pub(super) fn spent(&self, warrant: &Warrant) {
        self.legs.iter().for_each(|leg| leg.provider.spent(warrant));
    }

    /// Whom the last step's answer speaks for.
    pub(super) fn speaks_for(&self) -> SpeaksFor {
        if self.legs.last().is_some_and(|leg| leg.shared) { SpeaksFor::Gateway } else { SpeaksFor::Caller }
    }
}

/// The step's name; with its position where the name occurs more than once, but for its first: `exchange[2]`.
fn label(names: &[&str], index: usize, name: &str) -> Box<str> {
    let first = names.iter().position(|other| *other == name);
    if first == Some(index) { name.into() } else { format!("{name}[{}]", index + 1).into() }
}

/// The step as it is asked with a challenge.
fn challenged(digest: &[u8; 32], challenge: &Challenge) -> [u8; 32] {
    let Challenge { acr_values, max_age, claims } = challenge;
    let mut fields = Fields::new();
    fields.bytes(digest).option(acr_values.as_deref()).option(claims.as_deref());
    fields.number(max_age.map_or(0, |age| age.saturating_add(1)));
    fields.digest()
}

/// A credential is kept in the form that it is delivered in.
fn identify(delivery: &Delivery, fields: &mut Fields) {
    match delivery {
        Delivery::Header { name, prefix } => fields.text("header").text(name.as_str()).text(prefix),
        Delivery::SigV4(signer) => fields.text("sigv4").text(signer.region()).text(signer.service()),
        Delivery::Instance => fields.text("instance"),
    };
}
