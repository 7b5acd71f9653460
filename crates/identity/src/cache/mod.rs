//! The shared credential cache: what makes a warm call cheap and a token endpoint's life quiet.
//!
//! Bounded by entries and by bytes, with a share per caller; one flight per key, whose success and failure all
//! waiters share; fetched ahead of its end when it is in use; refusals remembered by their class; nothing on
//! disk. An entry is live while both clocks say so. A lookup holds one shard's lock for some nanoseconds and
//! never waits for anything else.
//!
//! Refresh ahead is begun by a use, not by a timer: an entry keeps no subject token to ask with (half the
//! memory, and one secret less at rest), and what nobody uses is not refreshed.

mod flight;
mod key;
mod lifetime;
mod shard;
#[cfg(test)]
mod tests;

pub(crate) use flight::{Failure, Flying, Keep, Landed, Lead, login_ended};
pub use key::Fields;
pub(crate) use key::{Key, Keys};
pub(crate) use lifetime::{Bounds, Lifetime};
pub(crate) use shard::{Entry, Held};

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use safeconduct_core::caller::{Fingerprint, Principal};
use safeconduct_core::credential::Credential;
use safeconduct_core::material::Material;
use safeconduct_core::revocation::Whose;
use safeconduct_core::time::Timestamp;
use tokio::sync::watch;

use crate::provider::{ExchangeError, PAUSE_AFTER_REFUSAL};
use shard::{CallerTag, Change, Login, PlanTag, Shard};

/// How long after a renewal forced by the backend the same key is not renewed again (edge case 64).
const POISON: Duration = Duration::from_secs(30);
/// A refused subject may be asked for with a newer token of the same login, but not more often than this.
const SECOND_OPINION: Duration = Duration::from_secs(1);
/// Time after which a failed refresh is tried again.
const REFRESH_AGAIN: Duration = Duration::from_secs(5);
/// Shards: many more than threads, so that two of them seldom meet.
const SHARDS: usize = 64;
/// Bytes of an entry besides its token: seat, key, order, header, record.
const OVERHEAD: usize = 480;

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Entries in all.
    pub entries: usize,
    /// Bytes in all, about.
    pub bytes: usize,
    /// Entries of one caller.
    pub per_caller: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { entries: 100_000, bytes: 256 * 1024 * 1024, per_caller: 256 }
    }
}

/// A key and whose it is.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) key: Key,
    caller: CallerTag,
    login: Login,
    plan: PlanTag,
    shared: bool,
    /// How long the caller is not asked for again after a refusal.
    pause: Duration,
}

impl Slot {
    /// The same, with another pause after a refusal.
    pub(crate) fn paused(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Until when what is kept here may serve as far as the caller goes, whose own token ends then: for ever
    /// where it is not the caller's.
    pub(crate) fn bound(&self, caller_expires: Timestamp) -> Timestamp {
        if self.shared { Timestamp::from_micros(u64::MAX) } else { caller_expires }
    }
}

/// The two clocks, read once.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) wall: Timestamp,
    pub(crate) steady: Duration,
}

/// What a lookup finds.
pub(crate) enum Found {
    /// It is here. With a lead when it is time to fetch the next one, in the background.
    Hit(Held, Option<Lead>),
    /// The answer was no, a moment ago.
    Refused(Arc<ExchangeError>),
    /// Somebody is fetching it.
    Wait(Flying),
    /// It is to be fetched.
    Fetch(Lead, Flying),
}

/// What a backend's 401 comes to.
pub(crate) enum Spent {
    /// It was replaced meanwhile, or is being replaced, or may now be: look it up again.
    LookAgain,
    /// It was renewed a moment ago, and refused again: no more.
    Poisoned,
}

/// See the module.
pub(crate) struct Cache {
    shards: Box<[Mutex<Shard>]>,
    /// One shard stands apart, so that there is one for every number.
    last: Mutex<Shard>,
    keys: Keys,
    callers: RandomState,
    limits: CacheLimits,
    entries: AtomicIsize,
    bytes: AtomicIsize,
    /// The shard that is evicted from next.
    hand: AtomicUsize,
}

impl Cache {
    pub(crate) fn new(limits: CacheLimits) -> Result<Self, aws_lc_rs::error::Unspecified> {
        Ok(Self {
            shards: (1..SHARDS).map(|_| Mutex::default()).collect(),
            last: Mutex::default(),
            keys: Keys::random()?,
            callers: RandomState::new(),
            limits,
            entries: AtomicIsize::new(0),
            bytes: AtomicIsize::new(0),
            hand: AtomicUsize::new(0),
        })
    }

    /// The place of a step's answer for one caller.
    pub(crate) fn slot(&self, plan: &[u8; 32], caller: &Principal, inputs: &Fields) -> Slot {
        let login = caller.session.as_deref().map(|sid| self.login(&caller.issuer_url, sid));
        Slot { login, ..self.slot_of(plan, caller.fingerprint, &caller.issuer_url, &caller.subject, inputs) }
    }

    pub(crate) fn slot_of(
        &self,
        plan: &[u8; 32],
        fingerprint: Fingerprint,
        issuer: &str,
        subject: &str,
        inputs: &Fields,
    ) -> Slot {
        Slot {
            key: self.keys.key(plan, fingerprint, inputs),
            caller: self.caller(issuer, subject),
            login: None,
            plan: plan.first_chunk().map_or(0, |first| u64::from_le_bytes(*first)),
            shared: false,
            pause: PAUSE_AFTER_REFUSAL,
        }
    }

    /// The place of a step's answer that is the same for all callers. No issuer has an empty identifier.
    pub(crate) fn shared_slot(&self, plan: &[u8; 32]) -> Slot {
        let nobody = self.slot_of(plan, Fingerprint([0; 32]), "", "", &Fields::new());
        Slot { shared: true, ..nobody }
    }

    /// Looks up, joins a fetch under way, or takes the lead of a new one. `caller_expires` is the end of the
    /// caller's token: a newer one than a refusal was given to is worth asking with again.
    pub(crate) fn look(self: &Arc<Self>, slot: Slot, now: Moment, caller_expires: Timestamp) -> Found {
        let asked_with = slot.bound(caller_expires);
        let mut shard = self.shard(slot.caller);
        if let Some(entry) = shard.touch(&slot.key)
            && entry.is_live(now.steady, now.wall)
        {
            match &entry.held {
                Held::Refused(error, with) => {
                    let fresh = now.steady >= entry.fresh_until;
                    let newer = matches!(**error, ExchangeError::SubjectRefused { .. }) && asked_with > *with;
                    if !(fresh && newer) {
                        return Found::Refused(error.clone());
                    }
                }
                Held::Spent => {}
                held => {
                    let held = held.clone();
                    let due = now.steady >= entry.fresh_until && asked_with > entry.worth_with;
                    if !due || shard.flights.contains_key(&slot.key) {
                        return Found::Hit(held, None);
                    }
                    let (lead, _) = self.take_off(&mut shard, slot);
                    return Found::Hit(held, Some(lead));
                }
            }
        }
        if let Some(flight) = shard.flights.get(&slot.key) {
            return Found::Wait(Flying::to(&flight.landing));
        }
        if !shard.may_ask(&slot, now.steady) {
            let error = "too_many_refusals".to_owned();
            return Found::Refused(Arc::new(ExchangeError::SubjectRefused { error }));
        }
        let (lead, flying) = self.take_off(&mut shard, slot);
        Found::Fetch(lead, flying)
    }

    /// The backend refused `refused`: takes it out, if it is still what is kept (edge case 63).
    pub(crate) fn spend(&self, slot: Slot, refused: &Credential, now: Moment) -> Spent {
        let mut shard = self.shard(slot.caller);
        let renewed_lately = |entry: &Entry| entry.renewed.is_some_and(|at| now.steady < at + POISON);
        match shard.entry(&slot.key) {
            Some(entry) if entry.is_live(now.steady, now.wall) => match &entry.held {
                Held::Credential(kept) if !kept.is_same_as(refused) => return Spent::LookAgain,
                Held::Refused(..) => return Spent::LookAgain,
                _ if shard.flights.contains_key(&slot.key) && matches!(entry.held, Held::Spent) => {
                    return Spent::LookAgain;
                }
                _ if renewed_lately(entry) => return Spent::Poisoned,
                _ => {}
            },
            _ if shard.flights.contains_key(&slot.key) => return Spent::LookAgain,
            _ => {}
        }
        let mark = Entry {
            held: Held::Spent,
            kept_until: now.steady + POISON,
            ends: now.wall.plus(POISON),
            fresh_until: Duration::MAX,
            worth_with: Timestamp::default(),
            renewed: Some(now.steady),
            size: OVERHEAD,
        };
        let change = shard.insert(slot, mark, self.limits.per_caller);
        drop(shard);
        self.account(change);
        Spent::LookAgain
    }

    /// What was got on a server's challenge serves from now on for what is asked without one.
    pub(crate) fn adopt(&self, from: Slot, to: Slot) {
        if from.caller != to.caller {
            return;
        }
        let mut shard = self.shard(to.caller);
        if let Some(entry) = shard.entry(&from.key).and_then(Entry::duplicate) {
            let change = shard.insert(to, entry, self.limits.per_caller);
            drop(shard);
            self.account(change);
            self.shrink();
        }
    }

    /// The next step refused `subject`: takes it out, if it is still what is kept.
    pub(crate) fn drop_subject(&self, slot: Slot, subject: &Arc<Material>) {
        let mut shard = self.shard(slot.caller);
        let same = shard
            .entry(&slot.key)
            .is_some_and(|entry| matches!(&entry.held, Held::Subject(kept) if Arc::ptr_eq(kept, subject)));
        if same {
            let change = shard.remove(&slot.key);
            drop(shard);
            self.account(change);
        }
    }

    /// Takes everything of these logins out; fetches under way are not kept (edge case 76). Gives how much it was.
    pub(crate) fn forget(&self, issuer: &str, whose: &Whose) -> usize {
        let taken = match whose {
            Whose::Subject(subject) => {
                let whose = self.caller(issuer, subject);
                let change = self.shard(whose).forget(|caller, _| caller == whose);
                self.account(change);
                change.entries
            }
            // It is not said, or not for all entries, whose the session is.
            Whose::Session { sid, subject } => {
                let ended = self.login(issuer, sid);
                let of = subject.as_deref().map(|subject| self.caller(issuer, subject));
                let meant = |caller, login: Login| match login {
                    Some(login) => login == ended,
                    None => of == Some(caller),
                };
                let shard = |number| {
                    let change = self.numbered(number).forget(meant);
                    self.account(change);
                    change.entries
                };
                (0..SHARDS).map(shard).sum()
            }
        };
        taken.unsigned_abs()
    }

    /// Takes out what has ended: a secret does not stay in memory because nobody asks for it.
    pub(crate) fn sweep(&self, now: Moment) {
        for number in 0..SHARDS {
            let change = self.numbered(number).sweep(now.steady, now.wall);
            self.account(change);
        }
    }

    /// Entries and bytes kept.
    pub(crate) fn size(&self) -> (usize, usize) {
        let read = |number: &AtomicIsize| usize::try_from(number.load(Ordering::Relaxed)).unwrap_or(0);
        (read(&self.entries), read(&self.bytes))
    }

    fn take_off(self: &Arc<Self>, shard: &mut Shard, slot: Slot) -> (Lead, Flying) {
        let (sender, landing) = watch::channel(None);
        let flying = Flying::to(&landing);
        let number = shard.take_off(slot, landing);
        (Lead::of(self.clone(), slot, number, sender), flying)
    }

    /// Keeps what is to be kept. False when the caller was forgotten meanwhile.
    fn land(&self, slot: Slot, number: u64, outcome: &Landed, keep: Option<Keep>, now: Moment) -> bool {
        let mut shard = self.shard(slot.caller);
        if !shard.touch_down(&slot.key, number) {
            return false;
        }
        match (outcome, &keep) {
            (Ok(_), _) => shard.taken(&slot, false, now.steady),
            (Err(failure), Some(Keep::Refusal { .. })) if !slot.shared => {
                let refused = matches!(failure.error, ExchangeError::SubjectRefused { .. });
                if refused {
                    shard.taken(&slot, true, now.steady);
                }
            }
            _ => {}
        }
        let before = shard.entry(&slot.key).filter(|entry| entry.is_live(now.steady, now.wall));
        let renewed = before.and_then(|entry| entry.renewed);
        let good_until = before
            .filter(|entry| matches!(entry.held, Held::Credential(_) | Held::Subject(_)))
            .map(|entry| entry.kept_until);
        let longer = |kept: Duration| good_until.is_none_or(|until| now.steady + kept >= until);
        let entry = match (outcome, keep) {
            (Ok(held), Some(Keep::Credential { lifetime, ends, worth_with, bytes }))
                if longer(lifetime.kept) =>
            {
                Some(Entry {
                    held: held.clone(),
                    kept_until: now.steady + lifetime.kept,
                    ends,
                    fresh_until: now.steady + lifetime.fresh,
                    worth_with,
                    renewed,
                    size: bytes + OVERHEAD,
                })
            }
            _ if good_until.is_some() => {
                // The refresh failed or gave no more time: the old one serves until its end (edge case 40).
                if let Some(entry) = shard.touch(&slot.key) {
                    entry.fresh_until = now.steady + REFRESH_AGAIN;
                }
                None
            }
            (Err(failure), Some(Keep::Refusal { lasting, asked_with })) => Some(Entry {
                held: Held::Refused(Arc::new(failure.error.clone()), asked_with),
                kept_until: now.steady + lasting,
                ends: now.wall.plus(lasting),
                fresh_until: now.steady + SECOND_OPINION,
                worth_with: Timestamp::default(),
                renewed,
                size: OVERHEAD,
            }),
            _ => None,
        };
        if let Some(entry) = entry {
            let change = shard.insert(slot, entry, self.limits.per_caller);
            drop(shard);
            self.account(change);
            self.shrink();
        }
        true
    }

    /// Evicts from shard after shard until the limits hold again.
    fn shrink(&self) {
        let mut idle = 0;
        // Twice around: the first time may only take marks away.
        while idle < 2 * SHARDS {
            let (entries, bytes) = self.size();
            if entries <= self.limits.entries && bytes <= self.limits.bytes {
                return;
            }
            let hand = self.hand.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let change = self.numbered(hand).evict();
            idle = if change == Change::default() { idle + 1 } else { 0 };
            self.account(change);
        }
    }

    fn caller(&self, issuer: &str, subject: &str) -> CallerTag {
        self.callers.hash_one((issuer, subject))
    }

    fn login(&self, issuer: &str, sid: &str) -> u64 {
        self.callers.hash_one(("session", issuer, sid))
    }

    fn account(&self, change: Change) {
        self.entries.fetch_add(change.entries, Ordering::Relaxed);
        self.bytes.fetch_add(change.bytes, Ordering::Relaxed);
    }

    fn shard(&self, caller: CallerTag) -> MutexGuard<'_, Shard> {
        self.numbered((caller % SHARDS as u64) as usize)
    }

    fn numbered(&self, number: usize) -> MutexGuard<'_, Shard> {
        self.shards.get(number).unwrap_or(&self.last).lock().unwrap_or_else(PoisonError::into_inner)
    }
}
