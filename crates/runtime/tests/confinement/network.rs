//! Where an instance gets to, and where it does not.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use safeconduct_runtime::engine::Engine;
use safeconduct_runtime::launch::{Ladder, Network, Transport};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::{Names, Origin, Probe, SOON, World, allow, image, told};

const METADATA: &str = "169.254.169.254";

/// The address that this machine speaks from.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("198.51.100.1:9").unwrap();
    socket.local_addr().unwrap().ip()
}

#[tokio::test]
async fn without_permission_there_is_no_network_at_all() {
    let world = World::new().await;
    let everywhere = Origin::on(Ipv4Addr::UNSPECIFIED).await;
    // The listener is there: this program reaches it.
    TcpStream::connect((own_address(), everywhere.port())).await.unwrap();
    let mut probe = world.probe(&world.launch("none")).await;
    assert_eq!(probe.ask(json!({"do": "interfaces"})).await["got"], json!(["lo"]));
    for host in
        [own_address().to_string().as_str(), "172.17.0.1", "10.88.0.1", METADATA, "8.8.8.8", "127.0.0.1"]
    {
        probe.unreachable(host, everywhere.port()).await;
    }
    probe.unreachable("8.8.8.8", 53).await;
    assert_eq!(everywhere.visits(), 0);
    probe.cannot(json!({"do": "resolve", "name": "example.com"})).await;
    probe.cannot(json!({"do": "datagram", "host": "8.8.8.8", "port": 53, "seconds": 1})).await;
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn a_listener_of_the_gateway_is_reached_by_its_instance_and_by_no_other() {
    let world = World::new().await;
    let (launch, other) = (world.launch("mine"), world.launch("other"));
    let place = world.docker.prepare(&launch).await.unwrap();
    let mut listener = place.listen(0).await.unwrap();
    let at = listener.address();
    tokio::spawn(async move {
        while let Some(mut stream) = listener.accept().await {
            let _ = stream.write_all(b"for you").await;
        }
    });
    let place_of_other = world.docker.prepare(&other).await.unwrap();
    let _other_listener = place_of_other.listen(0).await.unwrap();
    let mut mine = Probe::new(place.start(&launch).await.unwrap());
    let mut other = Probe::new(place_of_other.start(&other).await.unwrap());
    let heard = mine.can(json!({"do": "connect", "host": at.ip().to_string(), "port": at.port()})).await;
    assert_eq!(heard, "for you");
    let heard = other
        .ask(json!({"do": "connect", "host": at.ip().to_string(), "port": at.port(), "seconds": 2}))
        .await;
    assert_ne!(heard["got"], "for you");
    mine.stop().await;
    other.stop().await;
    world.finish().await;
}

/// Row: P13
#[tokio::test]
async fn an_allowed_name_is_reached_with_and_without_a_proxy_and_no_other_is() {
    let names = Names::default().lead("api.test", &["127.0.0.1"]).lead("evil.test", &["127.0.0.1"]);
    let mut world = World::with(names).await;
    let (origin, other) = (Origin::on(Ipv4Addr::LOCALHOST).await, Origin::on(Ipv4Addr::LOCALHOST).await);
    let (port, elsewhere) = (origin.port(), other.port());
    let mut launch = world.launch("allowed");
    launch.permissions.network = allow(&[format!("api.test:{port}"), format!("127.0.0.1/32:{port}")]);
    let mut probe = world.probe(&launch).await;

    // Through the proxy that the environment names.
    let answer = probe.can(json!({"do": "get", "url": format!("http://api.test:{port}/a")})).await;
    assert_eq!(answer, json!({"status": 200, "body": "outside"}));
    // By software that knows of none: the name has an address.
    let request = format!("GET /b HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n");
    let answer = probe.can(json!({"do": "connect", "host": "api.test", "port": port, "send": request})).await;
    assert!(answer.as_str().unwrap().contains("200 OK"), "{answer}");
    assert_eq!(origin.visits(), 2);

    let answer = probe.can(json!({"do": "get", "url": format!("http://evil.test:{port}/")})).await;
    assert_eq!(answer["status"], 403);
    assert!(answer["body"].as_str().unwrap().contains("not in network.allow"), "{answer}");
    assert_eq!(world.refused().await, ("evil.test".into(), Some(port), "not_allowed"));
    let answer = probe.can(json!({"do": "get", "url": format!("http://api.test:{elsewhere}/")})).await;
    assert_eq!(answer["status"], 403);
    assert_eq!(world.refused().await, ("api.test".into(), Some(elsewhere), "not_allowed"));
    let answer = probe.can(json!({"do": "get", "url": format!("http://{METADATA}/latest/meta-data/")})).await;
    assert_eq!(answer["status"], 403);
    assert_eq!(world.refused().await, (METADATA.into(), Some(80), "not_allowed"));

    // A request for another host on the connection to this one.
    let request = "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n";
    let answer = probe.can(json!({"do": "connect", "host": "api.test", "port": port, "send": request})).await;
    assert!(answer.as_str().unwrap().starts_with("HTTP/1.1 4"), "{answer}");
    // And past the proxy there is nothing.
    probe.cannot(json!({"do": "resolve", "name": "evil.test"})).await;
    for host in [METADATA, "8.8.8.8", "1.1.1.1"] {
        probe.unreachable(host, 443).await;
    }
    probe.unreachable(own_address(), elsewhere).await;
    assert_eq!((origin.visits(), other.visits()), (2, 0));
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn any_protocol_passes_to_a_name_that_is_alone_at_its_port() {
    let world = World::with(Names::default().lead("db.test", &["127.0.0.1"])).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let speaks_first = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 I speak first\n").await.unwrap();
        let mut got = [0; 5];
        stream.read_exact(&mut got).await.unwrap();
        got
    });
    let mut launch = world.launch("raw");
    launch.permissions.network = allow(&[format!("db.test:{port}"), format!("127.0.0.1/32:{port}")]);
    let mut probe = world.probe(&launch).await;
    let heard = probe.can(json!({"do": "connect", "host": "db.test", "port": port})).await;
    assert_eq!(heard, "220 I speak first\n");
    speaks_first.abort();
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_leads_nowhere_the_second_time() {
    let names = Names::default().lead("api.test", &["127.0.0.1", METADATA, "127.0.0.2", "10.0.0.1"]);
    let mut world = World::with(names).await;
    let origin = Origin::on(Ipv4Addr::LOCALHOST).await;
    let port = origin.port();
    let mut launch = world.launch("rebinding");
    launch.permissions.network = allow(&[format!("api.test:{port}"), format!("127.0.0.1/32:{port}")]);
    let mut probe = world.probe(&launch).await;
    let url = format!("http://api.test:{port}/");
    assert_eq!(probe.can(json!({"do": "get", "url": url})).await["status"], 200);
    for _ in 0..3 {
        assert_eq!(probe.can(json!({"do": "get", "url": url})).await["status"], 403);
        assert_eq!(world.refused().await, ("api.test".into(), Some(port), "address"));
    }
    let request = format!("GET / HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n");
    let direct = probe.ask(json!({"do": "connect", "host": "api.test", "port": port, "send": request})).await;
    assert!(!direct.to_string().contains("outside"), "{direct}");
    assert_eq!(origin.visits(), 1);
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn names_are_answered_for_what_is_allowed_only() {
    let mut world = World::with(Names::default().lead("one.example.test", &["127.0.0.1"])).await;
    let origin = Origin::on(Ipv4Addr::LOCALHOST).await;
    let port = origin.port();
    let mut launch = world.launch("names");
    launch.permissions.network = allow(&[
        format!("api.test:{port}"),
        format!("*.example.test:{port}"),
        format!("127.0.0.1/32:{port}"),
    ]);
    let mut probe = world.probe(&launch).await;
    let found = probe.can(json!({"do": "resolve", "name": "api.test"})).await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    probe.cannot(json!({"do": "resolve", "name": "stolen-data.evil.test"})).await;
    if told("DNS") == "1" {
        // A name that stands for a star is found by asking, and a connection to it goes there.
        probe.can(json!({"do": "resolve", "name": "one.example.test"})).await;
        let request = format!("GET / HTTP/1.1\r\nHost: one.example.test:{port}\r\n\r\n");
        let answer = probe
            .can(json!({"do": "connect", "host": "one.example.test", "port": port, "send": request}))
            .await;
        assert!(answer.as_str().unwrap().contains("200 OK"), "{answer}");
        assert_eq!(world.refused().await, ("stolen-data.evil.test".into(), None, "not_allowed"));
        probe.cannot(json!({"do": "resolve", "name": "a.b.example.test"})).await;
    }
    // No question reaches anybody else.
    for server in ["8.8.8.8", "1.1.1.1", &own_address().to_string()] {
        probe.cannot(json!({"do": "ask", "server": server, "name": "api.test"})).await;
    }
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn what_the_host_serves_is_not_there() {
    let world = World::new().await;
    let everywhere = Origin::on(Ipv4Addr::UNSPECIFIED).await;
    let mut launch = world.launch("host");
    launch.permissions.network = allow(&["api.test:443".into()]);
    let place = world.docker.prepare(&launch).await.unwrap();
    let gateway = place.listen(0).await.unwrap().address().ip();
    let mut probe = Probe::new(place.start(&launch).await.unwrap());
    // What stands in the way is not that the listener is missing.
    TcpStream::connect((own_address(), everywhere.port())).await.unwrap();
    for host in [own_address(), "172.17.0.1".parse().unwrap(), "10.88.0.1".parse().unwrap()] {
        if told("LINK") != "bridge" {
            probe.unreachable(host, everywhere.port()).await;
        }
    }
    let at_gateway =
        json!({"do": "connect", "host": gateway.to_string(), "port": everywhere.port(), "send": "x"});
    if told("LINK") == "inside" {
        probe.cannot(at_gateway).await;
        assert_eq!(everywhere.visits(), 0);
    } else if told("LINK") == "bridge" {
        // The limit that is documented: when this is gone, so should be the warning.
        probe.can(at_gateway).await;
    }
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn a_server_over_http_is_reached_by_the_gateway_and_by_no_other_instance() {
    let world = World::new().await;
    let mut launch = world.launch("http");
    launch.transport = Transport::Http { port: 8000, path: "/mcp".into() };
    launch.program = image(told("IMAGE"), &["/usr/bin/python3", "/probe.py", "serve", "8000"]);
    let server = world.start(&launch).await;
    let at = server.address().expect("it has no address");
    assert!(server.pipes().is_none());
    let answer = async {
        loop {
            let mut got = String::new();
            if let Ok(mut stream) = TcpStream::connect(at).await
                && stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.is_ok()
                && stream.read_to_string(&mut got).await.is_ok()
                && !got.is_empty()
            {
                return got;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(SOON, answer).await.expect("it never answered").ends_with("inside"));

    let mut neighbour = world.launch("neighbour");
    neighbour.permissions.network = allow(&["api.test:443".into()]);
    let mut probe = world.probe(&neighbour).await;
    for host in [at.ip(), server.source()] {
        if !host.is_loopback() {
            probe.unreachable(host, 8000).await;
        }
        probe.unreachable(host, at.port()).await;
    }
    probe.stop().await;
    timeout(SOON, server.stop(Ladder::default())).await.unwrap().unwrap();
    if at.ip().is_loopback() {
        assert!(TcpStream::connect(at).await.is_err(), "its door is still open");
    }
    world.finish().await;
}

#[tokio::test]
async fn what_a_server_asks_for_is_learned_and_what_is_not_public_stays_shut() {
    let mut world = World::with(Names::default().lead("api.test", &["127.0.0.1"])).await;
    let origin = Origin::on(Ipv4Addr::LOCALHOST).await;
    let mut launch = world.launch("learn");
    launch.permissions.network = Network::Learn;
    let mut probe = world.probe(&launch).await;
    let url = format!("http://api.test:{}/", origin.port());
    assert_eq!(probe.can(json!({"do": "get", "url": url})).await["status"], 403);
    assert_eq!(world.refused().await, ("api.test".into(), Some(origin.port()), "address"));
    assert_eq!(origin.visits(), 0);
    probe.stop().await;
    world.finish().await;
}
