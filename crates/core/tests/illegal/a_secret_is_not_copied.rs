//! Secrets are not cloned, nor turned into plain bytes by accident.
use safeconduct_core::secret::Secret;

fn copy(secret: &Secret) -> (Secret, usize) {
    let bytes: &[u8] = secret;
    (secret.clone(), bytes.len())
}

fn main() {}
