//! The engine for development.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::secret::Secret;
use safeconduct_runtime::engine::process::ProcessEngine;
use safeconduct_runtime::engine::{Engine, EngineError, Instance};
use safeconduct_runtime::launch::{Launch, Program, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::bench::{brisk, launch, python, runs, until};

async fn started(launch: &Launch) -> Result<Arc<dyn Instance>, EngineError> {
    ProcessEngine::new().prepare(launch).await?.start(launch).await
}

/// What a program of one line says.
async fn said(mut launch: Launch, program: &str) -> String {
    launch.program =
        Program::Command { arguments: vec![python(), "-c".into(), program.into()], directory: None };
    let instance = started(&launch).await.unwrap();
    let mut text = String::new();
    instance.pipes().unwrap().stdout.read_to_string(&mut text).await.unwrap();
    assert_eq!(instance.ended().await.unwrap().code, Some(0), "{text}");
    instance.stop(brisk()).await.unwrap();
    text
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

#[tokio::test]
async fn nothing_of_this_programs_environment_is_inherited() {
    let mut launch = launch("environment", Vec::new());
    launch.environment.push(("API_TOKEN".into(), secret("t")));
    assert!(std::env::vars_os().any(|(name, _)| name == "CARGO_MANIFEST_DIR"));
    let names = said(launch, "import os; print(*sorted(os.environ))").await;
    let names: Vec<_> = names.split_whitespace().filter(|name| *name != "LC_CTYPE").collect();
    assert_eq!(names, ["API_TOKEN", "HOME", "LANG", "PATH", "TMPDIR"]);
}

#[tokio::test]
async fn home_is_the_instances_own_private_and_gone_afterwards() {
    let text = said(
        launch("home", Vec::new()),
        "import os; h = os.environ['HOME']; print(h, os.getcwd(), oct(os.stat(h).st_mode)[-3:])",
    )
    .await;
    let parts: Vec<_> = text.split_whitespace().collect();
    assert_eq!((parts[0] == parts[1], parts[2]), (true, "700"), "{text}");
    assert!(parts[0].contains("-home-") && !PathBuf::from(parts[0]).exists());
}

#[tokio::test]
async fn in_memory_files_are_where_their_variable_says_and_are_replaced_whole() {
    let file = PathBuf::from("/run/safeconduct/token");
    let mut launch = launch("files", Vec::new());
    launch.files.push((file.clone(), secret("first")));
    launch.environment.push(("TOKEN_FILE".into(), secret("/run/safeconduct/token")));
    let program =
        "import os,sys\nfor _ in sys.stdin: print(open(os.environ['TOKEN_FILE']).read(), flush=True)";
    launch.program =
        Program::Command { arguments: vec![python(), "-c".into(), program.into()], directory: None };
    let instance = started(&launch).await.unwrap();
    let mut pipes = instance.pipes().unwrap();
    let mut line = [0; 64];
    for content in ["first", "second"] {
        instance.write(&file, &secret(content)).await.unwrap();
        pipes.stdin.write_all(b"?\n").await.unwrap();
        pipes.stdin.flush().await.unwrap();
        let count = pipes.stdout.read(&mut line).await.unwrap();
        assert_eq!(std::str::from_utf8(&line[..count]).unwrap().trim(), content);
    }
    assert!(!file.exists(), "it is not put there for everybody");
    drop(pipes);
    instance.stop(brisk()).await.unwrap();
}

#[tokio::test]
async fn core_dumps_are_off_and_open_files_and_memory_are_bounded() {
    let mut launch = launch("limits", Vec::new());
    launch.permissions.memory = 300 << 20;
    let text = said(launch, "print(open('/proc/self/limits').read())").await;
    let limit = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max open files"), "4096");
    assert_eq!(limit("Max data size"), (300_u64 << 20).to_string());
}

#[tokio::test]
async fn a_memory_bomb_ends_itself_only() {
    let mut launch = launch("bomb", Vec::new());
    launch.permissions.memory = 200 << 20;
    let program = "try:\n  a = bytearray(100 << 20); print('fits')\n  b = bytearray(400 << 20)\nexcept MemoryError: print('refused')";
    assert_eq!(said(launch, program).await.split_whitespace().collect::<Vec<_>>(), ["fits", "refused"]);
}

#[tokio::test]
async fn an_instance_that_is_let_go_of_ends_with_all_that_it_started() {
    let program = "import os,time\nprint(os.getpid(), os.fork() or os.getpid(), flush=True)\ntime.sleep(600)";
    let mut launch = launch("dropped", Vec::new());
    launch.program =
        Program::Command { arguments: vec![python(), "-c".into(), program.into()], directory: None };
    let instance = started(&launch).await.unwrap();
    let mut pipes = instance.pipes().unwrap();
    let mut text = String::new();
    while text.lines().count() < 2 {
        let mut bytes = [0; 64];
        let count = pipes.stdout.read(&mut bytes).await.unwrap();
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    let pids: Vec<u32> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| runs(*pid)));
    drop((instance, pipes));
    until("all of it has ended", async || pids.iter().all(|pid| !runs(*pid))).await;
}

#[tokio::test]
async fn what_cannot_be_run_is_said_in_words() {
    let refused = |program: Program| async move {
        let mut launch = launch("refused", Vec::new());
        launch.program = program;
        started(&launch).await.err().unwrap()
    };
    let missing = Program::Command { arguments: vec!["no-such-program".into()], directory: None };
    let error = refused(missing).await;
    assert!(
        matches!(&error, EngineError::Missing(what) if what.starts_with("no-such-program was not found (PATH is /"))
    );
    let nowhere = Program::Command { arguments: vec![python()], directory: Some("/no/such/place".into()) };
    assert_eq!(
        refused(nowhere).await,
        EngineError::Missing("the directory /no/such/place is not there".into())
    );
    let image = Program::Image {
        reference: "x@sha256:0".into(),
        command: Vec::new(),
        allow_tag: false,
        pull: Default::default(),
    };
    assert!(matches!(refused(image).await, EngineError::Forbidden(_)));
}

#[tokio::test]
async fn a_server_on_a_port_has_an_address_and_a_listener_of_this_program_reaches_it() {
    let mut launch = launch("http", Vec::new());
    launch.transport = Transport::Http { port: 9, path: "/mcp".into() };
    launch.program = Program::Command { arguments: vec!["true".into()], directory: None };
    let place = ProcessEngine::new().prepare(&launch).await.unwrap();
    let mut listener = place.listen(0).await.unwrap();
    let instance = place.start(&launch).await.unwrap();
    assert_eq!(instance.address(), Some("127.0.0.1:9".parse().unwrap()));
    let address = listener.address();
    let (accepted, connected) = tokio::join!(listener.accept(), tokio::net::TcpStream::connect(address));
    assert!(accepted.is_some() && connected.is_ok());
    tokio::time::timeout(Duration::from_secs(10), instance.ended()).await.unwrap().unwrap();
    instance.stop(brisk()).await.unwrap();
}
