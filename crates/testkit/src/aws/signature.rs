//! Verification of Signature Version 4, for real. Deliberately not the gateway's own code, so that both would have to be
//! wrong in the same way; botocore is the third (`interop/aws.sh`).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use time::OffsetDateTime;
use time::macros::format_description;

use super::account::{Account, Session};
use super::reply::Refusal;
use crate::wire::{Seen, decode_form};

/// Clocks may differ by so much, in seconds.
const SKEW: u64 = 300;

/// What a service is called in signatures.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Region.
    pub region: &'a str,
    /// Service.
    pub service: &'a str,
}

/// The parts of `Authorization`.
struct Claimed<'a> {
    id: &'a str,
    day: &'a str,
    region: &'a str,
    service: &'a str,
    headers: Vec<&'a str>,
    signature: &'a str,
}

/// Whose keys a request was signed with.
pub(super) fn verify(account: &Account, seen: &Seen, scope: Scope<'_>) -> Result<Session, Refusal> {
    let missing = || Refusal::new(403, "MissingAuthenticationToken", "Missing Authentication Token");
    let claimed = seen.header("authorization").and_then(read).ok_or_else(missing)?;
    let invalid = || {
        Refusal::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    };
    let session = account.session(claimed.id).ok_or_else(invalid)?;
    if seen.header("x-amz-security-token") != Some(&session.token) {
        return Err(invalid());
    }
    let now = account.clock.secs();
    if session.expires <= now {
        return Err(Refusal::new(
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        ));
    }
    let wrong = |why: String| Refusal::new(403, "SignatureDoesNotMatch", why);
    if (claimed.region, claimed.service) != (scope.region, scope.service) {
        return Err(wrong(format!("Credential should be scoped to {}/{}", scope.region, scope.service)));
    }
    let moment = seen.header("x-amz-date").unwrap_or_default();
    let dated = seconds(moment).filter(|_| moment.starts_with(claimed.day));
    let dated = dated.ok_or_else(|| wrong("Date must be in ISO-8601 'basic format'".into()))?;
    if dated + SKEW < now {
        return Err(wrong(format!(
            "Signature expired: {moment} is now earlier than the time of this service less 5 min."
        )));
    }
    if dated > now + SKEW {
        return Err(wrong(format!(
            "Signature not yet current: {moment} is still later than the time of this service plus 5 min."
        )));
    }
    let bare = seen.headers.keys().map(http::HeaderName::as_str);
    let must = |name: &&str| *name == "host" || name.starts_with("x-amz-");
    if let Some(unsigned) = bare.filter(must).find(|name| !claimed.headers.contains(name)) {
        return Err(wrong(format!("'{unsigned}' must be a 'SignedHeader' in the AWS Authorization.")));
    }
    if expected(seen, &claimed, &session.secret, moment) != claimed.signature {
        return Err(wrong("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.".into()));
    }
    Ok(session)
}

fn read(value: &str) -> Option<Claimed<'_>> {
    let rest = value.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let mut parts = rest.split(", ");
    let credential = parts.next()?.strip_prefix("Credential=")?;
    let headers = parts.next()?.strip_prefix("SignedHeaders=")?.split(';').collect();
    let signature = parts.next()?.strip_prefix("Signature=")?;
    let [id, day, region, service, "aws4_request"] =
        <[&str; 5]>::try_from(credential.split('/').collect::<Vec<_>>()).ok()?
    else {
        return None;
    };
    parts.next().is_none().then_some(Claimed { id, day, region, service, headers, signature })
}

fn expected(seen: &Seen, claimed: &Claimed<'_>, secret: &str, moment: &str) -> String {
    let scope = format!("{}/{}/{}/aws4_request", claimed.day, claimed.region, claimed.service);
    let text =
        format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", sha256(canonical(seen, claimed).as_bytes()));
    let mac = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let mut key = mac(format!("AWS4{secret}").as_bytes(), claimed.day);
    for part in [claimed.region, claimed.service, "aws4_request"] {
        key = mac(key.as_ref(), part);
    }
    hex(mac(key.as_ref(), &text).as_ref())
}

fn canonical(seen: &Seen, claimed: &Claimed<'_>) -> String {
    let mut text =
        format!("{}\n{}\n{}\n", seen.method, path(seen.path()), query(seen.uri.query().unwrap_or_default()));
    for name in &claimed.headers {
        let values: Vec<String> = seen
            .headers
            .get_all(*name)
            .iter()
            .map(|value| {
                String::from_utf8_lossy(value.as_bytes()).split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        text += &format!("{name}:{}\n", values.join(","));
    }
    text + &format!("\n{}\n{}", claimed.headers.join(";"), sha256(&seen.body))
}

fn path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').filter(|segment| !matches!(*segment, "" | ".")) {
        if segment == ".." {
            segments.pop();
        } else {
            segments.push(segment);
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    let encoded: Vec<String> = segments.iter().map(|segment| encoded(segment)).collect();
    format!("/{}{end}", encoded.join("/"))
}

fn query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(&decode_form(name)), encoded(&decode_form(value))))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn seconds(moment: &str) -> Option<u64> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = time::PrimitiveDateTime::parse(moment, format).ok()?.assume_utc();
    u64::try_from(OffsetDateTime::unix_timestamp(at)).ok()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
