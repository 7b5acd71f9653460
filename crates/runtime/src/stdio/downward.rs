//! A modern client, a legacy server (checklist D6). The bridge holds the handshake, with what the client says it can. What
//! the server asks in the course of a call becomes an `input_required` result; the call waits in the server until the
//! client comes back with the input. Results get what the stateless revision asks of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use safeconduct_core::mcp::json::{Edit, edited};
use tokio::task::AbortHandle;

use super::ask::Ask;
use super::bridge::{Bridge, Refused};
use super::http::refused;
use super::listener::Listener;
use super::message::{
    self, CAPABILITIES_KEY, CLIENT_INFO_KEY, LEGACY, LOG_LEVEL_KEY, MODERN, Parts, Shape, VERSION_KEY,
};
use super::process::{Opened, Process};
use super::respond::{self, Body, Style, modern_status};
use super::rounds::Call;
use super::session::Handshake;
use super::stream::Stream;
use super::{Sharing, translate};

/// What the stateless revision took away.
const REMOVED: [&str; 7] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/list",
    "tasks/result",
];

/// Answers a request for which there is no modern process.
pub(super) async fn request(
    bridge: &Arc<Bridge>,
    headers: &HeaderMap,
    body: &Bytes,
    parts: &Parts<'_>,
) -> Response<Body> {
    let id = parts.id.map_or("null", |id| id.raw());
    let fail = |status, code, what: &str| respond::json(status, message::error(id, code, what));
    let version = parts.in_meta(VERSION_KEY).and_then(|version| version.string()).unwrap_or_default();
    if version != MODERN {
        return respond::json(StatusCode::BAD_REQUEST, unsupported(id, &version));
    }
    let method = parts.method();
    if REMOVED.contains(&&*method) {
        return fail(StatusCode::NOT_FOUND, message::NO_METHOD, "Method not found");
    }
    let process = match open(bridge, parts).await {
        Ok(process) => process,
        Err(why) => return refused(&why, id),
    };
    let Some(Opened::Handshake(handshake)) = process.opened.get() else {
        return refused(&Refused::NotStarted("The handshake is not known.".into()), id);
    };
    match &*method {
        "server/discover" => respond::json(StatusCode::OK, translate::discovery(handshake, id)),
        "subscriptions/listen" => listen(bridge, &process, handshake, parts).await,
        _ => call(bridge, process, headers, body, parts).await,
    }
}

fn unsupported(id: &str, requested: &str) -> Bytes {
    let requested = message::quoted(requested);
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32022,"message":"Unsupported protocol version","data":{{"supported":["{MODERN}"],"requested":{requested}}}}}}}"#
    )
    .into()
}

/// The process that was opened for clients that can the same.
async fn open(bridge: &Arc<Bridge>, parts: &Parts<'_>) -> Result<Arc<Process>, Refused> {
    let capabilities = match bridge.options.sharing {
        Sharing::OneCaller => translate::legacy_capabilities(parts.in_meta(CAPABILITIES_KEY)),
        Sharing::AllCallers => "{}".into(),
    };
    let client = parts.in_meta(CLIENT_INFO_KEY).filter(|_| bridge.options.sharing == Sharing::OneCaller);
    let client = client.map_or_else(translate::own_info, |client| client.raw().into());
    let request = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{LEGACY}","capabilities":{capabilities},"clientInfo":{client}}}}}"#
    );
    let handshake = Handshake { key: format!("downward {capabilities}").into(), request: request.into() };
    let process = bridge.legacy(&handshake).await?;
    if !process.initialized.swap(true, Ordering::Relaxed) {
        process.write(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await?;
    }
    Ok(process)
}

async fn listen(
    bridge: &Arc<Bridge>,
    process: &Arc<Process>,
    handshake: &Bytes,
    parts: &Parts<'_>,
) -> Response<Body> {
    let stream = Stream::new(bridge.common.number(), false);
    let Ok(handshake) = Parts::read(handshake) else {
        return refused(&Refused::NotStarted("The handshake is not known.".into()), "null");
    };
    let listener = Listener::new(parts, &handshake, stream.clone());
    stream.put(listener.acknowledgement());
    process.table().listeners.push(Arc::downgrade(&listener));
    for uri in listener.uris() {
        let uri = message::quoted(uri);
        let request =
            format!(r#"{{"jsonrpc":"2.0","id":0,"method":"resources/subscribe","params":{{"uri":{uri}}}}}"#);
        // A resource that cannot be subscribed to will not be heard of, as the revision has it.
        drop(process.call(&request.into(), bridge.options.start).await);
    }
    let reader = stream.reader();
    let (watched, ending) = (process.clone(), listener.clone());
    let watch = bridge.common.runtime.spawn(async move {
        let _held = watched.hold();
        watched.end().await;
        stream.answer(message::result(ending.id(), &ending.completion()));
    });
    respond::events(reader, None, Some(Box::new((listener, Aborts(watch.abort_handle())))), Style::Plain)
}

async fn call(
    bridge: &Arc<Bridge>,
    process: Arc<Process>,
    headers: &HeaderMap,
    body: &Bytes,
    parts: &Parts<'_>,
) -> Response<Body> {
    let id: Box<str> = parts.id.map_or("null", |id| id.raw()).into();
    let fail = |what: &str| respond::json(StatusCode::OK, message::error(&id, message::BAD_PARAMS, what));
    let named = ["name", "uri"].iter().find_map(|name| parts.param(name));
    let what = format!("{} {}", parts.method(), named.map_or("", |named| named.raw()));
    let begun = match parts.param("requestState").and_then(|state| state.string()) {
        Some(state) => match bridge.rounds.resume(&state, &what) {
            Some(call) => answered(call, parts).await,
            None => return fail("The requestState is unknown, or has ended."),
        },
        None => begin(bridge, process, body, parts, what.into()).await,
    };
    let call = match begun {
        Ok(call) => call,
        Err(why) => return refused(&why, &id),
    };
    let outer = Stream::new(bridge.common.number(), false);
    let reader = outer.reader();
    let can = Can::of(parts);
    let cacheable = translate::is_cacheable(&parts.method());
    let driver = Driver { bridge: bridge.clone(), outer, id, can, cacheable };
    let driving = bridge.common.runtime.spawn(driver.drive(call));
    let kept = Some(Box::new(Aborts(driving.abort_handle())) as respond::Kept);
    respond::reply(reader, kept, Style::Plain, respond::wants_events(headers), modern_status).await
}

async fn begin(
    bridge: &Arc<Bridge>,
    process: Arc<Process>,
    body: &Bytes,
    parts: &Parts<'_>,
    what: Box<str>,
) -> Result<Call, Refused> {
    let level = parts.in_meta(LOG_LEVEL_KEY).filter(|_| bridge.options.sharing == Sharing::OneCaller);
    if let Some(level) = level {
        let level = level.raw();
        let request =
            format!(r#"{{"jsonrpc":"2.0","id":0,"method":"logging/setLevel","params":{{"level":{level}}}}}"#);
        // A server without log lines refuses it, and has none.
        drop(process.call(&request.into(), bridge.options.start).await);
    }
    let mut edits = Vec::new();
    if let Some(meta) = parts.meta() {
        edits.extend(message::without_members(meta, translate::is_per_hop));
    }
    if let Some(params) = parts.params {
        edits.extend(message::without_members(params, |name| name == "inputResponses"));
    }
    let stream = Stream::new(bridge.common.number(), false);
    let reader = stream.reader();
    let ticket = process.ask(Ask { edits, ..Ask::new(body, parts, stream) }, true).await?;
    Ok(Call { process, reader, ticket, what, logs: level.is_some(), questions: Vec::new() })
}

/// Gives the server the input that came. What did not come is asked for again.
async fn answered(mut call: Call, parts: &Parts<'_>) -> Result<Call, Refused> {
    let input = parts.param("inputResponses");
    let mut missing = Vec::new();
    for (number, question) in std::mem::take(&mut call.questions) {
        let Some(answer) = input.and_then(|input| input.member(&number.to_string())) else {
            missing.push((number, question));
            continue;
        };
        let owed = call.process.table().owed.remove(&number);
        if let Some(owed) = owed {
            call.process.write(&message::result(&owed.id, answer.raw())).await?;
        }
    }
    call.questions = missing;
    // The answer goes to who asks now.
    let id = parts.id.map_or("null", |id| id.raw());
    if let Some(asked) = call.process.table().asked.get_mut(&call.ticket.number) {
        asked.reply_id = id.into();
        asked.token = parts.in_meta("progressToken").map(|token| token.raw().into());
    }
    Ok(call)
}

/// What the client said that it can.
struct Can {
    sampling: bool,
    elicitation: bool,
    roots: bool,
}

impl Can {
    fn of(parts: &Parts<'_>) -> Self {
        let all = parts.in_meta(CAPABILITIES_KEY);
        let has = |name: &str| all.is_some_and(|all| all.member(name).is_some());
        Self { sampling: has("sampling"), elicitation: has("elicitation"), roots: has("roots") }
    }

    fn answers(&self, method: &str) -> bool {
        match method {
            "sampling/createMessage" => self.sampling,
            "elicitation/create" => self.elicitation,
            "roots/list" => self.roots,
            _ => false,
        }
    }
}

/// Brings what a process says in the course of a call to a modern client.
struct Driver {
    bridge: Arc<Bridge>,
    outer: Arc<Stream>,
    /// JSON text of the id of the client's request.
    id: Box<str>,
    can: Can,
    cacheable: bool,
}

impl Driver {
    async fn drive(self, mut call: Call) {
        if !call.questions.is_empty() {
            return self.ask(call);
        }
        while let Some((_, item)) = call.reader.next().await {
            if item.last {
                return self.outer.answer(self.finished(&item.text, &call.process));
            }
            let Ok(parts) = Parts::read(&item.text) else { continue };
            match (parts.shape(), &*parts.method()) {
                (Shape::Request, method) if self.can.answers(method) => {
                    let number = Parts::number(parts.id).unwrap_or_default();
                    let params = parts.params.map_or("{}", |params| params.raw());
                    let method = message::quoted(method);
                    let question = format!(r#"{{"method":{method},"params":{params}}}"#);
                    call.questions.push((number, question.into()));
                    return self.ask(call);
                }
                (Shape::Request, _) => {
                    let number = Parts::number(parts.id).unwrap_or_default();
                    let owed = call.process.table().owed.remove(&number);
                    if let Some(owed) = owed {
                        let said = "The client cannot do that.";
                        call.process.write_soon(message::error(&owed.id, message::NO_METHOD, said));
                    }
                }
                (_, "notifications/message") if !call.logs => {}
                (Shape::Notification, _) => {
                    self.outer.put(item.text.clone());
                }
                (Shape::Response, _) => {}
            }
        }
        self.outer.end();
    }

    /// Ends this round with what the server wants to know.
    fn ask(self, call: Call) {
        let questions: Vec<_> =
            call.questions.iter().map(|(number, question)| format!(r#""{number}":{question}"#)).collect();
        let questions = questions.join(",");
        let (runtime, patience) = (&self.bridge.common.runtime, self.bridge.options.input);
        let text = match self.bridge.rounds.wait(call, patience, runtime) {
            Some(state) => {
                let result = format!(
                    r#"{{"resultType":"input_required","inputRequests":{{{questions}}},"requestState":"{state}"}}"#
                );
                message::result(&self.id, &result)
            }
            None => message::error(&self.id, message::INTERNAL, "Too many calls wait for input."),
        };
        self.outer.answer(text);
    }

    fn finished(&self, answer: &Bytes, process: &Process) -> Bytes {
        let Ok(parts) = Parts::read(answer) else { return answer.clone() };
        let handshake = match process.opened.get() {
            Some(Opened::Handshake(handshake)) => Some(handshake),
            _ => None,
        };
        let mut edits: Vec<Edit> = match (parts.result, parts.error) {
            (Some(result), _) => translate::completed(result, handshake, self.cacheable),
            (_, Some(error)) => match translate::urls_to_visit(error).filter(|_| self.can.elicitation) {
                Some(asks) => return message::result(&self.id, &asks),
                None => translate::renamed_error(error),
            },
            _ => Vec::new(),
        };
        // It may have been given before the client came back with another id.
        edits.extend(parts.with_id(&self.id));
        edited(answer, edits)
    }
}

/// Stops a task with whoever waited for it.
pub(super) struct Aborts(pub(super) AbortHandle);

impl Drop for Aborts {
    fn drop(&mut self) {
        self.0.abort();
    }
}
