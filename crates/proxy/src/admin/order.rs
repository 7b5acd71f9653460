//! What may be ordered: `POST /revoke` and `POST /stop`.
//!
//! The listener knows nobody, so it must not be reached from where somebody else speaks. A web page is such a place, on
//! the operator's own machine: an order is refused when it could come from one. It must carry a header that no page can
//! send to another origin unasked, and none that only browsers send; and its Host must be an address or `localhost`,
//! because a name may be one that a page's owner has pointed here (DNS rebinding).

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use safeconduct_core::refusal::Reason;
use serde::{Deserialize, Serialize};

use super::{Answer, json};
use crate::body;
use crate::revoked::Tally;

/// The paths of orders: each is its order's name behind a slash.
pub(super) const PATHS: [&str; 2] = ["/revoke", "/stop"];
/// The header that an order must carry, with the order's name as its value.
pub const HEADER: &str = "x-safeconduct-order";
const BODY: u64 = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose logins are to end. A subject, a session, or both.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Name of the issuer in the configuration, or its identifier. May be left out where there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `sub` of the caller's tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `sid` of the caller's tokens: only this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
}

/// What was done.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Revoked {
    /// Name of the issuer.
    pub issuer: String,
    /// Subject, as ordered.
    pub subject: Option<String>,
    /// Session, as ordered.
    pub sid: Option<String>,
    /// Tokens issued then or before are not accepted any more; RFC 3339.
    pub not_after: String,
    /// What was taken away.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderRefused {
    /// Neither a subject nor a session, or one that cannot be.
    Nobody,
    /// There is no such issuer; the names of those there are.
    NoSuchIssuer(Vec<String>),
    /// None was named, and there are several.
    WhichIssuer(Vec<String>),
}

/// Which started server is to end. The next call starts it again.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Name of the server in the configuration.
    pub server: String,
}

pub(super) async fn answer(request: Request<Incoming>, obeying: &dyn super::Obey) -> Response<Answer> {
    if *request.method() != Method::POST {
        return said(StatusCode::METHOD_NOT_ALLOWED, "POST only");
    }
    let stops = request.uri().path() == "/stop";
    if let Err(why) = is_meant(request.headers(), if stops { "stop" } else { "revoke" }) {
        return said(StatusCode::FORBIDDEN, &why);
    }
    let bytes = match body::read(request.into_body(), BODY, PATIENCE).await {
        Ok(bytes) => bytes,
        Err(Reason::BodyTooLarge(_)) => return said(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Err(_) => return said(StatusCode::BAD_REQUEST, "the body cannot be read"),
    };
    let wrong =
        |error: serde_json::Error| said(StatusCode::BAD_REQUEST, &format!("not such an order: {error}"));
    match stops {
        true => match serde_json::from_slice::<Stop>(&bytes) {
            Ok(order) => stopped(obeying.stop(order).await),
            Err(error) => wrong(error),
        },
        false => match serde_json::from_slice::<Order>(&bytes) {
            Ok(order) => revoked(obeying.revoke(order).await),
            Err(error) => wrong(error),
        },
    }
}

fn stopped(instances: Option<usize>) -> Response<Answer> {
    match instances {
        Some(instances) => json(StatusCode::OK, &serde_json::json!({ "stopped": instances })),
        None => said(StatusCode::NOT_FOUND, "no such server is started here"),
    }
}

fn revoked(outcome: Result<Revoked, OrderRefused>) -> Response<Answer> {
    match outcome {
        Ok(revoked) => json(StatusCode::OK, &serde_json::json!(revoked)),
        Err(OrderRefused::Nobody) => {
            said(StatusCode::BAD_REQUEST, "name a subject or a sid, of 1 to 255 characters")
        }
        Err(OrderRefused::NoSuchIssuer(names)) => {
            which(StatusCode::NOT_FOUND, "there is no such issuer", &names)
        }
        Err(OrderRefused::WhichIssuer(names)) => {
            which(StatusCode::BAD_REQUEST, "there are several issuers: name one", &names)
        }
    }
}

/// Whether the order cannot have come from a web page.
fn is_meant(headers: &HeaderMap, order: &str) -> Result<(), String> {
    let is = |name: &str, wanted: &str| {
        let value = headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii() == wanted.as_bytes()
    };
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Err("orders are not taken from web pages".into());
    }
    if !is(HEADER, order) {
        return Err(format!("the header X-Safeconduct-Order must say what is ordered: {order}"));
    }
    if !is("content-type", "application/json") {
        return Err("Content-Type must be application/json".into());
    }
    if has_address(headers) { Ok(()) } else { Err("the Host must be an address or localhost".into()) }
}

/// Whether the Host is an address: a name may be one that a web page's owner has pointed here.
pub(super) fn has_address(headers: &HeaderMap) -> bool {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).is_some_and(is_address)
}

fn is_address(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok()
}

fn said(status: StatusCode, error: &str) -> Response<Answer> {
    json(status, &serde_json::json!({ "error": error }))
}

fn which(status: StatusCode, error: &str, names: &[String]) -> Response<Answer> {
    json(status, &serde_json::json!({ "error": error, "issuers": names }))
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, HeaderValue, is_address, is_meant};

    fn headers(change: &[(&'static str, &'static str)]) -> HeaderMap {
        let good = [
            ("host", "127.0.0.1:9090"),
            ("content-type", "application/json; charset=utf-8"),
            ("x-safeconduct-order", "revoke"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in good.iter().chain(change) {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn an_order_that_a_web_page_could_have_sent_is_not_obeyed() {
        assert_eq!(is_meant(&headers(&[]), "revoke"), Ok(()));
        for change in [
            ("origin", "http://127.0.0.1:9090"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("content-type", "text/plain"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-safeconduct-order", "stop"),
            ("host", "evil.example:9090"),
            ("host", "127.0.0.1.evil.example"),
            ("host", ""),
        ] {
            assert!(is_meant(&headers(&[change]), "revoke").is_err(), "{change:?}");
        }
        for name in ["x-safeconduct-order", "content-type", "host"] {
            let mut lacking = headers(&[]);
            lacking.remove(name);
            assert!(is_meant(&lacking, "revoke").is_err(), "{name}");
        }
    }

    #[test]
    fn a_host_that_no_name_server_can_lie_about_is_an_address() {
        for good in ["127.0.0.1", "[::1]:9090", "localhost:9090", "LOCALHOST", "10.0.0.7:1"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["localhost.evil.example", "admin:9090", "user@127.0.0.1.x", "a b", "::1"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
