//! Which images run, and how they come here.

use std::sync::{Arc, Mutex};

use safeconduct_runtime::engine::docker::{Images, Progress, Step};
use safeconduct_runtime::engine::{Engine, EngineError};
use safeconduct_runtime::launch::{Program, Pull};
use serde_json::json;

use crate::world::{Probe, World, engine, settings, told};

fn program(reference: &str, allow_tag: bool, pull: Pull) -> Program {
    Program::Image { reference: reference.into(), command: vec![], allow_tag, pull }
}

#[tokio::test]
async fn an_image_is_named_by_its_content_unless_tags_are_allowed() {
    let world = World::new().await;
    let mut launch = world.launch("tags");
    launch.program = program(&told("TAG"), true, Pull::Never);
    let mut probe = world.probe(&launch).await;
    assert_eq!(probe.ask(json!({"do": "status"})).await["got"]["NoNewPrivs"][0], "1");
    probe.stop().await;

    launch.program = program(&told("TAG"), false, Pull::Never);
    let refused = world.try_start(&launch).await.err().unwrap();
    assert!(matches!(refused, EngineError::Forbidden(_)), "{refused}");
    assert!(refused.to_string().contains("name it by digest"), "{refused}");
    world.finish().await;
}

#[tokio::test]
async fn what_is_not_here_and_cannot_be_fetched_is_said_to_be_missing() {
    let world = World::new().await;
    let mut launch = world.launch("missing");
    let nowhere = format!("127.0.0.1:1/nothing@sha256:{}", "a".repeat(64));
    for (pull, says) in [
        (Pull::Never, "it is not to be pulled"),
        (Pull::Missing, "cannot pull"),
        (Pull::Always, "cannot pull"),
    ] {
        launch.program = program(&nowhere, false, pull);
        let refused = world.try_start(&launch).await.err().unwrap();
        assert!(
            matches!(refused, EngineError::Missing(_)) && refused.to_string().contains(says),
            "{refused}"
        );
    }
    launch.program = program(&format!("sha256:{}", "a".repeat(64)), false, Pull::Missing);
    assert!(matches!(world.try_start(&launch).await.err().unwrap(), EngineError::Missing(_)));
    world.finish().await;
}

#[derive(Default)]
struct Steps(Mutex<Vec<String>>);

impl Progress for Steps {
    fn step(&self, image: &str, step: &Step<'_>) {
        self.0.lock().unwrap().push(format!("{image} {}", step.status));
    }
}

#[tokio::test]
async fn an_image_is_pulled_by_its_digest_and_how_far_it_is_is_told() {
    let world = World::new().await;
    let steps = Arc::new(Steps::default());
    let mut settings = settings(&world.owner);
    settings.progress = Arc::clone(&steps) as Arc<dyn Progress>;
    let docker = engine(settings).await;
    let mut launch = world.launch("pulled");
    // The script has pushed it to a registry, and removed it here.
    let reference = told("PULL");
    launch.program = program(&reference, false, Pull::Missing);
    let started = docker.prepare(&launch).await.unwrap().start(&launch).await.unwrap();
    let mut probe = Probe::new(started);
    assert_eq!(probe.ask(json!({"do": "status"})).await["got"]["Seccomp"][0], "2");
    probe.stop().await;
    let told = steps.0.lock().unwrap().clone();
    assert!(told.iter().any(|step| step.starts_with(&reference)), "{told:?}");
    // Another time it is here, and nothing is fetched.
    steps.0.lock().unwrap().clear();
    docker.prepare(&launch).await.unwrap();
    assert!(steps.0.lock().unwrap().is_empty());
    world.finish().await;
}

/// What was asked, and whether it may run.
#[derive(Default)]
struct Asked(Mutex<(Vec<(String, bool, String)>, bool)>);

impl Images for Asked {
    fn admit(&self, server: &str, reference: &str, moves: bool, id: &str) -> Result<(), String> {
        assert_eq!(server, "probe");
        let mut asked = self.0.lock().unwrap();
        asked.0.push((reference.to_owned(), moves, id.to_owned()));
        if asked.1 { Err("it is another image".to_owned()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn an_image_that_is_not_admitted_does_not_run() {
    let world = World::new().await;
    let asked = Arc::new(Asked::default());
    let mut settings = settings(&world.owner);
    settings.images = Arc::clone(&asked) as Arc<dyn Images>;
    let docker = engine(settings).await;
    let mut launch = world.launch("admitted");
    launch.program = program(&told("TAG"), true, Pull::Never);
    let started = docker.prepare(&launch).await.unwrap().start(&launch).await.unwrap();
    Probe::new(started).stop().await;
    // By its content it is the same image, and says so.
    launch.program = program(&told("IMAGE"), false, Pull::Never);
    docker.prepare(&launch).await.unwrap();
    {
        let mut asked = asked.0.lock().unwrap();
        let [(tag, true, id), (_, false, same)] = &asked.0[..] else { panic!("{:?}", asked.0) };
        assert_eq!((tag, id), (&told("TAG"), same));
        assert!(id.starts_with("sha256:"), "{id}");
        asked.1 = true;
    }
    let refused = docker.prepare(&launch).await.err().unwrap();
    assert!(matches!(&refused, EngineError::Forbidden(why) if why == "it is another image"), "{refused}");
    world.finish().await;
}
