//! Where one instance's credential is kept: what it is given is what stands here at that moment.
//!
//! Every permitted call of the caller puts the credential that was acquired for it here. A server that works for longer
//! than that credential lives asks in between, through its SDK: then whoever put it here is asked for a fresh one, by
//! one question however many ask. Nothing leaves that has ended, by either clock: the wall clock may be stepped, and
//! the steady one stands still while the machine sleeps.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use safeconduct_core::credential::Credential;
use safeconduct_core::material::Material;
use safeconduct_core::time::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::masks::Masks;

/// How long a credential without an end is said to hold: then the SDK asks again.
const UNENDING: Duration = Duration::from_secs(3600);
/// With less than this left it is not handed out: it would not reach anybody.
const LEAST: Duration = Duration::from_secs(1);
/// No question for a fresh one within this time after the last: SDKs that find little time left ask at every use.
const QUIET: Duration = Duration::from_secs(10);
/// A question that takes longer is given up.
const QUESTION: Duration = Duration::from_secs(30);

/// A caller's credential, and what is known of it.
#[derive(Clone)]
pub struct Held {
    /// The token or the keys.
    pub material: Arc<Material>,
    /// When it ends; None for one that does not.
    pub expires: Option<Timestamp>,
    /// Scopes granted.
    pub scopes: Arc<[Box<str>]>,
    /// Audiences or resources that it was asked for.
    pub audience: Arc<[Box<str>]>,
}

impl Held {
    /// What a credential brings to an instance; None for one that travels on the request.
    pub fn of(credential: &Credential) -> Option<Self> {
        let record = credential.record();
        Some(Self {
            material: credential.for_instance()?.clone(),
            expires: record.expires,
            scopes: record.scopes.clone(),
            audience: record.audience.clone(),
        })
    }
}

/// Acquires the same caller's credential again, along the path that permitted the call. None when it is refused.
pub trait Renew: Send + Sync + 'static {
    /// Asks. A credential that still holds long enough may be what was there before.
    fn renew(&self) -> Pin<Box<dyn Future<Output = Option<Held>> + Send + '_>>;
}

/// There is nothing to hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// It ended and no fresh one was granted, or it was taken back.
    Nothing,
    /// A fresh one is being asked for: ask again in a moment.
    Soon,
}

/// What is handed out: the credential and how long it still holds.
pub(crate) struct Present {
    pub(crate) held: Held,
    /// Never less than a second.
    pub(crate) left: Duration,
    /// How long it held when it came.
    pub(crate) life: Duration,
    /// The end that is told: the true one, or one in an hour for a credential without an end.
    pub(crate) ends: Timestamp,
}

/// One instance's credential.
pub struct Slot {
    state: Mutex<State>,
    masks: Arc<Masks>,
    changed: watch::Sender<()>,
    this: Weak<Self>,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    renew: Option<Arc<dyn Renew>>,
    /// Counts what came from outside: an answer to a question that was asked before that is not kept.
    generation: u64,
    /// Closed when the question under way is answered.
    asking: Option<watch::Receiver<()>>,
    quiet_until: Option<Instant>,
}

#[derive(Clone)]
struct Kept {
    held: Held,
    /// How long it held when it came.
    life: Duration,
    /// The end by the steady clock.
    until: Instant,
}

impl Slot {
    /// Holds `held`, and asks `renew` when it is about to end. What it holds, now and later, is known to `masks`.
    pub fn new(held: Held, renew: Option<Arc<dyn Renew>>, masks: Arc<Masks>) -> Arc<Self> {
        let slot = Arc::new_cyclic(|this| Self {
            state: Mutex::default(),
            masks,
            changed: watch::channel(()).0,
            this: this.clone(),
        });
        slot.put(held, renew);
        slot
    }

    /// A call of the same caller brought this.
    pub fn put(&self, held: Held, renew: Option<Arc<dyn Renew>>) {
        self.mask(&held.material);
        let mut state = self.state();
        state.generation += 1;
        state.kept = Some(Kept::now(held));
        state.renew = renew;
        drop(state);
        self.changed.send_replace(());
    }

    /// Takes the credential back: nothing leaves from here any more until a further call brings one.
    pub fn clear(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.kept = None;
        state.renew = None;
        drop(state);
        self.changed.send_replace(());
    }

    /// What stands here, if it still holds; asks nobody.
    pub(crate) fn present(&self) -> Option<Present> {
        self.state().kept.as_ref().and_then(Kept::present)
    }

    /// What stands here. With less than `enough` left a fresh one is asked for first, for as long as `patience`
    /// lasts; when that fails, what stands here is given as long as it holds.
    pub(crate) async fn take(&self, enough: Duration, patience: Duration) -> Result<Present, Unavailable> {
        let present = self.present();
        if let Some(present) = present
            && present.left >= enough
        {
            return Ok(present);
        }
        let answered = match self.ask() {
            Some(mut asking) => {
                timeout(patience, async { while asking.changed().await.is_ok() {} }).await.is_ok()
            }
            None => true,
        };
        self.present().ok_or(if answered { Unavailable::Nothing } else { Unavailable::Soon })
    }

    /// Told whenever something else stands here.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Joins the question under way, or begins one. None when there is nobody to ask, or it was asked just now.
    fn ask(&self) -> Option<watch::Receiver<()>> {
        let mut state = self.state();
        // One whose asker is gone without an answer (a runtime that ended) is no question any more.
        if let Some(asking) = state.asking.as_ref().filter(|asking| asking.has_changed().is_ok()) {
            return Some(asking.clone());
        }
        if state.quiet_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let (renew, slot) = (state.renew.clone()?, self.this.upgrade()?);
        let (answered, asking) = watch::channel(());
        state.asking = Some(asking.clone());
        let generation = state.generation;
        // Whoever asked first may go away; the question goes on for the others.
        tokio::spawn(async move {
            let fresh = timeout(QUESTION, renew.renew()).await.unwrap_or_default();
            slot.answered(generation, fresh);
            drop(answered);
        });
        Some(asking)
    }

    fn answered(&self, generation: u64, fresh: Option<Held>) {
        let mut state = self.state();
        state.asking = None;
        state.quiet_until = Some(Instant::now() + QUIET);
        let Some(fresh) = fresh.filter(|_| state.generation == generation) else { return };
        self.mask(&fresh.material);
        state.kept = Some(Kept::now(fresh));
        drop(state);
        self.changed.send_replace(());
    }

    fn mask(&self, material: &Material) {
        if let Some(token) = material.subject() {
            self.masks.add(token);
        }
        if let Some(keys) = material.aws() {
            self.masks.add(&keys.secret_access_key);
            self.masks.add(&keys.session_token);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn now(held: Held) -> Self {
        let life = held.expires.map_or(UNENDING, |end| end.since(wall()));
        // An end so far away that no clock can say it is as good as none.
        let until = Instant::now().checked_add(life).unwrap_or_else(|| Instant::now() + UNENDING);
        Self { held, life, until }
    }

    fn present(&self) -> Option<Present> {
        let now = wall();
        let (left, ends) = match self.held.expires {
            Some(end) => (end.since(now).min(self.until.saturating_duration_since(Instant::now())), end),
            None => (UNENDING, now.plus(UNENDING)),
        };
        (left >= LEAST).then(|| Present { held: self.held.clone(), left, life: self.life, ends })
    }
}

/// The wall clock.
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
