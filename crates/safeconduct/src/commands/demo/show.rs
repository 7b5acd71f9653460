//! How the play is shown: claims side by side, checks numbered, the log in short.

use std::fmt::Write as _;

use serde_json::Value;

use super::stage::Stage;
use super::{Check, Crossing, Places, Report};
use crate::present::{Paint, plain};

/// Claims of a token, and what AWS says of keys.
const SHOWN: [&str; 18] = [
    "iss",
    "sub",
    "aud",
    "scope",
    "scp",
    "groups",
    "client_id",
    "appid",
    "oid",
    "tid",
    "act",
    "iat",
    "exp",
    "Arn",
    "Account",
    "UserId",
    "AccessKeyId",
    "Expiration",
];

/// The report for people.
pub(super) fn report(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    places(&mut out, &report.stage, paint);
    for scene in &report.scenes {
        let _ = writeln!(out, "\n{}\n{}", paint.strong(&scene.title), paint.faint(&scene.about));
        for crossing in &scene.crossings {
            claims(&mut out, crossing, paint);
        }
        for check in &scene.checks {
            let Check { number, what, .. } = check;
            let verdict = if check.held { paint.good("ok    ") } else { paint.bad("FAILED") };
            let seen =
                if check.seen.is_empty() { String::new() } else { format!("  ({})", plain(&check.seen)) };
            let _ = writeln!(out, "  {number:>2} {verdict} {what}{}", paint.faint(&seen));
        }
    }
    audit(&mut out, &report.audit, paint);
    let verdict = if report.held { paint.good("All of it held.") } else { paint.bad("Not all of it held.") };
    let checks = report.scenes.iter().map(|scene| scene.checks.len()).sum::<usize>();
    let _ = writeln!(out, "\n{verdict} {checks} checks, {} ms.", report.milliseconds);
    out
}

fn places(out: &mut String, places: &Places, paint: Paint) {
    let rows = [
        ("domain A", "identity provider", &places.identity_provider),
        ("", "orders API", &places.orders_api),
        ("domain B", "token service", &places.token_service),
        ("", "warehouse API", &places.warehouse_api),
        ("between", "MCP server, unmodified", &places.mcp_server),
        ("", "the gateway in front", &places.gateway),
    ];
    for (domain, what, url) in rows {
        let _ = writeln!(out, "  {domain:<10} {what:<24} {}", paint.faint(url));
    }
}

fn claims(out: &mut String, crossing: &Crossing, paint: Paint) {
    let Crossing { title, before, after } = crossing;
    let rows: Vec<(&str, String, String)> = SHOWN
        .iter()
        .filter(|name| !before[**name].is_null() || !after[**name].is_null())
        .map(|name| (*name, value(&before[*name]), value(&after[*name])))
        .collect();
    let width = rows.iter().map(|(_, left, _)| left.chars().count()).max().unwrap_or(0).max(26);
    let _ = writeln!(out, "\n  {}", paint.strong(title));
    let names = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0).max(10);
    let _ = writeln!(out, "  {:names$} {:<width$}   what the API got", "", "what the caller brought");
    for (name, left, right) in rows {
        let mark = if left == right { ' ' } else { '>' };
        let _ = writeln!(out, "  {name:<names$} {left:<width$} {mark} {right}");
    }
    out.push('\n');
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(" "),
        other => plain(&other.to_string()),
    }
}

fn audit(out: &mut String, lines: &[Value], paint: Paint) {
    let _ = writeln!(out, "\n{}", paint.strong("The audit log"));
    let of = |line: &Value, path: &str| line.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned();
    let shown = lines.iter().filter(|line| line["method"] == "tools/call" || line["outcome"] == "refused");
    for line in shown {
        let policy = of(line, "/decision/policies/0");
        let policy = policy.rsplit('/').next().unwrap_or_default();
        let _ = writeln!(
            out,
            "  {} {:<9} {:<18} {:<10} {:<15} {:<16} {:<9} {}",
            of(line, "/time").get(11..23).unwrap_or_default(),
            of(line, "/outcome"),
            of(line, "/principal/subject"),
            of(line, "/server"),
            of(line, "/target"),
            policy,
            of(line, "/credential/source"),
            of(line, "/code"),
        );
    }
    if let Some(line) =
        lines.iter().find(|line| line["method"] == "tools/call" && line["outcome"] == "answered")
    {
        let _ = writeln!(out, "\n  {}\n  {line}", paint.faint("one of them, whole:"));
    }
}

/// What can be pasted while it runs.
pub(super) fn commands(stage: &Stage, paint: Paint) -> String {
    let token = stage.token("alice@example.com");
    let url = stage.url("orders");
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund","arguments":{"amount":900}}}"#;
    let login = stage.b.login("alice@example.com");
    let login =
        login.map(|token| format!("  it takes tokens of its own login: TOKEN={token}\n")).unwrap_or_default();
    format!(
        "\n{}\n\n  TOKEN={token}\n\n  curl -s {url} -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n    \
         -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2025-11-25' \\\n    -d '{call}'\n\n  \
         npx @modelcontextprotocol/inspector --cli --server-url {url} --transport http \\\n    --header \"Authorization: \
         Bearer $TOKEN\" --method tools/list\n\n  tail -f {}      # a line for each of them\n  curl -s {}/status\n\n  \
         the other server: {}\n{login}  its configuration: {}\n\nCtrl-C ends it.\n",
        paint.strong("It runs on. alice's token is good for an hour:"),
        stage.audit_file().display(),
        stage.admin,
        stage.url("warehouse"),
        stage.config_file().display(),
    )
}
