//! What one permitted call brings along to the instance that serves its caller.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use safeconduct_core::caller::Principal;
use safeconduct_core::credential::Warrant;
use safeconduct_identity::acquire::Credentials;
use safeconduct_runtime::delivery::slot::{Held, Renew};
use safeconduct_runtime::delivery::{Brought, Deliver, Delivered, Freshness};
use safeconduct_runtime::engine::{Doing, Instance, Place};
use safeconduct_runtime::launch::Launch;
use safeconduct_runtime::masks::Masks;
use tokio::runtime::Handle;

use super::ways_out::WaysOut;

/// The caller, and the credential if it goes to the instance.
pub(super) struct Bringing {
    /// None: the instance is everybody's.
    pub(super) caller: Option<Arc<Principal>>,
    pub(super) brought: Option<Brought>,
    pub(super) ways_out: Arc<WaysOut>,
}

impl Deliver for Bringing {
    type Delivered = Option<Delivered>;

    fn board<'a>(
        &'a self,
        place: &'a dyn Place,
        launch: &'a mut Launch,
        masks: &'a Arc<Masks>,
    ) -> Doing<'a, Option<Delivered>> {
        Box::pin(async move {
            // Connections that it makes are this caller's, as far as the record is concerned.
            if let Some(caller) = &self.caller {
                self.ways_out.boards(&launch.instance, caller);
            }
            let Some(brought) = &self.brought else { return Ok(None) };
            brought.board(place, launch, masks).await.map(Some)
        })
    }

    fn started<'a>(
        &'a self,
        delivered: &'a Option<Delivered>,
        instance: &'a Arc<dyn Instance>,
    ) -> Doing<'a, ()> {
        Box::pin(async move {
            match (&self.brought, delivered) {
                (Some(brought), Some(delivered)) => brought.started(delivered, instance).await,
                _ => Ok(()),
            }
        })
    }

    fn refresh<'a>(
        &'a self,
        delivered: &'a Option<Delivered>,
        instance: &'a dyn Instance,
    ) -> Doing<'a, Freshness> {
        Box::pin(async move {
            match (&self.brought, delivered) {
                (Some(brought), Some(delivered)) => brought.refresh(delivered, instance).await,
                _ => Ok(Freshness::Fresh),
            }
        })
    }

    fn clear<'a>(&'a self, delivered: &'a Option<Delivered>, instance: &'a dyn Instance) -> Doing<'a, ()> {
        Box::pin(async move {
            match delivered {
                Some(delivered) => delivered.clear(instance).await,
                None => Ok(()),
            }
        })
    }
}

/// A server works on for longer than its credential lives: the warrant of the call that it works for gets another.
pub(super) struct Renewing {
    pub(super) credentials: Arc<Credentials>,
    pub(super) warrant: Warrant,
    pub(super) runtime: Handle,
}

impl Renew for Renewing {
    fn renew(&self) -> Pin<Box<dyn Future<Output = Option<Held>> + Send + '_>> {
        let (credentials, warrant) = (self.credentials.clone(), self.warrant.clone());
        let asked = self.runtime.spawn(async move { credentials.again(&warrant).await });
        Box::pin(async move { Held::of(&asked.await.ok()?.ok()?) })
    }
}
