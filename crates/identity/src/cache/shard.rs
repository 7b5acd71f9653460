//! One shard: a map under one lock. All entries of one caller are in one shard, so that a caller's share is
//! counted in one place.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::credential::Credential;
use safeconduct_core::material::Material;
use safeconduct_core::time::Timestamp;
use tokio::sync::watch;

use super::key::{Key, KeyHasher};
use super::{Landed, Slot};
use crate::provider::ExchangeError;

/// Of pauses that are shorter, so much may be used at once.
const AT_ONCE: Duration = Duration::from_secs(3);

type KeyMap<V> = HashMap<Key, V, BuildHasherDefault<KeyHasher>>;

/// What is kept for a key.
#[derive(Clone)]
pub(crate) enum Held {
    /// The last step's: ready to be sent.
    Credential(Credential),
    /// An earlier step's: the next one's subject.
    Subject(Arc<Material>),
    /// The answer was no; it is not asked again for a while. With the end of the token it was asked with.
    Refused(Arc<ExchangeError>, Timestamp),
    /// Nothing: the backend refused what was here. Remembered, so that it is not bought again and again.
    Spent,
}

/// One entry.
pub(crate) struct Entry {
    pub(crate) held: Held,
    /// The end on the steady clock.
    pub(crate) kept_until: Duration,
    /// The end on the wall clock.
    pub(crate) ends: Timestamp,
    /// From when on a use of it fetches the next one.
    pub(crate) fresh_until: Duration,
    /// Only a caller's token that ends after this is worth fetching the next one with.
    pub(crate) worth_with: Timestamp,
    /// When the backend made it be fetched anew, if it did.
    pub(crate) renewed: Option<Duration>,
    /// Bytes that it takes, about.
    pub(crate) size: usize,
}

impl Entry {
    pub(crate) fn is_live(&self, steady: Duration, wall: Timestamp) -> bool {
        steady < self.kept_until && wall < self.ends
    }
}

impl Entry {
    /// The same credential once more; None for what is none.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        let Held::Credential(credential) = &self.held else { return None };
        Some(Self { held: Held::Credential(credential.clone()), ..*self })
    }
}

/// Whose an entry is: a keyed hash of issuer and subject.
pub(crate) type CallerTag = u64;

/// Which step's answers a place is for.
pub(crate) type PlanTag = u64;

/// Of which login an entry is: a keyed hash of issuer and session; None where the caller's token names no session.
pub(crate) type Login = Option<u64>;

struct Seat {
    entry: Entry,
    caller: CallerTag,
    login: Login,
    /// Number of this seat; `order` may still name an earlier one of the same key.
    number: u64,
    /// Used since it was last looked at for eviction.
    used: bool,
}

/// A fetch under way.
pub(super) struct Flight {
    pub(super) landing: watch::Receiver<Option<Landed>>,
    pub(super) caller: CallerTag,
    pub(super) login: Login,
    /// Which of all flights it is: one that was let go of must not be taken for the next of the same key.
    pub(super) number: u64,
}

#[derive(Default)]
pub(super) struct Shard {
    seats: KeyMap<Box<Seat>>,
    /// Oldest first; with leftovers, which are skipped.
    order: VecDeque<(Key, u64)>,
    callers: HashMap<CallerTag, usize>,
    pub(super) flights: KeyMap<Flight>,
    /// Callers whom a step's provider refused lately: until when what they may have of it is used up.
    refused: HashMap<(CallerTag, PlanTag), Duration>,
    next: u64,
}

/// What a change freed or took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) entries: isize,
    pub(super) bytes: isize,
}

impl Change {
    fn and(self, other: Self) -> Self {
        Self { entries: self.entries + other.entries, bytes: self.bytes + other.bytes }
    }
}

impl Shard {
    /// The entry, marked as used.
    pub(super) fn touch(&mut self, key: &Key) -> Option<&mut Entry> {
        let seat = self.seats.get_mut(key)?;
        seat.used = true;
        Some(&mut seat.entry)
    }

    pub(super) fn entry(&self, key: &Key) -> Option<&Entry> {
        self.seats.get(key).map(|seat| &seat.entry)
    }

    /// Puts an entry in; the caller's oldest go when the share is used up.
    pub(super) fn insert(&mut self, slot: Slot, entry: Entry, share: usize) -> Change {
        let Slot { key, caller, login, .. } = slot;
        let mut change = self.remove(&key);
        while self.callers.get(&caller).is_some_and(|count| *count >= share) {
            match self.oldest_of(caller) {
                Some(oldest) => change = change.and(self.remove(&oldest)),
                None => break,
            }
        }
        self.next += 1;
        let number = self.next;
        let bytes = entry.size as isize;
        self.seats.insert(key, Box::new(Seat { entry, caller, login, number, used: false }));
        self.order.push_back((key, number));
        *self.callers.entry(caller).or_default() += 1;
        self.tidy();
        change.and(Change { entries: 1, bytes })
    }

    pub(super) fn remove(&mut self, key: &Key) -> Change {
        let Some(seat) = self.seats.remove(key) else { return Change::default() };
        if let Some(count) = self.callers.get_mut(&seat.caller) {
            *count -= 1;
            if *count == 0 {
                self.callers.remove(&seat.caller);
            }
        }
        Change { entries: -1, bytes: -(seat.entry.size as isize) }
    }

    /// Evicts one entry: the oldest that was not used since the last look. Those that were lose their mark, and
    /// are evicted at the next look if they are not used again: nothing goes while all are in use.
    pub(super) fn evict(&mut self) -> Change {
        for _ in 0..self.order.len() {
            let Some((key, number)) = self.order.pop_front() else { break };
            match self.seats.get_mut(&key) {
                Some(seat) if seat.number == number && seat.used => {
                    seat.used = false;
                    self.order.push_back((key, number));
                }
                Some(seat) if seat.number == number => return self.remove(&key),
                _ => {}
            }
        }
        Change::default()
    }

    /// Whether a step's provider may be asked for this caller: once in each pause after it refused them, and a few times
    /// at once where the pause is short, whatever the tokens of theirs say otherwise. Providers lock whoever presents many bad subjects out, and with
    /// this program everybody else (edge case 47).
    pub(super) fn may_ask(&mut self, slot: &Slot, now: Duration) -> bool {
        let Some(used) = self.refused.get_mut(&(slot.caller, slot.plan)) else { return true };
        let start = (*used).max(now);
        let may = start == now || (slot.pause < AT_ONCE && start < now + AT_ONCE);
        if may {
            *used = start + slot.pause;
        }
        may
    }

    /// How the provider took the caller.
    pub(super) fn taken(&mut self, slot: &Slot, refused: bool, now: Duration) {
        let key = (slot.caller, slot.plan);
        match refused {
            true => {
                let used = self.refused.entry(key).or_default();
                *used = (*used).max(now + slot.pause);
            }
            false => {
                self.refused.remove(&key);
            }
        }
    }

    /// Removes what has ended.
    pub(super) fn sweep(&mut self, steady: Duration, wall: Timestamp) -> Change {
        self.refused.retain(|_, used| *used > steady);
        self.remove_where(|seat| !seat.entry.is_live(steady, wall))
    }

    /// Notes a fetch under way, and gives its number.
    pub(super) fn take_off(&mut self, slot: Slot, landing: watch::Receiver<Option<Landed>>) -> u64 {
        self.next += 1;
        let Slot { key, caller, login, .. } = slot;
        self.flights.insert(key, Flight { landing, caller, login, number: self.next });
        self.next
    }

    /// True when this fetch ends; false when it was let go of.
    pub(super) fn touch_down(&mut self, key: &Key, number: u64) -> bool {
        let awaited = self.flights.get(key).is_some_and(|flight| flight.number == number);
        if awaited {
            self.flights.remove(key);
        }
        awaited
    }

    /// Removes all that is meant, and lets go of what is under way: it will not be kept, and nobody joins it.
    pub(super) fn forget(&mut self, meant: impl Fn(CallerTag, Login) -> bool) -> Change {
        self.flights.retain(|_, flight| !meant(flight.caller, flight.login));
        self.remove_where(|seat| meant(seat.caller, seat.login))
    }

    fn remove_where(&mut self, goes: impl Fn(&Seat) -> bool) -> Change {
        let keys: Vec<Key> = self.seats.iter().filter(|(_, seat)| goes(seat)).map(|(key, _)| *key).collect();
        let change = keys.iter().fold(Change::default(), |change, key| change.and(self.remove(key)));
        self.tidy();
        change
    }

    fn oldest_of(&self, caller: CallerTag) -> Option<Key> {
        let of_caller = |(key, number): &&(Key, u64)| {
            self.seats.get(key).is_some_and(|seat| seat.caller == caller && seat.number == *number)
        };
        self.order.iter().find(of_caller).map(|(key, _)| *key)
    }

    fn tidy(&mut self) {
        if self.order.len() > self.seats.len() * 2 + 16 {
            let seats = &self.seats;
            self.order.retain(|(key, number)| seats.get(key).is_some_and(|seat| seat.number == *number));
        }
    }
}
