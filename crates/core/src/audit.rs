//! The audit record in the making. It travels inside the request, is closed by value exactly once, and
//! writes `abandoned` when it is dropped unclosed: there is no call without a record, and none with two.

use std::sync::Arc;

use bytes::Bytes;

use crate::caller::Principal;
use crate::refusal::{Fault, Reason};
use crate::time::Timestamp;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The server's answer (whatever it says) was given to the caller.
    Answered,
    /// A rule said no.
    Denied,
    /// The request or its token was not acceptable.
    Refused,
    /// Something behind or inside the gateway failed.
    Failed,
    /// The caller went away, or the request was dropped.
    Abandoned,
}

impl Outcome {
    /// The word used in metrics and audit.
    pub fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Where finished records go, and the clock they are stamped with. Must not block.
pub trait Sink: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
    /// Takes a finished record.
    fn write(&self, record: &Record);
    /// Whether spans are made of this record, so that the backend's parent must be ours.
    fn traces(&self, _record: &Record) -> bool {
        false
    }
}

/// What the policy said, for the record.
#[derive(Clone, Debug)]
pub struct DecisionRecord {
    /// True for permit.
    pub permit: bool,
    /// `file:line` of the determining policies.
    pub policies: Arc<[Box<str>]>,
    /// Microseconds it took; 0 when it came from the decision cache.
    pub micros: u64,
}

/// Whom a credential speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeaksFor {
    /// The caller of this very call.
    Caller,
    /// This program: the server cannot tell callers apart.
    Gateway,
    /// Nobody: there is none.
    Nobody,
}

impl SpeaksFor {
    /// The word of the audit line; None where there is no credential.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Caller => Some("caller"),
            Self::Gateway => Some("gateway"),
            Self::Nobody => None,
        }
    }
}

/// What the credential was, for the record. Never the credential itself.
#[derive(Clone, Debug)]
pub struct CredentialRecord {
    /// Step names, in order.
    pub steps: Arc<[Box<str>]>,
    /// `cache`, `issuer` (fetched for this call), `flight` (shared with a concurrent call), `configuration`, `none`.
    pub source: &'static str,
    /// Whom it speaks for.
    pub speaks_for: SpeaksFor,
    /// Audiences asked for.
    pub audience: Arc<[Box<str>]>,
    /// Scopes granted.
    pub scopes: Arc<[Box<str>]>,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// The caller's span, as W3C trace context names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParentSpan {
    /// `parent-id`, never zero.
    pub id: u64,
    /// The `sampled` flag.
    pub sampled: bool,
}

/// One audit record. Fields are filled in by the moves; `Sink::write` sees it once, finished.
#[derive(Debug)]
pub struct Record {
    /// Request id, a ULID.
    pub id: [u8; 26],
    /// When the request's head was read.
    pub opened: Timestamp,
    /// W3C trace id, 32 hex digits, when there is one.
    pub trace: Option<Box<str>>,
    /// The span that the call is a child of, when the caller named one.
    pub parent: Option<ParentSpan>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whose fault, when it was not answered.
    pub fault: Option<Fault>,
    /// Stable refusal code.
    pub code: Option<&'static str>,
    /// The refusal's text for the operator; never a secret.
    pub detail: Option<Box<str>>,
    /// The caller.
    pub principal: Option<Arc<Principal>>,
    /// Server name of the path.
    pub server: Option<Arc<crate::server::Server>>,
    /// Protocol revision; `legacy` where a legacy call does not name its own.
    pub era: Option<&'static str>,
    /// MCP method, or `stream/open`, `session/end`.
    pub method: Option<Box<str>>,
    /// Tool, prompt, resource URI, task.
    pub target: Option<Box<str>>,
    /// The call's arguments as they came (JSON), for the digest; the sink decides what of it is written.
    pub arguments: Option<Bytes>,
    /// The decision.
    pub decision: Option<DecisionRecord>,
    /// The credential.
    pub credential: Option<CredentialRecord>,
    /// HTTP status of the backend.
    pub backend_status: Option<u16>,
    /// When the backend was asked.
    pub backend_started: Option<Timestamp>,
    /// Microseconds from sending to the backend's head.
    pub backend_micros: Option<u64>,
    /// Body bytes from the caller.
    pub bytes_in: u64,
    /// Body bytes to the caller.
    pub bytes_out: u64,
    /// Caller's address.
    pub source_ip: Option<std::net::IpAddr>,
}

impl Record {
    /// The ids of the trace, of the call's span and of the backend's: the trace that the caller named, or one made of
    /// the request id, which is unique and partly random.
    pub fn span_ids(&self) -> (u128, u64, u64) {
        let own =
            self.id.iter().fold(0u128, |sum, digit| sum.wrapping_mul(37).wrapping_add(u128::from(*digit)));
        let trace =
            self.trace.as_deref().and_then(|trace| u128::from_str_radix(trace, 16).ok()).unwrap_or(own);
        // The two halves of a Fibonacci hash: unlike, and zero for no id in practice; zero is no span id.
        let call = (own.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) >> 64) as u64 | 1;
        (trace, call, call.rotate_left(32) ^ 0x5851_F42D_4C95_7F2D)
    }

    /// Notes a `traceparent` (W3C Trace Context §3.2); what is not one is passed over, as the text demands.
    pub fn note_traceparent(&mut self, value: &str) {
        let Some((trace, parent)) = read_traceparent(value) else { return };
        self.trace = Some(trace.into());
        self.parent = Some(parent);
    }
}

fn read_traceparent(value: &str) -> Option<(&str, ParentSpan)> {
    let mut parts = value.trim_ascii().splitn(5, '-');
    let (version, trace, id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let later = parts.next().is_some();
    let lower_hex = |text: &str, len| {
        text.len() == len && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    if !lower_hex(version, 2) || !lower_hex(trace, 32) || !lower_hex(id, 16) || !lower_hex(flags, 2) {
        return None;
    }
    // Version ff is invalid; version 00 has four parts and no more.
    if version == "ff" || (version == "00" && later) || trace.bytes().all(|byte| byte == b'0') {
        return None;
    }
    let id = u64::from_str_radix(id, 16).ok().filter(|id| *id != 0)?;
    let sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
    Some((trace, ParentSpan { id, sampled }))
}

/// The record in the making; see the module.
pub struct Trail {
    record: Option<Box<Record>>,
    sink: Arc<dyn Sink>,
}

impl Trail {
    /// Opens the record of one request.
    pub fn open(sink: Arc<dyn Sink>, id: [u8; 26]) -> Self {
        let opened = sink.now();
        let record = Record {
            id,
            opened,
            trace: None,
            parent: None,
            outcome: Outcome::Abandoned,
            fault: None,
            code: None,
            detail: None,
            principal: None,
            server: None,
            era: None,
            method: None,
            target: None,
            arguments: None,
            decision: None,
            credential: None,
            backend_status: None,
            backend_started: None,
            backend_micros: None,
            bytes_in: 0,
            bytes_out: 0,
            source_ip: None,
        };
        Self { record: Some(Box::new(record)), sink }
    }

    /// A record of its own for something asked besides, under the same sink.
    pub(crate) fn beside(&self, id: [u8; 26]) -> Self {
        Self::open(self.sink.clone(), id)
    }

    /// The request id.
    pub fn id(&self) -> [u8; 26] {
        self.record.as_ref().map_or([b'0'; 26], |record| record.id)
    }

    /// `traceparent` for the backend (W3C Trace Context §3.2), if spans are made of this record.
    pub fn traceparent(&self) -> Option<String> {
        let record = self.record.as_deref().filter(|record| self.sink.traces(record))?;
        let (trace, _, backend) = record.span_ids();
        Some(format!("00-{trace:032x}-{backend:016x}-01"))
    }

    /// What was noted so far.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_deref()
    }

    /// When it was opened.
    pub fn opened(&self) -> Timestamp {
        self.record.as_ref().map_or(Timestamp::default(), |record| record.opened)
    }

    /// The clock that the record is stamped with.
    pub fn now(&self) -> Timestamp {
        self.sink.now()
    }

    /// Notes facts on the open record.
    pub fn note(&mut self, note: impl FnOnce(&mut Record)) {
        if let Some(record) = self.record.as_mut() {
            note(record);
        }
    }

    /// Closes the record: the caller was given the server's answer.
    pub fn answered(mut self, bytes_out: u64) {
        self.finish(|record| {
            record.outcome = Outcome::Answered;
            record.bytes_out = bytes_out;
        });
    }

    /// Closes the record: refused for `reason`.
    pub fn refused(mut self, reason: &Reason, detail: String, bytes_out: u64) {
        self.finish(|record| {
            record.outcome = reason.outcome();
            record.fault = Some(reason.fault());
            record.code = Some(reason.code());
            record.detail = Some(detail.into());
            record.bytes_out = bytes_out;
        });
    }

    fn finish(&mut self, last: impl FnOnce(&mut Record)) {
        if let Some(mut record) = self.record.take() {
            last(&mut record);
            self.sink.write(&record);
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.finish(|_| {});
    }
}

#[cfg(test)]
mod tests {
    use super::{ParentSpan, read_traceparent};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_traceparent_is_read_and_its_flag_kept() {
        let read = read_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(read, Some((TRACE, ParentSpan { id: 0x00f0_67aa_0ba9_02b7, sampled: true })));
        let read = read_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-later");
        assert_eq!(read, Some((TRACE, ParentSpan { id: 0x00f0_67aa_0ba9_02b7, sampled: false })));
    }

    #[test]
    fn what_is_not_a_traceparent_is_passed_over() {
        for text in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read_traceparent(text), None, "{text}");
        }
    }
}
