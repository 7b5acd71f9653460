//! Tokens that were verified before, by digest. Sharded and bounded, by number and by weight; an entry ends with
//! its token. Tokens that an issuer refused are kept apart, so that strangers displace nobody but strangers.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use safeconduct_core::caller::{Principal, TokenDigest, TokenProblem, Verified};
use safeconduct_core::time::Timestamp;

use super::logout::UsedTokens;

const SHARDS: usize = 64;
/// What an entry may weigh on average, in bytes: enough for tokens of 1 KiB.
const AVERAGE: usize = 4096;
/// What an entry weighs besides its claims.
const BASE: usize = 512;
/// Claims weigh several times their text, being taken apart.
const PER_BYTE: usize = 3;
/// Requests are not answered in the order of their clocks' readings; beyond this the clock was turned back.
const DISORDER: Duration = Duration::from_secs(5);

/// What is known of one token.
pub(super) struct Memory {
    /// Position of its issuer.
    pub(super) issuer: usize,
    /// The rules that it was verified under.
    pub(super) stamp: u64,
    pub(super) verified: Verified,
    /// The keys that its signature was verified with; None when its issuer vouched for it.
    pub(super) generation: Option<u64>,
    /// When that was.
    pub(super) since: Timestamp,
    /// Until when it is believed; never past its end.
    pub(super) until: Timestamp,
    /// Length of the token, in bytes.
    pub(super) length: usize,
}

impl Memory {
    /// True while it may be believed. A clock that is turned back makes nothing live longer: the issuer is asked anew.
    fn lives(&self, now: Timestamp) -> bool {
        lives(self.since, self.until, now)
    }

    fn weight(&self) -> usize {
        BASE + PER_BYTE * self.length
    }
}

/// A token that its issuer does not vouch for.
struct Refused {
    problem: TokenProblem,
    since: Timestamp,
    until: Timestamp,
}

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Prefix>>;

#[derive(Default)]
struct Shard {
    known: Map<TokenDigest, Arc<Memory>>,
    weight: usize,
    /// By token and issuer asked.
    refused: Map<(TokenDigest, u64), Refused>,
    /// When what had ended was last taken out.
    swept: Timestamp,
}

/// See the module. Outlives a reload.
pub struct KnownTokens {
    shards: Vec<Mutex<Shard>>,
    per_shard: usize,
    hasher: RandomState,
    /// Logout tokens that were heeded.
    pub(super) used: UsedTokens,
}

impl KnownTokens {
    /// Remembers at most about `entries` tokens; fewer when they are long.
    pub fn new(entries: usize) -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let per_shard = entries.div_ceil(SHARDS).max(1);
        Arc::new(Self { shards, per_shard, hasher: RandomState::new(), used: UsedTokens::default() })
    }

    /// Number of tokens remembered as good.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).known.len()).sum()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the tokens of the callers that are meant. Gives how many there were, and when the last of them was issued.
    pub fn forget(&self, meant: impl Fn(&Principal) -> bool) -> (usize, Option<Timestamp>) {
        let (mut count, mut latest) = (0, None);
        for shard in &self.shards {
            let mut shard = lock(shard);
            let digests: Vec<TokenDigest> = shard
                .known
                .iter()
                .filter(|(_, memory)| meant(memory.verified.principal()))
                .map(|(digest, memory)| {
                    latest = latest.max(memory.verified.principal().issued);
                    *digest
                })
                .collect();
            count += digests.len();
            digests.iter().for_each(|digest| shard.forget(digest));
        }
        (count, latest)
    }

    pub(super) fn stamp(&self, rules: &str) -> u64 {
        self.hasher.hash_one(rules)
    }

    pub(super) fn recall(&self, digest: &TokenDigest, now: Timestamp) -> Option<Arc<Memory>> {
        self.shard(digest)?.known.get(digest).filter(|memory| memory.lives(now)).cloned()
    }

    pub(super) fn remember(&self, memory: Arc<Memory>, now: Timestamp) {
        let digest = *memory.verified.digest();
        let Some(mut shard) = self.shard(&digest) else { return };
        shard.forget(&digest);
        shard.make_room(self.per_shard, memory.weight(), now);
        shard.weight += memory.weight();
        shard.known.insert(digest, memory);
    }

    /// Why the issuer with this stamp refused the token, if it was asked lately.
    pub(super) fn recall_refusal(
        &self,
        digest: &TokenDigest,
        stamp: u64,
        now: Timestamp,
    ) -> Option<TokenProblem> {
        let shard = self.shard(digest)?;
        let refused = shard.refused.get(&(*digest, stamp))?;
        lives(refused.since, refused.until, now).then_some(refused.problem)
    }

    pub(super) fn remember_refusal(
        &self,
        digest: TokenDigest,
        stamp: u64,
        problem: TokenProblem,
        now: Timestamp,
        until: Timestamp,
    ) {
        let Some(mut shard) = self.shard(&digest) else { return };
        if shard.refused.len() >= self.per_shard.div_ceil(4) {
            shard.sweep(now);
        }
        if shard.refused.len() >= self.per_shard.div_ceil(4)
            && let Some(any) = shard.refused.keys().next().copied()
        {
            shard.refused.remove(&any);
        }
        shard.refused.insert((digest, stamp), Refused { problem, since: now, until });
    }

    fn shard(&self, digest: &TokenDigest) -> Option<MutexGuard<'_, Shard>> {
        self.shards.get(usize::from(*digest.last()?) % SHARDS).map(lock)
    }
}

impl Shard {
    fn forget(&mut self, digest: &TokenDigest) {
        if let Some(memory) = self.known.remove(digest) {
            self.weight = self.weight.saturating_sub(memory.weight());
        }
    }

    /// Until one more fits. What has ended goes first, then any one: it costs its caller one verification.
    fn make_room(&mut self, entries: usize, weight: usize, now: Timestamp) {
        let full = |shard: &Self| shard.known.len() >= entries || shard.weight + weight > entries * AVERAGE;
        if full(self) {
            self.sweep(now);
        }
        while full(self)
            && let Some(any) = self.known.keys().next().copied()
        {
            self.forget(&any);
        }
    }

    /// At most once a second: a shard full of living ones is not gone through for each new one.
    fn sweep(&mut self, now: Timestamp) {
        if now.since(self.swept) < Duration::from_secs(1) && self.swept <= now {
            return;
        }
        self.swept = now;
        self.known.retain(|_, memory| memory.lives(now));
        self.weight = self.known.values().map(|memory| memory.weight()).sum();
        self.refused.retain(|_, refused| lives(refused.since, refused.until, now));
    }
}

fn lives(since: Timestamp, until: Timestamp, now: Timestamp) -> bool {
    now < until && since <= now.plus(DISORDER)
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A digest is evenly spread already: its first bytes are its hash.
#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }
}
