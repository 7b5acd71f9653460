//! The policy as a table: every method × kind of caller × server. A change of what is permitted by default, or of
//! the table of methods, shows in review as a change of text. `UPDATE=1 cargo test` writes it anew.

use std::fmt::Write as _;

use super::super::{Effect, Policy, Source};
use super::{Ask, alice, ask, bob, server};
use crate::caller::{Kind, Principal};
use crate::mcp::Target;
use crate::mcp::methods::TABLE;

const POLICIES: &str = r#"
permit (principal in Group::"corp/support", action in Action::"read", resource in Server::"orders");
permit (principal in Group::"corp/support", action == Action::"tools/call", resource == Tool::"orders/refund")
when { context.args.amount <= 500 };
permit (principal is Workload, action in Action::"write", resource in Server::"warehouse");
permit (principal, action == Action::"acme/foo", resource) when { principal.scopes.contains("acme") };
forbid (principal, action == Action::"completion/complete", resource) when { principal.scopes.isEmpty() };
forbid (principal, action == Action::"logging/setLevel", resource in Server::"warehouse");
"#;

const TARGETS: [&str; 5] = ["server", "tool", "prompt", "resource", "task"];

fn target(kind: &str) -> Target {
    match kind {
        "tool" => Target::Tool("refund".into()),
        "prompt" => Target::Prompt("hello".into()),
        "resource" => Target::Resource("file:///a".into()),
        "task" => Target::Task("1".into()),
        _ => Target::Server,
    }
}

/// A kind of caller, and how one is made.
type Caller = (&'static str, fn() -> Principal);

fn callers() -> [Caller; 4] {
    [
        ("in group", || Principal { scopes: vec!["acme".into()], ..alice() }),
        ("no group", || Principal { scopes: vec!["acme".into()], ..bob() }),
        ("workload", || Principal { kind: Kind::Workload, ..bob() }),
        ("no scopes", || Principal { scopes: Vec::new(), ..alice() }),
    ]
}

/// What a method is about, as the door reads it.
fn about(method: &str) -> &'static [&'static str] {
    match method {
        "tools/call" => &["tool"],
        "prompts/get" => &["prompt"],
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => &["resource"],
        "completion/complete" => &["prompt", "resource"],
        "subscriptions/listen" => &["server", "resource"],
        "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" => &["task"],
        "acme/foo" | "acme/bar" => &TARGETS,
        _ => &["server"],
    }
}

fn render(policy: &Policy) -> String {
    let mut text = String::from(
        "# permit | deny | error; `sees` after what is denied with these arguments but not with others\n",
    );
    for name in ["orders", "warehouse"] {
        let heads: Vec<String> = callers().iter().map(|(kind, _)| format!("{kind:<12}")).collect();
        let _ = writeln!(text, "\n{:<40}{:<10}{}", format!("[{name}]"), "about", heads.concat());
        for method in TABLE.iter().map(|row| row.name).chain(["acme/foo", "acme/bar"]) {
            for kind in about(method) {
                let cells: Vec<String> = callers()
                    .iter()
                    .map(|(_, caller)| {
                        let asked = Ask { server: server(name), ..ask(caller()) }.about(method, target(kind));
                        let denied = if asked.sees(policy) { "deny, sees" } else { "deny" };
                        let word = match asked.effect(policy, r#"{"amount": 501}"#) {
                            Effect::Permit => "permit",
                            Effect::Deny(_) => denied,
                            Effect::Error(_) | Effect::Ambiguous(_) => "error",
                        };
                        format!("{word:<12}")
                    })
                    .collect();
                let _ = writeln!(text, "{}", format!("{method:<40}{kind:<10}{}", cells.concat()).trim_end());
            }
        }
    }
    text
}

/// Row: P6
#[test]
fn the_matrix_of_methods_callers_and_servers_is_the_reviewed_one() {
    let source = Source { file: "matrix.cedar".into(), text: POLICIES.into() };
    let (policy, problems) =
        Policy::compile(&[source], &["orders", "warehouse"]).unwrap_or_else(|all| panic!("{all:#?}"));
    assert_eq!(problems, []);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policy_matrix.txt");
    let matrix = render(&policy);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, &matrix).unwrap();
    }
    let reviewed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        matrix == reviewed,
        "the matrix has changed: run with UPDATE=1 and review the difference\n{matrix}"
    );
    assert_eq!(render(&policy.without_decision_cache()), reviewed);
}
