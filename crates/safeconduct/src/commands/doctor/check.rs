//! One check: what is looked at, and what was found.

use std::future::Future;
use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// Silence before the one who waits is told what for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest time for one check.
const LIMIT: Duration = Duration::from_secs(25);

/// How it came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// As it must be.
    Ok,
    /// Not looked at, or nothing to be mended.
    Note,
    /// It works, and somebody will stumble over it.
    Warn,
    /// It does not work.
    Fail,
}

/// What a check found.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    pub(super) found: String,
    pub(super) remedy: Option<String>,
    pub(super) details: Option<Box<Value>>,
}

/// A check that was made.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// Counted from 1, in the order of the answer.
    pub(super) number: usize,
    /// `issuer corp`
    pub(super) about: String,
    /// `discovery`
    pub(super) check: String,
    pub(super) outcome: Outcome,
    pub(super) found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
    /// More, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) details: Option<Box<Value>>,
    /// Milliseconds that it took.
    pub(super) took: u64,
}

impl Finding {
    /// As it must be.
    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self { outcome: Outcome::Ok, found: found.into(), remedy: None, details: None }
    }

    /// Nothing to be mended.
    pub(super) fn note(found: impl Into<String>) -> Self {
        Self { outcome: Outcome::Note, ..Self::ok(found) }
    }

    /// Somebody will stumble over it.
    pub(super) fn warn(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warn, remedy: Some(remedy.into()), ..Self::ok(found) }
    }

    /// It does not work.
    pub(super) fn fail(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fail, remedy: Some(remedy.into()), ..Self::ok(found) }
    }

    /// With more for programs.
    pub(super) fn with(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }
}

/// The checks of one thing, in order.
pub(super) struct Group {
    about: String,
    /// Longest time for one check.
    limit: Duration,
    pub(super) made: Vec<Check>,
}

impl Group {
    /// `issuer corp`
    pub(super) fn about(about: impl Into<String>) -> Self {
        Self { about: about.into(), limit: LIMIT, made: Vec::new() }
    }

    /// Makes a check, in bounded time. True when what depends on it can be looked at too.
    pub(super) async fn check(&mut self, check: &str, asking: impl Future<Output = Finding>) -> bool {
        let began = tokio::time::Instant::now();
        let finding = self.patiently(check, asking).await;
        let sound = finding.outcome != Outcome::Fail;
        let Finding { outcome, found, remedy, details } = finding;
        self.made.push(Check {
            number: 0,
            about: self.about.clone(),
            check: check.to_owned(),
            outcome,
            found,
            remedy,
            details,
            took: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        sound
    }

    async fn patiently(&self, check: &str, asking: impl Future<Output = Finding>) -> Finding {
        let mut asking = Box::pin(tokio::time::timeout(self.limit, asking));
        let ended = tokio::select! {
            ended = &mut asking => ended,
            () = tokio::time::sleep(PATIENCE) => {
                let _ = writeln!(std::io::stderr().lock(), "waiting: {}: {check}", self.about);
                asking.await
            }
        };
        ended.unwrap_or_else(|_| {
            let found = format!("it took longer than {} s", self.limit.as_secs());
            Finding::fail(
                found,
                "is there a firewall that drops what this machine sends? Is a server overloaded?",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Finding, Group, Outcome};

    #[tokio::test]
    async fn a_check_that_never_ends_is_ended_and_fails() {
        let mut group = Group { limit: Duration::from_millis(50), ..Group::about("issuer corp") };
        assert!(group.check("quick", async { Finding::ok("yes") }).await);
        assert!(!group.check("hangs", std::future::pending()).await);
        let outcomes: Vec<_> = group.made.iter().map(|check| check.outcome).collect();
        assert_eq!(outcomes, [Outcome::Ok, Outcome::Fail]);
        assert!(group.made[1].remedy.is_some());
    }
}
