//! One record to several sinks: the log, the metrics, the traces.

use std::sync::Arc;

use safeconduct_core::audit::{Record, Sink};
use safeconduct_core::time::Timestamp;

use super::clock::Clock;

/// Gives each record to each sink, in their order.
pub struct Tee {
    clock: Arc<dyn Clock>,
    sinks: Box<[Arc<dyn Sink>]>,
}

impl Tee {
    /// All of `sinks`, stamped by one clock.
    pub fn new(clock: Arc<dyn Clock>, sinks: Vec<Arc<dyn Sink>>) -> Self {
        Self { clock, sinks: sinks.into() }
    }
}

impl Sink for Tee {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn traces(&self, record: &Record) -> bool {
        self.sinks.iter().any(|sink| sink.traces(record))
    }

    fn write(&self, record: &Record) {
        for sink in &self.sinks {
            sink.write(record);
        }
    }
}
