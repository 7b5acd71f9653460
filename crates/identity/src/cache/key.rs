//! Cache keys: a keyed hash over length-prefixed fields.

use std::hash::{Hash, Hasher};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{hmac, rand};
use safeconduct_core::caller::Fingerprint;

/// Fields in a form that cannot be read in two ways: each with its length before it, so that `a` + `bc` and
/// `ab` + `c` differ (edge case 36).
#[derive(Default)]
pub struct Fields(Vec<u8>);

impl Fields {
    /// No field yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds text that may be absent; absent and empty differ.
    pub fn option(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.number(1).text(text),
            None => self.number(0),
        }
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// Adds a set: order and repetition do not count (edge cases 1 and 2).
    pub fn set<T: AsRef<[u8]>>(&mut self, members: impl IntoIterator<Item = T>) -> &mut Self {
        let mut members: Vec<T> = members.into_iter().collect();
        members.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
        members.dedup_by(|a, b| a.as_ref() == b.as_ref());
        self.number(members.len() as u64);
        for member in members {
            self.bytes(member.as_ref());
        }
        self
    }

    /// True when nothing was added.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// SHA-256 over the fields: what a plan keeps of its configuration.
    pub fn digest(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, &self.0).as_ref());
        out
    }

    /// The fields as they are hashed.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What an entry is found under: 128 bits of an HMAC-SHA-256 whose key no one outside the process knows, so
/// that no collision can be prepared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key([u8; 16]);

impl Hash for Key {
    /// The key is a hash already; its first half is as good as another one.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// Passes a key's own bits through.
#[derive(Clone, Copy, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
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

/// Makes keys; its own key is drawn at start and never leaves.
pub(crate) struct Keys(hmac::Key);

impl Keys {
    /// With a fresh random key.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub(crate) fn random() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        rand::fill(&mut *secret)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &*secret)))
    }

    /// The key of a step's answer for one caller: the digest of the configuration of this step and of all before
    /// it, who the caller is, and what templates made of that.
    pub(crate) fn key(&self, plan: &[u8; 32], caller: Fingerprint, inputs: &Fields) -> Key {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(plan);
        context.update(&caller.0);
        context.update(inputs.as_bytes());
        let tag = context.sign();
        let mut key = [0; 16];
        tag.as_ref().iter().zip(&mut key).for_each(|(from, to)| *to = *from);
        Key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(fill: impl Fn(&mut Fields)) -> [u8; 32] {
        let mut fields = Fields::new();
        fill(&mut fields);
        fields.digest()
    }

    /// Edge: 36
    #[test]
    fn fields_that_join_to_the_same_text_have_different_digests() {
        let one = digest_of(|fields| {
            fields.text("a").text("bc");
        });
        let same = digest_of(|fields| {
            fields.text("a").text("bc");
        });
        let other = digest_of(|fields| {
            fields.text("ab").text("c");
        });
        assert_eq!(one, same);
        assert_ne!(one, other);
    }

    /// Edge: 1, 2
    #[test]
    fn the_order_and_repetition_of_a_set_do_not_count() {
        let one = digest_of(|fields| {
            fields.set(["b", "a", "b"]);
        });
        let same = digest_of(|fields| {
            fields.set(["a", "b"]);
        });
        let split = digest_of(|fields| {
            fields.set(["a"]).set(["b"]);
        });
        assert_eq!(one, same);
        assert_ne!(one, split);
    }

    /// Edge: 35
    #[test]
    fn another_caller_another_plan_and_another_input_are_other_keys() {
        let keys = Keys::random().unwrap();
        let none = Fields::new();
        let mut some = Fields::new();
        some.text("x");
        let base = keys.key(&[1; 32], Fingerprint([1; 32]), &none);
        assert!(base == keys.key(&[1; 32], Fingerprint([1; 32]), &Fields::new()));
        assert!(base != keys.key(&[1; 32], Fingerprint([2; 32]), &none));
        assert!(base != keys.key(&[2; 32], Fingerprint([1; 32]), &none));
        assert!(base != keys.key(&[1; 32], Fingerprint([1; 32]), &some));
        assert!(base != Keys::random().unwrap().key(&[1; 32], Fingerprint([1; 32]), &none));
    }
}
