//! Bytes that must not be seen: no Debug, Display, Serialize, Clone or Deref, and zeroized on drop.

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

/// A token, a password or a key. The only ways to its bytes are named, so that a reviewer can find each use.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; the caller's buffer is the one that will be zeroized.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Every use stands where a protocol demands the secret on the wire or in a key.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text, where it is UTF-8 (tokens and passwords are).
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Number of bytes; not secret.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A header value `prefix` + secret, marked sensitive, whose storage is zeroized when the last clone drops.
    /// None if the bytes cannot stand in a header (control characters, CR, LF; RFC 9110 §5.5).
    pub(crate) fn to_header(&self, prefix: &str) -> Option<HeaderValue> {
        if !self.0.iter().all(|b| (0x21..0x7f).contains(b) || *b == b' ') {
            return None;
        }
        let mut text = Zeroizing::new(Vec::with_capacity(prefix.len() + self.0.len()));
        text.extend_from_slice(prefix.as_bytes());
        text.extend_from_slice(&self.0);
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_header_made_from_a_secret_is_sensitive_and_exact() {
        let value = Secret::new(b"abc.def".to_vec()).to_header("Bearer ").unwrap();
        assert!(value.is_sensitive());
        assert_eq!(value.as_bytes(), b"Bearer abc.def");
    }

    #[test]
    fn a_secret_with_a_line_break_never_becomes_a_header() {
        assert!(Secret::new(b"abc\r\nX-Evil: 1".to_vec()).to_header("Bearer ").is_none());
        assert!(Secret::new("caf\u{e9}".as_bytes().to_vec()).to_header("").is_none());
    }
}
