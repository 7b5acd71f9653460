//! A credential on its way into one instance: prepared before the instance runs, kept up to date while it does.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use safeconduct_core::secret::Secret;
use tokio::task::AbortHandle;

use super::bearer::Bearer;
use super::endpoint::Endpoint;
use super::file::Kept;
use super::slot::{Held, Renew, Slot};
use super::{Delivery, DeliveryError, Environment, Freshness, NO_PROXY, azure_identity, plain, variable};
use crate::engine::{EngineError, Instance, Listener, Place};
use crate::masks::Masks;

/// A call does not begin on a variable whose credential holds for less than this.
const OUTLIVED: Duration = Duration::from_secs(60);

/// What an instance is to be started with.
pub struct Prepared {
    /// Variables to be added to its launch; `NO_PROXY` and `no_proxy` to what it has of that name.
    pub environment: Environment,
    /// In-memory files to be added to its launch.
    pub files: Vec<(PathBuf, Secret)>,
    /// What stays with it. What its SDKs ask before it is served waits.
    pub delivered: Delivered,
}

/// What keeps an instance's credential up to date. Dropped, its endpoint is closed and its file is replaced no more.
pub struct Delivered {
    kind: Delivery,
    slot: Arc<Slot>,
    way: Way,
}

enum Way {
    /// Once only: what it was started with.
    Environment(Arc<Slot>),
    /// In a file, replaced while the instance runs.
    File(Arc<Kept>, Mutex<Option<Rotation>>),
    /// Answered to whoever asks from inside.
    Endpoint { _open: Endpoint },
}

/// A file's rotation; ends when dropped.
struct Rotation(AbortHandle);

impl Drop for Rotation {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Delivery {
    /// Prepares what the instance that will run at `place` is to be started with. What is secret of it, now and
    /// later, is made known to `masks`. Endpoints are served on the current runtime.
    ///
    /// # Errors
    /// [`super::DeliveryError`], and when no endpoint can be opened at the place.
    pub async fn prepare(
        &self,
        place: &dyn Place,
        held: Held,
        renew: Option<Arc<dyn Renew>>,
        masks: &Arc<Masks>,
    ) -> Result<Prepared, EngineError> {
        self.takes(&held.material)?;
        let slot = Slot::new(held.clone(), renew, masks.clone());
        let open =
            |listener, protocol| Way::Endpoint { _open: Endpoint::open(listener, protocol, slot.clone()) };
        let mut files = Vec::new();
        let (environment, way) = match self {
            Self::Env(env) => {
                let environment = env.environment(&held.material)?;
                (environment, Way::Environment(Slot::new(held, None, masks.clone())))
            }
            Self::File(file) => {
                files.push((file.path.clone(), file.content(&held.material)?));
                let kept = Arc::new(Kept::new(file.clone(), slot.clone(), held.material));
                (file.environment(), Way::File(kept, Mutex::default()))
            }
            Self::GcpMetadata(about) => {
                let listener = place.listen(0).await?;
                (
                    asked_at(&listener, about.environment(listener.address())),
                    open(listener, Arc::new(about.clone())),
                )
            }
            Self::AwsContainer(about) => {
                let listener = place.listen(0).await?;
                let (protocol, environment) = about.at(listener.address()).map_err(DeliveryError::from)?;
                (asked_at(&listener, environment), open(listener, protocol))
            }
            Self::AzureIdentity(about) => {
                let listener = place.listen(0).await?;
                let served = azure_identity::Served::new(about, Bearer::new().map_err(DeliveryError::from)?);
                (
                    asked_at(&listener, served.environment(listener.address())),
                    open(listener, Arc::new(served)),
                )
            }
        };
        let delivered = Delivered { kind: self.clone(), slot, way };
        Ok(Prepared { environment, files, delivered })
    }
}

impl Delivered {
    /// The instance runs: from now on its file is replaced.
    pub fn serve(&self, instance: &Arc<dyn Instance>) {
        if let Way::File(kept, rotation) = &self.way {
            let rotating = tokio::spawn(kept.clone().rotate(Arc::downgrade(instance)));
            *rotation.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Rotation(rotating.abort_handle()));
        }
    }

    /// A further call of the same caller came with this credential.
    ///
    /// # Errors
    /// When it is of the wrong kind, or the instance's file cannot be written.
    pub async fn update(
        &self,
        held: Held,
        renew: Option<Arc<dyn Renew>>,
        instance: &dyn Instance,
    ) -> Result<Freshness, EngineError> {
        self.kind.takes(&held.material)?;
        self.slot.put(held, renew);
        match &self.way {
            Way::Environment(started_with) if outlived(started_with, &self.slot) => Ok(Freshness::Stale),
            Way::File(kept, _) => kept.sync(instance).await.map(|()| Freshness::Fresh),
            Way::Environment(_) | Way::Endpoint { .. } => Ok(Freshness::Fresh),
        }
    }

    /// Takes the credential back (a logout, a revocation): endpoints answer that there is none, a file is emptied. What is
    /// in a process's environment stays there until the instance is stopped.
    ///
    /// # Errors
    /// When the instance's file cannot be written.
    pub async fn clear(&self, instance: &dyn Instance) -> Result<(), EngineError> {
        self.slot.clear();
        match &self.way {
            Way::File(kept, _) => kept.sync(instance).await,
            Way::Environment(_) | Way::Endpoint { .. } => Ok(()),
        }
    }
}

/// The SDKs ask an endpoint as they ask everything: by way of a proxy, where variables name one. Not this one.
fn asked_at(listener: &Listener, mut environment: Environment) -> Environment {
    let address = listener.address().ip().to_string();
    environment.extend(NO_PROXY.map(|name| variable(name, plain(&address))));
    environment
}

/// Whether what an instance was started with is about to end while something longer-lived is at hand.
fn outlived(started_with: &Slot, now: &Slot) -> bool {
    let before = started_with.present();
    match (before, now.present()) {
        (None, _) => true,
        (Some(before), Some(now)) => before.left < OUTLIVED && now.left > before.left,
        (Some(_), None) => false,
    }
}
