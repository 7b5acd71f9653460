//! What an AWS service says of a signed request that it refuses.

use std::time::UNIX_EPOCH;

use http::{HeaderMap, header};
use serde::Deserialize;

use crate::time::Timestamp;

/// Why a signed request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It was dated too early or too late; the service's own time, where it says it.
    Skewed(Option<Timestamp>),
    /// The keys have ended, or were taken back.
    Ended,
    /// The signature is not what the service computes. The service's word for it.
    Mismatch(&'static str),
    /// Anything else: the service's own refusal (`AccessDenied`).
    Other,
}

/// Words that the keys are no longer good.
const ENDED: [&str; 6] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidToken",
    "InvalidAccessKeyId",
];
const SKEWED: [&str; 4] =
    ["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture", "RequestExpiredException"];
const MISMATCH: [&str; 5] = [
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "MissingAuthenticationToken",
];

impl Refused {
    /// Reads a refusal: the code from `x-amzn-errortype` or from the body (JSON or XML), the sentence from the body.
    /// A body that is a JSON-RPC message is the server's own answer and says nothing of the signature.
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let said = Said::read(body);
        let named = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let code = match named.or(said.code.as_deref()) {
            Some(code) => bare(code),
            None => by_sentence(&said.message),
        };
        let late = ["Signature expired", "Signature not yet current"];
        if SKEWED.contains(&code) || late.iter().any(|start| said.message.starts_with(start)) {
            return Self::Skewed(date(headers));
        }
        if ENDED.contains(&code) {
            return Self::Ended;
        }
        MISMATCH.iter().find(|known| **known == code).map_or(Self::Other, |code| Self::Mismatch(code))
    }
}

/// A service's words, in the forms that AWS has for them.
#[derive(Default)]
struct Said {
    code: Option<String>,
    message: String,
}

#[derive(Deserialize)]
struct Json {
    jsonrpc: Option<serde::de::IgnoredAny>,
    #[serde(rename = "__type", alias = "code", alias = "Code")]
    code: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        if let Ok(Json { jsonrpc, code, message }) = serde_json::from_slice(body) {
            return match jsonrpc {
                Some(_) => Self::default(),
                None => Self { code, message: message.unwrap_or_default() },
            };
        }
        let text = str::from_utf8(body).unwrap_or_default().trim_start();
        if !text.starts_with('<') {
            return Self::default();
        }
        let between = |from: &str, to| Some(text.split_once(from)?.1.split_once(to)?.0.trim().to_owned());
        Self {
            code: between("<Code>", "</Code>"),
            message: between("<Message>", "</Message>").unwrap_or_default(),
        }
    }
}

/// `com.amazon.coral.service#ExpiredTokenException:http://...` is `ExpiredTokenException`.
fn bare(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or_default();
    code.rsplit('#').next().unwrap_or_default().trim()
}

/// Some gateways give the sentence alone.
fn by_sentence(message: &str) -> &'static str {
    const SENTENCES: [(&str, &str); 4] = [
        ("The security token included in the request is expired", "ExpiredToken"),
        ("The security token included in the request is invalid", "InvalidClientTokenId"),
        ("The request signature we calculated does not match", "SignatureDoesNotMatch"),
        ("Missing Authentication Token", "MissingAuthenticationToken"),
    ];
    SENTENCES.iter().find(|(start, _)| message.starts_with(start)).map_or("", |(_, code)| code)
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
    Some(Timestamp::from_secs(date.duration_since(UNIX_EPOCH).ok()?.as_secs()))
}
