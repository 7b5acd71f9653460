//! The answer for people: how it ended, then each step with what it gave.

use std::fmt::Write as _;

use safeconduct_core::time::Timestamp;

use super::super::inspect::{moment, table};
use crate::commands::yielded::{Granted, Leg, Look, Refused, Yielded};
use crate::present::{Paint, columns, plain};

/// The whole answer.
pub(super) fn written(yielded: &Yielded, now: Timestamp, paint: Paint) -> String {
    let mut text = verdict(yielded, paint);
    let mut section = |title: String, body: String| {
        let _ = write!(text, "\n{}\n{body}", paint.strong(&title));
    };
    section(
        String::from("the caller's token"),
        format!("{}{}", caller(yielded), look(&yielded.subject, now)),
    );
    for (number, leg) in yielded.steps.iter().enumerate() {
        let title = format!("step {}: {}", number + 1, leg.description.step);
        section(
            title,
            format!("{}{}", asked(leg), leg.granted.as_ref().map_or_else(String::new, |it| granted(it, now))),
        );
    }
    if let Some(refusal) = &yielded.refusal {
        let at =
            refusal.step.as_deref().map_or_else(|| String::from("refused"), |step| format!("{step} failed"));
        section(at, refused(refusal));
    }
    text
}

fn verdict(yielded: &Yielded, paint: Paint) -> String {
    let count = yielded.steps.len();
    match &yielded.refusal {
        None if count == 0 => {
            format!("{} this server's credential asks nobody: there is no chain to run\n", paint.good("OK"))
        }
        None => {
            let steps = if count == 1 { String::from("step") } else { format!("{count} steps") };
            format!("{} the {steps} of {} granted what was asked\n", paint.good("OK"), plain(&yielded.server))
        }
        Some(Refused { code, why, .. }) => format!("{} {code}: {}\n", paint.bad("FAILED"), plain(why)),
    }
}

fn caller(yielded: &Yielded) -> String {
    let Some(caller) = &yielded.caller else { return columns(2, &[row("believed", "no")]) };
    let mut rows = vec![row("believed as", &caller.principal)];
    for (name, texts) in [("groups", &caller.groups), ("scopes", &caller.scopes)] {
        if !texts.is_empty() {
            rows.push(row(name, texts.join(", ")));
        }
    }
    columns(2, &rows)
}

fn asked(leg: &Leg) -> String {
    let step = &leg.description;
    let mut rows = Vec::new();
    rows.extend(step.endpoint.as_deref().map(|endpoint| row("asked", endpoint)));
    if let Some(method) = step.authentication {
        let client = step.client.as_deref().map(|client| format!("{client}, by {method}"));
        rows.push(row("as client", client.as_deref().unwrap_or("none")));
    }
    for (name, texts) in [("audience", &step.audience), ("scopes", &step.scopes)] {
        if !texts.is_empty() {
            rows.push(row(name, texts.join(", ")));
        }
    }
    columns(2, &rows)
}

fn granted(granted: &Granted, now: Timestamp) -> String {
    let mut rows = Vec::new();
    if granted.usable == "subject" {
        rows.push(row("good for", "the next step only"));
    }
    if let Some(expires) = granted.expires.as_deref().and_then(Timestamp::parse_rfc3339) {
        rows.push(row("ends", moment(expires, now)));
    }
    if !granted.scopes.is_empty() {
        rows.push(row("granted", granted.scopes.join(", ")));
    }
    format!("{}{}", columns(2, &rows), look(&granted.look, now))
}

fn look(look: &Look, now: Timestamp) -> String {
    let bound = if look.bound { ", bound to a key of the gateway (DPoP)" } else { "" };
    let length = look.length.map(|length| format!(" of {length} bytes")).unwrap_or_default();
    let what = match look.kind {
        "jwt" => format!("a JWT{length}{bound}; not verified here:"),
        "encrypted" => format!("an encrypted JWT{length}{bound}"),
        "aws_keys" => format!("AWS keys, {}", look.access_key_id.as_deref().unwrap_or_default()),
        _ => format!("an opaque token{length}{bound}"),
    };
    let claims = look.claims.as_ref().map(|claims| table(claims, now)).unwrap_or_default();
    format!(
        "  {}\n{}",
        plain(&what),
        claims.replace("\n  ", "\n    ").replacen("  ", "    ", 1).trim_end_matches(' ')
    )
}

fn refused(refusal: &Refused) -> String {
    let mut rows = vec![row("why", format!("{} {}", refusal.code, refusal.why))];
    rows.extend(refusal.said.as_deref().map(|said| row("they say", said)));
    rows.extend(refusal.means.map(|means| row("it means", means)));
    rows.extend(refusal.remedy.as_deref().map(|remedy| row("do", remedy)));
    columns(2, &rows)
}

fn row(name: &str, value: impl AsRef<str>) -> (String, String) {
    (name.to_owned(), plain(value.as_ref()))
}
