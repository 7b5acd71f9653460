//! Prometheus metrics, fed from finished records. The usual call costs a few atomic additions on counters that
//! were made with its server; labels are bounded: servers of the configuration, words of fixed lists.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use safeconduct_core::audit::{Outcome, Record, Sink};
use safeconduct_core::time::Timestamp;

use crate::sink::Clock;

/// Bounds of the histograms, in seconds.
const SECONDS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    server: String,
    outcome: &'static str,
    fault: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Server {
    server: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Source {
    server: String,
    source: &'static str,
}

/// A number that is read when it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Name, without the prefix `safeconduct_`.
    pub name: &'static str,
    /// One sentence without a full stop.
    pub help: &'static str,
    /// True for what only grows.
    pub counter: bool,
    /// Label name and value.
    pub label: Option<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

/// The metrics; a sink of records.
pub struct Metrics {
    clock: Arc<dyn Clock>,
    registry: Registry,
    requests: Family<Request, Counter>,
    sources: Family<Source, Counter>,
    durations: Family<Server, Histogram, fn() -> Histogram>,
    decisions: Family<Server, Histogram, fn() -> Histogram>,
    backends: Family<Server, Histogram, fn() -> Histogram>,
    ready: ArcSwap<HashMap<Box<str>, Ready>>,
}

/// What the usual call of one server adds to.
#[derive(Clone)]
struct Ready {
    answered: Counter,
    duration: Histogram,
    decision: Histogram,
    backend: Histogram,
    cached: Counter,
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    /// Registers everything. `clock` measures calls.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let mut registry = Registry::with_prefix("safeconduct");
        let requests = Family::default();
        let sources = Family::default();
        let family = || Family::new_with_constructor(histogram as fn() -> Histogram);
        let (durations, decisions, backends) = (family(), family(), family());
        registry.register("requests", "Requests by how they ended", requests.clone());
        registry.register(
            "credentials",
            "Credentials of answered calls by where they came from",
            sources.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "From the head to the end of the answer",
            durations.clone(),
        );
        registry.register(
            "decision_duration_seconds",
            "Policy decisions that were not remembered",
            decisions.clone(),
        );
        registry.register(
            "backend_duration_seconds",
            "From asking the MCP server to the head of its answer",
            backends.clone(),
        );
        let ready = ArcSwap::default();
        Self { clock, registry, requests, sources, durations, decisions, backends, ready }
    }

    /// Makes the counters of these servers ready; to be called for each plan.
    pub fn prepare<'a>(&self, servers: impl Iterator<Item = &'a str>) {
        let ready = servers.map(|name| (name.into(), self.ready_for(name))).collect();
        self.ready.store(Arc::new(ready));
    }

    /// The text for Prometheus (OpenMetrics 1.0), with what is read now.
    pub fn text(&self, readings: &[Reading]) -> String {
        let mut text = String::with_capacity(8192);
        // Writing to a string does not fail.
        let _ = encode_registry(&mut text, &self.registry);
        let mut last = "";
        for reading in readings {
            let Reading { name, help, counter, label, value } = reading;
            if *name != last {
                let kind = if *counter { "counter" } else { "gauge" };
                let _ = writeln!(text, "# HELP safeconduct_{name} {help}.\n# TYPE safeconduct_{name} {kind}");
                last = name;
            }
            let suffix = if *counter { "_total" } else { "" };
            match label {
                Some((label, of)) => {
                    let of = of.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                    let _ = writeln!(text, "safeconduct_{name}{suffix}{{{label}=\"{of}\"}} {value}");
                }
                None => {
                    let _ = writeln!(text, "safeconduct_{name}{suffix} {value}");
                }
            }
        }
        let _ = encode_eof(&mut text);
        text
    }

    fn ready_for(&self, server: &str) -> Ready {
        let named = Server { server: server.to_owned() };
        let source = Source { server: server.to_owned(), source: "cache" };
        Ready {
            answered: self.requests.get_or_create_owned(&labels(server, None)),
            duration: self.durations.get_or_create_owned(&named),
            decision: self.decisions.get_or_create_owned(&named),
            backend: self.backends.get_or_create_owned(&named),
            cached: self.sources.get_or_create_owned(&source),
        }
    }
}

fn labels(server: &str, refused: Option<&Record>) -> Request {
    let fault = refused.and_then(|record| record.fault).map_or("", |fault| fault.word());
    let outcome = refused.map_or(Outcome::Answered, |record| record.outcome).word();
    Request {
        server: server.to_owned(),
        outcome,
        fault,
        code: refused.and_then(|record| record.code).unwrap_or(""),
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

impl Sink for Metrics {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn write(&self, record: &Record) {
        let name = record.server.as_ref().map_or("", |server| &server.name);
        let ready = self.ready.load();
        let Some(ready) = ready.get(name) else {
            self.requests.get_or_create(&labels("", Some(record))).inc();
            return;
        };
        if record.outcome == Outcome::Answered {
            ready.answered.inc();
        } else {
            self.requests.get_or_create(&labels(name, Some(record))).inc();
        }
        ready.duration.observe(self.now().since(record.opened).as_secs_f64());
        if let Some(decision) = record.decision.as_ref().filter(|decision| decision.micros > 0) {
            ready.decision.observe(seconds(decision.micros));
        }
        if let Some(micros) = record.backend_micros {
            ready.backend.observe(seconds(micros));
        }
        match record.credential.as_ref().map(|credential| credential.source) {
            Some("cache") => {
                ready.cached.inc();
            }
            Some(source) => {
                self.sources.get_or_create(&Source { server: name.to_owned(), source }).inc();
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Metrics, Reading};
    use crate::sink::SystemClock;
    use safeconduct_core::audit::{Sink, Trail};
    use safeconduct_core::refusal::Reason;

    #[test]
    fn a_refused_request_is_counted_with_its_fault_and_code() {
        let metrics = Arc::new(Metrics::new(Arc::new(SystemClock::new())));
        metrics.prepare(["orders"].into_iter());
        let trail = Trail::open(metrics.clone() as Arc<dyn Sink>, [b'0'; 26]);
        trail.refused(&Reason::NoSuchServer, String::new(), 0);
        let reading = Reading {
            name: "audit_lost_lines",
            help: "Audit lines that were lost",
            counter: true,
            label: None,
            value: 0.0,
        };
        let text = metrics.text(&[reading]);
        let line =
            "safeconduct_requests_total{server=\"\",outcome=\"refused\",fault=\"caller\",code=\"SC-D01\"} 1";
        assert!(text.contains(line), "{text}");
        assert!(text.contains(
            "safeconduct_requests_total{server=\"orders\",outcome=\"answered\",fault=\"\",code=\"\"} 0"
        ));
        assert!(text.contains("safeconduct_audit_lost_lines_total 0"));
        assert!(text.ends_with("# EOF\n"));
    }
}
