//! Serves one stdio MCP server on a loopback port, as the gateway would reach it: for the interoperability runs.
//!
//! `cargo run -p safeconduct-runtime --example bridge -- [--shared] [--listen ADDRESS] COMMAND ARGUMENTS...`

#![expect(clippy::print_stdout, reason = "who runs it reads the address there")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use safeconduct_runtime::engine::process::ProcessEngine;
use safeconduct_runtime::engine::{Engine, EngineError};
use safeconduct_runtime::launch::{Launch, Permissions, Program, Transport};
use safeconduct_runtime::logs::Log;
use safeconduct_runtime::stdio::{Bridge, NotStarted, Options, Sharing, Spawn, Spawned, Starting};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

struct Local {
    engine: ProcessEngine,
    arguments: Vec<String>,
    started: AtomicU64,
}

impl Local {
    async fn start(&self) -> Result<Spawned, EngineError> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let permissions = Permissions { memory: 2 << 30, ..Permissions::default() };
        let launch = Launch {
            server: "local".into(),
            instance: format!("local-{number}").into(),
            program: Program::Command { arguments: self.arguments.clone(), directory: None },
            transport: Transport::Stdio,
            permissions,
            environment: Vec::new(),
            files: Vec::new(),
        };
        let instance = self.engine.prepare(&launch).await?.start(&launch).await?;
        let pipes = instance.pipes().ok_or_else(|| EngineError::Refused("no pipes".into()))?;
        let log = Log::new(&launch.server, &launch.instance, Arc::default());
        Ok(Spawned { instance, pipes, log, kept: Box::new(()) })
    }
}

impl Spawn for Local {
    fn spawn(&self) -> Starting<'_> {
        Box::pin(async { self.start().await.map_err(|error| NotStarted(error.to_string().into())) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut sharing, mut listen) = (Sharing::OneCaller, "127.0.0.1:0".to_owned());
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    while let Some(flag) = arguments.first().filter(|flag| flag.starts_with("--")).cloned() {
        arguments.remove(0);
        match &*flag {
            "--shared" => sharing = Sharing::AllCallers,
            "--listen" => listen = arguments.remove(0),
            _ => return Err("unknown flag".into()),
        }
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let local = Local { engine: ProcessEngine::new(), arguments, started: AtomicU64::new(0) };
    let bridge = Bridge::new(Handle::current(), Options::new(sharing), Arc::default(), Arc::new(local));
    let listener = TcpListener::bind(listen).await?;
    println!("listening http://{}", listener.local_addr()?);
    let serving = async {
        loop {
            let (mut outside, _) = listener.accept().await?;
            outside.set_nodelay(true)?;
            let mut inside = bridge.connect()?;
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut outside, &mut inside).await });
        }
    };
    let mut told = signal(SignalKind::terminate())?;
    tokio::select! {
        served = serving => return served,
        _ = tokio::signal::ctrl_c() => {}
        _ = told.recv() => {}
    }
    bridge.end("The bridge is being stopped.").await;
    Ok(())
}
