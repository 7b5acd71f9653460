//! Processes for a berth's bridge.

use std::sync::Weak;

use super::berth::Berth;
use super::error::BerthError;
use super::run;
use crate::delivery::Deliver;
use crate::stdio::{NotStarted, Spawn, Spawned, Starting};

/// Starts them.
pub(super) struct Spawner<D: Deliver>(pub(super) Weak<Berth<D>>);

impl<D: Deliver> Spawn for Spawner<D> {
    fn spawn(&self) -> Starting<'_> {
        Box::pin(async move {
            let berth = self.0.upgrade().ok_or_else(|| words(&BerthError::Stopping))?;
            let spawned = run::start(&berth).await.and_then(|held| {
                let run = held.run.clone();
                let none = || BerthError::NotReady("it has no standard streams".into());
                let pipes = run.instance.pipes().ok_or_else(none)?;
                Ok(Spawned {
                    instance: run.instance.clone(),
                    pipes,
                    log: run.log.clone(),
                    kept: Box::new(held),
                })
            });
            spawned.map_err(|error| {
                let words = words(&error);
                tracing::warn!(server = &*berth.serving().server, %error, "not started");
                berth.refuse(error);
                words
            })
        })
    }
}

fn words(error: &BerthError) -> NotStarted {
    NotStarted(error.for_caller().into())
}
