//! `doctor` and `token exchange` against a whole world on loopback: in a healthy one all is well; for each fault the check that
//! is about it fails, and says what to do. No token, no secret and no signature is ever shown.

use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;
use safeconduct_testkit::aws::{Aws, Role};
use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::google::{self, Google};
use safeconduct_testkit::idp::{Idp, Mint, Rule, User};
use safeconduct_testkit::oauth;
use safeconduct_testkit::server::{McpServer, Options};
use safeconduct_testkit::verify::Trust;
use safeconduct_testkit::wire::Fault;
use serde_json::{Value, json};

use crate::program::{Ran, directory, safeconduct};
use crate::serve::Served;

struct World {
    here: PathBuf,
    idp: Idp,
    _server: McpServer,
    secret: String,
}

impl World {
    async fn new(name: &str) -> Self {
        let (here, idp) = (directory(name), Idp::start().await.unwrap());
        idp.add_user(User::new("alice", &["support"]));
        let (client, secret) = oauth::Client::basic("gateway");
        idp.add_client(client);
        idp.allow(Rule::new("gateway", "mcp-server", "backend").scope("mcp:tools:call", "api:read"));
        let server = McpServer::start(Options::default()).await.unwrap();
        let world = Self { here, idp, _server: server, secret };
        world.write(&world.configuration());
        let policy = "permit (principal in Group::\"corp/support\", action, resource in Server::\"orders\");";
        std::fs::write(world.here.join("some.cedar"), policy).unwrap();
        std::fs::write(world.here.join("secret"), &world.secret).unwrap();
        world
    }

    fn configuration(&self) -> String {
        format!(
            "listen: 127.0.0.1:1\nissuers:\n  corp: {{ issuer: '{idp}', audience: [mcp-server] }}\n\
             clients:\n  gateway: {{ client_id: gateway, client_secret: file:secret }}\n\
             servers:\n  orders:\n    url: '{server}'\n    credential:\n      - exchange: {{ token_endpoint: '{token}', client: gateway, audience: backend, scopes: [api:read] }}\n\
             policy: some.cedar\n",
            idp = self.idp.issuer(),
            server = self._server.url(),
            token = self.idp.token_endpoint(),
        )
    }

    /// The same with another chain.
    fn chain(&self, steps: &[String]) {
        let configuration = self.configuration();
        let kept = configuration.lines().filter(|line| !line.contains("- exchange:"));
        let with = |line: &str| match line.trim() {
            "credential:" => format!(
                "{line}\n{}\n",
                steps.iter().map(|step| format!("      - {step}")).collect::<Vec<_>>().join("\n")
            ),
            _ => format!("{line}\n"),
        };
        self.write(&kept.map(with).collect::<String>());
    }

    fn write(&self, file: &str) {
        std::fs::write(self.here.join("safeconduct.yaml"), file).unwrap();
    }

    fn token(&self) -> String {
        let mint = Mint::user("alice").audience("mcp-server").scopes("mcp:tools:call");
        self.idp.issue(&mint.lifetime(Duration::from_secs(600)))
    }

    async fn ran(&self, token: &str, arguments: &[&'static str]) -> Ran {
        std::fs::write(self.here.join("token.jwt"), token).unwrap();
        let (here, arguments) = (self.here.clone(), arguments.to_vec());
        let ran = tokio::task::spawn_blocking(move || safeconduct(&here, &[], &arguments)).await.unwrap();
        let seen = ran.transcript();
        assert!(!seen.contains(&self.secret), "the client's secret is shown: {seen}");
        let signature = token.rsplit('.').next().unwrap();
        assert!(signature.len() < 20 || !seen.contains(signature), "the token's signature is shown: {seen}");
        ran
    }

    async fn doctor(&self) -> (Ran, Value) {
        let token = self.token();
        let ran = self.ran(&token, &["doctor", "--token-file", "token.jwt", "--output", "json"]).await;
        let answer = serde_json::from_str(&ran.data).unwrap_or_else(|_| panic!("{}", ran.transcript()));
        (ran, answer)
    }

    /// The check fails, alone with those that depend on it, and its remedy speaks of this.
    async fn fails(&self, about: &str, check: &str, words: &[&str]) {
        let (ran, answer) = self.doctor().await;
        let found = find(&answer, about, check);
        assert_eq!((ran.code, &found["outcome"]), (1, &json!("fail")), "{}", ran.transcript());
        let text = format!("{} {}", found["found"], found["remedy"]);
        for words in words {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}

fn find<'a>(answer: &'a Value, about: &str, check: &str) -> &'a Value {
    let checks = answer["checks"].as_array().unwrap();
    let wanted = |it: &&Value| it["about"] == about && it["check"].as_str().unwrap().starts_with(check);
    checks.iter().find(wanted).unwrap_or_else(|| panic!("no check {about}, {check}: {answer:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_healthy_world_no_check_fails_and_each_is_made_once() {
    let world = World::new("doctor-healthy").await;
    let (ran, answer) = world.doctor().await;
    assert_eq!((ran.code, &answer["ok"]), (0, &json!(true)), "{}", ran.transcript());
    for (about, check, words) in [
        ("issuer corp", "discovery", ".well-known/openid-configuration"),
        ("issuer corp", "keys", "ES256"),
        ("issuer corp", "clock", "within"),
        ("issuer corp", "login", "PKCE"),
        ("client gateway", "authentication at", "known there, by client_secret_basic"),
        ("server orders", "answers", "protocol 2025-11-25"),
        ("server orders", "token", "User::\"corp/alice\"; groups: support; scopes: mcp:tools:call"),
        ("server orders", "chain", "exchange: a JWT for backend of alice, scopes api:read"),
    ] {
        let found = find(&answer, about, check);
        assert_eq!(found["outcome"], "ok", "{}", ran.transcript());
        assert!(found["found"].as_str().unwrap().contains(words), "{words}: {found}");
    }
    assert_eq!(find(&answer, "gateway at http://127.0.0.1:1", "running")["outcome"], "note");
    let numbers: Vec<u64> =
        answer["checks"].as_array().unwrap().iter().map(|it| it["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    // One question for the client, one exchange for the chain: a provider is not hammered.
    assert_eq!(world.idp.exchanges(), 2);
    let text = world.ran(&world.token(), &["doctor"]).await;
    assert_eq!(text.code, 0, "{}", text.transcript());
    assert!(text.data.contains("issuer corp\n   1 ok   discovery: "), "{}", text.data);
    assert!(text.data.ends_with("7 checks: 6 ok, 1 note\n"), "{}", text.data);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_goes_by_another_name_is_found_out_and_told_apart() {
    let world = World::new("doctor-issuer").await;
    let slash = format!("issuer: '{}/'", world.idp.issuer());
    world.write(&world.configuration().replace(&format!("issuer: '{}'", world.idp.issuer()), &slash));
    world.fails("issuer corp", "discovery", &["slash", "issuers.corp.issuer"]).await;
    world.fails("issuer corp", "keys", &["another issuer", "SC-A04"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_down_or_has_no_keys_fails_its_checks() {
    let world = World::new("doctor-down").await;
    let keys = world.idp.jwks_uri().replacen(world.idp.issuer(), "", 1);
    world.idp.faults().at(&keys, 100, Fault::Status(StatusCode::OK, r#"{"keys":[]}"#.into()));
    world.fails("issuer corp", "keys", &["no key that can verify tokens", "2048 bits"]).await;
    world.idp.stop();
    world.fails("issuer corp", "discovery", &["refused", "does it run"]).await;
    world.fails("client gateway", "authentication", &["refused"]).await;
    world.fails("server orders", "token", &["SC-A04"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_wrong_secret_is_refused_and_the_chain_says_so_too() {
    let world = World::new("doctor-client").await;
    std::fs::write(world.here.join("secret"), "another-secret-altogether").unwrap();
    world.fails("client gateway", "authentication", &["invalid_client", "client_id"]).await;
    world.fails("server orders", "chain", &["SC-C05"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_somebody_else_says_whom_it_is_for_and_what_is_accepted() {
    let world = World::new("doctor-audience").await;
    world.write(&world.configuration().replace("audience: [mcp-server]", "audience: [other-server]"));
    let words = ["SC-A03", "mcp-server", "other-server", "issuers.NAME.audience"];
    world.fails("server orders", "token", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_own_words_are_shown_and_explained() {
    let world = World::new("doctor-words").await;
    let refusal =
        json!({ "error": "access_denied", "error_description": "Client is not within the token audience" });
    let endpoint = world.idp.token_endpoint().replacen(world.idp.issuer(), "", 1);
    // The first question is the client's, which is refused like any other.
    world.idp.faults().at(&endpoint, 2, Fault::Status(StatusCode::FORBIDDEN, refusal.to_string()));
    let words = ["SC-C02", "Client is not within the token audience", "not in the `aud`", "setup keycloak"];
    world.fails("server orders", "chain", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_or_is_elsewhere_fails() {
    let world = World::new("doctor-server").await;
    let (url, configuration) = (world._server.url(), world.configuration());
    world.write(&configuration.replace(&url, &format!("{url}/not-here")));
    world.fails("server orders", "answers", &["404", "MCP endpoint"]).await;
    world.write(&configuration.replace(&url, "http://127.0.0.1:1/mcp"));
    world.fails("server orders", "answers", &["refused", "does it run"]).await;
}

const PROVIDER: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/mcp/providers/corp";

#[tokio::test(flavor = "multi_thread")]
async fn google_is_asked_whom_it_sees_and_its_sentences_are_explained() {
    let world = World::new("doctor-google").await;
    let trust = Trust { issuer: world.idp.issuer().into(), audiences: vec!["mcp-server".into()] };
    let pool = google::Pool { provider: PROVIDER.into(), trust, groups: Vec::new() };
    let analyst =
        google::Account { email: "analyst@p.iam.gserviceaccount.com".into(), users: vec!["alice".into()] };
    let google = Google::start(pool, vec![analyst], Clock::system()).await.unwrap();
    let sts = |audience: &str| {
        format!(
            "google_sts: {{ audience: '{audience}', token_endpoint: '{}', scopes: [s] }}",
            google.token_endpoint()
        )
    };
    let account = |name: &str| {
        format!(
            "google_impersonate: {{ service_account: {name}@p.iam.gserviceaccount.com, endpoint: '{}', scopes: [s] }}",
            google.url()
        )
    };
    world.chain(&[sts(PROVIDER)]);
    let (ran, answer) = world.doctor().await;
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let seen = find(&answer, "server orders", "principal");
    let principal =
        "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/mcp/subject/alice";
    assert_eq!(seen["details"]["principal"], principal, "{seen}");
    world.chain(&[sts(PROVIDER), account("analyst")]);
    let (ran, answer) = world.doctor().await;
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let seen = find(&answer, "server orders", "principal");
    assert_eq!(seen["details"]["principal"], "analyst@p.iam.gserviceaccount.com", "{seen}");
    assert!(!ran.transcript().contains("ya29"), "a token is shown: {}", ran.transcript());
    world.chain(&[sts(PROVIDER), account("nobody")]);
    world
        .fails(
            "server orders",
            "chain",
            &["google_sts: an opaque token", "SC-C02", "may not act as this service account", "setup google"],
        )
        .await;
    world.chain(&[sts(&PROVIDER.replace("/corp", "/other"))]);
    world.fails("server orders", "chain", &["SC-C02", "no such pool or provider", "project's NUMBER"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_is_asked_whom_it_sees_and_its_sentences_are_explained() {
    let world = World::new("doctor-aws").await;
    let trust = |audience: &str| Trust {
        issuer: world.idp.issuer().into(),
        audiences: vec![audience.into(), "mcp-client".into()],
    };
    let roles = vec![Role::for_callers("Mcp", &[])];
    let aws = Aws::start(trust("mcp-server"), roles.clone(), Clock::system()).await.unwrap();
    let step = |aws: &Aws, role: &str| {
        format!(
            "aws_web_identity: {{ region: eu-central-1, endpoint: '{}', role: 'arn:aws:iam::123456789012:role/{role}' }}",
            aws.url()
        )
    };
    let deliver = |step: String| {
        [format!("{step}\n    deliver: {{ sigv4: {{ region: us-east-1, service: aws-mcp }} }}")]
    };
    world.chain(&deliver(step(&aws, "Mcp")));
    let (ran, answer) = world.doctor().await;
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let seen = find(&answer, "server orders", "principal");
    assert_eq!(seen["details"]["arn"], "arn:aws:sts::123456789012:assumed-role/Mcp/alice", "{seen}");
    let issued = aws.account().issued();
    assert!(issued.iter().all(|keys| !ran.data.contains(&keys.secret) && !ran.data.contains(&keys.token)));
    assert!(find(&answer, "server orders", "chain")["found"].as_str().unwrap().contains(&issued[0].id));
    world.chain(&deliver(step(&aws, "Other")));
    world.fails("server orders", "chain", &["SC-C02", "trust policy", "setup aws"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_runs_is_looked_at_as_its_clients_see_it() {
    let world = World::new("doctor-gateway").await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let configuration = world
        .configuration()
        .replace("listen: 127.0.0.1:1\n", &format!("listen: {free}\naudit: {{ file: audit.jsonl }}\n"));
    world.write(&configuration);
    let here = world.here.clone();
    let served = tokio::task::spawn_blocking(move || {
        let served = Served::spawn(here, &["serve"]);
        served.says(&free.to_string());
        served
    });
    let served = served.await.unwrap();
    let (ran, answer) = world.doctor().await;
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let about = format!("gateway at http://{free}");
    for check in ["metadata of orders", "challenge of orders"] {
        assert_eq!(find(&answer, &about, check)["outcome"], "ok", "{}", ran.transcript());
    }
    // Another name for the same place: what a client is told there is of another resource.
    let alias = format!("http://localhost:{}", free.port());
    world.write(&configuration.replace("issuers:", &format!("public_url: {alias}\nissuers:")));
    let about = format!("gateway at {alias}");
    world.fails(&about, "metadata of orders", &["public_url"]).await;
    drop(served);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_wrongly_exits_with_2() {
    let world = World::new("doctor-usage").await;
    let token = world.token();
    for arguments in [
        &["doctor", "--server", "ordres"] as &[&'static str],
        &["doctor", "--token-file", "not-there.jwt"],
        &["doctor", "--config", "not-there.yaml"],
        &["token", "exchange", "--server", "ordres", "--token-file", "token.jwt"],
        &["token", "exchange"],
    ] {
        let ran = world.ran(&token, arguments).await;
        assert_eq!((ran.code, ran.data.as_str()), (2, ""), "{arguments:?}: {}", ran.transcript());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_run_by_hand_shows_claims_before_and_after_and_no_token() {
    let world = World::new("exchange").await;
    let token = world.token();
    let ran =
        world.ran(&token, &["token", "exchange", "--token-file", "token.jwt", "--output", "json"]).await;
    let answer: Value = serde_json::from_str(&ran.data).unwrap_or_else(|_| panic!("{}", ran.transcript()));
    assert_eq!((ran.code, &answer["ok"]), (0, &json!(true)), "{}", ran.transcript());
    assert_eq!(answer["subject"]["claims"]["aud"], "mcp-server");
    assert_eq!(answer["caller"]["principal"], "User::\"corp/alice\"");
    let step = &answer["steps"][0];
    assert_eq!((&step["step"], &step["endpoint"]), (&json!("exchange"), &json!(world.idp.token_endpoint())));
    assert_eq!(step["granted"]["claims"]["aud"], "backend");
    assert_eq!(step["granted"]["claims"]["sub"], "alice");
    assert_eq!(step["granted"]["scopes"], json!(["api:read"]));
    assert!(!ran.data.contains("eyJ"), "a part of a token is shown: {}", ran.data);
    let text = world.ran(&token, &["token", "exchange", "--token-file", "token.jwt"]).await;
    assert_eq!(text.code, 0);
    for words in
        ["OK the step of orders granted", "believed as  User::\"corp/alice\"", "step 1: exchange", "backend"]
    {
        assert!(text.data.contains(words), "{words}: {}", text.data);
    }
    assert!(!text.data.contains("eyJ"), "{}", text.data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_fails_names_the_step_the_code_and_what_to_do() {
    let world = World::new("exchange-fails").await;
    world.idp.allow_nothing();
    let token = world.token();
    let ran =
        world.ran(&token, &["token", "exchange", "--token-file", "token.jwt", "--output", "json"]).await;
    let answer: Value = serde_json::from_str(&ran.data).unwrap_or_else(|_| panic!("{}", ran.transcript()));
    assert_eq!((ran.code, &answer["ok"]), (1, &json!(false)));
    assert_eq!(
        (&answer["refusal"]["step"], &answer["refusal"]["code"]),
        (&json!("exchange"), &json!("SC-C02"))
    );
    assert!(answer["refusal"]["remedy"].as_str().unwrap().contains("scopes"));
    assert!(answer["steps"][0].get("granted").is_none());
    let stranger = world.idp.issue(&Mint::user("alice").audience("somebody-else"));
    let ran = world.ran(&stranger, &["token", "exchange", "--token-file", "token.jwt"]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.data.starts_with("FAILED SC-A03"), "{}", ran.data);
    assert_eq!(world.idp.exchanges(), 1, "nobody is asked for a caller that is not believed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_token_is_printed_only_when_asked_for_and_then_nothing_else() {
    let world = World::new("exchange-print").await;
    let ran =
        world.ran(&world.token(), &["token", "exchange", "--token-file", "token.jwt", "--print-token"]).await;
    assert_eq!(ran.code, 0, "{}", ran.people);
    assert_eq!(ran.data.lines().count(), 1);
    let inspected = world.ran(ran.data.trim(), &["token", "inspect", "token.jwt", "--output", "json"]).await;
    let claims: Value = serde_json::from_str(&inspected.data).unwrap();
    assert_eq!((&claims["claims"]["aud"], &claims["claims"]["sub"]), (&json!("backend"), &json!("alice")));
    assert!(ran.people.contains("step 1: exchange") && !ran.people.contains("eyJ"), "{}", ran.people);
    world.idp.allow_nothing();
    let refused =
        world.ran(&world.token(), &["token", "exchange", "--token-file", "token.jwt", "--print-token"]).await;
    assert_eq!((refused.code, refused.data.as_str()), (1, ""));
}
