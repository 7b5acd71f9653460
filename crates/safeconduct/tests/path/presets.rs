//! Presets of token services: what each is asked, to the byte, with a step that says its preset and what that asks for.

use http::StatusCode;
use safeconduct_testkit::client::Client;
use safeconduct_testkit::idp::Mint;
use safeconduct_testkit::wire::{Fault, encode_form};
use serde_json::{Value, json};

use crate::world::{AUDIENCE, HOUR, Plan, World};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Stands for the caller's token.
const TOKEN: &str = "TOKEN";

/// One step, and what the service documents: its path below the issuer, what it is asked, and what it answers.
struct Documented {
    step: &'static str,
    path: &'static str,
    form: Vec<(&'static str, &'static str)>,
    answer: Value,
}

impl Documented {
    fn exchange(
        step: &'static str,
        path: &'static str,
        asked: &[(&'static str, &'static str)],
        answer: Value,
    ) -> Self {
        let form = [&[("grant_type", EXCHANGE), ("subject_token", TOKEN)], asked].concat();
        Self { step, path, form, answer }
    }
}

fn granted(more: &Value) -> Value {
    let mut answer = json!({"access_token": "opaque", "token_type": "Bearer", "expires_in": 3600, "issued_token_type": ACCESS_TOKEN});
    for (name, value) in more.as_object().unwrap() {
        answer[name] = value.clone();
    }
    answer
}

async fn world(step: &str) -> World {
    let world = World::with(Plan { credential: format!("[{{ {step} }}]"), ..Plan::scripted() }).await;
    world.backend().results(json!({"resultType": "complete", "content": []}));
    world
}

/// A call; what the service was asked, with the caller's token taken out, and how the gateway proved itself.
async fn asked(world: &World, documented: &Documented) -> (String, Option<String>) {
    world.idp.faults().at(
        documented.path,
        usize::MAX,
        Fault::Status(StatusCode::OK, documented.answer.to_string()),
    );
    let token = world.token("alice");
    let answer = Client::modern(&world.url()).bearer(&token).call("echo", json!({})).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent =
        world.backend().log().last().unwrap_or_else(|| panic!("{}: {}", documented.step, answer.text()));
    assert_eq!(sent.bearer(), documented.answer["access_token"].as_str());
    let seen = world.idp.log().to(documented.path);
    assert_eq!(seen.len(), 1, "{}", documented.step);
    let body = String::from_utf8(seen[0].body.to_vec()).unwrap();
    (body.replace(&token, TOKEN), seen[0].header("authorization").map(str::to_owned))
}

async fn holds(documented: Documented, client: bool) {
    let world = world(documented.step).await;
    let (body, authorization) = asked(&world, &documented).await;
    assert_eq!(body, encode_form(documented.form.iter().copied()), "{}", documented.step);
    let basic = authorization.is_some_and(|value| value.starts_with("Basic "));
    assert_eq!(basic, client, "{}", documented.step);
}

#[tokio::test(flavor = "multi_thread")]
async fn okta_is_asked_below_its_authorization_server_for_an_audience_and_scopes() {
    let step = r#"exchange: { preset: okta, issuer: "@IDP@", client: gateway, audience: "api://backend", scopes: [read, write] }"#;
    let form = [("subject_token_type", ACCESS_TOKEN), ("audience", "api://backend"), ("scope", "read write")];
    holds(Documented::exchange(step, "/v1/token", &form, granted(&json!({"scope": "read write"}))), true)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth0_is_told_the_type_that_is_wanted_on_behalf_of_a_caller_and_not_in_a_custom_exchange() {
    let step =
        r#"exchange: { preset: auth0, issuer: "@IDP@/", client: gateway, audience: "https://api.example" }"#;
    let form = [
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", ACCESS_TOKEN),
        ("audience", "https://api.example"),
    ];
    holds(Documented::exchange(step, "/oauth/token", &form, granted(&json!({"expires_in": 86400}))), true)
        .await;

    let step = r#"exchange: { preset: auth0_custom, issuer: "@IDP@/", client: gateway, subject_token_type: "urn:acme:legacy", audience: "https://api.example", scopes: openid, parameters: { organization: org_1 } }"#;
    let form = [
        ("subject_token_type", "urn:acme:legacy"),
        ("audience", "https://api.example"),
        ("scope", "openid"),
        ("organization", "org_1"),
    ];
    holds(Documented::exchange(step, "/oauth/token", &form, granted(&json!({"scope": "openid"}))), true)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keycloak_is_asked_below_its_realm_and_may_add_its_default_scopes() {
    let step = r#"exchange: { preset: keycloak, issuer: "@IDP@", client: gateway, audience: backend-server, scopes: read }"#;
    let form = [("subject_token_type", ACCESS_TOKEN), ("audience", "backend-server"), ("scope", "read")];
    let answer = granted(&json!({
        "expires_in": 300, "refresh_expires_in": 0, "not-before-policy": 0, "session_state": "s",
        "scope": "read email profile",
    }));
    holds(Documented::exchange(step, "/protocol/openid-connect/token", &form, answer), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keycloak_gives_the_gateway_its_own_token_and_takes_assertions_once() {
    let step = r#"client_credentials: { preset: keycloak, issuer: "@IDP@", client: gateway, scopes: read }"#;
    let form = vec![("grant_type", "client_credentials"), ("scope", "read")];
    let answer =
        json!({"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "scope": "email read"});
    let path = "/protocol/openid-connect/token";
    holds(Documented { step, path, form, answer: answer.clone() }, true).await;

    let step = r#"jwt_bearer: { preset: keycloak, issuer: "@IDP@", client: gateway, scopes: read }"#;
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let form = vec![("grant_type", grant), ("assertion", TOKEN), ("scope", "read")];
    holds(Documented { step, path, form, answer }, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zitadel_is_asked_for_a_jwt() {
    let step = r#"exchange: { preset: zitadel, issuer: "@IDP@", client: gateway, audience: project }"#;
    let form = [("subject_token_type", ACCESS_TOKEN), ("requested_token_type", JWT), ("audience", "project")];
    let answer = granted(&json!({"issued_token_type": JWT}));
    holds(Documented::exchange(step, "/oauth/v2/token", &form, answer), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dex_is_told_the_connector_that_the_callers_come_from() {
    let step = r#"exchange: { preset: dex, issuer: "@IDP@/dex", client: gateway, scopes: [openid, groups], parameters: { connector_id: corp } }"#;
    let form = [("subject_token_type", ID_TOKEN), ("scope", "openid groups"), ("connector_id", "corp")];
    holds(Documented::exchange(step, "/dex/token", &form, granted(&json!({"token_type": "bearer"}))), true)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn databricks_is_asked_by_nobody_in_particular_for_all_apis() {
    let step = r#"exchange: { preset: databricks, issuer: "@IDP@/oidc" }"#;
    let form = [("subject_token_type", JWT), ("scope", "all-apis")];
    let answer =
        json!({"access_token": "opaque", "token_type": "Bearer", "expires_in": 3600, "scope": "all-apis"});
    holds(Documented::exchange(step, "/oidc/v1/token", &form, answer), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_provider_is_asked_for_a_role_at_snowflake() {
    let step = r#"exchange: { preset: snowflake, token_endpoint: "@IDP@/of/the/idp", client: gateway, audience: "https://acme.snowflakecomputing.com", scopes: "session:role:ANALYST" }"#;
    let form = [
        ("subject_token_type", ACCESS_TOKEN),
        ("audience", "https://acme.snowflakecomputing.com"),
        ("scope", "session:role:ANALYST"),
    ];
    holds(Documented::exchange(step, "/of/the/idp", &form, granted(&json!({}))), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ping_is_asked_as_its_policy_has_it() {
    let step = r#"exchange: { preset: ping, issuer: "@IDP@", client: gateway, subject_token_type: "urn:params:oauth:token-type:jwt", resource: "https://backend.example" }"#;
    let form =
        [("subject_token_type", "urn:params:oauth:token-type:jwt"), ("resource", "https://backend.example")];
    holds(Documented::exchange(step, "/as/token.oauth2", &form, granted(&json!({}))), true).await;

    let step = r#"exchange: { preset: pingone, issuer: "@IDP@/env/as", client: gateway, scopes: read }"#;
    let form = [("subject_token_type", ACCESS_TOKEN), ("scope", "read")];
    holds(Documented::exchange(step, "/env/as/token", &form, granted(&json!({}))), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_file_says_counts_and_not_the_preset() {
    let step = r#"exchange: { preset: databricks, token_endpoint: "@IDP@/elsewhere", subject_token_type: id_token, requested_token_type: access_token, scopes: [sql] }"#;
    let form = [("subject_token_type", ID_TOKEN), ("requested_token_type", ACCESS_TOKEN), ("scope", "sql")];
    holds(Documented::exchange(step, "/elsewhere", &form, granted(&json!({}))), false).await;
}

/// Okta's org authorization server calls its assertions `Bearer`, where the draft says `N_A`.
#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_of_oktas_may_be_called_a_bearer_token_and_anybody_elses_may_not() {
    let chain = |preset: &str| {
        format!(
            r#"id_jag: {{ {preset} token_endpoint: "@IDP@/token", client: gateway, audience: "@ABROAD@", resource: https://files.example, scopes: ["files.read"], subject_token_type: access_token }} }},
               {{ jwt_bearer: {{ token_endpoint: "@ABROAD@/token", client: gateway, scopes: ["files.read"], expected_audience: backend-server }}"#
        )
    };
    for (preset, taken) in [("preset: okta,", true), ("", false)] {
        let world = world(&chain(preset)).await;
        world.idp.twist(|answer| answer["token_type"] = json!("Bearer"));
        let answer = world.modern("alice").call("echo", json!({})).await.unwrap();
        assert_eq!(world.backend().log().count() == 1, taken, "{preset} {}", answer.text());
    }
}

/// Edge: 47
#[tokio::test(flavor = "multi_thread")]
async fn auth0_sees_one_bad_token_of_a_caller_in_ten_minutes_where_others_see_a_few() {
    for (preset, type_line, most) in
        [("auth0", "", 3), ("auth0_custom", "subject_token_type: \"urn:acme:legacy\",", 1)]
    {
        let step = format!(
            r#"exchange: {{ preset: {preset}, issuer: "@IDP@/", client: gateway, {type_line} audience: "https://api.example" }}"#
        );
        let world = world(&step).await;
        let refused = json!({"error": "invalid_grant"}).to_string();
        world.idp.faults().at("/oauth/token", usize::MAX, Fault::Status(StatusCode::UNAUTHORIZED, refused));
        for number in 0..20 {
            let mint = Mint::user("alice").audience(AUDIENCE).scopes("backend-mcp:tools:call").lifetime(HOUR);
            let token = world.idp.issue(&mint.claim("auth_time", number));
            let answer = Client::modern(&world.url()).bearer(&token).call("echo", json!({})).await.unwrap();
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text());
        }
        let seen = world.idp.log().to("/oauth/token").len();
        assert!(seen >= most && (most > 1 || seen == 1), "{preset}: {seen}");
        // Another caller is none the worse for it.
        world.idp.faults().clear();
        let answer = granted(&json!({})).to_string();
        world.idp.faults().at("/oauth/token", 1, Fault::Status(StatusCode::OK, answer));
        assert_eq!(world.modern("carol").call("echo", json!({})).await.unwrap().status, 200);
        assert_eq!(world.backend().log().count(), 1, "{preset}");
    }
}
