//! Who calls: tokens that are believed and tokens that are not, and what is told to those who have none.

use std::time::Duration;

use http::{Method, Request};
use safeconduct_testkit::client::{Answer, Client};
use safeconduct_testkit::forge;
use safeconduct_testkit::idp::{Idp, Mint, User};
use safeconduct_testkit::keys::{Algorithm, header_of};
use safeconduct_testkit::wire::fetch;
use serde_json::{Value, json};

use crate::audit::line_of;
use crate::patience::within;
use crate::world::{AUDIENCE, Plan, World};

const SCOPED: &str =
    "    scopes: { tools/list: [mcp:tools:list], tools/call: [mcp:tools:call, offline_access] }\n";

impl World {
    /// The challenge's parameter that leads to the metadata of `orders`.
    pub(crate) fn metadata(&self) -> String {
        format!("resource_metadata=\"{}/.well-known/oauth-protected-resource/orders/mcp\"", self.base)
    }

    /// An access token that would be good, for a test to spoil.
    pub(crate) fn good(&self, user: &str) -> Mint {
        Mint::user(user).audience(AUDIENCE).scopes("backend-mcp:tools:call")
    }
}

fn with_token(world: &World, token: &str) -> Client {
    Client::modern(&world.url()).bearer(token)
}

/// 401, the challenge byte for byte, and an error in JSON-RPC.
fn assert_challenged(answer: &Answer, challenge: &str, how: &str) {
    assert_eq!(answer.status, 401, "{how}");
    assert_eq!(answer.header("www-authenticate"), Some(challenge), "{how}");
    let message = answer.message();
    assert_eq!((&message["jsonrpc"], message.get("id")), (&json!("2.0"), None), "{how}");
    assert_eq!(message["error"]["code"], -31401, "{how}");
    assert_eq!(message["error"]["data"]["request_id"], answer.header("x-request-id").unwrap(), "{how}");
}

/// Row: A1, A8
#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_token_is_told_where_to_get_one_and_of_no_error() {
    let world = World::with(Plan { server: SCOPED.into(), ..Plan::default() }).await;
    let nobody = Client::modern(&world.url());
    let challenge = format!("Bearer {}, scope=\"mcp:tools:call mcp:tools:list\"", world.metadata());
    let answer = nobody.list("tools").await.unwrap();
    assert_challenged(&answer, &challenge, "POST");
    assert_eq!(answer.message()["error"]["data"]["code"], "SC-A01");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_challenged(&Client::legacy(&world.url()).end().await.unwrap(), &challenge, "DELETE");
    let stream = within(Client::legacy(&world.url()).listen(None)).await.unwrap();
    assert_eq!(
        (stream.status.as_u16(), &stream.headers["www-authenticate"]),
        (401, &challenge.parse().unwrap())
    );
    assert_eq!(world.server().log().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scopes_a_challenge_names_none() {
    let world = World::start().await;
    let answer = Client::modern(&world.url()).list("tools").await.unwrap();
    assert_challenged(&answer, &format!("Bearer {}", world.metadata()), "no scopes");
}

/// Row: A2
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_valid_is_challenged_as_that() {
    let mut world = World::start().await;
    let stranger = Idp::start().await.unwrap();
    stranger.add_user(User::new("alice", &["support"]));
    let far = u64::from(u32::MAX);
    let spoiled: [(&str, String); 12] = [
        ("expired", world.idp.issue(&world.good("alice").claim("exp", 1000).claim("iat", 1).claim("nbf", 1))),
        ("not yet", world.idp.issue(&world.good("alice").claim("nbf", far - 1).claim("exp", far))),
        ("from the future", world.idp.issue(&world.good("alice").claim("iat", far - 1).claim("exp", far))),
        ("without end", world.idp.issue(&world.good("alice").claim("exp", Value::Null))),
        ("end in words", world.idp.issue(&world.good("alice").claim("exp", "tomorrow"))),
        ("without subject", world.idp.issue(&world.good("alice").claim("sub", Value::Null))),
        ("of nobody's issuer", stranger.mint("alice", AUDIENCE, "", Duration::from_secs(600))),
        (
            "of an issuer with a slash",
            world.idp.issue(&world.good("alice").claim("iss", format!("{}/", world.idp.issuer()))),
        ),
        ("bound to a key", world.idp.issue(&world.good("alice").claim("cnf", json!({"jkt": "x"})))),
        ("not a JWT", "not-a-token".into()),
        ("three dots", "...".into()),
        ("empty", String::new()),
    ];
    let challenge = format!("Bearer error=\"invalid_token\", {}", world.metadata());
    assert_eq!(world.modern("alice").list("tools").await.unwrap().status, 200);
    let before = world.server().log().count();
    for (how, token) in &spoiled {
        let answer = with_token(&world, token).list("tools").await.unwrap();
        assert_challenged(&answer, &challenge, how);
        assert_eq!(answer.message()["error"]["message"], "the access token is not valid", "{how}");
    }
    assert_eq!(world.server().log().count(), before);
    let lines = world.audit().await;
    let refused: Vec<_> = lines.iter().filter(|line| line["code"] == "SC-A02").collect();
    assert_eq!(refused.len(), spoiled.len());
    // The operator is told more than the caller.
    assert!(refused.iter().all(|line| line["detail"].as_str().is_some_and(|detail| !detail.is_empty())));
    assert!(refused.iter().all(|line| line["outcome"] == "refused" && line["fault"] == "caller"));
}

/// Row: A2
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_token_is_not_believed_however_it_is_forged() {
    let world = World::start().await;
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let good = world.idp.issue(&world.good("alice").algorithm(algorithm));
        assert_eq!(with_token(&world, &good).list("tools").await.unwrap().status, 200);
        let before = world.server().log().count();
        let kid = header_of(&good)["kid"].as_str().unwrap().to_owned();
        let jwk = world.idp.keys().shown(&kid).unwrap();
        for forged in forge::all(&good, &jwk).unwrap() {
            let answer = with_token(&world, &forged.token).list("tools").await.unwrap();
            assert_eq!(answer.status, 401, "{}", forged.how);
            assert!(
                answer.header("www-authenticate").unwrap().contains("error=\"invalid_token\""),
                "{}",
                forged.how
            );
        }
        assert_eq!(world.server().log().count(), before);
    }
}

/// Row: A3
#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_server_of_the_same_gateway_is_refused() {
    let world = World::start().await;
    let here = format!("{}/orders/mcp", world.base);
    let token = |audience: &str| world.idp.mint("alice", audience, "", Duration::from_secs(600));
    let status = async |token: &str, path: &str| {
        let client = Client::modern(&format!("{}/{path}/mcp", world.base)).bearer(token);
        client.list("tools").await.unwrap()
    };
    // The credential cannot be exchanged for the resource's own audience; `other` needs none.
    assert_eq!(status(&token(&format!("{}/other/mcp", world.base)), "other").await.status, 200);
    for (audience, path) in
        [(here.as_str(), "other"), ("backend-server", "orders"), (world.base.as_str(), "orders")]
    {
        let answer = status(&token(audience), path).await;
        assert_eq!(answer.status, 401, "{audience}");
        assert_eq!(answer.message()["error"]["data"]["code"], "SC-A03", "{audience}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer error=\"invalid_token\", "));
    }
    let lacking = world.idp.issue(&Mint::user("alice").claim("aud", Value::Null));
    assert_eq!(status(&lacking, "orders").await.status, 401);
}

/// Row: A4, A8
#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_document_is_there_for_everybody_and_says_what_it_must() {
    let world = World::with(Plan { server: SCOPED.into(), ..Plan::default() }).await;
    let place = format!("{}/.well-known/oauth-protected-resource/orders/mcp", world.base);
    let answer = fetch::get(&place).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let document = json!({
        "resource": format!("{}/orders/mcp", world.base),
        "authorization_servers": [world.idp.issuer()],
        "scopes_supported": ["mcp:tools:call", "mcp:tools:list"],
        "bearer_methods_supported": ["header"],
        "resource_name": "orders",
    });
    assert_eq!(answer.json(), document);
    let preflight = Request::builder().method(Method::OPTIONS).uri(&place).body(bytes::Bytes::new()).unwrap();
    assert_eq!(fetch::fetch(preflight).await.unwrap().status, 204);
    // With two servers the root would be ambiguous.
    let root = format!("{}/.well-known/oauth-protected-resource", world.base);
    assert_eq!(fetch::get(&root).await.unwrap().status, 404);
    world.without_other();
    assert_eq!(fetch::get(&root).await.unwrap().json(), document);
}

impl World {
    /// Takes the second server out of the file and puts that to work.
    fn without_other(&self) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        let (before, rest) = text.split_once("  other:\n").unwrap();
        let (_, after) = rest.split_once("credential: none\n").unwrap();
        std::fs::write(self.config(), format!("{before}{after}")).unwrap();
        let gateway = self.gateway.as_ref().unwrap();
        tokio::task::block_in_place(|| gateway.hang_up(&self.config()));
    }
}

/// Row: A5
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_places_comes_from_the_configuration_and_from_no_header() {
    let world = World::start().await;
    let spoof = |name: &'static str, value: &str| {
        let mut sent = Client::modern(&world.url()).message("tools/list", json!({})).unwrap();
        sent.headers_mut().insert(name, value.parse().unwrap());
        sent
    };
    let client = Client::modern(&world.url());
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-forwarded-proto", "gopher"),
        ("host", "localhost:1"),
    ] {
        let answer = client.send(spoof(name, value)).await.unwrap();
        assert_challenged(&answer, &format!("Bearer {}", world.metadata()), name);
    }
    for evil in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "a,b"] {
        let answer = client.send(spoof("host", evil)).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (403, None), "{evil}");
        assert_eq!(answer.message()["error"]["data"]["code"], "SC-D03", "{evil}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("evil"));
    }
}

/// Row: A6
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_query_is_refused_and_said_nowhere() {
    let mut world = World::start().await;
    let token = world.token("alice");
    for name in ["access_token", "token", "Access_Token", "bearer"] {
        for bearer in [None, Some(&token)] {
            let client = Client::modern(&world.url());
            let client = if let Some(token) = bearer { client.bearer(token) } else { client };
            let mut sent = client.message("tools/list", json!({})).unwrap();
            *sent.uri_mut() = format!("{}?x=1&{name}={token}", world.url()).parse().unwrap();
            let answer = client.send(sent).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.error_code()), (400, Some(-32600)), "{name}");
            safeconduct_testkit::canary::assert_clean("the answer", &answer.body);
        }
    }
    assert_eq!(world.server().log().count(), 0);
    assert_eq!(world.audit().await.len(), 8);
}

/// Row: A11
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_no_login() {
    let world = World::start().await;
    let alice = world.legacy("alice").await;
    let before = world.server().log().count();
    let expired = world.idp.issue(&world.good("alice").claim("exp", 1000).claim("iat", 1).claim("nbf", 1));
    for client in [Client::legacy(&world.url()), Client::legacy(&world.url()).bearer(&expired)] {
        client.set_session(alice.session().as_deref());
        assert_eq!(client.list("tools").await.unwrap().status, 401);
        assert_eq!(within(client.listen(None)).await.unwrap().status, 401);
        assert_eq!(within(client.listen(Some("1"))).await.unwrap().status, 401);
        assert_eq!(client.end().await.unwrap().status, 401);
    }
    assert_eq!(world.server().log().count(), before);
    assert_eq!(alice.list("tools").await.unwrap().status, 200);
}

/// Row: A15
#[tokio::test(flavor = "multi_thread")]
async fn the_same_subject_of_another_issuer_is_somebody_else() {
    let partner = Idp::start().await.unwrap();
    partner.add_user(User::new("alice", &["support"]));
    let issuer = format!("  partner:\n    issuer: \"{}\"\n    audience: [{AUDIENCE}]\n", partner.issuer());
    let mut world = World::with(Plan { issuer, ..Plan::default() }).await;
    let theirs = partner.mint("alice", AUDIENCE, "backend-mcp:tools:call", Duration::from_secs(600));
    assert_eq!(world.modern("alice").call("echo", json!({"text": "x"})).await.unwrap().text(), "x");
    let stranger = with_token(&world, &theirs);
    let refused = stranger.call("echo", json!({"text": "x"})).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.error_code()), (200, Some(-32602)));
    // A token of one issuer that names the other: the keys are those of the issuer that it names.
    let claimed = partner.issue(&Mint::user("alice").audience(AUDIENCE).claim("iss", world.idp.issuer()));
    assert_eq!(with_token(&world, &claimed).list("tools").await.unwrap().status, 401);
    let session = world.legacy("alice").await.session();
    let thief = Client::legacy(&world.url()).bearer(&theirs);
    thief.set_session(session.as_deref());
    assert_eq!(thief.list("tools").await.unwrap().status, 404);
    let lines = world.audit_of("tools/call").await;
    let principal = line_of(&lines, &refused)["principal"].clone();
    assert_eq!((&principal["issuer"], &principal["subject"]), (&json!("partner"), &json!("alice")));
}

/// Row: A20
#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_not_a_person_of_the_same_name() {
    let policies = r#"permit (principal == Workload::"corp/ci-bot", action, resource in Server::"other");"#;
    let mut world = World::with(Plan { policies: policies.into(), ..Plan::default() }).await;
    let as_client = |client: &str| {
        let token = world.idp.issue(&Mint::user("ci-bot").audience(AUDIENCE).client(client));
        Client::modern(&format!("{}/other/mcp", world.base)).bearer(&token)
    };
    let program = as_client("ci-bot").call("echo", json!({"text": "x"})).await.unwrap();
    let person = as_client("browser").call("echo", json!({"text": "x"})).await.unwrap();
    assert_eq!((program.text().as_str(), person.error_code()), ("x", Some(-32602)));
    let lines = world.audit_of("tools/call").await;
    assert_eq!(line_of(&lines, &program)["principal"]["kind"], "workload");
    assert_eq!(line_of(&lines, &person)["principal"]["kind"], "user");
}
