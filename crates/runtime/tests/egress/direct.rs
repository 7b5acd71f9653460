//! Software that knows of no proxy: it connects to an address of ours and speaks as if it were the host.

use safeconduct_runtime::egress::{Host, Reason};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::edges::{Border, Names, Origin, closed, exchange, read_until, refusal};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn names() -> Names {
    Names::default()
        .lead("api.test", &[&["127.0.0.1"]])
        .lead("evil.test", &[&["127.0.0.1"]])
        .lead("db.test", &[&["127.0.0.1"]])
}

#[tokio::test]
async fn a_listener_that_stands_for_a_host_leads_there_with_any_protocol() {
    let mut origin = Origin::answering(b"", b"greeting\n").await;
    let port = origin.port();
    let mut border = Border::new(&[format!("db.test:{port}"), format!("127.0.0.1:{port}")], names());
    let host = Host::parse("db.test").unwrap();
    let at =
        border.serve(move |egress, listener| async move { egress.direct(listener, host, port).await }).await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    assert_eq!(read_until(&mut stream, "\n").await, "greeting\n");
    assert_eq!(border.opened().await, origin.at);
    stream.write_all(b"\x00\x00\x00\x08query").await.unwrap();
    origin.got_all("query").await;
}

#[tokio::test]
async fn a_listener_that_stands_for_a_host_that_is_not_allowed_leads_nowhere() {
    let origin = Origin::answering(b"", b"greeting\n").await;
    let port = origin.port();
    let mut border = Border::new(&[format!("db.test:{port}"), format!("127.0.0.1:{port}")], names());
    let host = Host::parse("evil.test").unwrap();
    let at =
        border.serve(move |egress, listener| async move { egress.direct(listener, host, port).await }).await;
    closed(&mut TcpStream::connect(at).await.unwrap()).await;
    assert_eq!(border.refused("evil.test", port).await, Reason::NotAllowed);
}

#[tokio::test]
async fn a_listener_for_every_host_goes_where_the_request_says() {
    let mut origin = Origin::answering(b"\r\n\r\n", OK).await;
    let port = origin.port();
    let mut border = Border::new(&[format!("api.test:{port}"), format!("127.0.0.1:{port}")], names());
    let at = border
        .serve(move |egress, listener| async move { egress.direct_as_told(listener, port).await })
        .await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    let answer =
        exchange(&mut stream, &format!("GET /a HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n"), "ok").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(border.opened().await, origin.at);
    origin.got_all("GET /a").await;

    let answer = refusal(&mut stream, "GET /b HTTP/1.1\r\nHost: evil.test\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(border.refused("evil.test", port).await, Reason::NotAllowed);
    // A request that says two things is for nobody.
    let mut stream = TcpStream::connect(at).await.unwrap();
    let two = format!("GET http://api.test:{port}/c HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    assert!(refusal(&mut stream, &two).await.starts_with("HTTP/1.1 400"));
    let twice = format!("GET /d HTTP/1.1\r\nHost: api.test:{port}\r\nHost: evil.test\r\n\r\n");
    let mut stream = TcpStream::connect(at).await.unwrap();
    assert!(exchange(&mut stream, &twice, "\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    for never in ["/b", "/c", "/d"] {
        assert!(!origin.got().contains(never));
    }
}

#[tokio::test]
async fn a_listener_for_every_host_goes_nowhere_when_none_is_named() {
    let origin = Origin::answering(b"", b"greeting\n").await;
    let port = origin.port();
    let mut border = Border::new(&[format!("api.test:{port}"), format!("127.0.0.1:{port}")], names());
    let at = border
        .serve(move |egress, listener| async move { egress.direct_as_told(listener, port).await })
        .await;
    for (bytes, reason) in [(&b"\x00\x00\x00\x08"[..], Reason::Nameless), (&[22; 100][..], Reason::Malformed)]
    {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        closed(&mut stream).await;
        assert_eq!(border.refused("", port).await, reason);
    }
}
