//! What browsers ask (WHATWG Fetch, CORS protocol). Opaque failures here make clients fall back to the wrong era.

use http::{HeaderMap, HeaderName, HeaderValue, header};

const METHODS: &str = "GET, POST, DELETE, OPTIONS";
const ALLOW: &str = "Authorization, Content-Type, Accept, Last-Event-ID, MCP-Protocol-Version, Mcp-Method, Mcp-Name, \
                     Mcp-Session-Id, traceparent, tracestate, baggage";
const EXPOSE: &str = "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, X-Request-Id, Retry-After";

/// Writes the headers of a preflight's answer. Asked-for `Mcp-Param-*` headers are named back one by one,
/// since a wildcard does not cover prefixes.
pub fn preflight(origin: &HeaderValue, asked: Option<&HeaderValue>, headers: &mut HeaderMap) {
    actual(origin, headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    let mut allow = ALLOW.to_owned();
    for name in asked.and_then(|value| value.to_str().ok()).unwrap_or_default().split(',') {
        let name = name.trim();
        if name.to_ascii_lowercase().starts_with("mcp-param-") && name.parse::<HeaderName>().is_ok() {
            allow.push_str(", ");
            allow.push_str(name);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&allow) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, value);
    }
}

/// Writes the headers of an actual answer to an allowed origin.
pub fn actual(origin: &HeaderValue, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSE));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, HeaderValue, header, preflight};

    /// Row: D8
    #[test]
    fn a_preflight_names_modern_headers_and_asked_for_parameters() {
        let mut headers = HeaderMap::new();
        let asked = HeaderValue::from_static("mcp-method, Mcp-Param-Region, x-evil");
        preflight(&HeaderValue::from_static("https://app.example"), Some(&asked), &mut headers);
        let allowed = headers[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
        for name in ["Mcp-Method", "Mcp-Name", "MCP-Protocol-Version", "Authorization", "Mcp-Param-Region"] {
            assert!(allowed.contains(name), "{name} missing in {allowed}");
        }
        assert!(!allowed.contains("x-evil"));
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        let exposed = headers[header::ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap();
        assert!(exposed.contains("WWW-Authenticate") && exposed.contains("Mcp-Session-Id"));
    }
}
