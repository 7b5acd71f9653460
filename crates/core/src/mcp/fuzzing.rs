//! What the fuzz targets check, kept here because it needs the inside of this crate. Built for tests (which
//! run the committed seeds through it) and under `cfg(fuzzing)`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "built only for tests and fuzzing, where a panic is the finding"
)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::{Body, Frame};

use super::filter::{Filtered, Sight, filtered};
use super::fixture::{Records, caller, door, head, modern, policy, server};
use super::json::{self, Value};
use super::{Head, Verb};
use crate::policy::Policy;
use crate::time::Timestamp;

static NOTHING: LazyLock<Arc<Policy>> = LazyLock::new(|| Arc::new(policy("")));

/// What is read is read the same by serde_json, and stays readable when any member or element is cut out.
pub fn json(data: &[u8]) {
    let Ok(value) = json::checked(data) else { return };
    let theirs: serde_json::Value = serde_json::from_slice(data).unwrap();
    assert!(same(value, &theirs));
    let text = Bytes::copy_from_slice(data);
    let parts: Vec<_> = if value.is_object() {
        value.members().map(|member| member.range()).collect()
    } else {
        value.elements().map(|element| element.range()).collect()
    };
    for cut in 0..parts.len().min(16) {
        let kept: Vec<_> = parts.iter().cloned().enumerate().map(|(n, part)| (part, n != cut)).collect();
        let left = json::edited(&text, json::cuts(&kept));
        let left = json::checked(&left).unwrap();
        assert_eq!(left.members().count() + left.elements().count(), parts.len() - 1);
    }
}

fn same(ours: Value<'_>, theirs: &serde_json::Value) -> bool {
    use serde_json::Value as Tree;
    match theirs {
        Tree::Null => ours.kind() == json::Kind::Null,
        Tree::Bool(theirs) => ours.boolean() == Some(*theirs),
        Tree::Number(_) => ours.kind() == json::Kind::Number,
        Tree::String(theirs) => ours.string().is_some_and(|ours| ours == **theirs),
        Tree::Array(theirs) => {
            ours.elements().count() == theirs.len()
                && ours.elements().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        Tree::Object(theirs) => {
            ours.members().count() == theirs.len()
                && ours.members().all(|member| {
                    theirs.get(&*member.name()).is_some_and(|theirs| same(member.value, theirs))
                })
        }
    }
}

/// What is admitted is one readable message whose method, name and arguments serde_json finds too. The first
/// byte of the data chooses the head.
pub fn message(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let head = match choice % 4 {
        0 => head(Verb::Post),
        1 => Head { protocol_version: Some(HeaderValue::from_static("2025-11-25")), ..head(Verb::Post) },
        2 => modern("tools/call", Some("add")),
        _ => modern("tools/list", None),
    };
    let body = Bytes::copy_from_slice(body);
    let Ok(call) = door().parse(&head, body, &caller("alice"), &server("orders")) else { return };
    let read: serde_json::Value = serde_json::from_slice(call.body()).unwrap();
    assert!(json::checked(call.body()).is_ok());
    if let Some(method) = read["method"].as_str() {
        assert_eq!(method, call.method().name());
    }
    if let Some(name) = call.target().name() {
        let params = &read["params"];
        let named = [
            &params["name"],
            &params["uri"],
            &params["taskId"],
            &params["ref"]["name"],
            &params["ref"]["uri"],
        ];
        assert!(named.iter().any(|named| named.as_str() == Some(name)));
    }
    if let Some(arguments) = call.arguments() {
        let arguments: serde_json::Value = serde_json::from_slice(&arguments).unwrap();
        assert_eq!(arguments, read["params"]["arguments"]);
    }
}

/// A stream comes out the same however it is cut; without a list in it, as it came; and to a caller who may
/// use nothing, without an item. The first byte of the data is the length of the chunks.
pub fn events(data: &[u8]) {
    let Some((size, stream)) = data.split_first() else { return };
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let chunks: Vec<_> = stream.chunks(usize::from(*size).max(1)).map(Bytes::copy_from_slice).collect();
    let whole = vec![Bytes::copy_from_slice(stream)];
    assert_eq!(through(ping, chunks.clone()), stream);
    let filtered = through(list, whole);
    assert_eq!(through(list, chunks), filtered);
    let text = String::from_utf8_lossy(&filtered);
    for data in eventsource(&text) {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(&data) else { continue };
        let tools = &message["result"]["tools"];
        assert!(tools.as_array().is_none_or(|tools| tools.is_empty()), "{data}");
    }
}

/// The data of the events of a stream, by the letter of WHATWG HTML §9.2.6 and nothing of this crate.
fn eventsource(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let mut data = String::new();
    for line in text.split('\n') {
        if line.is_empty() {
            events.push(std::mem::take(&mut data));
        } else if line == "data" {
            data.push('\n');
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push_str(value.strip_prefix(' ').unwrap_or(value));
            data.push('\n');
        }
    }
    events
}

fn through(asked: &str, chunks: Vec<Bytes>) -> Vec<u8> {
    let (door, head, server) = (Arc::new(door()), head(Verb::Post), Arc::new(server("orders")));
    let call =
        door.parse(&head, Bytes::copy_from_slice(asked.as_bytes()), &caller("alice"), &server).unwrap();
    let mut came = Response::new(Chunks(chunks.into()));
    came.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
    let (parts, body) = came.into_parts();
    let sight = Sight {
        policy: NOTHING.clone(),
        door,
        principal: Arc::new(caller("alice")),
        server,
        source_ip: None,
        era: call.era,
        now: Timestamp::from_secs(0),
    };
    let trail = Arc::new(Records::default()).trail();
    let mut body: Filtered<Chunks> = filtered(sight, &head, call, parts, body, trail).into_body();
    let mut out = Vec::new();
    while let Poll::Ready(Some(Ok(frame))) =
        Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()))
    {
        out.extend_from_slice(&frame.into_data().unwrap());
    }
    out
}

struct Chunks(VecDeque<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::{any, prop, proptest};

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
        let files = std::fs::read_dir(seeds).unwrap();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn the_seeds_of_the_fuzz_targets_hold() {
        type Check = fn(&[u8]);
        let targets: [(&str, Check); 3] =
            [("json", super::json), ("door", super::message), ("sse", super::events)];
        for (target, check) in targets {
            let seeds = seeds(target);
            assert!(seeds.len() >= 3, "{target}");
            seeds.iter().for_each(|seed| check(seed));
        }
    }

    proptest! {
        /// Row: P5
        #[test]
        fn no_cut_and_no_line_ending_lets_a_hidden_tool_through(
            parts in prop::collection::vec(prop::sample::select(vec![
                "\r", "\n", "\r\n", "data:", "data: ", "data", ":", "id: 1", "\u{feff}", "event: x", " ",
                r#"{"result":{"tools":[{"name":"a"}]}}"#, r#"{"result":"#, r#"{"tools":[{"name":"a"}]}}"#, r#"{"id":1}"#,
            ]), 0..24),
            size in any::<u8>(),
        ) {
            let mut data = vec![size % 16];
            data.extend_from_slice(parts.concat().as_bytes());
            super::events(&data);
        }
    }
}
