//! How a caller's own short-lived credential comes to the instance that serves this caller.
//!
//! One file a delivery. [`mod@env`] and [`mod@file`] put it where the server is told to look; [`gcp_metadata`],
//! [`aws_container`] and [`azure_identity`] are what the clouds' own SDKs ask without being told, inside the network of
//! that one instance. In all of them the image holds no secret and the server no code.
//!
//! What is served stands in a [`slot`], which every permitted call of the caller renews.

use std::sync::Arc;

use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;

use crate::engine::{Doing, EngineError, Instance, Place};
use crate::launch::Launch;
use crate::masks::Masks;

pub mod aws_container;
pub mod azure_identity;
mod bearer;
mod brought;
mod delivered;
mod endpoint;
pub mod env;
pub mod file;
pub mod gcp_metadata;
mod query;
mod reply;
pub mod slot;

pub use self::bearer::NoRandomness;
pub use self::brought::Brought;
pub use self::delivered::{Delivered, Prepared};

/// How a server takes the credential of the caller that its instance serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In its environment.
    Env(env::Env),
    /// In an in-memory file.
    File(file::File),
    /// From a Google metadata server.
    GcpMetadata(gcp_metadata::GcpMetadata),
    /// From Amazon's container credentials or instance metadata.
    AwsContainer(aws_container::AwsContainer),
    /// From an Azure managed identity.
    AzureIdentity(azure_identity::AzureIdentity),
}

/// A credential was not delivered. The texts are the operator's; none holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// AWS keys for a token's delivery, or the other way round, or a token that is bound to a key of this program.
    #[error("what was granted is not of the kind that the server's delivery takes")]
    Kind,
    /// See [`NoRandomness`].
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl Delivery {
    /// Whether every caller has an instance of their own, also of a server that is spoken to over HTTP: what an
    /// instance is given is one caller's.
    pub fn is_per_caller(&self) -> bool {
        match self {
            Self::Env(_)
            | Self::File(_)
            | Self::GcpMetadata(_)
            | Self::AwsContainer(_)
            | Self::AzureIdentity(_) => true,
        }
    }

    /// Whether it takes AWS keys, and not a token: what the last step of a server's chain must give.
    pub fn takes_keys(&self) -> bool {
        match self {
            Self::Env(env) => matches!(env, env::Env::Aws { .. }),
            Self::File(file) => file.format == file::Format::AwsProfile,
            Self::AwsContainer(_) => true,
            Self::GcpMetadata(_) | Self::AzureIdentity(_) => false,
        }
    }

    fn takes(&self, material: &Material) -> Result<(), DeliveryError> {
        // A token that goes with a proof is neither: the key that proves does not leave this program.
        let fits = if self.takes_keys() { material.aws().is_some() } else { material.token().is_some() };
        if fits { Ok(()) } else { Err(DeliveryError::Kind) }
    }
}

impl From<DeliveryError> for EngineError {
    fn from(error: DeliveryError) -> Self {
        Self::Forbidden(error.to_string())
    }
}

/// The names of the variable that lists hosts which are asked without a proxy.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Variables and their values.
pub type Environment = Vec<(String, Secret)>;

fn variable(name: &str, value: Secret) -> (String, Secret) {
    (name.to_owned(), value)
}

/// A value that is no secret, in the type that a variable's value has.
fn plain(value: &str) -> Secret {
    Secret::new(value.as_bytes().to_vec())
}

fn copy(secret: &Secret) -> Secret {
    Secret::new(secret.expose().to_vec())
}

/// What one permitted call brings along: the caller's credential at hand, and how this server takes it.
pub trait Deliver: Send + Sync + 'static {
    /// What stays with an instance for as long as it is kept: open endpoints, the names of files to renew. Dropped,
    /// its endpoints close.
    type Delivered: Send + Sync + 'static;

    /// Before an instance runs: adds variables and files to its launch, opens endpoints at the place's gateway. All
    /// that is secret and can come out of the process again is made known to `masks`; what the launch holds is already.
    ///
    /// # Errors
    /// The instance is not started then.
    fn board<'a>(
        &'a self,
        place: &'a dyn Place,
        launch: &'a mut Launch,
        masks: &'a Arc<Masks>,
    ) -> Doing<'a, Self::Delivered>;

    /// The instance runs: now the address that it asks from is known.
    ///
    /// # Errors
    /// The instance is stopped then.
    fn started<'a>(
        &'a self,
        delivered: &'a Self::Delivered,
        instance: &'a Arc<dyn Instance>,
    ) -> Doing<'a, ()>;

    /// A later call of the same caller came, with a credential that may be newer. Cheap when it is not.
    ///
    /// # Errors
    /// The call is refused then; the instance stays.
    fn refresh<'a>(
        &'a self,
        delivered: &'a Self::Delivered,
        instance: &'a dyn Instance,
    ) -> Doing<'a, Freshness>;

    /// The instance is about to be ended: what it was given is taken back as far as that is possible.
    ///
    /// # Errors
    /// The instance is ended all the same.
    fn clear<'a>(&'a self, delivered: &'a Self::Delivered, instance: &'a dyn Instance) -> Doing<'a, ()>;
}

/// Whether a running instance can go on with what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It can: nothing changed, or the newer credential reached it.
    Fresh,
    /// What it was started with has ended and cannot be replaced while it runs (a variable): another is started.
    Stale,
}

/// Nothing to deliver: `credential: none`, or one that travels in the request's headers.
pub struct Nothing;

impl Deliver for Nothing {
    type Delivered = ();

    fn board<'a>(&'a self, _: &'a dyn Place, _: &'a mut Launch, _: &'a Arc<Masks>) -> Doing<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn started<'a>(&'a self, (): &'a (), _: &'a Arc<dyn Instance>) -> Doing<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn refresh<'a>(&'a self, (): &'a (), _: &'a dyn Instance) -> Doing<'a, Freshness> {
        Box::pin(async { Ok(Freshness::Fresh) })
    }

    fn clear<'a>(&'a self, (): &'a (), _: &'a dyn Instance) -> Doing<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
