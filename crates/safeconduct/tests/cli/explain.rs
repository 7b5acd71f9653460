//! `explain`, word for word: each way that a call can end before it is sent, and what would be sent.

use crate::program::{Ran, of_crate, safeconduct};
use crate::snapshot;

const ENVIRONMENT: [(&str, &str); 2] =
    [("GATEWAY_SECRET", "canary-of-the-gateway"), ("SEARCH_KEY", "canary-of-the-search")];
const ALICE: &str = r#"{"sub":"alice","groups":["support"],"scope":"mcp:tools:call","tenant":"acme","email":"alice@example.com"}"#;

fn explain(arguments: &[&str]) -> Ran {
    let ran = safeconduct(&of_crate("tests/cli/explain"), &ENVIRONMENT, &[&["explain"], arguments].concat());
    let seen = ran.transcript();
    assert!(!seen.contains("canary"), "a secret is shown:\n{seen}");
    ran
}

fn told(name: &str, code: i32, arguments: &[&str]) {
    let ran = explain(arguments);
    assert_eq!(ran.code, code, "{}", ran.transcript());
    snapshot::holds(&format!("tests/cli/explain/{name}.txt"), &ran.transcript());
}

fn asked(name: &str, code: i32, arguments: &[&str], claims: &str) {
    told(name, code, &[arguments, &["--claims", claims]].concat());
}

#[test]
fn a_permitted_call_shows_every_step_and_what_would_be_sent() {
    let refund = ["--server", "orders", "--tool", "refund", "--args", r#"{"amount":400,"note":"canary"}"#];
    asked("permitted", 0, &refund, ALICE);
}

#[test]
fn a_denied_call_shows_every_policy_that_was_considered() {
    asked("denied", 1, &["--server", "orders", "--tool", "refund", "--args", r#"{"amount":900}"#], ALICE);
}

#[test]
fn a_forbidden_call_names_the_policy_that_forbids_it() {
    asked("forbidden", 1, &["--server", "orders", "--tool", "purge"], ALICE);
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies_and_says_why() {
    asked("error", 1, &["--server", "orders", "--tool", "refund", "--args", r#"{"amount":1.5}"#], ALICE);
    asked("hints-unknown", 1, &["--server", "search", "--tool", "find"], ALICE);
}

#[test]
fn what_a_tool_says_of_itself_can_be_supposed() {
    let find = ["--server", "search", "--tool", "find", "--annotations", r#"{"readOnlyHint":true}"#];
    asked("static", 0, &find, ALICE);
}

#[test]
fn a_step_in_the_gateways_own_name_says_so_and_each_subject_is_named() {
    asked("abroad", 0, &["--server", "abroad", "--resource", "file:///a.txt"], ALICE);
    asked("acted", 0, &["--server", "acted", "--resource", "file:///a.txt"], ALICE);
}

#[test]
fn a_missing_scope_ends_the_call_before_any_policy() {
    let bare = r#"{"sub":"alice","groups":["support"]}"#;
    asked("scope", 1, &["--server", "orders", "--tool", "refund", "--args", r#"{"amount":1}"#], bare);
}

#[test]
fn a_claim_that_a_step_needs_and_the_token_lacks_refuses_the_call() {
    let without = r#"{"sub":"alice","groups":["support"],"scope":"mcp:tools:call"}"#;
    asked(
        "missing-claim",
        1,
        &["--server", "orders", "--tool", "refund", "--args", r#"{"amount":1}"#],
        without,
    );
}

#[test]
fn an_argument_under_another_spelling_is_refused() {
    let both = r#"{"amount":1,"Amount":900}"#;
    asked("ambiguous", 1, &["--server", "orders", "--tool", "refund", "--args", both], ALICE);
}

#[test]
fn claims_of_another_issuer_or_audience_are_not_believed() {
    let partner = ["--server", "orders", "--tool", "refund", "--issuer", "partner"];
    asked("issuer", 1, &partner, r#"{"sub":"alice"}"#);
    let elsewhere = r#"{"sub":"alice","aud":"https://other.example"}"#;
    asked("audience", 1, &["--server", "orders", "--tool", "refund"], elsewhere);
    asked("expired", 1, &["--server", "orders", "--tool", "refund"], r#"{"sub":"alice","exp":1000}"#);
}

#[test]
fn prompts_resources_and_methods_are_explained_too() {
    asked(
        "resource",
        0,
        &["--server", "public", "--resource", "file:///a.txt"],
        r#"{"sub":"bob","iss":"https://idp.example.com"}"#,
    );
    let level = ["--server", "public", "--issuer", "corp", "--method", "logging/setLevel"];
    asked("life", 0, &level, r#"{"sub":"bob"}"#);
    asked("unknown-method", 1, &["--server", "orders", "--method", "vendor/dump"], r#"{"sub":"bob"}"#);
}

#[test]
fn the_answer_is_data_too() {
    let question =
        ["--server", "orders", "--tool", "refund", "--args", r#"{"amount":400}"#, "--output", "json"];
    asked("permitted-json", 0, &question, ALICE);
}

#[test]
fn questions_that_cannot_be_answered_exit_with_2_and_say_what_is_missing() {
    let cases: [(&str, &[&str]); 9] = [
        ("did you mean `orders`?", &["--server", "ordres", "--tool", "t", "--claims", ALICE]),
        ("say at which server", &["--tool", "t", "--claims", ALICE]),
        ("did you mean `tools/call`?", &["--server", "orders", "--method", "tool/call", "--claims", ALICE]),
        ("takes --tool NAME", &["--server", "orders", "--method", "tools/call", "--claims", ALICE]),
        (
            "not acceptable JSON",
            &["--server", "orders", "--tool", "t", "--args", "{\"a\":1,\"a\":2}", "--claims", ALICE],
        ),
        ("must be a JSON object", &["--server", "orders", "--tool", "t", "--args", "[1]", "--claims", ALICE]),
        ("say whose claims these are", &["--server", "public", "--tool", "t", "--claims", ALICE]),
        ("no claim sub", &["--server", "orders", "--tool", "t", "--claims", "{}"]),
        ("cannot be read", &["--server", "orders", "--tool", "t", "--token-file", "not-there.jwt"]),
    ];
    for (words, arguments) in cases {
        let ran = explain(arguments);
        assert_eq!((ran.code, ran.data.as_str()), (2, ""), "{words}: {}", ran.transcript());
        assert!(ran.people.contains(words), "{words}: {}", ran.people);
    }
}
