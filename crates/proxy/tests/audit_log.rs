//! The audit log on a real file system: every line, once, whole; and what happens when it cannot be written.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use safeconduct_core::audit::{CredentialRecord, DecisionRecord, Record, SpeaksFor, Trail};
use safeconduct_core::refusal::Reason;
use safeconduct_core::server::{Catalogue, Delivery, Server};
use safeconduct_core::time::Timestamp;
use safeconduct_proxy::sink::{
    Arguments, Clock, FileSink, Flush, NotDurable, OnFailure, Settings, SystemClock, Target,
};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// Linux's value on the processors that this is built for; the standard library has no name for it.
const O_NONBLOCK: i32 = 0o4000;
const ID: [u8; 26] = *b"01JDA5Q4K0ZZZZZZZZZZZZZZZZ";

/// A directory that goes when the test does.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("safeconduct-audit-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A clock that says a millisecond more each time it is asked.
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1000, Ordering::Relaxed))
    }
}

fn ticking() -> Arc<Ticking> {
    Arc::new(Ticking(AtomicU64::new(1_763_805_600_123_000)))
}

fn open(settings: Settings) -> Arc<FileSink> {
    Arc::new(FileSink::open(settings, Arc::new(SystemClock::new())).unwrap())
}

fn settings(path: &Path) -> Settings {
    Settings::new(Target::File(path.into()))
}

fn orders() -> Arc<Server> {
    Arc::new(Server {
        name: "orders".into(),
        resource: "https://mcp.example.com/orders/mcp".into(),
        metadata_url: "https://mcp.example.com/.well-known/oauth-protected-resource/orders/mcp".into(),
        issuers: vec!["corp".into()],
        scopes: Default::default(),
        url: "http://127.0.0.1:9000/mcp".parse().unwrap(),
        started: false,
        delivery: Delivery::default(),
        shared_credential: false,
        catalogue: Catalogue::default(),
        pins: None,
    })
}

fn list(items: &[&str]) -> Arc<[Box<str>]> {
    items.iter().map(|item| Box::from(*item)).collect()
}

fn call(record: &mut Record) {
    record.server = Some(orders());
    record.era = Some("2025-11-25");
    record.method = Some("tools/call".into());
    record.target = Some("refund \"now\"\n".into());
    record.arguments = Some("{\"order\": 7,\n \"amount\": \"12\\\" x\"}".into());
    record.decision =
        Some(DecisionRecord { permit: true, policies: list(&["policies/orders.cedar:4"]), micros: 18 });
    record.credential = Some(CredentialRecord {
        steps: list(&["exchange"]),
        source: "cache",
        speaks_for: SpeaksFor::Caller,
        audience: list(&["backend-server"]),
        scopes: list(&["backend-api:read", "x"]),
        expires: Some(Timestamp::from_secs(1_763_809_200)),
    });
    record.backend_status = Some(200);
    record.backend_micros = Some(2310);
    record.bytes_in = 184;
    record.note_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
}

/// Writes one answered call whose target is `target`.
fn answered(sink: &Arc<FileSink>, target: &str) {
    let mut trail = Trail::open(sink.clone(), ID);
    trail.note(|record| record.target = Some(target.into()));
    trail.answered(1);
}

fn targets(text: &str) -> Vec<String> {
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    text.lines().map(line).filter_map(|line| line["target"].as_str().map(Into::into)).collect()
}

fn lost(text: &str) -> u64 {
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    text.lines().map(line).filter_map(|line| line["lost"].as_u64()).sum()
}

fn await_that(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it did not come");
        std::thread::yield_now();
    }
}

#[test]
fn an_answered_call_is_one_line_as_documented() {
    let dir = Dir::new();
    let path = dir.file("audit.jsonl");
    let sink = Arc::new(FileSink::open(settings(&path), ticking()).unwrap());
    let mut trail = Trail::open(sink.clone(), ID);
    trail.note(call);
    trail.answered(921);
    sink.close(PATIENCE).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let written = line["arguments"].as_str().unwrap();
    assert_eq!(written.len(), "sha256:".len() + 64);
    let expected = concat!(
        r#"{"time":"2025-11-22T10:00:00.123Z","id":"01JDA5Q4K0ZZZZZZZZZZZZZZZZ","#,
        r#""trace":"4bf92f3577b34da6a3ce929d0e0e4736","outcome":"answered","fault":null,"code":null,"#,
        r#""principal":null,"server":"orders","era":"2025-11-25","method":"tools/call","#,
        r#""target":"refund \"now\"\n","arguments":"ARGUMENTS","#,
        r#""decision":{"effect":"permit","policies":["policies/orders.cedar:4"],"micros":18},"#,
        r#""credential":{"steps":["exchange"],"source":"cache","identity":"caller","audience":["backend-server"],"#,
        r#""scopes":["backend-api:read","x"],"expires":"2025-11-22T11:00:00.000Z","fingerprint":null},"#,
        r#""backend":{"status":200,"micros":2310},"bytes_in":184,"bytes_out":921,"micros":1000}"#,
        "\n",
    );
    assert_eq!(text, expected.replace("ARGUMENTS", written));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_request_that_never_became_a_call_has_every_field_and_nulls() {
    let dir = Dir::new();
    let path = dir.file("audit.jsonl");
    let sink = Arc::new(FileSink::open(settings(&path), ticking()).unwrap());
    Trail::open(sink.clone(), ID).refused(&Reason::NoToken, "no Authorization header".into(), 0);
    sink.close(PATIENCE).unwrap();
    let expected = concat!(
        r#"{"time":"2025-11-22T10:00:00.123Z","id":"01JDA5Q4K0ZZZZZZZZZZZZZZZZ","trace":null,"#,
        r#""outcome":"refused","fault":"caller","code":"SC-A01","principal":null,"server":null,"era":null,"#,
        r#""method":null,"target":null,"arguments":null,"decision":null,"credential":null,"backend":null,"#,
        r#""bytes_in":0,"bytes_out":0,"micros":1000,"detail":"no Authorization header"}"#,
        "\n",
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn arguments_are_written_as_configured() {
    let line = |how| {
        let dir = Dir::new();
        let path = dir.file("audit.jsonl");
        let sink = open(Settings { arguments: how, ..settings(&path) });
        let mut trail = Trail::open(sink.clone(), ID);
        trail.note(call);
        trail.answered(0);
        sink.close(PATIENCE).unwrap();
        fs::read_to_string(&path).unwrap()
    };
    assert!(line(Arguments::Names).contains(r#""arguments":["amount","order"],"#));
    assert!(line(Arguments::Full).contains(r#""arguments":{"order":7,"amount":"12\" x"},"#));
    let text = "{\"order\": 7,\n \"amount\": \"12\\\" x\"}";
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(line(Arguments::Digest).contains(&format!(r#""arguments":"sha256:{hex}","#)));
}

#[test]
fn the_operators_text_is_written_unless_it_may_quote_an_argument() {
    let line = |reason: Reason, how| {
        let dir = Dir::new();
        let path = dir.file("audit.jsonl");
        let sink = open(Settings { arguments: how, ..settings(&path) });
        Trail::open(sink.clone(), ID).refused(&reason, "amount is 4711".into(), 0);
        sink.close(PATIENCE).unwrap();
        fs::read_to_string(&path).unwrap().contains("4711")
    };
    assert!(line(Reason::BackendTimeout, Arguments::Digest));
    assert!(line(Reason::BodyTooSlow, Arguments::Digest));
    // Its text holds no values; `core::policy` sees to that.
    assert!(line(Reason::PolicyError { hidden: false, error: String::new() }, Arguments::Digest));
    let quoting = || Reason::Malformed("".into());
    assert!(line(quoting(), Arguments::Full));
    assert!(!line(quoting(), Arguments::Names));
    assert!(!line(quoting(), Arguments::Digest));
    assert!(!line(Reason::UnknownMethod(String::new()), Arguments::Digest));
}

#[test]
fn ten_thousand_lines_of_eight_threads_are_whole_and_all_there() {
    let dir = Dir::new();
    let path = dir.file("audit.jsonl");
    let sink = open(Settings { buffer: 64 << 20, ..settings(&path) });
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let sink = &sink;
            scope.spawn(move || (0..1250).for_each(|n| answered(sink, &format!("{thread}-{n:04}"))));
        }
    });
    sink.close(PATIENCE).unwrap();
    let found = targets(&fs::read_to_string(&path).unwrap());
    assert_eq!(found.len(), 10_000);
    for thread in 0..8 {
        let own: Vec<&String> =
            found.iter().filter(|target| target.starts_with(&format!("{thread}-"))).collect();
        assert_eq!(own.len(), 1250);
        assert!(own.is_sorted(), "the lines of one thread stand in their order");
    }
}

#[test]
fn a_lone_line_is_written_without_anything_after_it() {
    let dir = Dir::new();
    let path = dir.file("audit.jsonl");
    let sink = open(settings(&path));
    answered(&sink, "alone");
    await_that(|| targets(&fs::read_to_string(&path).unwrap()) == ["alone"]);
    await_that(|| sink.gauge().waiting == 0);
}

#[test]
fn a_durable_record_is_in_the_file_when_the_wait_is_over() {
    let dir = Dir::new();
    let path = dir.file("audit.jsonl");
    let sink = open(Settings { flush: Flush::BeforeAnswer, ..settings(&path) });
    let each = |n: usize| {
        let (sink, path) = (sink.clone(), path.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                for turn in 0..20 {
                    let name = format!("{n}-{turn}");
                    answered(&sink, &name);
                    assert_eq!(sink.settle().await, Ok(()));
                    let text = fs::read_to_string(&path).unwrap();
                    let whole = text.get(..=text.rfind('\n').unwrap()).unwrap();
                    assert!(targets(whole).contains(&name), "{name} is not on disk");
                }
            });
        })
    };
    let threads: Vec<_> = (0..4).map(each).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[tokio::test]
async fn in_batches_an_answer_waits_for_nothing() {
    let dir = Dir::new();
    let full = dir.file("full");
    symlink("/dev/full", &full).unwrap();
    let sink = open(settings(&full));
    answered(&sink, "a");
    assert_eq!(sink.settle().await, Ok(()));
}

#[tokio::test]
async fn a_full_disk_closes_the_gate_and_no_line_is_lost_once_there_is_space() {
    let dir = Dir::new();
    let (name, real) = (dir.file("audit.jsonl"), dir.file("real"));
    symlink("/dev/full", &name).unwrap();
    let sink = open(Settings { flush: Flush::BeforeAnswer, ..settings(&name) });
    assert!(sink.room());
    answered(&sink, "first");
    assert_eq!(sink.settle().await, Err(NotDurable));
    assert!(!sink.room());
    assert!(!sink.gauge().writable);
    answered(&sink, "in flight");

    fs::remove_file(&name).unwrap();
    symlink(&real, &name).unwrap();
    sink.reopen();
    await_that(|| sink.room());
    assert_eq!(sink.durable().await, Ok(()));
    assert_eq!(targets(&fs::read_to_string(&real).unwrap()), ["first", "in flight"]);
    assert_eq!(sink.gauge().lost, 0);
}

#[tokio::test]
async fn who_continues_serves_on_and_the_log_says_how_many_lines_are_missing() {
    let dir = Dir::new();
    let (name, real) = (dir.file("audit.jsonl"), dir.file("real"));
    symlink("/dev/full", &name).unwrap();
    let before = Settings { flush: Flush::BeforeAnswer, on_failure: OnFailure::Continue, ..settings(&name) };
    let sink = open(Settings { buffer: 8 << 10, ..before });
    for n in 0..1000 {
        assert!(sink.room());
        answered(&sink, &n.to_string());
    }
    assert_eq!(sink.settle().await, Ok(()), "an answer is not held back");
    assert!(sink.gauge().lost > 0);
    assert!(sink.gauge().waiting < 9 << 10, "memory is bounded");

    fs::remove_file(&name).unwrap();
    symlink(&real, &name).unwrap();
    sink.reopen();
    await_that(|| sink.gauge().writable);
    answered(&sink, "after");
    assert_eq!(sink.durable().await, Ok(()));
    let text = fs::read_to_string(&real).unwrap();
    let kept = targets(&text);
    assert_eq!(kept.len() as u64 + lost(&text), 1001);
    assert_eq!(lost(&text), sink.gauge().lost);
    assert_eq!(kept.last().unwrap(), "after");
}

#[test]
fn a_reader_that_is_too_slow_closes_the_gate_and_gets_every_admitted_line() {
    let dir = Dir::new();
    let pipe = dir.file("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let sink = open(Settings { buffer: 64 << 10, ..settings(&pipe) });
    // A full pipe: the writer waits at its first byte, so that nothing it has in hand leaves meanwhile.
    let mut reader =
        fs::OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open(&pipe).unwrap();
    let mut filling = 0;
    while let Ok(count) = reader.write(&[b'\n'; 4096]) {
        filling += count;
    }
    drop(std::mem::replace(&mut reader, fs::OpenOptions::new().read(true).open(&pipe).unwrap()));

    let mut admitted = 0;
    await_that(|| {
        if sink.room() {
            answered(&sink, "admitted");
            admitted += 1;
        }
        !sink.room()
    });
    // What is in flight is still recorded; refusals for want of room are only counted.
    answered(&sink, "in flight");
    for _ in 0..10_000 {
        Trail::open(sink.clone(), ID).refused(&Reason::AuditUnavailable, String::new(), 0);
    }
    assert_eq!(sink.gauge().lost, 10_000);
    assert!(sink.gauge().waiting < 140 << 10, "memory is bounded");

    let drained = std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut part = [0; 4096];
        while lost(whole_lines(&text[filling.min(text.len())..])) < 10_000 {
            let count = reader.read(&mut part).unwrap();
            text.extend_from_slice(&part[..count]);
        }
        text.split_off(filling)
    });
    let text = drained.join().unwrap();
    let kept = targets(whole_lines(&text));
    assert_eq!(kept.iter().filter(|target| *target == "admitted").count(), admitted);
    assert_eq!(kept.iter().filter(|target| *target == "in flight").count(), 1);
    assert_eq!(lost(whole_lines(&text)), 10_000);
    await_that(|| sink.room());
}

fn whole_lines(text: &[u8]) -> &str {
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    std::str::from_utf8(&text[..end]).unwrap()
}

#[tokio::test]
async fn after_a_rotation_lines_go_to_the_new_file() {
    let dir = Dir::new();
    let (path, old) = (dir.file("audit.jsonl"), dir.file("audit.jsonl.1"));
    let sink = open(settings(&path));
    answered(&sink, "before");
    sink.durable().await.unwrap();
    fs::rename(&path, &old).unwrap();
    answered(&sink, "between");
    sink.durable().await.unwrap();
    sink.reopen();
    await_that(|| path.exists());
    answered(&sink, "after");
    sink.durable().await.unwrap();
    assert_eq!(targets(&fs::read_to_string(&old).unwrap()), ["before", "between"]);
    assert_eq!(targets(&fs::read_to_string(&path).unwrap()), ["after"]);
}

#[test]
fn a_line_that_an_earlier_process_left_unfinished_stays_alone() {
    let dir = Dir::new();
    let path = dir.file("audit.jsonl");
    fs::write(&path, "{\"target\":\"whole\"}\n{\"targ").unwrap();
    let sink = open(settings(&path));
    answered(&sink, "new");
    sink.close(PATIENCE).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "{\"targ");
    assert_eq!(targets(lines[2]), ["new"]);
}

#[test]
fn closing_writes_what_there_is_and_says_what_could_not_be_written() {
    let dir = Dir::new();
    let path = dir.file("audit.jsonl");
    let sink = open(settings(&path));
    answered(&sink, "last");
    assert_eq!(sink.close(PATIENCE), Ok(()));
    assert_eq!(targets(&fs::read_to_string(&path).unwrap()), ["last"]);
    answered(&sink, "too late");
    assert_eq!(sink.gauge().lost, 1);

    let full = dir.file("full");
    symlink("/dev/full", &full).unwrap();
    let sink = open(settings(&full));
    answered(&sink, "nowhere");
    assert_eq!(sink.close(PATIENCE).map_err(|unwritten| unwritten.lost), Err(1));
}

#[tokio::test]
async fn nowhere_is_always_ready() {
    let sink = open(Settings { flush: Flush::BeforeAnswer, ..Settings::new(Target::Nowhere) });
    answered(&sink, "x");
    assert!(sink.room());
    assert_eq!(sink.settle().await, Ok(()));
    assert_eq!(sink.close(PATIENCE), Ok(()));
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let dir = Dir::new();
    let missing = Settings::new(Target::File(dir.file("no/such/directory/audit.jsonl")));
    let opened = FileSink::open(missing, Arc::new(SystemClock::new()));
    assert_eq!(opened.err().map(|error| error.kind()), Some(std::io::ErrorKind::NotFound));
}
