//! The canary in the log: a layer that reads every event and span of every level and notes a secret on sight.

use std::fmt::{Debug, Write as _};
use std::thread;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::canary;

/// Reads everything that is logged. Add it to a subscriber, or use [`watch`].
#[derive(Debug, Default)]
pub struct LogWatch;

/// While it lives the log is watched; when it drops, the test fails if a secret was seen.
#[must_use = "the log is judged when this value is dropped"]
#[derive(Debug)]
pub struct Watched(());

/// Installs the layer for the whole process (once; later calls find it there) and returns the judge.
pub fn watch() -> Watched {
    // A second installation is refused by tracing: then the first one is already watching.
    let _ = tracing_subscriber::registry().with(LogWatch).try_init();
    Watched(())
}

impl Drop for Watched {
    fn drop(&mut self) {
        let seen = canary::sightings();
        // A panic during a panic would hide the first one.
        assert!(thread::panicking() || seen.is_empty(), "{}", seen.join("\n"));
    }
}

impl<S: Subscriber> Layer<S> for LogWatch {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        text.judge("log event", event.metadata().target());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut text = Text::default();
        attributes.record(&mut text);
        text.judge("span", attributes.metadata().target());
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        values.record(&mut text);
        text.judge("span", "recorded later");
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn judge(&self, kind: &str, target: &str) {
        if let Some(found) = canary::find(self.0.as_bytes()) {
            canary::sighted(&format!("{kind} of {target}"), &found);
        }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, "{}={value} ", field.name());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

#[cfg(test)]
mod tests {
    use super::LogWatch;
    use crate::canary;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn a_secret_in_a_log_line_is_noted_and_a_clean_line_is_not() {
        let subscriber = tracing_subscriber::registry().with(LogWatch);
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(user = "alice", "nothing to see");
            assert!(canary::sightings().is_empty());
            tracing::trace!(token = %canary::secret("x"), "oops");
            assert_eq!(canary::sightings().len(), 1);
        });
    }
}
