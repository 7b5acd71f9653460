//! A legacy client, a modern server (checklist D5). The bridge holds the session and says with every request what the client
//! had said once. An `input_required` result becomes requests to the client on the stream of its call, and the call is
//! made again with the answers. What the client would have heard on its GET stream, the bridge listens for.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use safeconduct_core::mcp::json::{Edit, Value, edited};
use tokio::sync::oneshot;

use super::ask::Ask;
use super::bridge::Bridge;
use super::http::refused;
use super::message::{
    self, CAPABILITIES_KEY, CLIENT_INFO_KEY, LEGACY, LOG_LEVEL_KEY, MODERN, Parts, SUBSCRIPTION_KEY, Shape,
    VERSION_KEY,
};
use super::process::{Opened, Process};
use super::respond::{self, Body, Style, empty, problem};
use super::session::{Handshake, Lift, Session};
use super::stream::Stream;
use super::{era, translate};

/// How often a server may ask before it answers.
const ROUNDS: usize = 10;
const LEGACY_VERSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

/// Opens a session with a server that does not know sessions; the answer to `initialize`. None if it does not speak the
/// stateless revision either.
pub(super) async fn initialize(
    bridge: &Arc<Bridge>,
    parts: &Parts<'_>,
    handshake: Handshake,
    name: &str,
) -> Option<Bytes> {
    let process = bridge.modern().await.ok()?;
    let answer = match process.opened.get() {
        Some(Opened::Discovery(answer)) => answer.clone(),
        _ => process.call(&era::probe(), bridge.options.start).await.ok()?,
    };
    let discovery = Parts::read(&answer).ok()?;
    let mut versions = discovery.result?.member("supportedVersions")?.elements();
    versions.find(|version| version.string().as_deref() == Some(MODERN))?;
    bridge.verdict.legacy(false);
    let asked = parts.param("protocolVersion").and_then(|version| version.string());
    let version =
        LEGACY_VERSIONS.into_iter().find(|known| asked.as_deref() == Some(*known)).unwrap_or(LEGACY);
    let capabilities = discovery.result.and_then(|result| result.member("capabilities"));
    let announces = |name: &str| {
        capabilities.and_then(|all| all.member(name)?.member("listChanged")?.boolean()) == Some(true)
    };
    let kinds = [
        ("tools", "toolsListChanged"),
        ("prompts", "promptsListChanged"),
        ("resources", "resourcesListChanged"),
    ];
    let lift = Lift {
        capabilities: parts.param("capabilities").map_or("{}", |all| all.raw()).into(),
        client: parts.param("clientInfo").map_or_else(translate::own_info, |info| info.raw().into()).into(),
        changes: kinds.into_iter().filter(|(name, _)| announces(name)).map(|(_, kind)| kind).collect(),
        questions: Mutex::default(),
        listening: Mutex::default(),
    };
    bridge.admit(&Session::new(name.into(), handshake, version.into(), Some(lift)));
    Some(translate::handshake(&discovery, version, parts.id.map_or("null", |id| id.raw())))
}

/// Answers one POST of such a session.
pub(super) async fn post(
    bridge: &Arc<Bridge>,
    session: &Arc<Session>,
    lift: &Lift,
    headers: &HeaderMap,
    body: &Bytes,
    parts: &Parts<'_>,
) -> Response<Body> {
    match parts.shape() {
        Shape::Request => request(bridge, session, headers, body, parts).await,
        Shape::Notification => {
            if let ("notifications/cancelled", Ok(process)) = (&*parts.method(), bridge.modern().await) {
                let id = parts.param("requestId").map_or("", |id| id.raw());
                process.cancel_of(session, id, body);
            }
            empty(StatusCode::ACCEPTED)
        }
        Shape::Response => {
            let question = Parts::number(parts.id).and_then(|number| {
                lift.questions.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)
            });
            match question.map(|question| question.send(body.clone())) {
                Some(Ok(())) => empty(StatusCode::ACCEPTED),
                _ => problem(StatusCode::BAD_REQUEST, "Nobody asked for this response."),
            }
        }
    }
}

async fn request(
    bridge: &Arc<Bridge>,
    session: &Arc<Session>,
    headers: &HeaderMap,
    body: &Bytes,
    parts: &Parts<'_>,
) -> Response<Body> {
    let id = parts.id.map_or("null", |id| id.raw());
    let process = match bridge.modern().await {
        Ok(process) => process,
        Err(why) => return refused(&why, id),
    };
    listen(bridge, session, &process, false);
    let uri = || parts.param("uri").and_then(|uri| uri.string()).unwrap_or_default();
    let known = match &*parts.method() {
        "ping" => true,
        "logging/setLevel" => {
            session.set_level(parts.param("level").map_or("\"info\"", |level| level.raw()));
            true
        }
        "resources/subscribe" => {
            session.subscribe(&uri());
            listen(bridge, session, &process, true);
            true
        }
        "resources/unsubscribe" => {
            session.unsubscribe(&uri());
            listen(bridge, session, &process, true);
            true
        }
        _ => false,
    };
    if known {
        return respond::json(StatusCode::OK, message::result(id, "{}"));
    }
    let number = bridge.common.number();
    let outer = session.open(number);
    let reader = outer.reader();
    let call = Call { bridge: bridge.clone(), session: session.clone(), process, outer, body: body.clone() };
    // On its own: a legacy client that goes away has not cancelled, it may come back by GET.
    bridge.common.runtime.spawn(call.run());
    let style = if session.primes() { Style::Primed } else { Style::Numbered };
    respond::reply(reader, None, style, respond::wants_events(headers), |_| StatusCode::OK).await
}

/// One call of a legacy client.
struct Call {
    bridge: Arc<Bridge>,
    session: Arc<Session>,
    process: Arc<Process>,
    outer: Arc<Stream>,
    body: Bytes,
}

impl Call {
    async fn run(self) {
        let answer = match Parts::read(&self.body) {
            Ok(parts) => self.rounds(&parts).await,
            Err(_) => None,
        };
        match answer {
            Some(answer) => self.outer.answer(answer),
            None => self.outer.end(),
        }
    }

    async fn rounds(&self, parts: &Parts<'_>) -> Option<Bytes> {
        let id = parts.id.map_or("null", |id| id.raw());
        let fail = |what: &str| Some(message::error(id, message::INTERNAL, what));
        let mut input = String::new();
        for _ in 0..ROUNDS {
            let answer = match self.once(parts, &input).await {
                Ok(answer) => answer?,
                Err(over) => return fail(&over),
            };
            let Ok(answered) = Parts::read(&answer) else { return Some(answer) };
            let wanted = answered.result.filter(|result| {
                result.member("resultType").and_then(|kind| kind.string()).as_deref()
                    == Some("input_required")
            });
            let Some(wanted) = wanted else { return Some(answer) };
            input = match self.input(wanted).await {
                Ok(input) => input,
                Err(what) => return fail(&what),
            };
        }
        fail("The server asked too often.")
    }

    /// One round; what comes before the answer goes to the client. None if the call was cancelled.
    async fn once(&self, parts: &Parts<'_>, input: &str) -> Result<Option<Bytes>, Arc<str>> {
        let stream = Stream::new(self.bridge.common.number(), false);
        let mut reader = stream.reader();
        let edits = self.said(parts, input);
        let session = Some(self.session.clone());
        let ask = Ask { edits, session, logs: true, ..Ask::new(&self.body, parts, stream) };
        let _ticket = self.process.ask(ask, true).await.map_err(|over| over.0)?;
        while let Some((_, item)) = reader.next().await {
            if item.last {
                return Ok(Some(item.text));
            }
            self.outer.put(item.text);
        }
        Ok(None)
    }

    /// The changes that make the request one of the stateless revision.
    fn said(&self, parts: &Parts<'_>, input: &str) -> Vec<Edit> {
        let Some(lift) = &self.session.lift else { return Vec::new() };
        // A legacy client that set no level takes what it is sent.
        let level = self.session.level().unwrap_or_else(|| r#""info""#.into());
        let said = format!(
            r#""{VERSION_KEY}":"{MODERN}","{CLIENT_INFO_KEY}":{},"{CAPABILITIES_KEY}":{},"{LOG_LEVEL_KEY}":{level}"#,
            lift.client, lift.capabilities
        );
        let (meta, params) = (parts.meta().filter(Value::is_object), parts.params.filter(Value::is_object));
        match (meta, params) {
            (Some(meta), Some(params)) => {
                let mut edits = message::with_and_without(meta, &said, translate::is_per_hop);
                if !input.is_empty() {
                    edits.push(message::with_members(params, input));
                }
                edits
            }
            (_, Some(params)) => {
                let comma = if input.is_empty() { "" } else { "," };
                vec![message::with_members(params, &format!(r#""_meta":{{{said}}}{comma}{input}"#))]
            }
            _ => vec![message::with_meta(parts, &said)],
        }
    }

    /// Asks the client what the server wants to know; the members of `params` that say so.
    async fn input(&self, wanted: Value<'_>) -> Result<String, String> {
        let Some(lift) = &self.session.lift else { return Err("There is no such session.".into()) };
        let mut answers = Vec::new();
        let requests = wanted.member("inputRequests");
        for request in requests.into_iter().flat_map(|requests| requests.members()) {
            let part = |name: &str| request.value.member(name).map(|part| part.raw());
            let (Some(method), params) = (part("method"), part("params").unwrap_or("{}")) else {
                return Err("The server asked for something without a method.".into());
            };
            let number = self.bridge.common.number();
            let (sender, answer) = oneshot::channel();
            lift.questions.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sender);
            self.outer.put(
                format!(r#"{{"jsonrpc":"2.0","id":{number},"method":{method},"params":{params}}}"#).into(),
            );
            let answer = tokio::time::timeout(self.bridge.options.input, answer).await;
            lift.questions.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
            let Ok(Ok(answer)) = answer else { return Err("No input came from the client.".into()) };
            let answered = Parts::read(&answer).ok().and_then(|parts| parts.result);
            let Some(result) = answered else { return Err("The client refused to give the input.".into()) };
            answers.push(format!("{}:{}", message::quoted(&request.name()), result.raw()));
        }
        let mut members = Vec::new();
        if requests.is_some() {
            members.push(format!(r#""inputResponses":{{{}}}"#, answers.join(",")));
        }
        if let Some(state) = wanted.member("requestState") {
            members.push(format!(r#""requestState":{}"#, state.raw()));
        }
        Ok(members.join(","))
    }
}

/// Listens for the session, if nobody does on this process, or anew.
fn listen(bridge: &Arc<Bridge>, session: &Arc<Session>, process: &Arc<Process>, anew: bool) {
    let Some(lift) = &session.lift else { return };
    let subscriptions = session.subscriptions();
    let mut listening = lift.listening.lock().unwrap_or_else(PoisonError::into_inner);
    let here = listening.as_ref().is_some_and(|(number, _)| *number == process.number);
    if here && !anew {
        return;
    }
    if let Some((_, before)) = listening.take() {
        before.abort();
    }
    if lift.changes.is_empty() && subscriptions.is_empty() {
        return;
    }
    let mut wanted: Vec<_> = lift.changes.iter().map(|kind| format!(r#""{kind}":true"#)).collect();
    if !subscriptions.is_empty() {
        let uris: Vec<_> = subscriptions.iter().map(|uri| message::quoted(uri)).collect();
        wanted.push(format!(r#""resourceSubscriptions":[{}]"#, uris.join(",")));
    }
    let request = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"subscriptions/listen","params":{{"_meta":{{"{VERSION_KEY}":"{MODERN}","{CLIENT_INFO_KEY}":{},"{CAPABILITIES_KEY}":{}}},"notifications":{{{}}}}}}}"#,
        lift.client,
        lift.capabilities,
        wanted.join(",")
    );
    let (common, process_, number) = (session.common.clone(), process.clone(), bridge.common.number());
    let idle = subscriptions.is_empty();
    let task = bridge.common.runtime.spawn(hear(process_, request.into(), number, idle, common));
    *listening = Some((process.number, task.abort_handle()));
}

async fn hear(process: Arc<Process>, request: Bytes, number: u64, idle: bool, common: Arc<Stream>) {
    let stream = Stream::new(number, false);
    let mut reader = stream.reader();
    let Ok(parts) = Parts::read(&request) else { return };
    let Ok(_ticket) = process.ask(Ask { idle, ..Ask::new(&request, &parts, stream) }, true).await else {
        return;
    };
    while let Some((_, item)) = reader.next().await {
        if item.last {
            return;
        }
        let Ok(parts) = Parts::read(&item.text) else { continue };
        if parts.method() == "notifications/subscriptions/acknowledged" {
            continue;
        }
        let cuts = parts.meta().map(|meta| message::without_members(meta, |name| name == SUBSCRIPTION_KEY));
        common.offer(edited(&item.text, cuts.unwrap_or_default()));
    }
}
