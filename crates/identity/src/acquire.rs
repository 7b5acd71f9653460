//! As whom: the move from a permitted call to one that can be sent.
//!
//! Only here is a token endpoint ever asked, and only with a [`Warrant`], which only a permitted call gives. A
//! warm call is one lookup and returns at once; everything slow runs in a flight on the runtime of the
//! [`CredentialStore`], shared by all who want the same thing, whichever runtime they wait on.

mod alike;
mod chain;
mod counters;
mod fixed;
mod flight;
mod store;
mod walk;

pub use chain::CredentialPlan;
pub use counters::{CounterSnapshot, StepFailures};
pub use store::{CredentialLimits, CredentialStatus, CredentialStore};
pub use walk::{Stopped, Walk, Walked};

use std::collections::HashMap;
use std::sync::Arc;

use safeconduct_core::audit::SpeaksFor;
use safeconduct_core::caller::Principal;
use safeconduct_core::challenge::Challenge;
use safeconduct_core::credential::{Credential, Warrant};
use safeconduct_core::path::{Authorized, Moved, Outbound};
use safeconduct_core::refusal::Reason;
use safeconduct_core::server::Server;
use safeconduct_core::time::Timestamp;

use crate::cache::{Failure, Flying, Found, Held, Landed, Moment, Spent, login_ended};
use crate::provider::{Description, ExchangeError};
use chain::Chain;
use fixed::Fixed;

/// What the backend's refusal is reported as.
const UNAUTHORIZED: u16 = 401;

/// Acquires credentials as planned, for every server. Made anew for each plan; what is kept stays in the store.
pub struct Credentials {
    store: Arc<CredentialStore>,
    plans: HashMap<Box<str>, Plan>,
}

enum Plan {
    None(Credential),
    Fixed(Box<Fixed>),
    Chain(Arc<Chain>),
}

/// Proof that a call was permitted: the call itself, or the warrant that outlives it.
trait Permitted: Sync {
    fn server(&self) -> &Arc<Server>;
    fn principal(&self) -> &Arc<Principal>;
    fn warrant(&self) -> Warrant;
}

impl Permitted for Authorized {
    fn server(&self) -> &Arc<Server> {
        self.server()
    }

    fn principal(&self) -> &Arc<Principal> {
        self.principal()
    }

    fn warrant(&self) -> Warrant {
        self.warrant()
    }
}

impl Permitted for Warrant {
    fn server(&self) -> &Arc<Server> {
        self.server()
    }

    fn principal(&self) -> &Arc<Principal> {
        self.principal()
    }

    fn warrant(&self) -> Warrant {
        self.clone()
    }
}

/// How far a lookup came without waiting.
enum Begun {
    Ready(Credential),
    Waiting(Flying, &'static str),
    Refused(Reason),
}

impl Credentials {
    /// For these servers. A step that is the same as in the plan before keeps its cached credentials.
    pub fn new(
        store: Arc<CredentialStore>,
        plans: impl IntoIterator<Item = (Arc<Server>, CredentialPlan)>,
    ) -> Self {
        let plans =
            plans.into_iter().map(|(server, plan)| (server.name.clone(), Plan::new(&store, &server, plan)));
        let plans = plans.collect();
        store.reloaded();
        Self { store, plans }
    }

    /// The credential that the call leaves with: at once when it is kept, else after asking.
    ///
    /// # Errors
    /// The reasons of group `SC-C`; `Internal` for a server without a plan.
    pub async fn acquire(&self, authorized: Authorized, now: Timestamp) -> Moved<Outbound> {
        match self.obtain(&authorized, None, now).await {
            Ok(credential) => Ok(authorized.with(credential)),
            Err(reason) => Err(authorized.refuse(reason)),
        }
    }

    /// Another credential, after the backend answered 401 to this one: at most once for a call, and not again
    /// within 30 seconds for the same caller and server (edge cases 62 to 64).
    ///
    /// # Errors
    /// `BackendRefusedCredential` where another one would be the same or was just tried; else as
    /// [`Credentials::acquire`].
    pub async fn renew(&self, outbound: Outbound, now: Timestamp) -> Moved<Outbound> {
        let refused = Reason::BackendRefusedCredential(UNAUTHORIZED);
        let server = outbound.authorized().server().name.clone();
        match self.plans.get(&server) {
            Some(Plan::Chain(chain)) => {
                let slot = match chain.slot(&self.store.cache, outbound.authorized().principal(), None) {
                    Ok(slot) => slot,
                    Err(missing) => return Err(outbound.refuse(Reason::MissingClaim(missing.0))),
                };
                match self.store.cache.spend(slot, outbound.credential(), self.moment(now)) {
                    Spent::Poisoned => return Err(outbound.refuse(refused)),
                    Spent::LookAgain => self.store.counters.renewed(),
                }
                chain.spent(&outbound.authorized().warrant());
            }
            Some(Plan::Fixed(fixed)) => {
                let current = fixed.reread(self.store.clock.steady());
                if current.is_none_or(|current| current.is_same_as(outbound.credential())) {
                    return Err(outbound.refuse(refused));
                }
            }
            Some(Plan::None(_)) | None => return Err(outbound.refuse(refused)),
        }
        match self.obtain(outbound.authorized(), None, now).await {
            Ok(credential) => Ok(outbound.renewed(credential)),
            Err(reason) => Err(outbound.refuse(reason)),
        }
    }

    /// A credential of the login that the backend wants, if a step of the chain can ask for one; from then on it serves
    /// this caller's other calls, too. At most once for a call (edge case 57).
    ///
    /// # Errors
    /// `StepUpRequired` with the challenge where nothing here can meet it; `BackendRefusedCredential` where the credential
    /// is not of the caller's login; else as [`Credentials::acquire`].
    pub async fn meet(&self, outbound: Outbound, challenge: Challenge, now: Timestamp) -> Moved<Outbound> {
        let server = &outbound.authorized().server().name;
        let Some(Plan::Chain(chain)) =
            self.plans.get(server).filter(|_| outbound.credential().record().speaks_for == SpeaksFor::Caller)
        else {
            return Err(outbound.refuse(Reason::BackendRefusedCredential(UNAUTHORIZED)));
        };
        if !chain.heeds_challenges() {
            return Err(outbound.refuse(challenge.into()));
        }
        let challenge = Arc::new(challenge);
        match self.obtain(outbound.authorized(), Some(&challenge), now).await {
            Ok(credential) if !credential.is_same_as(outbound.credential()) => {
                self.adopt(chain, outbound.authorized().principal(), &challenge);
                Ok(outbound.renewed(credential))
            }
            // What the provider could give does not meet it: the caller's own login must.
            Ok(_) | Err(Reason::ExchangeDenied { .. } | Reason::BadTokenAnswer { .. }) => {
                Err(outbound.refuse(Challenge::clone(&challenge).into()))
            }
            Err(reason) => Err(outbound.refuse(reason)),
        }
    }

    fn adopt(&self, chain: &Chain, caller: &Principal, challenge: &Challenge) {
        let cache = &self.store.cache;
        if let (Ok(from), Ok(to)) =
            (chain.slot(cache, caller, Some(challenge)), chain.slot(cache, caller, None))
        {
            cache.adopt(from, to);
        }
    }

    /// The credential of a call that was permitted before and is not over: for a server that works on for longer than its
    /// first credential lives.
    ///
    /// # Errors
    /// As [`Credentials::acquire`].
    pub async fn again(&self, warrant: &Warrant) -> Result<Credential, Reason> {
        self.obtain(warrant, None, self.store.clock.wall()).await
    }

    /// The steps that would run for a server, in order; empty for `credential: none`. None for an unknown server.
    pub fn describe(&self, server: &str) -> Option<Vec<Description>> {
        Some(match self.plans.get(server)? {
            Plan::None(_) => Vec::new(),
            Plan::Fixed(fixed) => vec![fixed.description()],
            Plan::Chain(chain) => chain.descriptions(),
        })
    }

    /// The store, for status and metrics.
    pub fn store(&self) -> &Arc<CredentialStore> {
        &self.store
    }

    async fn obtain(
        &self,
        authorized: &impl Permitted,
        challenge: Option<&Arc<Challenge>>,
        now: Timestamp,
    ) -> Result<Credential, Reason> {
        let ended = || self.store.revocations.ends(authorized.principal());
        if ended() {
            return Err(login_ended().into_reason("revocation"));
        }
        let (flying, source) = match self.begin(authorized, challenge, now) {
            Begun::Ready(credential) => return Ok(credential),
            Begun::Refused(reason) => return Err(reason),
            Begun::Waiting(flying, source) => (flying, source),
        };
        let landed = Box::pin(tokio::time::timeout(self.store.limits.wait, flying.landed())).await;
        let credential = finished(landed.ok().flatten(), source)?;
        // Nothing leaves for a caller who was revoked while this call waited.
        match ended() {
            true => Err(login_ended().into_reason("revocation")),
            false => Ok(credential),
        }
    }

    fn begin(
        &self,
        authorized: &impl Permitted,
        challenge: Option<&Arc<Challenge>>,
        now: Timestamp,
    ) -> Begun {
        let chain = match self.plans.get(&authorized.server().name) {
            Some(Plan::Chain(chain)) => chain,
            Some(Plan::None(credential)) => return Begun::Ready(credential.clone()),
            Some(Plan::Fixed(fixed)) => {
                let credential = fixed.credential(self.store.clock.steady());
                return credential.map_or_else(
                    || Begun::Refused(Reason::Internal("a static secret that no header may hold".into())),
                    Begun::Ready,
                );
            }
            None => return Begun::Refused(Reason::Internal("a server without a credential plan".into())),
        };
        let (store, principal) = (&self.store, authorized.principal());
        let slot = match chain.slot(&store.cache, principal, challenge.map(|challenge| &**challenge)) {
            Ok(slot) => slot,
            Err(missing) => return Begun::Refused(Reason::MissingClaim(missing.0)),
        };
        let warrant = || authorized.warrant().with_challenge(challenge.cloned());
        match store.cache.look(slot, self.moment(now), principal.expires) {
            Found::Hit(Held::Credential(credential), refresh) => {
                store.counters.hit();
                if let Some(lead) = refresh {
                    store.counters.refresh();
                    flight::begin(store.clone(), chain.clone(), chain.last(), warrant(), lead);
                }
                Begun::Ready(credential)
            }
            Found::Hit(..) => Begun::Refused(Reason::Internal("a subject where a credential belongs".into())),
            Found::Refused(error) => {
                store.counters.negative();
                Begun::Refused(ExchangeError::clone(&error).into_reason(chain.label(chain.last())))
            }
            Found::Wait(flying) => {
                store.counters.shared();
                Begun::Waiting(flying, "flight")
            }
            Found::Fetch(lead, flying) => {
                store.counters.miss();
                flight::begin(store.clone(), chain.clone(), chain.last(), warrant(), lead);
                Begun::Waiting(flying, "issuer")
            }
        }
    }

    fn moment(&self, wall: Timestamp) -> Moment {
        Moment { wall, steady: self.store.clock.steady() }
    }
}

impl Plan {
    fn new(store: &CredentialStore, server: &Server, plan: CredentialPlan) -> Self {
        match plan {
            CredentialPlan::None => Self::None(Credential::none()),
            CredentialPlan::Static(secret) => Self::Fixed(Box::new(Fixed::new(secret, &server.delivery))),
            CredentialPlan::Chain(steps) => Self::Chain(Arc::new(Chain::new(&store.gates, server, steps))),
        }
    }
}

/// What a flight's end is to one who waited for it.
fn finished(landed: Option<Landed>, source: &'static str) -> Result<Credential, Reason> {
    match landed {
        Some(Ok(Held::Credential(credential))) => Ok(credential.from_source(source)),
        Some(Err(failure)) => {
            let Failure { step, error } = &*failure;
            Err(error.clone().into_reason(step))
        }
        Some(Ok(_)) => Err(Reason::Internal("a flight without a credential".into())),
        None => Err(Reason::TokenEndpointUnavailable { step: "credential".into(), retry_after: None }),
    }
}
