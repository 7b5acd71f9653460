//! `vault`: a secret of OpenBao or HashiCorp Vault.

use crate::config::decode::section;
use crate::config::values::Period;

section! {
    /// A login at OpenBao or HashiCorp Vault with the caller's token (auth method `jwt`), then a secret: of the key-value
    /// engine, or one that is made for the caller (`database/creds/...`), whose lease is renewed while it is in use and
    /// given back when the caller is revoked or the gateway stops. `role` and `read` may use `{subject}`, `{email}`,
    /// `{claim:NAME}` and `{group:MAP}`; a caller without the claim is refused, and so is one whose claim is not one name
    /// of a path.
    Vault {
        /// `https://vault.example.com:8200`, without a path.
        address, required: String;
        /// The namespace (`X-Vault-Namespace`). Default: the root.
        namespace: String;
        /// Where the auth method is mounted. Default: `jwt`.
        mount: String;
        /// The role to log in as.
        role, required: String;
        /// What is read, as the API has it, without `/v1/`: `secret/data/orders` (key-value, version 2: with `data`),
        /// `database/creds/readonly`.
        read, required: String;
        /// Which member of the secret is the credential. Default: the only one.
        field: String;
        /// The members `username` and `password` together are the credential, as HTTP Basic wants them; deliver it with
        /// `prefix: "Basic "`. Default: `false`.
        basic: bool;
        /// Reads a secret that has no lease again after this long. Default: `5m`.
        refresh: Period;
        /// Uses a secret no longer than this without asking again. Default: no limit besides its lease's and the caller's
        /// token's.
        max_lifetime: Period;
        /// Waits this long for one attempt. Default: `5s`.
        attempt_timeout: Period;
        /// Waits this long in all for one request, retries included. Default: `timeouts.token_endpoint`.
        timeout: Period;
        /// Accepts plain http for an address that is not on this machine. Default: `false`.
        allow_http: bool;
    }
}
