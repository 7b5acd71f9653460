//! How processes end, and what becomes of who waits for them.

use std::time::{Duration, Instant};

use safeconduct_runtime::stdio::{Options, Sharing};
use serde_json::{Value, json};

use super::bench::{Bench, note, runs, until};

/// Row: S5
#[tokio::test]
async fn a_crash_answers_what_is_under_way_and_the_session_goes_on_with_another_process() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let before: u32 = client.text("pid", json!({})).await.parse().unwrap();
    client.ask(json!(1), "logging/setLevel", json!({ "level": "warning" })).await.last().await;
    client.ask(json!(2), "resources/subscribe", json!({ "uri": "file:///a" })).await.last().await;

    let (waiting, crashing) = tokio::join!(
        client.call(json!("w"), "never", json!({})),
        client.call(json!("c"), "crash", json!({ "after": 0.3 }))
    );
    for (id, answer) in [("w", waiting), ("c", crashing)] {
        let answer = answer.last().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(id), &json!(-32603)));
        assert_eq!(answer["error"]["message"], "The server ended before it answered: exit code 7.");
    }
    let after: u32 = client.text("pid", json!({})).await.parse().unwrap();
    assert_ne!(before, after);
    assert_eq!(bench.server.starts(), 2);
    // What the client had said, the new process was told.
    assert_eq!(client.text("level", json!({})).await, "warning");
    assert_eq!(client.text("subscribed", json!({})).await, "[\"file:///a\"]");
    assert!(!runs(before));
    bench.end().await;
}

/// Row: S5
#[tokio::test]
async fn half_a_message_is_none() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let answer = client.call(json!(1), "half", json!({})).await.last().await;
    assert_eq!(answer["error"]["code"], -32603);
    assert_eq!(client.text("echo", json!({ "n": 1 })).await, "{\"n\": 1}");
    bench.end().await;
}

/// Row: S5
#[tokio::test]
async fn a_server_that_does_not_start_is_an_answer_and_not_a_silence() {
    let bench = Bench::own(&["--exit-at-once", "4"]);
    let answer = bench.client().initialize(json!({})).await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("init"), &json!(-32603)));
    assert_eq!(answer["error"]["message"], "The server ended before it answered: exit code 4.");
    let answer = bench.client().modern(json!({})).call(json!(1), "pid", json!({})).await.last().await;
    assert_eq!(answer["error"]["code"], -32603);
    until("the reason is logged", async || {
        bench.server.said().iter().any(|line| line == "cannot start: no configuration")
    })
    .await;
    bench.end().await;
}

/// Row: S2
#[tokio::test]
async fn the_end_is_asked_for_then_told_then_made() {
    for (flags, ended, atleast, signalled) in [
        (&[][..], "end of input", Duration::ZERO, false),
        (&["--deaf"][..], "SIGTERM", Duration::from_millis(500), true),
        (&["--deaf", "--stubborn"][..], "SIGTERM", Duration::from_secs(1), true),
    ] {
        let file = note(&format!("ladder-{}", flags.len()));
        let all: Vec<_> = flags.iter().copied().chain(["--note", file.to_str().unwrap()]).collect();
        let bench = Bench::own(&all);
        let client = bench.client().initialized(json!({})).await;
        let pid: u32 = client.text("pid", json!({})).await.parse().unwrap();
        assert!(runs(pid));
        let begun = Instant::now();
        bench.end().await;
        assert!(begun.elapsed() >= atleast, "{flags:?} {:?}", begun.elapsed());
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{flags:?}: no zombie either");
        let said = std::fs::read_to_string(&file).unwrap();
        assert_eq!(said.lines().last(), Some(ended));
        assert_eq!(said.contains("SIGTERM"), signalled);
        std::fs::remove_file(file).unwrap();
    }
}

/// Row: S2
#[tokio::test]
async fn what_a_server_started_ends_with_it() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let child: u32 = client.text("child", json!({})).await.parse().unwrap();
    assert!(runs(child));
    let crashed = client.call(json!(1), "crash", json!({})).await.last().await;
    assert_eq!(crashed["error"]["message"], "The server ended before it answered: exit code 7.");
    until("the child has ended", async || !runs(child)).await;
    bench.end().await;
}

#[tokio::test]
async fn an_idle_bridge_rests_and_its_sessions_do_not_notice() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let before = client.text("pid", json!({})).await;
    let activity = bench.bridge.activity();
    assert!(activity.idle_since.is_some() && activity.processes.len() == 1 && activity.sessions == 1);
    bench.bridge.rest("idle").await;
    assert!(!bench.bridge.is_running() && !runs(before.parse().unwrap()));
    assert_ne!(client.text("pid", json!({})).await, before);

    let _waiting = client.call(json!(1), "never", json!({})).await;
    assert!(bench.bridge.activity().idle_since.is_none());
    bench.end().await;
}

#[tokio::test]
async fn a_retired_process_finishes_its_calls_and_new_ones_go_elsewhere() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let before = client.text("pid", json!({})).await;
    let slow = client.call(json!(1), "echo", json!({ "after": 1, "n": 1 })).await;
    bench.bridge.retire(Duration::from_secs(20));
    assert_ne!(client.text("pid", json!({})).await, before);
    assert_eq!(slow.last().await["result"]["content"][0]["text"], "{\"after\": 1, \"n\": 1}");
    until("the old process has ended", async || !runs(before.parse().unwrap())).await;
    bench.end().await;
}

#[tokio::test]
async fn processes_of_one_caller_are_bounded_and_an_idle_one_makes_room() {
    let options = Options { processes: 2, ..Options::new(Sharing::OneCaller) };
    let bench = Bench::with(options, &[]);
    let rooted = json!({ "roots": {} });
    let one = bench.client().initialized(rooted.clone()).await;
    let first = one.text("pid", json!({})).await;
    let two = bench.client().initialized(rooted.clone()).await;
    let three = bench.client().initialized(rooted.clone()).await;
    assert_eq!(bench.bridge.activity().processes.len(), 2);
    assert!(!runs(first.parse().unwrap()));
    assert_ne!(one.text("pid", json!({})).await, first, "its session goes on");

    let _busy =
        (one.call(json!(1), "never", json!({})).await, three.call(json!(1), "never", json!({})).await);
    let answer = two.call(json!(2), "pid", json!({})).await.last().await;
    assert_eq!(answer["error"]["message"], "All processes that this caller may have are busy.");
    bench.end().await;
}

#[tokio::test]
async fn a_flood_on_error_output_holds_nobody_up() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let line = "x".repeat(1000);
    assert_eq!(client.text("stderr", json!({ "line": line, "times": 50_000 })).await, "said");
    let kept: usize = bench.server.said().iter().map(String::len).sum();
    assert!(kept <= 256 << 10, "{kept}");
    bench.end().await;
}

/// A client that does not read slows its own server down and costs a bounded amount of memory.
#[tokio::test]
async fn a_client_that_does_not_read_is_waited_for() {
    let bench = Bench::own(&[]);
    let client = bench.client().initialized(json!({})).await;
    let params =
        json!({ "name": "progress", "arguments": { "steps": 100_000 }, "_meta": { "progressToken": 1 } });
    let mut unread = client.ask(json!(1), "tools/call", params).await;
    assert_eq!(unread.message().await["params"]["progress"], 0);
    // It still gets everything once it reads.
    let mut last = Value::Null;
    while let Some((_, message)) = unread.event().await {
        last = message;
    }
    assert_eq!(last["result"]["content"][0]["text"], "done");
    bench.end().await;
}
