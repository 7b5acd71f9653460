use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::{Refused, Signer, SigningKeys, canonical, is_signed};
use crate::credential::Undeliverable;
use crate::material::{AwsKeys, Material};
use crate::secret::Secret;
use crate::time::Timestamp;

/// 2015-08-30T12:36:00Z
const THEN: Timestamp = Timestamp::from_secs(1_440_938_160);

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn keys(token: &str) -> SigningKeys {
    let keys = AwsKeys {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session_token: secret(token),
    };
    SigningKeys::new(&Arc::new(Material::Aws(keys))).unwrap()
}

/// A request as it stands in the files of vectors: the head, an empty line, the body.
fn request(text: &str) -> Request<Bytes> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, rest) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::new(Bytes::from(body.to_owned()));
    *request.method_mut() = method.parse::<Method>().unwrap();
    *request.uri_mut() = rest.strip_suffix(" HTTP/1.1").unwrap().parse::<Uri>().unwrap();
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value)) if !line.starts_with(' ') => pairs.push((name, value.to_owned())),
            // Folded, as it was allowed once; no header holds the line break any more.
            _ => pairs.last_mut().unwrap().1.push_str(line),
        }
    }
    for (name, value) in pairs {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value.trim().as_bytes()).unwrap());
    }
    request
}

/// One vector of a file.
struct Vector(&'static str);

impl Vector {
    fn all(file: &'static str) -> Vec<Self> {
        file.trim_end().split("\n=== ").skip(1).map(Self).collect()
    }

    fn name(&self) -> &'static str {
        self.0.lines().next().unwrap()
    }

    fn part(&self, name: &str) -> Option<&'static str> {
        let parts = self.0.split("\n--- ").map(|part| part.split_once('\n').unwrap_or((part, "")));
        parts.filter(|(title, _)| *title == name).map(|(_, text)| text.trim_end_matches('\n')).next()
    }
}

fn text(request: &Request<Bytes>, signed: fn(&HeaderName, &HeaderValue) -> bool) -> String {
    let mut request = request.clone();
    request.headers_mut().remove("authorization");
    let names = canonical::names(request.headers(), signed);
    String::from_utf8(canonical::canonical(&request, &names).to_vec()).unwrap()
}

/// Edge: 98
#[test]
fn every_vector_of_awss_own_suite_is_signed_as_it_says() {
    let vectors = Vector::all(include_str!("suite.txt"));
    assert_eq!(vectors.len(), 30);
    let signer = Signer::new("us-east-1", "service").unwrap();
    for vector in vectors {
        let (name, part) = (vector.name(), |name| vector.part(name));
        let mut request = request(part("request").unwrap());
        if part("body is signed").is_some() {
            let hash = part("canonical").unwrap().lines().last().unwrap();
            request.headers_mut().insert("x-amz-content-sha256", hash.parse().unwrap());
        }
        // The suite signs every header; the gateway only its own set.
        signer.sign_these(&keys(part("token").unwrap_or_default()), &mut request, THEN, |_, _| true);
        assert_eq!(text(&request, |_, _| true), part("canonical").unwrap(), "{name}");
        let authorization = request.headers()["authorization"].to_str().unwrap();
        let signature = authorization.rsplit_once("Signature=").unwrap().1;
        assert_eq!(signature, part("signature").unwrap(), "{name}");
    }
}

/// Edge: 98
#[test]
fn requests_as_mcp_has_them_are_signed_as_botocore_signs_them() {
    let vectors = Vector::all(include_str!("botocore.txt"));
    assert_eq!(vectors.len(), 8);
    let now = Timestamp::parse_rfc3339("2026-11-22T23:59:59Z").unwrap();
    for vector in vectors {
        let (name, part) = (vector.name(), |name| vector.part(name));
        let (region, service) = part("scope").unwrap().split_once(' ').unwrap();
        let mut request = request(part("request").unwrap());
        // What a hop may change is not signed.
        for (name, value) in
            [("accept", "text/event-stream"), ("traceparent", "00-1-2-01"), ("x-forwarded-for", "::1")]
        {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let signer = Signer::new(region, service).unwrap();
        signer.sign(&keys(part("token").unwrap_or_default()), &mut request, now);
        assert_eq!(text(&request, is_signed), part("canonical").unwrap(), "{name}");
        assert_eq!(request.headers()["authorization"], part("authorization").unwrap(), "{name}");
    }
}

#[test]
fn a_key_is_derived_once_for_a_day_a_region_and_a_service() {
    let keys = keys("");
    let same = |one: &aws_lc_rs::hmac::Key, other: &aws_lc_rs::hmac::Key| {
        aws_lc_rs::hmac::sign(one, b"x").as_ref() == aws_lc_rs::hmac::sign(other, b"x").as_ref()
    };
    let day = keys.derived("20150830/us-east-1/service/aws4_request");
    assert!(same(&day, &keys.derived("20150830/us-east-1/service/aws4_request")));
    let others = [
        "20150831/us-east-1/service/aws4_request",
        "20150830/us-east-2/service/aws4_request",
        "20150830/us-east-1/other/aws4_request",
    ];
    for other in others {
        assert!(!same(&day, &keys.derived(other)), "{other}");
    }
    assert!(
        same(&day, &keys.derived("20150830/us-east-1/service/aws4_request")),
        "it is not mixed up afterwards"
    );
}

#[test]
fn what_a_request_says_of_its_signer_is_replaced() {
    let mut request = request(
        "POST /mcp HTTP/1.1\nHost: h\nX-Amz-Security-Token: another's\nX-Amz-Date: 19700101T000000Z\nAuthorization: Bearer x",
    );
    Signer::new("r", "s").unwrap().sign(&keys(""), &mut request, THEN);
    assert_eq!(request.headers()["x-amz-date"], "20150830T123600Z");
    assert!(!request.headers().contains_key("x-amz-security-token"));
    let value = &request.headers()["authorization"];
    assert!(
        value.is_sensitive() && value.as_bytes().starts_with(b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    );
}

#[test]
fn a_value_that_two_readers_could_fold_differently_is_not_signed() {
    let signed = |value: &[u8]| {
        is_signed(&HeaderName::from_static("mcp-name"), &HeaderValue::from_bytes(value).unwrap())
    };
    assert!(signed(b"a  b") && signed(b"=?base64?4pi6?="));
    assert!(!signed(b"a\tb") && !signed("\u{e9}".as_bytes()));
}

#[test]
fn a_token_is_no_key_and_keys_that_no_header_may_hold_sign_nothing() {
    let made = |id: &str, token: &str| {
        let keys = AwsKeys {
            access_key_id: id.into(),
            secret_access_key: secret("s"),
            session_token: secret(token),
        };
        SigningKeys::new(&Arc::new(Material::Aws(keys))).map(drop)
    };
    assert_eq!(made("ASIA1", "token"), Ok(()));
    assert_eq!(made("ASIA1", "to\r\nken"), Err(Undeliverable::Characters));
    assert_eq!(made("ASIA1, SignedHeaders=", "token"), Err(Undeliverable::Characters));
    assert_eq!(SigningKeys::new(&Arc::new(Material::Token(secret("t")))).map(drop), Err(Undeliverable::Kind));
    for (region, service) in [("", "s"), ("us-east-1", "a/b"), ("US", "s"), ("r", "s s")] {
        assert!(Signer::new(region, service).is_err(), "{region} {service}");
    }
}

/// Edge: 99
#[test]
fn the_services_clock_is_learned_from_its_refusal_within_bounds() {
    let signer = Signer::new("us-east-1", "aws-mcp").unwrap();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    assert!(signer.learn(THEN.plus(minutes(6)), THEN, THEN));
    assert_eq!(signer.moment(THEN), THEN.plus(minutes(6)));
    assert!(!signer.learn(THEN.plus(minutes(6)), signer.moment(THEN), THEN), "nothing new");
    assert!(signer.learn(THEN.minus(minutes(6)), signer.moment(THEN), THEN));
    assert_eq!(signer.moment(THEN), THEN.minus(minutes(6)));
    assert!(!signer.learn(THEN.plus(minutes(90)), signer.moment(THEN), THEN), "not to be believed");
    assert_eq!(signer.moment(THEN), THEN.minus(minutes(6)));
}

/// Edge: 96, 99
#[test]
fn a_refusal_is_read_in_every_form_that_aws_has_for_it() {
    let read = |named: Option<&str>, body: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("date", HeaderValue::from_static("Sun, 30 Aug 2015 12:36:00 GMT"));
        if let Some(named) = named {
            headers.insert("x-amzn-errortype", named.parse().unwrap());
        }
        Refused::read(&headers, body.as_bytes())
    };
    let skewed = Refused::Skewed(Some(THEN));
    for (named, body, expected) in [
        (
            None,
            "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>x</Message></Error></ErrorResponse>",
            Refused::Ended,
        ),
        (Some("ExpiredTokenException:http://internal.amazon.com/"), r#"{"message":"x"}"#, Refused::Ended),
        (Some("UnrecognizedClientException"), "", Refused::Ended),
        (
            None,
            r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"x"}"#,
            Refused::Ended,
        ),
        (None, r#"{"message":"The security token included in the request is expired"}"#, Refused::Ended),
        (None, "<Error><Code>RequestTimeTooSkewed</Code></Error>", skewed.clone()),
        (
            None,
            r#"{"message":"Signature expired: 20150830T123000Z is now earlier than 20150830T123100Z"}"#,
            skewed.clone(),
        ),
        (Some("InvalidSignatureException"), r#"{"message":"Signature not yet current: x"}"#, skewed.clone()),
        (
            Some("InvalidSignatureException"),
            r#"{"message":"The request signature we calculated does not match"}"#,
            Refused::Mismatch("InvalidSignatureException"),
        ),
        (
            None,
            "<Response><Errors><Error><Code>SignatureDoesNotMatch</Code></Error></Errors></Response>",
            Refused::Mismatch("SignatureDoesNotMatch"),
        ),
        (Some("AccessDeniedException"), r#"{"message":"not authorized"}"#, Refused::Other),
        (None, "", Refused::Other),
        (None, "not ExpiredToken", Refused::Other),
    ] {
        assert_eq!(read(named, body), expected, "{named:?} {body}");
    }
}

#[test]
fn a_message_of_the_server_that_only_speaks_of_such_things_is_no_refusal() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"ExpiredToken"},"code":"ExpiredToken","message":"Signature expired"}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"ExpiredToken"}}"#,
        r#"{"error":"ExpiredToken"}"#,
    ] {
        assert_eq!(Refused::read(&HeaderMap::new(), body.as_bytes()), Refused::Other, "{body}");
    }
}

proptest! {
    /// Edge: 98
    #[test]
    fn whatever_is_in_a_request_its_signature_covers_what_is_sent(
        path in "/[ -~]{0,20}", query in "[!-~]{0,20}", name in "[ -~]{0,20}", body in ".{0,40}",
    ) {
        let target = format!("{path}?{query}");
        let Ok(uri) = target.parse::<Uri>() else { return Ok(()) };
        let mut request = Request::new(Bytes::from(body));
        *request.uri_mut() = uri;
        request.headers_mut().insert("host", HeaderValue::from_static("h"));
        request.headers_mut().insert("mcp-name", HeaderValue::from_str(&name).unwrap());
        let signer = Signer::new("r", "s").unwrap();
        signer.sign(&keys("t"), &mut request, THEN);
        let signature = request.headers()["authorization"].clone();
        prop_assert!(signature.to_str().unwrap().contains("SignedHeaders=host;mcp-name;x-amz-date;x-amz-security-token"));
        let mut other = request.clone();
        *other.body_mut() = Bytes::from([request.body(), &b"x"[..]].concat());
        signer.sign(&keys("t"), &mut other, THEN);
        prop_assert!(other.headers()["authorization"] != signature);
        other = request.clone();
        signer.sign(&keys("t"), &mut other, THEN);
        prop_assert_eq!(&other.headers()["authorization"], &signature);
    }
}
