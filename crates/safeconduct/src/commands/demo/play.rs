//! The play: each scene acts as an MCP client would, then looks at what the edges saw.
#![expect(clippy::indexing_slicing, reason = "a member of a JSON value that is not there reads as null")]

use std::error::Error;

use safeconduct_testkit::client::{self, Answer, Client};
use safeconduct_testkit::forge;
use safeconduct_testkit::keys::{claims_of, header_of};
use serde_json::{Value, json};

use super::stage::{AUDIENCE, SCOPE, Stage};
use super::{Crossing, Scene};

pub(super) const ALICE: &str = "alice@example.com";
pub(super) const CAROL: &str = "carol@example.com";
pub(super) const BOB: &str = "bob@example.com";

/// What came of it; an error is a connection that failed, not a claim that did not hold.
pub(super) type Played<T> = Result<T, Box<dyn Error>>;

/// The scenes in which somebody asks for something.
pub(super) async fn all(stage: &Stage) -> Played<Vec<Scene>> {
    Ok(vec![
        same_domain(stage).await?,
        other_domain(stage).await?,
        rights(stage).await?,
        refusals(stage).await?,
    ])
}

async fn same_domain(stage: &Stage) -> Played<Scene> {
    let mut scene = Scene::new(
        "Scenario A: the API trusts the same identity provider",
        "RFC 8693 token exchange at domain A: other audience, other scopes, same person.",
    );
    for user in [ALICE, BOB] {
        let token = stage.token(user);
        let client = connect(stage, user, "orders", &token).await?;
        let answer = client.call("list_orders", json!({})).await?;
        let served_as = served_as(&answer);
        scene.check(
            &format!("{user} calls list_orders and gets orders, by MCP {}", revision(user)),
            answer.text().contains("A-1001") && served_as == user,
            format!("served as {served_as}"),
        );
        let (before, after) = (shown(claims_of(&token)), verified(stage.orders.visits().pop()));
        scene.check("the API verified signature, issuer, audience and scope for real", !after.is_null(), "");
        scene.check(
            "audience mcp-server became backend-server",
            before["aud"] == AUDIENCE && after["aud"] == "backend-server",
            said(&after["aud"]),
        );
        scene.check(
            "the scope became the API's own",
            before["scope"] == SCOPE && after["scope"] == "backend-api:read",
            said(&after["scope"]),
        );
        let same = before["sub"] == after["sub"] && before["iss"] == after["iss"];
        scene.check("issuer and subject stayed", same && after["sub"] == user, said(&after["sub"]));
        scene.crossings.push(Crossing { title: format!("{user}, orders"), before, after });
    }
    Ok(scene)
}

async fn other_domain(stage: &Stage) -> Played<Scene> {
    let [title, about] = stage.b.about();
    let mut scene = Scene::new(title, about);
    for user in stage.b.visitors() {
        let token = stage.visitor_token(user);
        let client = connect(stage, user, "warehouse", &token).await?;
        let answer = client.call("read_warehouse", json!({})).await?;
        scene.check(
            &format!("{user} calls read_warehouse and gets stock"),
            answer.text().contains("bolt-m6"),
            format!("served as {}", served_as(&answer)),
        );
        let before = shown(claims_of(&token));
        let after = stage.b.served(&mut scene, &before, stage.idp.issuer(), user);
        scene.crossings.push(Crossing { title: format!("{user}, warehouse"), before, after });
    }

    let visits = stage.b.visits();
    let client = connect(stage, BOB, "warehouse", &stage.visitor_token(BOB)).await?;
    let answer = client.call("read_warehouse", json!({})).await?;
    let refused = answer.message()["error"]["data"]["code"] == "SC-C02";
    scene.check(
        &format!("{BOB} is permitted here, but domain B refuses the exchange"),
        refused,
        short(&answer),
    );
    let unmoved = stage.b.visits() == visits;
    scene.check("and nothing fell through to the API", unmoved, "");
    Ok(scene)
}

async fn rights(stage: &Stage) -> Played<Scene> {
    let mut scene = Scene::new(
        "Least privilege: per person, per tool, per argument",
        "One policy decides what is called and what is shown.",
    );
    let alice = connect(stage, ALICE, "orders", &stage.token(ALICE)).await?;
    let bob = connect(stage, BOB, "orders", &stage.token(BOB)).await?;
    let allowed = alice.call("refund", json!({"amount": 120})).await?;
    scene.check("alice refunds 120", allowed.text().contains("refunded"), short(&allowed));
    let denied = alice.call("refund", json!({"amount": 900})).await?;
    let error = &denied.message()["error"];
    let told = error["code"] == -31403 && error["data"]["remedy"].is_string();
    scene.check("alice does not refund 900, and is told what to do", told, said(&error["data"]["remedy"]));
    let hidden = bob.call("refund", json!({"amount": 1})).await?;
    scene.check(
        "bob's refund answers as a tool that does not exist",
        hidden.error_code() == Some(-32602),
        short(&hidden),
    );
    let (for_alice, for_bob) = (alice.list("tools").await?.names(), bob.list("tools").await?.names());
    let all = stage.tools().await?;
    let filtered = for_alice == ["list_orders", "refund"] && for_bob == ["list_orders"];
    let seen = format!("alice: {}; bob: {}", for_alice.join(", "), for_bob.join(", "));
    scene.check(
        &format!("of the server's {} tools each sees only those that they may call", all.len()),
        filtered && all.len() > for_alice.len(),
        seen,
    );
    let visits = stage.orders.visits();
    let refunds = visits.iter().filter(|visit| visit.asked.contains("/refunds")).count();
    scene.check("of three refunds one reached the API", refunds == 1, "");
    Ok(scene)
}

async fn refusals(stage: &Stage) -> Played<Scene> {
    let mut scene = Scene::new(
        "Who goes there",
        "Tokens that are forged, for somebody else, or missing, end at the door.",
    );
    let good = stage.token(ALICE);
    let asked = || (stage.server.log().count(), stage.idp.exchanges());
    let before = asked();
    let kid = header_of(&good)["kid"].as_str().unwrap_or_default().to_owned();
    let jwk = stage.idp.keys().shown(&kid).unwrap_or_default();
    for forged in forge::all(&good, &jwk)? {
        let answer = Client::legacy(&stage.url("orders")).bearer(&forged.token).connect().await?;
        scene.check(&format!("forged: {}", forged.how), answer.status == 401, answer.status.to_string());
    }
    let foreign = stage.idp.mint(ALICE, "somebody-else", SCOPE, std::time::Duration::from_secs(60));
    let answer = Client::legacy(&stage.url("orders")).bearer(&foreign).connect().await?;
    scene.check("a token for another audience", answer.status == 401, answer.status.to_string());
    let answer = Client::legacy(&stage.url("orders")).connect().await?;
    let challenge = answer.header("www-authenticate").unwrap_or_default().to_owned();
    let leads = challenge.contains("resource_metadata=") && !challenge.contains("error=");
    let place = challenge.split('"').nth(1).unwrap_or_default().to_owned();
    scene.check("no token: the challenge says where to log in", answer.status == 401 && leads, place);
    scene.check("none of them reached the MCP server or a token endpoint", asked() == before, "");
    Ok(scene)
}

/// Alice's client keeps a session, bob's is of the revision that has none.
async fn connect(stage: &Stage, user: &str, server: &str, token: &str) -> Played<Client> {
    let url = stage.url(server);
    let client = if user == BOB { Client::modern(&url) } else { Client::legacy(&url) }.bearer(token);
    let hello = client.connect().await?;
    if hello.status != 200 {
        return Err(format!("{server} does not let us in: {} {}", hello.status, hello.message()).into());
    }
    Ok(client)
}

fn revision(user: &str) -> &'static str {
    if user == BOB { client::MODERN } else { client::LEGACY }
}

/// The subject that the API took the caller for.
fn served_as(answer: &Answer) -> String {
    said(&answer.result()["structuredContent"]["answer"]["as"])
}

/// The claims that the API found good; null when it turned its visitor away.
pub(super) fn verified(visit: Option<safeconduct_testkit::api::Visit>) -> Value {
    shown(visit.and_then(|visit| visit.verdict.ok()).unwrap_or_default())
}

/// Without the mark by which the kit would find a token that went astray.
fn shown(mut claims: Value) -> Value {
    if let Some(claims) = claims.as_object_mut() {
        claims.remove("canary");
    }
    claims
}

pub(super) fn said(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn short(answer: &Answer) -> String {
    let message = answer.message();
    let text = if message["error"].is_object() {
        format!("{} {}", message["error"]["code"], message["error"]["message"].as_str().unwrap_or_default())
    } else {
        answer.text()
    };
    text.chars().take(70).collect()
}
