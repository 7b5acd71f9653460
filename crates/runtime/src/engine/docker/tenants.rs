//! The instances that this program started, as the engine knows them: for the commands that list, show, stop and
//! remove them, and to find what a crashed gateway has left.

use std::collections::{HashMap, HashSet};

use bollard::container::LogOutput;
use bollard::query_parameters::{ListNetworksOptions, LogsOptions};
use futures_util::{Stream, StreamExt};

use super::Docker;
use super::ask;
use super::error::told;
use super::labels::{GATEWAY, INSTANCE, OWNER, SERVER, TRANSPORT, filter};
use crate::engine::EngineError;
use crate::launch::Ladder;

/// One instance's container, running or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The container's id.
    pub id: String,
    /// Name of the gateway that started it.
    pub owner: String,
    /// The running gateway that made it.
    gateway: String,
    /// The server's name in the configuration.
    pub server: String,
    /// The instance.
    pub instance: String,
    /// `stdio` or `http`.
    pub transport: String,
    /// The image, as the engine names it.
    pub image: String,
    /// `running`, `exited`, ...
    pub state: String,
    /// In words: `Up 5 minutes`, `Exited (137) 2 hours ago`.
    pub status: String,
    /// When it was made: seconds since 1970.
    pub created: i64,
}

/// A line, or part of one, of a server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// True for its error output.
    pub error: bool,
    /// What it wrote, with the time before it if that was asked for.
    pub bytes: Vec<u8>,
}

/// What was taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Containers.
    pub containers: usize,
    /// Networks.
    pub networks: usize,
    /// Containers that another gateway of this name, which is at work, has made: they were left alone.
    pub spared: usize,
}

impl Docker {
    /// All instances; of one gateway only, if one is named.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn list(&self, owner: Option<&str>) -> Result<Vec<Tenant>, EngineError> {
        let found = ask::list(self.address(), &filter(owner)).await?;
        let mut tenants: Vec<Tenant> = found
            .into_iter()
            .map(|listed| {
                let labels = listed.labels.unwrap_or_default();
                let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
                Tenant {
                    owner: label(OWNER),
                    gateway: label(GATEWAY),
                    server: label(SERVER),
                    instance: label(INSTANCE),
                    transport: label(TRANSPORT),
                    id: listed.id,
                    image: listed.image,
                    state: listed.state,
                    status: listed.status,
                    created: listed.created,
                }
            })
            .collect();
        tenants.sort_by(|a, b| (&a.server, a.created, &a.instance).cmp(&(&b.server, b.created, &b.instance)));
        Ok(tenants)
    }

    /// The log of a server that is spoken to over HTTP: its last `tail` lines (None: all that is kept), and with
    /// `follow` what it writes from now on, until it ends. What one that is spoken to over its standard streams
    /// writes is not kept by the engine.
    pub fn logs(
        &self,
        id: &str,
        tail: Option<usize>,
        follow: bool,
        timestamps: bool,
    ) -> impl Stream<Item = Result<Line, EngineError>> + Send + use<> {
        let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options =
            LogsOptions { follow, stdout: true, stderr: true, timestamps, tail, ..LogsOptions::default() };
        let lines = self.api().logs(id, Some(options)).map(|line| match line {
            Ok(LogOutput::StdErr { message }) => Ok(Line { error: true, bytes: message.to_vec() }),
            Ok(other) => Ok(Line { error: false, bytes: other.into_bytes().to_vec() }),
            Err(error) => Err(told(error)),
        });
        lines.boxed()
    }

    /// Ends an instance, whoever started it, and leaves it to be looked at.
    ///
    /// # Errors
    /// When there is none of that id, or the engine does not answer.
    pub async fn stop(&self, id: &str, ladder: Ladder) -> Result<(), EngineError> {
        let seconds = i32::try_from(ladder.term.as_secs()).unwrap_or(i32::MAX);
        let options = bollard::query_parameters::StopContainerOptions {
            t: Some(seconds),
            signal: Some("SIGTERM".to_owned()),
        };
        match self.api().stop_container(id, Some(options)).await {
            // It has ended already.
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 304, .. }) => Ok(()),
            other => other.map_err(told),
        }
    }

    /// Removes an instance with its network, running or not.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn remove(&self, tenant: &Tenant) -> Result<(), EngineError> {
        self.remove_container(&tenant.id).await?;
        let mut one = filter(Some(&tenant.owner));
        one.entry("label".to_owned()).or_default().push(format!("{INSTANCE}={}", tenant.instance));
        for network in self.networks(one).await? {
            self.remove_network(&network.id).await?;
        }
        Ok(())
    }

    /// Removes what a gateway of this name has left behind: containers, networks, in-memory files. `alive` says which
    /// instances are in use. Where another gateway of this name is at work, what is its own stays.
    ///
    /// # Errors
    /// When the engine does not answer, or something cannot be removed.
    pub async fn sweep(&self, alive: impl Fn(&str) -> bool) -> Result<Swept, EngineError> {
        let owner = Some(&*self.settings().owner);
        let (tenants, networks) = (self.list(owner).await?, self.networks(filter(owner)).await?);
        let mut others = HashSet::new();
        let gateways = tenants.iter().map(|tenant| &tenant.gateway);
        for gateway in gateways.chain(networks.iter().map(|network| &network.gateway)).collect::<HashSet<_>>()
        {
            if self.is_anothers(gateway).await? {
                others.insert(gateway.as_str());
            }
        }
        let theirs: HashSet<&str> = tenants
            .iter()
            .filter(|tenant| others.contains(tenant.gateway.as_str()))
            .map(|tenant| tenant.instance.as_str())
            .collect();
        let stays = |instance: &str| alive(instance) || theirs.contains(instance);
        let mut swept = Swept { spared: theirs.len(), ..Swept::default() };
        for tenant in tenants.iter().filter(|tenant| !stays(&tenant.instance)) {
            self.remove(tenant).await?;
            swept.containers += 1;
        }
        // Those of containers are gone with them.
        for network in self.networks(filter(owner)).await? {
            if !stays(&network.instance) && !others.contains(network.gateway.as_str()) {
                self.remove_network(&network.id).await?;
                swept.networks += 1;
            }
        }
        if let Ok(shelves) = self.shelves() {
            shelves.sweep(stays);
        }
        Ok(swept)
    }

    /// How many networks this gateway's instances have, running or not.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn count_networks(&self) -> Result<usize, EngineError> {
        Ok(self.networks(filter(Some(&self.settings().owner))).await?.len())
    }

    async fn networks(&self, filters: HashMap<String, Vec<String>>) -> Result<Vec<Made>, EngineError> {
        let options = ListNetworksOptions { filters: Some(filters) };
        let found = self.api().list_networks(Some(options)).await.map_err(told)?;
        let made = |network: bollard::models::Network| {
            let mut labels = network.labels.unwrap_or_default();
            let mut label = |name: &str| labels.remove(name).unwrap_or_default();
            Some(Made { instance: label(INSTANCE), gateway: label(GATEWAY), id: network.id? })
        };
        Ok(found.into_iter().filter_map(made).collect())
    }

    async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        if let Some(own) = self.own_container() {
            let _ = self.leave(id, own).await;
        }
        missing_is_fine(self.api().remove_network(id).await.map_err(told))
    }
}

/// A network of an instance.
struct Made {
    id: String,
    instance: String,
    gateway: String,
}

fn missing_is_fine(done: Result<(), EngineError>) -> Result<(), EngineError> {
    match done {
        Err(EngineError::Missing(_)) => Ok(()),
        other => other,
    }
}
