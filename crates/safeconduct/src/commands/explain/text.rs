//! The answer for people: the verdict first, then why, then what would happen.

use std::fmt::Write as _;

use safeconduct_core::policy::Considered;

use super::answer::{Explained, Refused, Request, Who};
use super::steps::Step;
use crate::present::{Paint, columns, plain};

/// The whole answer.
pub(super) fn written(explained: &Explained, paint: Paint) -> String {
    let mut text = verdict(explained, paint);
    let mut section = |title: &str, rows: Vec<(String, String)>| {
        if !rows.is_empty() {
            let rows: Vec<_> = rows.into_iter().map(|(name, value)| (plain(&name), value)).collect();
            let _ = write!(text, "\n{}\n{}", paint.strong(title), columns(2, &rows));
        }
    };
    section("call", call(explained));
    let how = |who: &Who| if who.verified { "caller (verified)" } else { "caller (supposed, not verified)" };
    section(
        explained.caller.as_ref().map_or("caller", how),
        explained.caller.as_ref().map(who).unwrap_or_default(),
    );
    section("checks", checks(explained, paint));
    let considered =
        explained.decision.as_ref().map(|decision| decision.considered.as_slice()).unwrap_or_default();
    section("policies", considered.iter().map(|policy| policy_row(policy, paint)).collect());
    if explained.decision.is_some() && considered.is_empty() {
        section("policies", vec![("none fits this method and resource".to_owned(), String::new())]);
    }
    for (number, step) in explained.credential.iter().enumerate() {
        section(&format!("credential step {}: {}", number + 1, step.description.step), step_rows(step));
    }
    section("to the MCP server", explained.request.as_ref().map(request).unwrap_or_default());
    text
}

fn verdict(explained: &Explained, paint: Paint) -> String {
    let by =
        explained.decision.as_ref().map(|decision| decision.policies.join(", ")).filter(|by| !by.is_empty());
    let Some(Refused { code, why, remedy, hidden, note, .. }) = &explained.refusal else {
        let by = by.map(|by| format!(" by {}", plain(&by))).unwrap_or_default();
        return format!("{}{by}\n", paint.good("PERMITTED"));
    };
    let why = match (*code, by) {
        ("SC-P02", Some(by)) => format!("forbidden by {by}"),
        ("SC-P02", None) => String::from("no policy permits it"),
        _ => why.clone(),
    };
    let mut text = format!("{} {code}: {}\n", paint.bad("DENIED"), plain(&why));
    if let Some(remedy) = remedy {
        let _ = writeln!(text, "  the caller is told: {}", plain(remedy));
    }
    if *hidden {
        text.push_str("  the caller is answered as if it did not exist, and does not see it in lists\n");
    }
    if let Some(note) = note {
        let _ = writeln!(text, "  note: {note}");
    }
    text
}

fn call(explained: &Explained) -> Vec<(String, String)> {
    let asked = &explained.call;
    let mut rows =
        vec![row("action", format!("Action::\"{}\"", asked.method)), row("resource", &asked.resource)];
    if !asked.arguments.is_empty() {
        rows.push(row("arguments", asked.arguments.join(", ")));
    }
    rows
}

fn who(who: &Who) -> Vec<(String, String)> {
    let mut rows = vec![row("principal", &who.principal), row("issuer", &who.issuer)];
    let mut some = |name: &str, texts: &[String]| {
        if !texts.is_empty() {
            rows.push(row(name, texts.join(", ")));
        }
    };
    some("client", who.client.as_slice());
    some("email", who.email.as_slice());
    some("groups", &who.groups);
    some("scopes", &who.scopes);
    some("acts for it", &who.actors);
    rows
}

fn checks(explained: &Explained, paint: Paint) -> Vec<(String, String)> {
    let row = |check: &super::checks::Check| {
        let word = if check.passed { paint.good("ok") } else { paint.bad("no") };
        (check.name.to_owned(), format!("{word}  {}", plain(&check.found)))
    };
    explained.checks.iter().map(row).collect()
}

fn policy_row(policy: &Considered, paint: Paint) -> (String, String) {
    let mut value = format!("{:6}  {}", policy.kind, policy.outcome);
    if policy.outcome == "satisfied" {
        value = paint.strong(&value);
    }
    if let Some(id) = &policy.id {
        let _ = write!(value, "  @id({:?})", plain(id));
    }
    if let Some(error) = &policy.error {
        let _ = write!(value, "\n{}", plain(error));
    }
    (policy.policy.clone(), value)
}

fn step_rows(step: &Step) -> Vec<(String, String)> {
    let description = &step.description;
    let mut rows = Vec::new();
    if let Some(endpoint) = &description.endpoint {
        rows.push(row("POST", endpoint));
    }
    if let Some(method) = description.authentication {
        let client = match &description.client {
            Some(client) => format!("{client}, by {method}"),
            None => String::from("none"),
        };
        rows.push(row("as client", client));
    }
    if step.identity.is_some() {
        rows.push(row("for", "the gateway itself: the same for all callers"));
    }
    rows.extend(step.form.iter().map(|field| row(&field.name, &field.value)));
    rows
}

fn request(request: &Request) -> Vec<(String, String)> {
    let credential = request.header.as_deref().unwrap_or("no credential, as configured (`credential: none`)");
    vec![row("POST", &request.url), row("with", credential)]
}

fn row(name: &str, value: impl AsRef<str>) -> (String, String) {
    (name.to_owned(), plain(value.as_ref()))
}
