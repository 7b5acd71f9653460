//! Bounds, reached from inside.

use std::time::Duration;

use futures_util::StreamExt;
use safeconduct_runtime::engine::{Engine, Exit};
use safeconduct_runtime::launch::{Ladder, Transport};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::world::{SOON, World, engine, image, settings, told};

#[tokio::test]
async fn an_engine_that_cannot_limit_starts_nothing_unless_that_was_accepted() {
    let world = World::new().await;
    let launch = world.launch("unlimited");
    let mut strict = settings(&world.owner);
    strict.unlimited = false;
    let strict = engine(strict).await;
    if told("UNLIMITED") == "1" {
        let refused = strict.prepare(&launch).await.err().unwrap().to_string();
        assert!(refused.contains("this engine cannot limit memory, the number of processes"), "{refused}");
        world.probe(&launch).await.stop().await;
    } else {
        assert!(strict.lacking().is_empty(), "{:?}", strict.lacking());
        strict.prepare(&launch).await.unwrap();
    }
    world.finish().await;
}

#[tokio::test]
async fn a_fork_bomb_reaches_its_bound_and_nobody_else_notices() {
    let world = World::new().await;
    let mut launch = world.launch("forks");
    launch.permissions.pids = 40;
    let mut bystander = world.probe(&world.launch("bystander")).await;
    let mut probe = world.probe(&launch).await;
    assert_eq!(probe.ask(json!({"do": "forks", "most": 20})).await, json!({"got": 20, "why": ""}));
    let bomb = probe.ask(json!({"do": "forks", "most": 5000})).await;
    assert_eq!(bomb["why"], "EAGAIN", "{bomb}");
    assert!(bomb["got"].as_u64().unwrap() < 40, "{bomb}");
    assert_eq!(bystander.ask(json!({"do": "forks", "most": 60})).await, json!({"got": 60, "why": ""}));
    probe.stop().await;
    bystander.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn a_memory_bomb_ends_itself_and_it_is_said_why() {
    let world = World::new().await;
    let mut launch = world.launch("memory-bomb");
    launch.permissions.memory = 96 << 20;
    let mut probe = world.probe(&launch).await;
    probe.can(json!({"do": "memory", "mebibytes": 16})).await;
    probe.order(&json!({"do": "memory", "mebibytes": 1024})).await;
    let end = timeout(SOON, probe.instance.ended()).await.expect("it goes on").unwrap();
    assert_eq!(end, Exit { code: None, out_of_memory: true });
    // Also who asks later is told.
    assert!(probe.instance.ended().await.unwrap().out_of_memory);
    probe.stop().await;

    // Another end is not taken for it.
    let mut probe = world.probe(&launch).await;
    probe.order(&json!({"do": "end", "code": 7})).await;
    let end = timeout(SOON, probe.instance.ended()).await.unwrap().unwrap();
    assert_eq!(end, Exit { code: Some(7), out_of_memory: false });
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn processors_are_a_share() {
    let world = World::new().await;
    let mut launch = world.launch("cpus");
    launch.permissions.cpus = 500;
    let mut probe = world.probe(&launch).await;
    let v2 = probe.ask(json!({"do": "read", "path": "/sys/fs/cgroup/cpu.max"})).await;
    let share = if v2["ok"] == true {
        let text = v2["got"].as_str().unwrap().to_owned();
        let (quota, period) = text.trim().split_once(' ').unwrap();
        quota.parse::<f64>().unwrap() / period.parse::<f64>().unwrap()
    } else {
        let mut number = async |name: &str| -> f64 {
            let path = format!("/sys/fs/cgroup/cpu/cpu.cfs_{name}_us");
            probe.can(json!({"do": "read", "path": path})).await.as_str().unwrap().trim().parse().unwrap()
        };
        number("quota").await / number("period").await
    };
    assert!((share - 0.5).abs() < 0.01, "{share}");
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn a_flood_of_errors_that_nobody_reads_is_in_nobodys_way() {
    let world = World::new().await;
    let mut probe = world.probe(&world.launch("flood")).await;
    // Much more than any pipe holds, and the answer still comes.
    probe.can(json!({"do": "flood", "kibibytes": 20_000})).await;
    let mut stderr = probe.stderr.take().unwrap();
    let mut some = vec![0; 1 << 20];
    let read = timeout(SOON, stderr.read(&mut some)).await.unwrap().unwrap();
    assert!(read > 0 && some[..read].iter().all(|byte| b"x\n".contains(byte)));
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn the_log_of_a_server_over_http_does_not_fill_the_disk() {
    let world = World::new().await;
    let mut launch = world.launch("log");
    launch.transport = Transport::Http { port: 8000, path: "/mcp".into() };
    launch.program = image(told("IMAGE"), &["/usr/bin/python3", "/probe.py", "serve", "8000", "flood"]);
    let instance = world.start(&launch).await;
    let id = world.docker.list(Some(&world.owner)).await.unwrap()[0].id.clone();
    // The flood goes on until the log has gone round: its first line is no longer there.
    let kept = async {
        loop {
            let mut bytes = 0;
            let mut first = None;
            let mut lines = Box::pin(world.docker.logs(&id, None, false, false));
            while let Some(line) = lines.next().await {
                let line = line.unwrap();
                first.get_or_insert_with(|| line.bytes.starts_with(b"serving"));
                bytes += line.bytes.len();
            }
            if first == Some(false) {
                return bytes;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let kept = timeout(SOON, kept).await.expect("the log never went round");
    assert!(kept < 25 << 20, "{kept} bytes are kept");
    instance.stop(Ladder::default()).await.unwrap();
    world.finish().await;
}
