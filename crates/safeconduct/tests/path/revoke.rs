//! Logins that are ended before their tokens: by their issuer's logout token, and by an order on the admin listener.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use safeconduct_testkit::client::{Answer, Client, Events};
use safeconduct_testkit::idp::{Logout, Mint};
use safeconduct_testkit::keys::claims_of;
use safeconduct_testkit::wire::fetch::{self, Fetched};
use safeconduct_testkit::wire::{Fault, Form};
use serde_json::{Value, json};

use crate::audit::line_of;
use crate::patience::{until, within};
use crate::world::{AUDIENCE, HOUR, Plan, World};

/// Client id of the gateway at the issuer, as the receiver of logouts.
const RECEIVER: &str = "safeconduct";

/// A world whose gateway takes orders and logouts.
pub(crate) fn plan() -> Plan {
    Plan {
        top: "admin: 127.0.0.1:0".into(),
        issuer: format!("    backchannel_logout: {{ audience: {RECEIVER} }}"),
        ..Plan::default()
    }
}

impl World {
    /// Orders what `safeconduct revoke` orders.
    pub(crate) async fn order(&self, order: &Value) -> Fetched {
        self.order_with(order, &[("content-type", "application/json"), ("x-safeconduct-order", "revoke")])
            .await
    }

    async fn order_with(&self, order: &Value, headers: &[(&str, &str)]) -> Fetched {
        let admin = self.gateway.as_ref().unwrap().admin.unwrap();
        let mut request = Request::post(format!("http://{admin}/revoke"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        within(fetch::fetch(request.body(Bytes::from(order.to_string())).unwrap())).await.unwrap()
    }

    /// Sends a logout token as the issuer does.
    pub(crate) async fn log_out(&self, token: &str) -> Fetched {
        self.post_logout("corp", &format!("logout_token={token}")).await
    }

    async fn post_logout(&self, issuer: &str, form: &str) -> Fetched {
        let request = Request::post(format!("{}/backchannel-logout/{issuer}", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form.to_owned()))
            .unwrap();
        within(fetch::fetch(request)).await.unwrap()
    }

    fn token_of(&self, user: &str, sid: &str) -> String {
        let mint = Mint::user(user).audience(AUDIENCE).scopes("backend-mcp:tools:call").claim("sid", sid);
        self.idp.issue(&mint.lifetime(HOUR))
    }

    /// Logs in anew until the gateway lets the user in: a token of the second of the revocation may be from before it.
    async fn log_in_again(&self, user: &str) -> Client {
        until(async || calls(&self.modern(user)).await).await;
        self.modern(user)
    }
}

async fn calls(client: &Client) -> bool {
    client.call("echo", json!({"text": "x"})).await.unwrap().text() == "x"
}

fn code(answer: &Answer) -> Value {
    answer.message()["error"]["data"]["code"].clone()
}

/// Everything that a caller may have going on.
struct Life {
    client: Client,
    legacy: Client,
    standing: Events,
    listening: Events,
    asking: Events,
    held: tokio::task::JoinHandle<std::io::Result<Answer>>,
}

impl Life {
    async fn of(world: &World, token: &str) -> Self {
        let client = || Client::modern(&world.url()).bearer(token);
        let legacy = Client::legacy(&world.url()).bearer(token);
        assert_eq!(legacy.connect().await.unwrap().status, 200);
        let standing = within(legacy.listen(None)).await.unwrap();
        assert_eq!(standing.status, 200);
        let wanted = json!({"notifications": {"toolsListChanged": true}});
        let mut listening = within(client().open("subscriptions/listen", wanted)).await.unwrap();
        assert!(within(listening.next_message()).await.unwrap().is_some());
        let mut asking =
            within(legacy.open("tools/call", json!({"name": "ask", "arguments": {}}))).await.unwrap();
        assert!(within(asking.next_message()).await.unwrap().is_some());
        let before = world.server().log().count();
        let holding = client();
        let held = tokio::spawn(async move { holding.call("hold", json!({})).await });
        assert!(world.server().log().reaches(before + 1).await);
        let client = client();
        assert!(calls(&client).await && calls(&legacy).await);
        Self { client, legacy, standing, listening, asking, held }
    }

    /// All of it has ended, and nothing of it is let in again.
    async fn has_ended(mut self) {
        for stream in [&mut self.standing, &mut self.asking, &mut self.listening] {
            // A subscription is completed; nothing else comes.
            while let Some(last) = within(stream.next_message()).await.unwrap() {
                assert_eq!(last["result"]["resultType"], "complete", "{last}");
            }
        }
        let held = within(self.held).await.unwrap().unwrap();
        assert_eq!((held.status, code(&held)), (StatusCode::UNAUTHORIZED, json!("SC-A02")));
        for client in [&self.client, &self.legacy] {
            let refused = client.call("echo", json!({})).await.unwrap();
            assert_eq!((refused.status, code(&refused)), (StatusCode::UNAUTHORIZED, json!("SC-A02")));
            assert!(refused.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
        }
        assert_eq!(self.legacy.listen(None).await.unwrap().status, 401);
    }

    /// All of it goes on.
    async fn goes_on(mut self, world: &World) {
        assert!(calls(&self.client).await && calls(&self.legacy).await);
        world.server().announce("notifications/tools/list_changed", &json!({}));
        for stream in [&mut self.standing, &mut self.listening] {
            assert!(within(stream.next_message()).await.unwrap().unwrap()["method"].is_string());
        }
        world.server().release();
        assert_eq!(within(self.held).await.unwrap().unwrap().text(), "released");
    }
}

/// Edge: 69, 76
#[tokio::test(flavor = "multi_thread")]
async fn an_order_ends_everything_of_one_caller_within_a_second_and_nothing_of_another() {
    let mut world = World::with(plan()).await;
    let alice = Life::of(&world, &world.token("alice")).await;
    let carol = Life::of(&world, &world.token("carol")).await;
    let session = alice.legacy.session();
    let bought = world.idp.exchanges();
    let began = Instant::now();
    let done = world.order(&json!({"issuer": "corp", "subject": "alice"})).await;
    alice.has_ended().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((done.status, &done.json()["credentials"]), (StatusCode::OK, &json!(1)), "{}", done.json());
    assert_eq!((&done.json()["issuer"], &done.json()["subject"]), (&json!("corp"), &json!("alice")));
    carol.goes_on(&world).await;
    assert_eq!(world.idp.exchanges(), bought, "nothing was bought for her, nor for anybody");

    let again = world.log_in_again("alice").await;
    assert_eq!(world.idp.exchanges(), bought + 1, "with a credential of her new login");
    let before = Client::legacy(&world.url()).bearer(&world.token("alice"));
    before.set_session(session.as_deref());
    assert_eq!(before.list("tools").await.unwrap().status, 404, "her session from before is unknown");
    assert_eq!(before.connect().await.unwrap().status, 200);
    assert!(calls(&again).await && calls(&before).await);

    let lines = world.audit().await;
    let line = lines.iter().find(|line| line["method"] == "revoke").unwrap();
    assert_eq!((&line["target"], &line["outcome"]), (&json!("corp/alice"), &json!("answered")));
    assert_eq!(line["detail"], "revoked by admin");
    let ended = |outcome: &str| {
        let of = |line: &&Value| line["principal"]["subject"] == "alice" && line["outcome"] == outcome;
        lines.iter().filter(of).count()
    };
    assert!(ended("refused") >= 4, "{lines:#?}");
}

/// Edge: 71, 69
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_of_the_issuer_ends_everything_of_the_caller_within_a_second() {
    let mut world = World::with(plan()).await;
    let alice = Life::of(&world, &world.token("alice")).await;
    let carol = Life::of(&world, &world.token("carol")).await;
    let token = world.idp.logout_token(&Logout::of(RECEIVER).subject("alice"));
    let began = Instant::now();
    let done = world.log_out(&token).await;
    assert_eq!((done.status, done.body.len()), (StatusCode::OK, 0));
    assert_eq!(done.header("cache-control"), Some("no-store"));
    alice.has_ended().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    carol.goes_on(&world).await;
    world.log_in_again("alice").await;
    let lines = world.audit_of("logout").await;
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["target"], &lines[0]["outcome"], &lines[0]["detail"]),
        (&json!("corp/alice"), &json!("answered"), &json!("revoked by issuer"))
    );
}

/// Edge: 73
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_alone() {
    let world = World::with(plan()).await;
    let client = |sid: &str| Client::modern(&world.url()).bearer(&world.token_of("alice", sid));
    let (one, two, third) = (client("s1"), client("s2"), client("s3"));
    assert!(calls(&one).await && calls(&two).await && calls(&third).await);
    let session = Client::legacy(&world.url()).bearer(&world.token_of("alice", "s2"));
    assert_eq!(session.connect().await.unwrap().status, 200);
    let logout = Logout::of(RECEIVER).subject("alice").session("s1");
    assert_eq!(world.log_out(&world.idp.logout_token(&logout)).await.status, 200);
    assert_eq!(one.list("tools").await.unwrap().status, 401);
    assert!(calls(&two).await && calls(&third).await && calls(&session).await);
    let done = world.order(&json!({"sid": "s2"})).await;
    assert_eq!(done.json()["credentials"], 1, "{}", done.json());
    assert_eq!(two.list("tools").await.unwrap().status, 401);
    assert!(calls(&third).await);
    // The MCP session was opened in the login that ended: in another one it is unknown.
    let stale = Client::legacy(&world.url()).bearer(&world.token_of("alice", "s3"));
    stale.set_session(session.session().as_deref());
    assert_eq!(stale.list("tools").await.unwrap().status, 404);
    let logout = Logout::of(RECEIVER).session("s3");
    assert_eq!(world.log_out(&world.idp.logout_token(&logout)).await.status, 200);
    assert_eq!(third.list("tools").await.unwrap().status, 401);
}

/// Edge: 72
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_is_none_is_refused_and_ends_nothing() {
    let mut world = World::with(plan()).await;
    let (alice, carol) = (world.modern("alice"), world.modern("carol"));
    assert!(calls(&alice).await && calls(&carol).await);
    let good = || Logout::of(RECEIVER).subject("alice");
    let now = world.idp.logout_token(&good());
    let now = claims_of(&now)["iat"].as_u64().unwrap();
    let bad = [
        good().claim("iss", "https://evil.example"),
        Logout::of("another-client").subject("alice"),
        good().typ("at+jwt"),
        good().typ("JWT"),
        good().claim("nonce", "n"),
        good().claim("events", Value::Null),
        good().claim("jti", Value::Null),
        good().claim("exp", now - 1),
        good().claim("sub", Value::Null),
    ];
    for logout in &bad {
        let answer = world.log_out(&world.idp.logout_token(logout)).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (StatusCode::BAD_REQUEST, &json!("SC-A05")),
            "{logout:?}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.json()["error"], "invalid_request");
    }
    let token = world.idp.logout_token(&good());
    let (signed, _) = token.rsplit_once('.').unwrap();
    for form in [
        String::new(),
        "logout_token=".into(),
        format!("logout_token={signed}."),
        format!("logout_token={token}&logout_token={token}"),
        format!("logout_token={}", "x".repeat(40_000)),
        format!("logout_token={}", world.token("alice")),
    ] {
        assert!(world.post_logout("corp", &form).await.status.is_client_error(), "{form:.40}");
    }
    assert_eq!(world.post_logout("other", &format!("logout_token={token}")).await.status, 404);
    let get = Request::get(format!("{}/backchannel-logout/corp", world.base)).body(Bytes::new()).unwrap();
    assert_eq!(fetch::fetch(get).await.unwrap().status, 405);
    assert!(calls(&alice).await, "nothing was ended");
    // The same token, with what an issuer may send besides, is good; once.
    let form = format!("state=x&logout_token={token}&logout_tokens=1");
    assert_eq!(world.post_logout("corp", &form).await.status, 200);
    assert_eq!(alice.list("tools").await.unwrap().status, 401);
    let again = world.log_in_again("alice").await;
    assert_eq!(world.post_logout("corp", &form).await.status, 400, "a replay");
    assert!(calls(&again).await && calls(&carol).await);
    let refused = world.audit_of("logout").await;
    assert!(refused.iter().any(|line| line["detail"] == "this logout token was used before"), "{refused:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logouts_are_paced_before_they_are_looked_at() {
    let world = World::with(plan()).await;
    let mut statuses = std::collections::BTreeMap::new();
    for _ in 0..8 {
        let some: Vec<_> = (0..100).map(|_| world.post_logout("corp", "logout_token=x")).collect();
        for answer in futures_util::future::join_all(some).await {
            *statuses.entry(answer.status.as_u16()).or_insert(0) += 1;
        }
    }
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [400, 429], "{statuses:?}");
    assert!(world.modern("alice").connect().await.unwrap().status == 200);
    // A logout that is in time again is heeded.
    let token = || world.idp.logout_token(&Logout::of(RECEIVER).subject("alice"));
    until(async || world.log_out(&token()).await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_a_web_page_could_send_is_not_obeyed() {
    let world = World::with(plan()).await;
    let alice = world.modern("alice");
    assert!(calls(&alice).await);
    let order = json!({"subject": "alice"});
    let (kind, meant) = (("content-type", "application/json"), ("x-safeconduct-order", "revoke"));
    let refused: [&[(&str, &str)]; 6] = [
        &[],
        &[kind],
        &[("content-type", "text/plain"), meant],
        &[kind, meant, ("origin", "https://evil.example")],
        &[kind, meant, ("sec-fetch-site", "same-origin")],
        &[kind, meant, ("host", "rebound.evil.example:9090")],
    ];
    for headers in refused {
        assert_eq!(world.order_with(&order, headers).await.status, 403, "{headers:?}");
    }
    for (order, status) in [
        (json!({}), 400),
        (json!({"subject": ""}), 400),
        (json!({"subject": "alice", "tenant": "x"}), 400),
        (json!(["alice"]), 400),
        (json!({"issuer": "nobody", "subject": "alice"}), 404),
        (json!({"subject": "a".repeat(20_000)}), 413),
    ] {
        assert_eq!(world.order(&order).await.status, status, "{order:.60}");
    }
    assert!(calls(&alice).await, "nothing was ended");
    let issuer = world.idp.issuer().to_owned();
    assert_eq!(world.order(&json!({"issuer": issuer, "subject": "alice"})).await.status, 200);
    assert_eq!(alice.list("tools").await.unwrap().status, 401);
}

/// Edge: 76
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_whose_fetch_began_before_the_revocation_is_not_sent_and_not_kept() {
    let world = World::with(plan()).await;
    let alice = world.modern("alice");
    world.idp.faults().at("/token", 1, Fault::Delay(Duration::from_millis(600)));
    let call = tokio::spawn(async move { alice.call("echo", json!({"text": "x"})).await });
    until(async || world.idp.exchanges() == 1).await;
    let done = world.order(&json!({"subject": "alice"})).await;
    assert_eq!(done.json()["credentials"], 0);
    let answer = within(call).await.unwrap().unwrap();
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.server().log().count(), 0, "nothing was sent");
    world.log_in_again("alice").await;
    assert_eq!(world.idp.exchanges(), 2, "and nothing was kept");
    let form: Form = world.idp.log().to("/token").pop().unwrap().form();
    let subject = claims_of(form.one("subject_token").unwrap());
    let first = claims_of(world.idp.log().to("/token")[0].form().one("subject_token").unwrap());
    assert!(subject["iat"].as_u64() > first["iat"].as_u64(), "it was bought with the new login's token");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_introspection_said_is_not_believed_after_a_revocation() {
    let mut plan = plan();
    plan.issuer += "\n    introspection: { endpoint: \"@IDP@/introspect\", client: gateway }";
    let world = World::with(plan).await;
    let mint = Mint::user("alice").audience(AUDIENCE).scopes("backend-mcp:tools:call");
    let opaque =
        || Client::legacy(&format!("{}/other/mcp", world.base)).bearer(&world.idp.mint_opaque(&mint));
    let client = opaque();
    assert_eq!(client.connect().await.unwrap().status, 200);
    let asked = world.idp.log().to("/introspect").len();
    assert_eq!(client.list("tools").await.unwrap().status, 200);
    assert_eq!(world.idp.log().to("/introspect").len(), asked, "remembered");
    let done = world.order(&json!({"subject": "alice"})).await;
    assert_eq!(done.json()["tokens"], 1);
    assert_eq!(client.list("tools").await.unwrap().status, 401);
    until(async || opaque().connect().await.unwrap().status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_a_shared_server_are_unknown_after_a_revocation() {
    let credential = "none".to_owned();
    let world = World::with(Plan { behind: crate::world::Behind::Scripted, credential, ..plan() }).await;
    world.backend().results(json!({"resultType": "task", "taskId": "t-1"}));
    let alice = world.modern("alice");
    assert_eq!(alice.call("echo", json!({})).await.unwrap().result()["taskId"], "t-1");
    world.backend().results(json!({"resultType": "complete", "taskId": "t-1"}));
    let policies =
        format!("{}permit (principal, action, resource in Server::\"orders\");", crate::world::POLICIES);
    std::fs::write(world.dir.join("policies/orders.cedar"), policies).unwrap();
    let gateway = world.gateway.as_ref().unwrap();
    tokio::task::block_in_place(|| gateway.hang_up(&world.config()));
    let get = json!({"taskId": "t-1"});
    assert_eq!(alice.request("tasks/get", get.clone()).await.unwrap().result()["taskId"], "t-1");
    assert_eq!(world.order(&json!({"subject": "alice"})).await.status, 200);
    until(async || world.modern("alice").list("tools").await.unwrap().status == 200).await;
    let unknown = world.modern("alice").request("tasks/get", get).await.unwrap();
    assert_eq!(code(&unknown), "SC-D17");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_brings_no_revoked_login_back() {
    let world = World::with(plan()).await;
    let (alice, session) = (world.modern("alice"), world.legacy("alice").await);
    assert!(calls(&alice).await);
    assert_eq!(world.order(&json!({"subject": "alice"})).await.status, 200);
    let gateway = world.gateway.as_ref().unwrap();
    let text = std::fs::read_to_string(world.config()).unwrap();
    std::fs::write(world.config(), text.replace("audience: [mcp-server]", "audience: [mcp-server, more]"))
        .unwrap();
    tokio::task::block_in_place(|| gateway.hang_up(&world.config()));
    assert_eq!(alice.list("tools").await.unwrap().status, 401);
    assert_eq!(session.list("tools").await.unwrap().status, 401);
    world.log_in_again("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_revocation_is_counted_by_whose_it_was() {
    let world = World::with(plan()).await;
    world.order(&json!({"subject": "alice"})).await;
    world.log_out(&world.idp.logout_token(&Logout::of(RECEIVER).subject("bob"))).await;
    world.log_out(&world.idp.logout_token(&Logout::of(RECEIVER).subject("bob"))).await;
    let admin = world.gateway.as_ref().unwrap().admin.unwrap();
    let metrics = fetch::get(&format!("http://{admin}/metrics")).await.unwrap();
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in
        ["safeconduct_revocations_total{by=\"issuer\"} 2", "safeconduct_revocations_total{by=\"admin\"} 1"]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert_eq!(fetch::get(&format!("http://{admin}/status")).await.unwrap().json()["revocations"], 3);
    // A page that calls this listener by a name of its own (DNS rebinding) is told nothing of it.
    let page = |path: &str| {
        let request = Request::get(format!("http://{admin}{path}")).header("host", "page.example");
        fetch::fetch(request.body(Bytes::new()).unwrap())
    };
    for (path, status) in [("/metrics", 200), ("/readyz", 200), ("/status", 403), ("/logs/orders", 403)] {
        assert_eq!(page(path).await.unwrap().status, status, "{path}");
    }
}

/// Whoever keeps processes for callers hears of each revocation.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_told_whose_logins_ended() {
    use std::sync::{Arc, Mutex};

    use safeconduct::app::Follower;
    use safeconduct_core::revocation::{Revocation, Whose};

    #[derive(Default)]
    struct Heard(Mutex<Vec<Whose>>);

    impl Follower for Heard {
        fn revoked(&self, revocation: &Revocation) {
            self.0.lock().unwrap().push(revocation.whose.clone());
        }
    }

    let world = World::with(plan()).await;
    let heard = Arc::new(Heard::default());
    world.gateway.as_ref().unwrap().tell_of_revocations(heard.clone());
    world.order(&json!({"subject": "alice"})).await;
    world.log_out(&world.idp.logout_token(&Logout::of(RECEIVER).session("s1"))).await;
    let expected = [Whose::Subject("alice".into()), Whose::Session { sid: "s1".into(), subject: None }];
    assert_eq!(*heard.0.lock().unwrap(), expected);
}

/// What was refused before the token was looked at has its record, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_caller_is_told_to_log_in_again() {
    let mut world = World::with(plan()).await;
    let alice = world.modern("alice");
    assert!(calls(&alice).await);
    world.order(&json!({"subject": "alice"})).await;
    let refused = alice.call("echo", json!({})).await.unwrap();
    let line = line_of(&world.audit().await, &refused);
    assert_eq!(
        (&line["code"], &line["detail"]),
        (&json!("SC-A02"), &json!("the login that it is of was ended"))
    );
    assert_eq!((&line["fault"], &line["backend"]), (&json!("caller"), &Value::Null));
}

/// Edge: 68, 70
#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_with_a_newer_token_of_its_caller_and_with_nobody_elses() {
    let world = World::with(plan()).await;
    let alice = world.legacy("alice").await;
    let on_session = |token: &str| {
        let client = Client::legacy(&world.url()).bearer(token);
        client.set_session(alice.session().as_deref());
        client
    };
    let newer = on_session(&world.idp.mint("alice", AUDIENCE, "backend-mcp:tools:call", 2 * HOUR));
    assert_eq!(within(newer.listen(None)).await.unwrap().status, 200);
    assert!(calls(&newer).await);
    let other = on_session(&world.token("carol"));
    assert_eq!(within(other.listen(None)).await.unwrap().status, 404);
    assert_eq!(other.end().await.unwrap().status, 404);
    let ended = Mint::user("alice").audience(AUDIENCE).claim("exp", 1_700_000_000);
    assert_eq!(on_session(&world.idp.issue(&ended)).end().await.unwrap().status, 401);
    assert!(calls(&alice).await, "neither ended it");
    assert!(newer.end().await.unwrap().status.is_success());
    assert_eq!(alice.list("tools").await.unwrap().status, 404);
}
