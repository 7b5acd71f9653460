//! The rules of 2026-07-28 for a message: the required `_meta`, and headers that must mirror the body.
//! Header values are never trusted for a decision; they are compared, and what was decided on is the body.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use super::envelope::{CAPABILITIES_KEY, Envelope, VERSION_KEY};
use super::era::MODERN;
use super::target::Named;
use crate::mcp::json::{Kind as Json, Value};
use crate::mcp::{Head, Kind, Target};
use crate::refusal::Reason;
use crate::server::Server;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// Checks a modern message against its head.
///
/// # Errors
/// `MetaMissing`, `HeaderMismatch`, `UnsupportedVersion`; `InvalidMessage` for a response, which a modern
/// client never sends.
pub(super) fn check(head: &Head, envelope: &Envelope<'_>, named: &Named, at: &Server) -> Result<(), Reason> {
    let request = match envelope.kind {
        Kind::Request(_) => true,
        Kind::Response(_) => {
            return Err(Reason::InvalidMessage("a response in a revision without them".into()));
        }
        _ => false,
    };
    check_version(head, envelope, request)?;
    // The final text leaves the headers of notifications open: they may be absent, not wrong.
    if request || head.mcp_method.is_some() {
        mirrored("Mcp-Method", head.mcp_method.as_ref(), envelope.method.name())?;
    }
    let name = match envelope.method.name() {
        "tools/call" | "prompts/get" | "resources/read" => named.target.name(),
        "tasks/get" | "tasks/update" | "tasks/cancel" => named.target.name(),
        _ => None,
    };
    if let Some(name) = name {
        mirrored("Mcp-Name", head.mcp_name.as_ref(), name)?;
    }
    match &named.target {
        Target::Tool(tool) => check_params(head, envelope, tool, at),
        _ => Ok(()),
    }
}

fn check_version(head: &Head, envelope: &Envelope<'_>, request: bool) -> Result<(), Reason> {
    let body = envelope.version();
    if request {
        if body.is_none() {
            return Err(Reason::MetaMissing(VERSION_KEY));
        }
        if !envelope.meta(CAPABILITIES_KEY).is_some_and(|capabilities| capabilities.is_object()) {
            return Err(Reason::MetaMissing(CAPABILITIES_KEY));
        }
    }
    let body = body.as_deref().unwrap_or(MODERN);
    mirrored("MCP-Protocol-Version", head.protocol_version.as_ref(), body)?;
    if body != MODERN {
        return Err(Reason::UnsupportedVersion(body.chars().take(64).collect()));
    }
    Ok(())
}

/// The header must be there and say what the body says.
fn mirrored(header: &'static str, value: Option<&HeaderValue>, body: &str) -> Result<(), Reason> {
    let Some(value) = value else { return Err(mismatch(header, "is missing")) };
    match decoded(value) {
        Some(value) if value == body => Ok(()),
        Some(_) => Err(mismatch(header, "differs from the body")),
        None => Err(mismatch(header, "cannot be decoded")),
    }
}

fn mismatch(header: &str, what: &str) -> Reason {
    Reason::HeaderMismatch(format!("{header} {what}").into())
}

/// A header's value: decoded if it has the whole Base64 sentinel, else as it stands. None if it is not visible
/// ASCII, or if what the sentinel encloses is not Base64 of UTF-8.
fn decoded(value: &HeaderValue) -> Option<Cow<'_, str>> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    match text.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned),
        None => Some(Cow::Borrowed(text)),
    }
}

/// `Mcp-Param-*` of the parameters that the tool's schema mirrors, as far as a list has shown it.
fn check_params(head: &Head, envelope: &Envelope<'_>, tool: &str, at: &Server) -> Result<(), Reason> {
    let Some(tool) = at.catalogue.tool(tool) else { return Ok(()) };
    let arguments = envelope.param("arguments");
    for (suffix, path) in &tool.header_params {
        let value =
            arguments.and_then(|arguments| path.iter().try_fold(arguments, |value, name| value.member(name)));
        let value = value.filter(|value| value.kind() != Json::Null);
        let mut headers = head.mcp_params.iter().filter(|(name, _)| {
            name.as_str().strip_prefix("mcp-param-").is_some_and(|name| name.eq_ignore_ascii_case(suffix))
        });
        let (header, more) = (headers.next(), headers.next());
        let name = || format!("Mcp-Param-{suffix}");
        match (value, header) {
            _ if more.is_some() => return Err(mismatch(&name(), "stands twice")),
            (None, None) => {}
            (None, Some(_)) => return Err(mismatch(&name(), "is not in the body")),
            (Some(_), None) => return Err(mismatch(&name(), "is missing")),
            (Some(value), Some((_, header))) => {
                let text = decoded(header).ok_or_else(|| mismatch(&name(), "cannot be decoded"))?;
                if !says(&text, value) {
                    return Err(mismatch(&name(), "differs from the body"));
                }
            }
        }
    }
    Ok(())
}

/// Whether the header's text is the value: strings and booleans by their text, integers by number.
fn says(text: &str, value: Value<'_>) -> bool {
    match value.kind() {
        Json::String => value.string().is_some_and(|value| value == text),
        Json::Bool => value.raw() == text,
        Json::Number => whole(text).is_some_and(|number| whole(value.raw()) == Some(number)),
        _ => false,
    }
}

/// An integer, also written with a fraction of zeros (`42.0`), without leading zeros and `-0`.
fn whole(text: &str) -> Option<&str> {
    let (digits, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(digits.strip_prefix('-').unwrap_or(digits)) || !fraction.bytes().all(|byte| byte == b'0') {
        return None;
    }
    if digits == "-0" { Some("0") } else { Some(digits) }
}
