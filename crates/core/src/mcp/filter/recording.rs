//! Streams whose record is closed with the event that answers the call.

use std::task::Poll;

use http_body::Body as _;

use super::Filtered;
use super::tests::{Chunks, EVENTS, Stage, frame, legacy, list, response, result};
use crate::audit::Outcome;
use crate::mcp::Verb;
use crate::mcp::fixture::server;

const PROGRESS: &str = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";

/// A stream that does not end, in answer to this method, its record to be closed with the response.
fn stream(stage: &Stage, method: &str, chunks: &[&str]) -> Filtered<Chunks> {
    let call = stage.call(&legacy(Verb::Post), &list(method));
    let mut came = response(EVENTS, chunks);
    came.body_mut().ends = false;
    let mut body = stage.reply(&legacy(Verb::Post), call, came).into_body();
    body.record_before_answer();
    body
}

/// The next piece, and whether the record was closed when it was given.
fn next(body: &mut Filtered<Chunks>) -> Option<(String, bool)> {
    match frame(body) {
        Poll::Ready(Some(Ok(frame))) => {
            let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
            Some((text, body.is_recorded()))
        }
        _ => None,
    }
}

#[test]
fn the_record_is_closed_with_the_response_and_only_once() {
    let answer = format!("data: {}\n\n", result("{}"));
    for method in ["ping", "tools/list"] {
        let stage = Stage::new(server("orders"));
        // One chunk that holds several events, cut inside the last of them.
        let (first, rest) = answer.split_at(9);
        let chunk = format!("{PROGRESS}{first}");
        let mut body = stream(&stage, method, &[&chunk, rest, PROGRESS]);
        assert_eq!(next(&mut body), Some((PROGRESS.into(), false)), "{method}");
        assert_eq!(next(&mut body).unwrap(), (answer.clone(), true));
        let given = (PROGRESS.len() + answer.len()) as u64;
        assert_eq!(stage.records.kept(), [(Outcome::Answered, None, given)]);
        assert_eq!(next(&mut body), Some((PROGRESS.into(), true)));
        assert!(next(&mut body).is_none() && !body.is_end_stream());
        drop(body);
        assert_eq!(stage.records.kept().len(), 1);
    }
}

#[test]
fn responses_to_others_and_events_without_a_message_are_not_the_answer() {
    let stage = Stage::new(server("orders"));
    let other = "data: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\n";
    let asks = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"elicitation/create\"}\n\n";
    let mut body = stream(&stage, "ping", &[other, asks, ": comment\n\n", "id: 1\ndata:\n\n", PROGRESS]);
    while let Some((text, recorded)) = next(&mut body) {
        assert!(!recorded, "{text}");
    }
    assert_eq!(stage.records.kept(), []);
}

#[test]
fn what_a_client_might_take_for_the_answer_is_it() {
    for data in [
        r#"{"jsonrpc":"2.0","id":"1","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1.0,"result":{}}"#,
        r#"{"jsonrpc":"2.0","Id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#,
        "{",
    ] {
        let stage = Stage::new(server("orders"));
        let mut body = stream(&stage, "ping", &[PROGRESS, &format!("data: {data}\n\n")]);
        assert_eq!(next(&mut body), Some((PROGRESS.into(), false)));
        assert!(next(&mut body).unwrap().1, "{data}");
    }
}

#[test]
fn an_event_too_long_to_be_looked_at_may_be_the_answer() {
    let stage = Stage::limited(1 << 20, 64);
    let long = format!("data: {}", "x".repeat(100));
    let mut body = stream(&stage, "ping", &[&long, "y\n\n", ": next\n\n"]);
    let mut text = String::new();
    while let Some((piece, recorded)) = next(&mut body) {
        assert!(recorded, "{piece}");
        text.push_str(&piece);
    }
    assert_eq!(text, format!("{long}y\n\n: next\n\n"));
}

#[test]
fn after_the_answer_nothing_is_put_in_the_place_of_what_may_not_pass() {
    let stage = Stage::new(server("orders"));
    let answer = format!("data: {}\n\n", result("{\"tools\":[]}"));
    let mut body = stream(&stage, "tools/list", &[&answer, "data: {\"a\":1,\"a\":2}\n\n"]);
    assert!(next(&mut body).unwrap().1);
    assert!(matches!(frame(&mut body), Poll::Ready(Some(Err(_)))));
    assert_eq!(stage.records.kept().len(), 1);
}
