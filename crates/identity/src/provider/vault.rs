//! `vault`: a login at OpenBao or HashiCorp Vault with a JWT, then one secret: of the key-value engine, or one that
//! is made for the caller (database users, cloud keys) and lives as long as its lease.
//!
//! - <https://openbao.org/api-docs/auth/jwt/>, <https://openbao.org/api-docs/secret/kv/kv-v2/>,
//!   <https://openbao.org/docs/concepts/lease/>; Vault's are the same, with namespaces:
//!   <https://developer.hashicorp.com/vault/api-docs#namespaces>
//! - The caller logs in with their own token (or that of the step before), so that roles, bound claims and the
//!   audit log of the vault see the caller. Its token and the lease are renewed while they are in use, and given back
//!   when the caller is revoked and when the gateway stops: then what was made for the caller ends at once.
//! - The vault answers every refused login with 400 and a sentence; its sentences are classified.
//!
//! What an administrator must set up: the auth method `jwt` with the issuer's discovery URL or keys, a role whose
//! `bound_audiences` has the audience of the callers' tokens, and a policy that lets it read the path.

mod answer;
mod api;
mod sessions;

pub use sessions::Leases;

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::caller::Principal;
use safeconduct_core::credential::{Login, Warrant};
use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use thiserror::Error;

use super::{
    Counterpart, Description, ExchangeError, Exchanging, Granted, Pick, Preview, Provider, Subject, Use,
};
use crate::cache::Fields;
use crate::template::{MissingClaim, Template};
use crate::wire::{Endpoint, Wire};
use answer::Refused;
use api::Api;
use sessions::{OnLoan, Session};

/// How long a secret without a lease is kept before it is read again.
const REFRESH: Duration = Duration::from_secs(300);
/// With less time left than this, a login or a lease is not used again.
const SHORT: Duration = Duration::from_secs(10);

/// What the step is told.
pub struct VaultConfig {
    /// `https://vault.example.com:8200`, without a path.
    pub address: Endpoint,
    /// `X-Vault-Namespace`.
    pub namespace: Option<Box<str>>,
    /// Where the auth method is mounted: `jwt`.
    pub mount: Box<str>,
    /// The role to log in as; may depend on the caller.
    pub role: Template,
    /// What is read, below `/v1/`: `secret/data/orders`, `database/creds/readonly`; may depend on the caller.
    pub path: Template,
    /// Which member of the secret is the credential.
    pub pick: Pick,
    /// How long a secret without a lease is kept before it is read again.
    pub refresh: Duration,
    /// Longest time that an answer is kept.
    pub max_lifetime: Duration,
    /// Time for one attempt.
    pub attempt_timeout: Duration,
    /// Time for all attempts of one request together.
    pub total_timeout: Duration,
}

/// A step that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VaultConfigError {
    /// Something else than names with slashes between.
    #[error("{0:?} is not a path of the vault: names with slashes between, without `/v1/` in front")]
    Path(String),
    /// The namespace cannot stand in a header.
    #[error("the namespace holds characters that no header may hold")]
    Namespace,
}

/// See the module.
pub struct Vault {
    config: Arc<VaultConfig>,
    api: Arc<Api>,
    leases: Arc<Leases>,
    name: Box<str>,
    /// What of the configuration a session depends on.
    digest: [u8; 32],
}

impl VaultConfig {
    /// A step with everything as it usually is.
    pub fn new(address: Endpoint, role: Template, path: Template) -> Self {
        Self {
            address,
            namespace: None,
            mount: "jwt".into(),
            role,
            path,
            pick: Pick::default(),
            refresh: REFRESH,
            max_lifetime: Duration::from_secs(24 * 3600),
            attempt_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
        }
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text(&self.address.to_string()).option(self.namespace.as_deref()).text(&self.mount);
        self.role.identify(fields);
        self.path.identify(fields);
        self.pick.identify(fields);
        fields.number(self.refresh.as_secs()).number(self.max_lifetime.as_secs());
    }

    /// The path for this caller: what their token says becomes one name of it, and no way out of it.
    fn path(&self, caller: &Principal) -> Result<String, MissingClaim> {
        let name = |value: &str| !value.contains(['/', '\\']) && !matches!(value, "." | "..");
        self.path.fill_where(caller, name).map(|path| api::escaped(&path))
    }
}

impl Vault {
    /// Checks the configuration. `leases` outlive this step, as what it granted does.
    ///
    /// # Errors
    /// See [`VaultConfigError`].
    pub fn new(config: VaultConfig, leases: Arc<Leases>, wire: Arc<Wire>) -> Result<Self, VaultConfigError> {
        for path in [Some(&*config.mount), config.path.as_fixed()].into_iter().flatten() {
            let names =
                |path: &str| path.split('/').all(|name| !name.is_empty() && name != "." && name != "..");
            if !names(path) || path.starts_with("v1/") || path.contains(['?', '#']) {
                return Err(VaultConfigError::Path(path.into()));
            }
        }
        let mut fields = Fields::new();
        config.identify(&mut fields);
        let name = config.address.to_string().into();
        let api = Arc::new(Api::new(&config, wire).ok_or(VaultConfigError::Namespace)?);
        Ok(Self { config: Arc::new(config), api, leases, name, digest: fields.digest() })
    }

    /// Under which a caller's session is kept: one for each server, login and configuration.
    fn key(&self, warrant: &Warrant) -> Option<[u8; 32]> {
        let mut fields = Fields::new();
        fields.bytes(&self.digest).text(&warrant.server().name).bytes(&warrant.fingerprint().0);
        self.inputs(warrant.principal(), &mut fields).ok()?;
        Some(fields.digest())
    }
}

impl Provider for Vault {
    fn name(&self) -> &'static str {
        "vault"
    }

    fn description(&self) -> Description {
        Description {
            step: self.name().into(),
            endpoint: Some(self.api.url(&format!("auth/{}/login", self.config.mount)).into()),
            client: None,
            authentication: None,
            audience: vec![self.config.path.text().into()],
            scopes: Vec::new(),
        }
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text(self.name());
        self.config.identify(fields);
    }

    fn inputs(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim> {
        self.config.role.input(caller, fields)?;
        self.config.path.input(caller, fields)
    }

    fn preview(&self, caller: &Principal, subject: &str) -> Result<Preview, MissingClaim> {
        let mut shown: Preview = Vec::new();
        if let Some(namespace) = &self.config.namespace {
            shown.push(("X-Vault-Namespace".into(), namespace.clone()));
        }
        shown.push(("role".into(), self.config.role.fill(caller)?.into()));
        shown.push(("jwt".into(), subject.into()));
        shown.push(("then GET".into(), self.api.url(&self.config.path(caller)?).into()));
        shown.push(("takes".into(), self.config.pick.words().into()));
        Ok(shown)
    }

    fn counterpart(&self) -> Option<Counterpart<'_>> {
        Some(Counterpart { endpoint: &self.name, client: "" })
    }

    fn max_lifetime(&self) -> Duration {
        self.config.max_lifetime
    }

    fn spent(&self, warrant: &Warrant) {
        if let Some(session) = self.key(warrant).and_then(|key| self.leases.take(&key)) {
            self.api.runtime().spawn(Leases::return_all(vec![session]));
        }
    }

    fn exchange(&self, warrant: &Warrant, subject: Subject, now: Timestamp) -> Exchanging {
        let (config, api, leases, key) =
            (self.config.clone(), self.api.clone(), self.leases.clone(), self.key(warrant));
        let warrant = warrant.clone();
        Box::pin(async move {
            let role = config.role.fill(warrant.principal())?;
            let path = config.path(warrant.principal())?;
            let visit = Visit { config: &config, api: &api, path: &path, now };
            let kept = key.and_then(|key| leases.of(&key)).filter(|session| session.lives(now.plus(SHORT)));
            if let Some(session) = kept
                && let Some(granted) = visit.again(&session).await?
            {
                return Ok(granted);
            }
            // Its time is over, or it was revoked: with the caller's token of now. The old login is given back when there
            // is a new one, and not before: calls may still be served with what it made.
            let login = OnLoan::new(visit.login(&role, &subject).await?);
            let granted = visit.read(&login.session).await?;
            if let Some(key) = key {
                leases.keep(key, login.keep(), warrant.principal().clone());
            }
            Ok(granted)
        })
    }
}

/// One exchange.
struct Visit<'a> {
    config: &'a VaultConfig,
    api: &'a Arc<Api>,
    path: &'a str,
    now: Timestamp,
}

impl Visit<'_> {
    async fn login(&self, role: &str, subject: &Subject) -> Result<Session, ExchangeError> {
        let path = format!("auth/{}/login", self.config.mount);
        let body = || {
            let mut login = Login::new();
            login.field("role", role);
            match subject {
                Subject::Caller(token) => login.subject("jwt", token),
                Subject::Step(material) => login.secret("jwt", material.token().ok_or_else(no_token)?),
            };
            Ok(Some(login.into_body()))
        };
        let answer = self.api.post(&path, None, body).await?.map_err(Refused::of_login)?;
        let login = answer::login(&answer)?;
        Ok(Session::new(self.api.clone(), login, self.now))
    }

    /// What a session that is kept gives once more; None when it is no good any more.
    async fn again(&self, session: &Arc<Session>) -> Result<Option<Granted>, ExchangeError> {
        if session.is_due(self.now) && !session.renew(self.now).await? {
            return Ok(None);
        }
        match session.renewed_lease(self.now).await? {
            sessions::Renewed::Leased(secret, ends) => return Ok(Some(self.granted(secret, ends))),
            sessions::Renewed::Over => return Ok(None),
            sessions::Renewed::NoLease => {}
        }
        match self.read(session).await {
            Ok(granted) => Ok(Some(granted)),
            // The vault does not know the token any more, or its policy has changed: a new login tells.
            Err(ExchangeError::Denied { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, session: &Session) -> Result<Granted, ExchangeError> {
        let answer = self.api.get(self.path, session.token()).await?.map_err(Refused::of_read)?;
        let found = answer::secret(&answer)?;
        let secret = Arc::new(self.config.pick.from(&found.members)?);
        let ends = match found.lease {
            Some(lease) => session.leased(lease, secret.clone(), self.now),
            // Without an id it is a hint how often to look again (the key-value engine's first version).
            None => {
                self.now.plus(found.hint.map_or(self.config.refresh, |hint| hint.min(self.config.refresh)))
            }
        };
        Ok(self.granted(secret, ends))
    }

    fn granted(&self, secret: Arc<Secret>, ends: Timestamp) -> Granted {
        Granted {
            material: Material::Token(Secret::new(secret.expose().to_vec())),
            usable: Use::Bearer,
            expires: Some(ends),
            audience: Arc::new([self.path.into()]),
            scopes: Arc::new([]),
        }
    }
}

fn no_token() -> ExchangeError {
    ExchangeError::BadAnswer { problem: "the step before gave no token for the login".into() }
}
