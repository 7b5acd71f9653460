//! `file` and `env`. The steady clock is turned by hand; what is awaited is what was written.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_runtime::delivery::env::Env;
use safeconduct_runtime::delivery::file::{File, Format};
use safeconduct_runtime::delivery::{Delivery, Freshness};
use safeconduct_runtime::masks::Masks;
use tokio::time::Instant;

use super::bench::{HOUR, Loopback, Next, Served, keys, token};

fn file(format: Format) -> Delivery {
    let path = PathBuf::from("/run/credential/token");
    Delivery::File(File { path, variable: None, format })
}

#[tokio::test]
async fn a_file_holds_the_token_and_nothing_else_and_a_variable_names_it_where_asked() {
    let masks = Arc::new(Masks::default());
    let named = Delivery::File(File {
        path: "/run/credential/token".into(),
        variable: Some("API_TOKEN_FILE".into()),
        format: Format::Token,
    });
    let prepared = named.prepare(&Loopback, token("canary", HOUR), None, &masks).await.unwrap();
    let (path, content) = prepared.files.first().unwrap();
    assert_eq!((path.to_str(), content.expose()), (Some("/run/credential/token"), &b"canary"[..]));
    let (name, value) = prepared.environment.first().unwrap();
    assert_eq!((&**name, value.expose()), ("API_TOKEN_FILE", &b"/run/credential/token"[..]));
}

#[tokio::test]
async fn a_profile_holds_the_keys_as_amazons_sdks_read_them() {
    let masks = Arc::new(Masks::default());
    let prepared =
        file(Format::AwsProfile).prepare(&Loopback, keys("alice", HOUR), None, &masks).await.unwrap();
    assert_eq!(
        prepared.files.first().unwrap().1.expose_str(),
        Some(
            "[default]\naws_access_key_id = ASIAALICE\naws_secret_access_key = key-of-alice\n\
             aws_session_token = session-of-alice\n"
        )
    );
    assert_eq!(prepared.environment.first().unwrap().0, "AWS_SHARED_CREDENTIALS_FILE");
}

#[tokio::test]
async fn a_further_call_with_a_newer_token_replaces_the_file_and_with_the_same_one_does_not() {
    let served = Served::with(&file(Format::Token), token("one", HOUR), None).await;
    assert_eq!(served.update(token("one", HOUR)).await, Freshness::Fresh);
    assert!(served.instance.written().is_empty());
    assert_eq!(served.update(token("two", HOUR)).await, Freshness::Fresh);
    assert_eq!(served.instance.written(), ["two"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_replaced_ahead_of_the_end_without_a_call() {
    let fresh = Next::of([Some(token("two", HOUR * 2))]);
    let began = Instant::now();
    let served = Served::with(&file(Format::Token), token("one", HOUR), Some(fresh.clone())).await;
    served.instance.holds("two").await;
    let after = began.elapsed();
    assert!(after < HOUR - Duration::from_secs(290) && after > HOUR - Duration::from_secs(310), "{after:?}");
    assert_eq!(served.instance.written(), ["two"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_emptied_at_the_end_when_no_fresh_one_is_granted() {
    let began = Instant::now();
    let vain = Next::of([]);
    let served = Served::with(&file(Format::Token), token("one", HOUR), Some(vain.clone())).await;
    served.instance.holds("").await;
    let after = began.elapsed();
    assert!(after <= HOUR && after > HOUR - Duration::from_secs(5), "{after:?}");
    assert!((2..=30).contains(&vain.times()), "{}", vain.times());
    served.update(token("again", HOUR * 3)).await;
    assert_eq!(served.instance.written(), ["", "again"]);
}

#[tokio::test]
async fn a_file_is_emptied_when_its_credential_is_taken_back() {
    let served = Served::with(&file(Format::Token), token("one", HOUR), None).await;
    served.clear().await;
    assert_eq!(served.instance.written(), [""]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_with_a_variable_goes_on_until_what_it_was_started_with_is_about_to_end() {
    let env = Delivery::Env(Env::Token { variable: "API_TOKEN".into(), prefix: "".into() });
    let served = Served::with(&env, token("one", HOUR), None).await;
    assert_eq!(served.variable("API_TOKEN"), "one");
    assert_eq!(served.update(token("two", HOUR * 2)).await, Freshness::Fresh);
    tokio::time::advance(HOUR - Duration::from_secs(59)).await;
    assert_eq!(served.update(token("three", HOUR * 3)).await, Freshness::Stale);
}
