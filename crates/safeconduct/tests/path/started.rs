//! Servers that the gateway starts itself: each caller's own process with the caller's own credential, or one for all.

use std::path::PathBuf;

use safeconduct::app::{self, Running};
use safeconduct::config;
use safeconduct_testkit::canary;
use safeconduct_testkit::client::Client;
use safeconduct_testkit::idp::{Idp, Rule, User};
use safeconduct_testkit::keys::claims_of;
use safeconduct_testkit::log_watch;
use safeconduct_testkit::oauth;
use serde_json::{Value, json};

use crate::patience::until;
use crate::world::HOUR;

/// A server over standard streams that tells what it was given. It knows nothing of logins.
const SERVER: &str = r#"
import json, os, sys
def answer(asked, result):
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    method = asked.get("method")
    if method == "initialize":
        answer(asked, {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}},
                       "serverInfo": {"name": "tells", "version": "1"}})
    elif method == "tools/list":
        answer(asked, {"tools": [{"name": "tell", "inputSchema": {"type": "object"}},
                                 {"name": "die", "inputSchema": {"type": "object"}}]})
    elif method == "tools/call" and asked["params"]["name"] == "die":
        sys.exit(3)
    elif method == "tools/call":
        told = {"pid": os.getpid(), "token": os.environ.get("API_TOKEN"), "file": None, "names": sorted(os.environ)}
        if os.path.exists("/run/safeconduct/token"):
            told["file"] = open("/run/safeconduct/token").read()
        answer(asked, {"content": [{"type": "text", "text": json.dumps(told)}]})
    elif method == "ping":
        answer(asked, {})
    elif "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "no"}}), flush=True)
"#;

struct Started {
    idp: Idp,
    gateway: Option<Running>,
    base: String,
    dir: PathBuf,
    _watched: log_watch::Watched,
}

impl Started {
    /// `server`: the lines of `servers.mine`, without the command.
    async fn with(server: &str) -> Self {
        let watched = log_watch::watch();
        let idp = Idp::start().await.unwrap();
        for user in ["alice", "bob"] {
            idp.add_user(User::new(user, &["support"]));
        }
        let (client, secret) = oauth::Client::basic("gateway");
        idp.add_client(client);
        idp.allow(Rule::new("gateway", "mcp-server", "backend-server").scope("call", "read"));
        let dir = std::env::temp_dir().join(format!("safeconduct-started-{}", canary::random_hex()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("server.py"), SERVER).unwrap();
        std::fs::write(dir.join("secret"), secret).unwrap();
        std::fs::write(dir.join("all.cedar"), "permit (principal, action, resource in Server::\"mine\");")
            .unwrap();
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = format!(
            "listen: {listen}\nadmin: 127.0.0.1:0\nissuers: {{ corp: {{ issuer: \"{issuer}\", audience: [mcp-server] }} }}\n\
             clients: {{ gateway: {{ client_id: gateway, auth: client_secret_basic, client_secret: \"file:secret\" }} }}\n\
             servers:\n  mine:\n    command: [python3, server.py]\n    engine: process\n{server}\n\
             policy: all.cedar\naudit: {{ file: audit.jsonl }}\n",
            issuer = idp.issuer(),
        );
        std::fs::write(dir.join("safeconduct.yaml"), text.replace("@IDP@", idp.issuer())).unwrap();
        let mut started =
            Self { idp, gateway: None, base: format!("http://{listen}"), dir, _watched: watched };
        started.open().await;
        started
    }

    async fn open(&mut self) {
        let mut loaded = config::load(&self.dir.join("safeconduct.yaml"));
        let policy = loaded.plan.as_ref().and_then(|plan| config::compile(plan, &mut loaded.report));
        let (Some(plan), Some(policy)) = (loaded.plan, policy) else {
            panic!("{}", loaded.report.text(false))
        };
        self.gateway =
            Some(tokio::task::spawn_blocking(move || app::start(plan, policy)).await.unwrap().unwrap());
    }

    fn client(&self, user: &str) -> (Client, String) {
        let token = self.idp.mint(user, "mcp-server", "call", HOUR);
        (Client::modern(&format!("{}/mine/mcp", self.base)).bearer(&token), token)
    }

    async fn tells(&self, user: &str) -> Value {
        let (client, token) = self.client(user);
        let answer = client.call("tell", json!({})).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.message());
        let told: Value =
            serde_json::from_str(&answer.text()).unwrap_or_else(|_| panic!("{}", answer.message()));
        assert!(!told.to_string().contains(&token), "the caller's own token never gets there");
        told
    }

    async fn stop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            tokio::task::spawn_blocking(move || gateway.stop()).await.unwrap();
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            let _ = std::thread::spawn(move || gateway.stop()).join();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

const EXCHANGE: &str = "    credential: [ { exchange: { token_endpoint: \"@IDP@/token\", client: gateway, \
    audience: backend-server, scopes: [read] } } ]\n";

fn runs(pid: &Value) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_has_a_process_of_its_own_with_its_own_credential_and_nothing_is_left_at_the_end() {
    let mut started = Started::with(&format!("{EXCHANGE}    deliver: {{ env: API_TOKEN }}")).await;
    let (alice, bob) = tokio::join!(started.tells("alice"), started.tells("bob"));
    for (told, user) in [(&alice, "alice"), (&bob, "bob")] {
        let claims = claims_of(told["token"].as_str().unwrap());
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!(user), &json!("backend-server")));
    }
    assert_ne!(alice["pid"], bob["pid"]);
    assert_eq!(started.tells("alice").await["pid"], alice["pid"], "the same process serves the same caller");
    let names: Vec<&str> = alice["names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(!names.contains(&"CARGO") && !names.contains(&"USER"), "nothing is inherited: {names:?}");
    assert!(runs(&alice["pid"]) && runs(&bob["pid"]));
    started.stop().await;
    assert!(!runs(&alice["pid"]) && !runs(&bob["pid"]));
    let lines = std::fs::read_to_string(started.dir.join("audit.jsonl")).unwrap();
    canary::assert_clean("the audit log", lines.as_bytes());
    assert!(lines.contains("\"subject\":\"bob\"") && lines.contains("\"target\":\"tell\""), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_credentials_is_shared_and_one_that_ends_by_itself_is_started_again() {
    let started = Started::with("    credential: none").await;
    let (alice, bob) = (started.tells("alice").await, started.tells("bob").await);
    assert_eq!((&alice["pid"], &alice["token"]), (&bob["pid"], &Value::Null));
    let (client, _) = started.client("alice");
    let died = client.call("die", json!({})).await.unwrap();
    assert!(died.message()["error"].is_object(), "a call in flight is answered: {}", died.message());
    let mut again = Value::Null;
    until(async || {
        let answer = client.call("tell", json!({})).await.unwrap();
        let good = answer.status == 200 && answer.message()["error"].is_null();
        if good {
            again = serde_json::from_str(&answer.text()).unwrap();
        }
        good
    })
    .await;
    assert!(again["pid"].is_u64() && again["pid"] != alice["pid"], "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_server_leaves_a_running_one_alone_and_its_own_change_replaces_it() {
    let started = Started::with("    credential: none").await;
    let first = started.tells("alice").await["pid"].clone();
    let file = started.dir.join("safeconduct.yaml");
    let before = std::fs::read_to_string(&file).unwrap();
    let reload = |text: String| {
        std::fs::write(&file, text).unwrap();
        let mut loaded = config::load(&file);
        let policy = loaded.plan.as_ref().and_then(|plan| config::compile(plan, &mut loaded.report)).unwrap();
        let (gateway, plan) = (started.gateway.as_ref().unwrap(), loaded.plan.unwrap());
        tokio::task::block_in_place(|| gateway.reload(plan, policy)).unwrap();
    };
    reload(
        before.replace(
            "servers:\n",
            "servers:\n  other: { url: \"http://127.0.0.1:9/mcp\", credential: none }\n",
        ),
    );
    assert_eq!(started.tells("alice").await["pid"], first);
    reload(
        before.replace("    credential: none", "    credential: none\n    environment: { LOG_LEVEL: debug }"),
    );
    let second = started.tells("alice").await;
    assert_ne!(second["pid"], first);
    assert!(second["names"].as_array().unwrap().contains(&json!("LOG_LEVEL")));
    until(async || !runs(&first)).await;
}
