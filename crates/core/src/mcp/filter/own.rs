//! Messages of the gateway's own making in the place of a server's.

use bytes::Bytes;

use crate::mcp::{Call, Era};
use crate::refusal::Reason;

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

/// A message as an event.
pub(super) fn event_of(message: &[u8]) -> Bytes {
    [b"event: message\ndata: ", message, b"\n\n"].concat().into()
}
