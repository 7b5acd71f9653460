//! Secrets have no Debug and no Display.
use safeconduct_core::secret::Secret;

fn print(secret: &Secret) -> String {
    format!("{secret:?} {secret}")
}

fn main() {}
