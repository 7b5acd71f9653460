//! Audit, limits, timeouts, sessions and traces.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use safeconduct_core::secret::Secret;

use super::Resolver;
use crate::config::decode::{At, Field};
use crate::config::plan::{
    ArgumentDetail, AuditPlan, Flush, LimitsPlan, OnFailure, SecretValue, TelemetryPlan, TimeoutsPlan,
};
use crate::config::values::{Count, Period};

/// Longest wait for a token endpoint unless the file says otherwise (retries included).
pub(super) const TOKEN_ENDPOINT: Duration = Duration::from_secs(10);

impl Resolver<'_> {
    pub(super) fn audit(&mut self) -> AuditPlan {
        let Some(audit) = self.file.audit.value() else {
            return AuditPlan {
                file: None,
                arguments: ArgumentDetail::Digest,
                flush: Flush::Batch,
                on_failure: OnFailure::Deny,
            };
        };
        let arguments = audit.arguments.or(ArgumentDetail::Digest);
        if let (Some(at), ArgumentDetail::Full) = (audit.arguments.given(), arguments) {
            self.problems
                .warning(at.span.clone(), "every argument of every call is written to the audit file")
                .label("personal data and secrets among them")
                .help("`digest` proves what was asked without keeping it; `names` keeps the names");
        }
        let file = audit.file.value().filter(|file| *file != "-").map(|file| self.path(file));
        if let (Some(path), Some(at)) = (&file, audit.file.given())
            && let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty())
            && !directory.is_dir()
        {
            self.problems
                .error(at.span.clone(), "the directory of the audit file does not exist")
                .label("no such directory")
                .help("make it, and let the gateway's user write in it");
        }
        AuditPlan {
            file,
            arguments,
            flush: audit.flush.or(Flush::Batch),
            on_failure: audit.on_failure.or(OnFailure::Deny),
        }
    }

    pub(super) fn limits(&mut self) -> LimitsPlan {
        let standard = LimitsPlan {
            body: 4 << 20,
            list: 16 << 20,
            per_caller: None,
            streams_per_caller: 64,
            connections: 16_384,
            credentials: 50_000,
        };
        let Some(limits) = self.file.limits.value() else { return standard };
        if let Some(body) = limits.body.given().filter(|body| body.value.0 == 0) {
            self.problems.error(body.span.clone(), "no request fits into nothing").label("at least 1");
        }
        LimitsPlan {
            body: limits.body.value().map_or(standard.body, |size| size.0),
            list: limits.list.value().map_or(standard.list, |size| size.0),
            per_caller: limits.per_caller.value().map(|rate| (rate.count, rate.per)),
            streams_per_caller: self.number(&limits.streams_per_caller, standard.streams_per_caller),
            connections: self.number(&limits.connections, standard.connections),
            credentials: self.number(&limits.credentials, standard.credentials),
        }
    }

    fn number(&mut self, written: &Field<Count>, default: u32) -> u32 {
        let Some(at) = written.given() else { return default };
        match u32::try_from(at.value.0) {
            Ok(number) if number > 0 => number,
            _ => {
                self.problems
                    .error(at.span.clone(), format!("expected a number between 1 and {}", u32::MAX))
                    .label("out of range");
                default
            }
        }
    }

    pub(super) fn timeouts(&mut self) -> TimeoutsPlan {
        let standard = TimeoutsPlan {
            head: Duration::from_secs(75),
            body: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(120),
            idle: Duration::from_secs(15 * 60),
            total: Duration::from_secs(24 * 3600),
            keep_alive: Duration::from_secs(15),
            token_endpoint: TOKEN_ENDPOINT,
            drain: Duration::from_secs(30),
        };
        let Some(timeouts) = self.file.timeouts.value() else { return standard };
        TimeoutsPlan {
            head: self.wait(&timeouts.head, standard.head),
            body: self.wait(&timeouts.body, standard.body),
            connect: self.wait(&timeouts.connect, standard.connect),
            answer: self.wait(&timeouts.answer, standard.answer),
            idle: self.wait(&timeouts.idle, standard.idle),
            total: self.wait(&timeouts.total, standard.total),
            keep_alive: self.wait(&timeouts.keep_alive, standard.keep_alive),
            token_endpoint: self.wait(&timeouts.token_endpoint, standard.token_endpoint),
            // Zero is meant: stop at once.
            drain: timeouts.drain.value().map_or(standard.drain, |period| period.0),
        }
    }

    fn wait(&mut self, written: &Field<Period>, default: Duration) -> Duration {
        let Some(at) = written.given() else { return default };
        if at.value.0.is_zero() {
            self.problems
                .error(at.span.clone(), "a wait of no time ends before it begins")
                .label("more than 0")
                .help("there is no way to wait for ever; name a long time");
        }
        at.value.0
    }

    pub(super) fn session_key(&mut self) -> Option<Arc<SecretValue>> {
        let written = self.file.sessions.value()?.key.given()?;
        let text = self.secret(written)?;
        let decoded = text.value.expose_str().and_then(|text| decode(text.trim()));
        let Some(key) = decoded.filter(|key| key.len() == 32) else {
            self.problems
                .error(written.span.clone(), "a session key is 32 bytes in base64")
                .label("not 32 bytes in base64")
                .help("make one: openssl rand -base64 32");
            return None;
        };
        Some(Arc::new(SecretValue { origin: text.origin.clone(), value: Secret::new(key) }))
    }

    pub(super) fn telemetry(&mut self) -> Option<TelemetryPlan> {
        let telemetry = self.file.telemetry.value()?;
        let otlp: &At<String> = telemetry.otlp.given()?;
        self.url("traces", otlp, &telemetry.allow_http)?;
        Some(TelemetryPlan {
            otlp: otlp.value.clone(),
            sample: telemetry.sample.value().map_or(1.0, |share| share.0),
        })
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()
}
