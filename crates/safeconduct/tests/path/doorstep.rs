//! Before the path: TLS, hosts, origins, what browsers ask, and whose word about an address is believed.

use std::path::PathBuf;

use bytes::Bytes;
use http::{Method, Request};
use rustls_pki_types::CertificateDer;
use safeconduct::{app, config};
use safeconduct_testkit::canary;
use safeconduct_testkit::client::{Answer, Client};
use serde_json::json;

use crate::line::Line;
use crate::world::{Plan, World};

/// A certificate for 127.0.0.1, in files that end with it.
pub(crate) struct Certificate {
    dir: PathBuf,
    pub(crate) der: CertificateDer<'static>,
}

impl Certificate {
    pub(crate) fn made() -> Self {
        let dir = std::env::temp_dir().join(format!("safeconduct-tls-{}", canary::random_hex()));
        std::fs::create_dir_all(&dir).unwrap();
        let der = Self::write(&dir);
        Self { dir, der }
    }

    fn write(dir: &std::path::Path) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }

    pub(crate) fn lines(&self) -> String {
        let dir = self.dir.display();
        format!("tls: {{ cert: \"{dir}/cert.pem\", key: \"{dir}/key.pem\" }}")
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_listener_speaks_both_http_versions_in_tls_and_nothing_in_the_clear() {
    let certificate = Certificate::made();
    let world = World::with(Plan { top: certificate.lines(), ..Plan::default() }).await;
    let client = world.modern("alice");
    for protocol in ["http/1.1", "h2"] {
        let mut line = Line::secure(&world.base, &certificate.der, protocol).await.unwrap();
        for text in ["a", "b"] {
            let request =
                client.message("tools/call", json!({"name": "echo", "arguments": {"text": text}})).unwrap();
            let came = line.send(request).await;
            assert_eq!(came.json()["result"]["content"][0]["text"], text, "{protocol} {}", came.status);
            assert!(!came.header("x-request-id").is_empty());
        }
    }
    assert!(client.call("echo", json!({})).await.is_err());
    let stranger = Certificate::made();
    assert!(Line::secure(&world.base, &stranger.der, "h2").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let certificate = Certificate::made();
    let world = World::with(Plan { top: certificate.lines(), ..Plan::default() }).await;
    let hang_up = || tokio::task::block_in_place(|| world.gateway.as_ref().unwrap().hang_up(&world.config()));
    let discover = || world.modern("alice").message("server/discover", json!({})).unwrap();
    let mut old = Line::secure(&world.base, &certificate.der, "http/1.1").await.unwrap();
    let renewed = Certificate::write(&certificate.dir);
    hang_up();
    assert!(Line::secure(&world.base, &certificate.der, "http/1.1").await.is_err());
    let mut new = Line::secure(&world.base, &renewed, "http/1.1").await.unwrap();
    for line in [&mut old, &mut new] {
        assert_eq!(line.send(discover()).await.status, 200, "connections outlive the certificate");
    }
    std::fs::write(certificate.dir.join("cert.pem"), "no certificate").unwrap();
    hang_up();
    assert!(Line::secure(&world.base, &renewed, "http/1.1").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_at_the_same_address_is_told_so() {
    let world = World::start().await;
    let mut loaded = config::load(&world.config());
    let plan = loaded.plan.unwrap();
    let policy = config::compile(&plan, &mut loaded.report).unwrap();
    let second =
        tokio::task::spawn_blocking(move || app::start(plan, policy).map(app::Running::stop)).await.unwrap();
    let told = second.unwrap_err().to_string();
    assert!(told.contains(world.base.trim_start_matches("http://")), "{told}");
}

/// The request with one header more, or in another's place.
async fn asked(client: &Client, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = client.message("server/discover", json!({})).unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    client.send(request).await.unwrap()
}

/// Row: T13
#[tokio::test(flavor = "multi_thread")]
async fn foreign_hosts_and_origins_end_at_the_door() {
    let top = "allowed_origins: [\"https://app.example\"]\nallowed_hosts: [mcp.example]".to_owned();
    let world = World::with(Plan { top, ..Plan::default() }).await;
    let client = world.modern("alice");
    let own = world.base.clone();
    for good in [
        ("host", "mcp.example"),
        ("host", "localhost:1"),
        ("origin", "https://app.example"),
        ("origin", own.as_str()),
    ] {
        assert_eq!(asked(&client, &[good]).await.status, 200, "{good:?}");
    }
    let before = world.server().log().count();
    let bad = [
        ("host", "evil.example"),
        ("host", "mcp.example.evil"),
        ("origin", "https://evil.example"),
        ("origin", "https://app.example.evil"),
        ("origin", "http://app.example"),
        ("origin", "null"),
    ];
    for bad in bad {
        let refused = asked(&client, &[bad]).await;
        assert_eq!(refused.status, 403, "{bad:?}");
        assert!(refused.error_code().is_some());
        assert_eq!(refused.header("access-control-allow-origin"), None);
    }
    assert_eq!(world.server().log().count(), before);
}

/// Row: D8
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_may_ask_what_a_program_may() {
    let world =
        World::with(Plan { top: "allowed_origins: [\"https://app.example\"]".into(), ..Plan::default() })
            .await;
    let client = world.modern("alice");
    let preflight = |origin: &str| {
        Request::options(world.url())
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization, mcp-method, mcp-param-region, x-other")
            .body(Bytes::new())
            .unwrap()
    };
    let allowed = client.send(preflight("https://app.example")).await.unwrap();
    assert_eq!(allowed.status, 204);
    let headers = allowed.header("access-control-allow-headers").unwrap().to_ascii_lowercase();
    let names = [
        "authorization",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-session-id",
        "last-event-id",
    ];
    for name in names.iter().chain(&["content-type", "mcp-param-region"]) {
        assert!(headers.split(", ").any(|allowed| allowed == *name), "{name} in {headers}");
    }
    assert!(!headers.contains("x-other"));
    assert_eq!(client.send(preflight("https://evil.example")).await.unwrap().status, 403);

    let origin = ("origin", "https://app.example");
    let nobody = Client::modern(&world.url());
    let known = asked(&client, &[origin]).await;
    let unknown = asked(&nobody, &[origin]).await;
    assert_eq!((known.status.as_u16(), unknown.status.as_u16()), (200, 401));
    for answer in [&known, &unknown] {
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
        assert!(answer.header("vary").unwrap().contains("Origin"));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        for name in ["Mcp-Session-Id", "WWW-Authenticate", "MCP-Protocol-Version", "X-Request-Id"] {
            assert!(exposed.contains(name), "{name} in {exposed}");
        }
    }
    assert_eq!(asked(&client, &[]).await.header("access-control-allow-origin"), None);
    let document = format!("{}/.well-known/oauth-protected-resource/orders/mcp", world.base);
    let metadata =
        Request::builder().method(Method::GET).uri(document).header(origin.0, origin.1).body(Bytes::new());
    assert_eq!(
        client.send(metadata.unwrap()).await.unwrap().header("access-control-allow-origin"),
        Some("*")
    );
}

const FROM_THERE: &str = r#"
permit (principal, action == Action::"tools/call", resource in Server::"orders")
when { context has source_ip && context.source_ip.isInRange(ip("203.0.113.0/24")) };
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_believed_from_a_trusted_proxy_and_from_nobody_else() {
    for (trusted, believed) in [("trusted_proxies: [127.0.0.1, 10.0.0.0/8]", true), ("", false)] {
        let plan = Plan { policies: FROM_THERE.into(), top: trusted.into(), ..Plan::default() };
        let world = World::with(plan).await;
        let client = world.modern("alice");
        let allowed = async |forwarded: &str| {
            let mut request =
                client.message("tools/call", json!({"name": "echo", "arguments": {"text": "x"}})).unwrap();
            request.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
            client.send(request).await.unwrap().text() == "x"
        };
        for good in ["203.0.113.9", "6.6.6.6, 203.0.113.9", "203.0.113.9, 10.1.1.1", "203.0.113.9:4711"] {
            assert_eq!(allowed(good).await, believed, "{good}");
        }
        for bad in ["203.0.113.9, 6.6.6.6", "6.6.6.6", "203.0.113.9, nonsense, 10.1.1.1", ""] {
            assert!(!allowed(bad).await, "{bad}");
        }
        assert!(!world.server().log().all().iter().any(|seen| seen.header("x-forwarded-for").is_some()));
    }
}

/// Row: A6
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_address_is_refused() {
    let world = World::start().await;
    let client = world.modern("alice");
    let with = |query: &str| {
        let mut request = client.message("server/discover", json!({})).unwrap();
        *request.uri_mut() = format!("{}?{query}", world.url()).parse().unwrap();
        request
    };
    assert_eq!(client.send(with("tenant=1")).await.unwrap().status, 200);
    for name in ["access_token", "Access_Token", "token"] {
        let query = format!("a=b&{name}={}", world.token("alice"));
        assert_eq!(client.send(with(&query)).await.unwrap().status, 400, "{name}");
    }
    assert_eq!(world.server().log().count(), 1);
}
