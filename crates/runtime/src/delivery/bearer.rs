//! The secret that an instance shows at its own credential endpoint: new for every instance, good nowhere else.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use safeconduct_core::secret::Secret;

/// 256 bits, in hexadecimal: it stands in a variable and in a header without any escaping.
pub(crate) struct Bearer(Secret);

/// The machine gives no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system's random number generator fails")]
pub struct NoRandomness;

impl Bearer {
    pub(crate) fn new() -> Result<Self, NoRandomness> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
        rand::fill(&mut *bytes).map_err(|_| NoRandomness)?;
        let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
        let text = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        Ok(Self(Secret::new(text)))
    }

    /// A copy, for the instance's environment.
    pub(crate) fn to_secret(&self) -> Secret {
        Secret::new(self.0.expose().to_vec())
    }

    /// Whether this is what was shown. Takes the same time wherever the two differ.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        verify_slices_are_equal(self.0.expose(), shown).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Bearer;

    #[test]
    fn a_bearer_is_known_by_itself_alone_and_no_two_are_the_same() {
        let (one, other) = (Bearer::new().unwrap(), Bearer::new().unwrap());
        assert!(one.is(one.to_secret().expose()));
        assert_eq!(one.to_secret().len(), 64);
        assert!(!one.is(other.to_secret().expose()));
        assert!(!one.is(b""));
        assert!(!one.is(&one.to_secret().expose()[..63]));
    }
}
