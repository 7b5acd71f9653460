//! What was made for one instance, to be taken away again: also when the start was broken off half-way.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::query_parameters::RemoveContainerOptions;

use super::Docker;
use super::error::told;
use super::shelf::Shelf;
use crate::engine::EngineError;

/// How often a removal is tried again, and after how long.
const ATTEMPTS: u32 = 300;
const PAUSE: Duration = Duration::from_millis(300);
/// Between two looks whether an engine that is gone is back.
const ABSENCE: Duration = Duration::from_secs(2);

/// Dropped with something left in it, it takes that away in the background.
pub(super) struct Made {
    docker: Docker,
    things: Mutex<Things>,
}

#[derive(Default)]
struct Things {
    container: Option<String>,
    network: Option<String>,
    /// Our own container joined the network.
    joined: Option<String>,
    shelf: Option<std::sync::Arc<Shelf>>,
}

impl Made {
    pub(super) fn new(docker: Docker) -> Self {
        Self { docker, things: Mutex::default() }
    }

    /// Notes what will be made, before it is asked for: an answer that nobody waits for any more makes it too.
    pub(super) fn container(&self, name: &str) {
        self.things().container = Some(name.to_owned());
    }

    pub(super) fn network(&self, name: &str, joined: Option<&str>) {
        let mut things = self.things();
        things.network = Some(name.to_owned());
        things.joined = joined.map(str::to_owned);
    }

    pub(super) fn shelf(&self, shelf: std::sync::Arc<Shelf>) {
        self.things().shelf = Some(shelf);
    }

    /// Takes all of it away. What could not be is kept in mind.
    pub(super) async fn take_away(&self) -> Result<(), EngineError> {
        let things = std::mem::take(&mut *self.things());
        let (left, result) = things.take_away(&self.docker).await;
        *self.things() = left;
        result
    }

    fn things(&self) -> std::sync::MutexGuard<'_, Things> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Things {
    fn is_empty(&self) -> bool {
        self.container.is_none() && self.network.is_none()
    }

    async fn take_away(mut self, docker: &Docker) -> (Self, Result<(), EngineError>) {
        let mut result = Ok(());
        if let Some(name) = &self.container {
            match docker.remove_container(name).await {
                Ok(()) => self.container = None,
                Err(error) => result = Err(error),
            }
        }
        if let Some(name) = &self.network {
            if let Some(own) = &self.joined {
                let _ = docker.leave(name, own).await;
            }
            match gone(docker.api().remove_network(name).await) {
                Ok(()) => self.network = None,
                Err(error) => result = result.and(Err(error)),
            }
        }
        self.shelf = None;
        (self, result)
    }
}

/// Does it to its end, also when nobody waits for it any more: a request that is broken off may have been heard.
pub(super) async fn to_its_end<T: Send + 'static>(
    doing: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, EngineError> {
    tokio::spawn(doing).await.unwrap_or_else(|error| Err(EngineError::Refused(error.to_string())))
}

impl Docker {
    /// Removes a container, running or not; one that is gone is removed. An engine that is in the middle of noticing
    /// its end refuses for a moment.
    pub(super) async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        let mut attempts = 0;
        loop {
            let options =
                RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
            let turn = self.turn().await;
            let removed = gone(self.api().remove_container(name, Some(options)).await);
            drop(turn);
            match removed {
                Err(EngineError::Refused(why)) if attempts < ATTEMPTS && passes(&why) => attempts += 1,
                other => return other,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Refusals that pass: Podman does not end what is about to end, Docker not what it is about to remove.
fn passes(why: &str) -> bool {
    [
        "state improper",
        "could not be stopped",
        "did not receive an exit event",
        "resource busy",
        "in progress",
    ]
    .iter()
    .any(|passing| why.contains(passing))
}

/// Removed, or not there any more.
fn gone(removed: Result<(), bollard::errors::Error>) -> Result<(), EngineError> {
    match removed.map_err(told) {
        Err(EngineError::Missing(_)) => Ok(()),
        // Another removal of the same thing is under way.
        Err(EngineError::Refused(why)) if why.contains("is already in progress") => Ok(()),
        other => other,
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let things = std::mem::take(self.things.get_mut().unwrap_or_else(PoisonError::into_inner));
        if things.is_empty() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let docker = self.docker.clone();
            runtime.spawn(async move {
                let mut things = things;
                loop {
                    match things.take_away(&docker).await {
                        (_, Ok(())) => return,
                        // It is taken away when the engine is back.
                        (left, Err(EngineError::Absent(_))) => things = left,
                        (_, Err(error)) => {
                            tracing::warn!(%error, "something of an instance was left behind");
                            return;
                        }
                    }
                    tokio::time::sleep(ABSENCE).await;
                }
            });
        }
    }
}
