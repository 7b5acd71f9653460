//! A remembered decision is the one that would be made now.

use super::super::Effect;
use super::{NOW, alice, ask, bob, policy};
use crate::caller::Principal;
use crate::server::{Tool, ToolHints};
use crate::time::Timestamp;

#[test]
fn a_decision_is_remembered_by_caller_and_arguments() {
    let policy = policy(
        r#"permit (principal in Group::"corp/support", action, resource is Tool) when { context.args.a <= 5 };"#,
    );
    let alice = ask(alice());
    assert!(!alice.decide(&policy, r#"{"a": 5}"#).cached);
    let again = alice.decide(&policy, r#"{"a": 5}"#);
    assert!(again.cached && again.effect == Effect::Permit);
    assert_eq!(*again.policies, ["policies/orders.cedar:1".into()]);
    let other = alice.decide(&policy, r#"{"a": 6}"#);
    assert!(!other.cached && other.effect == Effect::Deny(None));
    let other = ask(bob()).decide(&policy, r#"{"a": 5}"#);
    assert!(!other.cached && other.effect == Effect::Deny(None));
}

#[test]
fn arguments_that_nobody_reads_do_not_matter() {
    let policy = policy(r#"permit (principal, action, resource is Tool);"#);
    assert!(!ask(alice()).decide(&policy, r#"{"a": 5}"#).cached);
    assert!(ask(alice()).decide(&policy, r#"{"a": 6}"#).cached);
}

#[test]
fn a_refreshed_token_meets_the_same_decision_and_a_changed_claim_another() {
    let policy = policy(
        r#"permit (principal, action, resource is Tool)
           when { principal.hasTag("department") && principal.getTag("department").contains("sales") };"#,
    );
    assert!(!ask(alice()).decide(&policy, "{}").cached);
    let refreshed = Principal { expires: Timestamp::from_secs(NOW + 9000), ..alice() };
    assert!(ask(refreshed).decide(&policy, "{}").cached);
    // The same fingerprint: a claim that does not count as identity still counts for a policy that reads it.
    let mut moved = alice();
    moved.claims.clear();
    let decision = ask(moved).decide(&policy, "{}");
    assert!(!decision.cached && decision.effect == Effect::Deny(None));
}

#[test]
fn what_depends_on_the_moment_is_decided_each_time() {
    let policy = policy(&format!(
        "permit (principal, action, resource is Tool) when {{ context.now < {} && principal.expires > {NOW} }};",
        NOW + 10
    ));
    let mut asked = ask(alice());
    assert!(asked.permitted(&policy, "{}"));
    let again = asked.decide(&policy, "{}");
    assert!(!again.cached && again.effect == Effect::Permit);
    asked.now = NOW + 10;
    assert_eq!(asked.effect(&policy, "{}"), Effect::Deny(None));
}

#[test]
fn what_a_policy_reads_of_the_call_is_part_of_the_memory() {
    let policy = policy(
        r#"permit (principal, action == Action::"tools/call", resource)
           when { context has source_ip && context.source_ip.isLoopback() && resource.readOnly };"#,
    );
    let mut asked = ask(alice());
    let learn = |read_only, asked: &super::Ask| {
        let hints = ToolHints { read_only, ..ToolHints::default() };
        asked.server.catalogue.learn([("refund".into(), Tool { hints, header_params: Vec::new() })]);
    };
    learn(true, &asked);
    asked.source_ip = Some("127.0.0.1".parse().unwrap());
    assert!(asked.permitted(&policy, "{}"));
    assert!(asked.decide(&policy, "{}").cached);
    asked.source_ip = Some("10.0.0.1".parse().unwrap());
    assert!(!asked.permitted(&policy, "{}"));
    asked.source_ip = Some("::ffff:127.0.0.1".parse().unwrap());
    assert!(asked.permitted(&policy, "{}"));
    learn(false, &asked);
    assert!(!asked.permitted(&policy, "{}"));
}

#[test]
fn sight_and_call_are_remembered_apart() {
    let policy = policy(r#"permit (principal, action, resource is Tool) when { context.args.a == 1 };"#);
    let asked = ask(alice());
    assert!(asked.sees(&policy) && asked.sees(&policy));
    assert!(!asked.permitted(&policy, "{}"));
    assert!(!asked.permitted(&policy, ""));
    assert!(matches!(policy.decide(&asked.query(None)).effect, Effect::Error(_)));
    assert!(asked.sees(&policy));
}

#[test]
fn without_the_cache_nothing_is_remembered() {
    let policy = policy(r#"permit (principal, action, resource is Tool);"#).without_decision_cache();
    assert!(ask(alice()).permitted(&policy, "{}"));
    assert!(!ask(alice()).decide(&policy, "{}").cached);
}
