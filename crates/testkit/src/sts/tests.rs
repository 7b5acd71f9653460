use std::time::Duration;

use serde_json::json;

use super::{Federation, Sts};
use crate::api::Api;
use crate::clock::Clock;
use crate::idp::{Idp, User};
use crate::keys::claims_of;
use crate::oauth::{self, Client};
use crate::verify::Trust;
use crate::wire::fetch::{self, Fetched};

async fn domains() -> (Idp, Sts, String) {
    let idp = Idp::start().await.unwrap();
    idp.add_user(User::new("alice@example.com", &["analysts"]));
    idp.add_user(User::new("bob@example.com", &["support"]));
    let federation = Federation {
        trust: Trust { issuer: idp.issuer().to_owned(), audiences: vec!["mcp-server".into()] },
        audience: "warehouse.b.example".into(),
        scopes: vec!["warehouse:read".into()],
        groups: vec!["analysts".into()],
        subject_prefix: "principal://sts.b.example/subject/".into(),
        lifetime: Duration::from_secs(300),
    };
    let sts = Sts::start(federation, Clock::system()).await.unwrap();
    let (client, secret) = Client::post("gateway-at-b");
    sts.add_client(client);
    (idp, sts, secret)
}

async fn cross(sts: &Sts, secret: &str, subject: &str, scope: &str) -> Fetched {
    let form = [
        ("grant_type", oauth::TOKEN_EXCHANGE),
        ("subject_token", subject),
        ("subject_token_type", oauth::ACCESS_TOKEN),
        ("audience", "warehouse.b.example"),
        ("scope", scope),
        ("client_id", "gateway-at-b"),
        ("client_secret", secret),
    ];
    fetch::post_form(&sts.token_endpoint(), None, &form).await.unwrap()
}

#[tokio::test]
async fn a_token_of_domain_a_becomes_one_of_domain_b_that_its_api_takes() {
    let (idp, sts, secret) = domains().await;
    let warehouse = Api::warehouse(sts.issuer(), Clock::system()).await.unwrap();
    let before = idp.mint("alice@example.com", "mcp-server", "x", Duration::from_secs(60));
    let answer = cross(&sts, &secret, &before, "warehouse:read").await.json();
    let token = answer["access_token"].as_str().unwrap();
    let after = claims_of(token);
    assert_eq!(after["iss"], sts.issuer());
    assert_eq!(after["sub"], "principal://sts.b.example/subject/alice@example.com");
    assert_eq!(after["aud"], "warehouse.b.example");

    let ask = |token: &str| {
        let request = http::Request::get(format!("{}/stock", warehouse.url()))
            .header("authorization", format!("Bearer {token}"));
        fetch::fetch(request.body(bytes::Bytes::new()).unwrap())
    };
    assert_eq!(ask(token).await.unwrap().json()["as"], after["sub"]);
    assert_eq!(ask(&before).await.unwrap().status.as_u16(), 401, "the first token is worth nothing there");
    let verdicts: Vec<bool> = warehouse.visits().iter().map(|visit| visit.verdict.is_ok()).collect();
    assert_eq!(verdicts, [true, false]);
}

#[tokio::test]
async fn domain_b_refuses_other_groups_scopes_issuers_and_expired_tokens() {
    let (idp, sts, secret) = domains().await;
    let minute = Duration::from_secs(60);
    let alice = idp.mint("alice@example.com", "mcp-server", "x", minute);
    let error =
        async |subject: &str, scope: &str| cross(&sts, &secret, subject, scope).await.json()["error"].clone();
    assert_eq!(
        error(&idp.mint("bob@example.com", "mcp-server", "x", minute), "warehouse:read").await,
        json!("access_denied")
    );
    assert_eq!(error(&alice, "warehouse:admin").await, json!("invalid_scope"));
    assert_eq!(
        error(&idp.mint("alice@example.com", "mcp-server", "x", Duration::ZERO), "").await,
        json!("invalid_grant")
    );
    let stranger = Idp::start().await.unwrap();
    assert_eq!(
        error(&stranger.mint("alice@example.com", "mcp-server", "x", minute), "").await,
        json!("invalid_grant")
    );
}
