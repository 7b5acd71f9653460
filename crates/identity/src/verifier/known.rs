//! Tokens that were verified before, by digest. Sharded and bounded; an entry ends with its token.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use safeconduct_core::caller::{TokenDigest, TokenProblem, Verified};
use safeconduct_core::time::Timestamp;

const SHARDS: usize = 64;

/// What is known of one token.
pub(super) struct Memory {
    /// Position of its issuer.
    pub(super) issuer: usize,
    /// The rules that it was verified under.
    pub(super) stamp: u64,
    pub(super) knows: Knows,
}

pub(super) enum Knows {
    /// Its signature was verified with keys of this generation.
    Signed(Verified, u64),
    /// Its issuer vouched for it, to be asked again at this time.
    Introspected(Verified, Timestamp),
    /// Its issuer said no, to be asked again at this time.
    Refused(TokenProblem, Timestamp),
}

impl Knows {
    fn until(&self) -> Timestamp {
        match self {
            Self::Signed(verified, _) => verified.principal().expires,
            Self::Introspected(verified, until) => verified.principal().expires.min(*until),
            Self::Refused(_, until) => *until,
        }
    }
}

/// See the module. Outlives a reload.
pub struct KnownTokens {
    shards: Vec<Mutex<HashMap<TokenDigest, Arc<Memory>, BuildHasherDefault<Prefix>>>>,
    per_shard: usize,
    hasher: RandomState,
}

impl KnownTokens {
    /// Remembers at most about `entries` tokens.
    pub fn new(entries: usize) -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Arc::new(Self { shards, per_shard: entries.div_ceil(SHARDS).max(1), hasher: RandomState::new() })
    }

    /// Number of tokens remembered.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn stamp(&self, rules: &str) -> u64 {
        self.hasher.hash_one(rules)
    }

    pub(super) fn recall(&self, digest: &TokenDigest, now: Timestamp) -> Option<Arc<Memory>> {
        let shard = self.shard(digest)?.lock().unwrap_or_else(PoisonError::into_inner);
        shard.get(digest).filter(|memory| now < memory.knows.until()).cloned()
    }

    pub(super) fn remember(&self, digest: TokenDigest, memory: Memory, now: Timestamp) {
        let Some(shard) = self.shard(&digest) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= self.per_shard && !shard.contains_key(&digest) {
            shard.retain(|_, memory| now < memory.knows.until());
            // Still full: any one goes. It costs its caller one verification.
            if shard.len() >= self.per_shard
                && let Some(any) = shard.keys().next().copied()
            {
                shard.remove(&any);
            }
        }
        shard.insert(digest, Arc::new(memory));
    }

    fn shard(&self, digest: &TokenDigest) -> Option<&Mutex<HashMap<TokenDigest, Arc<Memory>, BuildHasherDefault<Prefix>>>> {
        self.shards.get(usize::from(*digest.last()?) % SHARDS)
    }
}

/// A digest is evenly spread already: its first bytes are its hash.
#[derive(Default)]
pub(super) struct Prefix(u64);

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
