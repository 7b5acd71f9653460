//! What must not appear in a log although a process may print it: the secrets that it was given.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Mutex;

use memchr::memmem;
use safeconduct_core::secret::Secret;

/// Shorter values are not masked: they would be found everywhere, and are no secrets.
const SHORTEST: usize = 8;
/// Values that are remembered; the oldest goes first.
const MOST: usize = 64;
/// What stands in a line instead of a secret.
const MASK: &str = "[secret]";

/// The secrets that one instance was given.
#[derive(Default)]
pub struct Masks(Mutex<VecDeque<Secret>>);

impl Masks {
    /// Remembers a secret: whole, and line by line (keys and certificates have several).
    pub fn add(&self, secret: &Secret) {
        let Ok(mut known) = self.0.lock() else { return };
        let lines = secret.expose().split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        for value in lines.filter(|line| line.len() >= SHORTEST) {
            if known.iter().any(|known| known.expose() == value) {
                continue;
            }
            if known.len() == MOST {
                known.pop_front();
            }
            known.push_back(Secret::new(value.to_vec()));
        }
    }

    /// The line without the secrets.
    pub fn mask<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let mut line = Cow::Borrowed(line);
        // Without the list nothing can be told apart: nothing is shown.
        let Ok(known) = self.0.lock() else { return Cow::Borrowed(MASK) };
        for secret in known.iter().filter_map(Secret::expose_str) {
            if memmem::find(line.as_bytes(), secret.as_bytes()).is_some() {
                line = Cow::Owned(line.replace(secret, MASK));
            }
        }
        line
    }
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
}
