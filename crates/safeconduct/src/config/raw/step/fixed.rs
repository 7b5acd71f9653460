//! `static`: a named secret.

use crate::config::decode::section;
use crate::config::values::SecretText;

section! {
    /// A secret of the server, the same for every caller: the server cannot tell them apart.
    Static {
        /// The secret, by reference: `env:NAME` or `file:PATH`.
        secret, required: SecretText;
    }
}
