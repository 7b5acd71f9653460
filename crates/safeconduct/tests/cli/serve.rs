//! `serve` as a service manager sees it: it says where it listens, answers, reloads, drains, and exits.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::program::{directory, safeconduct};

const PATIENCE: Duration = Duration::from_secs(20);
const SERVERS: &str = "issuers: { corp: { issuer: 'https://idp.example.com', jwks_file: keys.json } }\n\
    servers: { orders: { url: 'http://127.0.0.1:9/mcp', credential: none } }\n\
    policy: some.cedar\naudit: { file: audit.jsonl }\n";
const POLICY: &str = "permit (principal, action, resource in Server::\"orders\");";

/// A served configuration; ended when the test is.
pub(crate) struct Served {
    child: Child,
    lines: Receiver<String>,
    here: PathBuf,
}

impl Served {
    fn begin(name: &str) -> Self {
        Self::spawn(laid_out(name, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"), &["serve"])
    }

    /// Any command that serves until it is told to end.
    pub(crate) fn spawn(here: PathBuf, arguments: &[&str]) -> Self {
        Self::spawn_with(here, arguments, &[])
    }

    /// The same, with this environment.
    pub(crate) fn spawn_with(here: PathBuf, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_safeconduct"))
            .args(arguments)
            .current_dir(&here)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, lines) = channel();
        let said = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Self { child, lines, here }
    }

    /// Waits for a line with these words.
    pub(crate) fn says(&self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else { panic!("{words:?} is not in {seen:#?}") };
            if line.contains(words) {
                return line;
            }
            seen.push(line);
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn ends(&mut self) -> ExitStatus {
        // Its standard error is closed when it ends.
        let until = Instant::now() + PATIENCE;
        while self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        self.child.wait().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn laid_out(name: &str, listen: &str) -> PathBuf {
    let here = directory(name);
    let key =
        safeconduct_testkit::keys::SigningKey::generate(safeconduct_testkit::keys::Algorithm::Es256).unwrap();
    std::fs::write(here.join("keys.json"), serde_json::json!({ "keys": [key.jwk()] }).to_string()).unwrap();
    std::fs::write(here.join("some.cedar"), POLICY).unwrap();
    write(&here, listen);
    here
}

fn write(here: &Path, listen: &str) {
    std::fs::write(here.join("safeconduct.yaml"), format!("{listen}{SERVERS}")).unwrap();
}

fn asked(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mcp =
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: 0";
    write!(stream, "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{mcp}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn after<'l>(line: &'l str, words: &str) -> &'l str {
    line.split(words).nth(1).unwrap()
}

#[test]
fn it_says_where_it_listens_answers_and_ends_with_0_on_sigterm() {
    let mut served = Served::begin("serve");
    let line = served.says("listening on ");
    let address = after(&line, "listening on ").trim().to_owned();
    let line = served.says("admin on http://");
    let admin = after(&line, "admin on http://").split(": /").next().unwrap().to_owned();
    let metadata = asked(&address, "GET /.well-known/oauth-protected-resource/orders/mcp");
    assert!(
        metadata.starts_with("HTTP/1.1 200") && metadata.contains("https://idp.example.com"),
        "{metadata}"
    );
    let refused = asked(&address, "POST /orders/mcp");
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("SC-A01"), "{refused}");
    assert!(asked(&admin, "GET /healthz").starts_with("HTTP/1.1 200"));
    served.signal("-TERM");
    assert_eq!(served.ends().code(), Some(0));
    let audit = std::fs::read_to_string(served.here.join("audit.jsonl")).unwrap();
    assert!(audit.contains("SC-A01"), "what was refused is on record: {audit}");
}

#[test]
fn a_bad_file_on_sighup_is_told_and_changes_nothing() {
    let mut served = Served::begin("hangup");
    let line = served.says("listening on ");
    let address = after(&line, "listening on ").trim().to_owned();
    std::fs::write(served.here.join("safeconduct.yaml"), "isuers: {}\n").unwrap();
    served.signal("-HUP");
    served.says("the old plan stays");
    assert!(asked(&address, "POST /orders/mcp").contains("SC-A01"));
    write(&served.here, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n");
    served.signal("-HUP");
    served.says("reloaded");
    served.signal("-INT");
    assert_eq!(served.ends().code(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_a_failure_and_no_mistake_of_the_file() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = laid_out("taken", &format!("listen: {}\n", taken.local_addr().unwrap()));
    assert_eq!(safeconduct(&here, &[], &["check"]).code, 0);
    let ran = safeconduct(&here, &[], &["serve"]);
    assert_eq!((ran.code, ran.data.as_str()), (1, ""), "{}", ran.people);
    assert!(ran.people.contains("listen 127.0.0.1"), "{}", ran.people);
}

#[test]
fn a_user_is_revoked_at_the_gateway_that_the_file_or_the_command_line_names() {
    let served = Served::begin("revoke");
    let line = served.says("admin on http://");
    let admin = format!("http://{}", after(&line, "admin on http://").split(": /").next().unwrap());
    let revoke = |more: &[&str]| safeconduct(&served.here, &[], &[&["revoke"], more].concat());
    let done = revoke(&["--user", "alice", "--admin", &admin]);
    assert_eq!((done.code, done.people.as_str()), (0, ""), "{}", done.data);
    assert!(done.data.starts_with("alice (corp): tokens from before "), "{}", done.data);
    let done =
        revoke(&["--session", "s1", "--issuer", "https://idp.example.com", "--admin", &admin, "-o", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&done.data).unwrap();
    assert_eq!((done.code, answer["sid"].as_str(), answer["issuer"].as_str()), (0, Some("s1"), Some("corp")));
    let unknown = revoke(&["--user", "alice", "--issuer", "cor", "--admin", &admin]);
    assert_eq!((unknown.code, unknown.data.as_str()), (2, ""));
    assert!(unknown.people.contains("no such issuer (--issuer corp)"), "{}", unknown.people);
    // The file says where its gateway is, also to somebody who does not have its secrets.
    let port = admin.rsplit(':').next().unwrap();
    write(
        &served.here,
        &format!("listen: 127.0.0.1:0\nadmin: 0.0.0.0:{port}\nsessions: {{ key: env:NOT_SET }}\n"),
    );
    assert_eq!(revoke(&["--user", "alice"]).code, 0);
    let audit = std::fs::read_to_string(served.here.join("audit.jsonl")).unwrap();
    assert!(audit.contains("\"target\":\"corp/alice\""), "{audit}");
}

#[test]
fn where_no_gateway_takes_orders_nothing_is_revoked_and_that_is_said() {
    let here = laid_out("revoke-nowhere", "listen: 127.0.0.1:0\n");
    let revoke = |more: &[&str]| safeconduct(&here, &[], &[&["revoke", "--user", "alice"], more].concat());
    let without = revoke(&[]);
    assert_eq!((without.code, without.data.as_str()), (2, ""));
    assert!(without.people.contains("has no `admin`"), "{}", without.people);
    assert_eq!(revoke(&["--config", "absent.yaml"]).code, 2);
    assert_eq!(revoke(&["--admin", "ftp://127.0.0.1"]).code, 2);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    let unreachable = revoke(&["--admin", &gone]);
    assert_eq!((unreachable.code, unreachable.data.as_str()), (1, ""));
    assert!(unreachable.people.contains(&gone), "{}", unreachable.people);
    assert_eq!(safeconduct(&here, &[], &["revoke"]).code, 2, "nobody is named");
}

#[test]
fn a_second_gateway_on_the_same_state_directory_is_refused_until_the_first_is_gone_however_it_went() {
    let listen = "listen: 127.0.0.1:0\nruntime: { state: state }\n";
    let first = laid_out("state", listen);
    let second = laid_out("state-second", "");
    let there = first.join("state").display().to_string();
    write(&second, &format!("listen: 127.0.0.1:0\nruntime: {{ state: '{there}' }}\n"));
    let mut served = Served::spawn(first.clone(), &["serve"]);
    served.says("listening on ");
    let refused = safeconduct(&second, &[], &["serve"]);
    assert_eq!((refused.code, refused.data.as_str()), (1, ""), "{}", refused.people);
    let named = format!("another gateway has it (process {}", served.child.id());
    assert!(refused.people.contains(&named) && refused.people.contains(&there), "{}", refused.people);
    // The first has not noticed anything; killed, it cannot clean up.
    served.signal("-KILL");
    assert!(!served.ends().success());
    assert!(first.join("state/lock").exists());
    let mut next = Served::spawn(second, &["serve"]);
    next.says("listening on ");
    next.signal("-TERM");
    assert_eq!(next.ends().code(), Some(0));
    assert!(!first.join("state").exists(), "nothing is left of it");
}

#[test]
fn a_file_that_is_served_already_is_not_served_again_and_its_servers_are_left_alone() {
    let here = laid_out("state-same-file", "");
    let script = "listen: 127.0.0.1:0\nissuers: { corp: { issuer: 'https://idp.example.com', jwks_file: keys.json } }\n\
        servers: { slow: { command: [sleep, '60'], engine: process, credential: none } }\n\
        policy: some.cedar\naudit: { file: audit.jsonl }\n";
    std::fs::write(here.join("safeconduct.yaml"), script).unwrap();
    let home = here.display().to_string();
    let spawn = || Served::spawn_with(here.clone(), &["serve"], &[("XDG_STATE_HOME", &home)]);
    let mut served = spawn();
    served.says("listening on ");
    let second = safeconduct(&here, &[("XDG_STATE_HOME", &home)], &["serve"]);
    assert_eq!(second.code, 1, "the same file is the same gateway: {}", second.people);
    assert!(second.people.contains("another gateway has it"), "{}", second.people);
    served.signal("-KILL");
    served.ends();
    let mut next = spawn();
    next.says("listening on ");
    next.signal("-TERM");
    assert_eq!(next.ends().code(), Some(0));
}
