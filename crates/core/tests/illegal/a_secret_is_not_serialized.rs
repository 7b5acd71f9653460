//! Secrets cannot get into JSON.
use safeconduct_core::secret::Secret;

fn write<T: serde::Serialize>(_: &T) {}

fn main() {
    write(&Secret::new(Vec::new()));
}
