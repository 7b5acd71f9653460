//! Logins at a vault that are kept for their callers, and what was made for them there. They are renewed while they
//! are in use, and given back: when the server refuses what they gave, when their caller is revoked, at the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use safeconduct_core::caller::Principal;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;

use super::SHORT;
use super::answer::{self, Entered, Lease};
use super::api::Api;
use crate::provider::ExchangeError;

/// Sessions that are kept at most; beyond it the one that ends first is given back.
const MOST: usize = 10_000;

type Key = [u8; 32];

/// What is on loan for callers. It outlives a reload.
#[derive(Default)]
pub struct Leases(Mutex<HashMap<Key, Kept>>);

struct Kept {
    session: Arc<Session>,
    caller: Arc<Principal>,
}

impl Leases {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.kept().len()
    }

    /// Gives everything back, as far as that is possible in this time.
    pub async fn end(&self, patience: Duration) {
        let all = self.take_of(|_| true);
        let _ = tokio::time::timeout(patience, Self::return_all(all)).await;
    }

    pub(super) fn of(&self, key: &Key) -> Option<Arc<Session>> {
        self.kept().get(key).map(|kept| kept.session.clone())
    }

    pub(super) fn take(&self, key: &Key) -> Option<Arc<Session>> {
        self.kept().remove(key).map(|kept| kept.session)
    }

    pub(super) fn keep(&self, key: Key, session: Arc<Session>, caller: Arc<Principal>) {
        let mut kept = self.kept();
        let over = (kept.len() >= MOST && !kept.contains_key(&key))
            .then(|| kept.iter().min_by_key(|(_, kept)| kept.session.state().ends).map(|(key, _)| *key));
        let first = over.flatten().and_then(|key| kept.remove(&key));
        let before = kept.insert(key, Kept { session, caller });
        drop(kept);
        let gone: Vec<_> = first.into_iter().chain(before).map(|kept| kept.session).collect();
        if let Some(runtime) = gone.first().map(|session| session.api.runtime().clone()) {
            runtime.spawn(Self::return_all(gone));
        }
    }

    /// Takes out those of the callers that are meant.
    pub(crate) fn take_of(&self, whose: impl Fn(&Principal) -> bool) -> Vec<Arc<Session>> {
        self.kept().extract_if(|_, kept| whose(&kept.caller)).map(|(_, kept)| kept.session).collect()
    }

    /// Takes out what has ended by itself.
    pub(crate) fn sweep(&self, now: Timestamp) {
        self.kept().retain(|_, kept| kept.session.lives(now));
    }

    /// Gives them back: the vault ends what it made under each of them, too.
    pub(crate) async fn return_all(sessions: Vec<Arc<Session>>) {
        let mut returning = tokio::task::JoinSet::new();
        for session in sessions {
            // So many at once that a stop takes no longer than it must, and no more.
            if returning.len() >= 32 {
                returning.join_next().await;
            }
            returning.spawn(async move { session.end().await });
        }
        returning.join_all().await;
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Key, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A login that nobody keeps yet: given back when what it was made for fails, or is given up half way.
pub(super) struct OnLoan {
    pub(super) session: Arc<Session>,
    kept: bool,
}

impl OnLoan {
    pub(super) fn new(session: Session) -> Self {
        Self { session: Arc::new(session), kept: false }
    }

    pub(super) fn keep(mut self) -> Arc<Session> {
        self.kept = true;
        self.session.clone()
    }
}

impl Drop for OnLoan {
    fn drop(&mut self) {
        if !self.kept {
            self.session.api.runtime().spawn(Leases::return_all(vec![self.session.clone()]));
        }
    }
}

/// One login.
pub(crate) struct Session {
    api: Arc<Api>,
    token: Secret,
    state: Mutex<State>,
}

struct State {
    ends: Timestamp,
    /// From when on it is renewed before it is used.
    due: Timestamp,
    renewable: bool,
    leased: Option<Leased>,
}

struct Leased {
    id: Box<str>,
    ends: Timestamp,
    /// How long it was for at first.
    whole: Duration,
    renewable: bool,
    secret: Arc<Secret>,
}

/// What a lease comes to.
pub(super) enum Renewed {
    /// The secret has none.
    NoLease,
    /// The same secret, until then.
    Leased(Arc<Secret>, Timestamp),
    /// It cannot be renewed, or not for long enough.
    Over,
}

impl Session {
    pub(super) fn new(api: Arc<Api>, login: Entered, now: Timestamp) -> Self {
        let Entered { token, lasting, renewable } = login;
        let state = State { ends: end(lasting, now), due: due(lasting, now), renewable, leased: None };
        Self { api, token, state: Mutex::new(state) }
    }

    pub(super) fn token(&self) -> &Secret {
        &self.token
    }

    pub(super) fn lives(&self, now: Timestamp) -> bool {
        now < self.state().ends
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.state().due <= now
    }

    /// Renews the login; false when it cannot be.
    pub(super) async fn renew(&self, now: Timestamp) -> Result<bool, ExchangeError> {
        if !self.state().renewable {
            return Ok(false);
        }
        let answer = self.api.post("auth/token/renew-self", Some(&self.token), || Ok(None)).await?;
        let body = match answer {
            Ok(body) => body,
            Err(refused) => return refused.down().map_or(Ok(false), Err),
        };
        let Entered { lasting, renewable, .. } = answer::login(&body)?;
        let mut state = self.state();
        (state.ends, state.due, state.renewable) = (end(lasting, now), due(lasting, now), renewable);
        Ok(state.ends > now.plus(SHORT))
    }

    /// Notes what was made for the caller; gives when it ends, which it does with the login, too.
    pub(super) fn leased(&self, lease: Lease, secret: Arc<Secret>, now: Timestamp) -> Timestamp {
        let Lease { id, lasting, renewable } = lease;
        let mut state = self.state();
        let ends = now.plus(lasting);
        state.leased = Some(Leased { id, ends, whole: lasting, renewable, secret });
        ends.min(state.ends)
    }

    /// Renews the lease, where there is one.
    pub(super) async fn renewed_lease(&self, now: Timestamp) -> Result<Renewed, ExchangeError> {
        let (id, whole, secret, lives) = {
            let state = self.state();
            let Some(leased) = &state.leased else { return Ok(Renewed::NoLease) };
            let lives = leased.renewable && leased.ends > now.plus(SHORT);
            (leased.id.clone(), leased.whole, leased.secret.clone(), lives)
        };
        if !lives {
            return Ok(Renewed::Over);
        }
        let body = || {
            let mut login = safeconduct_core::credential::Login::new();
            login.field("lease_id", &id);
            Ok(Some(login.into_body()))
        };
        let body = match self.api.post("sys/leases/renew", Some(&self.token), body).await? {
            Ok(body) => body,
            Err(refused) => return refused.down().map_or(Ok(Renewed::Over), Err),
        };
        let lease = answer::lease(&body)?;
        // At the end of its longest life it is only given the rest of it.
        if lease.lasting < whole / 3 {
            return Ok(Renewed::Over);
        }
        let mut state = self.state();
        let ends = now.plus(lease.lasting);
        if let Some(leased) = &mut state.leased {
            (leased.ends, leased.renewable) = (ends, lease.renewable);
        }
        Ok(Renewed::Leased(secret, ends.min(state.ends)))
    }

    async fn end(&self) {
        match self.api.post_once("auth/token/revoke-self", &self.token).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => tracing::debug!("a login at the vault had ended before it was given back"),
            Err(error) => {
                tracing::warn!(%error, "a login at the vault could not be given back: it ends by itself")
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A login without an end (0) is a root's or a periodic one's: it is not believed for longer than an hour.
fn end(lasting: Duration, now: Timestamp) -> Timestamp {
    now.plus(if lasting.is_zero() { Duration::from_secs(3600) } else { lasting })
}

fn due(lasting: Duration, now: Timestamp) -> Timestamp {
    now.plus(if lasting.is_zero() { Duration::from_secs(3600) } else { lasting * 7 / 10 })
}
