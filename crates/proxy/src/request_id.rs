//! Request ids: ULIDs (48 bits of milliseconds, 80 random bits, Crockford base 32).

use safeconduct_core::time::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

thread_local! {
    static IDS: std::cell::RefCell<RequestIds> = std::cell::RefCell::new(RequestIds::new());
}

/// The next id of this thread.
pub fn next(now: Timestamp) -> [u8; 26] {
    IDS.with_borrow_mut(|ids| ids.next(now))
}

/// A source of ids for one thread: one random start, then a step per id, so that ids cost no system call.
pub struct RequestIds {
    random: u128,
}

impl RequestIds {
    /// Seeds from the operating system's randomness.
    pub fn new() -> Self {
        let mut seed = [0u8; 16];
        // Without randomness ids would only be less unique; nothing secret rests on them.
        let _ = aws_lc_rs::rand::fill(&mut seed);
        Self { random: u128::from_le_bytes(seed) | 1 }
    }

    /// The next id.
    pub fn next(&mut self, now: Timestamp) -> [u8; 26] {
        // A Weyl sequence: never the same 80 bits twice within 2^80 ids of one thread.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let value = (u128::from(now.micros() / 1000) << 80) | (self.random >> 48);
        let mut out = [0u8; 26];
        for (place, byte) in out.iter_mut().rev().enumerate() {
            let index = ((value >> (5 * place)) & 31) as usize;
            *byte = ALPHABET.get(index).copied().unwrap_or(b'0');
        }
        out
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{RequestIds, Timestamp};

    #[test]
    fn ids_sort_by_time_and_do_not_repeat() {
        let mut ids = RequestIds::new();
        let first = ids.next(Timestamp::from_secs(1_700_000_000));
        let second = ids.next(Timestamp::from_secs(1_700_000_001));
        assert!(first < second);
        assert_ne!(first, ids.next(Timestamp::from_secs(1_700_000_000)));
        assert!(first.iter().all(u8::is_ascii_alphanumeric));
    }
}
