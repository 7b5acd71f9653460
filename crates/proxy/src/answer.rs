//! From a refusal to a response: the only place. Two messages a failure: the caller's stands here, the
//! operator's is the reason itself and goes to the record.

mod page;

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use safeconduct_core::mcp::filter::Asked;
use safeconduct_core::mcp::{Verb, door};
use safeconduct_core::refusal::{Reason, Refusal};
use safeconduct_core::server::Server;

use crate::body::ResponseBody;

/// JSON-RPC code of a policy's no (contract: outside of the range that JSON-RPC reserves).
pub const DENIED: i32 = -31403;

/// The response's shape before it is written.
struct Answer {
    status: StatusCode,
    code: i32,
    message: String,
    remedy: Option<String>,
    retry_after: Option<Duration>,
    /// `error=` of a challenge, and its further parameters; makes the answer a challenge.
    challenge: Option<Challenge>,
    /// Further members of `data`, as JSON text with a leading comma.
    extra: String,
    /// Leave `data` out, so that two cases cannot be told apart.
    bare: bool,
    /// A result (JSON text) instead of an error.
    result: Option<String>,
}

#[derive(Default)]
struct Challenge {
    error: Option<&'static str>,
    scope: Option<String>,
    further: String,
}

/// Answers a refusal, and closes its record.
#[expect(clippy::boxed_local, reason = "refusals travel boxed: they are rare, and results are small")]
pub fn respond(refusal: Box<Refusal>, verb: Option<Verb>) -> Response<ResponseBody> {
    let Refusal { reason, id, modern, pages, trail } = *refusal;
    let request_id = trail.id();
    let facts = Facts {
        modern,
        pages,
        request_id: std::str::from_utf8(&request_id).unwrap_or_default(),
        request: id.is_some(),
        stream: matches!(verb, Some(Verb::Get | Verb::Delete)),
        target: trail.record().and_then(|record| record.target.as_deref()),
        method: trail.record().and_then(|record| record.method.as_deref()),
    };
    let server = trail.record().and_then(|record| record.server.clone());
    let (response, length) = written(&reason, &facts, id.as_deref(), server.as_deref());
    tracing::debug!(code = reason.code(), fault = reason.fault().word(), "refused");
    trail.refused(&reason, detail(&reason), length);
    response
}

/// Answers a request whose record is closed already: it says why.
pub fn recorded(reason: &Reason, asked: &Asked) -> Response<ResponseBody> {
    let Asked { id, modern, request } = asked;
    let facts = Facts {
        modern: *modern,
        pages: false,
        request_id: std::str::from_utf8(request).unwrap_or_default(),
        request: id.is_some(),
        stream: false,
        target: None,
        method: None,
    };
    written(reason, &facts, id.as_deref(), None).0
}

/// The response, and the length of its body.
fn written(
    reason: &Reason,
    facts: &Facts<'_>,
    id: Option<&str>,
    server: Option<&Server>,
) -> (Response<ResponseBody>, u64) {
    let answer = answer(reason, facts);
    let request_id = facts.request_id;
    let body = write(&answer, reason, id, request_id);
    let mut response = Response::new(ResponseBody::Whole(None));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // What is answered as a server answers for what it does not have looks like that in its head, too.
    if !(answer.bare && answer.status == StatusCode::OK) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    put(headers, header::HeaderName::from_static("x-request-id"), request_id);
    if let Some(challenge) = &answer.challenge
        && let Some(server) = server
    {
        put(headers, header::WWW_AUTHENTICATE, &challenge_text(challenge, server));
    }
    if let Some(wait) = answer.retry_after {
        put(headers, header::RETRY_AFTER, &wait.as_secs().max(1).to_string());
    }
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST, GET, DELETE, OPTIONS"));
    }
    let length = body.len() as u64;
    *response.body_mut() = ResponseBody::whole(body);
    (response, length)
}

struct Facts<'a> {
    modern: bool,
    /// The user may be asked to open a page.
    pages: bool,
    request_id: &'a str,
    request: bool,
    stream: bool,
    target: Option<&'a str>,
    method: Option<&'a str>,
}

impl Facts<'_> {
    /// Where a JSON-RPC error can carry the news, HTTP is fine with it; else HTTP must say it.
    fn or(&self, otherwise: StatusCode) -> StatusCode {
        if self.request && !self.stream { StatusCode::OK } else { otherwise }
    }
}

fn answer(reason: &Reason, facts: &Facts<'_>) -> Answer {
    use StatusCode as S;
    match reason {
        Reason::NoSuchServer => plain(S::NOT_FOUND, -31404, "no such server"),
        Reason::MethodNotAllowed => plain(S::METHOD_NOT_ALLOWED, -31405, "method not allowed"),
        Reason::HostNotAllowed(_) => plain(S::FORBIDDEN, DENIED, "host not allowed"),
        Reason::OriginNotAllowed(_) => plain(S::FORBIDDEN, DENIED, "origin not allowed"),
        Reason::BadHead(why) => plain(S::BAD_REQUEST, -32600, why),
        Reason::BodyTooLarge(limit) => {
            plain(S::PAYLOAD_TOO_LARGE, -31413, &format!("the body is longer than {limit} bytes"))
        }
        Reason::BodyTooSlow => plain(S::REQUEST_TIMEOUT, -31408, "the body did not arrive in time"),
        Reason::Malformed(why) => plain(S::BAD_REQUEST, -32700, &format!("parse error: {why}")),
        Reason::InvalidMessage(why) => plain(S::BAD_REQUEST, -32600, &format!("invalid request: {why}")),
        Reason::Batch => plain(S::BAD_REQUEST, -32600, "invalid request: batches are not supported"),
        Reason::HeaderMismatch(why) => plain(S::BAD_REQUEST, -32020, &format!("header mismatch: {why}")),
        Reason::MetaMissing(field) => {
            plain(S::BAD_REQUEST, -32602, &format!("invalid params: _meta lacks {field}"))
        }
        Reason::UnsupportedVersion(asked) => unsupported(asked, facts),
        Reason::UnknownMethod(_) => plain(
            if facts.modern { S::NOT_FOUND } else { facts.or(S::BAD_REQUEST) },
            -32601,
            "method not found",
        ),
        Reason::UnknownSession => bare(S::NOT_FOUND, -31404, "session not found"),
        Reason::UnexpectedResponse => {
            plain(S::BAD_REQUEST, -32600, "invalid request: a response to no open request")
        }
        Reason::ForeignState(what) => {
            plain(facts.or(S::BAD_REQUEST), -32602, &format!("invalid params: unknown {what}"))
        }
        Reason::NoToken => challenge(None, "authentication required"),
        Reason::InvalidToken(_) => challenge(Some("invalid_token"), "the access token is not valid"),
        Reason::WrongAudience => challenge(Some("invalid_token"), "the access token is for another resource"),
        // Answered where logouts are received; a call is never refused for it.
        Reason::BadLogout(_) => plain(S::BAD_REQUEST, -32600, "the logout token is not valid"),
        Reason::IssuerUnavailable(_) => unavailable(
            S::SERVICE_UNAVAILABLE,
            "the identity provider cannot be reached",
            Some(Duration::from_secs(5)),
        ),
        Reason::InsufficientScope(scopes) => step_up(scopes),
        Reason::Denied { hidden, remedy } => denied(*hidden, remedy.clone(), facts),
        Reason::PolicyError { hidden, .. } => denied(*hidden, None, facts),
        Reason::AmbiguousArgument(name) => plain(
            facts.or(S::BAD_REQUEST),
            -32602,
            &format!("invalid params: the argument {name} can be read in two ways"),
        ),
        Reason::RateLimited(wait) => {
            Answer { retry_after: Some(*wait), ..plain(S::TOO_MANY_REQUESTS, -31429, "too many calls") }
        }
        Reason::TooManyStreams => plain(S::TOO_MANY_REQUESTS, -31429, "too many open streams"),
        Reason::NetworkRefused(_) => {
            plain(facts.or(S::FORBIDDEN), DENIED, "the server may not connect there")
        }
        Reason::Quarantined(_) => Answer {
            remedy: Some("have the gateway's operator look at `safeconduct lock diff`".into()),
            ..plain(facts.or(S::FORBIDDEN), DENIED, "the tool is not what was approved: it is quarantined")
        },
        Reason::SubjectRefused { .. } => {
            challenge(Some("invalid_token"), "the identity provider no longer accepts the access token")
        }
        Reason::ExchangeDenied { .. } | Reason::MissingClaim(_) => Answer {
            remedy: Some(
                "ask for access to the backend, or have the gateway's credential step checked".into(),
            ),
            ..plain(facts.or(S::FORBIDDEN), DENIED, "no credential for the backend is granted to you")
        },
        Reason::StepUpRequired { acr_values, max_age, claims } => better_login(acr_values, *max_age, claims),
        Reason::InteractionRequired { url, .. } => page::asked(url, facts),
        Reason::ClientRefused { .. } | Reason::StepMisconfigured { .. } | Reason::BadTokenAnswer { .. } => {
            internal(facts, "the gateway could not acquire a credential for the backend")
        }
        Reason::TokenEndpointUnavailable { retry_after, .. } => unavailable(
            facts.or(S::SERVICE_UNAVAILABLE),
            "the token endpoint cannot be reached",
            Some(retry_after.unwrap_or(Duration::from_secs(5))),
        ),
        Reason::BackendUnreachable(_) => unavailable(
            facts.or(S::SERVICE_UNAVAILABLE),
            "the MCP server cannot be reached",
            Some(Duration::from_secs(5)),
        ),
        Reason::ServerNotStarted(_) => unavailable(
            facts.or(S::SERVICE_UNAVAILABLE),
            "the MCP server could not be started",
            Some(Duration::from_secs(5)),
        ),
        Reason::NoRoomForServer(_) => unavailable(
            facts.or(S::SERVICE_UNAVAILABLE),
            "no more MCP servers can be started now",
            Some(Duration::from_secs(30)),
        ),
        Reason::BackendTimeout => Answer {
            status: facts.or(S::GATEWAY_TIMEOUT),
            ..internal(facts, "the MCP server did not answer in time")
        },
        Reason::SignatureRefused(_) => internal(facts, "the MCP server refuses the gateway's signature"),
        Reason::BackendRefusedCredential(_) => internal(facts, "the MCP server refuses the credential"),
        Reason::BackendStatus(status) => internal(facts, &format!("the MCP server answered HTTP {status}")),
        Reason::BadBackendAnswer(_) => internal(facts, "the MCP server's answer cannot be used"),
        Reason::AuditUnavailable => {
            unavailable(S::SERVICE_UNAVAILABLE, "calls cannot be recorded now", Some(Duration::from_secs(1)))
        }
        Reason::ShuttingDown => {
            unavailable(S::SERVICE_UNAVAILABLE, "shutting down", Some(Duration::from_secs(1)))
        }
        Reason::Overloaded => unavailable(S::SERVICE_UNAVAILABLE, "overloaded", Some(Duration::from_secs(1))),
        Reason::Internal(_) => internal(facts, "internal error"),
    }
}

fn plain(status: StatusCode, code: i32, message: &str) -> Answer {
    Answer {
        status,
        code,
        message: message.into(),
        remedy: None,
        retry_after: None,
        challenge: None,
        extra: String::new(),
        bare: false,
        result: None,
    }
}

fn bare(status: StatusCode, code: i32, message: &str) -> Answer {
    Answer { bare: true, ..plain(status, code, message) }
}

fn unavailable(status: StatusCode, message: &str, retry_after: Option<Duration>) -> Answer {
    Answer { retry_after, ..plain(status, -31503, message) }
}

fn internal(facts: &Facts<'_>, message: &str) -> Answer {
    plain(facts.or(StatusCode::BAD_GATEWAY), -32603, message)
}

fn challenge(error: Option<&'static str>, message: &str) -> Answer {
    let challenge = Challenge { error, ..Challenge::default() };
    Answer { challenge: Some(challenge), ..plain(StatusCode::UNAUTHORIZED, -31401, message) }
}

fn step_up(scopes: &[String]) -> Answer {
    let scope = scopes.join(" ");
    let challenge =
        Challenge { error: Some("insufficient_scope"), scope: Some(scope.clone()), ..Challenge::default() };
    Answer {
        challenge: Some(challenge),
        ..plain(StatusCode::FORBIDDEN, DENIED, &format!("this call needs the scopes {scope}"))
    }
}

/// RFC 9470 §3, or Entra's claims challenge.
fn better_login(acr_values: &Option<String>, max_age: Option<u64>, claims: &Option<String>) -> Answer {
    let mut further = String::new();
    if let Some(acr) = acr_values {
        let _ = write!(further, ", acr_values=\"{}\"", quotable(acr));
    }
    if let Some(age) = max_age {
        let _ = write!(further, ", max_age={age}");
    }
    if let Some(claims) = claims {
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(claims);
        let _ = write!(further, ", claims=\"{encoded}\"");
    }
    let error = if claims.is_some() { "insufficient_claims" } else { "insufficient_user_authentication" };
    let challenge = Challenge { error: Some(error), scope: None, further };
    Answer {
        challenge: Some(challenge),
        ..plain(StatusCode::UNAUTHORIZED, -31401, "a stronger login is required")
    }
}

fn unsupported(asked: &str, facts: &Facts<'_>) -> Answer {
    let supported = if facts.modern { door::MODERN_VERSIONS } else { door::LEGACY_VERSIONS };
    let list: Vec<String> = supported.iter().map(|version| json_text(version)).collect();
    Answer {
        extra: format!(",\"supported\":[{}],\"requested\":{}", list.join(","), json_text(asked)),
        ..plain(
            StatusCode::BAD_REQUEST,
            if facts.modern { -32022 } else { -32600 },
            "unsupported protocol version",
        )
    }
}

/// A hidden thing is answered as an unknown one is, in the words of the specification's examples.
fn denied(hidden: bool, remedy: Option<String>, facts: &Facts<'_>) -> Answer {
    let target = facts.target.unwrap_or_default();
    if !hidden {
        let message = "denied by policy";
        return Answer { remedy, ..plain(facts.or(StatusCode::FORBIDDEN), DENIED, message) };
    }
    match facts.method {
        Some("tools/call") => {
            bare(facts.or(StatusCode::FORBIDDEN), -32602, &format!("Unknown tool: {target}"))
        }
        Some("prompts/get") => {
            bare(facts.or(StatusCode::FORBIDDEN), -32602, &format!("Unknown prompt: {target}"))
        }
        // 2026-07-28 moved "resource not found" from -32002 to -32602.
        _ => {
            let code = if facts.modern { -32602 } else { -32002 };
            bare(facts.or(StatusCode::FORBIDDEN), code, "Resource not found")
        }
    }
}

fn write(answer: &Answer, reason: &Reason, id: Option<&str>, request_id: &str) -> String {
    let mut out = String::with_capacity(256);
    out.push_str("{\"jsonrpc\":\"2.0\"");
    if let Some(id) = id {
        let _ = write!(out, ",\"id\":{id}");
    }
    if let Some(result) = &answer.result {
        let _ = write!(out, ",\"result\":{result}}}");
        return out;
    }
    let _ = write!(out, ",\"error\":{{\"code\":{},\"message\":{}", answer.code, json_text(&answer.message));
    if !answer.bare {
        let _ = write!(out, ",\"data\":{{\"code\":\"{}\",\"request_id\":\"{request_id}\"", reason.code());
        let _ = write!(out, ",\"fault\":\"{}\"", reason.fault().word());
        if let Some(remedy) = &answer.remedy {
            let _ = write!(out, ",\"remedy\":{}", json_text(remedy));
        }
        if let Some(wait) = answer.retry_after {
            let _ = write!(out, ",\"retry_after\":{}", wait.as_secs().max(1));
        }
        out.push_str(&answer.extra);
        out.push('}');
    }
    out.push_str("}}");
    out
}

/// RFC 6750 §3, RFC 9728 §5.1. All values quoted, all URLs from the configured public base.
fn challenge_text(challenge: &Challenge, server: &Server) -> String {
    let mut text = String::from("Bearer ");
    if let Some(error) = challenge.error {
        let _ = write!(text, "error=\"{error}\", ");
    }
    let _ = write!(text, "resource_metadata=\"{}\"", server.metadata_url);
    // A resource server must not lure clients into refresh tokens (checklist A8).
    let all = || {
        server
            .all_scopes()
            .into_iter()
            .filter(|scope| *scope != "offline_access")
            .collect::<Vec<_>>()
            .join(" ")
    };
    let scope = challenge.scope.clone().unwrap_or_else(all);
    if !scope.is_empty() {
        let _ = write!(text, ", scope=\"{}\"", quotable(&scope));
    }
    text.push_str(&challenge.further);
    text
}

fn quotable(text: &str) -> String {
    text.chars().filter(|c| (' '..='~').contains(c) && !matches!(c, '"' | '\\')).collect()
}

fn json_text(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".into())
}

fn put(headers: &mut http::HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// What a better login is to have, in words.
fn wanted(acr_values: &Option<String>, max_age: Option<u64>, claims: &Option<String>) -> String {
    let acr = acr_values.as_ref().map(|values| format!("acr_values {}", quotable(values)));
    let age = max_age.map(|age| format!("max_age {age}"));
    let claims = claims.as_ref().map(|_| "claims".to_owned());
    let all: Vec<String> = [acr, age, claims].into_iter().flatten().collect();
    if all.is_empty() { "a better login".into() } else { format!("a login with {}", all.join(", ")) }
}

/// The operator's text. Reasons never hold a token; what a caller sent is cut short.
pub fn detail(reason: &Reason) -> String {
    let mut text = match reason {
        Reason::HostNotAllowed(host) => format!("host {host:?} is not in the allow-list"),
        Reason::OriginNotAllowed(origin) => format!("origin {origin:?} is not in the allow-list"),
        Reason::BadHead(why)
        | Reason::Malformed(why)
        | Reason::InvalidMessage(why)
        | Reason::HeaderMismatch(why)
        | Reason::InvalidToken(why)
        | Reason::BadLogout(why)
        | Reason::BadBackendAnswer(why)
        | Reason::SignatureRefused(why)
        | Reason::Internal(why) => why.to_string(),
        Reason::BodyTooLarge(limit) => format!("over {limit} bytes"),
        Reason::MetaMissing(field) => format!("_meta lacks {field}"),
        Reason::Quarantined(why) => (*why).to_owned(),
        Reason::UnsupportedVersion(asked) => format!("protocol version {asked:?}"),
        Reason::UnknownMethod(name) => format!("method {name:?}"),
        Reason::ForeignState(what) => format!("{what} of another caller, or unknown"),
        Reason::IssuerUnavailable(why)
        | Reason::BackendUnreachable(why)
        | Reason::ServerNotStarted(why)
        | Reason::NoRoomForServer(why) => why.clone(),
        Reason::InsufficientScope(scopes) => format!("needs {}", scopes.join(" ")),
        Reason::PolicyError { error, .. } => error.clone(),
        Reason::AmbiguousArgument(name) => format!("argument {name:?}"),
        Reason::SubjectRefused { step, error }
        | Reason::ExchangeDenied { step, error }
        | Reason::StepMisconfigured { step, error }
        | Reason::ClientRefused { step, error } => format!("{step}: {error}"),
        Reason::BadTokenAnswer { step, problem } => format!("{step}: {problem}"),
        Reason::TokenEndpointUnavailable { step, .. } => format!("{step}: unavailable"),
        Reason::InteractionRequired { step, .. } => format!("{step}: interaction required"),
        Reason::StepUpRequired { acr_values, max_age, claims } => wanted(acr_values, *max_age, claims),
        Reason::MissingClaim(name) => format!("the token has no claim {name:?}"),
        Reason::BackendRefusedCredential(status) | Reason::BackendStatus(status) => format!("HTTP {status}"),
        _ => String::new(),
    };
    if text.len() > 300 {
        let cut = (0..=300).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(cut);
    }
    text
}
