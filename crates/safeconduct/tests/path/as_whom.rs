//! As whom: what token endpoints answer, and what becomes of it; whose token is used for whom.

use std::time::Duration;

use http::StatusCode;
use safeconduct_testkit::canary;
use safeconduct_testkit::client::{Answer, Client};
use safeconduct_testkit::keys::claims_of;
use safeconduct_testkit::oauth;
use safeconduct_testkit::wire::{Fault, Reply};
use serde_json::{Value, json};

use crate::audit::line_of;
use crate::patience::within;
use crate::world::{BACKEND, Plan, World};

const HASTY: &str = "attempt_timeout: 300ms, timeout: 700ms";

/// The usual exchange with more settings.
pub(crate) fn exchange(more: &str) -> String {
    format!(
        "[{{ exchange: {{ token_endpoint: \"@IDP@/token\", client: gateway, audience: {BACKEND}, \
         scopes: [\"backend-api:read\"], {more} }} }}]"
    )
}

/// What a caller of `orders` gets when its token endpoint fails so, and the audit line of that. Meanwhile servers
/// that need no token endpoint are served, and callers whose token is cached.
async fn failing(fault: Fault) -> (Answer, Value) {
    let mut world = World::with(Plan { credential: exchange(HASTY), ..Plan::default() }).await;
    world.modern("alice").connect().await.unwrap();
    let carol = world.modern("carol");
    world.idp.faults().at("/token", usize::MAX, fault);
    let answer = within(carol.call("echo", json!({"text": "x"}))).await.unwrap();
    let other = Client::legacy(&format!("{}/other/mcp", world.base)).bearer(&world.token("bob"));
    assert_eq!(other.connect().await.unwrap().status, 200);
    assert_eq!(world.modern("alice").call("echo", json!({"text": "y"})).await.unwrap().text(), "y", "cached");
    let lines = world.audit_of("tools/call").await;
    let line = line_of(&lines, &answer);
    assert_eq!(line["backend"], Value::Null);
    canary::assert_clean("the answer", format!("{:?} {:?}", answer.headers, answer.body).as_bytes());
    (answer, line)
}

fn refused(status: u16, body: Value) -> Fault {
    Fault::Status(StatusCode::from_u16(status).unwrap(), body.to_string())
}

/// Status, JSON-RPC code, refusal code, fault, outcome.
type Told = (u16, i64, &'static str, &'static str, &'static str);

async fn assert_told(fault: Fault, told: Told) -> Answer {
    let how = format!("{fault:?}");
    let (answer, line) = failing(fault).await;
    let error = answer.message()["error"].clone();
    let (status, rpc, code, fault, outcome) = told;
    assert_eq!((answer.status.as_u16(), error["code"].as_i64()), (status, Some(rpc)), "{how}: {error}");
    assert_eq!((&error["data"]["code"], &error["data"]["fault"]), (&json!(code), &json!(fault)), "{how}");
    assert_eq!(
        (&line["code"], &line["fault"], &line["outcome"]),
        (&json!(code), &json!(fault), &json!(outcome))
    );
    assert_eq!(
        answer.message().get("id").is_some(),
        status != 401 || answer.message()["id"].is_u64(),
        "{how}"
    );
    answer
}

const DOWN: Told = (200, -31503, "SC-C07", "token_endpoint", "failed");
const BAD: Told = (200, -32603, "SC-C06", "token_endpoint", "failed");

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_is_down_or_slow_is_named_and_nothing_else_suffers() {
    for fault in [Fault::Close, Fault::Hang, Fault::Drip(Duration::from_millis(50)), refused(500, json!({}))]
    {
        let answer = assert_told(fault, DOWN).await;
        assert!(answer.message()["error"]["data"]["retry_after"].as_u64().is_some_and(|wait| wait >= 1));
    }
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        let answer = assert_told(Fault::RetryAfter(status, 7), DOWN).await;
        assert_eq!(answer.header("retry-after"), Some("7"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_token_endpoint_that_cannot_be_used_is_not_used() {
    for fault in [
        Fault::Garbage,
        Fault::Huge(8 << 20),
        Fault::Redirect("http://127.0.0.1:9/token".into()),
        refused(200, json!({"token_type": "Bearer"})),
        refused(200, json!([])),
        refused(404, json!({})),
    ] {
        assert_told(fault, BAD).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_endpoint_grants_beyond_the_question_is_not_used() {
    let twists: [(&str, fn(&mut Value)); 5] = [
        ("another type", |answer| {
            answer["issued_token_type"] = json!("urn:ietf:params:oauth:token-type:id_token")
        }),
        ("no type", |answer| drop(answer.as_object_mut().unwrap().remove("issued_token_type"))),
        ("bound to a key", |answer| answer["token_type"] = json!("DPoP")),
        ("broader", |answer| answer["scope"] = json!("backend-api:read backend-api:write")),
        ("with line ends", |answer| answer["access_token"] = json!("a\r\nx-evil: 1")),
    ];
    for (how, twist) in twists {
        let world = World::start().await;
        world.idp.twist(twist);
        let answer = world.modern("alice").call("echo", json!({})).await.unwrap();
        assert_eq!(answer.message()["error"]["data"]["code"], "SC-C06", "{how}");
        assert_eq!(world.server().log().count(), 0, "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_token_endpoint_refuses_is_told_whose_turn_it_is() {
    for (error, told) in [
        ("invalid_grant", (401, -31401, "SC-C01", "caller", "refused")),
        ("invalid_target", (200, -31403, "SC-C02", "policy", "denied")),
        ("access_denied", (200, -31403, "SC-C02", "policy", "denied")),
        ("invalid_scope", (200, -31403, "SC-C02", "policy", "denied")),
    ] {
        let answer = assert_told(refused(400, json!({"error": error})), told).await;
        assert_eq!(answer.header("www-authenticate").is_some(), told.0 == 401, "{error}");
    }
    // Never 401: the caller's login is not at fault.
    let gateway = (200, -32603, "SC-C05", "gateway", "failed");
    assert_told(refused(401, json!({"error": "invalid_client"})), gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_better_login_is_asked_for_in_the_providers_words() {
    let told = (401, -31401, "SC-C03", "caller", "refused");
    let wants = json!({"error": "insufficient_user_authentication", "acr_values": "urn:mfa \"x\"\r\n", "max_age": "300"});
    let answer = assert_told(refused(400, wants), told).await;
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer error=\"insufficient_user_authentication\", resource_metadata=\""));
    assert!(challenge.ends_with(", max_age=300"), "{challenge}");
    let claims = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    let wants = json!({"error": "interaction_required", "claims": claims});
    let answer = assert_told(refused(400, wants), told).await;
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer error=\"insufficient_claims\", "), "{challenge}");
    let encoded = challenge.split_once("claims=\"").unwrap().1.trim_end_matches('"');
    use base64::Engine as _;
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap(), claims.as_bytes());
}

/// Row: A16
#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_endpoint_repeats_of_a_token_is_repeated_to_nobody() {
    for place in ["error_description", "error_uri", "error"] {
        let mut world = World::start().await;
        let token = world.token("alice");
        let mut body = json!({"error": "invalid_grant", "trace": token});
        body[place] = json!(format!("the token {token} is bad"));
        world.idp.faults().at("/token", usize::MAX, refused(400, body));
        let client = Client::modern(&world.url()).bearer(&token);
        let answer = client.call("echo", json!({})).await.unwrap();
        assert!(answer.error_code().is_some());
        canary::assert_clean("the answer", format!("{:?} {:?}", answer.headers, answer.body).as_bytes());
        // The audit log and everything that is logged are looked at when the world ends.
        assert_eq!(world.audit().await.len(), 1, "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_claim_of_a_template_is_no_question_to_the_endpoint() {
    let credential = exchange("resource: \"https://api.example/{claim:department}\"");
    let mut world = World::with(Plan { credential, ..Plan::default() }).await;
    let answer = world.modern("alice").call("echo", json!({})).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.error_code()), (200, Some(-31403)));
    assert_eq!(answer.message()["error"]["data"]["code"], "SC-C08");
    assert_eq!(world.idp.exchanges(), 0);
    let line = world.audit_of("tools/call").await.remove(0);
    assert_eq!(
        (&line["fault"], &line["detail"]),
        (&json!("policy"), &json!("the token has no claim \"department\""))
    );
}

/// Row: A18
#[tokio::test(flavor = "multi_thread")]
async fn each_caller_has_a_token_of_their_own_bought_once() {
    let mut world = World::start().await;
    let (alice, carol) = (world.modern("alice"), world.modern("carol"));
    let answers = tokio::join!(
        alice.call("echo", json!({"text": "1"})),
        carol.call("echo", json!({"text": "2"})),
        alice.call("echo", json!({"text": "3"})),
        carol.call("echo", json!({"text": "4"})),
        alice.call("echo", json!({"text": "5"})),
    );
    for (answer, text) in
        [(answers.0, "1"), (answers.1, "2"), (answers.2, "3"), (answers.3, "4"), (answers.4, "5")]
    {
        assert_eq!(answer.unwrap().text(), text);
    }
    assert_eq!(world.idp.exchanges(), 2);
    for seen in world.server().log().all() {
        let expected = if ["2", "4"].contains(&seen.json()["params"]["arguments"]["text"].as_str().unwrap()) {
            "carol"
        } else {
            "alice"
        };
        assert_eq!(claims_of(seen.bearer().unwrap())["sub"], expected);
    }
    let sources: Vec<_> =
        world.audit_of("tools/call").await.iter().map(|line| line["credential"]["source"].clone()).collect();
    assert_eq!(sources.iter().filter(|source| **source == "issuer").count(), 2, "{sources:?}");
    assert!(sources.iter().all(|source| ["issuer", "flight", "cache"].contains(&source.as_str().unwrap())));
}

/// Row: A10
#[tokio::test(flavor = "multi_thread")]
async fn a_servers_401_buys_one_new_token_and_is_never_handed_on() {
    let mut world = World::with(Plan::scripted()).await;
    let says_no = |status: StatusCode| {
        Reply::json(status, &json!({"error": "no"}))
            .header("www-authenticate", "Bearer resource_metadata=\"https://backend.example\"")
            .header("set-cookie", "session=1")
    };
    let fine = json!({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "complete", "content": []}});
    let client = world.modern("alice");
    world.backend().script(says_no(StatusCode::UNAUTHORIZED));
    world.backend().script(Reply::json(StatusCode::OK, &fine).header("set-cookie", "session=2"));
    let answer = client.call("echo", json!({})).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.message()), (200, fine));
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!((world.backend().log().count(), world.idp.exchanges()), (2, 2));
    let tokens: Vec<_> = world
        .backend()
        .log()
        .all()
        .iter()
        .map(|seen| claims_of(seen.bearer().unwrap())["jti"].clone())
        .collect();
    assert_ne!(tokens[0], tokens[1]);

    let mut refused = Vec::new();
    for (status, asked) in [(StatusCode::UNAUTHORIZED, 2), (StatusCode::FORBIDDEN, 1)] {
        let before = world.backend().log().count();
        world.backend().answers(move |_| says_no(status));
        let carol = world.modern(if asked == 2 { "carol" } else { "alice" });
        let answer = carol.call("echo", json!({})).await.unwrap();
        let error = answer.message()["error"].clone();
        assert_eq!((answer.status.as_u16(), &error["data"]["code"]), (200, &json!("SC-B03")), "{error}");
        assert_eq!((answer.header("www-authenticate"), answer.header("set-cookie")), (None, None));
        assert!(!String::from_utf8_lossy(&answer.body).contains("backend.example"));
        assert_eq!(world.backend().log().count() - before, asked);
        refused.push(answer);
    }
    let lines = world.audit_of("tools/call").await;
    for (answer, status) in refused.iter().zip([401, 403]) {
        assert_eq!(line_of(&lines, answer)["backend"]["status"], status);
    }
}

/// Row: A9
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_callers_head_reaches_the_server_but_what_mcp_needs() {
    let world = World::with(Plan::scripted()).await;
    world.backend().results(json!({"resultType": "complete", "content": []}));
    let client = world.modern("alice");
    let mut sent = client.message("tools/call", json!({"name": "echo", "_meta": {"x": 1}})).unwrap();
    let (_, secret) = oauth::Client::basic("a-stolen-one");
    let smuggled = [
        ("cookie", "a=SECRET"),
        ("proxy-authorization", "Basic SECRET"),
        ("dpop", "SECRET"),
        ("x-api-key", "SECRET"),
        ("x-forwarded-for", "SECRET"),
        ("x-amz-security-token", "SECRET"),
        ("connection", "x-drop, authorization"),
        ("x-drop", "SECRET"),
        ("forwarded", "for=SECRET"),
        ("te", "trailers"),
        ("expect", "SECRET"),
        ("origin", "http://localhost:1"),
        ("x-original-url", "/SECRET"),
        ("x-http-method-override", "DELETE"),
        ("user-agent", "SECRET"),
    ];
    for (name, value) in smuggled {
        sent.headers_mut().insert(name, value.replace("SECRET", &secret).parse().unwrap());
    }
    assert_eq!(client.send(sent).await.unwrap().status, 200);
    let seen = world.backend().log().last().unwrap();
    assert!(!seen.mentions(&secret));
    assert!(!seen.mentions(world.token("alice").split('.').nth(2).unwrap()));
    assert_eq!(claims_of(seen.bearer().unwrap())["aud"], BACKEND);
    let mut names: Vec<_> = seen.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    let passed = [
        "accept",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
    ];
    assert_eq!(names, passed);
}
