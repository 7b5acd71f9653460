//! What a caller says of itself besides its token: R15.

use bytes::Bytes;
use http::Request;
use safeconduct_core::credential::Credential;
use safeconduct_core::mcp::door::Door;
use safeconduct_core::policy::{Policy, Source};

use crate::mint::*;

const LEGACY: [(&str, &str); 3] = [
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
    ("mcp-protocol-version", "2025-06-18"),
];

/// The request that a permitted call with these headers leaves with.
fn leaves(token: &str, claimed: &[(&'static str, &'static str)]) -> Request<Bytes> {
    let headers = [&LEGACY[..], claimed].concat();
    let verified = verify(token).unwrap();
    let arrived = arrive_with(RESOURCE, token, &headers);
    let authenticated =
        arrived.authenticated(&verified, &[], at(0)).map_err(|refusal| refusal.reason).unwrap();
    let body = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let door = Door::new(&[7; 32], &[]).unwrap();
    let admitted = authenticated.admit(body, &door).map_err(|refusal| refusal.reason).unwrap();
    let source = Source { file: "all.cedar".into(), text: "permit (principal, action, resource);".into() };
    let (policy, _) = Policy::compile(&[source], &["orders"]).unwrap();
    let authorized = policy.authorize(admitted, at(0)).map_err(|refusal| refusal.reason).unwrap();
    authorized.with(Credential::none()).request()
}

/// Row: R15
#[test]
fn headers_that_claim_an_identity_end_at_the_gateway() {
    let token = mint(&claims());
    let plain = leaves(&token, &[]);
    assert_eq!(plain.headers()["mcp-protocol-version"], "2025-06-18");
    let claimed = leaves(
        &token,
        &[
            ("x-forwarded-user", "root"),
            ("x-forwarded-email", "root@example.com"),
            ("x-forwarded-for", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("x-remote-user", "root"),
            ("x-auth-request-user", "root"),
            ("txn-token", "eyJ.eyJ.x"),
            ("dpop", "eyJ.eyJ.x"),
            ("x-amz-security-token", "t"),
            ("x-amz-date", "20260101T000000Z"),
            ("x-goog-iap-jwt-assertion", "eyJ.eyJ.x"),
            ("proxy-authorization", "Basic eDp5"),
            ("x-api-key", "k"),
            ("cookie", "session=1"),
            ("connection", "x-amz-date, authorization"),
        ],
    );
    assert_eq!(claimed.headers(), plain.headers());
    assert!(!claimed.headers().contains_key("authorization"), "the caller's token least of all");
}
