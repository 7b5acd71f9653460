//! A bounded, sharded memory of computed answers.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};

const SHARDS: usize = 16;

/// 128 bits of two SipHashes under random keys that never leave the process: nobody outside can aim for
/// a collision, and by chance there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u64, u64);

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// A key in the making. Fields are length-prefixed, so that no two sequences of fields read alike.
pub(super) struct Fields(DefaultHasher, DefaultHasher);

impl Fields {
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        for hasher in [&mut self.0, &mut self.1] {
            hasher.write_usize(bytes.len());
            hasher.write(bytes);
        }
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.write_u64(number);
        self.1.write_u64(number);
        self
    }

    /// Another key, as a part of this one.
    pub(super) fn part(&mut self, key: Key) -> &mut Self {
        self.number(key.0).number(key.1)
    }

    pub(super) fn key(&self) -> Key {
        Key(self.0.finish(), self.1.finish())
    }
}

/// Keeps the most recently used answers: when the younger half of a shard is full it becomes the older half, and
/// what nobody asked for in the meantime is forgotten.
pub(super) struct Memo<V> {
    secret: (RandomState, RandomState),
    room: usize,
    shards: Box<[Mutex<Shard<V>>]>,
}

type Table<V> = HashMap<Key, V, BuildHasherDefault<Hashed>>;

struct Shard<V> {
    young: Table<V>,
    old: Table<V>,
}

impl<V: Clone> Memo<V> {
    /// Holds at most about `entries`.
    pub(super) fn new(entries: usize) -> Self {
        let shard = || Mutex::new(Shard { young: Table::default(), old: Table::default() });
        Self {
            secret: (RandomState::new(), RandomState::new()),
            room: (entries / SHARDS / 2).max(1),
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
        }
    }

    pub(super) fn fields(&self) -> Fields {
        Fields(self.secret.0.build_hasher(), self.secret.1.build_hasher())
    }

    pub(super) fn recall(&self, key: Key) -> Option<V> {
        let mut shard = self.shard(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = shard.young.get(&key) {
            return Some(value.clone());
        }
        let value = shard.old.remove(&key)?;
        self.insert(&mut shard, key, value.clone());
        Some(value)
    }

    pub(super) fn keep(&self, key: Key, value: V) {
        if let Some(shard) = self.shard(key) {
            self.insert(&mut shard.lock().unwrap_or_else(PoisonError::into_inner), key, value);
        }
    }

    fn insert(&self, shard: &mut Shard<V>, key: Key, value: V) {
        if shard.young.len() >= self.room {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(key, value);
    }

    fn shard(&self, key: Key) -> Option<&Mutex<Shard<V>>> {
        self.shards.get(key.1 as usize % SHARDS)
    }
}

/// The key is a hash already.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::Memo;

    #[test]
    fn what_was_kept_is_recalled_and_the_rest_is_not() {
        let memo = Memo::new(1000);
        let ab = memo.fields().bytes(b"a").bytes(b"bc").key();
        let bc = memo.fields().bytes(b"ab").bytes(b"c").key();
        memo.keep(ab, 1);
        assert_eq!(memo.recall(ab), Some(1));
        assert_eq!(memo.recall(bc), None);
    }

    #[test]
    fn a_memo_stays_within_its_bounds_and_keeps_what_is_in_use() {
        let memo = Memo::new(320);
        let favourite = memo.fields().bytes(b"favourite").key();
        memo.keep(favourite, 0);
        for number in 0..10_000 {
            memo.keep(memo.fields().number(number).key(), number);
            assert_eq!(memo.recall(favourite), Some(0));
        }
        let held =
            (0..10_000).filter(|number| memo.recall(memo.fields().number(*number).key()).is_some()).count();
        assert!((1..=320).contains(&held), "{held}");
    }
}
