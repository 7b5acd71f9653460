use std::time::Duration;

use serde_json::{Value, json};

use super::{Application, Entra, GRAPH, Proof};
use crate::clock::Clock;
use crate::idp::User;
use crate::keys::{Algorithm, SigningKey};
use crate::verify::{Trust, Verifier};
use crate::wire::fetch;

const APP: &str = "2f1e7d7a-0f5c-4c5e-9a53-d2b6d7a3c001";
const HOUR: Duration = Duration::from_secs(3600);

async fn tenant() -> (Entra, Clock) {
    let clock = Clock::standing_at(1_800_000_000);
    let entra = Entra::start(clock.clone()).await.unwrap();
    entra.add_user(User::new("alice@example.com", &["support"]));
    let consented = vec![format!("{GRAPH}/User.Read"), format!("{GRAPH}/Mail.Read")];
    let proof = Proof::Secret("s3cret".into());
    entra.add_application(Application { id: APP.into(), proof, consented });
    (entra, clock)
}

async fn asked(entra: &Entra, changes: &[(&str, &str)]) -> (u16, Value) {
    let assertion = entra.mint("alice@example.com", APP, "Mcp.Call", HOUR);
    let scope = format!("{GRAPH}/User.Read");
    let mut form = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("client_id", APP),
        ("client_secret", "s3cret"),
        ("assertion", &assertion),
        ("requested_token_use", "on_behalf_of"),
        ("scope", &scope),
    ];
    for (name, value) in changes {
        form.retain(|(known, _)| known != name);
        form.push((name, value));
    }
    let answer = fetch::post_form(&entra.token_endpoint(), None, &form).await.unwrap();
    (answer.status.as_u16(), answer.json())
}

fn code(answer: &(u16, Value)) -> u64 {
    answer.1["error_codes"][0].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn a_user_is_acted_for_and_the_token_verifies() {
    let (entra, clock) = tenant().await;
    let (status, answer) = asked(&entra, &[]).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["scope"], format!("{GRAPH}/User.Read {GRAPH}/Mail.Read"), "all that was consented to");
    assert!(answer["issued_token_type"].is_null() && answer["refresh_token"].is_null());
    let trust = Trust { issuer: entra.issuer(), audiences: vec![GRAPH.into()] };
    let claims = Verifier::new(trust, clock).verify(answer["access_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims["oid"], "oid-of-alice@example.com");
    assert_eq!((&claims["appid"], &claims["scp"]), (&json!(APP), &json!("User.Read Mail.Read")));
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_its_number() {
    let (entra, clock) = tenant().await;
    for (changes, expected) in [
        (vec![("client_secret", "other")], 7_000_215),
        (vec![("client_id", "nobody")], 700_016),
        (vec![("scope", "https://graph.microsoft.com/Files.Read")], 65001),
        (vec![("scope", "https://graph.microsoft.com/No.Such")], 70011),
        (vec![("scope", "https://unknown.example/x")], 500_011),
        (vec![("assertion", "not.a.token")], 50013),
        (vec![("requested_token_use", "other")], 900_144),
    ] {
        assert_eq!(code(&asked(&entra, &changes).await), expected, "{changes:?}");
    }
    let other = entra.mint("alice@example.com", "another", "Mcp.Call", HOUR);
    assert_eq!(code(&asked(&entra, &[("assertion", &other)]).await), 500_131);
    let of_app = entra.mint_with("alice@example.com", APP, "", HOUR, &json!({ "scp": null }));
    assert_eq!(code(&asked(&entra, &[("assertion", &of_app)]).await), 7_000_114);
    let short = entra.mint("alice@example.com", APP, "Mcp.Call", Duration::from_secs(5));
    clock.advance(Duration::from_secs(10));
    assert_eq!(code(&asked(&entra, &[("assertion", &short)]).await), 500_133);
}

#[tokio::test]
async fn an_api_that_groups_are_assigned_to_is_for_them_only() {
    let (entra, _) = tenant().await;
    entra.assign(GRAPH, &["support"]);
    assert_eq!(asked(&entra, &[]).await.0, 200);
    entra.assign(GRAPH, &["sales"]);
    let refused = asked(&entra, &[]).await;
    assert_eq!((refused.0, code(&refused), &refused.1["error"]), (400, 50105, &json!("invalid_grant")));
}

#[tokio::test]
async fn a_protected_api_wants_claims_and_takes_a_login_that_has_them() {
    let (entra, _) = tenant().await;
    entra.protect(GRAPH, Some("c1"));
    let refused = asked(&entra, &[]).await;
    assert_eq!((refused.0, code(&refused)), (400, 50076));
    let claims: Value = serde_json::from_str(refused.1["claims"].as_str().unwrap()).unwrap();
    assert_eq!(claims["access_token"]["acrs"]["value"], "c1");
    let better = entra.mint_with("alice@example.com", APP, "Mcp.Call", HOUR, &json!({ "acrs": ["c1"] }));
    assert_eq!(asked(&entra, &[("assertion", &better)]).await.0, 200);
    entra.protect(GRAPH, None);
    let wanted = r#"{"access_token":{"acrs":{"essential":true,"value":"c2"}}}"#;
    assert_eq!(code(&asked(&entra, &[("claims", wanted)]).await), 50076, "asked for by the API itself");
    let capable = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;
    assert_eq!(asked(&entra, &[("claims", capable)]).await.1["expires_in"], 86_400);
}

/// MSAL's are like that (`interop/vendors.sh`): padded thumbprints, times with a fraction.
#[tokio::test]
async fn an_assertion_as_msal_makes_it_proves_its_certificate_and_no_other() {
    let (entra, clock) = tenant().await;
    let key = SigningKey::generate(Algorithm::Rs256).unwrap();
    let proof = Proof::certificate(key.jwk(), b"the certificate");
    let Proof::Certificate { sha1, .. } = &proof else { panic!() };
    let own = format!("{sha1}=");
    let consented = vec![format!("{GRAPH}/User.Read")];
    entra.add_application(Application { id: APP.into(), proof, consented });
    for (thumbprint, end, expected) in
        [(own.as_str(), 60.5, 0), ("another", 60.5, 700_027), (own.as_str(), -0.5, 700_024)]
    {
        let claims = json!({
            "iss": APP, "sub": APP, "aud": entra.token_endpoint(), "exp": clock.secs() as f64 + end,
        });
        let assertion = key.sign_with(&json!({"alg": "RS256", "typ": "JWT", "x5t": thumbprint}), &claims);
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("client_id", APP),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
            ("assertion", &entra.mint("alice@example.com", APP, "Mcp.Call", HOUR)),
            ("requested_token_use", "on_behalf_of"),
            ("scope", "https://graph.microsoft.com/User.Read"),
        ];
        let answer = fetch::post_form(&entra.token_endpoint(), None, &form).await.unwrap();
        assert_eq!(code(&(answer.status.as_u16(), answer.json())), expected, "{thumbprint} {end}");
        assert_eq!(answer.status == 200, expected == 0);
    }
}
