//! CONNECT: TLS and other protocols through the proxy.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use safeconduct_runtime::egress::{Kind, Limits, Outcome, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::edges::{Border, Names, Origin, bind, closed, exchange, network, read_until, refusal};

const GREETING: &[u8] = b"220 ready\r\n";

async fn connect(proxy: std::net::SocketAddr, target: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let answer =
        exchange(&mut stream, &format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"), "\r\n\r\n")
            .await;
    (stream, answer)
}

/// A TLS server for `name`, and what a client needs to trust it.
async fn tls(name: &str) -> (u16, TlsConnector) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let listener = bind().await;
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(server));
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut got = [0; 4];
                if stream.read_exact(&mut got).await.is_ok() {
                    let _ = stream.write_all(&got).await;
                }
                let _ = stream.shutdown().await;
            }
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (port, TlsConnector::from(Arc::new(client)))
}

#[tokio::test]
async fn tls_to_an_allowed_name_passes_untouched_and_another_name_is_refused() {
    let (port, connector) = tls("api.test").await;
    let names = Names::default().lead("api.test", &[&["127.0.0.1"]]).lead("evil.test", &[&["127.0.0.1"]]);
    let mut border = Border::new(&[format!("api.test:{port}"), format!("127.0.0.1:{port}")], names);
    let proxy = border.proxy().await;

    let (stream, answer) = connect(proxy, &format!("api.test:{port}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(border.opened().await.port(), port);
    // The certificate is the origin's own: nobody stands between.
    let mut stream = connector.connect(ServerName::try_from("api.test").unwrap(), stream).await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"ping");
    drop(stream);
    match border.told().await.outcome {
        Outcome::Closed { sent, received, .. } => assert!(sent > 200 && received > 200, "{sent} {received}"),
        other => panic!("{other:?}"),
    }

    let (_, answer) = connect(proxy, &format!("evil.test:{port}")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("x-safeconduct-refused: not_allowed"), "{answer}");
    assert_eq!(border.refused("evil.test", port).await, Reason::NotAllowed);
    let (_, answer) = connect(proxy, "api.test:1").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(border.refused("api.test", 1).await, Reason::NotAllowed);
}

#[tokio::test]
async fn a_greeting_for_another_name_never_arrives() {
    let (port, connector) = tls("evil.test").await;
    let mut origin = Origin::answering(b"never", b"").await;
    let names = Names::default().lead("api.test", &[&["127.0.0.1"]]);
    let allow = [format!("api.test:{}", origin.port()), "127.0.0.1:*".into(), format!("api.test:{port}")];
    let mut border = Border::new(&allow, names);
    let proxy = border.proxy().await;

    for port in [port, origin.port()] {
        let (stream, answer) = connect(proxy, &format!("api.test:{port}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(border.opened().await.port(), port);
        assert!(connector.connect(ServerName::try_from("evil.test").unwrap(), stream).await.is_err());
        assert_eq!(border.refused("api.test", port).await, Reason::OtherName(Some("evil.test".into())));
        assert!(matches!(border.told().await.outcome, Outcome::Closed { sent: 0, .. }));
    }
    let (stream, _) = connect(proxy, &format!("api.test:{}", origin.port())).await;
    border.opened().await;
    // A greeting that names nobody could be answered for anybody.
    assert!(connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.is_err());
    assert_eq!(border.refused("api.test", origin.port()).await, Reason::OtherName(None));
    assert_eq!(origin.got(), "");

    // The origin is there: what is no TLS at all and names no host passes.
    let (mut stream, _) = connect(proxy, &format!("api.test:{}", origin.port())).await;
    stream.write_all(b"\x00\x01raw").await.unwrap();
    origin.got_all("raw").await;
}

#[tokio::test]
async fn plain_requests_inside_a_tunnel_must_be_for_its_host() {
    let mut origin = Origin::answering(b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let port = origin.port();
    let names = Names::default().lead("api.test", &[&["127.0.0.1"]]);
    let mut border = Border::new(&[format!("api.test:{port}"), format!("127.0.0.1:{port}")], names);
    let proxy = border.proxy().await;

    let (mut stream, _) = connect(proxy, &format!("api.test:{port}")).await;
    border.opened().await;
    let answer =
        exchange(&mut stream, &format!("GET /a HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n"), "ok").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    origin.got_all("GET /a").await;

    let answer = refusal(&mut stream, "GET /b HTTP/1.1\r\nHost: evil.test\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
    assert_eq!(border.refused("evil.test", None).await, Reason::OtherHost("evil.test".into()));
    assert!(!origin.got().contains("/b"));
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard() {
    let mut origin = Origin::answering(b"", GREETING).await;
    let port = origin.port();
    let names = Names::default().lead("mail.test", &[&["127.0.0.1"]]);
    let mut border = Border::new(&[format!("mail.test:{port}"), format!("127.0.0.1:{port}")], names);
    let proxy = border.proxy().await;
    let (mut stream, answer) = connect(proxy, &format!("mail.test:{port}")).await;
    let (_, mut early) = answer.split_once("\r\n\r\n").map(|(a, b)| (a, b.to_owned())).unwrap();
    if early.is_empty() {
        early = read_until(&mut stream, "\n").await;
    }
    assert_eq!(early.as_bytes(), GREETING);
    stream.write_all(b"HELO there\r\n").await.unwrap();
    origin.got_all("HELO there").await;
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_is_refused_the_second_time() {
    let origin = Origin::answering(b"", GREETING).await;
    let port = origin.port();
    let names = Names::default()
        .lead("api.test", &[&["127.0.0.1"], &["127.0.0.2"], &["169.254.169.254", "10.0.0.1"]]);
    let mut border = Border::new(&[format!("api.test:{port}"), format!("127.0.0.1:{port}")], names);
    let proxy = border.proxy().await;
    let target = format!("api.test:{port}");

    assert!(connect(proxy, &target).await.1.starts_with("HTTP/1.1 200"));
    // The first answer was checked, and it is what was connected to: nobody asked again in between.
    assert_eq!(border.opened().await, origin.at);
    for (address, kind) in [("127.0.0.2", Kind::Loopback), ("10.0.0.1", Kind::Private)] {
        let answer = connect(proxy, &target).await.1;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("x-safeconduct-refused: address"), "{answer}");
        let mut told = border.told().await;
        if matches!(told.outcome, Outcome::Closed { .. }) {
            told = border.told().await;
        }
        assert_eq!(
            told.outcome,
            Outcome::Refused(Reason::Address { address: address.parse().unwrap(), kind })
        );
    }
}

#[tokio::test]
async fn of_several_addresses_only_those_that_may_be_are_connected_to() {
    let origin = Origin::answering(b"", GREETING).await;
    let port = origin.port();
    let names = Names::default().lead("api.test", &[&["169.254.169.254", "127.0.0.2", "::ffff:127.0.0.1"]]);
    let mut border = Border::new(&[format!("api.test:{port}"), format!("127.0.0.1:{port}")], names);
    let proxy = border.proxy().await;
    assert!(connect(proxy, &format!("api.test:{port}")).await.1.starts_with("HTTP/1.1 200"));
    assert_eq!(border.opened().await, origin.at);
}

#[tokio::test]
async fn an_address_is_reached_when_its_network_is_named() {
    let origin = Origin::answering(b"", GREETING).await;
    let port = origin.port();
    let mut border = Border::new(&[format!("127.0.0.0/8:{port}")], Names::default());
    let proxy = border.proxy().await;
    assert!(connect(proxy, &format!("127.0.0.1:{port}")).await.1.starts_with("HTTP/1.1 200"));
    border.opened().await;
    for target in ["169.254.169.254", "10.0.0.1", "[::1]", "93.184.216.34"] {
        let answer = connect(proxy, &format!("{target}:{port}")).await.1;
        assert!(answer.starts_with("HTTP/1.1 403"), "{target}: {answer}");
    }
}

#[tokio::test]
async fn nothing_is_reached_without_permission() {
    let origin = Origin::answering(b"", GREETING).await;
    let mut border = Border::new(&[], Names::default().lead("api.test", &[&["127.0.0.1"]]));
    let proxy = border.proxy().await;
    for host in ["api.test", "127.0.0.1", "localhost", "169.254.169.254"] {
        let answer = connect(proxy, &format!("{host}:{}", origin.port())).await.1;
        assert!(answer.starts_with("HTTP/1.1 403"), "{host}: {answer}");
        assert_eq!(border.refused(host, origin.port()).await, Reason::NotAllowed);
    }
}

#[tokio::test]
async fn failures_of_the_network_are_told_apart_from_refusals() {
    let gone = bind().await.local_addr().unwrap().port();
    let mut border = Border::new(
        &["nowhere.test:*".into(), "gone.test:*".into(), "127.0.0.1:*".into()],
        Names::default().lead("gone.test", &[&["127.0.0.1"]]),
    );
    let proxy = border.proxy().await;
    assert!(connect(proxy, "nowhere.test:443").await.1.starts_with("HTTP/1.1 502"));
    assert_eq!(border.refused("nowhere.test", 443).await, Reason::Unresolved);
    assert!(connect(proxy, &format!("gone.test:{gone}")).await.1.starts_with("HTTP/1.1 502"));
    let reason = border.refused("gone.test", gone).await;
    assert_eq!(reason, Reason::Unreachable(std::io::ErrorKind::ConnectionRefused));
    assert!(!reason.is_refusal());
}

#[tokio::test]
async fn a_silent_connection_ends_and_there_are_only_so_many() {
    let origin = Origin::answering(b"", GREETING).await;
    let port = origin.port();
    let limits = Limits { connections: 1, idle: Duration::from_millis(300), ..Limits::default() };
    let names = Names::default().lead("mail.test", &[&["127.0.0.1"]]);
    let allow = network(&[format!("mail.test:{port}"), format!("127.0.0.1:{port}")]);
    let mut border = Border::with(&allow, names, limits);
    let proxy = border.proxy().await;
    let target = format!("mail.test:{port}");
    let (mut first, answer) = connect(proxy, &target).await;
    assert!(answer.starts_with("HTTP/1.1 200"));
    // The second one is heard only when the first one has ended, and that ends because nobody says anything.
    let (_second, answer) = connect(proxy, &target).await;
    assert!(answer.starts_with("HTTP/1.1 200"));
    assert!(matches!(border.told().await.outcome, Outcome::Opened { .. }));
    assert!(matches!(border.told().await.outcome, Outcome::Closed { .. }));
    assert!(matches!(border.told().await.outcome, Outcome::Opened { .. }));
    read_until(&mut first, "\n").await;
    closed(&mut first).await;
}
