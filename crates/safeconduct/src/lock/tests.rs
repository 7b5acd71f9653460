use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::pins::{Definition, Digest, Note, Seen};
use safeconduct_core::time::Timestamp;
use serde_json::json;

use super::{Admitted, Entry, Lock, Store, Unusable, as_listed, changes, headline};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
const URL: &str = "http://127.0.0.1:9000/mcp";

/// A definition whose digest is this digit.
fn tool(name: &str, digit: char, text: &str) -> Note {
    let digest = Digest::parse(&format!("sha256:{}", digit.to_string().repeat(64))).unwrap();
    Note::Tool(Definition { name: name.into(), text: text.into(), digest }, Seen::First)
}

fn seen(lock: &mut Lock, note: &Note) {
    lock.entry_mut("orders", URL).note(note, NOW, Duration::ZERO);
}

/// Two tools, a whole list, then: one changed, one is new, one is gone.
fn changed() -> Lock {
    let mut lock = Lock::default();
    seen(
        &mut lock,
        &tool("send", '1', r#"{"description":"Sends.","inputSchema":{"a":1,"b":2},"name":"send"}"#),
    );
    seen(&mut lock, &tool("read", '2', r#"{"name":"read"}"#));
    seen(&mut lock, &Note::Complete);
    seen(
        &mut lock,
        &tool("send", '3', r#"{"description":"Steals.","inputSchema":{"a":1,"c":{"x":[]}},"name":"send"}"#),
    );
    seen(&mut lock, &tool("wipe", '4', r#"{"description":"a\u200bb","name":"wipe"}"#));
    seen(&mut lock, &Note::Unlisted("read".into()));
    lock
}

fn entry(lock: &Lock) -> &Entry {
    &lock.servers["orders"]
}

fn place(name: &str) -> PathBuf {
    let place = std::env::temp_dir().join(format!("safeconduct-lock-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).unwrap();
    place
}

#[test]
fn the_file_is_read_back_as_it_was_written_and_its_order_is_that_of_the_names() {
    let lock = changed();
    let text = lock.text();
    assert_eq!(Lock::read(&text).unwrap(), lock);
    assert_eq!(Lock::read("\n").unwrap(), Lock::default());
    let places: Vec<_> =
        ["\"read\": {", "\"send\": {", "\"wipe\": {"].map(|name| text.find(name).unwrap()).into();
    assert!(places.is_sorted(), "{text}");
    assert!(text.contains("\n          \"pinned\": {\n            \"digest\": \"sha256:1111"), "{text}");
    for wrong in [
        "{}",
        r#"{"version":2,"servers":{}}"#,
        r#"{"version":1,"servers":{},"extra":1}"#,
        r#"{"version":1,"servers":{"a":{"at":"x","tools":{"t":{"pinned":{"digest":"sha256:12","seen":"","definition":{}}}}}}}"#,
    ] {
        assert!(Lock::read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn changes_stand_beside_what_is_pinned_until_they_are_approved() {
    let mut lock = changed();
    assert_eq!(entry(&lock).quarantined().collect::<Vec<_>>(), ["send", "wipe"]);
    let pinned = entry(&lock).pinned();
    assert!(pinned.complete && pinned.since == Some(NOW));
    assert!(pinned.tools["send"].offered.is_some() && pinned.tools["wipe"].pinned.is_none());
    assert_eq!(lock.servers.get_mut("orders").unwrap().approve(Some("send")), 1);
    assert_eq!(entry(&lock).quarantined().collect::<Vec<_>>(), ["wipe"]);
    assert_eq!(lock.servers.get_mut("orders").unwrap().approve(None), 1);
    let pinned = entry(&lock).pinned();
    assert!(pinned.tools.values().all(|pin| pin.offered.is_none() && pin.pinned.is_some()));
    assert!(!pinned.tools.contains_key("read"), "what is gone is gone");
    assert_eq!(pinned.tools["send"].pinned.unwrap().to_string(), format!("sha256:{}", "3".repeat(64)));
}

#[test]
fn what_is_pinned_already_is_not_pinned_again_by_who_saw_it_first_elsewhere() {
    let mut lock = changed();
    // Another gateway has begun with an empty memory, and pinned what it saw.
    seen(&mut lock, &tool("send", '9', r#"{"name":"send"}"#));
    let send = &entry(&lock).tools["send"];
    assert_eq!(send.pinned.as_ref().unwrap().digest.to_string(), format!("sha256:{}", "1".repeat(64)));
    assert_eq!(send.quarantined.as_ref().unwrap().digest.to_string(), format!("sha256:{}", "9".repeat(64)));
    seen(&mut lock, &tool("send", '1', r#"{"name":"send"}"#));
    assert!(entry(&lock).tools["send"].quarantined.is_none());
}

#[test]
fn another_address_is_another_server() {
    let mut lock = changed();
    assert!(lock.entry("orders", "http://127.0.0.1:9001/mcp").is_none());
    assert!(lock.entry_mut("orders", "http://127.0.0.1:9001/mcp").tools.is_empty());
}

#[test]
fn a_change_is_said_in_words() {
    let lock = changed();
    let send = &entry(&lock).tools["send"];
    let (pinned, became) = (send.pinned.as_ref().unwrap(), send.quarantined.as_ref().unwrap());
    assert_eq!(
        changes(pinned, became),
        [
            "description changed: \"Sends.\" -> \"Steals.\"",
            "inputSchema.b removed: 2",
            "inputSchema.c added: {\"x\":[]}",
        ]
    );
    assert_eq!(headline(pinned, became), "description, inputSchema");
    assert_eq!(changes(pinned, pinned), ["the same in another spelling of its numbers"]);
    let wipe = entry(&lock).tools["wipe"].quarantined.as_ref().unwrap();
    // What models read and people do not see.
    assert_eq!(as_listed(wipe), ["description: \"a\\u{200b}b\"", "name: \"wipe\""]);
}

#[test]
fn a_definition_that_is_too_deep_for_the_file_is_kept_as_text() {
    let mut lock = Lock::default();
    let deep = format!("{{\"name\":\"deep\",\"inputSchema\":{}1{}}}", "[".repeat(120), "]".repeat(120));
    seen(&mut lock, &tool("deep", '1', &deep));
    assert_eq!(entry(&lock).tools["deep"].pinned.as_ref().unwrap().definition, json!(deep));
    assert_eq!(Lock::read(&lock.text()).unwrap(), lock);
}

#[test]
fn a_tag_that_moves_is_quarantined_and_another_reference_is_an_approval() {
    let mut entry = Entry::default();
    assert_eq!(entry.admit("acme/a:1", true, "sha256:1"), Admitted::First);
    assert_eq!(entry.admit("acme/a:1", true, "sha256:1"), Admitted::Same);
    assert_eq!(entry.admit("acme/a:1", true, "sha256:2"), Admitted::Changed);
    assert_eq!(entry.admit("acme/a:1", true, "sha256:2"), Admitted::Quarantined);
    assert_eq!(entry.clone().admit("acme/a:1", true, "sha256:1"), Admitted::Same);
    assert_eq!(entry.clone().admit("acme/a:2", true, "sha256:3"), Admitted::First);
    assert_eq!(entry.approve(Some("send")), 0, "a tool is not the image");
    assert_eq!(entry.approve(None), 1);
    assert_eq!(entry.admit("acme/a:1", true, "sha256:2"), Admitted::Same);
    assert!(!entry.admit("acme/a:1", true, "sha256:1").fits());
    // By digest the engine sees to it, whatever number it has for it.
    assert_eq!(entry.admit("acme/a@sha256:5", false, "sha256:5"), Admitted::First);
    assert_eq!(entry.admit("acme/a@sha256:5", false, "sha256:6"), Admitted::Same);
}

#[test]
fn all_that_many_write_at_once_is_in_the_file() {
    let place = place("many");
    let store = Arc::new(Store::at(&place.join("safeconduct.lock")));
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                for number in 0..10 {
                    let name = format!("{writer}-{number}");
                    store.change(|lock| seen(lock, &tool(&name, '1', r#"{"name":"x"}"#))).unwrap();
                }
            });
        }
    });
    assert_eq!(entry(&store.read().unwrap()).tools.len(), 80);
    let there: Vec<_> = std::fs::read_dir(&place).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(there, ["safeconduct.lock"], "nothing is left beside it");
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn a_file_that_is_no_lock_is_not_written_over() {
    let place = place("no-lock");
    let store = Store::at(&place.join("safeconduct.lock"));
    assert_eq!(store.read().unwrap(), Lock::default(), "where there is none, nothing is pinned");
    store.change(|lock| seen(lock, &Note::Complete)).unwrap();
    std::fs::write(store.path(), "{\"version\":1").unwrap();
    assert!(matches!(store.read(), Err(Unusable::NoLock { .. })));
    assert!(matches!(store.change(|lock| *lock = Lock::default()), Err(Unusable::NoLock { .. })));
    assert_eq!(std::fs::read_to_string(store.path()).unwrap(), "{\"version\":1");
    std::fs::remove_dir_all(place).unwrap();
}
