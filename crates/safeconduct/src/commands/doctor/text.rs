//! The answer for people: each check a line, with what to do below the ones that need it.

use std::fmt::Write as _;

use super::check::{Check, Outcome};
use crate::present::{Paint, plain};

/// All checks, by what they are about, and the sum.
pub(super) fn written(checks: &[Check], paint: Paint) -> String {
    let mut text = String::new();
    let mut about = "";
    for check in checks {
        if check.about != about {
            let gap = if about.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}{}", paint.strong(&plain(&check.about)));
            about = &check.about;
        }
        let _ = writeln!(
            text,
            "{:4} {} {}: {}",
            check.number,
            word(check.outcome, paint),
            plain(&check.check),
            plain(&check.found)
        );
        if let Some(remedy) = check.remedy.as_deref().filter(|remedy| !remedy.is_empty()) {
            let _ = writeln!(text, "{:9} do: {}", "", plain(remedy));
        }
    }
    let _ = writeln!(text, "\n{}", sum(checks));
    text
}

fn word(outcome: Outcome, paint: Paint) -> String {
    match outcome {
        Outcome::Ok => paint.good("ok  "),
        Outcome::Note => paint.faint("note"),
        Outcome::Warn => paint.strong("warn"),
        Outcome::Fail => paint.bad("fail"),
    }
}

/// `12 checks: 10 ok, 1 warn, 1 fail`
fn sum(checks: &[Check]) -> String {
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let all =
        [(Outcome::Ok, "ok"), (Outcome::Note, "note"), (Outcome::Warn, "warn"), (Outcome::Fail, "fail")];
    let parts: Vec<String> = all
        .into_iter()
        .map(|(outcome, word)| (count(outcome), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("{} checks: {}", checks.len(), parts.join(", "))
}
