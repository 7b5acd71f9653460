//! The table of instances: who gets which, and when they end.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use safeconduct_core::caller::{IssuerRules, Preset, Principal, suppose};
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use safeconduct_runtime::delivery::{Deliver, Freshness};
use safeconduct_runtime::engine::process::ProcessEngine;
use safeconduct_runtime::engine::{Doing, Engine as _, EngineError, Instance, Place};
use safeconduct_runtime::launch::{Launch, Program, Transport};
use safeconduct_runtime::masks::Masks;
use safeconduct_runtime::supervise::{
    BerthError, Berths, Bounds, MakeLaunch, Occupancy, Scope, Serving, State,
};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::bench::{Client, Way, brisk, launch, python, runs, script, until};

/// A token in a variable, good until a time.
pub(crate) struct Given {
    token: String,
    /// A later one does not reach a running process.
    stale: bool,
}

impl Deliver for Given {
    type Delivered = String;

    fn board<'a>(&'a self, _: &'a dyn Place, launch: &'a mut Launch, _: &'a Arc<Masks>) -> Doing<'a, String> {
        Box::pin(async move {
            launch.environment.push(("API_TOKEN".into(), Secret::new(self.token.clone().into_bytes())));
            Ok(self.token.clone())
        })
    }

    fn started<'a>(&'a self, _: &'a String, _: &'a Arc<dyn Instance>) -> Doing<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn refresh<'a>(&'a self, delivered: &'a String, _: &'a dyn Instance) -> Doing<'a, Freshness> {
        let stale = self.stale && *delivered != self.token;
        Box::pin(async move { Ok(if stale { Freshness::Stale } else { Freshness::Fresh }) })
    }

    fn clear<'a>(&'a self, _: &'a String, _: &'a dyn Instance) -> Doing<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

fn given(token: &str) -> Arc<Given> {
    Arc::new(Given { token: token.to_owned(), stale: true })
}

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn caller(name: &str, lasts: u64) -> Arc<Principal> {
    logged_in(name, lasts, "the only one")
}

fn logged_in(name: &str, lasts: u64, login: &str) -> Arc<Principal> {
    let rules = IssuerRules::new("corp", "https://idp.example", Preset::Oidc);
    let claims =
        json!({ "iss": "https://idp.example", "sub": name, "sid": login, "exp": NOW.secs() + lasts });
    Arc::new(suppose(claims.to_string().as_bytes(), &rules, NOW).unwrap())
}

/// How the scripted server is served.
struct Table {
    berths: Arc<Berths<Given>>,
    starts: Arc<AtomicUsize>,
}

fn serving(flags: &[&str], starts: &Arc<AtomicUsize>) -> Serving {
    let (arguments, starts) = (script(flags), starts.clone());
    Serving {
        server: "scripted".into(),
        engine: Arc::new(ProcessEngine::new()),
        occupancy: Occupancy::PerCaller,
        transport: Transport::Stdio,
        launch: Arc::new(move |instance| {
            starts.fetch_add(1, Ordering::SeqCst);
            Ok(launch(instance, arguments.clone()))
        }),
        digest: [0; 32],
        idle: Duration::from_secs(600),
        ready: Duration::from_secs(20),
        ladder: brisk(),
        warm: false,
    }
}

impl Table {
    fn new(bounds: Bounds, change: impl FnOnce(&mut Serving)) -> Self {
        let starts = Arc::new(AtomicUsize::new(0));
        let mut serving = serving(&[], &starts);
        change(&mut serving);
        let berths = Berths::new(Handle::current(), bounds);
        berths.serve(vec![serving]);
        Self { berths, starts }
    }

    async fn client(&self, who: &Arc<Principal>, token: &str) -> Client {
        let berth = self.berths.reach("scripted", who, &given(token)).await.unwrap();
        Client::new(Way::Berth(berth)).initialized(json!({})).await
    }

    fn starts(&self) -> usize {
        self.starts.load(Ordering::SeqCst)
    }

    fn state(&self) -> Vec<State> {
        self.berths.status().iter().map(|berth| berth.state).collect()
    }
}

async fn token_of(client: &Client) -> String {
    let text = client.text("environment", json!({ "names": ["API_TOKEN"] })).await;
    serde_json::from_str::<Value>(&text).unwrap()["API_TOKEN"].as_str().unwrap().to_owned()
}

async fn pid_of(client: &Client) -> u32 {
    client.text("pid", json!({})).await.parse().unwrap()
}

/// Row: S3
#[tokio::test]
async fn fifty_callers_at_once_each_have_a_process_with_their_own_credential() {
    let table = Table::new(Bounds::default(), |_| {});
    let callers = (0..50).map(|number| {
        let table = &table;
        async move {
            let (who, token) = (caller(&format!("user-{number}"), 3600), format!("token-of-{number}"));
            let client = table.client(&who, &token).await;
            assert_eq!(token_of(&client).await, token);
            pid_of(&client).await
        }
    });
    let mut pids = join_all(callers).await;
    pids.sort_unstable();
    pids.dedup();
    assert_eq!((pids.len(), table.starts()), (50, 50));
    let status = table.berths.status();
    assert_eq!(status.iter().filter(|berth| berth.state == State::Running).count(), 50);
    assert_eq!(&*status[0].caller.as_ref().unwrap().subject, "user-0");
    table.berths.end().await;
    assert!(pids.iter().all(|pid| !runs(*pid)));
}

#[tokio::test]
async fn many_first_calls_of_one_caller_start_one_process_and_share_its_failure() {
    let table = Table::new(Bounds::default(), |_| {});
    let who = caller("alice", 3600);
    let reached = join_all((0..20).map(|_| async {
        let token = given("t");
        table.berths.reach("scripted", &who, &token).await.map(|berth| berth.id())
    }));
    let mut ids: Vec<_> = reached.await.into_iter().map(Result::unwrap).collect();
    ids.dedup();
    assert_eq!((ids.len(), table.starts()), (1, 1));
    table.berths.end().await;

    let broken = Table::new(Bounds::default(), |serving| {
        let starts = Arc::new(AtomicUsize::new(0));
        let counted = starts.clone();
        serving.launch = Arc::new(move |instance| {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut launch = launch(instance, Vec::new());
            launch.program = Program::Command { arguments: vec!["no-such-program".into()], directory: None };
            Ok(launch)
        });
    });
    let token = given("t");
    let failed = join_all((0..20).map(|_| broken.berths.reach("scripted", &who, &token))).await;
    for reached in failed {
        let error = reached.err().unwrap();
        assert!(matches!(&error, BerthError::Engine(EngineError::Missing(_))), "{error}");
        assert_eq!(error.for_caller(), "The server could not be started.");
    }
    broken.berths.end().await;
}

/// Row: S3
#[tokio::test]
async fn a_newer_credential_that_cannot_reach_a_process_replaces_it_and_the_session_goes_on() {
    let table = Table::new(Bounds::default(), |_| {});
    let who = caller("alice", 3600);
    let client = table.client(&who, "first-token").await;
    assert_eq!(token_of(&client).await, "first-token");
    table.berths.reach("scripted", &who, &given("first-token")).await.unwrap();
    assert_eq!(table.starts(), 1);
    table.berths.reach("scripted", &who, &given("second-token")).await.unwrap();
    assert_eq!(token_of(&client).await, "second-token");
    assert_eq!(table.starts(), 2);
    until("the old one has ended", async || table.berths.status()[0].instances.len() == 1).await;
    table.berths.end().await;
}

/// Row: S3
#[tokio::test]
async fn a_callers_process_ends_with_the_token_unless_a_later_one_came() {
    let table = Table::new(Bounds::default(), |_| {});
    let (alice, bob) = (caller("alice", 60), caller("bob", 60));
    let first = table.client(&alice, "a").await;
    let second = table.client(&bob, "b").await;
    let pids = [pid_of(&first).await, pid_of(&second).await];
    // The same login, refreshed: the same fingerprint, a later end.
    let refreshed = caller("alice", 600);
    assert_eq!(alice.fingerprint, refreshed.fingerprint);
    table.berths.reach("scripted", &refreshed, &given("a")).await.unwrap();
    table.berths.sweep(NOW.plus(Duration::from_secs(59))).await;
    assert!(pids.iter().all(|pid| runs(*pid)));
    table.berths.sweep(NOW.plus(Duration::from_secs(60))).await;
    assert_eq!(pids.map(runs), [true, false]);
    table.berths.sweep(NOW.plus(Duration::from_secs(600))).await;
    assert!(!runs(pids[0]) && table.berths.status().is_empty());
    table.berths.end().await;
}

#[tokio::test]
async fn an_idle_process_is_ended_and_the_session_finds_another() {
    let table = Table::new(Bounds::default(), |serving| serving.idle = Duration::from_millis(300));
    let who = caller("alice", 3600);
    let client = table.client(&who, "t").await;
    let pid = pid_of(&client).await;
    let busy = client.call(json!(1), "never", json!({})).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    table.berths.sweep(NOW).await;
    assert!(runs(pid), "a call is under way");
    client.notify("notifications/cancelled", json!({ "requestId": 1 })).await;
    drop(busy);
    until("it is ended", async || {
        table.berths.sweep(NOW).await;
        !runs(pid)
    })
    .await;
    assert_eq!(table.state(), [State::Asleep]);
    table.berths.reach("scripted", &who, &given("t")).await.unwrap();
    assert_ne!(pid_of(&client).await, pid);
    table.berths.end().await;
}

#[tokio::test]
async fn instances_are_bounded_and_the_one_that_was_idle_the_longest_makes_room() {
    let table = Table::new(Bounds { total: 2, per_caller: 1, ..Bounds::default() }, |_| {});
    let names = ["alice", "bob", "carol"].map(|name| caller(name, 3600));
    let alice = table.client(&names[0], "a").await;
    let bob = table.client(&names[1], "b").await;
    let pids = [pid_of(&alice).await, pid_of(&bob).await];
    let carol = table.client(&names[2], "c").await;
    pid_of(&carol).await;
    assert_eq!(pids.map(runs), [false, true], "alice was idle the longest");

    let _busy =
        (bob.call(json!(1), "never", json!({})).await, carol.call(json!(1), "never", json!({})).await);
    let error = table.berths.reach("scripted", &names[0], &given("a")).await.err().unwrap();
    assert_eq!(error, BerthError::Full(Scope::All));
    assert!(error.retry_after().is_some());
    // A caller's second process, for a client with other capabilities, is over this caller's bound.
    let berth = table.berths.reach("scripted", &names[1], &given("b")).await.unwrap();
    let answer = Client::new(Way::Berth(berth)).initialize(json!({ "sampling": {} })).await;
    assert_eq!(
        answer["error"]["message"],
        "Too many of your servers are busy. Try again when one of them is done."
    );
    table.berths.end().await;
}

/// Row: S5
#[tokio::test]
async fn crashes_in_a_row_are_waited_out_and_their_reason_is_remembered() {
    let table = Table::new(Bounds::default(), |_| {});
    let who = caller("alice", 3600);
    let client = table.client(&who, "t").await;
    let crash = async || client.call(json!(1), "crash", json!({ "code": 9 })).await.last().await;
    assert_eq!(crash().await["error"]["message"], "The server ended before it answered: exit code 9.");
    until("the crash is known", async || table.berths.status()[0].trouble.is_some()).await;
    // The first one costs nothing.
    table.berths.reach("scripted", &who, &given("t")).await.unwrap();
    pid_of(&client).await;
    crash().await;
    until("so is the second", async || table.berths.status()[0].trouble.as_ref().unwrap().failures == 2)
        .await;
    let begun = Instant::now();
    let error = table.berths.reach("scripted", &who, &given("t")).await.err().unwrap();
    let BerthError::BackOff { reason, retry } = &error else { panic!("{error}") };
    assert_eq!(&**reason, "exit code 9");
    assert!(*retry <= Duration::from_secs(1) && begun.elapsed() < Duration::from_millis(500));
    assert_eq!(table.state(), [State::BackingOff]);
    until("it is tried again", async || table.berths.reach("scripted", &who, &given("t")).await.is_ok())
        .await;
    pid_of(&client).await;
    let logs = table.berths.logs("scripted");
    let said: Vec<_> = logs.iter().flat_map(|log| log.follow().0).map(|said| said.line.to_string()).collect();
    assert!(
        said.contains(&"about to crash".to_owned()) && said.contains(&"ended: exit code 9".to_owned()),
        "{said:?}"
    );
    table.berths.end().await;
}

#[tokio::test]
async fn a_reload_replaces_what_changed_and_nothing_else() {
    let starts = Arc::new(AtomicUsize::new(0));
    let berths = Berths::new(Handle::current(), Bounds::default());
    let other =
        |digest: u8| Serving { server: "other".into(), digest: [digest; 32], ..serving(&[], &starts) };
    berths.serve(vec![serving(&[], &starts), other(1)]);
    let who = caller("alice", 3600);
    let client = async |server: &str| {
        let berth = berths.reach(server, &who, &given("t")).await.unwrap();
        Client::new(Way::Berth(berth)).initialized(json!({})).await
    };
    let (kept, changed) = (client("scripted").await, client("other").await);
    let pids = [pid_of(&kept).await, pid_of(&changed).await];
    let slow = changed.call(json!(1), "echo", json!({ "after": 0.7, "n": 1 })).await;
    berths.serve(vec![serving(&[], &starts), other(2)]);
    // What is under way is finished; the next call finds the new one.
    let again = client("other").await;
    assert!(!pids.contains(&pid_of(&again).await));
    assert_eq!(slow.last().await["result"]["content"][0]["text"], "{\"after\": 0.7, \"n\": 1}");
    until("the old one has ended", async || !runs(pids[1])).await;
    assert_eq!(pid_of(&kept).await, pids[0]);

    berths.serve(vec![serving(&[], &starts)]);
    let gone = berths.reach("other", &who, &given("t")).await.err();
    assert_eq!(gone, Some(BerthError::Unknown("other".into())));
    berths.end().await;
    let over = berths.reach("scripted", &who, &given("t")).await.err();
    assert_eq!(over, Some(BerthError::Stopping));
}

#[tokio::test]
async fn a_revoked_caller_loses_everything_and_nobody_else_does() {
    let table = Table::new(Bounds::default(), |_| {});
    let (alice, bob) = (caller("alice", 3600), caller("bob", 3600));
    let (first, second) = (table.client(&alice, "a").await, table.client(&bob, "b").await);
    let pids = [pid_of(&first).await, pid_of(&second).await];
    let waiting = first.call(json!(1), "never", json!({})).await;
    assert_eq!(table.berths.revoke(|who| *who.subject == *"alice").await, 1);
    assert_eq!(pids.map(runs), [false, true]);
    assert_eq!(waiting.last().await["error"]["message"], "The caller's access was revoked.");
    assert_eq!(table.berths.revoke(|who| *who.issuer == *"other").await, 0);
    assert!(runs(pids[1]));
    table.berths.end().await;
}

#[tokio::test]
async fn each_login_of_a_caller_has_a_process_and_ends_with_it_alone() {
    let table = Table::new(Bounds::default(), |_| {});
    let logins = ["first", "second"].map(|login| logged_in("alice", 3600, login));
    let clients = [table.client(&logins[0], "1").await, table.client(&logins[1], "2").await];
    let pids = [pid_of(&clients[0]).await, pid_of(&clients[1]).await];
    let of = |login: &'static str| move |who: &Principal| who.session.as_deref() == Some(login);
    assert_eq!(table.berths.revoke(of("third")).await, 0);
    assert_eq!(table.berths.revoke(of("second")).await, 1);
    assert_eq!(pids.map(runs), [true, false]);
    table.berths.end().await;
}

/// A server that listens a second after its start.
fn slow_http(port: u16, starts: &Arc<AtomicUsize>) -> MakeLaunch {
    let starts = starts.clone();
    Arc::new(move |instance| {
        starts.fetch_add(1, Ordering::SeqCst);
        let program = format!(
            "import time, http.server as h; time.sleep(1); \
             h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler).serve_forever()"
        );
        let mut launch = launch(instance, vec![python(), "-c".into(), program]);
        launch.transport = Transport::Http { port, path: "/mcp".into() };
        Ok(launch)
    })
}

fn over_http() -> (Table, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let starts = Arc::new(AtomicUsize::new(0));
    let table = Table::new(Bounds::default(), |serving| {
        serving.transport = Transport::Http { port, path: "/mcp".into() };
        serving.launch = slow_http(port, &starts);
    });
    (Table { starts, ..table }, port)
}

#[tokio::test]
async fn a_start_that_is_under_way_when_its_caller_is_revoked_serves_nobody_and_leaves_nothing() {
    let (table, port) = over_http();
    let (berths, who) = (table.berths.clone(), caller("alice", 3600));
    let first = tokio::spawn(async move { berths.reach("scripted", &who, &given("t")).await.map(drop) });
    until("it is being started", async || table.starts() == 1).await;
    assert_eq!(table.berths.revoke(|who| *who.subject == *"alice").await, 1);
    assert_eq!(first.await.unwrap(), Err(BerthError::Stopping));
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "nothing listens");
    let free = std::net::TcpListener::bind(("127.0.0.1", port));
    assert!(free.is_ok(), "{free:?}");
    drop(free);
    // The next login is served.
    let again = table.berths.reach("scripted", &caller("alice", 3600), &given("t")).await.map(drop);
    assert_eq!(again, Ok(()));
    table.berths.end().await;
}

#[tokio::test]
async fn with_the_engine_process_nobody_is_answered_by_another_callers_server_at_the_same_port() {
    let (table, port) = over_http();
    let reach = async |name| table.berths.reach("scripted", &caller(name, 3600), &given(name)).await;
    assert!(reach("alice").await.is_ok());
    let refused = reach("bob").await.err().unwrap();
    let BerthError::Engine(EngineError::Refused(why)) = refused else { panic!("{refused}") };
    assert!(why.contains(&format!("port {port} is another instance's")), "{why}");
    assert!(reach("alice").await.is_ok(), "who has it keeps it");
    table.berths.end().await;

    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut strange = launch("x", vec![python()]);
    let port = taken.local_addr().unwrap().port();
    strange.transport = Transport::Http { port, path: "/mcp".into() };
    let refused = ProcessEngine::new().prepare(&strange).await.err().unwrap().to_string();
    assert!(refused.contains(&format!("port {port} is not free")), "{refused}");
}

#[tokio::test]
async fn a_shared_server_is_one_process_for_all_and_may_be_warm() {
    let table = Table::new(Bounds::default(), |serving| {
        serving.occupancy = Occupancy::Shared;
        serving.warm = true;
        serving.idle = Duration::ZERO;
    });
    table.berths.warm(&given("shared")).await;
    assert_eq!((table.starts(), table.state()), (1, vec![State::Running]));
    let clients = [
        table.client(&caller("alice", 3600), "shared").await,
        table.client(&caller("bob", 60), "shared").await,
    ];
    assert_eq!(pid_of(&clients[0]).await, pid_of(&clients[1]).await);
    table.berths.sweep(NOW.plus(Duration::from_secs(4000))).await;
    assert_eq!(table.state(), [State::Running], "nobody's token ends it, and it is kept warm");
    assert_eq!(table.starts(), 1);
    assert!(table.berths.status()[0].caller.is_none());
    table.berths.end().await;
}

/// A server that listens on a port: started, waited for, reached, replaced after a crash.
#[tokio::test]
async fn a_server_on_a_port_is_waited_for_and_replaced() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let program = format!(
        "import http.server as h, os, time\nclass S(h.BaseHTTPRequestHandler):\n  def do_POST(self):\n    n = int(self.headers['content-length']); self.rfile.read(n)\n    b = b'{{\"pid\": %d}}' % os.getpid()\n    self.send_response(200); self.send_header('content-length', str(len(b))); self.end_headers(); self.wfile.write(b)\n    print('asked', flush=True)\ntime.sleep(0.3)\nh.ThreadingHTTPServer.allow_reuse_address = True\nh.ThreadingHTTPServer(('127.0.0.1', {port}), S).serve_forever()"
    );
    let table = Table::new(Bounds::default(), |serving| {
        serving.transport = Transport::Http { port, path: "/mcp".into() };
        serving.launch = Arc::new(move |instance| {
            let mut launch = launch(instance, Vec::new());
            launch.transport = Transport::Http { port, path: "/mcp".into() };
            let arguments = vec![python(), "-c".into(), program.clone()];
            launch.program = Program::Command { arguments, directory: None };
            Ok(launch)
        });
        serving.idle = Duration::from_millis(200);
    });
    let who = caller("alice", 3600);
    let ask = async || {
        let berth = table.berths.reach("scripted", &who, &given("t")).await.unwrap();
        let id = berth.id();
        let answer = Client::new(Way::Berth(berth)).post(&json!({})).await.json().await;
        (id, u32::try_from(answer["pid"].as_u64().unwrap()).unwrap())
    };
    let first = ask().await;
    assert_eq!(ask().await, first);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(first.1).unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    until("its end is seen", async || table.state() == [State::Asleep]).await;
    let second = ask().await;
    assert!(second.0 != first.0 && second.1 != first.1, "connections of the old one are not used again");
    until("it is ended when idle", async || {
        table.berths.sweep(NOW).await;
        !runs(second.1)
    })
    .await;
    let said: Vec<_> = table.berths.logs("scripted").iter().flat_map(|log| log.follow().0).collect();
    assert!(said.iter().any(|said| &*said.line == "asked"));
    table.berths.end().await;
}

#[tokio::test]
async fn a_server_whose_port_stays_silent_is_not_ready() {
    let table = Table::new(Bounds::default(), |serving| {
        serving.ready = Duration::from_millis(400);
        serving.launch = Arc::new(|instance| {
            let mut launch = launch(instance, Vec::new());
            launch.transport = Transport::Http { port: 1, path: "/mcp".into() };
            launch.program =
                Program::Command { arguments: vec!["sleep".into(), "600".into()], directory: None };
            Ok(launch)
        });
        serving.transport = Transport::Http { port: 1, path: "/mcp".into() };
    });
    let error = table.berths.reach("scripted", &caller("alice", 60), &given("t")).await.err().unwrap();
    assert_eq!(error, BerthError::NotReady("nothing listens at its port after 0 s".into()));
    assert_eq!(table.state(), [State::Asleep]);
    table.berths.end().await;
}

/// What was asked of launches is asked at every start, so that secrets are read anew.
#[tokio::test]
async fn a_launch_that_cannot_be_made_is_the_callers_refusal() {
    let tried = Arc::new(AtomicU64::new(0));
    let counted = tried.clone();
    let secret = Arc::new(Mutex::new(None::<String>));
    let read = secret.clone();
    let table = Table::new(Bounds::default(), |serving| {
        let arguments = script(&[]);
        serving.launch = Arc::new(move |instance| {
            counted.fetch_add(1, Ordering::SeqCst);
            let value = read.lock().unwrap().clone();
            let value = value.ok_or_else(|| EngineError::Missing("the secret file is not there".into()))?;
            let mut launch = launch(instance, arguments.clone());
            launch.environment.push(("FROM_FILE".into(), Secret::new(value.into_bytes())));
            Ok(launch)
        });
    });
    let who = caller("alice", 60);
    let error = table.berths.reach("scripted", &who, &given("t")).await.err().unwrap();
    assert_eq!(error.to_string(), "the secret file is not there");
    *secret.lock().unwrap() = Some("there now".into());
    let client = table.client(&who, "t").await;
    let text = client.text("environment", json!({ "names": ["FROM_FILE"] })).await;
    assert!(text.contains("there now"), "{text}");
    assert_eq!(tried.load(Ordering::SeqCst), 2);
    table.berths.end().await;
}
