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

/// What the credential was, for the record. Never the credential itself.
#[derive(Clone, Debug)]
pub struct CredentialRecord {
    /// Step names, in order.
    pub steps: Arc<[Box<str>]>,
    /// `cache`, `issuer` (fetched for this call), `flight` (shared with a concurrent call), `configuration`, `none`.
    pub source: &'static str,
    /// Audiences asked for.
    pub audience: Arc<[Box<str>]>,
    /// Scopes granted.
    pub scopes: Arc<[Box<str>]>,
    /// When it ends.
    pub expires: Option<Timestamp>,
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
    /// Protocol era.
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
    /// Microseconds from sending to the backend's head.
    pub backend_micros: Option<u64>,
    /// Body bytes from the caller.
    pub bytes_in: u64,
    /// Body bytes to the caller.
    pub bytes_out: u64,
    /// Caller's address.
    pub source_ip: Option<std::net::IpAddr>,
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
            backend_micros: None,
            bytes_in: 0,
            bytes_out: 0,
            source_ip: None,
        };
        Self { record: Some(Box::new(record)), sink }
    }

    /// The request id.
    pub fn id(&self) -> [u8; 26] {
        self.record.as_ref().map_or([b'0'; 26], |record| record.id)
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
