//! Beginning and end, and that nothing is left behind.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use safeconduct_runtime::engine::{Engine, EngineError, Exit};
use safeconduct_runtime::launch::{Ladder, Transport};
use serde_json::json;
use tokio::time::timeout;

use crate::world::{SOON, World, allow, image, secret, told};

#[tokio::test]
async fn long_answers_arrive_whole_and_the_end_of_the_input_ends_the_server() {
    let world = World::new().await;
    let mut probe = world.probe(&world.launch("streams")).await;
    let long = probe.ask(json!({"do": "big", "bytes": 8 << 20})).await;
    assert_eq!(long["got"].as_str().unwrap().len(), 8 << 20);
    probe.close();
    let end = timeout(SOON, probe.instance.ended()).await.expect("it goes on").unwrap();
    assert_eq!(end, Exit { code: Some(0), out_of_memory: false });
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn a_program_that_ends_at_once_has_started_and_ended() {
    let world = World::new().await;
    let mut launch = world.launch("brief");
    launch.program = image(told("IMAGE"), &["/usr/bin/python3", "/probe.py", "say", "goodbye"]);
    launch.permissions.network = allow(&["api.test:443".into()]);
    let instance = world.start(&launch).await;
    let mut stdout = instance.pipes().unwrap().stdout;
    let mut said = String::new();
    timeout(SOON, tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut said)).await.unwrap().unwrap();
    assert_eq!(said, "goodbye\n");
    assert_eq!(instance.ended().await.unwrap(), Exit { code: Some(0), out_of_memory: false });
    instance.stop(Ladder::default()).await.unwrap();
    world.finish().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_refused_and_leaves_nothing() {
    let world = World::new().await;
    let mut launch = world.launch("nothing");
    launch.program = image(told("IMAGE"), &["/no/such/program"]);
    launch.permissions.network = allow(&["api.test:443".into()]);
    launch.files = vec![("/run/safeconduct/a".into(), secret("a"))];
    let refused = world.try_start(&launch).await.err().unwrap();
    assert!(refused.to_string().contains("/no/such/program"), "{refused}");
    world.finish().await;
}

#[tokio::test]
async fn one_that_does_not_listen_is_ended_nevertheless() {
    let world = World::new().await;
    let mut launch = world.launch("deaf");
    launch.program = image(told("IMAGE"), &["/bin/sh", "-c", "trap '' TERM; while true; do sleep 1; done"]);
    let instance = world.start(&launch).await;
    let ladder = Ladder { close: Duration::from_millis(200), term: Duration::from_millis(500) };
    timeout(SOON, instance.stop(ladder)).await.expect("it was never ended").unwrap();
    instance.stop(ladder).await.unwrap();
    world.finish().await;
}

#[tokio::test]
async fn one_that_is_let_go_is_stopped_in_the_background_also_half_way() {
    let world = World::new().await;
    let mut launch = world.launch("dropped");
    launch.permissions.network = allow(&["api.test:443".into()]);
    drop(world.start(&launch).await);
    none_left(&world).await;
    // A place that was never used.
    drop(world.docker.prepare(&launch).await.unwrap());
    let place = world.docker.prepare(&launch).await.unwrap();
    place.listen(0).await.unwrap();
    drop(place);
    // A start that nobody waits for any more.
    for patience in [1, 20, 60, 150, 300] {
        launch.instance = format!("{}-{patience}", world.owner).into();
        let _ = timeout(Duration::from_millis(patience), world.try_start(&launch)).await;
    }
    none_left(&world).await;
    world.finish().await;
}

async fn none_left(world: &World) {
    // What was broken off may still be on its way: it must stay so for a while.
    let gone = async {
        let mut none = 0;
        while none < 20 {
            let containers = world.docker.list(Some(&world.owner)).await.unwrap().len();
            let left = containers + world.docker.count_networks().await.unwrap();
            none = if left == 0 { none + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, gone).await.expect("it was left behind");
}

#[tokio::test]
async fn what_a_crashed_gateway_left_behind_is_found_by_its_name() {
    let world = World::new().await;
    let mut launch = world.launch("orphan");
    launch.permissions.network = allow(&["api.test:443".into()]);
    launch.files = vec![("/run/safeconduct/a".into(), secret("a"))];
    // As if this program had been killed: nobody takes anything away.
    std::mem::forget(world.start(&launch).await);
    let alive = world.launch("alive");
    let living = world.probe(&alive).await;

    let found = world.docker.list(Some(&world.owner)).await.unwrap();
    let mut instances: Vec<_> = found.iter().map(|tenant| &*tenant.instance).collect();
    instances.sort_unstable();
    assert_eq!(instances, [&*alive.instance, &*launch.instance]);
    assert!(found.iter().all(|tenant| tenant.state == "running" && tenant.server == "probe"));
    let swept = world.docker.sweep(|instance| instance == &*alive.instance).await.unwrap();
    assert_eq!(swept.containers, 1);
    let left = world.docker.list(Some(&world.owner)).await.unwrap();
    assert_eq!(left.iter().map(|tenant| &*tenant.instance).collect::<Vec<_>>(), [&*alive.instance]);
    // Another gateway's are not touched.
    assert!(world.docker.list(Some("another")).await.unwrap().is_empty());
    living.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn instances_are_listed_shown_stopped_and_removed() {
    let world = World::new().await;
    let mut launch = world.launch("listed");
    launch.transport = Transport::Http { port: 8000, path: "/mcp".into() };
    launch.program = image(told("IMAGE"), &["/usr/bin/python3", "/probe.py", "serve", "8000"]);
    let instance = world.start(&launch).await;
    let tenant = world.docker.list(Some(&world.owner)).await.unwrap().remove(0);
    assert_eq!((tenant.transport.as_str(), tenant.state.as_str()), ("http", "running"));
    assert!(tenant.status.starts_with("Up") && tenant.created > 1_600_000_000, "{tenant:?}");

    let mut lines = Box::pin(world.docker.logs(&tenant.id, None, true, false));
    let first = timeout(SOON, lines.next()).await.expect("no log").unwrap().unwrap();
    assert_eq!((first.error, first.bytes.as_slice()), (false, &b"serving\n"[..]));
    world
        .docker
        .stop(&tenant.id, Ladder { close: Duration::ZERO, term: Duration::from_secs(1) })
        .await
        .unwrap();
    // The log ends with the server, and who waits for it is told.
    assert!(timeout(SOON, lines.next()).await.expect("the log goes on").is_none());
    timeout(SOON, instance.ended()).await.expect("it goes on").unwrap();
    assert_eq!(world.docker.list(Some(&world.owner)).await.unwrap()[0].state, "exited");
    world.docker.stop(&tenant.id, Ladder::default()).await.unwrap();

    world.docker.remove(&tenant).await.unwrap();
    world.docker.remove(&tenant).await.unwrap();
    assert!(world.docker.list(Some(&world.owner)).await.unwrap().is_empty());
    instance.stop(Ladder::default()).await.unwrap();
    world.finish().await;
}

#[tokio::test]
async fn two_instances_of_one_name_are_refused_and_the_first_one_stays() {
    let world = World::new().await;
    let launch = world.launch("twice");
    let mut first = world.probe(&launch).await;
    let refused = world.try_start(&launch).await.err().unwrap();
    assert!(matches!(&refused, EngineError::Refused(why) if why.contains("already")), "{refused}");
    assert_eq!(first.ask(json!({"do": "status"})).await["got"]["NoNewPrivs"][0], "1");
    first.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn many_at_once_have_each_their_own() {
    let world = Arc::new(World::new().await);
    let started = join_all((0..told("MANY").parse::<u32>().unwrap()).map(|number| {
        let world = Arc::clone(&world);
        async move {
            let mut launch = world.launch(&format!("many-{number}"));
            launch.permissions.memory = 64 << 20;
            launch.environment = vec![("TOKEN".into(), secret(&format!("token-{number}")))];
            launch.files = vec![("/run/safeconduct/token".into(), secret(&format!("file-{number}")))];
            let place = world.docker.prepare(&launch).await.unwrap();
            let mut listener = place.listen(7000).await.unwrap();
            let at = listener.address();
            let answering = tokio::spawn(async move {
                while let Some(mut stream) = listener.accept().await {
                    let text = format!("endpoint-{number}");
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await;
                }
            });
            let started = timeout(SOON * 4, place.start(&launch)).await.expect("it never started").unwrap();
            (number, at, answering, crate::world::Probe::new(started))
        }
    }))
    .await;
    join_all(started.into_iter().map(|(number, at, answering, mut probe)| async move {
        let environment = probe.ask(json!({"do": "environment"})).await["got"].clone();
        assert_eq!(environment["TOKEN"], format!("token-{number}"));
        let file = probe.can(json!({"do": "read", "path": "/run/safeconduct/token"})).await;
        assert_eq!(file, format!("file-{number}"));
        let heard = probe.can(json!({"do": "connect", "host": at.ip().to_string(), "port": at.port()})).await;
        assert_eq!(heard, format!("endpoint-{number}"));
        answering.abort();
        timeout(SOON * 4, probe.instance.stop(Ladder::default())).await.unwrap().unwrap();
    }))
    .await;
    Arc::into_inner(world).unwrap().finish().await;
}
