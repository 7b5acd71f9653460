//! `azure_identity`

use safeconduct_runtime::delivery::Delivery;
use safeconduct_runtime::delivery::azure_identity::{AzureIdentity, resource_of};

use super::bench::{Answer, HOUR, Served, now, token};

const GRAPH: &str = "https%3A%2F%2Fgraph.microsoft.com";

fn identity() -> Delivery {
    Delivery::AzureIdentity(AzureIdentity {
        resources: vec!["https://graph.microsoft.com/".into()],
        client_id: None,
        tenant: Some("7c9e".into()),
    })
}

async fn get(served: &Served, query: &str, header: Option<&str>) -> Answer {
    let headers: Vec<_> = header.iter().map(|value| ("X-IDENTITY-HEADER", *value)).collect();
    served.get(&format!("/msi/token?api-version=2019-08-01&{query}"), &headers).await
}

fn secret(served: &Served) -> Option<&str> {
    Some(served.variable("IDENTITY_HEADER"))
}

/// Edge: 106
#[tokio::test]
async fn the_token_is_the_callers_own_and_only_whoever_shows_the_instances_secret_gets_it() {
    let alice = Served::with(&identity(), token("eyJ.alice", HOUR), None).await;
    let bob = Served::with(&identity(), token("eyJ.bob", HOUR), None).await;
    assert_eq!(alice.variable("IDENTITY_ENDPOINT"), format!("http://{}/msi/token", alice.address()));
    assert_eq!(alice.variable("AZURE_TENANT_ID"), "7c9e");

    let answer = get(&alice, &format!("resource={GRAPH}"), secret(&alice)).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = answer.json();
    assert_eq!(answer["access_token"], "eyJ.alice");
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["resource"], "https://graph.microsoft.com");
    let expires: u64 = answer["expires_on"].as_str().unwrap().parse().unwrap();
    let expected = now().plus(HOUR).secs();
    assert!((expected - 10..=expected).contains(&expires));

    for wrong in [None, Some(""), Some("wrong"), secret(&bob)] {
        let answer = get(&alice, &format!("resource={GRAPH}"), wrong).await;
        assert_eq!(answer.status, 401, "{wrong:?}");
        assert_eq!(answer.json()["statusCode"], 401);
        assert!(!answer.body.contains("alice"));
    }
}

#[tokio::test]
async fn a_token_for_one_resource_is_not_given_for_another() {
    let served = Served::with(&identity(), token("eyJ.alice", HOUR), None).await;
    for own in [GRAPH, "https://graph.microsoft.com/", "https://GRAPH.microsoft.com"] {
        assert_eq!(get(&served, &format!("resource={own}"), secret(&served)).await.status, 200, "{own}");
    }
    for other in ["https://vault.azure.net", "https://graph.microsoft.com.example.com", "", "/"] {
        let answer = get(&served, &format!("resource={other}"), secret(&served)).await;
        assert_eq!(answer.status, 400, "{other}");
        assert!(!answer.body.contains("eyJ"));
    }
}

#[tokio::test]
async fn without_a_configured_resource_it_is_seen_from_what_was_granted() {
    let plain = Delivery::AzureIdentity(AzureIdentity::default());
    let mut alice = token("eyJ.alice", HOUR);
    alice.scopes = ["openid".into(), "https://graph.microsoft.com/User.Read".into()].into();
    alice.audience = ["api://orders".into()].into();
    let served = Served::with(&plain, alice, None).await;
    for (resource, status) in
        [(GRAPH, 200), ("api://orders", 200), ("https://vault.azure.net", 400), ("openid", 400), ("/", 400)]
    {
        let answer = get(&served, &format!("resource={resource}"), secret(&served)).await;
        assert_eq!(answer.status, status, "{resource}");
    }
    let unknown = Served::with(&plain, token("eyJ.alice", HOUR), None).await;
    assert_eq!(get(&unknown, &format!("resource={GRAPH}"), secret(&unknown)).await.status, 400);
}

#[test]
fn a_scope_belongs_to_what_stands_before_its_last_part() {
    assert_eq!(resource_of("https://graph.microsoft.com/User.Read"), "https://graph.microsoft.com");
    assert_eq!(resource_of("https://management.azure.com//.default"), "https://management.azure.com/");
    assert_eq!(resource_of("api://b1c2/Files.Read"), "api://b1c2");
    assert_eq!(resource_of("openid"), "");
}

#[tokio::test]
async fn an_identity_that_is_named_is_the_configured_one() {
    let about = AzureIdentity {
        resources: vec!["https://graph.microsoft.com".into()],
        client_id: Some("B1C2".into()),
        tenant: None,
    };
    let served = Served::with(&Delivery::AzureIdentity(about), token("eyJ.alice", HOUR), None).await;
    let asked = async |more: &str| get(&served, &format!("resource={GRAPH}{more}"), secret(&served)).await;
    assert_eq!(asked("").await.json()["client_id"], "B1C2");
    assert_eq!(asked("&client_id=b1c2").await.status, 200);
    assert_eq!(asked("&client_id=other").await.status, 400);
    assert_eq!(asked("&mi_res_id=/subscriptions/x").await.status, 400);
}

#[tokio::test]
async fn what_is_not_the_protocol_is_refused_in_its_words() {
    let served = Served::with(&identity(), token("eyJ.alice", HOUR), None).await;
    let headers = [("X-IDENTITY-HEADER", served.variable("IDENTITY_HEADER"))];
    for (path, status) in [
        (format!("/msi/token?api-version=2019-08-01&resource={GRAPH}"), 200),
        (format!("/msi/token?api-version=2017-09-01&resource={GRAPH}"), 400),
        (format!("/msi/token?resource={GRAPH}"), 400),
        ("/msi/token?api-version=2019-08-01".into(), 400),
        ("/".into(), 404),
    ] {
        let answer = served.get(&path, &headers).await;
        assert_eq!(answer.status, status, "{path}");
        if status != 200 {
            assert_eq!(answer.json()["statusCode"], status);
            assert!(answer.json()["message"].is_string());
        }
    }
    served.clear().await;
    let answer = get(&served, &format!("resource={GRAPH}"), secret(&served)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (400, None));
    assert_eq!(answer.json()["message"], "The caller has no credential at present.");
}
