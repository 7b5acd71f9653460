//! What is wrong in a policy file is said all at once, with its place and what to do.

use super::super::{Policy, Problem, Source};
use super::compiled;

fn problems(text: &str) -> Vec<Problem> {
    match compiled(text) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    }
}

/// The text under the problem's mark, what it says, and its help.
fn told(text: &str) -> Vec<(String, String, String, bool)> {
    let marked = |problem: &Problem| text.get(problem.span.clone()).unwrap_or("?").to_owned();
    problems(text)
        .into_iter()
        .map(|problem| (marked(&problem), problem.message, problem.help.unwrap_or_default(), problem.warning))
        .collect()
}

#[test]
fn sound_policies_have_no_problems() {
    for text in [
        r#"permit (principal, action, resource);"#,
        r#"permit (principal in Group::"corp/x", action == Action::"tools/call", resource == Tool::"orders/refund") when { context.args.amount <= 500 };"#,
        r#"forbid (principal, action, resource) unless { principal has email && principal.email like "*@x" };"#,
        r#"permit (principal, action, resource is Tool) when { context.args has dry_run && context.args.dry_run };"#,
        r#"permit (principal, action, resource is Tool) when { !(context.args has force) };"#,
        r#"permit (principal, action, resource is Tool) when { if context.args has force then context.args.force == "no" else true };"#,
        r#"permit (principal, action == Action::"acme/foo", resource);"#,
        r#"permit (principal, action in [Action::"read", Action::"tools/call"], resource in Server::"orders");"#,
    ] {
        assert_eq!(problems(text), [], "{text}");
    }
}

#[test]
fn all_problems_of_all_files_are_told_at_once() {
    let source = |file: &str, text: &str| Source { file: file.into(), text: text.into() };
    let sources = [
        source(
            "a.cedar",
            "permit (principal, action, resource) when { principal.nme == \"x\" };\npermit (principal, action == Action::\"tool/call\", resource);",
        ),
        source("b.cedar", "permit (principal, action, resource"),
        source("c.cedar", "permit (principal == Usr::\"corp/x\", action, resource);"),
    ];
    let problems = Policy::compile(&sources, &["orders"]).err().unwrap();
    let places: std::collections::BTreeSet<_> = problems.iter().map(|problem| problem.source).collect();
    assert_eq!(places, [0, 1, 2].into());
    assert!(problems.iter().filter(|problem| problem.source == 0).count() >= 2, "{problems:#?}");
}

#[test]
fn a_slip_in_an_action_is_an_error_with_the_right_name() {
    let text = r#"forbid (principal, action == Action::"tool/call", resource);"#;
    let (marked, message, help, warning) = told(text).remove(0);
    assert_eq!(marked, r#"Action::"tool/call""#);
    assert_eq!(message, "unknown action `tool/call`");
    assert_eq!(help, r#"did you mean `Action::"tools/call"`?"#);
    assert!(!warning);
    let in_condition = r#"permit (principal, action, resource) when { action == Action::"pings" };"#;
    assert_eq!(told(in_condition)[0].0, r#"Action::"pings""#);
    assert!(!told(r#"permit (principal, action == Action::"call", resource);"#)[0].3);
}

#[test]
fn a_slip_in_an_entity_type_or_attribute_is_an_error() {
    let (marked, message, help, warning) =
        told(r#"permit (principal == Usr::"corp/x", action, resource);"#).remove(0);
    assert!(marked.contains("Usr"), "{marked}");
    assert!(message.contains("Usr") && help.contains("User"), "{message} {help}");
    assert!(!warning);
    let (marked, message, help, warning) =
        told(r#"permit (principal, action, resource) when { principal.isuer == "corp" };"#).remove(0);
    assert_eq!(marked, "principal.isuer");
    assert!(message.contains("isuer") && help.contains("issuer"), "{message} {help}");
    assert!(!warning);
}

/// Row: M20
#[test]
fn what_a_client_says_of_itself_is_not_there_to_be_read() {
    for condition in
        [r#"context.clientInfo.name == "x""#, r#"context has serverInfo"#, r#"principal.clientInfo == "x""#]
    {
        let list = told(&format!("permit (principal, action, resource is Tool) when {{ {condition} }};"));
        assert!(!list.is_empty(), "{condition}");
    }
    let list =
        told(r#"permit (principal, action, resource is Tool) when { context.clientInfo.name == "x" };"#);
    assert!(
        list.iter().any(|(_, message, _, warning)| message.contains("clientInfo") && !warning),
        "{list:?}"
    );
}

#[test]
fn arguments_used_as_two_types_are_an_error() {
    let list = told(
        r#"permit (principal, action, resource is Tool) when { context.args.a > 1 && context.args.a like "x*" };"#,
    );
    assert!(
        list.iter().any(|(marked, _, _, warning)| marked.contains("context.args.a") && !warning),
        "{list:?}"
    );
}

#[test]
fn an_optional_attribute_of_the_caller_must_be_asked_for() {
    let list = told(r#"permit (principal, action, resource) when { principal.email == "x" };"#);
    assert!(list.iter().any(|(_, message, _, warning)| message.contains("email") && !warning), "{list:?}");
}

#[test]
fn an_argument_read_without_the_question_that_is_asked_elsewhere_is_doubtful() {
    let list = told(
        r#"permit (principal, action, resource is Tool) when { context.args.a > 1 } unless { context.args has a && context.args.a > 5 };"#,
    );
    assert_eq!(list.len(), 1, "{list:?}");
    assert!(list[0].3 && list[0].2.contains(" has "), "{list:?}");
}

#[test]
fn a_server_that_is_not_configured_is_doubtful() {
    let text = r#"permit (principal, action, resource == Tool::"order/refund");
permit (principal, action, resource in Server::"elsewhere");"#;
    let list = told(text);
    assert_eq!(list.len(), 2, "{list:?}");
    assert_eq!(list[0].0, r#"Tool::"order/refund""#);
    assert_eq!(list[0].2, "did you mean `orders`?");
    assert_eq!(list[1].0, r#"Server::"elsewhere""#);
    assert!(list.iter().all(|problem| problem.3));
}

#[test]
fn templates_and_broken_syntax_are_errors() {
    let list = told("permit (principal == ?principal, action, resource);");
    assert!(list[0].1.contains("template") && !list[0].3, "{list:?}");
    let list = told("permit (principal, action, resource) when { principal.issuer = \"x\" };");
    assert!(list.iter().any(|problem| !problem.3), "{list:?}");
    assert!(list[0].0.contains('='), "{list:?}");
}

#[test]
fn two_policies_on_a_line_have_two_names() {
    let text = "permit (principal, action, resource is Tool); permit (principal, action, resource is Tool);";
    let decision = super::ask(super::bob()).decide(&super::policy(text), "{}");
    assert_eq!(*decision.policies, ["policies/orders.cedar:1".into(), "policies/orders.cedar:1:47".into()]);
}
