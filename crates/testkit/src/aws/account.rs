//! What the account knows: its OIDC provider, its roles, and the keys that it issued.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::ACCOUNT;
use super::role::Role;
use crate::canary;
use crate::clock::Clock;
use crate::verify::{Trust, Verifier};

/// See the module.
pub struct Account {
    pub(super) provider: Verifier,
    pub(super) roles: Vec<Role>,
    pub(super) clock: Clock,
    sessions: Mutex<BTreeMap<String, Session>>,
    packed: Mutex<usize>,
}

/// Keys that were issued, and to whom.
#[derive(Clone)]
pub struct Session {
    /// `AccessKeyId`
    pub id: String,
    /// `SecretAccessKey`
    pub secret: String,
    /// `SessionToken`
    pub token: String,
    /// The role's name.
    pub role: String,
    /// `RoleSessionName`
    pub name: String,
    /// End, in seconds since the epoch.
    pub expires: u64,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// Keys of the tags that further roles inherit.
    pub transitive: Vec<String>,
    /// Source identity, which stays through further roles.
    pub source_identity: Option<String>,
}

impl Session {
    /// `arn:aws:sts::123456789012:assumed-role/ROLE/NAME`
    pub fn arn(&self) -> String {
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/{}/{}", self.role, self.name)
    }

    /// The role's id and the session's name.
    pub fn user_id(&self) -> String {
        format!("AROA{}:{}", self.role.to_ascii_uppercase(), self.name)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn())
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ACCOUNT)
    }
}

impl Account {
    pub(super) fn new(provider: Trust, roles: Vec<Role>, clock: Clock) -> Self {
        Self {
            provider: Verifier::new(provider, clock.clone()),
            roles,
            clock,
            sessions: Mutex::default(),
            packed: Mutex::new(2048),
        }
    }

    /// Whether a session may do something; in AWS's words, where it may not.
    ///
    /// # Errors
    /// The sentence.
    pub fn authorize(&self, session: &Session, action: &str) -> Result<(), String> {
        let role = self.roles.iter().find(|role| role.name == session.role);
        if role.is_some_and(|role| role.allows.iter().any(|allowed| allowed == action)) {
            return Ok(());
        }
        Err(format!("User: {} is not authorized to perform: {action}", session.arn()))
    }

    /// All keys that were issued so far.
    pub fn issued(&self) -> Vec<Session> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes all keys back: services refuse them from now on.
    pub fn take_back_all(&self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Lets all keys end now: services say that they have expired.
    pub fn end_all(&self) {
        let now = self.clock.secs();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.values_mut().for_each(|session| session.expires = session.expires.min(now));
    }

    /// Room for session policies and tags together, in characters.
    pub fn set_packed_limit(&self, limit: usize) {
        *self.packed.lock().unwrap_or_else(PoisonError::into_inner) = limit;
    }

    pub(super) fn packed_limit(&self) -> usize {
        *self.packed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn session(&self, id: &str) -> Option<Session> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(super) fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.arn() == arn)
    }

    /// Issues keys for a session of a role.
    pub(super) fn issue(&self, role: &Role, name: &str, lifetime: Duration, about: About) -> Session {
        let session = Session {
            id: key_id(),
            // With what keys and tokens of AWS have in them, and URLs and forms do not bear.
            secret: format!("{}/+", canary::secret("aws-secret")),
            token: format!("{}//+==", canary::secret("aws-session")),
            role: role.name.clone(),
            name: name.to_owned(),
            expires: self.clock.secs() + lifetime.as_secs(),
            tags: about.tags,
            transitive: about.transitive,
            source_identity: about.source_identity,
        };
        self.know(session.clone());
        session
    }

    pub(super) fn know(&self, session: Session) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(session.id.clone(), session);
    }
}

/// Twenty characters, as those of temporary keys are.
fn key_id() -> String {
    let letters = canary::random_hex().to_ascii_uppercase();
    format!("ASIA{}", letters.chars().take(16).collect::<String>())
}

/// What is said of a session beside its role and name.
#[derive(Default)]
pub(super) struct About {
    pub(super) tags: BTreeMap<String, String>,
    pub(super) transitive: Vec<String>,
    pub(super) source_identity: Option<String>,
}
