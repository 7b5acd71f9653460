//! The audit log: one line a request, whatever became of it; what stands in it and what never does; when it is on
//! disk, and what happens when it cannot be.

use std::collections::BTreeSet;

use http::{Method, Request};
use safeconduct_testkit::client::{Answer, Client};
use safeconduct_testkit::wire::fetch;
use serde_json::{Value, json};

use crate::patience::until;
use crate::world::{POLICIES, Plan, World};

/// The one line of this answer.
pub(crate) fn line_of(lines: &[Value], answer: &Answer) -> Value {
    let id = answer.header("x-request-id").unwrap();
    let mut of = lines.iter().filter(|line| line["id"] == id);
    let line = of.next().unwrap_or_else(|| panic!("no line of {id}: {lines:#?}"));
    assert_eq!(of.next(), None, "two lines of {id}");
    line.clone()
}

impl World {
    /// The audit log as it is now.
    fn written(&self) -> String {
        std::fs::read_to_string(self.dir.join("audit.jsonl")).unwrap_or_default()
    }
}

const FIELDS: [&str; 19] = [
    "time",
    "id",
    "trace",
    "outcome",
    "fault",
    "code",
    "principal",
    "server",
    "era",
    "method",
    "target",
    "arguments",
    "decision",
    "credential",
    "backend",
    "bytes_in",
    "bytes_out",
    "micros",
    "detail",
];

/// Row: P11
#[tokio::test(flavor = "multi_thread")]
async fn the_line_of_a_call_says_who_what_why_as_whom_and_how_it_went() {
    let mut world = World::start().await;
    let client = world.legacy("alice").await;
    let mut sent =
        client.message("tools/call", json!({"name": "refund", "arguments": {"amount": 12}})).unwrap();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    sent.headers_mut().insert("traceparent", trace.parse().unwrap());
    let sent_bytes = sent.body().len();
    let answer = client.send(sent).await.unwrap();
    assert_eq!(answer.error_code(), None);
    let lines = world.audit().await;
    let line = line_of(&lines, &answer);
    assert!(line["time"].as_str().unwrap().ends_with('Z') && line["time"].as_str().unwrap().len() == 24);
    assert_eq!(line["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(
        (&line["outcome"], &line["fault"], &line["code"]),
        (&json!("answered"), &Value::Null, &Value::Null)
    );
    let principal = json!({
        "kind": "user", "issuer": "corp", "subject": "alice", "client": "mcp-client",
        "groups": ["support", "everyone"], "actor": [],
    });
    assert_eq!(line["principal"], principal);
    assert_eq!((&line["server"], &line["era"]), (&json!("orders"), &json!("2025-11-25")));
    assert_eq!((&line["method"], &line["target"]), (&json!("tools/call"), &json!("refund")));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, br#"{"amount":12}"#);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(line["arguments"], format!("sha256:{hex}"));
    assert_eq!(line["decision"]["effect"], "permit");
    let policy = format!("{}/policies/orders.cedar:5", world.dir.display());
    assert_eq!(line["decision"]["policies"], json!([policy]));
    let credential = &line["credential"];
    assert_eq!(credential["steps"], json!(["exchange"]));
    assert_eq!(
        (&credential["audience"], &credential["scopes"]),
        (&json!(["backend-server"]), &json!(["backend-api:read"]))
    );
    assert!(
        credential["expires"].as_str().is_some()
            && credential["fingerprint"].as_str().unwrap().starts_with("sha256:")
    );
    assert_eq!(line["backend"]["status"], 200);
    assert_eq!(
        (line["bytes_in"].as_u64(), line["bytes_out"].as_u64()),
        (Some(sent_bytes as u64), Some(answer.body.len() as u64))
    );
    let (whole, behind, decided) = (&line["micros"], &line["backend"]["micros"], &line["decision"]["micros"]);
    assert!(whole.as_u64() >= behind.as_u64() && decided.is_u64());
    // In the order of the documentation, and nothing else.
    let text = world.written();
    let text = text.lines().find(|line| line.contains(answer.header("x-request-id").unwrap())).unwrap();
    FIELDS[..18].iter().fold(text, |rest, name| rest.split_once(&format!("\"{name}\":")).unwrap().1);
    assert_eq!(line.as_object().unwrap().len(), 18);
}

/// Row: P11
#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_exactly_one_line_whatever_became_of_it() {
    let mut world = World::start().await;
    let (alice, nobody) = (world.modern("alice"), Client::modern(&world.url()));
    let spoiled = |spoil: &dyn Fn(&mut Request<bytes::Bytes>)| {
        let mut sent = alice.message("tools/call", json!({"name": "echo"})).unwrap();
        spoil(&mut sent);
        sent
    };
    let bare = |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(format!("{}{path}", world.base));
        request.header("origin", &world.base).body(bytes::Bytes::new()).unwrap()
    };
    let mut answers = vec![
        alice.call("echo", json!({"text": "x"})).await.unwrap(),
        alice.call("drop_table", json!({})).await.unwrap(),
        alice.call("refund", json!({"amount": 1000})).await.unwrap(),
        alice.notify("notifications/cancelled", json!({"requestId": 1})).await.unwrap(),
        nobody.call("echo", json!({})).await.unwrap(),
        Client::modern(&world.url()).bearer("x").call("echo", json!({})).await.unwrap(),
    ];
    for sent in [
        spoiled(&|sent| *sent.body_mut() = "{".into()),
        spoiled(&|sent| *sent.body_mut() = "[]".into()),
        spoiled(&|sent| drop(sent.headers_mut().remove("content-type"))),
        spoiled(&|sent| drop(sent.headers_mut().insert("host", "evil.example".parse().unwrap()))),
        spoiled(&|sent| drop(sent.headers_mut().insert("origin", "https://evil.example".parse().unwrap()))),
        bare(Method::PUT, "/orders/mcp"),
        bare(Method::OPTIONS, "/orders/mcp"),
        bare(Method::GET, "/nowhere"),
        bare(Method::GET, "/.well-known/oauth-protected-resource/orders/mcp"),
    ] {
        answers.push(Answer::from(fetch::fetch(sent).await.unwrap()));
    }
    let lines = world.audit().await;
    assert_eq!(lines.len(), answers.len());
    let ids: BTreeSet<_> = lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), lines.len());
    for answer in &answers {
        let line = line_of(&lines, answer);
        assert!(FIELDS[..18].iter().all(|name| line.get(name).is_some()), "{line}");
        let code = answer.message()["error"]["data"]["code"].clone();
        assert!(code.is_null() || code == line["code"], "{line}");
        assert_eq!(line["outcome"] == "answered", line["code"].is_null(), "{line}");
    }
}

/// Row: P11
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_its_caller_gave_up_is_abandoned_and_has_one_line_too() {
    let mut world = World::start().await;
    let (modern, legacy) = (world.modern("alice"), world.legacy("carol").await);
    let before = world.server().log().count();
    for client in [&modern, &legacy] {
        let call = client.request("tools/call", json!({"name": "hold", "arguments": {}}));
        let served = world.server().log().count() + 1;
        tokio::select! {
            _ = call => panic!("nothing released it"),
            reached = world.server().log().reaches(served) => assert!(reached),
        }
    }
    assert!(world.server().cancelled(1).await);
    world.server().release();
    assert_eq!(world.server().log().count() - before, 2);
    let lines = world.audit_of("tools/call").await;
    let outcomes: Vec<_> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["abandoned", "abandoned"], "{lines:#?}");
    assert!(
        lines.iter().all(|line| line["decision"]["effect"] == "permit" && line["credential"].is_object())
    );
}

/// Row: A16
#[tokio::test(flavor = "multi_thread")]
async fn no_argument_stands_in_the_log_unless_that_was_asked_for() {
    for (how, expected) in [
        ("digest", None),
        ("names", Some(json!(["card", "text"]))),
        ("full", Some(json!({"text": "4711", "card": 4711}))),
    ] {
        let audit = format!("{{ file: \"@DIR@/audit.jsonl\", arguments: {how} }}");
        let mut world = World::with(Plan { audit, ..Plan::default() }).await;
        let answer = world.modern("alice").call("echo", json!({"text": "4711", "card": 4711})).await.unwrap();
        assert_eq!(answer.text(), "4711");
        let line = line_of(&world.audit().await, &answer);
        assert_eq!(line["arguments"].to_string().contains("4711"), how == "full");
        if let Some(expected) = expected {
            assert_eq!(line["arguments"], expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_is_told_which_policy_failed_and_how_but_no_value() {
    let policies = format!(
        "{POLICIES}forbid (principal, action == Action::\"tools/call\", resource == Tool::\"orders/echo\") when {{ context.args.n * 4 > 5 }};\n"
    );
    let mut world = World::with(Plan { policies, ..Plan::default() }).await;
    let client = world.modern("alice");
    let overflow = client.call("echo", json!({"n": 4_611_686_018_427_387_904_i64})).await.unwrap();
    let inexact = client.call("refund", json!({"amount": 47.11})).await.unwrap();
    let missing = client.call("refund", json!({})).await.unwrap();
    let twice = client.call("refund", json!({"amount": 4711, "Amount": 1})).await.unwrap();
    for answer in [&overflow, &inexact, &missing] {
        assert_eq!(
            (answer.status.as_u16(), answer.error_code()),
            (200, Some(-31403)),
            "{}",
            answer.message()
        );
        assert_eq!(answer.message()["error"]["message"], "denied by policy");
    }
    assert_eq!((twice.status.as_u16(), twice.error_code()), (200, Some(-32602)));
    assert_eq!(world.server().log().count(), 0);
    let lines = world.audit().await;
    let detail = |answer: &Answer| line_of(&lines, answer)["detail"].as_str().unwrap().to_owned();
    let file = format!("{}/policies/orders.cedar", world.dir.display());
    assert_eq!(detail(&overflow), format!("{file}:8: integer overflow"));
    assert_eq!(
        detail(&inexact),
        format!("{file}:5: `context.args.amount` holds null or a number that is not exact")
    );
    assert_eq!(detail(&missing), format!("{file}:5: record does not have the attribute `amount`"));
    assert_eq!(detail(&twice), "argument \"Amount\"");
    let text = world.written();
    assert!(["4611686018427387904", "47.11", "4711"].iter().all(|value| !text.contains(value)));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_lines_go_to_the_new_file_and_none_is_lost() {
    let mut world = World::start().await;
    let client = world.modern("alice");
    let old = client.call("echo", json!({"text": "old"})).await.unwrap();
    until(async || world.written().contains(old.header("x-request-id").unwrap())).await;
    std::fs::rename(world.dir.join("audit.jsonl"), world.dir.join("audit.1")).unwrap();
    let between = client.call("echo", json!({"text": "between"})).await.unwrap();
    tokio::task::block_in_place(|| world.gateway.as_ref().unwrap().hang_up(&world.config()));
    until(async || world.dir.join("audit.jsonl").exists()).await;
    let new = client.call("echo", json!({"text": "new"})).await.unwrap();
    let lines = world.audit().await;
    line_of(&lines, &new);
    let rotated = std::fs::read_to_string(world.dir.join("audit.1")).unwrap();
    let rotated: Vec<Value> = rotated.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    line_of(&rotated, &old);
    let all: Vec<_> = rotated.into_iter().chain(lines).collect();
    line_of(&all, &between);
    assert_eq!(all.len(), 3);
}
