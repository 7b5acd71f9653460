//! One record as one line of JSON, in the order of the documentation.

use aws_lc_rs::digest::{SHA256, digest};
use safeconduct_core::audit::{CredentialRecord, DecisionRecord, Record};
use safeconduct_core::caller::{Actor, Kind, Principal};
use safeconduct_core::time::Timestamp;
use serde::de::IgnoredAny;

use super::json::{hex, list, number, text, text_or_null, texts, time};

/// What of a call's arguments is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Arguments {
    /// `"sha256:..."` over the JSON text as it came.
    #[default]
    Digest,
    /// The names of the top level, sorted.
    Names,
    /// The arguments themselves. Whoever reads the audit log then reads them too.
    Full,
}

/// Writes the record, closed at `now`, with its line end. `time` is when the request's head was read.
pub(super) fn write(out: &mut Vec<u8>, record: &Record, arguments: Arguments, now: Timestamp) {
    out.extend_from_slice(b"{\"time\":");
    time(out, record.opened);
    key(out, "id");
    text(out, std::str::from_utf8(&record.id).unwrap_or_default());
    key(out, "trace");
    text_or_null(out, record.trace.as_deref());
    key(out, "outcome");
    text(out, record.outcome.word());
    key(out, "fault");
    text_or_null(out, record.fault.map(|fault| fault.word()));
    key(out, "code");
    text_or_null(out, record.code);
    key(out, "principal");
    or_null(out, record.principal.as_deref(), principal);
    key(out, "server");
    text_or_null(out, record.server.as_ref().map(|server| &*server.name));
    key(out, "era");
    text_or_null(out, record.era);
    key(out, "method");
    text_or_null(out, record.method.as_deref());
    key(out, "target");
    text_or_null(out, record.target.as_deref());
    key(out, "arguments");
    or_null(out, record.arguments.as_deref(), |out, json| write_arguments(out, json, arguments));
    key(out, "decision");
    or_null(out, record.decision.as_ref(), decision);
    key(out, "credential");
    or_null(out, record.credential.as_ref(), |out, of| credential(out, of, record.principal.as_deref()));
    key(out, "backend");
    or_null(out, record.backend_status, |out, status| backend(out, status, record.backend_micros));
    key(out, "bytes_in");
    number(out, record.bytes_in);
    key(out, "bytes_out");
    number(out, record.bytes_out);
    key(out, "micros");
    number(out, u64::try_from(now.since(record.opened).as_micros()).unwrap_or(u64::MAX));
    if let Some(detail) = detail(record, arguments) {
        key(out, "detail");
        text(out, detail);
    }
    out.extend_from_slice(b"}\n");
}

/// Writes that `lost` records could not be kept.
pub(super) fn write_lost(out: &mut Vec<u8>, lost: u64, now: Timestamp) {
    out.extend_from_slice(b"{\"time\":");
    time(out, now);
    key(out, "lost");
    number(out, lost);
    out.extend_from_slice(b"}\n");
}

fn principal(out: &mut Vec<u8>, who: &Principal) {
    out.extend_from_slice(match who.kind {
        Kind::User => b"{\"kind\":\"user\",\"issuer\":".as_slice(),
        Kind::Workload => b"{\"kind\":\"workload\",\"issuer\":",
    });
    text(out, &who.issuer);
    key(out, "subject");
    text(out, &who.subject);
    key(out, "client");
    text_or_null(out, who.client.as_deref());
    key(out, "groups");
    texts(out, who.groups.iter().map(AsRef::as_ref));
    key(out, "actor");
    list(out, &who.actors, actor);
    out.push(b'}');
}

fn actor(out: &mut Vec<u8>, actor: &Actor) {
    out.extend_from_slice(b"{\"issuer\":");
    text_or_null(out, actor.issuer.as_deref());
    key(out, "subject");
    text(out, &actor.subject);
    out.push(b'}');
}

fn decision(out: &mut Vec<u8>, made: &DecisionRecord) {
    out.extend_from_slice(b"{\"effect\":");
    text(out, if made.permit { "permit" } else { "deny" });
    key(out, "policies");
    texts(out, made.policies.iter().map(AsRef::as_ref));
    key(out, "micros");
    number(out, made.micros);
    out.push(b'}');
}

fn credential(out: &mut Vec<u8>, used: &CredentialRecord, who: Option<&Principal>) {
    out.extend_from_slice(b"{\"steps\":");
    texts(out, used.steps.iter().map(AsRef::as_ref));
    key(out, "source");
    text(out, used.source);
    key(out, "identity");
    text_or_null(out, used.speaks_for.word());
    key(out, "audience");
    texts(out, used.audience.iter().map(AsRef::as_ref));
    key(out, "scopes");
    texts(out, used.scopes.iter().map(AsRef::as_ref));
    key(out, "expires");
    or_null(out, used.expires, time);
    key(out, "fingerprint");
    or_null(out, who, |out, who| {
        out.extend_from_slice(b"\"sha256:");
        // As `Fingerprint` displays itself.
        hex(out, who.fingerprint.0.get(..16).unwrap_or_default());
        out.push(b'"');
    });
    out.push(b'}');
}

fn backend(out: &mut Vec<u8>, status: u16, micros: Option<u64>) {
    out.extend_from_slice(b"{\"status\":");
    number(out, u64::from(status));
    key(out, "micros");
    or_null(out, micros, number);
    out.push(b'}');
}

fn write_arguments(out: &mut Vec<u8>, json: &[u8], how: Arguments) {
    // What is not an object after all cannot stand in a line as it is; its digest can.
    let names = if how == Arguments::Digest { None } else { names(json) };
    match (how, names) {
        (Arguments::Names, Some(names)) => texts(out, names.iter().map(String::as_str)),
        (Arguments::Full, Some(_)) => compact(out, json),
        _ => {
            out.extend_from_slice(b"\"sha256:");
            hex(out, digest(&SHA256, json).as_ref());
            out.push(b'"');
        }
    }
}

/// Names of the top level, sorted, each once; None when it is not an object.
fn names(json: &[u8]) -> Option<Vec<String>> {
    let object: std::collections::BTreeMap<String, IgnoredAny> = serde_json::from_slice(json).ok()?;
    Some(object.into_keys().collect())
}

/// Copies valid JSON without the white space between its tokens, which may hold line ends.
fn compact(out: &mut Vec<u8>, json: &[u8]) {
    let (mut inside, mut after_backslash) = (false, false);
    for &byte in json {
        if inside {
            inside = byte != b'"' || after_backslash;
            after_backslash = byte == b'\\' && !after_backslash;
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        } else {
            inside = byte == b'"';
        }
        out.push(byte);
    }
}

/// The operator's text, where it cannot quote what the caller sent: complaints about the message itself may. What
/// the policies say names scopes, policies, the kind of an error and the name of an argument, and no value of one.
fn detail(record: &Record, arguments: Arguments) -> Option<&str> {
    let quotes = |code: &str| code.starts_with("SC-D") && !("SC-D01".."SC-D08").contains(&code);
    match (record.code, record.detail.as_deref()) {
        (Some(code), Some(detail)) if arguments == Arguments::Full || !quotes(code) => {
            Some(detail).filter(|detail| !detail.is_empty())
        }
        // Of what was done rather than asked for: a revocation.
        (None, detail) => detail,
        _ => None,
    }
}

fn or_null<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}
