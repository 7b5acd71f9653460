//! Plain HTTP through the proxy.

use std::sync::Arc;

use safeconduct_runtime::egress::{EgressLog, Event, Kind, Learned, Outcome, Reason, Traced, Way, Who};
use safeconduct_runtime::launch::Network;
use tokio::net::TcpStream;

use crate::edges::{Border, Names, Origin, exchange, refusal};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Kept: 1\r\n\r\nok";

#[tokio::test]
async fn a_request_for_an_allowed_host_arrives_in_its_name_and_another_is_refused() {
    let mut origin = Origin::answering(b"\r\n\r\n", OK).await;
    let port = origin.port();
    let names = Names::default().lead("api.test", &[&["127.0.0.1"]]).lead("evil.test", &[&["127.0.0.1"]]);
    let mut border = Border::new(&[format!("api.test:{port}"), format!("127.0.0.1:{port}")], names);
    let mut stream = TcpStream::connect(border.proxy().await).await.unwrap();

    let request = format!(
        "GET http://api.test:{port}/a?b=c HTTP/1.1\r\nHost: evil.test\r\nProxy-Authorization: Basic Zm9v\r\n\
         Connection: X-Mine\r\nX-Mine: 1\r\nX-Asked: 1\r\n\r\n"
    );
    let answer = exchange(&mut stream, &request, "ok").await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("x-kept: 1") && !answer.contains("x-hop"), "{answer}");
    assert_eq!(border.opened().await, origin.at);
    origin.got_all("\r\n\r\n").await;
    let got = origin.got().to_ascii_lowercase();
    assert!(got.starts_with("get /a?b=c http/1.1\r\n"), "{got}");
    assert!(got.contains(&format!("host: api.test:{port}\r\n")) && got.contains("x-asked: 1"), "{got}");
    for gone in ["evil.test", "proxy-authorization", "x-mine"] {
        assert!(!got.contains(gone), "{gone}: {got}");
    }

    // The same connection, another host.
    let answer =
        refusal(&mut stream, &format!("GET http://evil.test:{port}/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"))
            .await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains(&format!("no connection to evil.test:{port}: not in network.allow")), "{answer}");
    assert_eq!(border.refused("evil.test", port).await, Reason::NotAllowed);
    // And the first one again, on the connection that is still open.
    let answer =
        exchange(&mut stream, &format!("GET http://api.test:{port}/again HTTP/1.1\r\nHost: x\r\n\r\n"), "ok")
            .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    origin.got_all("/again").await;
}

#[tokio::test]
async fn metadata_services_are_refused_by_name_and_by_address() {
    let names = Names::default().lead("metadata.google.internal", &[&["169.254.169.254"]]);
    let mut border = Border::new(&["metadata.google.internal:80".into()], names);
    let proxy = border.proxy().await;
    for (host, reason) in [
        (
            "metadata.google.internal",
            Reason::Address { address: [169, 254, 169, 254].into(), kind: Kind::LinkLocal },
        ),
        ("169.254.169.254", Reason::NotAllowed),
        ("[::ffff:169.254.169.254]", Reason::NotAllowed),
    ] {
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        let request = format!("GET http://{host}/latest/meta-data/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = refusal(&mut stream, &request).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        let told = border.told().await;
        assert_eq!(told.outcome, Outcome::Refused(reason));
    }
}

#[tokio::test]
async fn what_is_no_request_to_a_proxy_is_refused() {
    let mut border = Border::new(&["api.test:80".into()], Names::default());
    let proxy = border.proxy().await;
    for request in [
        "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "GET https://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "GET ftp://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "CONNECT api.test HTTP/1.1\r\nHost: api.test\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        let answer = exchange(&mut stream, request, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_that_switches_protocols_goes_on_as_one() {
    let switching =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst frame";
    let mut origin = Origin::answering(b"\r\n\r\n", switching).await;
    let port = origin.port();
    let names = Names::default().lead("ws.test", &[&["127.0.0.1"]]);
    let mut border = Border::new(&[format!("ws.test:{port}"), format!("127.0.0.1:{port}")], names);
    let mut stream = TcpStream::connect(border.proxy().await).await.unwrap();
    let request = format!(
        "GET http://ws.test:{port}/ HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    let answer = exchange(&mut stream, &request, "first frame").await;
    assert!(answer.starts_with("HTTP/1.1 101") && answer.ends_with("first frame"), "{answer}");
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"second frame").await.unwrap();
    origin.got_all("second frame").await;
}

#[tokio::test]
async fn what_a_server_asks_for_can_be_learned() {
    let origin = Origin::answering(b"\r\n\r\n", OK).await;
    let port = origin.port();
    let names = Names::default().lead("api.test", &[&["127.0.0.1"]]);
    let mut border = Border::with(&Network::Learn, names, Default::default());
    let mut stream = TcpStream::connect(border.proxy().await).await.unwrap();
    // Learning is not permission for this machine.
    let answer =
        refusal(&mut stream, &format!("GET http://api.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let told = border.told().await;
    let learned = Learned::new(Arc::new(Traced));
    let who = Who { server: "orders".into(), instance: "orders-1".into() };
    learned.record(&Event {
        who: &who,
        way: Way::Http,
        host: &told.host,
        port: told.port,
        outcome: told.outcome,
    });
    assert!(
        learned.lines("orders").contains(&format!("# - \"api.test:{port}\"")),
        "{}",
        learned.lines("orders")
    );
}
