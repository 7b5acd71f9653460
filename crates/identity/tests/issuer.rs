//! The keys of an issuer: where they are found, when they are fetched, and what is done while they cannot be had.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod issuer_world;

use std::sync::Arc;

use futures_util::future::join_all;
use http::StatusCode;
use issuer_world::{Scripted, Time, at_its_keys, fetches, json as document, provider, seconds, until, wire};
use safeconduct_identity::issuer::{IssuerKeys, KeySource};
use safeconduct_testkit::idp::Idp;
use safeconduct_testkit::keys::{Algorithm, SigningKey};
use safeconduct_testkit::wire::Fault;
use serde_json::{Value, json};

const DISCOVERY: KeySource = KeySource::Discovery { allow_http: false, key_hosts: &[] };

fn jwks() -> Value {
    json!({ "keys": [SigningKey::generate(Algorithm::Es256).unwrap().jwk()] })
}

/// An issuer whose metadata are `metadata`, with keys beside them; what becomes of its keys.
async fn discovered(metadata: impl Fn(&str) -> Value + Send + Sync + 'static) -> Result<usize, String> {
    discovered_with(DISCOVERY, "", metadata).await
}

async fn discovered_with(
    source: KeySource,
    path: &str,
    metadata: impl Fn(&str) -> Value + Send + Sync + 'static,
) -> Result<usize, String> {
    let keys = jwks();
    let server = Scripted::start(move |base, seen| match seen.path() {
        "/keys" => document(&keys),
        _ => document(&metadata(base)),
    })
    .await;
    let keys = IssuerKeys::start(&server.url(path), source, wire(), Time::new());
    keys.first().await.map(|keys| keys.set.len()).map_err(|error| error.to_string())
}

async fn idp_with_keys() -> (Arc<Time>, Idp, Arc<IssuerKeys>) {
    let time = Time::new();
    let idp = provider(&time).await;
    let keys = IssuerKeys::start(idp.issuer(), at_its_keys(&idp), wire(), time.clone());
    keys.first().await.unwrap();
    (time, idp, keys)
}

/// Row: R13
/// Edge: 86
#[tokio::test]
async fn keys_are_found_by_openid_discovery_and_by_oauth_metadata() {
    let time = Time::new();
    let idp = provider(&time).await;
    let keys = || IssuerKeys::start(idp.issuer(), DISCOVERY, wire(), time.clone());
    assert_eq!(keys().first().await.ok().map(|keys| keys.set.len()), Some(2));
    idp.log().clear();
    let gone = Fault::Status(StatusCode::NOT_FOUND, String::new());
    idp.faults().at("/.well-known/openid-configuration", 1, gone);
    assert_eq!(keys().first().await.ok().map(|keys| keys.set.len()), Some(2));
    let asked: Vec<String> = idp.log().all().iter().map(|seen| seen.path().to_owned()).collect();
    assert_eq!(
        asked,
        ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"]
    );
}

/// Row: R5, R13
/// Edge: 86
#[tokio::test]
async fn metadata_of_another_issuer_are_not_believed() {
    assert_eq!(discovered(|base| json!({ "issuer": base, "jwks_uri": format!("{base}/keys") })).await, Ok(1));
    for other in ["{base}/", "{base}/other", "https://evil.example", "HTTP{rest}", "https{rest}"] {
        let refused = discovered(move |base| {
            let rest = base.trim_start_matches("http");
            let issuer = other.replace("{base}", base).replace("{rest}", rest);
            json!({ "issuer": issuer, "jwks_uri": format!("{base}/keys") })
        });
        assert!(refused.await.unwrap_err().contains("is of another issuer"), "{other}");
    }
    let slash =
        discovered_with(DISCOVERY, "/", |base| json!({ "issuer": base, "jwks_uri": format!("{base}/keys") }));
    assert!(slash.await.unwrap_err().contains("is of another issuer"));
}

/// Row: R13
/// Edge: 86, 87
#[tokio::test]
async fn keys_are_not_fetched_from_another_host_or_a_place_that_cannot_be_trusted() {
    let at = |uri: &'static str| discovered(move |base| json!({ "issuer": base, "jwks_uri": uri }));
    assert!(at("https://evil.example/keys").await.unwrap_err().contains("another host"));
    assert!(at("http://evil.example/keys").await.unwrap_err().contains("plain http"));
    assert!(at("http://169.254.169.254/keys").await.unwrap_err().contains("plain http"));
    assert!(at("https://127.0.0.1@evil.example/keys").await.unwrap_err().contains("user information"));
    assert!(at("file:///etc/passwd").await.is_err() && at("/keys").await.is_err());
    assert!(discovered(|base| json!({ "issuer": base })).await.unwrap_err().contains("has no jwks_uri"));
    let allowed = KeySource::Discovery { allow_http: false, key_hosts: &["localhost"] };
    let port = |base: &str| base.rsplit(':').next().unwrap().to_owned();
    let elsewhere = move |base: &str| json!({ "issuer": base, "jwks_uri": format!("http://localhost:{}/keys", port(base)) });
    assert_eq!(
        discovered_with(allowed, "", elsewhere).await,
        Ok(1),
        "a host that is known to be the issuer's"
    );
    assert!(discovered(elsewhere).await.unwrap_err().contains("another host"));
}

/// Row: R12, R13
/// Edge: 84
#[tokio::test]
async fn metadata_and_keys_that_are_huge_redirected_garbage_or_cut_are_errors_with_a_name() {
    for path in ["/.well-known/openid-configuration", "/jwks"] {
        for (fault, why) in [
            (Fault::Huge(4 << 20), "longer than"),
            (Fault::Redirect("http://169.254.169.254/latest/meta-data".into()), "redirect"),
            (Fault::Garbage, "not "),
            (Fault::Truncate(20), "broke"),
            (Fault::Status(StatusCode::INTERNAL_SERVER_ERROR, "{}".into()), "HTTP 500"),
        ] {
            let time = Time::new();
            let idp = provider(&time).await;
            idp.faults().at(path, usize::MAX, fault.clone());
            idp.faults().at("/.well-known/oauth-authorization-server", usize::MAX, fault.clone());
            let keys = IssuerKeys::start(idp.issuer(), DISCOVERY, wire(), time);
            let error = keys.first().await.err().unwrap().to_string();
            assert!(error.contains(path) && error.contains(why), "{fault:?}: {error}");
            assert_eq!((keys.status().keys, keys.status().error), (0, Some(error)));
        }
    }
}

/// Row: R13
#[tokio::test]
async fn an_issuer_that_never_answers_is_given_up_in_ten_seconds() {
    let time = Time::new();
    let idp = provider(&time).await;
    idp.faults().always(Fault::Hang);
    let keys = IssuerKeys::start(idp.issuer(), at_its_keys(&idp), wire(), time.clone());
    let waiting = tokio::spawn({
        let keys = keys.clone();
        async move { keys.first().await.err().map(|error| error.to_string()) }
    });
    assert!(idp.log().reaches(1).await);
    time.skip(seconds(10)).await;
    assert!(waiting.await.unwrap().is_some());
    assert!(keys.status().error.is_some());
}

/// What a document says of itself does not make a second line in a log.
#[tokio::test]
async fn an_error_is_one_short_line_whatever_the_document_says() {
    let error = discovered(|base| json!({ "issuer": base, "jwks_uri": format!("x\n{}", "y".repeat(5000)) }));
    let error = error.await.unwrap_err();
    assert!(!error.contains('\n') && error.len() < 700, "{error}");
}

/// Row: A13, R11
#[tokio::test]
async fn callers_who_wait_for_the_first_keys_share_one_fetch_and_may_leave() {
    let server = Scripted::start({
        let keys = jwks();
        move |_, _| document(&keys)
    })
    .await;
    server.hold();
    let keys = IssuerKeys::start(&server.url(""), server.keys(), wire(), Time::new());
    let mut waiting: Vec<_> = (0..100)
        .map(|_| {
            let keys = keys.clone();
            tokio::spawn(async move { keys.first().await.is_ok() })
        })
        .collect();
    assert!(server.edge.log().reaches(1).await);
    for left in waiting.drain(..50) {
        left.abort();
    }
    server.release();
    assert!(join_all(waiting).await.into_iter().all(|outcome| outcome.unwrap()));
    assert_eq!(server.count(), 1);
}

/// Row: A13
#[tokio::test]
async fn callers_do_not_make_an_issuer_that_is_down_be_asked_more_than_once_a_second() {
    let time = Time::new();
    let idp = provider(&time).await;
    idp.faults().always(Fault::Close);
    let keys = IssuerKeys::start(idp.issuer(), at_its_keys(&idp), wire(), time.clone());
    let began = std::time::Instant::now();
    for _ in 0..20 {
        let outcomes = join_all((0..50).map(|_| keys.first())).await;
        assert!(outcomes.iter().all(Result::is_err));
    }
    let most = 1 + began.elapsed().as_secs() as usize;
    assert!(fetches(&idp) <= 2 * most, "a broken connection is tried once more: {}", fetches(&idp));
    idp.faults().clear();
    time.skip(seconds(2)).await;
    assert!(keys.first().await.is_ok(), "and it is found when it is back");
}

/// Row: R11, R12, A13
/// Edge: 80
#[tokio::test]
async fn an_unknown_key_costs_one_fetch_in_thirty_seconds_shared_by_all() {
    let (time, idp, keys) = idp_with_keys().await;
    let first = keys.current().unwrap().generation;
    let flood = (0..1000).map(|number| {
        let keys = keys.clone();
        async move { keys.newer(first, Some(&format!("kid-{number}"))).await.is_some() }
    });
    assert!(join_all(flood).await.iter().all(|found| !found));
    assert_eq!(fetches(&idp), 2, "one at the start, one for the flood");
    let kid = idp.keys().rotate(Algorithm::Es256).unwrap();
    assert!(keys.newer(first, Some(&kid)).await.is_none(), "not the time for another");
    time.skip(seconds(30)).await;
    let newer = keys.newer(first, Some(&kid)).await.unwrap();
    assert!(newer.set.knows(&kid) && newer.generation > first);
    assert_eq!(fetches(&idp), 3);
}

/// Row: A13
#[tokio::test]
async fn a_key_published_during_a_fetch_is_found_by_the_next_one() {
    let old = jwks();
    let new = SigningKey::generate(Algorithm::Es256).unwrap();
    let server = Scripted::start({
        let old = old.clone();
        move |_, _| document(&old)
    })
    .await;
    let time = Time::new();
    let keys = IssuerKeys::start(&server.url(""), server.keys(), wire(), time.clone());
    let first = keys.first().await.unwrap().generation;
    let shown = json!({ "keys": [new.jwk()] });
    let asked = std::sync::atomic::AtomicUsize::new(0);
    server.now_answers(move |_, _| {
        let before = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        document(if before { &old } else { &shown })
    });
    server.hold();
    // The refresh is under way, and will bring the old keys.
    time.skip(seconds(600)).await;
    assert!(server.edge.log().reaches(2).await);
    let waiting = tokio::spawn({
        let (keys, kid) = (keys.clone(), new.kid().to_owned());
        async move { keys.newer(first, Some(&kid)).await.is_some_and(|keys| keys.set.knows(&kid)) }
    });
    tokio::task::yield_now().await;
    server.release();
    assert!(waiting.await.unwrap());
    assert_eq!(server.count(), 3);
}

/// Row: R12, A13
/// Edge: 83
#[tokio::test]
async fn the_same_keys_keep_their_number_and_no_store_and_a_short_max_age_mean_a_minute() {
    let jwks = jwks();
    let server =
        Scripted::start(move |_, _| document(&jwks).header("cache-control", "no-store, Max-Age=1")).await;
    let time = Time::new();
    let keys = IssuerKeys::start(&server.url(""), server.keys(), wire(), time.clone());
    let first = keys.first().await.unwrap().generation;
    time.skip(seconds(50)).await;
    assert_eq!((server.count(), keys.current().unwrap().generation), (1, first), "kept, although no-store");
    time.skip(seconds(10)).await;
    assert!(server.edge.log().reaches(2).await);
    until(|| keys.status().age.is_some_and(|age| age < 50)).await;
    assert_eq!(keys.current().unwrap().generation, first);
    let other = self::jwks();
    server.now_answers(move |_, _| document(&other));
    time.skip(seconds(60)).await;
    until(|| keys.current().unwrap().generation > first).await;
    assert_eq!(server.count(), 3);
}

/// Row: R12, A13
/// Edge: 85
#[tokio::test]
async fn last_good_keys_serve_for_a_day_through_an_outage_and_no_longer() {
    let (time, idp, keys) = idp_with_keys().await;
    let first = keys.current().unwrap().generation;
    idp.faults().always(Fault::Status(StatusCode::INTERNAL_SERVER_ERROR, "{}".into()));
    time.skip(seconds(3600)).await;
    until(|| keys.status().error.is_some()).await;
    assert!(keys.status().error.unwrap().contains("HTTP 500"));
    assert_eq!(keys.first().await.ok().map(|keys| keys.generation), Some(first));
    time.skip(seconds(22 * 3600)).await;
    assert_eq!(keys.first().await.ok().map(|keys| keys.generation), Some(first));
    time.skip(seconds(2 * 3600)).await;
    assert!(keys.current().is_none() && keys.first().await.is_err());
    idp.faults().clear();
    time.skip(seconds(61)).await;
    until(|| keys.current().is_some()).await;
    assert!(keys.status().error.is_none());
}

/// Row: R12
/// Edge: 84
#[tokio::test]
async fn a_key_set_that_is_empty_too_large_or_broken_does_not_replace_a_good_one() {
    let good = jwks();
    let server = Scripted::start({
        let good = good.clone();
        move |_, _| document(&good).header("cache-control", "max-age=60")
    })
    .await;
    let time = Time::new();
    let keys = IssuerKeys::start(&server.url(""), server.keys(), wire(), time.clone());
    let first = keys.first().await.unwrap().generation;
    let many: Vec<Value> = (0..101).map(|_| good["keys"][0].clone()).collect();
    for (bad, why) in [
        (json!({ "keys": [] }), "no key that can verify"),
        (json!({ "keys": [{ "kty": "oct", "k": "AAAA" }] }), "no key that can verify"),
        (json!({ "keys": many }), "more than 100"),
        (json!({ "keys": "none" }), "no array"),
        (json!({ "keys": good["keys"], "filler": "x".repeat(2 << 20) }), "longer than"),
    ] {
        server.now_answers(move |_, _| document(&bad));
        time.skip(seconds(61)).await;
        until(|| keys.status().error.is_some_and(|error| error.contains(why))).await;
        assert_eq!(keys.current().unwrap().generation, first, "{why}");
    }
    // Unsupported and malformed keys beside a good one are nobody's problem.
    let mixed = json!({ "keys": [{ "kty": "XX" }, 7, {}, { "kty": "EC", "crv": "P-256", "x": "!" }, good["keys"][0]] });
    server.now_answers(move |_, _| document(&mixed));
    time.skip(seconds(61)).await;
    until(|| keys.status().error.is_none()).await;
    assert_eq!(keys.current().unwrap().set.len(), 1);
}

/// Row: A13
#[tokio::test]
async fn keys_in_a_file_are_read_again_when_a_token_names_another_one() {
    let place = std::env::temp_dir().join(format!("safeconduct-jwks-{}.json", std::process::id()));
    std::fs::write(&place, jwks().to_string()).unwrap();
    let keys = IssuerKeys::start("https://idp.example", KeySource::File(place.clone()), wire(), Time::new());
    let first = keys.first().await.unwrap().generation;
    let new = SigningKey::generate(Algorithm::EdDsa).unwrap();
    std::fs::write(&place, json!({ "keys": [new.jwk()] }).to_string()).unwrap();
    let newer = keys.newer(first, Some(new.kid())).await.unwrap();
    assert!(newer.set.knows(new.kid()));
    std::fs::remove_file(&place).unwrap();
    let missing =
        IssuerKeys::start("https://idp.example", KeySource::File(place.clone()), wire(), Time::new());
    assert!(missing.first().await.err().unwrap().to_string().contains("safeconduct-jwks"));
}

/// Row: A13
#[test]
fn callers_are_not_left_waiting_when_the_runtime_that_fetches_ends() {
    let background =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (idp, keys) = background.block_on(async {
        let time = Time::new();
        let idp = provider(&time).await;
        idp.faults().always(Fault::Hang);
        let keys = IssuerKeys::start(idp.issuer(), at_its_keys(&idp), wire(), time);
        assert!(idp.log().reaches(1).await);
        (idp, keys)
    });
    let waiting = std::thread::spawn({
        let keys = keys.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(keys.first()).is_err()
        }
    });
    background.shutdown_background();
    assert!(waiting.join().unwrap());
    drop(idp);
}
