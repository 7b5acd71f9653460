//! Eyes: the audit log, metrics, traces, and the admin listener that shows them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use safeconduct_core::audit::Sink;
use safeconduct_identity::acquire::{CounterSnapshot, CredentialStatus};
use safeconduct_identity::wire::{Wire, WireConfig};
use safeconduct_proxy::admin::{self, Show};
use safeconduct_proxy::listener::Listening;
use safeconduct_proxy::metrics::{Metrics, Reading};
use safeconduct_proxy::sink::{
    Arguments, Clock, FileSink, Flush, OnFailure, Settings, SystemClock, Target, Tee,
};
use safeconduct_proxy::trace::Traces;
use safeconduct_runtime::supervise::{BerthStatus, State};
use serde_json::json;
use tokio::runtime::Handle;

use super::orders::Orders;
use super::running::Inner;
use super::{Failed, Reloaded, tls};
use crate::config::Plan;
use crate::config::plan::{self, AuditPlan};

/// See the module.
pub(super) struct Eyes {
    pub(super) audit: Arc<FileSink>,
    pub(super) sink: Arc<Tee>,
    metrics: Arc<Metrics>,
    traces: Option<Arc<Traces>>,
    clock: Arc<dyn Clock>,
    reloaded: Mutex<Reloaded>,
}

impl Eyes {
    pub(super) fn open(plan: &Plan, runtime: &Handle) -> Result<Self, Failed> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let place = plan
            .audit
            .file
            .as_ref()
            .map_or_else(|| "standard output".into(), |file| file.display().to_string());
        let audit = FileSink::open(settings(&plan.audit), clock.clone())
            .map_err(|error| Failed::of(format!("audit {place}"), error))?;
        let audit = Arc::new(audit);
        let metrics = Arc::new(Metrics::new(clock.clone()));
        let traces = traces(plan, runtime, &clock)?;
        let mut sinks: Vec<Arc<dyn Sink>> = vec![audit.clone(), metrics.clone()];
        sinks.extend(traces.clone().map(|traces| traces as Arc<dyn Sink>));
        let eyes = Self {
            sink: Arc::new(Tee::new(clock.clone(), sinks)),
            audit,
            metrics,
            traces,
            clock,
            reloaded: Mutex::new(Reloaded { generation: 1, ..Reloaded::default() }),
        };
        eyes.watch(plan);
        Ok(eyes)
    }

    /// Another plan is at work.
    pub(super) fn watch(&self, plan: &Plan) {
        self.metrics.prepare(plan.servers.iter().map(|server| server.name.as_str()));
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
        if let Some(traces) = &self.traces {
            traces.close(within);
        }
    }
}

fn traces(plan: &Plan, runtime: &Handle, clock: &Arc<dyn Clock>) -> Result<Option<Arc<Traces>>, Failed> {
    let Some(telemetry) = &plan.telemetry else { return Ok(None) };
    let failed = |error: &dyn std::fmt::Display| Failed::of("telemetry.otlp", error.to_string());
    let config = WireConfig { extra_roots: tls::extra_roots(plan)?, ..WireConfig::default() };
    let wire = Wire::new(&config, runtime.clone()).map_err(|error| failed(&error))?;
    let traces = Traces::new(&telemetry.otlp, telemetry.sample, wire, clock.clone())
        .map_err(|error| failed(&error))?;
    Ok(Some(Arc::new(traces)))
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
    inner: &Arc<Inner>,
    address: SocketAddr,
    listening: &Listening,
    runtime: &Handle,
) -> Result<SocketAddr, Failed> {
    let shown = Arc::new(Shown { inner: inner.clone(), connections: listening.connections.clone() });
    let orders = Arc::new(Orders(inner.clone()));
    admin::serve(address, shown, orders, runtime)
        .map_err(|error| Failed::of(format!("admin {address}"), error))
}

struct Shown {
    inner: Arc<Inner>,
    connections: Arc<AtomicUsize>,
}

impl Show for Shown {
    fn missing(&self) -> Vec<String> {
        let gateway = self.inner.shared.gateway.load_full();
        let mut missing: Vec<String> = gateway
            .verifier
            .status()
            .into_iter()
            .filter(|(_, status)| status.keys == 0 && !status.introspection)
            .map(|(name, status)| {
                format!(
                    "issuer {name}: no keys{}",
                    status.error.map_or_else(String::new, |why| format!(" ({why})"))
                )
            })
            .collect();
        if !self.inner.eyes.audit.room() {
            missing.push("the audit log cannot be written".into());
        }
        if *self.inner.shared.drain.borrow() {
            missing.push("draining".into());
        }
        missing
    }

    fn metrics(&self) -> String {
        self.inner.eyes.metrics.text(&self.readings())
    }

    fn logs(&self, server: &str, follow: bool) -> Option<admin::Lines> {
        self.inner.house.fleet.logs(server, follow)
    }

    fn status(&self) -> serde_json::Value {
        let gateway = self.inner.shared.gateway.load_full();
        let issuers: serde_json::Map<_, _> = gateway
            .verifier
            .status()
            .into_iter()
            .map(|(name, status)| (name.to_owned(), json!(status)))
            .collect();
        let servers: Vec<_> = gateway
            .entrance
            .servers
            .values()
            .map(|server| json!({"name": server.name, "resource": server.resource, "url": server.url.to_string()}))
            .collect();
        let gauge = self.inner.eyes.audit.gauge();
        let reload = self.inner.eyes.reloaded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "missing": self.missing(),
            "reload": reload,
            "issuers": issuers,
            "servers": servers,
            "lock": self.inner.house.keeper.status(),
            "started": self.started(),
            "credentials": self.inner.house.store.status(),
            "credential_counters": self.inner.house.store.counters(),
            "revocations": self.inner.house.revoker.counts().map(|(_, count)| count).iter().sum::<u64>(),
            "connections": self.connections.load(Ordering::Relaxed),
            "audit": {"waiting_bytes": gauge.waiting, "lost_lines": gauge.lost, "writable": gauge.writable},
        })
    }
}

impl Shown {
    /// What runs of the servers that are started here.
    fn started(&self) -> Vec<serde_json::Value> {
        let fleet = &self.inner.house.fleet;
        let berth = |berth: BerthStatus| {
            let instances: Vec<_> = berth
                .instances
                .iter()
                .map(|one| json!({"name": one.name, "running_seconds": one.running.as_secs(), "unanswered": one.unanswered}))
                .collect();
            let state = match berth.state {
                State::Running => "running",
                State::Asleep => "asleep",
                State::BackingOff => "backing_off",
            };
            let learned = fleet.learned(&berth.server);
            json!({
                "server": berth.server,
                "engine": berth.engine,
                "caller": berth.caller.as_ref().map(|who| json!({"issuer": who.issuer, "subject": who.subject})),
                "state": state,
                "instances": instances,
                "sessions": berth.sessions,
                "era": berth.era,
                "failures": berth.trouble.as_ref().map(|trouble| json!({
                    "count": trouble.failures,
                    "reason": &*trouble.reason,
                    "retry_seconds": trouble.retry.map(|retry| retry.as_secs()),
                })),
                "learned": if learned.is_empty() { None } else { Some(learned) },
            })
        };
        fleet.status().into_iter().map(berth).collect()
    }

    fn readings(&self) -> Vec<Reading> {
        let mut readings = Vec::new();
        let mut read = |name, help, counter, label, value: f64| {
            readings.push(Reading { name, help, counter, label, value });
        };
        let gauge = self.inner.eyes.audit.gauge();
        let connections = self.connections.load(Ordering::Relaxed);
        read("connections", "Open connections of callers", false, None, connections as f64);
        read("audit_waiting_bytes", "Audit lines not yet written", false, None, gauge.waiting as f64);
        read("audit_lost_lines", "Audit lines that could not be kept", true, None, gauge.lost as f64);
        let CredentialStatus { entries, bytes, endpoints } = self.inner.house.store.status();
        read(
            "credential_cache_entries",
            "Credentials kept, remembered refusals among them",
            false,
            None,
            entries as f64,
        );
        read("credential_cache_bytes", "Bytes of credentials kept, about", false, None, bytes as f64);
        let CounterSnapshot {
            hits,
            misses,
            shared,
            negatives,
            refreshes,
            renewals,
            exchanges,
            exchange_micros,
            ..
        } = self.inner.house.store.counters();
        let results = [
            ("hit", hits),
            ("miss", misses),
            ("shared", shared),
            ("negative", negatives),
            ("refresh", refreshes),
            ("renewal", renewals),
        ];
        for (result, count) in results {
            let label = Some(("result", result.to_owned()));
            read("credential_lookups", "Credential lookups by result", true, label, count as f64);
        }
        read("exchanges", "Requests to token endpoints", true, None, exchanges as f64);
        let spent = Duration::from_micros(exchange_micros).as_secs_f64();
        read("exchange_seconds", "Time spent waiting for token endpoints", true, None, spent);
        for endpoint in endpoints {
            let label = Some(("endpoint", endpoint.endpoint.to_string()));
            let open = f64::from(u8::from(!endpoint.breaker.is_closed()));
            read(
                "breaker_open",
                "1 while a token endpoint is not asked because it fails",
                false,
                label,
                open,
            );
        }
        let gateway = self.inner.shared.gateway.load_full();
        for (issuer, status) in gateway.verifier.status() {
            let label = Some(("issuer", issuer.to_owned()));
            read("issuer_keys", "Usable keys of an issuer", false, label, status.keys as f64);
        }
        for (issuer, status) in gateway.verifier.status() {
            let label = Some(("issuer", issuer.to_owned()));
            let age = status.age.map_or(f64::NAN, |age| age as f64);
            read("issuer_keys_age_seconds", "Since an issuer's keys were fetched", false, label, age);
        }
        for (server, count) in self.inner.house.keeper.quarantined() {
            let label = Some(("server", server));
            read("quarantined_tools", "Tools that are not what was approved", false, label, count as f64);
        }
        for (by, count) in self.inner.house.revoker.counts() {
            let label = Some(("by", by.word().to_owned()));
            read("revocations", "Logins ended before their tokens", true, label, count as f64);
        }
        let version = Some(("version", env!("CARGO_PKG_VERSION").to_owned()));
        read("build_info", "The program's version", false, version, 1.0);
        readings
    }
}
