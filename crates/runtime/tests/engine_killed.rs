//! What happens when the engine is killed while instances run: whoever waits is told, nothing hangs, and what was left
//! behind is found when the engine is back. `interop/engine.sh` runs these two by name, one before and one after it
//! has started the engine again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test ends where it fails, and needs only a part of the others' equipment"
)]

#[path = "confinement/world.rs"]
mod world;

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use safeconduct_runtime::engine::{Engine, EngineError};
use safeconduct_runtime::launch::{Ladder, Launch, Transport};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use world::{SOON, World, allow, engine, image, secret, settings, told};

fn owner() -> String {
    format!("{}-killed", told("OWNER"))
}

fn launch(world: &World, name: &str) -> Launch {
    let mut launch = world.launch(name);
    launch.instance = format!("{}-{name}", owner()).into();
    launch.permissions.network = allow(&["api.test:443".into()]);
    launch.files = vec![("/run/safeconduct/a".into(), secret("a"))];
    launch
}

#[tokio::test]
async fn who_waits_is_told_that_the_engine_is_gone() {
    let mut world = World::new().await;
    world.docker = engine(settings(&owner())).await;
    world.docker.sweep(|_| false).await.unwrap();
    let mut http = launch(&world, "http");
    http.transport = Transport::Http { port: 8000, path: "/mcp".into() };
    http.program = image(told("IMAGE"), &["/usr/bin/python3", "/probe.py", "serve", "8000"]);
    let http = world.start(&http).await;
    let stdio = launch(&world, "stdio");
    let mut probe = world.probe(&stdio).await;
    assert_eq!(probe.ask(json!({"do": "status"})).await["got"]["NoNewPrivs"][0], "1");

    let engine = Pid::from_raw(told("PID").parse().unwrap()).unwrap();
    kill_process(engine, Signal::KILL).unwrap();
    for instance in [&http, &probe.instance] {
        let end = timeout(SOON, instance.ended()).await.expect("nobody was told");
        assert!(matches!(end, Err(EngineError::Absent(_))), "{end:?}");
        // Also who asks later.
        assert!(instance.ended().await.is_err());
    }
    let mut rest = String::new();
    let stderr = probe.stderr.as_mut().unwrap();
    timeout(SOON, stderr.read_to_string(&mut rest)).await.expect("its streams are still open").unwrap();
    let refused = timeout(SOON, world.docker.prepare(&launch(&world, "another")))
        .await
        .expect("it hangs")
        .err()
        .unwrap();
    assert!(refused.to_string().starts_with("the container engine does not answer: "), "{refused}");
    let stopped = timeout(SOON, http.stop(Ladder::default())).await.expect("it hangs");
    assert!(matches!(stopped, Err(EngineError::Absent(_))), "{stopped:?}");
    assert!(timeout(SOON, probe.instance.stop(Ladder::default())).await.expect("it hangs").is_err());
}

#[tokio::test]
async fn what_was_left_behind_is_found_when_it_is_back() {
    let docker = engine(settings(&owner())).await;
    let left = docker.list(Some(&owner())).await.unwrap();
    let mut instances: Vec<_> = left.iter().map(|tenant| tenant.instance.as_str()).collect();
    instances.sort_unstable();
    assert_eq!(instances, [format!("{}-http", owner()), format!("{}-stdio", owner())]);
    let swept = timeout(Duration::from_secs(180), docker.sweep(|_| false)).await.expect("it hangs").unwrap();
    assert_eq!(swept.containers, 2);
    assert!(docker.list(Some(&owner())).await.unwrap().is_empty());
    for base in ["/run/safeconduct", "/dev/shm/safeconduct"] {
        let left = std::fs::read_dir(format!("{base}/{}", owner())).into_iter().flatten().count();
        assert_eq!(left, 0, "files were left in {base}");
    }
    // And instances start again.
    let world = World::new().await;
    let mut probe = world.probe(&world.launch("again")).await;
    assert_eq!(probe.ask(json!({"do": "status"})).await["got"]["NoNewPrivs"][0], "1");
    probe.stop().await;
    world.finish().await;
}
