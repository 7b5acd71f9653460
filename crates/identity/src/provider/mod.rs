//! Where credentials come from: one file a provider.
//!
//! A new provider is one file here (its configuration, a pure request builder, [`Provider::exchange`], module
//! docs with the links and what an administrator must set up), one row in the table of `tests/`, and a
//! constructor call where the configuration is resolved. Everything around it (the cache, single flight, the
//! breaker, negative answers, refresh) is the same for all.

mod answer;
pub mod aws;
mod classify;
mod client_credentials;
mod entra_obo;
mod exchange;
mod google;
mod id_jag;
mod issued;
mod jwt_bearer;
mod kind;
mod oauth;
mod pick;
pub mod said;
mod static_secret;
mod vault;

pub(crate) use answer::TokenText;
pub use classify::ExchangeError;
pub use client_credentials::{ClientCredentials, ClientCredentialsConfig};
pub use entra_obo::{EntraObo, EntraOboConfig, EntraOboConfigError, PUBLIC_CLOUD};
pub use exchange::{Actor, Exchange, ExchangeConfig, ExchangeConfigError, RequestedType};
pub use google::{
    AccessBoundary, AccessCondition, AccessRule, GoogleIdToken, GoogleIdTokenConfig, GoogleImpersonate,
    GoogleImpersonateConfig, GoogleSts, GoogleStsConfig, GoogleStsOptions, ServiceAccounts,
};
pub use id_jag::{Deviation, IdJag, IdJagConfig, IdJagConfigError};
pub use jwt_bearer::{JwtBearer, JwtBearerConfig};
pub use oauth::{
    AudienceCheck, BadTarget, BroaderScope, Expected, IssuedTypeCheck, Step, Targets, TokenEndpoint,
    token_type,
};
pub use pick::Pick;
pub use static_secret::StaticSecret;
pub use vault::{Leases, Vault, VaultConfig, VaultConfigError};

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::caller::{Principal, SubjectToken};
use safeconduct_core::credential::{Form, Warrant};
use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;

use crate::cache::Fields;
use crate::template::MissingClaim;

/// An exchange under way. It owns what it needs, so that it outlives the call that began it.
pub type Exchanging = Pin<Box<dyn Future<Output = Result<Granted, ExchangeError>> + Send + 'static>>;

/// How long a caller whose token was refused is not asked for again, where nothing is known of the provider.
pub const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// Names and values of a request.
pub type Preview = Vec<(Box<str>, Box<str>)>;

/// One step of a chain: turns a subject into a credential of the next domain.
pub trait Provider: Send + Sync {
    /// Name of the step as it stands in the configuration: `exchange`.
    fn name(&self) -> &'static str;

    /// What it is configured to do, for `explain`. Never a secret.
    fn description(&self) -> Description;

    /// Adds everything of the configuration that shapes the answer. Hashed once, when the plan is made: a step
    /// whose hash is unchanged by a reload keeps its cached credentials, a changed one cannot reach them.
    fn identify(&self, fields: &mut Fields);

    /// Adds what the caller's claims make of the configuration's templates.
    ///
    /// # Errors
    /// A claim that is not there.
    fn inputs(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim>;

    /// What it would send for this caller, in order, for `explain`. `subject` are the words for what it is given;
    /// tokens and secrets stand as `<...>`.
    ///
    /// # Errors
    /// A claim that is not there.
    fn preview(&self, caller: &Principal, subject: &str) -> Result<Preview, MissingClaim>;

    /// Whom it asks; None for what asks no one.
    fn counterpart(&self) -> Option<Counterpart<'_>>;

    /// Longest time that an answer is kept, whatever it says.
    fn max_lifetime(&self) -> Duration;

    /// How long a caller whom it refused is not asked for again.
    fn pause_after_refusal(&self) -> Duration {
        PAUSE_AFTER_REFUSAL
    }

    /// Whose the answer is.
    fn whose(&self) -> Whose {
        Whose::Subject
    }

    /// How often it may present what it is given.
    fn subject_use(&self) -> SubjectUse {
        SubjectUse::Any
    }

    /// Whether it can ask for a login that satisfies a server's challenge ([`Warrant::challenge`]): then it is asked anew
    /// when a server wants one, and what it gives is kept apart. Else the challenge goes to the caller.
    fn heeds_challenges(&self) -> bool {
        false
    }

    /// What this gave for this caller is not to be used: the server refuses it, or the caller's login was ended. Nothing
    /// that is kept of it may be given again.
    fn spent(&self, _warrant: &Warrant) {}

    /// Asks. The warrant proves that the call was permitted.
    fn exchange(&self, warrant: &Warrant, subject: Subject, now: Timestamp) -> Exchanging;
}

/// Whose a step's answer is: what decides whether callers share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of whoever the subject is.
    Subject,
    /// The caller's, whatever the step before gave.
    Caller,
    /// This program's own, the same for all callers, whatever the step before gave.
    Gateway,
}

/// How often a subject may be presented to a step's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectUse {
    /// As often as it lives.
    Any,
    /// Again after an answer; after none it may be used up, and a new one is got (edge case 54).
    Answered,
    /// Once: the step before is asked anew each time.
    Once,
}

/// Whom a provider asks, and as whom: what breakers, limits and the state of a refused client are kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counterpart<'a> {
    /// URL of the token endpoint.
    pub endpoint: &'a str,
    /// `client_id`, or empty.
    pub client: &'a str,
}

/// What a step would do, in the words of the configuration (templates unfilled).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Description {
    /// Name of the step, with its position where the name occurs twice: `exchange[2]`.
    pub step: Box<str>,
    /// URL that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Box<str>>,
    /// `client_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Box<str>>,
    /// How the client authenticates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<&'static str>,
    /// Audiences and resources asked for.
    pub audience: Vec<Box<str>>,
    /// Scopes asked for.
    pub scopes: Vec<Box<str>>,
}

/// What a step is given to turn into something else.
#[derive(Clone)]
pub enum Subject {
    /// The caller's verified token: the first step's.
    Caller(SubjectToken),
    /// What the step before was granted.
    Step(Arc<Material>),
}

impl Subject {
    /// Writes it into a token endpoint's form.
    ///
    /// # Errors
    /// `BadAnswer` when the step before gave AWS keys, which no token endpoint takes.
    pub fn write(&self, form: &mut Form, name: &str) -> Result<(), ExchangeError> {
        match self {
            Self::Caller(token) => form.subject(name, token),
            Self::Step(material) => form.secret(name, material.subject().ok_or_else(no_token)?),
        };
        Ok(())
    }

    /// True when `token` is the subject itself: an answer that only hands the subject back.
    pub fn is(&self, token: &Secret) -> bool {
        match self {
            Self::Caller(subject) => subject.is(token),
            Self::Step(material) => material.subject().is_some_and(|subject| {
                aws_lc_rs::constant_time::verify_slices_are_equal(subject.expose(), token.expose()).is_ok()
            }),
        }
    }
}

/// What a token is good for (RFC 8693 §2.2.1 `token_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// May be presented to a resource.
    Bearer,
    /// `N_A`: only the next step's subject.
    SubjectOnly,
}

/// What a provider gave.
pub struct Granted {
    /// The token, or the keys.
    pub material: Material,
    /// What it is good for.
    pub usable: Use,
    /// When the issuer says that it ends; at the time of asking, when it says that it must not be kept. None for
    /// what does not end.
    pub expires: Option<Timestamp>,
    /// Audiences asked for; where none were, those that the issued token names.
    pub audience: Arc<[Box<str>]>,
    /// Scopes granted.
    pub scopes: Arc<[Box<str>]>,
}

fn no_token() -> ExchangeError {
    ExchangeError::BadAnswer { problem: "the step before gave AWS keys where a token is needed".into() }
}
