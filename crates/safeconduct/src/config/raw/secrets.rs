//! The encrypted file with secrets.

use crate::config::decode::section;
use crate::config::values::SecretText;

section! {
    /// The encrypted file that `encrypted:NAME` refers to: an age file (<https://age-encryption.org>) with a JSON object in it.
    /// `safeconduct secret` makes and changes it, `age` and `rage` open it, too. With an `identity` or a `passphrase`.
    Secrets {
        /// The file. Default: `secrets.age`.
        file: String;
        /// What opens it: an identity as `age-keygen` writes it, by reference (`file:key.txt`).
        identity: SecretText;
        /// What opens it: a passphrase, by reference (`env:NAME`, `keyring:SERVICE/NAME`). Each reading takes about a second.
        passphrase: SecretText;
    }
}
