//! Messages of the gateway's own making in the place of a server's.

use bytes::Bytes;

use crate::mcp::{Call, Era, Kind, json};
use crate::refusal::Reason;
use crate::server::{Announced, Server};

/// The error that stands for an answer that may not pass. `id` is JSON text; -32603 is JSON-RPC's internal error.
pub(super) fn unreleasable(id: &str, request: &[u8; 26]) -> Bytes {
    let request = String::from_utf8_lossy(request);
    let code = Reason::BadBackendAnswer("".into()).code();
    let error = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":-32603,\"message\":\"The MCP server's answer \
         could not be released.\",\"data\":{{\"code\":\"{code}\",\"request_id\":\"{request}\"}}}}}}"
    );
    error.into()
}

/// The event with which a stream that the gateway ends is completed; None where the protocol has none.
pub(super) fn closing_event(call: &Call) -> Option<Bytes> {
    let id =
        call.id().filter(|_| call.era() == Era::Modern && call.method().name() == "subscriptions/listen")?;
    let result = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"resultType\":\"complete\",\"_meta\":\
         {{\"io.modelcontextprotocol/subscriptionId\":{id}}}}}}}"
    );
    Some(event_of(result.as_bytes()))
}

/// The events that tell a listener that lists are not what they were: those that it asked to hear (2026-07-28), or
/// that its server announces (before that). None where there is nobody to tell.
pub(super) fn lists_changed(call: &Call, server: &Server) -> Option<Bytes> {
    let listens = call.method().name() == "subscriptions/listen";
    let told: Vec<String> = match (call.era(), call.kind()) {
        (Era::Legacy, Kind::OpenStream) => {
            let announced = Announced::ALL.into_iter().filter(|(_, list)| server.catalogue.announces(*list));
            announced.map(|(name, _)| changed(name, None)).collect()
        }
        (Era::Modern, Kind::Request(id)) if listens => {
            let wanted = json::checked(call.body()).ok()?.member("params")?.member("notifications")?;
            let asked = |name: &str| {
                wanted.member(&format!("{name}ListChanged")).and_then(|it| it.boolean()) == Some(true)
            };
            let asked = Announced::ALL.into_iter().filter(|(name, _)| asked(name));
            asked.map(|(name, _)| changed(name, Some(id))).collect()
        }
        _ => Vec::new(),
    };
    let events: Vec<Bytes> = told.iter().map(|message| event_of(message.as_bytes())).collect();
    (!events.is_empty()).then(|| events.concat().into())
}

fn changed(list: &str, subscription: Option<&str>) -> String {
    let params = subscription.map_or_else(String::new, |id| {
        format!(",\"params\":{{\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":{id}}}}}")
    });
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{list}/list_changed\"{params}}}")
}

/// A message as an event.
pub(super) fn event_of(message: &[u8]) -> Bytes {
    [b"event: message\ndata: ", message, b"\n\n"].concat().into()
}
