//! The keeper of the lock file: what the path has seen is written down, off the path, and what was approved in the file,
//! by a person or by another gateway, is put to work.

mod address;
mod inbox;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use safeconduct_core::audit::{Sink, Trail};
use safeconduct_core::pins::{Note, Pins, Seen};
use safeconduct_core::refusal::Reason;
use safeconduct_core::server::Server;
use safeconduct_proxy::request_id;
use safeconduct_runtime::engine::docker::Images;
use serde_json::json;

use self::address::address;
use self::inbox::{Desk, Inbox, Sighting, What};
use super::Failed;
use super::running::Inner;
use crate::config::plan::ServerPlan;
use crate::lock::{self, Admitted, Lock, Stamp, Store, Unusable};

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// What comes together is written together.
const TOGETHER: Duration = Duration::from_millis(50);

/// See the module.
pub(super) struct Keeper {
    store: Store,
    inbox: Arc<Inbox>,
    sink: Arc<dyn Sink>,
    state: Mutex<State>,
}

struct State {
    lock: Lock,
    stamp: Stamp,
    /// Why the file is of no use now.
    trouble: Option<String>,
    pins: Vec<Kept>,
    /// Those of a plan that may come to work.
    coming: Vec<Kept>,
    /// The servers of the plan at work.
    servers: HashMap<String, Arc<Server>>,
}

/// The pins of one server.
struct Kept {
    server: String,
    at: String,
    pins: Arc<Pins>,
}

/// Tools of a server that are pinned to something else than before.
pub(super) struct Repinned {
    server: String,
    tools: Vec<Box<str>>,
}

/// An image by tag that has become another one does not run until it is approved. Whoever writes another reference into
/// the configuration approves what it stands for.
impl Images for Keeper {
    fn admit(&self, server: &str, reference: &str, moves: bool, id: &str) -> Result<(), String> {
        let mut state = self.state();
        let Some(kept) = state.kept(server) else { return Ok(()) };
        let (address, first_use) = (kept.at.clone(), kept.pins.first_use());
        let admitted = state.lock.entry_mut(server, &address).admit(reference, moves, id);
        drop(state);
        if admitted != Admitted::Same {
            let (server, at) = (server.to_owned(), self.sink.now());
            let (reference, id) = (reference.to_owned(), id.to_owned());
            let what = What::Image { reference, moves, id, admitted };
            self.inbox.put(Sighting { server, address, first_use, at, what });
        }
        if admitted.fits() {
            return Ok(());
        }
        Err(format!(
            "the image {reference} is not the one that was approved: see `safeconduct lock diff`, then \
             `safeconduct lock approve --server {server}`"
        ))
    }
}

impl Keeper {
    /// Reads the file, if it is there.
    ///
    /// # Errors
    /// A file that cannot be read, or is no lock file: what was approved is not known.
    pub(super) fn open(path: &Path, sink: Arc<dyn Sink>) -> Result<Arc<Self>, Failed> {
        let store = Store::at(path);
        let stamp = store.stamp();
        let lock = store.read().map_err(|error| Failed::of("lock", error))?;
        let (pins, coming) = (Vec::new(), Vec::new());
        let state = State { lock, stamp, trouble: None, pins, coming, servers: HashMap::new() };
        Ok(Arc::new(Self { store, inbox: Arc::default(), sink, state: Mutex::new(state) }))
    }

    /// The servers of the plan that is at work from now on.
    pub(super) fn known<'a>(&self, servers: impl IntoIterator<Item = &'a Arc<Server>>) {
        let by_name = |server: &Arc<Server>| (server.name.to_string(), server.clone());
        let servers: HashMap<_, _> = servers.into_iter().map(by_name).collect();
        let used = |kept: &Kept| {
            let pins = servers.get(&kept.server).and_then(|server| server.pins.as_ref());
            pins.is_some_and(|pins| Arc::ptr_eq(pins, &kept.pins))
        };
        let mut state = self.state();
        let coming = std::mem::take(&mut state.coming);
        state.pins.extend(coming);
        state.pins.retain(used);
        state.servers = servers;
    }

    /// What the tools of a server are pinned to; the same for all plans that mean the same server.
    pub(super) fn pins(&self, server: &ServerPlan) -> Option<Arc<Pins>> {
        let (first_use, at) = (server.pin?, address(server));
        let mut state = self.state();
        let known = |kept: &Kept| kept.at == at && kept.pins.first_use() == first_use;
        let pins = state.kept(&server.name).filter(|kept| known(kept)).map(|kept| kept.pins.clone());
        if pins.is_some() {
            return pins;
        }
        let desk = Desk { inbox: self.inbox.clone(), address: at.clone(), first_use };
        let pinned = state.lock.entry(&server.name, &at).map(lock::Entry::pinned).unwrap_or_default();
        let pins = Arc::new(Pins::new(&server.name, first_use, pinned, Arc::new(desk)));
        state.coming.push(Kept { server: server.name.clone(), at, pins: pins.clone() });
        Some(pins)
    }

    /// Writes down what was seen, and puts to work what others wrote. Blocks.
    pub(super) fn turn(&self) -> Vec<Repinned> {
        let seen = self.inbox.take();
        if !seen.is_empty() {
            return self.write(&seen);
        }
        let stamp = self.store.stamp();
        if stamp == self.state().stamp { Vec::new() } else { self.read(stamp) }
    }

    fn write(&self, seen: &[Sighting]) -> Vec<Repinned> {
        let mut state = self.state();
        // What a call of an earlier plan has seen of another server by this name is of no use to this one.
        let meant = |seen: &&Sighting| state.kept(&seen.server).is_some_and(|kept| kept.at == seen.address);
        let seen: Vec<&Sighting> = seen.iter().filter(meant).collect();
        let note = |lock: &mut Lock| seen.iter().for_each(|sighting| sighting.note(lock));
        let repinned = match self.store.change(note) {
            Ok((lock, (), stamp)) => {
                state.settle(Ok(()));
                state.adopt(lock, stamp)
            }
            Err(error) => {
                // What holds in memory holds on; it is lost with this program.
                note(&mut state.lock);
                state.settle(Err(error));
                Vec::new()
            }
        };
        let lock = state.lock.clone();
        drop(state);
        seen.iter().for_each(|sighting| self.call_out(sighting, &lock));
        repinned
    }

    /// A file that was there and is not there any more: everything is pinned anew.
    fn read(&self, stamp: Stamp) -> Vec<Repinned> {
        let read = self.store.read();
        let mut state = self.state();
        match read {
            Ok(lock) => {
                state.settle(Ok(()));
                tracing::info!("{}: read again", self.store.path().display());
                state.adopt(lock, stamp)
            }
            Err(error) => {
                state.stamp = stamp;
                state.settle(Err(error));
                Vec::new()
            }
        }
    }

    /// A change is a line of the log and of the audit log.
    fn call_out(&self, sighting: &Sighting, lock: &Lock) {
        let Sighting { server, address, .. } = sighting;
        let (definition, seen) = match &sighting.what {
            What::Tool(Note::Tool(definition, seen)) => (definition, seen),
            What::Image { reference, id, admitted: Admitted::Changed, .. } => {
                tracing::warn!(
                    server,
                    image = reference,
                    id,
                    "quarantined: the tag stands for another image"
                );
                return self.record(server, reference, format!("the tag stands for another image: {id}"));
            }
            _ => return,
        };
        let tool = lock.entry(server, address).and_then(|entry| entry.tools.get(&*definition.name));
        let detail = match (seen, tool.and_then(|tool| tool.pinned.as_ref().zip(tool.quarantined.as_ref()))) {
            (Seen::New, _) => "a new tool".to_owned(),
            (Seen::Changed, Some((pinned, became))) => {
                format!("changed: {}", lock::headline(pinned, became))
            }
            (Seen::Changed, None) => "changed".to_owned(),
            (Seen::Back, _) => {
                tracing::info!(server, tool = &*definition.name, "the tool is what it was: shown again");
                return;
            }
            (Seen::First | Seen::Same | Seen::Quarantined, _) => return,
        };
        tracing::warn!(
            server,
            tool = &*definition.name,
            "quarantined ({detail}): see `safeconduct lock diff`, then `safeconduct lock approve`"
        );
        self.record(server, &definition.name, detail);
    }

    fn record(&self, server: &str, target: &str, detail: String) {
        let known = self.state().servers.get(server).cloned();
        let mut trail = Trail::open(self.sink.clone(), request_id::next(self.sink.now()));
        trail.note(|record| {
            record.server = known;
            record.method = Some("lock/quarantine".into());
            record.target = Some(target.into());
        });
        trail.refused(&Reason::Quarantined("a change"), detail, 0);
    }

    /// For the status.
    pub(super) fn status(&self) -> serde_json::Value {
        let state = self.state();
        let servers: Vec<_> = state
            .entries()
            .map(|(name, entry)| {
                let image = entry.image.as_ref().and_then(|image| image.quarantined.as_ref());
                json!({
                    "server": name,
                    "pinned": entry.tools.values().filter(|tool| tool.pinned.is_some()).count(),
                    "quarantined": entry.quarantined().collect::<Vec<_>>(),
                    "image_quarantined": image,
                })
            })
            .collect();
        json!({"file": self.store.path(), "error": state.trouble, "servers": servers})
    }

    /// How many tools of each server are quarantined.
    pub(super) fn quarantined(&self) -> Vec<(String, usize)> {
        self.state().entries().map(|(name, entry)| (name.to_owned(), entry.quarantined().count())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn kept(&self, server: &str) -> Option<&Kept> {
        self.pins.iter().find(|kept| kept.server == server)
    }

    /// The entries of the servers of the plan at work that are pinned.
    fn entries(&self) -> impl Iterator<Item = (&str, &lock::Entry)> {
        self.pins
            .iter()
            .filter_map(|kept| Some((kept.server.as_str(), self.lock.entry(&kept.server, &kept.at)?)))
    }

    fn adopt(&mut self, lock: Lock, stamp: Stamp) -> Vec<Repinned> {
        (self.lock, self.stamp) = (lock, stamp);
        let repin = |kept: &Kept| {
            let pinned = self.lock.entry(&kept.server, &kept.at).map(lock::Entry::pinned);
            let tools = kept.pins.replace(pinned.unwrap_or_default());
            (!tools.is_empty()).then(|| Repinned { server: kept.server.clone(), tools })
        };
        self.pins.iter().filter_map(repin).collect()
    }

    /// Trouble is told when it begins, and when it ends.
    fn settle(&mut self, result: Result<(), Unusable>) {
        let trouble = result.err().map(|error| error.to_string());
        match &trouble {
            _ if trouble == self.trouble => {}
            Some(why) => tracing::error!("{why}; tools are pinned in memory only"),
            None => tracing::info!("the lock file is written again"),
        }
        self.trouble = trouble;
    }
}

/// The pins of a server as the file has them, for a look without a gateway.
///
/// # Errors
/// As [`Keeper::open`].
pub(super) fn as_written(path: &Path, server: &ServerPlan) -> Result<Option<Arc<Pins>>, Failed> {
    let Some(first_use) = server.pin else { return Ok(None) };
    let lock = Store::at(path).read().map_err(|error| Failed::of("lock", error))?;
    let address = address(server);
    let pinned = lock.entry(&server.name, &address).map(lock::Entry::pinned).unwrap_or_default();
    let nowhere = Desk { inbox: Arc::default(), address, first_use };
    Ok(Some(Arc::new(Pins::new(&server.name, first_use, pinned, Arc::new(nowhere)))))
}

/// Keeps the file for as long as the gateway runs.
pub(super) async fn keep(inner: Arc<Inner>) {
    loop {
        let woken = tokio::time::timeout(EVERY, inner.house.keeper.inbox.wake.notified()).await;
        if woken.is_ok() {
            tokio::time::sleep(TOGETHER).await;
        }
        let worker = inner.clone();
        let turned = tokio::task::spawn_blocking(move || worker.house.keeper.turn()).await;
        let repinned = turned.unwrap_or_default();
        if !repinned.is_empty() {
            inner.repinned(&repinned);
        }
    }
}

impl Inner {
    /// What a tool said of itself is not what it says now, and whoever listens is told to ask for the list.
    fn repinned(&self, repinned: &[Repinned]) {
        let gateway = self.shared.gateway.load_full();
        for Repinned { server, tools } in repinned {
            tracing::info!(server, tools = tools.join(" "), "pinned anew");
            let known = gateway.entrance.servers.values().filter(|known| *known.name == **server);
            known.for_each(|known| known.catalogue.forget(tools));
        }
        self.lists.send_modify(|count| *count += 1);
    }
}
