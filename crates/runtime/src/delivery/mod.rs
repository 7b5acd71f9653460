//! How a caller's own short-lived credential comes to the instance that serves this caller.

use std::sync::Arc;

use crate::engine::{Doing, Instance, Place};
use crate::launch::Launch;
use crate::masks::Masks;

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
}
