//! What a policy says is what happens, and nothing else.

use super::super::Effect;
use super::{alice, ask, bob, policy, server};
use crate::mcp::Target;

const CONTRACT: &str = r#"// refunds, by hand, of small sums
// (the file's first lines are a comment)

permit (principal in Group::"corp/support", action == Action::"tools/call", resource == Tool::"orders/refund")
when   { context.args.amount <= 500 };
"#;

#[test]
fn the_example_of_the_contract_holds() {
    let policy = policy(CONTRACT);
    let refund = ask(alice());
    let decision = refund.decide(&policy, r#"{"amount": 500}"#);
    assert_eq!(decision.effect, Effect::Permit);
    assert_eq!(*decision.policies, ["policies/orders.cedar:4".into()]);
    assert_eq!(refund.effect(&policy, r#"{"amount": 501}"#), Effect::Deny(None));
    assert_eq!(ask(bob()).effect(&policy, r#"{"amount": 1}"#), Effect::Deny(None));
    let other = ask(alice()).about("tools/call", Target::Tool("delete".into()));
    assert_eq!(other.effect(&policy, r#"{"amount": 1}"#), Effect::Deny(None));
    let elsewhere = super::Ask { server: server("warehouse"), ..ask(alice()) };
    assert_eq!(elsewhere.effect(&policy, r#"{"amount": 1}"#), Effect::Deny(None));
}

#[test]
fn an_argument_that_is_missing_denies() {
    let policy = policy(CONTRACT);
    assert!(ask(alice()).permitted(&policy, r#"{"amount": 1}"#));
    let decision = ask(alice()).decide(&policy, "{}");
    assert!(matches!(decision.effect, Effect::Error(text) if text.contains("`amount`")));
    assert_eq!(*decision.policies, ["policies/orders.cedar:4".into()]);
    assert!(matches!(policy.decide(&ask(alice()).query(None)).effect, Effect::Error(_)));
}

#[test]
fn an_argument_of_another_type_denies() {
    let policy = policy(CONTRACT);
    assert!(ask(alice()).permitted(&policy, r#"{"amount": 1}"#));
    for amount in [r#""1""#, "true", "[1]", "{}"] {
        let effect = ask(alice()).effect(&policy, &format!(r#"{{"amount": {amount}}}"#));
        assert!(matches!(effect, Effect::Error(_)), "{amount}");
    }
}

#[test]
fn without_policies_only_the_life_of_a_connection_is_open() {
    let (policy, warnings) = super::super::Policy::compile(&[], &[]).unwrap_or_else(|_| panic!("compiles"));
    assert!(warnings.iter().any(|problem| problem.warning && problem.message.contains("no policies")));
    for method in [
        "initialize",
        "ping",
        "server/discover",
        "notifications/cancelled",
        "logging/setLevel",
        "session/end",
    ] {
        assert!(ask(bob()).about(method, Target::Server).permitted(&policy, "{}"), "{method}");
    }
    assert!(ask(bob()).about("tools/list", Target::Server).permitted(&policy, "{}"));
    assert_eq!(ask(bob()).effect(&policy, "{}"), Effect::Deny(None));
    assert_eq!(ask(bob()).about("acme/foo", Target::Server).effect(&policy, "{}"), Effect::Deny(None));
}

#[test]
fn a_forbid_takes_away_what_is_built_in() {
    let policy = policy(
        r#"forbid (principal, action == Action::"ping", resource) unless { principal in Group::"corp/support" };
           forbid (principal is Workload, action == Action::"tools/list", resource in Server::"orders");"#,
    );
    assert!(ask(alice()).about("ping", Target::Server).permitted(&policy, "{}"));
    assert!(!ask(bob()).about("ping", Target::Server).permitted(&policy, "{}"));
    assert!(ask(alice()).about("tools/list", Target::Server).permitted(&policy, "{}"));
    let workload = crate::caller::Principal { kind: crate::caller::Kind::Workload, ..alice() };
    assert!(!ask(workload).about("tools/list", Target::Server).permitted(&policy, "{}"));
}

#[test]
fn an_error_in_any_policy_denies() {
    let good = r#"permit (principal, action, resource);"#;
    let bad =
        r#"forbid (principal, action == Action::"tools/call", resource) when { context.args.a + 1 > 10 };"#;
    let both = policy(&format!("{good}\n{bad}"));
    assert!(ask(alice()).permitted(&both, r#"{"a": 1}"#));
    let decision = ask(alice()).decide(&both, "{}");
    assert!(matches!(&decision.effect, Effect::Error(_)));
    assert_eq!(*decision.policies, ["policies/orders.cedar:2".into()]);
}

#[test]
fn an_error_never_tells_the_value_of_an_argument() {
    let policy = policy(
        r#"permit (principal, action, resource is Tool) when { context.args.a + context.args.b > 0 };"#,
    );
    assert!(ask(alice()).permitted(&policy, r#"{"a": 1, "b": 2}"#));
    let effect = ask(alice()).effect(&policy, r#"{"a": 9223372036854775807, "b": 4711}"#);
    let Effect::Error(text) = effect else { panic!("{effect:?}") };
    assert!(text.contains("overflow"), "{text}");
    assert!(!text.contains("4711") && !text.contains("9223372036854775807"), "{text}");
}

#[test]
fn an_error_in_a_policy_about_something_else_denies_nothing() {
    let policy = policy(
        r#"permit (principal, action, resource);
           forbid (principal, action == Action::"tools/call", resource == Tool::"orders/delete") when { context.args.a > 1 };
           forbid (principal == User::"corp/bob@example.com", action, resource is Tool) when { context.args.a > 1 };"#,
    );
    assert!(ask(alice()).permitted(&policy, "{}"));
    assert!(!ask(bob()).permitted(&policy, "{}"));
}

#[test]
fn groups_of_actions_are_by_what_a_method_does() {
    let policy = policy(r#"permit (principal, action in Action::"read", resource in Server::"orders");"#);
    assert!(
        ask(bob()).about("resources/read", Target::Resource("file:///a".into())).permitted(&policy, "{}")
    );
    assert!(ask(bob()).about("prompts/get", Target::Prompt("p".into())).permitted(&policy, "{}"));
    assert!(!ask(bob()).permitted(&policy, "{}"));
    assert!(!ask(bob()).about("tasks/cancel", Target::Task("1".into())).permitted(&policy, "{}"));
}

#[test]
fn a_method_of_ones_own_is_known_when_a_policy_names_it() {
    let policy = policy(r#"permit (principal, action == Action::"acme/foo", resource == Server::"orders");"#);
    assert!(policy.names_method("acme/foo"));
    assert!(!policy.names_method("acme/bar"));
    assert!(ask(bob()).about("acme/foo", Target::Server).permitted(&policy, "{}"));
    assert!(!ask(bob()).about("acme/bar", Target::Server).permitted(&policy, "{}"));
}

#[test]
fn a_remedy_is_handed_to_the_refused() {
    let policy = policy(
        r#"@remedy("ask support-leads for the group")
           permit (principal in Group::"corp/support", action == Action::"tools/call", resource == Tool::"orders/refund");
           @remedy("log in with a second factor")
           forbid (principal, action == Action::"tools/call", resource in Server::"orders") unless { context has acr };"#,
    );
    assert!(ask(alice()).permitted(&policy, "{}"));
    let mut weak = ask(alice());
    weak.principal.acr = None;
    assert_eq!(weak.effect(&policy, "{}"), Effect::Deny(Some("log in with a second factor".into())));
    assert_eq!(
        ask(bob()).effect(&policy, "{}"),
        Effect::Deny(Some("ask support-leads for the group".into()))
    );
    let other = ask(bob()).about("tools/call", Target::Tool("delete".into()));
    assert_eq!(other.effect(&policy, "{}"), Effect::Deny(None));
}

#[test]
fn a_name_of_any_length_is_decided_on_and_told_short() {
    let policy =
        policy(r#"permit (principal, action == Action::"tools/call", resource) when { resource.readOnly };"#);
    let long = ask(alice()).about("tools/call", Target::Tool("é".repeat(100_000).into()));
    for _ in 0..2 {
        let Effect::Error(text) = long.effect(&policy, "{}") else { panic!("denied by an error") };
        assert!(text.len() < 400, "{}", text.len());
    }
}

#[test]
fn an_explanation_names_every_policy_that_had_a_say() {
    let policy = policy(
        r#"@id("small refunds")
permit (principal in Group::"corp/support", action == Action::"tools/call", resource == Tool::"orders/refund")
when { context.args.amount <= 500 };
forbid (principal == User::"corp/bob@example.com", action, resource);
forbid (principal, action, resource in Server::"orders") when { context has source_ip };
permit (principal, action == Action::"tools/call", resource == Tool::"orders/other");"#,
    );
    let query = ask(alice());
    let explained = policy.explain(&query.query(Some(r#"{"amount": 5}"#)));
    assert_eq!((explained.effect, explained.visible), ("permit", true));
    assert_eq!(explained.policies, ["policies/orders.cedar:1"]);
    let said: Vec<_> =
        explained.considered.iter().map(|one| (one.policy.as_str(), one.kind, one.outcome)).collect();
    assert_eq!(
        said,
        [
            ("policies/orders.cedar:1", "permit", "satisfied"),
            ("policies/orders.cedar:4", "forbid", "not for this caller"),
            ("policies/orders.cedar:5", "forbid", "not satisfied"),
        ]
    );
    assert_eq!(explained.considered[0].id.as_deref(), Some("small refunds"));
    let explained = policy.explain(&query.query(Some("{}")));
    assert_eq!((explained.effect, explained.considered[0].outcome), ("error", "error"));
    assert!(explained.considered[0].error.as_ref().is_some_and(|error| error.contains("amount")));
    let text = serde_json::to_string(&policy.explain(&query.query(Some(r#"{"amount": 4711}"#)))).unwrap();
    assert!(text.contains(r#""outcome":"not satisfied""#) && !text.contains("4711"), "{text}");
}
