//! A bounded table of facts, each owned by a group with a share of its own: whoever fills the table pushes
//! out its own oldest facts first, and others' only when it had none.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, PoisonError};

use crate::revocation::Birth;

/// Facts of all groups together.
const MOST: usize = 65_536;
/// Facts of one group.
const SHARE: usize = 1_024;

/// A table of facts. Groups and facts are kept as 64-bit hashes keyed with this process's randomness; a
/// fact is looked up only within its group, so a collision could only join facts of one group.
pub(crate) struct Bounded {
    hasher: RandomState,
    most: usize,
    share: usize,
    groups: Mutex<Groups>,
}

#[derive(Default)]
struct Groups {
    groups: HashMap<u128, Group>,
    /// Groups in the order of their first fact; the first is pushed out when the table is full.
    order: VecDeque<u128>,
    total: usize,
}

#[derive(Default)]
struct Group {
    facts: HashMap<u64, Birth>,
    order: VecDeque<u64>,
}

impl Default for Bounded {
    fn default() -> Self {
        Self::with(MOST, SHARE)
    }
}

impl Bounded {
    fn with(most: usize, share: usize) -> Self {
        Self { hasher: RandomState::new(), most, share, groups: Mutex::default() }
    }

    /// Notes a fact, and when it came to be.
    pub(crate) fn note(&self, group: impl Hash, fact: impl Hash, birth: Birth) {
        let (key, fact) = (self.wide(group), self.hasher.hash_one(fact));
        let mut guard = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let Groups { groups, order, total } = &mut *guard;
        let group = match groups.entry(key) {
            Entry::Occupied(group) => group.into_mut(),
            Entry::Vacant(place) => {
                order.push_back(key);
                place.insert(Group::default())
            }
        };
        if group.facts.insert(fact, birth).is_some() {
            return;
        }
        group.order.push_back(fact);
        *total += 1;
        if group.facts.len() > self.share || (*total > self.most && group.facts.len() > 1) {
            if let Some(oldest) = group.order.pop_front() {
                group.facts.remove(&oldest);
                *total -= 1;
            }
        } else if *total > self.most
            && let Some(oldest) = order.pop_front()
            && let Some(group) = groups.remove(&oldest)
        {
            *total -= group.facts.len();
        }
    }

    /// When the fact came to be, if it was noted for this group and is still known.
    pub(crate) fn knows(&self, group: impl Hash, fact: impl Hash) -> Option<Birth> {
        let (key, fact) = (self.wide(group), self.hasher.hash_one(fact));
        let guard = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        guard.groups.get(&key)?.facts.get(&fact).copied()
    }

    /// 128 bits for a group: two groups that collided would share their facts.
    fn wide(&self, group: impl Hash) -> u128 {
        let one = self.hasher.hash_one((0_u8, &group));
        let two = self.hasher.hash_one((1_u8, &group));
        u128::from(one) << 64 | u128::from(two)
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;
    use crate::mcp::fixture::caller;
    use crate::revocation::Birth;
    use crate::time::Timestamp;

    fn now() -> Birth {
        Birth::of(&caller("alice"), Timestamp::from_secs(7))
    }

    fn knows(table: &Bounded, group: impl std::hash::Hash, fact: impl std::hash::Hash) -> bool {
        table.knows(group, fact).is_some_and(|birth| birth == now())
    }

    #[test]
    fn a_fact_is_known_to_its_group_only() {
        let table = Bounded::default();
        table.note(("orders", "alice"), "task-1", now());
        assert!(knows(&table, ("orders", "alice"), "task-1"));
        assert!(!knows(&table, ("orders", "bob"), "task-1"));
        assert!(!knows(&table, ("orders", "alice"), "task-2"));
    }

    #[test]
    fn a_group_that_exceeds_its_share_loses_its_own_oldest_fact() {
        let table = Bounded::with(100, 2);
        table.note("bob", 0, now());
        for fact in 0..3 {
            table.note("alice", fact, now());
        }
        assert!(knows(&table, "bob", 0));
        assert!(!knows(&table, "alice", 0));
        assert!(knows(&table, "alice", 1) && knows(&table, "alice", 2));
    }

    #[test]
    fn a_full_table_takes_from_the_one_who_fills_it_and_gives_a_newcomer_room() {
        let table = Bounded::with(3, 10);
        table.note("bob", 0, now());
        for fact in 0..5 {
            table.note("alice", fact, now());
        }
        assert!(knows(&table, "bob", 0) && knows(&table, "alice", 4) && !knows(&table, "alice", 0));
        table.note("carol", 0, now());
        assert!(knows(&table, "carol", 0) && !knows(&table, "bob", 0));
    }
}
