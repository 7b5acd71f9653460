//! Connections that are held for long: streams that only listen, on a connection of their own on both sides, and
//! answers that nobody takes.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::BodyExt as _;
use safeconduct_testkit::backend::Step;
use safeconduct_testkit::wire::Reply;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::doorstep::Certificate;
use crate::line::Line;
use crate::patience::within;
use crate::world::{Plan, World};

/// A request for a legacy stream, on the wire.
fn listen(world: &World, version: &str) -> String {
    let (host, token) = (world.host(), world.token("alice"));
    format!(
        "GET /orders/mcp {version}\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
         accept: text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\n\r\n"
    )
}

fn comment(text: &str) -> Step {
    Step::Send(Bytes::from(format!(": {text}\n\n")))
}

/// An endless stream, and what is told when the gateway has let go of it.
fn endless() -> (Reply, oneshot::Receiver<()>) {
    let event = Bytes::from(format!(": {}\n\n", "x".repeat(32 << 10)));
    let (held, gone) = oneshot::channel::<()>();
    let events = stream::repeat_with(move || {
        let _open = &held;
        Ok(event.clone())
    });
    (Reply::events(events), gone)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_only_listens_ends_its_connection_after_what_came_before_and_before_what_comes_after() {
    let world = World::with(Plan::scripted()).await;
    world.backend().script(Reply::empty(StatusCode::ACCEPTED));
    world.backend().script_events([
        comment("first"),
        Step::Pause(Duration::from_millis(50)),
        comment("last"),
    ]);
    let message = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let lines = format!("mcp-protocol-version: 2025-11-25\r\ncontent-length: {}\r\n", message.len());
    let notification = world.request(&lines, message).replace("connection: close\r\n", "");
    // Three requests at once on one connection; the third is never answered.
    let three = [notification.clone(), listen(&world, "HTTP/1.1"), notification].concat();
    let answers = world.raw(three).await;
    let (accepted, events) = answers.split_once("HTTP/1.1 200 OK\r\n").unwrap();
    assert!(accepted.starts_with("HTTP/1.1 202 Accepted\r\n"), "{answers}");
    let (head, body) = events.split_once("\r\n\r\n").unwrap();
    for line in ["content-type: text/event-stream", "connection: close", "transfer-encoding: chunked"] {
        assert_eq!(head.lines().filter(|it| *it == line).count(), 1, "{line}: {head}");
    }
    assert!(head.contains("\r\nx-request-id: ") && head.contains("\r\ndate: "), "{head}");
    assert_eq!(body, "9\r\n: first\n\n\r\n8\r\n: last\n\n\r\n0\r\n\r\n");
    assert_eq!(world.backend().log().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_http_1_0_is_not_in_chunks() {
    let world = World::with(Plan::scripted()).await;
    world.backend().script_events([comment("first"), comment("last")]);
    let answer = world.raw(listen(&world, "HTTP/1.0")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 OK") && !head.contains("chunked"), "{head}");
    assert_eq!(body, ": first\n\n: last\n\n");
}

/// Opens a stream and reads its first event.
async fn opened(world: &World) -> TcpStream {
    let mut caller = world.connection().await;
    caller.write_all(listen(world, "HTTP/1.1").as_bytes()).await.unwrap();
    let mut came = Vec::new();
    while !came.ends_with(b"\r\n\r\n9\r\n: first\n\n\r\n") {
        assert!(within(caller.read_buf(&mut came)).await.unwrap() > 0, "{}", String::from_utf8_lossy(&came));
    }
    caller
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_server_breaks_off_is_cut_and_not_ended() {
    let world = World::with(Plan::scripted()).await;
    world.backend().script_events([comment("first"), Step::Hold, Step::Cut]);
    let mut caller = opened(&world).await;
    world.backend().go_on();
    let mut rest = Vec::new();
    within(caller.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_asked_for_a_stream_on_a_connection_of_its_own_that_ends_with_the_callers() {
    let mut world = World::with(Plan::scripted()).await;
    world.backend().script_events([comment("first"), Step::Hold]);
    let mut caller = opened(&world).await;
    let asked = world.backend().log().last().unwrap();
    assert_eq!(asked.header("connection"), Some("close"));
    assert_eq!((asked.header("accept"), asked.header("content-length")), (Some("text/event-stream"), None));
    // Half of a connection is none: the caller is gone, and the server is told at once.
    caller.shutdown().await.unwrap();
    assert!(world.backend().given_up(1).await);
    let lines = world.audit_of("stream/open").await;
    assert_eq!(lines.iter().filter(|line| line["outcome"] == "abandoned").count(), 1, "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_tls_is_given_and_given_up_like_any_other() {
    let certificate = Certificate::made();
    let world = World::with(Plan { top: certificate.lines(), ..Plan::scripted() }).await;
    for (protocol, before) in [("http/1.1", 0), ("h2", 1)] {
        world.backend().script_events([comment("first"), Step::Hold]);
        let mut line = Line::secure(&world.base, &certificate.der, protocol).await.unwrap();
        let request = world.modern("alice").message("subscriptions/listen", json!({"notifications": {}}));
        let mut stream = line.open(request.unwrap()).await;
        assert_eq!(stream.status(), 200);
        let frame = within(stream.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), ": first\n\n");
        drop((stream, line));
        assert!(world.backend().given_up(before + 1).await, "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_http2_that_nobody_takes_is_given_up() {
    let certificate = Certificate::made();
    let top = format!("{}\ntimeouts: {{ idle: 1s }}", certificate.lines());
    let world = World::with(Plan { top, ..Plan::scripted() }).await;
    let client = world.modern("alice");
    let message = |method, params| client.message(method, params).unwrap();
    let listening = || message("subscriptions/listen", json!({"notifications": {}}));
    // Whoever takes what there is may wait for more.
    let pause = Step::Pause(Duration::from_millis(1500));
    world.backend().script_events([comment("first"), pause, comment("last")]);
    let mut line = Line::secure(&world.base, &certificate.der, "h2").await.unwrap();
    assert_eq!(line.send(listening()).await.body, ": first\n\n: last\n\n");

    let asked = [listening(), message("tools/call", json!({"name": "echo"}))];
    let mut shut = Line::shut(&world.base, &certificate.der).await;
    for request in asked {
        let (reply, gone) = endless();
        world.backend().script(reply);
        let mut answer = shut.open(request).await;
        assert_eq!(answer.status(), 200);
        assert!(within(gone).await.is_err());
        assert!(within(answer.frame()).await.unwrap().is_err(), "it is reset, not ended");
    }
}
