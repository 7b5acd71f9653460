//! Which revisions a server speaks: a property of the program, found out once and remembered for all of its processes.

use std::sync::Mutex;

use bytes::Bytes;
use http::HeaderMap;

use super::message::{MODERN, Parts, VERSION_KEY};

/// The versions before [`MODERN`] that are carried over HTTP.
const LEGACY_VERSIONS: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
/// `Unsupported protocol version` (2026-07-28).
const UNSUPPORTED: i64 = -32022;

/// What is known of one server. Shared by all that run the same program; a changed launch begins with an empty one.
#[derive(Debug, Default)]
pub struct Verdict(Mutex<Known>);

/// By era: does it, does it not, is it not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) legacy: Option<bool>,
    pub(super) modern: Option<bool>,
}

impl Verdict {
    pub(super) fn known(&self) -> Known {
        self.0.lock().map(|known| *known).unwrap_or_default()
    }

    pub(super) fn legacy(&self, speaks: bool) {
        if let Ok(mut known) = self.0.lock() {
            known.legacy = Some(speaks);
        }
    }

    pub(super) fn modern(&self, speaks: bool) {
        if let Ok(mut known) = self.0.lock() {
            known.modern = Some(speaks);
        }
    }

    /// In words, for a status page: `legacy`, `modern`, `both`; None when nothing is known.
    pub fn name(&self) -> Option<&'static str> {
        match self.known() {
            Known { legacy: Some(true), modern: Some(true) } => Some("both"),
            Known { modern: Some(true), .. } => Some("modern"),
            Known { legacy: Some(true), .. } => Some("legacy"),
            _ => None,
        }
    }
}

/// The request that asks a process for its era. It names nobody but this program.
pub(super) fn probe() -> Bytes {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"server/discover","params":{{"_meta":{{"{VERSION_KEY}":"{MODERN}","io.modelcontextprotocol/clientInfo":{{"name":"safeconduct","version":"{version}"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
    .into()
}

/// Whether the answer to the probe is that of a modern server. An answer alone is no proof: a shim may answer while
/// it negotiates down, so a modern version must stand in it. No single error code means legacy.
pub(super) fn is_modern(answer: &Parts<'_>) -> bool {
    let listed = match answer.code() {
        Some(UNSUPPORTED) => answer.error.and_then(|error| error.member("data")?.member("supported")),
        Some(_) => None,
        None => answer.result.and_then(|result| result.member("supportedVersions")),
    };
    let mut versions = listed.into_iter().flat_map(|versions| versions.elements());
    versions.any(|version| version.string().is_some_and(|version| *version >= *MODERN))
}

/// Whether a client's request is of the stateless era. Order: `initialize` is legacy; a version header decides; a
/// version in `_meta` is modern; nothing is legacy.
pub(super) fn asks_modern(headers: &HeaderMap, parts: &Parts<'_>) -> bool {
    if parts.method() == "initialize" && parts.in_meta(VERSION_KEY).is_none() {
        return false;
    }
    match version(headers) {
        Some(version) => !LEGACY_VERSIONS.contains(&version),
        None => parts.method() != "initialize" && parts.in_meta(VERSION_KEY).is_some(),
    }
}

/// `MCP-Protocol-Version`.
pub(super) fn version(headers: &HeaderMap) -> Option<&str> {
    headers.get("mcp-protocol-version")?.to_str().ok().map(str::trim)
}

/// Whether a version header is of the legacy era, or absent.
pub(super) fn is_legacy_head(headers: &HeaderMap) -> bool {
    !headers.contains_key("mcp-protocol-version")
        || version(headers).is_some_and(|version| LEGACY_VERSIONS.contains(&version))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Parts, asks_modern, is_modern, probe};

    /// Row: S6
    #[test]
    fn only_an_answer_that_names_a_modern_version_is_one_of_a_modern_server() {
        for (answer, modern) in [
            (r#"{"id":0,"result":{"supportedVersions":["2025-11-25","2026-07-28"]}}"#, true),
            (r#"{"id":0,"error":{"code":-32022,"message":"","data":{"supported":["2027-01-01"]}}}"#, true),
            (r#"{"id":0,"result":{"supportedVersions":["2025-11-25"]}}"#, false),
            (r#"{"id":0,"result":{}}"#, false),
            (r#"{"id":0,"error":{"code":-32601,"message":"Method not found"}}"#, false),
            (r#"{"id":0,"error":{"code":-32602,"message":"","data":{"supported":["2026-07-28"]}}}"#, false),
        ] {
            assert_eq!(is_modern(&Parts::read(answer.as_bytes()).unwrap()), modern, "{answer}");
        }
    }

    /// Row: D1
    #[test]
    fn a_version_header_outranks_what_strays_in_meta() {
        let meta = r#""params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
        let modern = |method: &str, meta: &str, header: Option<&'static str>| {
            let text = format!(r#"{{"method":"{method}",{meta}}}"#);
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("mcp-protocol-version", HeaderValue::from_static(header));
            }
            asks_modern(&headers, &Parts::read(text.as_bytes()).unwrap())
        };
        let none = r#""params":{}"#;
        assert!(!modern("initialize", none, Some("2026-07-28")));
        assert!(modern("tools/list", meta, Some("2026-07-28")));
        assert!(!modern("tools/list", meta, Some("2025-11-25")));
        assert!(modern("tools/list", meta, None));
        assert!(!modern("tools/list", none, None));
        assert!(modern("tools/list", none, Some("2099-01-01")));
    }

    #[test]
    fn the_probe_is_a_request() {
        assert_eq!(Parts::read(&probe()).unwrap().method(), "server/discover");
    }
}
