//! `gcp_metadata`

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeconduct_runtime::delivery::Delivery;
use safeconduct_runtime::delivery::gcp_metadata::GcpMetadata;
use serde_json::json;

use super::bench::{Answer, HOUR, Served, ask, token};

const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");
const ACCOUNT: &str = "/computeMetadata/v1/instance/service-accounts/default";

fn metadata() -> Delivery {
    Delivery::GcpMetadata(GcpMetadata {
        project: Some("analysis".into()),
        project_number: Some(4711),
        email: Some("analyst@analysis.iam.gserviceaccount.com".into()),
        universe_domain: None,
        zone: Some("europe-west1-b".into()),
    })
}

async fn get(served: &Served, path: &str) -> Answer {
    let answer = served.get(path, &[FLAVOR]).await;
    assert_eq!(answer.header("metadata-flavor"), Some("Google"), "{path}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    answer
}

fn jwt(claims: &serde_json::Value) -> String {
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
}

#[tokio::test]
async fn the_libraries_find_the_metadata_server_by_all_of_its_variables() {
    let served = Served::with(&metadata(), token("ya29.alice", HOUR), None).await;
    let address = served.address().to_string();
    assert_eq!(served.variable("GCE_METADATA_HOST"), address);
    assert_eq!(served.variable("GCE_METADATA_IP"), address);
    assert_eq!(served.variable("GCE_METADATA_ROOT"), address);
    assert_eq!(served.variable("GOOGLE_CLOUD_PROJECT"), "analysis");
    assert!(served.environment.iter().all(|(_, value)| !value.contains("ya29")));
    // Python's ping, and Node's.
    assert_eq!(get(&served, "/").await.status, 200);
    assert_eq!(get(&served, "/computeMetadata/v1/instance").await.status, 200);
}

#[tokio::test]
async fn the_token_is_the_callers_own_with_the_time_that_it_still_holds() {
    let served = Served::with(&metadata(), token("ya29.alice", Duration::from_secs(1800)), None).await;
    for path in ["/token", "/token?scopes=https://www.googleapis.com/auth/bigquery,openid"] {
        let answer = get(&served, &format!("{ACCOUNT}{path}")).await;
        let answer = answer.json();
        assert_eq!(answer["access_token"], "ya29.alice");
        assert_eq!(answer["token_type"], "Bearer");
        let left = answer["expires_in"].as_u64().unwrap();
        assert!((1790..=1800).contains(&left), "{left}");
    }
    let by_email =
        "/computeMetadata/v1/instance/service-accounts/analyst@analysis.iam.gserviceaccount.com/token";
    for by_email in [by_email, &by_email.replace('@', "%40")] {
        assert_eq!(get(&served, by_email).await.json()["access_token"], "ya29.alice");
    }
    let other = "/computeMetadata/v1/instance/service-accounts/other@analysis.iam.gserviceaccount.com/token";
    assert_eq!(get(&served, other).await.status, 404);
}

/// Edge: 103
#[tokio::test]
async fn without_the_flavor_or_by_way_of_a_proxy_nothing_is_told() {
    let served = Served::with(&metadata(), token("ya29.alice", HOUR), None).await;
    let path = format!("{ACCOUNT}/token");
    assert_eq!(served.get(&path, &[FLAVOR]).await.status, 200);
    for headers in [
        &[][..],
        &[("Metadata-Flavor", "google")],
        &[("Metadata-Flavor", "")],
        &[FLAVOR, ("X-Forwarded-For", "10.0.0.7")],
        &[FLAVOR, ("Forwarded", "for=10.0.0.7")],
    ] {
        let answer = served.get(&path, headers).await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert!(!answer.body.contains("ya29"), "{headers:?}");
    }
    let posted = ask(served.address(), "POST", &path, &[FLAVOR]).await;
    assert_eq!(posted.status, 405);
}

#[tokio::test]
async fn account_project_place_and_universe_are_told_as_listing_as_value_and_as_json() {
    let mut alice = token("ya29.alice", HOUR);
    alice.scopes = ["https://www.googleapis.com/auth/bigquery".into(), "openid".into()].into();
    let served = Served::with(&metadata(), alice, None).await;
    let account = json!({
        "aliases": ["default"],
        "email": "analyst@analysis.iam.gserviceaccount.com",
        "scopes": ["https://www.googleapis.com/auth/bigquery", "openid"],
    });
    assert_eq!(get(&served, &format!("{ACCOUNT}/?recursive=true")).await.json(), account);
    let everything = get(&served, "/computeMetadata/v1/?recursive=true").await.json();
    assert_eq!(everything["instance"]["serviceAccounts"]["default"], account);
    assert_eq!(
        everything["instance"]["serviceAccounts"]["analyst@analysis.iam.gserviceaccount.com"],
        account
    );
    assert_eq!(everything["project"]["numericProjectId"], 4711);
    for (path, text) in [
        ("/instance/service-accounts/", "default/\nanalyst@analysis.iam.gserviceaccount.com/\n"),
        ("/instance/service-accounts/default/", "aliases\nemail\nidentity\nscopes\ntoken\n"),
        ("/instance/service-accounts/default/email", "analyst@analysis.iam.gserviceaccount.com"),
        ("/instance/service-accounts/default/scopes", "https://www.googleapis.com/auth/bigquery\nopenid\n"),
        ("/instance/zone", "projects/4711/zones/europe-west1-b"),
        ("/instance/region", "projects/4711/regions/europe-west1"),
        ("/project/project-id", "analysis"),
        ("/project/numeric-project-id", "4711"),
        ("/universe/universe-domain", "googleapis.com"),
    ] {
        let answer = get(&served, &format!("/computeMetadata/v1{path}")).await;
        assert_eq!((answer.status, &*answer.body), (200, text), "{path}");
    }
    assert_eq!(get(&served, "/computeMetadata/v1/project/project-id?alt=json").await.json(), "analysis");
    for path in [
        "/computeMetadata/v1/instance/attributes/cluster-name",
        "/computeMetadata/v1/nothing",
        "/latest/api/token",
    ] {
        assert_eq!(get(&served, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn without_a_project_there_is_none_and_the_account_is_called_default() {
    let plain = Delivery::GcpMetadata(GcpMetadata::default());
    let served = Served::with(&plain, token("ya29.alice", HOUR), None).await;
    assert_eq!(get(&served, "/computeMetadata/v1/project/project-id").await.status, 404);
    assert_eq!(get(&served, &format!("{ACCOUNT}/?recursive=true")).await.json()["email"], "default");
}

/// Edge: 104
#[tokio::test]
async fn an_id_token_is_given_for_its_own_audience_only() {
    let one = jwt(&json!({"aud": "https://orders.example.com", "sub": "alice"}));
    let served = Served::with(&metadata(), token(&one, HOUR), None).await;
    let identity = |audience: &str| format!("{ACCOUNT}/identity?audience={audience}&format=full");
    let answer = get(&served, &identity("https%3A%2F%2Forders.example.com")).await;
    assert_eq!((answer.status, &*answer.body), (200, &*one));
    assert_eq!(get(&served, &identity("https://elsewhere.example.com")).await.status, 404);
    assert_eq!(get(&served, &identity("")).await.status, 400);

    served.update(token(&jwt(&json!({"aud": ["a", "b"]})), HOUR)).await;
    assert_eq!(get(&served, &identity("b")).await.status, 200);
    served.update(token("ya29.opaque", HOUR)).await;
    let answer = get(&served, &identity("a")).await;
    assert_eq!(answer.status, 404);
    assert!(!answer.body.contains("ya29"));
}

#[tokio::test]
async fn what_was_taken_back_is_gone_with_the_account_until_a_further_call() {
    let served = Served::with(&metadata(), token("ya29.alice", HOUR), None).await;
    let path = format!("{ACCOUNT}/token");
    assert_eq!(get(&served, &path).await.status, 200);
    served.clear().await;
    let answer = get(&served, &path).await;
    assert_eq!((answer.status, &*answer.body), (404, "The caller has no credential at present.\n"));
    assert_eq!(get(&served, &format!("{ACCOUNT}/?recursive=true")).await.status, 404);
    served.update(token("ya29.again", HOUR)).await;
    assert_eq!(get(&served, &path).await.json()["access_token"], "ya29.again");
}
