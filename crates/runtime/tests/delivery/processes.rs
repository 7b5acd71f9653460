//! Real programs, started by the engine `process`, each for a caller of its own.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_runtime::delivery::file::{File, Format};
use safeconduct_runtime::delivery::gcp_metadata::GcpMetadata;
use safeconduct_runtime::delivery::slot::Held;
use safeconduct_runtime::delivery::{Brought, Deliver, Delivered, Delivery, Freshness};
use safeconduct_runtime::engine::process::ProcessEngine;
use safeconduct_runtime::engine::{Engine, Instance, Pipes};
use safeconduct_runtime::launch::{Ladder, Launch, Permissions, Program, Transport};
use safeconduct_runtime::masks::Masks;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};

use super::bench::{HOUR, token};

/// Asks for the token once for each line of its input.
const ASKS: &str = r#"
while read -r _; do
  exec 3<>"/dev/tcp/${GCE_METADATA_HOST%:*}/${GCE_METADATA_HOST#*:}"
  printf 'GET %s HTTP/1.1\r\nHost: %s\r\nMetadata-Flavor: Google\r\nConnection: close\r\n\r\n' \
    /computeMetadata/v1/instance/service-accounts/default/token "$GCE_METADATA_HOST" >&3
  tail -n 1 <&3
  echo
done
"#;

const READS: &str = r#"while read -r _; do cat "$API_TOKEN_FILE"; echo; done"#;

struct Running {
    instance: Arc<dyn Instance>,
    delivered: Delivered,
    delivery: Arc<Delivery>,
    input: Box<dyn tokio::io::AsyncWrite + Send + Unpin>,
    output: Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>,
}

impl Running {
    async fn start(name: &str, script: &str, delivery: &Arc<Delivery>, held: Held) -> Self {
        let mut launch = Launch {
            server: "test".into(),
            instance: name.into(),
            program: Program::Command {
                arguments: ["/bin/bash", "-c", script].map(str::to_owned).to_vec(),
                directory: None,
            },
            transport: Transport::Stdio,
            permissions: Permissions::default(),
            environment: Vec::new(),
            files: Vec::new(),
        };
        let brought = Brought { delivery: delivery.clone(), held, renew: None };
        let place = ProcessEngine::new().prepare(&launch).await.unwrap();
        let delivered = brought.board(&*place, &mut launch, &Arc::new(Masks::default())).await.unwrap();
        let instance = place.start(&launch).await.unwrap();
        brought.started(&delivered, &instance).await.unwrap();
        let Pipes { stdin, stdout, .. } = instance.pipes().unwrap();
        let output = BufReader::new(stdout).lines();
        Self { instance, delivered, delivery: delivery.clone(), input: stdin, output }
    }

    async fn says(&mut self) -> String {
        self.input.write_all(b"\n").await.unwrap();
        let line = tokio::time::timeout(Duration::from_secs(10), self.output.next_line()).await;
        line.expect("answered in time").unwrap().expect("still there")
    }

    async fn has(&mut self) -> String {
        let answer: serde_json::Value = serde_json::from_str(&self.says().await).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn further_call(&self, held: Held) -> Freshness {
        let brought = Brought { delivery: self.delivery.clone(), held, renew: None };
        brought.refresh(&self.delivered, &*self.instance).await.unwrap()
    }

    async fn stop(self) {
        drop(self.input);
        self.instance.stop(Ladder::default()).await.unwrap();
    }
}

#[tokio::test]
async fn two_callers_programs_at_once_each_find_their_own_token() {
    let delivery = Arc::new(Delivery::GcpMetadata(GcpMetadata::default()));
    let mut alice = Running::start("alice", ASKS, &delivery, token("ya29.alice", HOUR)).await;
    let mut bob = Running::start("bob", ASKS, &delivery, token("ya29.bob", HOUR)).await;
    for _ in 0..5 {
        let (first, second) = tokio::join!(alice.has(), bob.has());
        assert_eq!((&*first, &*second), ("ya29.alice", "ya29.bob"));
    }
    assert_eq!(alice.further_call(token("ya29.alice-2", HOUR)).await, Freshness::Fresh);
    let (first, second) = tokio::join!(alice.has(), bob.has());
    assert_eq!((&*first, &*second), ("ya29.alice-2", "ya29.bob"));
    alice.stop().await;
    bob.stop().await;
}

#[tokio::test]
async fn a_program_reads_the_token_of_the_call_that_it_works_on() {
    let delivery = Arc::new(Delivery::File(File {
        path: "/run/safeconduct/token".into(),
        variable: Some("API_TOKEN_FILE".into()),
        format: Format::Token,
    }));
    let mut alice = Running::start("alice-file", READS, &delivery, token("one", HOUR)).await;
    assert_eq!(alice.says().await, "one");
    assert_eq!(alice.further_call(token("two", HOUR)).await, Freshness::Fresh);
    assert_eq!(alice.says().await, "two");
    alice.delivered.clear(&*alice.instance).await.unwrap();
    assert_eq!(alice.says().await, "");
    alice.stop().await;
}
