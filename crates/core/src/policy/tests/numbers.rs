//! Arguments that have two readings, or none that Cedar can hold, decide against the caller.

use super::super::Effect;
use super::{alice, ask, bob, policy};

#[test]
fn a_number_that_is_not_exact_denies_whoever_reads_it() {
    let policy =
        policy(r#"permit (principal, action, resource is Tool) when { context.args.amount <= 500 };"#);
    for exact in ["3.0", "5e2", "-0", "500", "-9223372036854775808"] {
        assert!(ask(alice()).permitted(&policy, &format!(r#"{{"amount": {exact}}}"#)), "{exact}");
    }
    assert_eq!(ask(alice()).effect(&policy, r#"{"amount": 9223372036854775807}"#), Effect::Deny(None));
    for inexact in ["2.5", "1e-400", "9223372036854775808", "-1e400", "500.0000000000000000001", "null"] {
        let decision = ask(alice()).decide(&policy, &format!(r#"{{"amount": {inexact}}}"#));
        let Effect::Error(text) = decision.effect else { panic!("{inexact}") };
        assert!(
            text.contains("context.args.amount") && (inexact == "null" || !text.contains(inexact)),
            "{text}"
        );
        assert_eq!(*decision.policies, ["policies/orders.cedar:1".into()]);
    }
}

#[test]
fn a_forbid_cannot_be_walked_past_with_a_fraction() {
    let policy = policy(
        r#"permit (principal, action, resource);
           forbid (principal, action, resource is Tool) when { context.args has amount && context.args.amount == 3 };
           forbid (principal, action, resource is Tool) when { context.args has ids && context.args.ids.contains(7) };
           forbid (principal, action, resource is Tool) when { context.args has filter && context.args.filter == {n: 1} };"#,
    );
    assert!(
        ask(alice()).permitted(&policy, r#"{"amount": 4, "ids": [1, 2], "filter": {"n": 2}, "other": 2.5}"#)
    );
    for denied in [r#"{"amount": 3}"#, r#"{"amount": 3.0}"#, r#"{"ids": [7]}"#, r#"{"filter": {"n": 1}}"#] {
        assert_eq!(ask(alice()).effect(&policy, denied), Effect::Deny(None), "{denied}");
    }
    for doubtful in [
        r#"{"amount": 3.0000000000000000001}"#,
        r#"{"amount": null}"#,
        r#"{"ids": [7.0000000000000000001]}"#,
        r#"{"ids": [null]}"#,
        r#"{"filter": {"n": 1.5}}"#,
        r#"{"filter": {"n": 2, "deep": [{"x": 1e99}]}}"#,
        r#"{"filter": null}"#,
    ] {
        assert!(matches!(ask(alice()).effect(&policy, doubtful), Effect::Error(_)), "{doubtful}");
    }
}

#[test]
fn a_number_that_no_policy_reads_is_nobodys_business() {
    let policy = policy(r#"permit (principal, action, resource is Tool) when { context.args.to.zip > 5 };"#);
    assert!(ask(alice()).permitted(&policy, r#"{"to": {"zip": 6, "lat": 1.5}, "price": 2.5, "none": null}"#));
    assert!(!ask(alice()).permitted(&policy, r#"{"to": {"zip": 6.5}}"#));
    assert!(!ask(alice()).permitted(&policy, r#"{"to": null}"#));
}

#[test]
fn a_policy_for_others_makes_no_number_doubtful() {
    let policy = policy(
        r#"permit (principal, action, resource);
           forbid (principal == User::"corp/bob@example.com", action, resource is Tool) when { context.args.amount > 3 };
           forbid (principal, action, resource == Tool::"orders/delete") when { context.args.amount > 3 };"#,
    );
    assert!(ask(alice()).permitted(&policy, r#"{"amount": 2.5, "AMOUNT": 7}"#));
    assert!(matches!(ask(bob()).effect(&policy, r#"{"amount": 2.5}"#), Effect::Error(_)));
    assert_eq!(
        ask(bob()).effect(&policy, r#"{"amount": 2, "AMOUNT": 7}"#),
        Effect::Ambiguous("AMOUNT".into())
    );
}

#[test]
fn a_policy_that_reads_all_arguments_reads_every_number() {
    let policy = policy(
        r#"permit (principal, action, resource);
           forbid (principal, action, resource is Tool) when { context.args == {force: true} };"#,
    );
    assert!(ask(alice()).permitted(&policy, r#"{"force": false, "n": 1}"#));
    assert_eq!(ask(alice()).effect(&policy, r#"{"force": true}"#), Effect::Deny(None));
    assert!(matches!(ask(alice()).effect(&policy, r#"{"force": false, "n": 1.5}"#), Effect::Error(_)));
    assert_eq!(ask(alice()).effect(&policy, r#"{"Force": true}"#), Effect::Ambiguous("Force".into()));
}

/// Row: P4
#[test]
fn a_name_that_differs_by_case_from_one_that_a_policy_reads_is_ambiguous() {
    let policy = policy(
        r#"permit (principal, action, resource is Tool)
           when { context.args.status == "open" && context.args.to.zip == 5 };"#,
    );
    assert!(
        ask(alice())
            .permitted(&policy, r#"{"status": "open", "to": {"zip": 5, "x": 1}, "Other": 1, "other": 2}"#)
    );
    for (arguments, name) in [
        (r#"{"status": "open", "to": {"zip": 5}, "Status": "closed"}"#, "Status"),
        (r#"{"STATUS": "open", "to": {"zip": 5}}"#, "STATUS"),
        (r#"{"status": "open", "to": {"zip": 5, "ZIP": 6}}"#, "ZIP"),
        (r#"{"status": "open", "to": {"zip": 5}, "\u017ftatus": "closed"}"#, "ſtatus"),
        (r#"{"status": "open", "to": {"zip": 5}, "list": [{"To": 1}]}"#, "To"),
    ] {
        assert_eq!(ask(alice()).effect(&policy, arguments), Effect::Ambiguous(name.into()), "{arguments}");
    }
}

#[test]
fn arguments_that_cannot_be_read_deny_whoever_reads_them() {
    let policy = policy(
        r#"permit (principal, action, resource);
           forbid (principal, action, resource == Tool::"orders/refund") when { context.args has force };"#,
    );
    assert!(ask(alice()).permitted(&policy, "{}"));
    for broken in
        ["[]", "\"x\"", "{", r#"{"force": 1, "force": 2}"#, "{\"a\":\"\\ud800\"", "{\"force\":\"\\ud800\"}"]
    {
        assert!(matches!(ask(alice()).effect(&policy, broken), Effect::Error(_)), "{broken}");
    }
}
