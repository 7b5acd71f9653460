use std::time::Duration;

use serde_json::{Value, json};

use super::{Idp, Mint, Rule, User};
use crate::clock::Clock;
use crate::keys::{Algorithm, SigningKey, claims_of};
use crate::oauth::{self, Client};
use crate::verify::{Trust, Verifier};
use crate::wire::fetch::{self, Fetched};
use crate::{canary, forge};

async fn exchange(idp: &Idp, client: &str, secret: &str, subject: &str, more: &[(&str, &str)]) -> Fetched {
    let mut form = vec![
        ("grant_type", oauth::TOKEN_EXCHANGE),
        ("subject_token", subject),
        ("subject_token_type", oauth::ACCESS_TOKEN),
        ("client_id", client),
        ("client_secret", secret),
    ];
    form.extend_from_slice(more);
    fetch::post_form(&idp.token_endpoint(), None, &form).await.unwrap()
}

async fn provider() -> (Idp, String) {
    let idp = Idp::start_at("/oauth2/default", Clock::standing_at(1_800_000_000)).await.unwrap();
    idp.add_user(User::new("alice@example.com", &["support"]));
    idp.add_user(User::new("bob@example.com", &["guests"]));
    let (client, secret) = Client::post("gateway");
    idp.add_client(client);
    idp.allow(Rule::new("gateway", "mcp-server", "backend-server").scope("call", "read").group("support"));
    (idp, secret)
}

fn trust(idp: &Idp, audience: &str) -> Trust {
    Trust { issuer: idp.issuer().to_owned(), audiences: vec![audience.to_owned()] }
}

#[tokio::test]
async fn a_token_of_the_provider_is_verified_over_http_and_a_forged_one_is_not() {
    let idp = Idp::start().await.unwrap();
    idp.add_user(User::new("alice", &["support"]));
    let verifier = Verifier::new(trust(&idp, "mcp-server"), Clock::system());
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let token = idp.issue(&Mint::user("alice").audience("mcp-server").algorithm(algorithm));
        let claims = verifier.verify(&token).await.unwrap();
        assert_eq!(claims["groups"], json!(["support"]), "{algorithm:?}");
        for forged in forge::all(&token, &idp.keys().jwks()["keys"][0]).unwrap() {
            assert!(verifier.verify(&forged.token).await.is_err(), "{algorithm:?}, {}", forged.how);
        }
    }
    let other = idp.issue(&Mint::user("alice").audience("somebody-else"));
    assert!(verifier.verify(&other).await.unwrap_err().contains("audience"));
}

#[tokio::test]
async fn both_discovery_documents_are_served_for_an_issuer_with_a_path() {
    let (idp, _) = provider().await;
    let base = idp.issuer().strip_suffix("/oauth2/default").unwrap();
    let oidc = fetch::get(&format!("{}/.well-known/openid-configuration", idp.issuer())).await.unwrap();
    let rfc =
        fetch::get(&format!("{base}/.well-known/oauth-authorization-server/oauth2/default")).await.unwrap();
    assert_eq!(oidc.json()["issuer"], idp.issuer());
    assert_eq!(rfc.json(), oidc.json());
}

#[tokio::test]
async fn an_allowed_exchange_changes_audience_and_scope_and_keeps_issuer_and_subject() {
    let (idp, secret) = provider().await;
    let before = idp.mint("alice@example.com", "mcp-server", "call", Duration::from_secs(60));
    let answer =
        exchange(&idp, "gateway", &secret, &before, &[("audience", "backend-server"), ("scope", "read")])
            .await;
    let after = claims_of(answer.json()["access_token"].as_str().unwrap());
    assert_eq!((&after["aud"], &after["scope"]), (&json!("backend-server"), &json!("read")));
    assert_eq!((&after["iss"], &after["sub"]), (&json!(idp.issuer()), &json!("alice@example.com")));
    assert_eq!(answer.json()["expires_in"], 60, "it ends with the subject token");
    assert_eq!(idp.exchanges(), 1);
}

#[tokio::test]
async fn every_wrong_exchange_is_refused_with_its_own_word() {
    let (idp, secret) = provider().await;
    let minute = Duration::from_secs(60);
    let alice = idp.mint("alice@example.com", "mcp-server", "call", minute);
    let bob = idp.mint("bob@example.com", "mcp-server", "call", minute);
    let misdirected = idp.mint("alice@example.com", "elsewhere", "call", minute);
    let to_backend = ("audience", "backend-server");
    type Form<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, &str, Form<'_>, &str); 6] = [
        (&secret, &alice, &[("audience", "unknown")], "invalid_target"),
        (&secret, &alice, &[to_backend, ("scope", "write")], "invalid_scope"),
        (&secret, &bob, &[to_backend], "access_denied"),
        (&secret, &misdirected, &[to_backend], "invalid_grant"),
        ("wrong", &alice, &[to_backend], "invalid_client"),
        (&secret, "not-a-token", &[to_backend], "invalid_grant"),
    ];
    for (secret, subject, more, word) in cases {
        let answer = exchange(&idp, "gateway", secret, subject, more).await;
        assert_eq!(answer.json()["error"], word);
        assert_eq!(answer.status.as_u16(), if word == "invalid_client" { 401 } else { 400 });
    }
}

#[tokio::test]
async fn a_client_is_known_by_its_registered_proof_only() {
    let (idp, _) = provider().await;
    let (client, secret) = Client::basic("by basic&co");
    idp.add_client(client);
    idp.allow(Rule::new("by basic&co", "mcp-server", "backend-server"));
    let subject = idp.mint("alice@example.com", "mcp-server", "call", Duration::from_secs(60));
    let posted = exchange(&idp, "by basic&co", &secret, &subject, &[("audience", "backend-server")]).await;
    assert_eq!(posted.json()["error"], "invalid_client");
    let form = [
        ("grant_type", oauth::TOKEN_EXCHANGE),
        ("subject_token", subject.as_str()),
        ("subject_token_type", oauth::JWT),
        ("audience", "backend-server"),
    ];
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("by+basic%26co:{secret}"));
    let basic = fetch::post_form(&idp.token_endpoint(), Some(&format!("Basic {pair}")), &form).await.unwrap();
    assert_eq!(basic.status.as_u16(), 200, "{}", basic.json());
    assert!(canary::find(pair.as_bytes()).is_some(), "the encoded pair is a canary too");
}

#[tokio::test]
async fn an_assertion_of_the_client_is_taken_once() {
    let (idp, _) = provider().await;
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    idp.add_client(Client::signing("signer", &key));
    idp.allow(Rule::new("signer", "mcp-server", "backend-server"));
    let claims = json!({
        "iss": "signer", "sub": "signer", "aud": idp.token_endpoint(), "jti": "one", "exp": 1_800_000_060,
    });
    let assertion = key.sign("JWT", &claims);
    let subject = idp.mint("alice@example.com", "mcp-server", "call", Duration::from_secs(60));
    let form = [
        ("grant_type", oauth::TOKEN_EXCHANGE),
        ("subject_token", subject.as_str()),
        ("subject_token_type", oauth::ACCESS_TOKEN),
        ("audience", "backend-server"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion.as_str()),
    ];
    let first = fetch::post_form(&idp.token_endpoint(), None, &form).await.unwrap();
    assert_eq!(first.status.as_u16(), 200, "{}", first.json());
    let second = fetch::post_form(&idp.token_endpoint(), None, &form).await.unwrap();
    assert_eq!(second.json()["error"], "invalid_client");
}

#[tokio::test]
async fn introspection_knows_opaque_tokens_until_they_are_revoked() {
    let (idp, secret) = provider().await;
    let token = idp.mint_opaque(&Mint::user("alice@example.com").audience("mcp-server").scopes("call"));
    let form = [("token", token.as_str()), ("client_id", "gateway"), ("client_secret", secret.as_str())];
    let endpoint = idp.introspection_endpoint();
    let ask = || fetch::post_form(&endpoint, None, &form);
    let known = ask().await.unwrap().json();
    assert_eq!((&known["active"], &known["sub"]), (&json!(true), &json!("alice@example.com")));
    idp.revoke(&token);
    assert_eq!(ask().await.unwrap().json(), json!({"active": false}));
    let stranger = fetch::post_form(&idp.introspection_endpoint(), None, &[("token", &token)]).await.unwrap();
    assert_eq!(stranger.status.as_u16(), 401);
}

#[tokio::test]
async fn a_rotated_key_is_shown_and_a_retired_one_is_not() {
    let (idp, _) = provider().await;
    let shown = |jwks: &Value| jwks["keys"].as_array().unwrap().len();
    let hidden = idp.keys().rotate_hidden(Algorithm::Es256).unwrap();
    assert!(idp.keys().shown(&hidden).is_none());
    idp.keys().show_all();
    assert!(idp.keys().shown(&hidden).is_some());
    assert_eq!(shown(&fetch::get(&idp.jwks_uri()).await.unwrap().json()), 3);
    idp.keys().retire_old();
    assert_eq!(shown(&fetch::get(&idp.jwks_uri()).await.unwrap().json()), 2);
}

#[tokio::test]
async fn a_twisted_answer_is_sent_as_twisted() {
    let (idp, secret) = provider().await;
    idp.twist(|answer| answer["token_type"] = json!("N_A"));
    let subject = idp.mint("alice@example.com", "mcp-server", "call", Duration::from_secs(60));
    let answer = exchange(&idp, "gateway", &secret, &subject, &[("audience", "backend-server")]).await;
    assert_eq!(answer.json()["token_type"], "N_A");
}

/// A browser that was sent to the provider, clicked on a person, and came back: what stands in the address.
async fn log_in(idp: &Idp, query: &str, user: &str) -> (Fetched, crate::wire::Form) {
    let url = format!("{}/authorize?{query}", idp.issuer());
    let answer = fetch::post_form(&url, None, &[("user", user)]).await.unwrap();
    let query =
        answer.header("location").and_then(|to| to.split_once('?')).map_or("", |(_, query)| query).to_owned();
    (answer, crate::wire::Form::parse(query.as_bytes()))
}

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7636 appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn registered(idp: &Idp) -> String {
    let wanted =
        json!({"redirect_uris": ["http://127.0.0.1:1/callback"], "client_name": "inspector"}).to_string();
    let request = http::Request::post(format!("{}/register", idp.issuer()))
        .header("content-type", "application/json")
        .body(bytes::Bytes::from(wanted))
        .unwrap();
    let answer = fetch::fetch(request).await.unwrap();
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["token_endpoint_auth_method"], "none");
    answer.json()["client_id"].as_str().unwrap().to_owned()
}

fn wish(client: &str, redirect: &str) -> String {
    crate::wire::encode_form([
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", redirect),
        ("state", "s t"),
        ("scope", "openid call"),
        ("resource", "http://gateway/orders/mcp"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ])
}

#[tokio::test]
async fn a_client_registers_itself_a_person_logs_in_and_its_token_is_for_the_resource() {
    let (idp, _) = provider().await;
    let client = registered(&idp).await;
    // Another port of this machine is the same client (RFC 8252 §7.3).
    let redirect = "http://127.0.0.1:4711/callback";
    let (answer, back) = log_in(&idp, &wish(&client, redirect), "alice@example.com").await;
    assert_eq!(
        (answer.status.as_u16(), back.one("state"), back.one("iss")),
        (302, Some("s t"), Some(idp.issuer()))
    );
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &client),
        ("redirect_uri", redirect),
        ("code", back.one("code").unwrap()),
        ("code_verifier", VERIFIER),
    ];
    let answer = fetch::post_form(&idp.token_endpoint(), None, &form).await.unwrap().json();
    let claims = claims_of(answer["access_token"].as_str().unwrap());
    assert_eq!(claims["sub"], "alice@example.com");
    assert_eq!((&claims["aud"], &claims["client_id"]), (&json!("http://gateway/orders/mcp"), &json!(client)));
    assert_eq!(claims_of(answer["id_token"].as_str().unwrap())["aud"], json!(client));
    let again = fetch::post_form(&idp.token_endpoint(), None, &form).await.unwrap();
    assert_eq!(again.json()["error"], "invalid_grant", "a code is used once");
    let refresh = answer["refresh_token"].as_str().unwrap();
    let form = [("grant_type", "refresh_token"), ("client_id", client.as_str()), ("refresh_token", refresh)];
    let next = fetch::post_form(&idp.token_endpoint(), None, &form).await.unwrap().json();
    assert_eq!(claims_of(next["access_token"].as_str().unwrap())["sub"], "alice@example.com");
    let again = fetch::post_form(&idp.token_endpoint(), None, &form).await.unwrap();
    assert_eq!(again.json()["error"], "invalid_grant", "so is a refresh token");
}

#[tokio::test]
async fn a_login_for_somebody_elses_address_goes_nowhere_and_a_code_without_its_verifier_is_worthless() {
    let (idp, _) = provider().await;
    let client = registered(&idp).await;
    let redirect = "http://127.0.0.1:1/callback";
    let (good, back) = log_in(&idp, &wish(&client, redirect), "alice@example.com").await;
    assert_eq!(good.status, 302);
    for elsewhere in
        ["https://evil.example/callback", "http://127.0.0.1:1/other", "http://localhost:1/callback"]
    {
        let (refused, _) = log_in(&idp, &wish(&client, elsewhere), "alice@example.com").await;
        assert_eq!((refused.status.as_u16(), refused.header("location")), (400, None), "{elsewhere}");
    }
    let stolen = [
        ("grant_type", "authorization_code"),
        ("client_id", client.as_str()),
        ("redirect_uri", redirect),
        ("code", back.one("code").unwrap()),
        ("code_verifier", "another-verifier-that-is-long-enough-to-be-one-43"),
    ];
    let answer = fetch::post_form(&idp.token_endpoint(), None, &stolen).await.unwrap();
    assert_eq!(answer.json()["error"], "invalid_grant");
    let (_, plain) =
        log_in(&idp, &wish(&client, redirect).replace("S256", "plain"), "alice@example.com").await;
    assert_eq!(plain.one("error"), Some("invalid_request"));
    let (_, nobody) = log_in(&idp, &wish(&client, redirect), "mallory").await;
    assert_eq!((nobody.one("error"), nobody.one("code")), (Some("access_denied"), None));
    let page = fetch::get(&format!("{}/authorize?{}", idp.issuer(), wish(&client, redirect))).await.unwrap();
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(html.contains("alice@example.com") && html.contains("Who are you?"), "{html}");
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
}

#[tokio::test]
async fn a_browser_that_says_where_a_form_is_from_logs_in_from_this_page_and_from_no_other() {
    let (idp, _) = provider().await;
    let client = registered(&idp).await;
    let url = format!("{}/authorize?{}", idp.issuer(), wish(&client, "http://127.0.0.1:1/callback"));
    // With `no-referrer` a browser would say `null` of this page, too (Fetch §3.2).
    assert_eq!(fetch::get(&url).await.unwrap().header("referrer-policy"), Some("same-origin"));
    let base: String = idp.issuer().split('/').take(3).collect::<Vec<_>>().join("/");
    for (origin, status) in [(base.as_str(), 302), ("null", 400), ("https://evil.example", 400)] {
        let request = http::Request::post(&url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", origin)
            .body(bytes::Bytes::from("user=alice%40example.com"))
            .unwrap();
        assert_eq!(fetch::fetch(request).await.unwrap().status, status, "{origin}");
    }
}
