//! What a policy can know of the caller, the tool and the call.

use std::collections::BTreeMap;

use super::super::Effect;
use super::{Ask, NOW, alice, ask, bob, policy};
use crate::caller::{Actor, Kind, Principal};
use crate::mcp::{Era, Target};
use crate::server::{Tool, ToolHints};

fn holds(asked: &Ask, condition: &str) -> bool {
    let text = format!("permit (principal, action, resource is Tool) when {{ {condition} }};");
    asked.permitted(&policy(&text), r#"{"path": "/data/x", "tags": ["a", "b"], "deep": {"flag": true}}"#)
}

#[test]
fn attributes_and_tags_of_the_caller_are_readable() {
    let alice = ask(alice());
    for condition in [
        r#"principal == User::"corp/alice@example.com""#,
        r#"principal.issuer == "corp" && principal.subject == "alice@example.com""#,
        r#"principal has client && principal.client == "claude-code""#,
        r#"principal has email && principal.email like "*@example.com""#,
        r#"principal.scopes.contains("mcp:tools:call")"#,
        r#"principal.groups.containsAny(["support", "dba"])"#,
        r#"principal.hasTag("department") && principal.getTag("department").contains("sales")"#,
        r#"principal.expires > context.now"#,
    ] {
        assert!(holds(&alice, condition), "{condition}");
        assert!(!holds(&alice, &format!("!({condition})")), "{condition}");
    }
    assert!(!holds(&ask(bob()), r#"principal has email"#));
    assert!(!holds(&ask(bob()), r#"principal.hasTag("department")"#));
}

#[test]
fn a_workload_is_not_a_user_of_the_same_name() {
    let workload = ask(Principal { kind: Kind::Workload, ..alice() });
    assert!(holds(&workload, r#"principal == Workload::"corp/alice@example.com""#));
    assert!(!holds(&workload, r#"principal == User::"corp/alice@example.com""#));
    assert!(holds(&workload, r#"principal is Workload in Group::"corp/support""#));
}

#[test]
fn the_same_subject_of_another_issuer_is_someone_else() {
    let policy = policy(r#"permit (principal == User::"corp/alice@example.com", action, resource is Tool);"#);
    assert!(ask(alice()).permitted(&policy, "{}"));
    let stranger = Principal { issuer: "partner".into(), ..alice() };
    assert!(!ask(stranger).permitted(&policy, "{}"));
}

#[test]
fn the_context_of_the_call_is_readable() {
    let mut asked = ask(alice());
    asked.source_ip = Some("10.1.2.3".parse().unwrap());
    asked.principal.actors = vec![Actor { issuer: None, subject: "agent-1".into() }];
    for condition in [
        r#"context has acr && context.acr == "urn:mfa""#,
        r#"context has amr && context.amr.contains("otp")"#,
        r#"context has auth_time && context.now - context.auth_time < 3600"#,
        r#"context has source_ip && context.source_ip.isInRange(ip("10.0.0.0/8"))"#,
        r#"context.era == "2026-07-28""#,
        r#"context has actor && context.actor == "agent-1""#,
        r#"context.time > datetime("2025-11-22") && context.time < datetime("2025-11-23")"#,
        r#"context.args.path like "/data/*" && context.args.tags.containsAll(["a"]) && context.args.deep.flag"#,
    ] {
        assert!(holds(&asked, condition), "{condition}");
        assert!(!holds(&asked, &format!("!({condition})")), "{condition}");
    }
    asked.era = Era::Legacy;
    assert!(holds(&asked, r#"context.era == "legacy""#));
    asked.now = NOW + 86_400;
    assert!(!holds(&asked, r#"context.time < datetime("2025-11-23")"#));
}

#[test]
fn an_actor_of_a_foreign_issuer_is_not_ours_of_that_name() {
    let mut asked = ask(alice());
    asked.principal.actors =
        vec![Actor { issuer: Some("https://idp.example.com".into()), subject: "agent-1".into() }];
    assert!(holds(&asked, r#"context has actor && context.actor == "agent-1""#));
    let mut asked = ask(alice());
    asked.principal.actors =
        vec![Actor { issuer: Some("https://evil.example".into()), subject: "agent-1".into() }];
    assert!(!holds(&asked, r#"context has actor && context.actor == "agent-1""#));
    assert!(holds(&asked, r#"context has actor && context.actor == "https://evil.example|agent-1""#));
}

#[test]
fn hints_of_a_tool_count_once_its_server_has_listed_it() {
    let policy =
        policy(r#"permit (principal, action == Action::"tools/call", resource) when { resource.readOnly };"#);
    let asked = ask(alice());
    assert!(matches!(asked.effect(&policy, "{}"), Effect::Error(_)));
    let hints = ToolHints { read_only: true, ..ToolHints::default() };
    asked.server.catalogue.learn([("refund".into(), Tool { hints, header_params: Vec::new() })]);
    assert!(asked.permitted(&policy, "{}"));
    asked.server.catalogue.learn([("refund".into(), Tool::default())]);
    assert_eq!(asked.effect(&policy, "{}"), Effect::Deny(None));
}

#[test]
fn a_forbid_on_hints_denies_a_tool_that_nobody_knows() {
    let policy = policy(
        r#"permit (principal, action, resource);
           forbid (principal, action, resource is Tool) when { resource.destructive };"#,
    );
    let asked = ask(alice());
    let hints = ToolHints { destructive: false, ..ToolHints::default() };
    asked.server.catalogue.learn([("refund".into(), Tool { hints, header_params: Vec::new() })]);
    assert!(asked.permitted(&policy, "{}"));
    let unknown = ask(alice()).about("tools/call", Target::Tool("other".into()));
    assert!(matches!(unknown.effect(&policy, "{}"), Effect::Error(_)));
}

#[test]
fn every_kind_of_target_has_its_own_entity() {
    let policy = policy(
        r#"permit (principal, action == Action::"resources/read", resource == Resource::"orders/file:///a/b");
           permit (principal, action == Action::"prompts/get", resource == Prompt::"orders/hello");
           permit (principal, action == Action::"tasks/get", resource is Task in Server::"orders");"#,
    );
    let permitted = |action, target| ask(bob()).about(action, target).permitted(&policy, "{}");
    assert!(permitted("resources/read", Target::Resource("file:///a/b".into())));
    assert!(permitted("prompts/get", Target::Prompt("hello".into())));
    assert!(permitted("tasks/get", Target::Task("7".into())));
    assert!(!permitted("resources/read", Target::Prompt("file:///a/b".into())));
    assert!(!permitted("prompts/get", Target::Resource("hello".into())));
    assert!(!permitted("tasks/get", Target::Prompt("7".into())));
}

#[test]
fn odd_names_are_names() {
    let mut odd = alice();
    odd.subject = "a\"b/c\\d\n".into();
    odd.claims = BTreeMap::from([("https://x/y".into(), vec!["é".into()])]);
    let asked = ask(odd).about("tools/call", Target::Tool("x\"y/z".into()));
    let policy = policy(
        r#"permit (principal == User::"corp/a\"b/c\\d\n", action, resource == Tool::"orders/x\"y/z")
           when { principal.hasTag("https://x/y") && principal.getTag("https://x/y").contains("é") };"#,
    );
    assert!(asked.permitted(&policy, "{}"));
    assert!(!ask(alice()).permitted(&policy, "{}"));
}
