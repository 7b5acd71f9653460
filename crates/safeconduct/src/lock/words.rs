//! What changed, in words.

use serde_json::{Map, Value};

use super::Listed;

/// Longest value that is shown, in characters.
const LONGEST: usize = 600;

/// What of a tool changed, a line each: `description: "a" -> "b"`.
pub fn changes(pinned: &Listed, became: &Listed) -> Vec<String> {
    let mut lines = Vec::new();
    differ("", &pinned.definition, &became.definition, &mut lines);
    if lines.is_empty() {
        // Numbers are compared as they were spelled, and shown as they are read.
        lines.push("the same in another spelling of its numbers".to_owned());
    }
    lines
}

/// The members that differ: `description, inputSchema`.
pub fn headline(pinned: &Listed, became: &Listed) -> String {
    let (Value::Object(one), Value::Object(other)) = (&pinned.definition, &became.definition) else {
        return "definition".to_owned();
    };
    let differing: Vec<String> = names(one, other)
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name))
        .map(readable)
        .collect();
    if differing.is_empty() { "definition".to_owned() } else { differing.join(", ") }
}

fn differ(at: &str, one: &Value, other: &Value, lines: &mut Vec<String>) {
    if one == other {
        return;
    }
    let (Value::Object(before), Value::Object(after)) = (one, other) else {
        lines.push(format!("{} changed: {} -> {}", place(at), shown(one), shown(other)));
        return;
    };
    for name in names(before, after) {
        let at = if at.is_empty() { readable(name) } else { format!("{at}.{}", readable(name)) };
        match (before.get(name), after.get(name)) {
            (Some(one), Some(other)) => differ(&at, one, other, lines),
            (Some(one), None) => lines.push(format!("{at} removed: {}", shown(one))),
            (None, Some(other)) => lines.push(format!("{at} added: {}", shown(other))),
            (None, None) => {}
        }
    }
}

/// Names of both, sorted.
fn names<'a>(one: &'a Map<String, Value>, other: &'a Map<String, Value>) -> Vec<&'a str> {
    let mut names: Vec<&str> = one.keys().chain(other.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn place(at: &str) -> &str {
    if at.is_empty() { "definition" } else { at }
}

/// A value as a person can trust to see it: what no terminal shows, or shows elsewhere, stands there in words.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("\"{}\"", readable(text)),
        other => readable(&other.to_string()),
    };
    let mut cut = text.chars();
    let head: String = cut.by_ref().take(LONGEST).collect();
    let rest = cut.count();
    if rest == 0 { head } else { format!("{head}... ({rest} more characters)") }
}

/// Text without anything hidden: controls, marks that reorder, characters without a shape of their own (which models read
/// and people do not).
fn readable(text: &str) -> String {
    text.chars()
        .map(
            |c| if c == '"' || c == '\'' || c == '\\' { c.to_string() } else { c.escape_debug().to_string() },
        )
        .collect()
}

/// A definition, a line each member: `description: "a"`.
pub fn as_listed(listed: &Listed) -> Vec<String> {
    match &listed.definition {
        Value::Object(members) => {
            members.iter().map(|(name, value)| format!("{}: {}", readable(name), shown(value))).collect()
        }
        other => vec![shown(other)],
    }
}
