//! Where secrets are kept besides variables and files: an encrypted file, and the system's keyring.

pub(crate) mod keyring;
pub(crate) mod sealed;

/// A name in the encrypted file: it stands in the configuration after `encrypted:`.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
