//! `aws_container`, at both places.

use std::time::Duration;

use safeconduct_runtime::delivery::Delivery;
use safeconduct_runtime::delivery::aws_container::AwsContainer;

use super::bench::{HOUR, Next, Served, ask, keys, now};

fn container() -> Delivery {
    Delivery::AwsContainer(AwsContainer {
        region: Some("eu-central-1".into()),
        account: Some("123456789012".into()),
        role: None,
        machine: false,
    })
}

fn machine() -> Delivery {
    let about =
        AwsContainer { region: Some("eu-central-1".into()), machine: true, ..AwsContainer::default() };
    Delivery::AwsContainer(about)
}

const CREDENTIALS: &str = "/v1/credentials";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const ROLE: &str = "/latest/meta-data/iam/security-credentials/safeconduct";
const SESSION: &str = "X-aws-ec2-metadata-token";
const SECONDS: &str = "X-aws-ec2-metadata-token-ttl-seconds";

fn bearer(served: &Served) -> &str {
    served.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")
}

/// Edge: 97, 100
#[tokio::test]
async fn the_keys_are_the_callers_own_and_only_whoever_shows_the_instances_secret_gets_them() {
    let alice = Served::with(&container(), keys("alice", HOUR), None).await;
    let bob = Served::with(&container(), keys("bob", HOUR), None).await;
    let url = alice.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    assert_eq!(url, format!("http://{}{CREDENTIALS}", alice.address()));
    assert_eq!(alice.variable("AWS_REGION"), "eu-central-1");
    assert_eq!(alice.variable("AWS_DEFAULT_REGION"), "eu-central-1");

    let answer =
        alice.get(CREDENTIALS, &[("Authorization", bearer(&alice)), ("Accept", "application/json")]).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = answer.json();
    assert_eq!(answer["AccessKeyId"], "ASIAALICE");
    assert_eq!(answer["SecretAccessKey"], "key-of-alice");
    assert_eq!(answer["Token"], "session-of-alice");
    assert_eq!(answer["AccountId"], "123456789012");
    let expected = now().plus(HOUR).rfc3339();
    assert_eq!(answer["Expiration"].as_str().unwrap()[..13], expected[..13]);

    let prefixed = format!("Bearer {}", bearer(&alice));
    for wrong in [None, Some(""), Some("wrong"), Some(&*prefixed), Some(bearer(&bob))] {
        let headers: Vec<_> = wrong.iter().map(|value| ("Authorization", *value)).collect();
        let answer = alice.get(CREDENTIALS, &headers).await;
        assert_eq!(answer.status, 401, "{wrong:?}");
        assert_eq!(answer.json()["Code"], "AccessDenied");
        assert!(!answer.body.contains("alice"));
    }
    assert_eq!(alice.get("/", &[("Authorization", bearer(&alice))]).await.status, 404);
    assert_eq!(
        ask(alice.address(), "PUT", CREDENTIALS, &[("Authorization", bearer(&alice))]).await.status,
        405
    );
}

#[tokio::test]
async fn what_was_taken_back_is_refused_without_the_advice_to_wait() {
    let served = Served::with(&container(), keys("alice", HOUR), None).await;
    let headers = [("Authorization", bearer(&served))];
    assert_eq!(served.get(CREDENTIALS, &headers).await.status, 200);
    served.clear().await;
    let answer = served.get(CREDENTIALS, &headers).await;
    assert_eq!((answer.status, answer.header("retry-after")), (404, None));
    assert_eq!(answer.json()["Code"], "NoCredentials");
}

/// Edge: 100
#[tokio::test]
async fn keys_with_less_than_twenty_minutes_are_renewed_before_they_are_given() {
    let fresh = Next::of([Some(keys("fresh", HOUR))]);
    let nearly = keys("nearly", Duration::from_secs(19 * 60));
    let served = Served::with(&container(), nearly, Some(fresh.clone())).await;
    let answer = served.get(CREDENTIALS, &[("Authorization", bearer(&served))]).await;
    assert_eq!(answer.json()["AccessKeyId"], "ASIAFRESH");
    assert_eq!(fresh.times(), 1);
}

#[tokio::test]
async fn a_machine_gives_the_keys_to_whoever_took_a_session_first() {
    let alice = Served::with(&machine(), keys("alice", HOUR), None).await;
    let bob = Served::with(&machine(), keys("bob", HOUR), None).await;
    assert_eq!(alice.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT"), format!("http://{}", alice.address()));
    assert_eq!(alice.variable("AWS_EC2_METADATA_V1_DISABLED"), "true");

    let session = ask(alice.address(), "PUT", "/latest/api/token", &[(SECONDS, "21600")]).await;
    assert_eq!((session.status, session.header(SECONDS)), (200, Some("21600")));
    let headers = [(SESSION, &*session.body)];
    let roles = alice.get(ROLES, &headers).await;
    assert_eq!((roles.status, &*roles.body), (200, "safeconduct"));
    let answer = alice.get(ROLE, &headers).await.json();
    assert_eq!(answer["Code"], "Success");
    assert_eq!(answer["Type"], "AWS-HMAC");
    assert_eq!(answer["AccessKeyId"], "ASIAALICE");
    assert_eq!(answer["SecretAccessKey"], "key-of-alice");
    assert_eq!(answer["Token"], "session-of-alice");
    // Whole seconds would have Boto stretch the end.
    assert_eq!(answer["Expiration"].as_str().unwrap().len(), "2026-11-22T10:00:00.000Z".len());
    for (path, text) in [
        ("/latest/meta-data/placement/region", "eu-central-1"),
        ("/latest/meta-data/placement/availability-zone/", "eu-central-1a"),
    ] {
        assert_eq!(alice.get(path, &headers).await.body, text, "{path}");
    }
    assert_eq!(
        alice.get("/latest/dynamic/instance-identity/document", &headers).await.json()["region"],
        "eu-central-1"
    );

    let others = ask(bob.address(), "PUT", "/latest/api/token", &[(SECONDS, "21600")]).await;
    for wrong in [None, Some(""), Some("AQAAAA"), Some(&*others.body)] {
        let headers: Vec<_> = wrong.iter().map(|value| (SESSION, *value)).collect();
        let answer = alice.get(ROLE, &headers).await;
        assert_eq!(answer.status, 401, "{wrong:?}");
        assert!(!answer.body.contains("alice"));
    }
    assert_eq!(alice.get("/latest/meta-data/iam/security-credentials/other", &headers).await.status, 404);
}

#[tokio::test]
async fn a_session_is_given_for_a_sensible_time_and_not_by_way_of_a_proxy() {
    let served = Served::with(&machine(), keys("alice", HOUR), None).await;
    let put = async |headers: &[(&str, &str)]| {
        ask(served.address(), "PUT", "/latest/api/token", headers).await.status
    };
    assert_eq!(put(&[(SECONDS, "1")]).await, 200);
    assert_eq!(put(&[]).await, 400);
    assert_eq!(put(&[(SECONDS, "0")]).await, 400);
    assert_eq!(put(&[(SECONDS, "21601")]).await, 400);
    assert_eq!(put(&[(SECONDS, "21600"), ("X-Forwarded-For", "10.0.0.7")]).await, 403);
}

#[tokio::test]
async fn a_machine_whose_keys_were_taken_back_has_no_role() {
    let served = Served::with(&machine(), keys("alice", HOUR), None).await;
    let session = ask(served.address(), "PUT", "/latest/api/token", &[(SECONDS, "60")]).await.body;
    served.clear().await;
    assert_eq!(served.get(ROLES, &[(SESSION, &session)]).await.status, 404);
    assert_eq!(served.get(ROLE, &[(SESSION, &session)]).await.status, 404);
    served.update(keys("again", HOUR)).await;
    assert_eq!(served.get(ROLE, &[(SESSION, &session)]).await.json()["AccessKeyId"], "ASIAAGAIN");
}
