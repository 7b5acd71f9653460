//! Sessions of the revisions with a handshake, up to 2025-11-25.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_lc_rs::rand;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use safeconduct_core::mcp::json::{Edit, edited};

use super::ask::{Ask, with_param};
use super::bridge::{Bridge, Refused};
use super::http::refused;
use super::message::{self, Parts, Shape};
use super::process::{Opened, Process};
use super::respond::{self, Body, Style, empty, problem};
use super::session::{Handshake, Session};
use super::{Sharing, era, upward};

const SESSION: &str = "mcp-session-id";

/// Answers one POST.
pub(super) async fn post(
    bridge: &Arc<Bridge>,
    headers: &HeaderMap,
    body: &Bytes,
    parts: &Parts<'_>,
) -> Response<Body> {
    if parts.method() == "initialize" && parts.shape() == Shape::Request {
        return initialize(bridge, body, parts).await;
    }
    let session = match session_of(bridge, headers) {
        Ok(session) => session,
        Err(refusal) => return *refusal,
    };
    session.touch();
    if let Some(lift) = &session.lift {
        return upward::post(bridge, &session, lift, headers, body, parts).await;
    }
    match parts.shape() {
        Shape::Request => request(bridge, &session, headers, body, parts).await,
        Shape::Notification => notification(bridge, &session, body, parts).await,
        Shape::Response => response(bridge, &session, body, parts).await,
    }
}

/// Opens or resumes a stream.
pub(super) fn get(bridge: &Arc<Bridge>, headers: &HeaderMap) -> Response<Body> {
    let session = match session_of(bridge, headers) {
        Ok(session) => session,
        Err(refusal) => return *refusal,
    };
    session.touch();
    let last = headers.get("last-event-id").and_then(|id| respond::resumed(id.to_str().ok()?));
    // An event that is not known any more is no reason to be deaf from now on.
    let resumed = last.and_then(|(number, read)| Some((session.stream(number)?, read)));
    let reader = match resumed {
        Some((stream, read)) => stream.reader_from(read),
        None => session.common.reader(),
    };
    respond::events(reader, None, None, Style::Numbered)
}

/// Ends a session.
pub(super) fn delete(bridge: &Arc<Bridge>, headers: &HeaderMap) -> Response<Body> {
    match session_of(bridge, headers) {
        Ok(session) => {
            bridge.dismiss(&session);
            if let Some(process) = bridge.present(&session.handshake)
                && process.leave(&session)
            {
                // Over its standard streams, the end of a session is the end of the process.
                bridge.let_go(process);
            }
            empty(StatusCode::NO_CONTENT)
        }
        Err(refusal) => *refusal,
    }
}

fn session_of(bridge: &Bridge, headers: &HeaderMap) -> Result<Arc<Session>, Box<Response<Body>>> {
    let refuse = |status, what| Err(Box::new(problem(status, what)));
    if !era::is_legacy_head(headers) {
        return refuse(StatusCode::BAD_REQUEST, "The protocol version is not supported.");
    }
    let Some(id) = headers.get(SESSION) else {
        return refuse(StatusCode::BAD_REQUEST, "Mcp-Session-Id is missing.");
    };
    let session = id.to_str().ok().and_then(|id| bridge.session(id));
    session.map_or_else(|| refuse(StatusCode::NOT_FOUND, "There is no such session."), Ok)
}

async fn initialize(bridge: &Arc<Bridge>, body: &Bytes, parts: &Parts<'_>) -> Response<Body> {
    let id = parts.id.map_or("null", |id| id.raw());
    let Some(name) = new_id() else {
        return refused(&Refused::NotStarted("There is no randomness.".into()), id);
    };
    let handshake = handshake(bridge.options.sharing, body, parts, &name);
    let process = match bridge.legacy(&handshake).await {
        Ok(process) => process,
        Err(Refused::Handshake(answer)) => {
            return match upward::initialize(bridge, parts, handshake, &name).await {
                Some(lifted) => with_session(respond::json(StatusCode::OK, lifted), &name),
                None => respond::json(StatusCode::OK, with_id(&answer, id)),
            };
        }
        Err(why) => return refused(&why, id),
    };
    let Some(Opened::Handshake(answer)) = process.opened.get() else {
        return refused(&Refused::NotStarted("The handshake is not known.".into()), id);
    };
    let version = agreed(answer).unwrap_or_else(|| message::LEGACY.into());
    let session = Session::new(name.clone(), handshake, version, None);
    process.table().attach(&session);
    bridge.admit(&session);
    with_session(respond::json(StatusCode::OK, with_id(answer, id)), &name)
}

/// What is sent to open a process, and with whom it may be shared: with sessions whose clients say the same of what they
/// can. A client with roots has a process of its own, for another's could be other ones.
fn handshake(sharing: Sharing, body: &Bytes, parts: &Parts<'_>, name: &str) -> Handshake {
    let capabilities = parts.param("capabilities");
    let version = parts.param("protocolVersion").map_or("", |version| version.raw());
    if sharing == Sharing::AllCallers {
        // Nobody can be asked anything: who answers would not be known.
        let request = edited(body, with_param(parts, "capabilities", "{}").into_iter().collect());
        return Handshake { key: version.into(), request };
    }
    let rooted = capabilities.is_some_and(|all| all.member("roots").is_some());
    let own = if rooted { name } else { "" };
    let capabilities = capabilities.map_or("", |all| all.raw());
    Handshake { key: format!("{version} {own} {capabilities}").into(), request: body.clone() }
}

async fn request(
    bridge: &Arc<Bridge>,
    session: &Arc<Session>,
    headers: &HeaderMap,
    body: &Bytes,
    parts: &Parts<'_>,
) -> Response<Body> {
    let id = parts.id.map_or("null", |id| id.raw());
    let process = match process_of(bridge, session).await {
        Ok(process) => process,
        Err(Gone::Session) => return lost(bridge, session),
        Err(Gone::Refused(why)) => return refused(&why, id),
    };
    if let Some(answered) = noted(bridge, &process, session, parts) {
        return respond::json(StatusCode::OK, message::result(id, answered));
    }
    let number = bridge.common.number();
    let stream = session.open(number);
    let reader = stream.reader();
    let ask = Ask { session: Some(session.clone()), ..Ask::new(body, parts, stream) };
    let _ticket = match process.ask(ask, false).await {
        Ok(ticket) => ticket,
        Err(over) => return respond::json(StatusCode::OK, message::error(id, message::INTERNAL, &over.0)),
    };
    let style = if session.primes() { Style::Primed } else { Style::Numbered };
    let response =
        respond::reply(reader, None, style, respond::wants_events(headers), |_| StatusCode::OK).await;
    if response.headers().get(http::header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json") {
        session.forget(number);
    }
    response
}

/// What must be known when another process takes over, or when sessions share one. `{}` where the process need not be
/// asked.
fn noted(
    bridge: &Bridge,
    process: &Process,
    session: &Arc<Session>,
    parts: &Parts<'_>,
) -> Option<&'static str> {
    let uri = || parts.param("uri").and_then(|uri| uri.string()).unwrap_or_default();
    match &*parts.method() {
        "logging/setLevel" => {
            session.set_level(parts.param("level").map_or("\"info\"", |level| level.raw()));
            // Its lines would reach nobody.
            (bridge.options.sharing == Sharing::AllCallers).then_some("{}")
        }
        "resources/subscribe" => {
            session.subscribe(&uri());
            None
        }
        "resources/unsubscribe" => {
            session.unsubscribe(&uri());
            let sessions = process.table().sessions();
            let others =
                sessions.iter().any(|other| other.subscriptions().iter().any(|other| **other == *uri()));
            others.then_some("{}")
        }
        _ => None,
    }
}

async fn notification(
    bridge: &Arc<Bridge>,
    session: &Arc<Session>,
    body: &Bytes,
    parts: &Parts<'_>,
) -> Response<Body> {
    let accepted = empty(StatusCode::ACCEPTED);
    // What is said to a process that does not run is said to nobody: another one will be told by the bridge.
    let Some(process) = bridge.present(&session.handshake) else { return accepted };
    let written = match &*parts.method() {
        "notifications/initialized" if process.initialized.swap(true, Ordering::Relaxed) => return accepted,
        "notifications/cancelled" => {
            let id = parts.param("requestId").map_or("", |id| id.raw());
            process.cancel_of(session, id, body);
            return accepted;
        }
        // Of what it was not told it has.
        "notifications/roots/list_changed" if bridge.options.sharing == Sharing::AllCallers => {
            return accepted;
        }
        _ => process.write(body).await,
    };
    match written {
        Ok(()) => accepted,
        Err(over) => problem(StatusCode::SERVICE_UNAVAILABLE, &over.0),
    }
}

async fn response(
    bridge: &Arc<Bridge>,
    session: &Arc<Session>,
    body: &Bytes,
    parts: &Parts<'_>,
) -> Response<Body> {
    let process = bridge.present(&session.handshake);
    let taken = match process {
        Some(process) => process.reply_of(session, body, parts).await.unwrap_or(false),
        None => false,
    };
    if taken {
        return empty(StatusCode::ACCEPTED);
    }
    problem(StatusCode::BAD_REQUEST, "Nobody asked for this response.")
}

/// Why a session has no process.
enum Gone {
    Refused(Refused),
    /// Another process did not agree to the same.
    Session,
}

/// The session's process. After an end another one is opened with the same handshake, and told what the client had said.
async fn process_of(bridge: &Arc<Bridge>, session: &Arc<Session>) -> Result<Arc<Process>, Gone> {
    let process = bridge.legacy(&session.handshake).await.map_err(Gone::Refused)?;
    let Some(Opened::Handshake(answer)) = process.opened.get() else { return Err(Gone::Session) };
    if process.table().has(session) {
        return Ok(process);
    }
    if agreed(answer).as_deref() != Some(&*session.version) {
        return Err(Gone::Session);
    }
    process.table().attach(session);
    let over = |over| Gone::Refused(Refused::from(over));
    if !process.initialized.swap(true, Ordering::Relaxed) {
        process.write(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await.map_err(over)?;
    }
    let level = session.level().filter(|_| bridge.options.sharing == Sharing::OneCaller);
    let level = level.map(|level| format!(r#""method":"logging/setLevel","params":{{"level":{level}}}"#));
    let subscriptions = session.subscriptions();
    let subscriptions = subscriptions
        .iter()
        .map(|uri| format!(r#""method":"resources/subscribe","params":{{"uri":{}}}"#, message::quoted(uri)));
    for again in level.into_iter().chain(subscriptions) {
        let request = format!(r#"{{"jsonrpc":"2.0","id":0,{again}}}"#).into();
        process.call(&request, bridge.options.start).await.map_err(over)?;
    }
    Ok(process)
}

fn lost(bridge: &Bridge, session: &Session) -> Response<Body> {
    bridge.dismiss(session);
    problem(StatusCode::NOT_FOUND, "There is no such session.")
}

/// The version that an answer to `initialize` agrees on.
fn agreed(answer: &Bytes) -> Option<Box<str>> {
    let parts = Parts::read(answer).ok()?;
    Some(parts.result?.member("protocolVersion")?.string()?.into())
}

/// An answer with another id.
fn with_id(answer: &Bytes, id: &str) -> Bytes {
    let edit: Option<Edit> = Parts::read(answer).ok().and_then(|parts| parts.with_id(id));
    edited(answer, edit.into_iter().collect())
}

fn with_session(mut response: Response<Body>, name: &str) -> Response<Body> {
    if let Ok(name) = HeaderValue::from_str(name) {
        response.headers_mut().insert(SESSION, name);
    }
    response
}

fn new_id() -> Option<Box<str>> {
    let mut random = [0; 16];
    rand::fill(&mut random).ok()?;
    Some(random.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Parts, Sharing, handshake};

    fn key(sharing: Sharing, capabilities: &str, name: &str) -> (String, String) {
        let body: Bytes = format!(
            r#"{{"id":1,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{capabilities}}}}}"#
        )
        .into();
        let handshake = handshake(sharing, &body, &Parts::read(&body).unwrap(), name);
        (handshake.key.to_string(), String::from_utf8(handshake.request.to_vec()).unwrap())
    }

    #[test]
    fn sessions_share_a_process_when_their_clients_can_the_same_and_have_no_roots() {
        let one = Sharing::OneCaller;
        assert_eq!(key(one, r#"{"sampling":{}}"#, "a").0, key(one, r#"{"sampling":{}}"#, "b").0);
        assert_ne!(key(one, r#"{"sampling":{}}"#, "a").0, key(one, "{}", "b").0);
        assert_ne!(key(one, r#"{"roots":{}}"#, "a").0, key(one, r#"{"roots":{}}"#, "b").0);
        assert!(key(one, r#"{"roots":{}}"#, "a").1.contains(r#""capabilities":{"roots":{}}"#));
    }

    #[test]
    fn a_process_that_callers_share_is_told_that_nobody_can_be_asked() {
        let all = Sharing::AllCallers;
        assert_eq!(key(all, r#"{"roots":{}}"#, "a").0, key(all, r#"{"sampling":{}}"#, "b").0);
        assert!(key(all, r#"{"sampling":{}}"#, "a").1.contains(r#""capabilities":{}"#));
    }
}
