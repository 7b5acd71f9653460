//! What holds for every endpoint.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderValue, Method, Uri};
use safeconduct_core::bound::{BoundToken, Prover};
use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use safeconduct_runtime::delivery::aws_container::AwsContainer;
use safeconduct_runtime::delivery::azure_identity::AzureIdentity;
use safeconduct_runtime::delivery::env::Env;
use safeconduct_runtime::delivery::gcp_metadata::GcpMetadata;
use safeconduct_runtime::delivery::slot::Held;
use safeconduct_runtime::delivery::{Brought, Deliver, Delivery, Freshness};
use safeconduct_runtime::engine::{EngineError, Instance};
use safeconduct_runtime::launch::{Launch, Permissions, Program, Transport};
use safeconduct_runtime::masks::Masks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bench::{HOUR, Loopback, Next, Served, Still, ask_from, held, keys, token};

const TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

fn gcp() -> Delivery {
    Delivery::GcpMetadata(GcpMetadata::default())
}

fn azure() -> Delivery {
    let resources = vec!["r".into()];
    Delivery::AzureIdentity(AzureIdentity { resources, ..AzureIdentity::default() })
}

/// What the instance's own SDK would ask: path and headers.
fn question(served: &Served) -> (&'static str, Vec<(&'static str, &str)>) {
    let is_set = |name: &str| served.environment.iter().any(|(own, _)| own == name);
    if is_set("GCE_METADATA_HOST") {
        (TOKEN, vec![FLAVOR])
    } else if is_set("IDENTITY_HEADER") {
        (
            "/msi/token?api-version=2019-08-01&resource=r",
            vec![("X-IDENTITY-HEADER", served.variable("IDENTITY_HEADER"))],
        )
    } else {
        ("/v1/credentials", vec![("Authorization", served.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"))])
    }
}

async fn endpoints(left: Duration) -> Vec<(Served, &'static str)> {
    let aws = Delivery::AwsContainer(AwsContainer::default());
    vec![
        (Served::with(&gcp(), token("canary-alice", left), None).await, "canary-alice"),
        (Served::with(&aws, keys("canary", left), None).await, "key-of-canary"),
        (Served::with(&azure(), token("canary-alice", left), None).await, "canary-alice"),
    ]
}

#[tokio::test]
async fn whoever_comes_from_another_address_is_not_even_answered() {
    for (served, secret) in endpoints(HOUR).await {
        let (path, headers) = question(&served);
        assert!(served.get(path, &headers).await.body.contains(secret));
        let stranger = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        assert!(ask_from(stranger, served.address(), "GET", path, &headers).await.is_none());
    }
}

#[tokio::test]
async fn what_has_ended_is_not_given() {
    for (served, secret) in endpoints(Duration::ZERO).await {
        let (path, headers) = question(&served);
        let answer = served.get(path, &headers).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert!(!answer.body.contains(secret));
    }
}

#[tokio::test]
async fn a_request_by_way_of_a_proxy_is_refused_with_every_right_header() {
    for (served, secret) in endpoints(HOUR).await {
        let (path, mut headers) = question(&served);
        headers.push(("X-Forwarded-For", "10.0.0.7"));
        let answer = served.get(path, &headers).await;
        assert_eq!(answer.status, 403);
        assert!(!answer.body.contains(secret));
    }
}

#[tokio::test]
async fn a_request_without_bounds_is_refused_and_the_next_one_is_answered() {
    for (served, secret) in endpoints(HOUR).await {
        let (path, headers) = question(&served);
        let mut endless = TcpStream::connect(served.address()).await.unwrap();
        let filling = async {
            let _ = endless.write_all(format!("GET {path} HTTP/1.1\r\nX: ").as_bytes()).await;
            while endless.write_all(&[b'x'; 4096]).await.is_ok() {}
        };
        let filled = tokio::time::timeout(Duration::from_secs(10), filling).await;
        assert!(filled.is_ok(), "a head may be endless");
        assert!(served.get(path, &headers).await.body.contains(secret));
    }
}

#[tokio::test]
async fn an_endpoint_closes_with_its_instance() {
    for (served, _) in endpoints(HOUR).await {
        let at = served.address();
        let mut open = TcpStream::connect(at).await.unwrap();
        // So that it was accepted, and is not in the queue of the listener.
        open.write_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut some = [0; 16];
        assert!(open.read(&mut some).await.unwrap() > 0);
        drop(served);
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), open.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a connection outlived its instance");
        assert!(TcpStream::connect(at).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_callers_at_once_each_get_their_own_while_all_are_renewed() {
    let served: Vec<_> = {
        let mut all = Vec::new();
        for caller in 0..50 {
            all.push(Served::with(&gcp(), token(&format!("first-of-{caller}."), HOUR), None).await);
        }
        all
    };
    let asking = served.iter().enumerate().map(|(caller, served)| async move {
        for round in 0..10 {
            served.update(token(&format!("{round}-of-{caller}."), HOUR)).await;
            let answer = served.get(TOKEN, &[FLAVOR]).await.json();
            assert_eq!(answer["access_token"], format!("{round}-of-{caller}."));
        }
    });
    futures_util::future::join_all(asking).await;
}

#[tokio::test]
async fn many_who_ask_at_the_end_of_a_credential_cost_one_question_and_all_get_the_fresh_one() {
    let fresh = Next::of([Some(token("fresh", HOUR))]);
    let served = Served::with(&gcp(), token("old", Duration::from_secs(100)), Some(fresh.clone())).await;
    let asking = (0..50).map(|_| served.get(TOKEN, &[FLAVOR]));
    for answer in futures_util::future::join_all(asking).await {
        assert_eq!(answer.json()["access_token"], "fresh");
    }
    assert_eq!(fresh.times(), 1);
}

#[tokio::test]
async fn a_short_lived_credential_is_told_with_its_true_end_and_the_issuer_is_not_asked_at_each_use() {
    let vain = Next::of([None, None]);
    let served = Served::with(&gcp(), token("short", Duration::from_secs(90)), Some(vain.clone())).await;
    for _ in 0..20 {
        let answer = served.get(TOKEN, &[FLAVOR]).await.json();
        assert_eq!(answer["access_token"], "short");
        assert!(answer["expires_in"].as_u64().unwrap() <= 90);
    }
    assert_eq!(vain.times(), 1);
}

#[tokio::test]
async fn a_credential_of_the_wrong_kind_starts_and_changes_nothing() {
    let masks = Arc::new(Masks::default());
    let aws = Delivery::AwsContainer(AwsContainer::default());
    for (delivery, held) in
        [(&gcp(), keys("alice", HOUR)), (&aws, token("t", HOUR)), (&azure(), keys("alice", HOUR))]
    {
        let refused = delivery.prepare(&Loopback, held, None, &masks).await.err();
        assert!(matches!(refused, Some(EngineError::Forbidden(_))));
    }
    let bound = Material::Bound(BoundToken::new(Secret::new(b"bound".to_vec()), Arc::new(NoProof)));
    let refused = gcp().prepare(&Loopback, held(bound, HOUR), None, &masks).await.err();
    assert!(matches!(refused, Some(EngineError::Forbidden(_))));
    let served = Served::with(&gcp(), token("own", HOUR), None).await;
    let refused = served.delivered.update(keys("alice", HOUR), None, &*served.instance).await;
    assert!(matches!(refused, Err(EngineError::Forbidden(_))));
    assert_eq!(served.get(TOKEN, &[FLAVOR]).await.json()["access_token"], "own");
}

#[tokio::test]
async fn what_a_call_brings_is_boarded_served_refreshed_and_masked() {
    let brought = |held: Held| Brought { delivery: Arc::new(gcp()), held, renew: None };
    let mut launch = Launch {
        server: "warehouse".into(),
        instance: "warehouse-1".into(),
        program: Program::Command { arguments: vec!["true".into()], directory: None },
        transport: Transport::Stdio,
        permissions: Permissions::default(),
        environment: vec![("NO_PROXY".into(), Secret::new(b"own.example.com".to_vec()))],
        files: Vec::new(),
    };
    let masks = Arc::new(Masks::default());
    let first = brought(token("ya29.first-token", HOUR));
    let delivered = first.board(&Loopback, &mut launch, &masks).await.unwrap();
    let names: Vec<_> = launch.environment.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["NO_PROXY", "GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP", "no_proxy"]);
    let value = |name: &str| launch.environment.iter().find(|(own, _)| own == name).unwrap().1.expose_str();
    assert_eq!(value("NO_PROXY"), Some("own.example.com,127.0.0.1"));
    assert_eq!(value("no_proxy"), Some("127.0.0.1"));
    let instance: Arc<dyn Instance> = Still::new();
    first.started(&delivered, &instance).await.unwrap();
    let second = brought(token("ya29.second-token", HOUR));
    assert_eq!(second.refresh(&delivered, &*instance).await.unwrap(), Freshness::Fresh);
    assert_eq!(masks.mask("got ya29.first-token, then ya29.second-token"), "got [secret], then [secret]");
}

#[tokio::test]
async fn every_delivery_gives_each_caller_an_instance_of_their_own() {
    let env = Delivery::Env(Env::Aws { region: None });
    for delivery in [gcp(), azure(), Delivery::AwsContainer(AwsContainer::default()), env] {
        assert!(delivery.is_per_caller());
    }
}

/// The key of a bound token, as far as it matters here: it is never asked.
struct NoProof;

impl Prover for NoProof {
    fn prove(&self, _: &Method, _: &Uri, _: Option<&str>, _: Timestamp) -> Option<HeaderValue> {
        None
    }

    fn note(&self, _: &Uri, _: &str) {}
}

/// Everything that is logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_logged_whatever_is_asked() {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole program: what the other tests log may hold no secret either.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut shown = Vec::new();
    for (served, secret) in endpoints(HOUR).await {
        let (path, headers) = question(&served);
        assert!(served.get(path, &headers).await.body.contains(secret));
        served.get(&format!("/{secret}?token={secret}"), &[("Authorization", "canary-shown")]).await;
        ask_from(Ipv4Addr::new(127, 0, 0, 2).into(), served.address(), "GET", path, &headers).await;
        shown.extend(headers.iter().map(|(_, value)| (*value).to_owned()).filter(|value| value != "Google"));
    }
    let logged = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("asked for a credential"), "nothing was logged: {logged}");
    assert!(!logged.contains("canary"), "{logged}");
    assert!(shown.iter().all(|bearer| !logged.contains(bearer)), "{logged}");
}
