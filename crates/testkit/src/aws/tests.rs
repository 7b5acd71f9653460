use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::reply::Refusal;
use super::*;
use crate::idp::{Idp, Mint, User};
use crate::wire::{encode_form, fetch};

const AUDIENCE: &str = "mcp-server";
/// To whom the provider issues tokens: `azp`, which AWS compares with the client ids before `aud`.
const CLIENT: &str = "mcp-client";
const HOUR: Duration = Duration::from_secs(3600);

async fn world(roles: Vec<Role>) -> (Idp, Aws) {
    let idp = Idp::start().await.unwrap();
    idp.add_user(User::new("alice", &[]));
    let trust = Trust { issuer: idp.issuer().into(), audiences: vec![CLIENT.into()] };
    let aws = Aws::start(trust, roles, Clock::system()).await.unwrap();
    (idp, aws)
}

/// Status, code and body of an answer.
async fn asked(aws: &Aws, form: &[(&str, &str)]) -> (u16, String, String) {
    let mut pairs = vec![("Version", "2011-06-15")];
    pairs.extend(form);
    let request = http::Request::post(aws.url()).body(Bytes::from(encode_form(pairs))).unwrap();
    let answer = fetch::fetch(request).await.unwrap();
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    (answer.status.as_u16(), between(&body, "Code"), body)
}

fn between(body: &str, name: &str) -> String {
    let rest = body.split_once(&format!("<{name}>")).map(|(_, rest)| rest).unwrap_or_default();
    rest.split('<').next().unwrap_or_default().to_owned()
}

fn wanted<'a>(role: &'a str, token: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("Action", "AssumeRoleWithWebIdentity"),
        ("RoleArn", role),
        ("RoleSessionName", "alice"),
        ("WebIdentityToken", token),
    ]
}

#[tokio::test]
async fn a_good_token_becomes_keys_and_a_bad_one_is_refused_in_awss_words() {
    let role = Role::for_callers("Mcp", &[]).only(&["ali*"]);
    let arn = role.arn();
    let (idp, aws) = world(vec![role]).await;
    let good = idp.mint("alice", AUDIENCE, "", HOUR);
    let (status, _, body) = asked(&aws, &wanted(&arn, &good)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(between(&body, "Arn"), "arn:aws:sts::123456789012:assumed-role/Mcp/alice");
    assert_eq!(aws.account().issued().len(), 1);

    idp.add_user(User::new("bob", &[]));
    let refused = [
        (idp.issue(&Mint::user("alice").audience(CLIENT).client("another")), "InvalidIdentityToken"),
        (idp.mint("bob", AUDIENCE, "", HOUR), "AccessDenied"),
        (format!("{}x", good), "InvalidIdentityToken"),
        ("opaque".into(), "InvalidIdentityToken"),
    ];
    for (token, code) in &refused {
        assert_eq!(asked(&aws, &wanted(&arn, token)).await.1, *code);
    }
    assert_eq!(asked(&aws, &wanted("arn:aws:iam::123456789012:role/Other", &good)).await.1, "AccessDenied");
    let mut named = wanted(&arn, &good);
    named[2].1 = "auth0|x";
    assert_eq!(asked(&aws, &named).await.1, "ValidationError");
    let long = [wanted(&arn, &good), vec![("DurationSeconds", "7200")]].concat();
    assert_eq!(asked(&aws, &long).await.1, "ValidationError");
    let policy = [wanted(&arn, &good), vec![("Policy", "{")]].concat();
    assert_eq!(asked(&aws, &policy).await.1, "MalformedPolicyDocument");
    aws.account().set_packed_limit(10);
    let large = [wanted(&arn, &good), vec![("Policy", r#"{"Statement":[]}"#)]].concat();
    assert_eq!(asked(&aws, &large).await.1, "PackedPolicyTooLarge");
    assert_eq!(aws.account().issued().len(), 1, "nothing was issued to any of them");
}

/// A request that Amazon's own library (botocore 1.44) signed with these keys at this time.
fn signed_by_botocore() -> Seen {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "127.0.0.1:5000"),
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("x-amz-date", "20261122T235959Z"),
        ("x-amz-security-token", "token//+=="),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20261122/eu-central-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=e3edde35dd09cf877b2dca51cd73804984ec496dfe9d696a4db1714bc526545f",
        ),
    ] {
        headers.insert(http::HeaderName::from_static(name), value.parse().unwrap());
    }
    let body = Bytes::from_static(b"Action=GetCallerIdentity&Version=2011-06-15");
    Seen { method: Method::POST, uri: "/".parse().unwrap(), headers, body }
}

fn account(at: u64) -> Account {
    let account = Account::new(
        Trust { issuer: String::new(), audiences: Vec::new() },
        Vec::new(),
        Clock::standing_at(at),
    );
    account.know(Session {
        id: "ASIAEXAMPLE".into(),
        secret: "secret/+".into(),
        token: "token//+==".into(),
        role: "Mcp".into(),
        name: "alice".into(),
        expires: 1_795_395_600,
        tags: BTreeMap::new(),
        transitive: Vec::new(),
        source_identity: None,
    });
    account
}

/// 2026-11-22T23:59:59Z
const THEN: u64 = 1_795_391_999;

fn judged(at: u64, change: impl FnOnce(&mut Seen)) -> Result<Session, Refusal> {
    let mut seen = signed_by_botocore();
    change(&mut seen);
    signature::verify(&account(at), &seen, signature::Scope { region: "eu-central-1", service: "sts" })
}

#[test]
fn what_botocore_signed_is_accepted_and_what_was_changed_since_is_not() {
    assert_eq!(judged(THEN, |_| {}).unwrap().arn(), "arn:aws:sts::123456789012:assumed-role/Mcp/alice");
    let code = |at, change: fn(&mut Seen)| {
        judged(at, change).map(|_| "accepted").unwrap_or_else(|refusal| refusal.code)
    };
    assert_eq!(
        code(THEN, |seen| seen.body = Bytes::from_static(b"Action=GetCallerIdentity")),
        "SignatureDoesNotMatch"
    );
    assert_eq!(code(THEN, |seen| seen.uri = "/x".parse().unwrap()), "SignatureDoesNotMatch");
    assert_eq!(code(THEN, |seen| seen.method = Method::PUT), "SignatureDoesNotMatch");
    assert_eq!(
        code(THEN, |seen| {
            seen.headers.insert("host", "elsewhere".parse().unwrap());
        }),
        "SignatureDoesNotMatch"
    );
    assert_eq!(
        code(THEN, |seen| {
            seen.headers.insert("x-amz-extra", "unsigned".parse().unwrap());
        }),
        "SignatureDoesNotMatch"
    );
    assert_eq!(
        code(THEN, |seen| {
            seen.headers.remove("x-amz-security-token");
        }),
        "InvalidClientTokenId"
    );
    assert_eq!(
        code(THEN, |seen| {
            seen.headers.remove("authorization");
        }),
        "MissingAuthenticationToken"
    );
    assert_eq!(
        code(THEN, |seen| {
            seen.headers.insert("user-agent", "unsigned".parse().unwrap());
        }),
        "accepted"
    );
    assert_eq!(code(THEN + 3601, |_| {}), "ExpiredToken");
    for (apart, start) in [(301, "Signature expired"), (299, "")] {
        let said =
            judged(THEN + apart, |_| {}).map(|_| String::new()).unwrap_or_else(|refusal| refusal.message);
        assert!(said.starts_with(start), "{said}");
    }
    let early = judged(THEN - 301, |_| {}).unwrap_err();
    assert!(early.message.starts_with("Signature not yet current"));
    assert_eq!(early.code, "SignatureDoesNotMatch");
}
