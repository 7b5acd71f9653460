//! What happened, in numbers: read by whoever publishes metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CounterSnapshot {
    /// Calls served from the cache.
    pub hits: u64,
    /// Calls that began a fetch.
    pub misses: u64,
    /// Calls that waited for a fetch begun by another.
    pub shared: u64,
    /// Calls answered from a remembered refusal.
    pub negatives: u64,
    /// Fetches ahead of the end.
    pub refreshes: u64,
    /// Fetches forced by a backend's 401.
    pub renewals: u64,
    /// Requests to token endpoints that were let through (an attempt and its repetitions count once).
    pub exchanges: u64,
    /// Time that these took in all, in microseconds.
    pub exchange_micros: u64,
    /// Failed steps.
    pub failures: Vec<StepFailures>,
}

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StepFailures {
    /// The step.
    pub step: Box<str>,
    /// Class of the error: `subject_refused`, `denied`, `unavailable` ...
    pub class: &'static str,
    /// How often.
    pub count: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    shared: AtomicU64,
    negatives: AtomicU64,
    refreshes: AtomicU64,
    renewals: AtomicU64,
    exchanges: AtomicU64,
    exchange_micros: AtomicU64,
    failures: Mutex<BTreeMap<(Box<str>, &'static str), u64>>,
}

impl Counters {
    pub(super) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn shared(&self) {
        self.shared.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn negative(&self) {
        self.negatives.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refresh(&self) {
        self.refreshes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn renewed(&self) {
        self.renewals.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn exchanged(&self, took: Duration) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.exchange_micros
            .fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn failed(&self, step: &str, class: &'static str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry((step.into(), class)).or_default() += 1;
    }

    pub(super) fn snapshot(&self) -> CounterSnapshot {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |((step, class), count): (&(Box<str>, &'static str), &u64)| StepFailures {
            step: step.clone(),
            class,
            count: *count,
        };
        CounterSnapshot {
            hits: read(&self.hits),
            misses: read(&self.misses),
            shared: read(&self.shared),
            negatives: read(&self.negatives),
            refreshes: read(&self.refreshes),
            renewals: read(&self.renewals),
            exchanges: read(&self.exchanges),
            exchange_micros: read(&self.exchange_micros),
            failures: failures.iter().map(failed).collect(),
        }
    }
}
