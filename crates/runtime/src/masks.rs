//! What must not appear in a log although a process may print it: the secrets that it was given.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Mutex;

use memchr::memmem;
use safeconduct_core::secret::Secret;

/// Shorter values are not masked: they would be found everywhere, and are no secrets.
const SHORTEST: usize = 8;
/// Values of rotations that are remembered; the oldest goes first.
const MOST: usize = 64;
/// What stands in a line instead of a secret.
const MASK: &str = "[secret]";

/// The secrets that one instance was given.
#[derive(Default)]
pub struct Masks(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// What it was started with, and keeps for as long as it runs.
    kept: Vec<Secret>,
    /// What it was given since, the latest last.
    rotated: VecDeque<Secret>,
}

impl Masks {
    /// Remembers a secret that the instance has for as long as it runs: whole, and line by line (keys and certificates
    /// have several).
    pub fn keep(&self, secret: &Secret) {
        let Ok(mut known) = self.0.lock() else { return };
        for value in lines(secret) {
            if !known.kept.iter().any(|known| known.expose() == value) {
                known.kept.push(Secret::new(value.to_vec()));
            }
        }
    }

    /// Remembers a secret that another will take the place of, as [`Masks::keep`] does. Of many, the latest are known.
    pub fn add(&self, secret: &Secret) {
        let Ok(mut known) = self.0.lock() else { return };
        for value in lines(secret) {
            if known.rotated.iter().any(|known| known.expose() == value) {
                continue;
            }
            if known.rotated.len() == MOST {
                known.rotated.pop_front();
            }
            known.rotated.push_back(Secret::new(value.to_vec()));
        }
    }

    /// The line without the secrets.
    pub fn mask<'a>(&self, line: &'a str) -> Cow<'a, str> {
        // Without the list nothing can be told apart: nothing is shown.
        let Ok(known) = self.0.lock() else { return Cow::Borrowed(MASK) };
        let all = known.kept.iter().chain(&known.rotated).filter_map(Secret::expose_str);
        let mut found: Vec<&str> =
            all.filter(|secret| memmem::find(line.as_bytes(), secret.as_bytes()).is_some()).collect();
        // The longest first: a short one that stands in it would leave the rest of it uncovered.
        found.sort_unstable_by_key(|secret| Reverse(secret.len()));
        found.iter().fold(Cow::Borrowed(line), |line, secret| Cow::Owned(line.replace(secret, MASK)))
    }
}

fn lines(secret: &Secret) -> impl Iterator<Item = &[u8]> {
    let lines = secret.expose().split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| line.len() >= SHORTEST)
}

#[cfg(test)]
mod tests {
    use safeconduct_core::secret::Secret;

    use super::{MOST, Masks};

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_line_without_a_secret_is_the_same_line() {
        let masks = Masks::default();
        masks.add(&secret("canary-one"));
        assert_eq!(masks.mask("nothing to see"), "nothing to see");
    }

    #[test]
    fn every_occurrence_of_every_secret_is_masked_also_of_one_line_of_a_key() {
        let masks = Masks::default();
        masks.add(&secret("canary-one"));
        masks.add(&secret("-----BEGIN KEY-----\nAAAABBBBCCCC\n-----END KEY-----\n"));
        assert_eq!(masks.mask("a canary-one, canary-one"), "a [secret], [secret]");
        assert_eq!(masks.mask("key AAAABBBBCCCC"), "key [secret]");
    }

    #[test]
    fn what_is_too_short_to_be_a_secret_is_left_alone() {
        let masks = Masks::default();
        masks.add(&secret("true"));
        assert_eq!(masks.mask("it is true"), "it is true");
    }

    #[test]
    fn many_rotations_keep_the_latest_secrets() {
        let masks = Masks::default();
        for turn in 0..=MOST {
            masks.add(&secret(&format!("token-number-{turn:04}")));
        }
        assert_eq!(masks.mask("token-number-0064"), "[secret]");
        assert_eq!(masks.mask("token-number-0000"), "token-number-0000");
    }

    #[test]
    fn a_secret_in_which_another_stands_is_masked_whole_whichever_came_first() {
        let (host, url) = ("db.internal:5432", "postgres://u:pw-canary@db.internal:5432/x");
        for [one, other] in [[host, url], [url, host]] {
            let masks = Masks::default();
            masks.keep(&secret(one));
            masks.add(&secret(other));
            assert_eq!(masks.mask(&format!("to {url}")), "to [secret]");
            assert_eq!(masks.mask("to db.internal:5432"), "to [secret]");
        }
    }

    #[test]
    fn what_an_instance_was_started_with_is_masked_after_any_number_of_rotations() {
        let masks = Masks::default();
        masks.add(&secret("the-callers-token"));
        for line in 0..=MOST {
            masks.keep(&secret(&format!("line-of-a-key-{line:04}")));
        }
        assert_eq!(masks.mask("the-callers-token"), "[secret]");
        for turn in 0..=MOST {
            masks.add(&secret(&format!("token-number-{turn:04}")));
        }
        assert_eq!(masks.mask("line-of-a-key-0000"), "[secret]");
    }
}
