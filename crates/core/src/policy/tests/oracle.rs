//! Choosing policies beforehand, reading arguments in part and remembering decisions change nothing: for every
//! question of a small world the answer is that of plain Cedar over all policies with everything in the request.

use cedar_policy::{Authorizer, Context, Decision, Entities, PolicySet, Request};
use serde_json::json;

use super::super::Effect;
use super::{Ask, alice, ask, bob, policy, server};
use crate::caller::{Kind, Principal};
use crate::mcp::Target;

const POLICIES: &str = r#"
permit (principal, action, resource in Server::"orders") when { context.args has a && context.args.a == 1 };
permit (principal == User::"corp/alice@example.com", action in [Action::"tools/call", Action::"prompts/get"], resource);
permit (principal in Group::"corp/support", action in Action::"write", resource is Task);
permit (principal is Workload, action, resource is Tool in Server::"warehouse") when { context.args.b };
permit (principal is User in Group::"corp/support", action == Action::"acme/foo", resource == Server::"orders");
permit (principal, action == Action::"completion/complete", resource is Prompt) unless { context.args has c && context.args.c.contains("x") };
forbid (principal is User in Group::"corp/support", action, resource == Tool::"orders/refund") when { context.args has d.e && context.args.d.e < 3 };
forbid (principal, action in Action::"life", resource == Server::"warehouse") when { principal is Workload };
forbid (principal, action in Action::"list", resource) when { principal.groups.contains("support") && action == Action::"tools/list" };
forbid (principal == Workload::"corp/bob@example.com", action, resource) when { context.args has f && context.args.f + 9223372036854775807 > 0 };
forbid (principal, action, resource == Resource::"orders/file:///a") when { context.args == {g: [1, 2]} };
permit (principal, action in Action::"life", resource);
permit (principal, action in Action::"list", resource);
"#;

/// One of each kind, and those that a policy names.
const ACTIONS: [&str; 9] = [
    "tools/call",
    "tools/list",
    "resources/read",
    "prompts/get",
    "ping",
    "completion/complete",
    "tasks/cancel",
    "acme/foo",
    "acme/bar",
];

const ARGUMENTS: [&str; 9] = [
    "{}",
    r#"{"a": 1}"#,
    r#"{"a": 1, "b": true}"#,
    r#"{"b": "true"}"#,
    r#"{"c": ["x", "y"], "d": {"e": 3}}"#,
    r#"{"a": 1, "d": {"e": 2, "z": {}}}"#,
    r#"{"f": 1}"#,
    r#"{"f": 0, "b": true}"#,
    r#"{"g": [2, 1, 2]}"#,
];

/// The plain way: all policies, all entities, the whole context, all through Cedar's JSON.
fn plainly(asked: &Ask, arguments: &str, policies: &PolicySet) -> &'static str {
    let server = &*asked.server.name;
    let typed = |kind: &str, name: &str| json!({ "type": kind, "id": format!("{server}/{name}") });
    let at = json!({ "type": "Server", "id": server });
    let target = match &asked.target {
        Target::Server => at.clone(),
        Target::Tool(name) => typed("Tool", name),
        Target::Prompt(name) => typed("Prompt", name),
        Target::Resource(name) => typed("Resource", name),
        Target::Task(name) => typed("Task", name),
    };
    let who = &asked.principal;
    let kind = if who.kind == Kind::User { "User" } else { "Workload" };
    let uid = json!({ "type": kind, "id": format!("corp/{}", who.subject) });
    let group = |name: &str| json!({ "type": "Group", "id": format!("corp/{name}") });
    let groups: Vec<_> = who.groups.iter().map(|name| group(name)).collect();
    let above: Vec<_> = super::super::schema::groups(asked.action)
        .iter()
        .map(|group| json!({ "type": "Action", "id": group }))
        .collect();
    let mut entities = vec![
        json!({ "uid": uid, "attrs": { "groups": who.groups }, "parents": groups }),
        json!({ "uid": { "type": "Action", "id": asked.action }, "attrs": {}, "parents": above }),
        json!({ "uid": at, "attrs": {}, "parents": [] }),
    ];
    if target != at {
        entities.push(json!({ "uid": target, "attrs": {}, "parents": [at] }));
    }
    let entities = Entities::from_json_value(json!(entities), None).unwrap();
    let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap();
    let context = Context::from_json_value(json!({ "args": arguments }), None).unwrap();
    let uid = |value| cedar_policy::EntityUid::from_json(value).unwrap();
    let action = uid(json!({ "type": "Action", "id": asked.action }));
    let principal = uid(json!({ "type": kind, "id": format!("corp/{}", who.subject) }));
    let request = Request::new(principal, action, uid(target), context, None).unwrap();
    let response = Authorizer::new().is_authorized(&request, policies, &entities);
    match response.decision() {
        _ if response.diagnostics().errors().next().is_some() => "error",
        Decision::Allow => "permit",
        Decision::Deny => "deny",
    }
}

fn word(effect: &Effect) -> &'static str {
    match effect {
        Effect::Permit => "permit",
        Effect::Deny(_) => "deny",
        Effect::Error(_) | Effect::Ambiguous(_) => "error",
    }
}

#[test]
fn every_answer_is_that_of_plain_cedar() {
    let ours = policy(POLICIES);
    let plain: PolicySet = POLICIES.parse().unwrap();
    let callers = [
        alice(),
        bob(),
        Principal { kind: Kind::Workload, ..bob() },
        Principal { kind: Kind::Workload, groups: alice().groups, ..bob() },
    ];
    let targets = || {
        let tool = |name: &str| Target::Tool(name.into());
        let uri = Target::Resource("file:///a".into());
        [
            Target::Server,
            tool("refund"),
            tool("other"),
            Target::Prompt("refund".into()),
            uri,
            Target::Task("1".into()),
        ]
    };
    let mut seen = std::collections::BTreeMap::new();
    for (number, caller) in callers.into_iter().enumerate() {
        let mut asked = ask(caller);
        for name in ["orders", "warehouse", "unheard-of"] {
            asked.server = server(name);
            for action in ACTIONS {
                asked.action = action;
                for target in targets() {
                    asked.target = target;
                    for arguments in ARGUMENTS {
                        let expected = plainly(&asked, arguments, &plain);
                        let place = || format!("{number} {name} {action} {:?} {arguments}", asked.target);
                        let first = asked.decide(&ours, arguments);
                        assert_eq!(word(&first.effect), expected, "{}", place());
                        let again = asked.decide(&ours, arguments);
                        assert_eq!(
                            (again.effect, again.policies),
                            (first.effect, first.policies),
                            "{}",
                            place()
                        );
                        assert!(expected != "permit" || asked.sees(&ours), "{}", place());
                        *seen.entry(expected).or_insert(0) += 1;
                    }
                }
            }
        }
    }
    assert!(
        ["permit", "deny", "error"].iter().all(|word| seen.get(word).is_some_and(|count| *count > 100)),
        "{seen:?}"
    );
}
