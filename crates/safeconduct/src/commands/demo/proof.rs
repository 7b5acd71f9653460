//! What remains to be shown at the end: that no first token crossed, and that everything was written down.
#![expect(clippy::indexing_slicing, reason = "a member of a JSON value that is not there reads as null")]

use std::collections::BTreeSet;

use safeconduct_testkit::api::Api;
use safeconduct_testkit::canary;
use safeconduct_testkit::keys::claims_of;
use safeconduct_testkit::wire::{Log, fetch};
use serde_json::Value;

use super::Scene;
use super::play::{ALICE, Played};
use super::stage::Stage;

/// What the MCP server and the APIs saw, and what a first token would be worth behind the border.
pub(super) async fn border(stage: &Stage) -> Played<Scene> {
    let mut scene = Scene::new(
        "The border",
        "What the MCP server saw, and what a caller's own token would be worth behind it.",
    );
    let seen = stage.server.log().all();
    let given = stage.given();
    // The signature is the one part that a token shares with no other.
    let signatures = given.iter().filter_map(|token| token.rsplit('.').next());
    let logs: Vec<&Log> = [stage.server.log()].into_iter().chain(stage.b.log()).collect();
    let crossed = signatures.filter(|signature| logs.iter().any(|log| log.mentions(signature))).count();
    let requests = logs.iter().map(|log| log.count()).sum::<usize>();
    scene.check(
        "the MCP server never saw a token of a caller: not in a header, not in a body",
        !seen.is_empty() && crossed == 0,
        format!("{} callers' tokens, {requests} requests", given.len()),
    );
    stage.b.border(&mut scene);
    let exchanged: BTreeSet<&str> = seen.iter().filter_map(|seen| seen.bearer()).collect();
    let known = |token: &&str| claims_of(token)["aud"] == "backend-server" || stage.b.made(token);
    scene.check(
        "each of its requests carried a token made for the API behind it",
        seen.iter().all(|seen| seen.bearer().is_some()) && exchanged.iter().all(known),
        format!("{} exchanged tokens", exchanged.len()),
    );
    let asked = (stage.idp.exchanges(), stage.b.exchanges());
    scene.check(
        "one exchange per person and target served all of their requests; a refused one was asked once",
        asked == (2, stage.b.visitors().len() + 1),
        format!("{} at domain A, {} at domain B", asked.0, asked.1),
    );
    if let Some(first) = given.first() {
        for (name, (status, why)) in [
            ("orders", ask(&stage.orders, first).await?),
            ("warehouse", stage.b.ask(&stage.visitor_token(ALICE)).await?),
        ] {
            scene.check(
                &format!("shown to the {name} API directly, a caller's token is refused"),
                matches!(status, 401 | 403),
                why,
            );
        }
    }
    if let Some(of_a) = exchanged.iter().find(|token| claims_of(token)["aud"] == "backend-server") {
        let (status, why) = stage.b.ask(of_a).await?;
        scene.check(
            "domain A's exchanged token is worth nothing in domain B",
            matches!(status, 401 | 403),
            why,
        );
    }
    Ok(scene)
}

/// The log, line by line and as a whole.
pub(super) fn records(audit: &[Value], stage: &Stage) -> Scene {
    let mut scene =
        Scene::new("Attribution", "Every request left one line: who, what, on whose decision, as whom.");
    let calls: Vec<&Value> = audit.iter().filter(|line| line["method"] == "tools/call").collect();
    // One each of those who go to domain B, six of everybody else; three of these are not served.
    let visitors = stage.b.visitors().len();
    let count = if visitors == 1 { "seven" } else { "eight" };
    scene.check(
        &format!("{count} tool calls, {count} lines"),
        calls.len() == visitors + 6,
        format!("{} lines", calls.len()),
    );
    let attributed =
        calls.iter().all(|line| line["principal"]["subject"].is_string() && line["decision"].is_object());
    scene.check("each names the person and the policy's decision", attributed, "");
    let served = calls.iter().filter(|line| line["outcome"] == "answered");
    let accounted = served.clone().all(|line| {
        line["credential"]["steps"][0].is_string() && line["credential"]["audience"][0].is_string()
    });
    let served = served.count();
    scene.check(
        "each that was answered names the credential",
        accounted && served == visitors + 3,
        format!("{served}"),
    );
    stage.b.records(&mut scene, &calls);
    let refused = audit.iter().filter(|line| line["outcome"] == "refused").count();
    scene.check("ten refused at the door, ten lines", refused == 10, format!("{refused} lines"));
    let secret = canary::find(stage.audit_text().as_bytes());
    scene.check("no token and no secret stands in the log", secret.is_none(), secret.unwrap_or_default());
    scene
}

/// What an API answers to a token, asked without the MCP server, and why.
pub(super) async fn ask(api: &Api, token: &str) -> Played<(u16, String)> {
    let request = http::Request::get(format!("{}/", api.url()))
        .header("authorization", format!("Bearer {token}"))
        .body(bytes::Bytes::new())?;
    let status = fetch::fetch(request).await?.status.as_u16();
    Ok((status, api.visits().pop().and_then(|visit| visit.verdict.err()).unwrap_or_default()))
}
