//! A token endpoint that is down under a crowd, and a subject that it refuses under a hammer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use safeconduct_testkit::idp::{Mint, User};
use safeconduct_testkit::wire::Fault;
use serde_json::json;

use crate::as_whom::exchange;
use crate::patience::until;
use crate::world::{AUDIENCE, HOUR, Plan, World};

const CROWD: usize = 500;
const CACHED: usize = 10;
const DOWN: Duration = Duration::from_secs(10);
/// As long as a call may wait for its credential: the step's own time, and what a crowd of five hundred on one machine adds.
const DEADLINE: Duration = Duration::from_secs(8);

impl World {
    fn crowd(&self, count: usize, name: &str) -> Vec<safeconduct_testkit::client::Client> {
        let user = |number: usize| {
            let name = format!("{name}-{number}");
            self.idp.add_user(User::new(&name, &["support"]));
            self.modern(&name)
        };
        (0..count).map(user).collect()
    }
}

/// Edge: 34, 50, 51
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_outage_of_ten_seconds_is_survived_by_a_crowd_and_ends_by_itself() {
    let credential = exchange("attempt_timeout: 1s, timeout: 2s");
    let world = Arc::new(World::with(Plan { credential, ..Plan::scripted() }).await);
    let result = json!({"resultType": "complete", "content": [{"type": "text", "text": "x"}]});
    world.backend().results(result);
    let cached = world.crowd(CACHED, "cached");
    for client in &cached {
        assert_eq!(client.call("echo", json!({})).await.unwrap().text(), "x");
    }
    let crowd = world.crowd(CROWD, "crowd");
    let before = world.idp.exchanges();
    world.idp.faults().at("/token", usize::MAX, Fault::Hang);
    let began = Instant::now();

    // Callers with a credential notice nothing.
    let served = async {
        let mut slowest = Duration::ZERO;
        while began.elapsed() < DOWN {
            for client in &cached {
                let asked = Instant::now();
                let answer = client.call("echo", json!({})).await.unwrap();
                assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "x"));
                slowest = slowest.max(asked.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slowest
    };
    // The others are answered by their deadline, and those who come later at once.
    let told = AtomicUsize::new(0);
    let refused = futures_util::future::join_all(crowd.iter().map(|client| async {
        let asked = Instant::now();
        let answer = client.call("echo", json!({})).await.unwrap();
        let error = answer.message()["error"].clone();
        assert_eq!((answer.status, &error["data"]["code"]), (StatusCode::OK, &json!("SC-C07")), "{error}");
        assert!(error["data"]["retry_after"].as_u64().is_some_and(|wait| wait >= 1), "{error}");
        told.fetch_add(1, Ordering::Relaxed);
        asked.elapsed()
    }));
    let later = async {
        let mut slowest = Duration::ZERO;
        tokio::time::sleep(DEADLINE).await;
        while began.elapsed() < DOWN {
            let asked = Instant::now();
            // All of them want to be the probe, and one of them is.
            let again = crowd.iter().take(50).map(|client| client.call("echo", json!({})));
            for answer in futures_util::future::join_all(again).await {
                assert_eq!(answer.unwrap().message()["error"]["data"]["code"], "SC-C07");
            }
            slowest = slowest.max(asked.elapsed());
        }
        slowest
    };
    let (slowest_cached, waited, slowest_later) = tokio::join!(served, refused, later);
    assert_eq!(told.into_inner(), CROWD);
    let longest = waited.iter().max().unwrap();
    assert!(*longest < DEADLINE, "no pile-up: the last was answered after {longest:?}");
    assert!(slowest_cached < Duration::from_secs(2), "{slowest_cached:?}");
    assert!(slowest_later < DEADLINE, "{slowest_later:?}");
    // 64 at once and their repetitions until the breaker opened; after that one probe at a time, one every few seconds.
    let during = world.idp.exchanges() - before;
    assert!(during <= 64 * 3 + 12, "{during} requests to an endpoint that is down");
    assert!(during >= 64, "{during}");

    // Nobody does anything, and it is over.
    world.idp.faults().clear();
    until(async || crowd[0].call("echo", json!({})).await.unwrap().text() == "x").await;
    for answer in
        futures_util::future::join_all(crowd.iter().map(|client| client.call("echo", json!({})))).await
    {
        assert_eq!(answer.unwrap().text(), "x");
    }
}

/// Edge: 47
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bad_subject_a_hundred_times_a_second_reaches_the_provider_once_a_second() {
    const SECONDS: usize = 5;
    let world = World::with(Plan::scripted()).await;
    world.backend().results(json!({"resultType": "complete", "content": []}));
    let refused = json!({"error": "invalid_grant"}).to_string();
    world.idp.faults().at("/token", usize::MAX, Fault::Status(StatusCode::BAD_REQUEST, refused));
    world.idp.add_user(User::new("mallory", &["support"]));
    // A new token each time, and one in three of another login.
    let call = |number: usize| {
        let mint = Mint::user("mallory").audience(AUDIENCE).scopes("backend-mcp:tools:call");
        let mint = mint.lifetime(HOUR + Duration::from_secs(number as u64));
        let mint = if number.is_multiple_of(3) { mint.claim("auth_time", number) } else { mint };
        let client =
            safeconduct_testkit::client::Client::modern(&world.url()).bearer(&world.idp.issue(&mint));
        tokio::spawn(async move { client.call("echo", json!({})).await })
    };
    let began = Instant::now();
    // Calls that come before the first refusal did are not paced: nothing is known of the caller yet.
    assert_eq!(call(0).await.unwrap().unwrap().status, StatusCode::UNAUTHORIZED);
    let mut calls = Vec::new();
    for number in 1..SECONDS * 100 {
        calls.push(call(number));
        let next = began + Duration::from_millis(10) * u32::try_from(number).unwrap();
        tokio::time::sleep_until(next.into()).await;
    }
    for call in calls {
        let answer = call.await.unwrap().unwrap();
        assert_eq!(
            (answer.status, answer.header("www-authenticate").is_some()),
            (StatusCode::UNAUTHORIZED, true)
        );
    }
    let lasted = began.elapsed().as_secs_f64().ceil() as usize;
    let asked = world.idp.exchanges();
    assert!(asked <= lasted + 3, "{asked} times in {lasted} seconds");
    assert_eq!(world.backend().log().count(), 0);
    // Meanwhile others are served: nobody but the one is paced.
    world.idp.faults().clear();
    assert_eq!(world.modern("alice").call("echo", json!({})).await.unwrap().status, 200);
}
