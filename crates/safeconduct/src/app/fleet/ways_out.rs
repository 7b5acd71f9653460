//! Connections that started servers make: those that are refused are lines of the audit log, with the caller where the
//! instance is one caller's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use safeconduct_core::audit::{Sink, Trail};
use safeconduct_core::caller::Principal;
use safeconduct_core::refusal;
use safeconduct_core::server::Server;
use safeconduct_proxy::request_id;
use safeconduct_runtime::egress::{EgressLog, Event, Learned, Outcome, Traced};

/// Instances whose callers are remembered.
const REMEMBERED: usize = 4096;

/// See the module.
pub(super) struct WaysOut {
    sink: Arc<dyn Sink>,
    learned: Learned,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    servers: HashMap<Box<str>, Arc<Server>>,
    callers: HashMap<Box<str>, Arc<Principal>>,
}

impl WaysOut {
    pub(super) fn new(sink: Arc<dyn Sink>) -> Self {
        Self { sink, learned: Learned::new(Arc::new(Traced)), state: Mutex::default() }
    }

    /// The servers of the plan at work.
    pub(super) fn known<'a>(&self, servers: impl IntoIterator<Item = &'a Arc<Server>>) {
        let by_name = |server: &Arc<Server>| (server.name.clone(), server.clone());
        self.lock().servers = servers.into_iter().map(by_name).collect();
    }

    /// Whether a server of this name is started here.
    pub(super) fn is_started(&self, server: &str) -> bool {
        self.lock().servers.get(server).is_some_and(|server| server.started)
    }

    /// This instance is this caller's.
    pub(super) fn boards(&self, instance: &str, caller: &Arc<Principal>) {
        let mut state = self.lock();
        if state.callers.len() >= REMEMBERED {
            state.callers.clear();
        }
        state.callers.insert(instance.into(), caller.clone());
    }

    /// What a server has asked for, as lines to paste.
    pub(super) fn learned(&self, server: &str) -> String {
        self.learned.lines(server)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EgressLog for WaysOut {
    fn record(&self, event: &Event<'_>) {
        self.learned.record(event);
        let Outcome::Refused(why) = &event.outcome else { return };
        let host = event.port.map_or_else(|| event.host.to_owned(), |port| format!("{}:{port}", event.host));
        let (caller, server) = {
            let state = self.lock();
            (state.callers.get(&event.who.instance).cloned(), state.servers.get(&event.who.server).cloned())
        };
        let mut trail = Trail::open(self.sink.clone(), request_id::next(self.sink.now()));
        trail.note(|record| {
            record.principal = caller;
            record.server = server;
            record.method = Some("network/connect".into());
            record.target = Some(host.as_str().into());
        });
        trail.refused(&refusal::Reason::NetworkRefused(why.to_string()), why.to_string(), 0);
    }
}
