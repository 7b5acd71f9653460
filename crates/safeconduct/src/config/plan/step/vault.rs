//! `vault`.

use std::time::Duration;

/// A secret of OpenBao or HashiCorp Vault. `role` and `read` may hold templates.
#[derive(Clone, Debug)]
pub struct VaultPlan {
    /// Where it is, without a path.
    pub address: String,
    /// Namespace.
    pub namespace: Option<String>,
    /// Where the auth method is mounted.
    pub mount: String,
    /// Role to log in as.
    pub role: String,
    /// What is read.
    pub read: String,
    /// Which of it is the credential.
    pub pick: PickPlan,
    /// When a secret without a lease is read again.
    pub refresh: Duration,
    /// Longest use without asking again.
    pub max_lifetime: Option<Duration>,
    /// Longest wait for one attempt.
    pub attempt_timeout: Duration,
    /// Longest wait for one request, retries included.
    pub timeout: Duration,
    /// Whether plain http is accepted beyond loopback.
    pub allow_http: bool,
}

/// What is taken from an object of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PickPlan {
    /// Its only member.
    Only,
    /// This member.
    Member(String),
    /// `username` and `password`, as HTTP Basic wants them.
    Basic,
}
