//! What lists show.

use super::{alice, ask, bob, policy};
use crate::mcp::Target;

#[test]
fn an_item_is_seen_when_some_call_would_be_permitted() {
    let policy = policy(
        r#"permit (principal in Group::"corp/support", action == Action::"tools/call", resource == Tool::"orders/refund")
           when { context.args.amount <= 500 };"#,
    );
    assert!(ask(alice()).sees(&policy));
    assert!(!ask(bob()).sees(&policy));
    assert!(!ask(alice()).about("tools/call", Target::Tool("delete".into())).sees(&policy));
}

#[test]
fn a_permit_that_the_caller_fails_anyway_shows_nothing() {
    for condition in [
        r#"context.args.amount <= 500 && principal.groups.contains("dba")"#,
        r#"principal.groups.contains("dba") && context.args.amount <= 500"#,
        r#"context.args has force && principal has email && principal.email == "root@example.com""#,
    ] {
        let policy = policy(&format!("permit (principal, action, resource is Tool) when {{ {condition} }};"));
        assert!(!ask(alice()).sees(&policy), "{condition}");
    }
    let policy = policy(
        r#"permit (principal, action, resource is Tool) when { context.args.amount <= 500 }
           unless { context.args.force || !principal.groups.contains("support") };"#,
    );
    assert!(ask(alice()).sees(&policy));
    assert!(!ask(bob()).sees(&policy));
}

#[test]
fn a_forbid_hides_only_when_no_arguments_escape_it() {
    let policy = policy(
        r#"permit (principal, action, resource);
           forbid (principal, action, resource == Tool::"orders/refund") when { context.args.amount > 500 };
           forbid (principal, action, resource == Tool::"orders/delete");
           forbid (principal, action, resource == Tool::"orders/drop") when { !principal.groups.contains("dba") || context.args.force };"#,
    );
    let sees = |tool: &str| ask(alice()).about("tools/call", Target::Tool(tool.into())).sees(&policy);
    assert!(sees("other"));
    assert!(sees("refund"));
    assert!(!sees("delete"));
    assert!(!sees("drop"));
}

#[test]
fn an_error_hides() {
    let policy = policy(
        r#"permit (principal, action, resource is Tool) when { resource.readOnly };
           permit (principal, action, resource is Tool) when { context.args.a > 1 };"#,
    );
    let asked = ask(alice());
    assert!(!asked.sees(&policy));
    asked.server.catalogue.learn([("refund".into(), crate::server::Tool::default())]);
    assert!(asked.sees(&policy));
}

#[test]
fn what_is_known_of_the_call_counts_even_without_arguments() {
    let policy = policy(
        r#"permit (principal, action, resource is Tool)
           when { context.args.a == 1 && context has acr && context.acr == "urn:mfa" };
           forbid (principal, action, resource is Tool)
           when { context has amr && (context.amr.contains("fax") || context.amr.contains("sms") && !(context.args has b)) };"#,
    );
    let mut asked = ask(alice());
    assert!(asked.sees(&policy));
    let mut weak = ask(alice());
    weak.principal.acr = Some("urn:password".into());
    assert!(!weak.sees(&policy));
    asked.principal = crate::caller::Principal { amr: vec!["fax".into()], ..alice() };
    assert!(!asked.sees(&policy));
    asked.principal = crate::caller::Principal { amr: vec!["sms".into()], ..alice() };
    assert!(asked.sees(&policy));
}

/// Row: A17
#[test]
fn what_may_be_called_is_seen() {
    let policy = policy(
        r#"permit (principal, action, resource is Tool)
           when { (context.args has a && context.args.a == 1) || principal == User::"corp/bob@example.com" };"#,
    );
    for arguments in ["{}", r#"{"a": 1}"#, r#"{"a": 2}"#] {
        for principal in [alice(), bob()] {
            let asked = ask(principal);
            assert!(!asked.permitted(&policy, arguments) || asked.sees(&policy));
        }
    }
    assert!(ask(alice()).sees(&policy));
}
