//! Real tokens: verified by `explain`, shown by `token inspect`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use safeconduct_testkit::idp::{Idp, Mint, User};
use safeconduct_testkit::keys::{Algorithm, SigningKey};
use serde_json::{Value, json};

use crate::program::{Ran, directory, safeconduct};

struct World {
    here: PathBuf,
    idp: Idp,
}

impl World {
    /// A provider on loopback, and a configuration that believes it (with this besides).
    async fn new(name: &str, keys: &str) -> Self {
        let (here, idp) = (directory(name), Idp::start().await.unwrap());
        idp.add_user(User::new("alice", &["support"]));
        let file = format!(
            "issuers:\n  corp: {{ issuer: '{}', audience: [mcp-server]{keys} }}\n\
             servers:\n  orders: {{ url: 'http://127.0.0.1:9000/mcp', credential: none }}\n\
             policy: some.cedar\n",
            idp.issuer()
        );
        std::fs::write(here.join("safeconduct.yaml"), file).unwrap();
        let policy = "permit (principal in Group::\"corp/support\", action, resource in Server::\"orders\");";
        std::fs::write(here.join("some.cedar"), policy).unwrap();
        Self { here, idp }
    }

    async fn explained(&self, token: &str) -> Ran {
        std::fs::write(self.here.join("token.jwt"), format!("{token}\n")).unwrap();
        let here = self.here.clone();
        let question = ["explain", "--tool", "find", "--token-file", "token.jwt", "--output", "json"];
        let ran = tokio::task::spawn_blocking(move || safeconduct(&here, &[], &question)).await.unwrap();
        let signature = token.rsplit('.').next().unwrap();
        assert!(signature.is_empty() || !ran.transcript().contains(signature), "{}", ran.transcript());
        ran
    }
}

fn answer(ran: &Ran) -> Value {
    serde_json::from_str(&ran.data).unwrap_or_else(|_| panic!("{}", ran.transcript()))
}

fn good() -> Mint {
    Mint::user("alice").audience("mcp-server").lifetime(Duration::from_secs(600))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_verified_with_the_keys_that_discovery_finds() {
    let world = World::new("discovery", "").await;
    let ran = world.explained(&world.idp.issue(&good())).await;
    let answer = answer(&ran);
    assert_eq!((ran.code, &answer["permitted"]), (0, &json!(true)), "{}", ran.transcript());
    assert_eq!(answer["caller"]["verified"], true);
    assert_eq!(answer["caller"]["principal"], "User::\"corp/alice\"");
    assert_eq!(answer["decision"]["policies"], json!(["some.cedar:1"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_gateway_would_refuse_is_refused_with_the_same_code() {
    let world = World::new("refused", "").await;
    let forger = SigningKey::generate(Algorithm::Es256).unwrap();
    let claims =
        json!({ "iss": world.idp.issuer(), "sub": "alice", "aud": "mcp-server", "exp": 4_000_000_000u64 });
    let cases = [
        (world.idp.issue(&Mint::user("alice").audience("somewhere-else")), "SC-A03"),
        (world.idp.issue(&good().claim("exp", 1000)), "SC-A02"),
        (world.idp.issue(&good().claim("cnf", json!({ "jkt": "x" }))), "SC-A02"),
        (world.idp.issue(&good().typ("logout+jwt")), "SC-A02"),
        (forger.sign("at+jwt", &claims), "SC-A02"),
        (world.idp.issue(&good().claim("iss", "https://evil.example")), "SC-A02"),
        ("opaque-token".to_owned(), "SC-A02"),
        (world.idp.issue(&good().claim("groups", json!(["sales"]))), "SC-P02"),
    ];
    assert_eq!(world.explained(&world.idp.issue(&good())).await.code, 0);
    for (token, code) in cases {
        let ran = world.explained(&token).await;
        let answer = answer(&ran);
        assert_eq!((ran.code, &answer["refusal"]["code"]), (1, &json!(code)), "{}", ran.transcript());
        assert_eq!(answer["credential"], json!([]), "no step runs for a refused call");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_file_need_no_network() {
    let world = World::new("file", ", jwks_file: keys.json").await;
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    std::fs::write(world.here.join("keys.json"), json!({ "keys": [key.jwk()] }).to_string()).unwrap();
    world.idp.stop();
    let claims = json!({
        "iss": world.idp.issuer(), "sub": "alice", "aud": "mcp-server", "exp": 4_000_000_000u64, "groups": ["support"],
    });
    let ran = world.explained(&key.sign("at+jwt", &claims)).await;
    assert_eq!(ran.code, 0, "{}", ran.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_said_to_be_and_no_verdict_is_given() {
    let world = World::new("down", "").await;
    let token = world.idp.issue(&good());
    world.idp.stop();
    let ran = world.explained(&token).await;
    assert_eq!((ran.code, ran.data.as_str()), (1, ""), "{}", ran.transcript());
    assert!(ran.people.contains("keys of issuer `corp` cannot be had"), "{}", ran.people);
}

fn inspected(here: &Path, text: &str) -> Ran {
    std::fs::write(here.join("token.jwt"), text).unwrap();
    safeconduct(here, &[], &["token", "inspect", "token.jwt"])
}

#[test]
fn an_inspected_token_shows_its_claims_and_never_its_signature() {
    let here = directory("inspect");
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let token = key.sign("at+jwt", &json!({ "iss": "https://idp", "sub": "alice", "aud": "a", "exp": 1000 }));
    for text in [token.clone(), format!("Bearer {token}\n")] {
        let ran = inspected(&here, &text);
        assert_eq!((ran.code, ran.people.as_str()), (0, ""));
        assert!(ran.data.contains("alice") && ran.data.contains("it has expired"), "{}", ran.data);
        assert!(ran.data.contains("nothing was verified"), "{}", ran.data);
        assert!(!ran.data.contains(token.rsplit('.').next().unwrap()), "{}", ran.data);
    }
}

#[test]
fn what_is_no_jwt_is_said_to_be_none_and_not_printed() {
    let here = directory("opaque");
    let ran = inspected(&here, "gho_opaque-secret-token");
    assert_eq!((ran.code, ran.data.as_str()), (1, ""));
    assert!(ran.people.contains("no JWT") && !ran.people.contains("gho_"), "{}", ran.people);
    assert_eq!(inspected(&here, " \n").code, 2);
    assert_eq!(safeconduct(&here, &[], &["token", "inspect", "missing.jwt"]).code, 2);
}
