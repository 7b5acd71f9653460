//! Bytes that no client sends by accident. Whatever they are: an answer or a closed connection, nothing that the
//! server sees without a decision, and a gateway that serves the next one.

use safeconduct_testkit::client::Client;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::patience::within;
use crate::world::{Plan, World};

impl World {
    pub(crate) fn host(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    pub(crate) async fn connection(&self) -> TcpStream {
        TcpStream::connect(self.host()).await.unwrap()
    }

    /// Writes these bytes and reads until the gateway closes the connection.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connection().await;
        // The gateway may close before it has read everything.
        let _ = stream.write_all(bytes.as_ref()).await;
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A request with these further lines in its head, and this body.
    pub(crate) fn request(&self, lines: &str, body: &str) -> String {
        self.request_as(&format!("Bearer {}", self.token("alice")), lines, body)
    }

    pub(crate) fn request_as(&self, who: &str, lines: &str, body: &str) -> String {
        let host = self.host();
        format!(
            "POST /orders/mcp HTTP/1.1\r\nhost: {host}\r\nauthorization: {who}\r\nconnection: close\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n{lines}\r\n{body}"
        )
    }

    /// The gateway still does what it is for.
    pub(crate) async fn serves(&self) {
        let answer = within(self.modern("carol").call("echo", json!({"text": "alive"}))).await.unwrap();
        assert_eq!(answer.text(), "alive");
    }
}

/// A legacy call of the tool `echo` that says this.
fn echo(text: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": text}}).to_string()
}

pub(crate) fn status(answer: &str) -> u16 {
    answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}

pub(crate) fn length(body: &str) -> String {
    format!("content-length: {}\r\n", body.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_two_readers_could_split_differently_smuggle_nothing() {
    let world = World::with(Plan::scripted()).await;
    world.backend().results(json!({}));
    let body = echo("seen");
    let good = world.raw(world.request(&length(&body), &body)).await;
    assert_eq!((status(&good), world.backend().log().count()), (200, 1), "{good}");
    let inner = format!(
        "POST /orders/mcp HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\nevil",
        world.host()
    );
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let both = format!("{}transfer-encoding: chunked\r\n", length(&chunked));
    let spoiled = [
        ("two lengths", world.request(&format!("{}content-length: 4\r\n", length(&body)), &body)),
        ("a list of lengths", world.request(&format!("content-length: {0}, {0}\r\n", body.len()), &body)),
        ("a signed length", world.request(&format!("content-length: +{}\r\n", body.len()), &body)),
        ("a length in hex", world.request("content-length: 0x10\r\n", &body)),
        ("a length over all bounds", world.request("content-length: 99999999999999999999\r\n", &body)),
        ("both ways of length", world.request(&both, &chunked)),
        ("both ways, and more behind", world.request(&both, &format!("{chunked}{inner}"))),
        ("chunked spelt otherwise", world.request("transfer-encoding: xchunked\r\n", &chunked)),
        ("chunked not last", world.request("transfer-encoding: chunked, identity\r\n", &chunked)),
        (
            "a chunk over all bounds",
            world.request("transfer-encoding: chunked\r\n", "ffffffffffffffffff\r\nx"),
        ),
        (
            "a chunk that lies",
            world.request("transfer-encoding: chunked\r\n", &format!("2\r\n{body}\r\n0\r\n\r\n")),
        ),
        ("a folded line", world.request(&format!("{}x-a: b\r\n folded: c\r\n", length(&body)), &body)),
        ("a space before the colon", world.request(&format!("content-length : {}\r\n", body.len()), &body)),
        ("a NUL in a value", world.request(&format!("{}x-a: b\0c\r\n", length(&body)), &body)),
        ("a NUL in a name", world.request(&format!("{}x\0a: b\r\n", length(&body)), &body)),
        ("a bare CR", world.request(&format!("{}x-a: b\rx-b: c\r\n", length(&body)), &body)),
        ("a line without a colon", world.request(&format!("{}nonsense\r\n", length(&body)), &body)),
        ("another version", world.request(&length(&body), &body).replace("HTTP/1.1\r\n", "HTTP/9.9\r\n")),
        ("no host", world.request(&length(&body), &body).replacen("host:", "x-host:", 1)),
    ];
    for (how, text) in spoiled {
        let before = world.backend().log().count();
        let answer = world.raw(text).await;
        let reached = world.backend().log().all().split_off(before);
        // Refused, or read as the one message that it is.
        match status(&answer) {
            200 => assert_eq!(
                reached.iter().map(|seen| seen.body.clone()).collect::<Vec<_>>(),
                std::slice::from_ref(&body),
                "{how}"
            ),
            code => {
                assert!(code == 0 || (400..=505).contains(&code), "{how}: {answer}");
                assert!(reached.is_empty(), "{how}");
            }
        }
        assert!(reached.iter().all(|seen| !seen.mentions("evil")), "{how}");
        assert!(answer.matches("HTTP/1.1 200").count() <= 1, "{how}");
    }
    world.backend().answers(|seen| {
        let result = json!({"resultType": "complete", "content": [{"type": "text", "text": "alive"}]});
        let answer = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
        safeconduct_testkit::wire::Reply::json(http::StatusCode::OK, &answer)
    });
    world.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tokens_are_one_too_many_and_odd_ones_none() {
    let mut world = World::start().await;
    let body = echo("x");
    let token = world.token("alice");
    let again = |line: String| world.request(&format!("{}{line}\r\n", length(&body)), &body);
    for line in [
        format!("authorization: Bearer {token}"),
        "Authorization: Basic eDp5".into(),
        "AUTHORIZATION:".into(),
    ] {
        let answer = world.raw(again(line)).await;
        assert_eq!(status(&answer), 400, "{answer}");
        assert!(answer.contains("SC-D05"));
    }
    let other = |value: &str| world.request_as(value, &length(&body), &body);
    for value in [
        "Bearer",
        "Bearer ",
        "Basic eDp5",
        "bearer",
        &token,
        &format!("Bearer\t{token}"),
        &format!("Bearer {token} {token}"),
        &format!("Bearer {token},Bearer {token}"),
        &format!("Bearer \"{token}\""),
        &format!("Bearer {token}\u{e9}"),
        &format!("DPoP {token}"),
    ] {
        let answer = world.raw(other(value)).await;
        assert!([400, 401].contains(&status(&answer)), "{value}: {answer}");
    }
    let long = world.raw(other(&format!("Bearer {}", "x".repeat(17 * 1024)))).await;
    assert_eq!(status(&long), 401, "{long}");
    let lower = world.raw(other(&format!("bEARER  {token} "))).await;
    assert_eq!(status(&lower), 400, "believed; then there is no session: {lower}");
    assert!(world.audit().await.iter().all(|line| line["outcome"] != "abandoned"));
}

/// Row: A12, P9
#[tokio::test(flavor = "multi_thread")]
async fn two_gigabytes_are_not_waited_for_announced_or_not() {
    let world = World::start().await;
    let announced = "content-length: 2147483648\r\n";
    let answer = world.raw(world.request(announced, "{\"jsonrpc\"")).await;
    assert_eq!(status(&answer), 413, "{answer}");
    assert!(answer.contains("SC-D06"));
    // A stranger's body is not read at all.
    let answer = world.raw(world.request_as("Bearer x", announced, "{\"jsonrpc\"")).await;
    assert_eq!(status(&answer), 401, "{answer}");

    let mut stream = world.connection().await;
    stream.write_all(world.request("transfer-encoding: chunked\r\n", "").as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let mut written = 0_u64;
    within(async {
        while written < 2 << 30 && stream.write_all(chunk.as_bytes()).await.is_ok() {
            written += 0x10000;
        }
    })
    .await;
    assert!(written < 256 << 20, "{written} bytes were taken");
    assert_eq!(world.server().log().count(), 0);
    world.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_endless_json_is_refused_without_harm() {
    let world = World::start().await;
    let deep = |open: &str, close: &str, depth: usize| {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{{\"x\":{open}1{close}}}}}")
    };
    for body in [
        deep("[", "]", 200),
        deep("[", "]", 1_000_000),
        deep("{\"a\":", "}", 500_000),
        "[".repeat(3_000_000),
        "{\"a\":".repeat(500_000),
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\",}}", "9".repeat(1_000_000)),
        "\"".to_owned() + &"\\u0000".repeat(500_000),
    ] {
        let answer = world.raw(world.request(&length(&body), &body)).await;
        assert_eq!(status(&answer), 400, "{} {answer}", body.get(..60).unwrap());
    }
    assert_eq!(world.server().log().count(), 0);
    world.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_is_cut_off() {
    let world = World::start().await;
    let many = "x-a: b\r\n".repeat(200);
    let long = format!("x-a: {}\r\n", "y".repeat(100_000));
    for lines in [many, long] {
        let answer = world.raw(world.request(&lines, "")).await;
        assert!([0, 400, 431].contains(&status(&answer)), "{answer}");
    }
    let answer = world.raw(format!("POST /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000))).await;
    assert!([0, 400, 414, 431].contains(&status(&answer)), "{answer}");
    for nonsense in
        ["\0\0\0\0", "\x16\x03\x01\x02\0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n\r\n\r\n", "GET"]
    {
        let mut stream = world.connection().await;
        stream.write_all(nonsense.as_bytes()).await.unwrap();
    }
    world.serves().await;
}

/// Row: T10, A19
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_changed_in_any_place_is_unknown() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    let session = client.session().unwrap();
    let before = world.server().log().count();
    for place in (0..session.len()).step_by(3) {
        let mut forged = session.clone().into_bytes();
        forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
        client.set_session(Some(std::str::from_utf8(&forged).unwrap()));
        assert_eq!(client.request("ping", json!({})).await.unwrap().status, 404, "{place}");
    }
    for forged in [
        &session[1..],
        &format!("{session}A"),
        &format!("{session}{session}"),
        "",
        "/",
        "%00",
        &"A".repeat(9000),
    ] {
        client.set_session(Some(forged));
        let status = client.request("ping", json!({})).await.unwrap().status.as_u16();
        assert!([400, 404].contains(&status), "{forged}: {status}");
    }
    // Another server's door does not know it either.
    let other = Client::legacy(&format!("{}/other/mcp", world.base)).bearer(&world.token("alice"));
    other.set_session(Some(&session));
    assert_eq!(other.request("ping", json!({})).await.unwrap().status, 404);
    assert_eq!(world.server().log().count(), before);
    client.set_session(Some(&session));
    assert_eq!(client.request("ping", json!({})).await.unwrap().status, 200);
}
