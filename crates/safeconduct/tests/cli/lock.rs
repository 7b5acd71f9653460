//! `lock`: what is pinned, what has changed, in words, and that it is approved.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::program::{Ran, directory, safeconduct};
use crate::snapshot;

const CONFIG: &str = "issuers: { corp: { issuer: 'https://idp.example.com', jwks_file: keys.json } }\n\
    servers: { orders: { url: 'http://127.0.0.1:9/mcp', credential: none } }\n\
    policy: some.cedar\n";

fn laid_out(name: &str) -> PathBuf {
    let here = directory(name);
    std::fs::write(here.join("safeconduct.yaml"), CONFIG).unwrap();
    std::fs::write(here.join("keys.json"), r#"{"keys":[]}"#).unwrap();
    let policy = "permit (principal, action, resource in Server::\"orders\");";
    std::fs::write(here.join("some.cedar"), policy).unwrap();
    let listed = |digit: &str, definition: Value| json!({"digest": format!("sha256:{}", digit.repeat(64)), "seen": "2026-11-22T10:00:00.000Z", "definition": definition});
    let lock = json!({
        "version": 1,
        "servers": {
            "orders": {
                "at": "http://127.0.0.1:9/mcp",
                "since": "2026-11-22T10:00:00.000Z",
                "complete": true,
                "tools": {
                    "read": { "pinned": listed("1", json!({"name": "read"})) },
                    "old": { "pinned": listed("1", json!({"name": "old"})), "unlisted": true },
                    "send": {
                        "pinned": listed("1", json!({"name": "send", "description": "Sends a mail.", "inputSchema": {"properties": {"to": {"type": "string"}}}})),
                        "quarantined": listed("2", json!({"name": "send", "description": "Sends a mail.\u{e0041}\u{1b}[2J", "inputSchema": {"properties": {"to": {"type": "string"}, "bcc": {"type": "string"}}}})),
                    },
                    "wipe": { "quarantined": listed("3", json!({"name": "wipe", "inputSchema": {"type": "object"}})) },
                },
            },
            "weather": {
                "at": "ghcr.io/acme/weather",
                "complete": false,
                "image": { "reference": "ghcr.io/acme/weather:1", "digest": "sha256:aa", "quarantined": "sha256:bb" },
                "tools": {},
            },
        },
    });
    std::fs::write(here.join("safeconduct.lock"), lock.to_string()).unwrap();
    here
}

fn lock(here: &Path, arguments: &[&str]) -> Ran {
    safeconduct(here, &[], &[&["lock"], arguments].concat())
}

#[test]
fn what_is_pinned_and_what_has_changed_is_said_and_approved() {
    let here = laid_out("lock");
    let mut told = String::new();
    for arguments in [
        &[] as &[&str],
        &["diff"],
        &["approve", "--server", "orders", "--tool", "send"],
        &["diff", "--server", "orders"],
        &["approve", "--server", "weather"],
        &["approve"],
        &["diff"],
        &["approve"],
        &[],
    ] {
        let ran = lock(&here, arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.people);
        told.push_str(&format!("$ safeconduct lock {}\n{}\n", arguments.join(" "), ran.data));
    }
    assert!(!told.contains('\u{1b}') && !told.contains('\u{e0041}'), "nothing is hidden");
    snapshot::holds("tests/cli/lock.txt", &told.replace("lock \n", "lock\n"));
}

#[test]
fn programs_read_the_same() {
    let here = laid_out("lock-json");
    let of = |arguments: &[&str]| -> Value { serde_json::from_str(&lock(&here, arguments).data).unwrap() };
    let state = of(&["--output", "json"]);
    assert_eq!(state["servers"][0]["quarantined"], json!(["send", "wipe"]));
    assert_eq!(
        (&state["servers"][0]["pinned"], &state["servers"][0]["server"]),
        (&json!(3), &json!("orders"))
    );
    let diff = of(&["diff", "-o", "json"]);
    let kinds: Vec<_> = diff["changes"].as_array().unwrap().iter().map(|change| &change["kind"]).collect();
    assert_eq!(kinds, ["unlisted", "changed", "new", "image"]);
    assert_eq!(of(&["approve", "-o", "json"])["approved"].as_array().unwrap().len(), 4);
    assert_eq!(of(&["diff", "-o", "json"])["changes"], json!([]));
    let state = of(&["-o", "json"]);
    assert_eq!(state["servers"][1]["image"]["digest"], "sha256:bb");
}

#[test]
fn what_is_not_there_is_not_approved() {
    let here = laid_out("lock-wrong");
    let before = std::fs::read_to_string(here.join("safeconduct.lock")).unwrap();
    let ran = lock(&here, &["approve", "--server", "orders", "--tool", "read"]);
    assert_eq!((ran.code, ran.people.as_str()), (1, "error: the tool read is not quarantined\n"));
    let ran = lock(&here, &["diff", "--server", "ordres"]);
    assert_eq!(ran.code, 2);
    assert!(ran.people.contains("there is: orders, weather"), "{}", ran.people);
    assert_eq!(lock(&here, &["approve", "--server", "ordres"]).code, 2);
    assert_eq!(lock(&here, &["approve", "--tool", "send"]).code, 2, "of which server?");
    assert_eq!(lock(&here, &["diff", "--config", "none.yaml"]).code, 2);
    assert_eq!(std::fs::read_to_string(here.join("safeconduct.lock")).unwrap(), before);
    assert_eq!(lock(&here, &["diff", "--file", "safeconduct.lock", "--config", "none.yaml"]).code, 0);
}

#[test]
fn the_configuration_says_where_the_file_is() {
    let here = laid_out("lock-elsewhere");
    std::fs::create_dir(here.join("state")).unwrap();
    std::fs::rename(here.join("safeconduct.lock"), here.join("state/pins.json")).unwrap();
    assert!(lock(&here, &[]).data.contains("nothing is pinned yet"));
    std::fs::write(here.join("safeconduct.yaml"), format!("{CONFIG}lock: state/pins.json\n")).unwrap();
    assert!(lock(&here, &[]).data.contains("3 tools pinned, quarantined: send, wipe"));
}

#[test]
fn a_file_that_is_no_lock_stops_check_and_serve_and_is_left_alone() {
    let here = laid_out("lock-spoiled");
    assert_eq!(safeconduct(&here, &[], &["check"]).code, 0);
    std::fs::write(here.join("safeconduct.lock"), "<<<<<<< HEAD").unwrap();
    for command in [&["check"] as &[&str], &["serve"], &["lock"], &["lock", "approve"]] {
        let ran = safeconduct(&here, &[], command);
        assert_ne!(ran.code, 0, "{command:?}");
        assert!(ran.people.contains("is no lock file"), "{command:?}: {}", ran.people);
    }
    assert_eq!(std::fs::read_to_string(here.join("safeconduct.lock")).unwrap(), "<<<<<<< HEAD");
}

#[test]
fn explain_says_that_a_tool_is_quarantined() {
    let here = laid_out("lock-explain");
    let explain = |tool: &str| {
        safeconduct(
            &here,
            &[],
            &["explain", "--server", "orders", "--tool", tool, "--claims", "{\"sub\":\"alice\"}"],
        )
    };
    let permitted = explain("read");
    assert_eq!(permitted.code, 0, "{}", permitted.transcript());
    for quarantined in ["send", "wipe", "never_listed"] {
        let denied = explain(quarantined);
        assert_eq!(denied.code, 1, "{}", denied.transcript());
        assert!(denied.data.contains("SC-P08"), "{}", denied.transcript());
    }
}
