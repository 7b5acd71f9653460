//! Entra, through the gateway: each caller reaches the API behind as themselves, and what Entra wants of a login ends
//! at the caller.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use rcgen::{CertificateParams, KeyPair};
use safeconduct_testkit::canary;
use safeconduct_testkit::client::Client;
use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::entra::{Application, Entra, GRAPH, Proof, TENANT};
use safeconduct_testkit::idp::{Mint, User};
use safeconduct_testkit::keys::{Algorithm, SigningKey, claims_of};
use safeconduct_testkit::verify::{Trust, Verifier};
use safeconduct_testkit::wire::Reply;
use serde_json::{Value, json};

use crate::world::{HOUR, Plan, World};

const APP: &str = "2f1e7d7a-0f5c-4c5e-9a53-d2b6d7a3c001";
const POLICIES: &str =
    r#"permit (principal in Group::"entra/support", action, resource in Server::"orders");"#;

/// A tenant with an application, and a world whose gateway is that application.
struct Tenant {
    entra: Entra,
    world: World,
}

async fn started() -> Entra {
    let entra = Entra::start(Clock::system()).await.unwrap();
    for user in ["alice@example.com", "bob@example.com"] {
        entra.add_user(User::new(user, &["support"]));
    }
    entra
}

fn register(entra: &Entra, proof: Proof) {
    entra.add_application(Application {
        id: APP.into(),
        proof,
        consented: vec![format!("{GRAPH}/User.Read")],
    });
}

/// `client` are the lines of the client `app`, without its name and identifier.
async fn world(entra: &Entra, client: &str) -> World {
    world_of(entra, client, Plan::default()).await
}

async fn world_of(entra: &Entra, client: &str, plan: Plan) -> World {
    let credential = format!(
        "[{{ entra_obo: {{ tenant: {TENANT}, client: app, authority: \"{}\", scopes: [\"{GRAPH}/User.Read\"] }} }}]",
        entra.authority()
    );
    World::with(Plan {
        policies: POLICIES.into(),
        credential,
        issuer: format!(
            "  entra: {{ issuer: \"{}\", preset: entra, audience: [{APP}], algorithms: [RS256] }}",
            entra.issuer()
        ),
        clients: format!("  app: {{ client_id: {APP}, {client} }}"),
        ..plan
    })
    .await
}

async fn tenant() -> Tenant {
    let entra = started().await;
    let secret = canary::secret("entra");
    register(&entra, Proof::Secret(secret.clone()));
    let world = world(&entra, &format!("auth: client_secret_post, client_secret: \"inline:{secret}\"")).await;
    Tenant { entra, world }
}

impl Tenant {
    fn client(&self, user: &str, more: &Value) -> Client {
        let token = self.entra.mint_with(user, APP, "Mcp.Call", HOUR, more);
        Client::legacy(&self.world.url()).bearer(&token)
    }
}

/// The verified claims of what the server was asked with last.
async fn arrived(entra: &Entra, world: &World) -> Value {
    let trust = Trust { issuer: entra.issuer(), audiences: vec![GRAPH.into()] };
    let seen = world.server().log().last().unwrap();
    Verifier::new(trust, Clock::system()).verify(seen.bearer().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_arrives_with_a_token_of_their_own_for_the_api_behind() {
    let mut tenant = tenant().await;
    for user in ["alice@example.com", "bob@example.com"] {
        let client = tenant.client(user, &json!({}));
        client.connect().await.unwrap();
        let answer = client.call("echo", json!({"text": "hello"})).await.unwrap();
        assert!(answer.text().contains("hello"), "{}", answer.message());
        let claims = arrived(&tenant.entra, &tenant.world).await;
        assert_eq!(claims["oid"], format!("oid-of-{user}"));
        assert_eq!((&claims["scp"], &claims["appid"]), (&json!("User.Read"), &json!(APP)));
    }
    let lines = tenant.world.audit_of("tools/call").await;
    assert_eq!(lines[0]["credential"]["steps"], json!(["entra_obo"]));
    assert_eq!(lines[0]["credential"]["audience"], json!([GRAPH]));
    assert_eq!(lines[0]["credential"]["scopes"], json!([format!("{GRAPH}/User.Read")]));
}

/// Edge: 57
#[tokio::test(flavor = "multi_thread")]
async fn claims_that_entra_wants_end_at_the_caller_and_a_login_that_has_them_gets_through() {
    let tenant = tenant().await;
    tenant.entra.protect(GRAPH, Some("c1"));
    let refused = tenant.client("alice@example.com", &json!({})).connect().await.unwrap();
    assert_eq!(refused.status, 401, "{}", refused.text());
    let challenge = refused.header("www-authenticate").unwrap().to_owned();
    assert!(challenge.contains("error=\"insufficient_claims\""), "{challenge}");
    let encoded = challenge.split("claims=\"").nth(1).unwrap().split('"').next().unwrap();
    let claims: Value = serde_json::from_slice(&STANDARD.decode(encoded).unwrap()).unwrap();
    assert_eq!(claims, json!({"access_token": {"acrs": {"essential": true, "value": "c1"}}}));
    let better = tenant.client("alice@example.com", &json!({ "acrs": ["c1"] }));
    better.connect().await.unwrap();
    let answer = better.call("echo", json!({"text": "hello"})).await.unwrap();
    assert!(answer.text().contains("hello"), "{}", answer.message());
    assert_eq!(arrived(&tenant.entra, &tenant.world).await["acrs"], json!(["c1"]));
}

/// What the API behind wants of a token is asked of Entra; a login that has it goes through at once, another one ends
/// at its own client.
/// Edge: 57
#[tokio::test(flavor = "multi_thread")]
async fn claims_that_the_api_behind_wants_are_asked_for_and_met_by_a_login_that_has_them() {
    let entra = started().await;
    let secret = canary::secret("entra");
    register(&entra, Proof::Secret(secret.clone()));
    let lines = format!("auth: client_secret_post, client_secret: \"inline:{secret}\"");
    let tenant = Tenant { world: world_of(&entra, &lines, Plan::scripted()).await, entra };
    let wanted = r#"{"access_token":{"acrs":{"essential":true,"value":"c2"}}}"#;
    let challenge = format!("Bearer error=\"insufficient_claims\", claims=\"{}\"", STANDARD.encode(wanted));
    let backend = tenant.world.backend();
    backend.answers(move |seen| {
        let acrs = &claims_of(seen.bearer().unwrap_or_default())["acrs"];
        if *acrs != json!(["c2"]) {
            return Reply::json(StatusCode::UNAUTHORIZED, &json!({})).header("www-authenticate", &challenge);
        }
        let result = json!({"resultType": "complete", "content": [{"type": "text", "text": "fine"}]});
        Reply::json(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result}))
    });
    let called = async |user: &str, more: Value| {
        let token = tenant.entra.mint_with(user, APP, "Mcp.Call", HOUR, &more);
        Client::modern(&tenant.world.url()).bearer(&token).call("echo", json!({})).await.unwrap()
    };
    assert_eq!(called("alice@example.com", json!({ "acrs": ["c2"] })).await.text(), "fine");
    let asked: Vec<Option<String>> = tenant
        .entra
        .log()
        .to(&format!("/{TENANT}/oauth2/v2.0/token"))
        .iter()
        .map(|seen| seen.form().one("claims").map(str::to_owned))
        .collect();
    assert_eq!(asked, [None, Some(wanted.to_owned())]);
    let refused = called("bob@example.com", json!({})).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    let told = refused.header("www-authenticate").unwrap();
    assert!(told.contains("insufficient_claims") && told.contains(&STANDARD.encode(wanted)), "{told}");
}

/// Edge: 60
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_consent_is_no_reason_to_log_in_again() {
    let mut tenant = tenant().await;
    tenant.entra.add_api("https://files.example", &["Files.Read"]);
    let secret = canary::secret("other");
    let proof = Proof::Secret(secret.clone());
    tenant.entra.add_application(Application { id: APP.into(), proof, consented: Vec::new() });
    let world =
        world(&tenant.entra, &format!("auth: client_secret_basic, client_secret: \"inline:{secret}\"")).await;
    tenant.world = world;
    let answer = tenant.client("alice@example.com", &json!({})).connect().await.unwrap();
    assert_eq!(answer.message()["error"]["data"]["code"], "SC-C02", "{} {}", answer.status, answer.text());
    let lines = tenant.world.audit().await;
    assert!(lines[0]["detail"].as_str().unwrap().contains("AADSTS65001"), "{}", lines[0]);
}

/// Edge: 8
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_proves_the_gateway_by_its_thumbprint() {
    let entra = started().await;
    let key = SigningKey::generate(Algorithm::Rs256).unwrap();
    let pem = key.private_pem().unwrap();
    let pair = KeyPair::from_pem(&pem).unwrap();
    let certificate = CertificateParams::new(vec!["gateway".into()]).unwrap().self_signed(&pair).unwrap();
    register(&entra, Proof::certificate(key.jwk(), certificate.der()));
    let dir = std::env::temp_dir().join(format!("safeconduct-entra-{}", canary::random_hex()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("key.pem"), pem).unwrap();
    std::fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    let files = dir.display();
    let lines = format!(
        "auth: private_key_jwt, private_key: \"file:{files}/key.pem\", certificate: \"{files}/cert.pem\""
    );
    let tenant = Tenant { world: world(&entra, &lines).await, entra };
    let client = tenant.client("alice@example.com", &json!({}));
    client.connect().await.unwrap();
    assert!(client.call("echo", json!({"text": "hello"})).await.unwrap().text().contains("hello"));
    assert_eq!(arrived(&tenant.entra, &tenant.world).await["oid"], "oid-of-alice@example.com");
    std::fs::remove_dir_all(dir).unwrap();
}

/// No secret anywhere: the platform's token proves the gateway, the caller's token the caller.
/// Edge: 11
#[tokio::test(flavor = "multi_thread")]
async fn a_federated_token_proves_the_gateway_and_a_rotated_one_is_read() {
    let entra = started().await;
    let platform = safeconduct_testkit::idp::Idp::start().await.unwrap();
    let subject = "system:serviceaccount:mcp:gateway";
    let issued = |lifetime| {
        platform
            .issue(&Mint::user(subject).audience("api://AzureADTokenExchange").typ("JWT").lifetime(lifetime))
    };
    register(
        &entra,
        Proof::Federated {
            issuer: platform.issuer().into(),
            subject: subject.into(),
            audience: "api://AzureADTokenExchange".into(),
        },
    );
    let file = std::env::temp_dir().join(format!("safeconduct-entra-{}", canary::random_hex()));
    std::fs::write(&file, issued(HOUR)).unwrap();
    let lines = format!("auth: assertion_file, assertion_file: \"{}\"", file.display());
    let tenant = Tenant { world: world(&entra, &lines).await, entra };
    for (user, lifetime) in [("alice@example.com", HOUR), ("bob@example.com", HOUR / 2)] {
        std::fs::write(&file, issued(lifetime)).unwrap();
        let client = tenant.client(user, &json!({}));
        client.connect().await.unwrap();
        assert!(client.call("echo", json!({"text": "hello"})).await.unwrap().text().contains("hello"));
        assert_eq!(arrived(&tenant.entra, &tenant.world).await["oid"], format!("oid-of-{user}"));
    }
    std::fs::remove_file(file).unwrap();
}
