//! `safeconduct token inspect`.

use std::path::Path;

use safeconduct_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::{Signed, Token, from_file};
use crate::cli::Output;
use crate::exit::Exit;
use crate::present::{Paint, Said, columns, plain};

/// Shows the token in this file.
pub(super) fn run(file: &Path, output: Output, now: Timestamp, paint: Paint) -> Said {
    let token = match from_file(file) {
        Ok(token) => token,
        Err(why) => return Said::failure(Exit::Usage, format!("the token in {}: {why}", file.display())),
    };
    match Token::read(&token) {
        Token::Signed(signed) => shown(&signed, output, now, paint),
        Token::Encrypted => {
            Said::failure(Exit::Failed, "this token is encrypted (JWE): only its recipient can read it")
        }
        Token::Opaque => Said::failure(
            Exit::Failed,
            format!(
                "this is no JWT ({} bytes): if it is an opaque access token, only its issuer knows what it says \
                 (introspection, RFC 7662)",
                token.len()
            ),
        ),
    }
}

fn shown(signed: &Signed, output: Output, now: Timestamp, paint: Paint) -> Said {
    let remarks = remarks(signed, now);
    match output {
        Output::Json => {
            let answer = json!({
                "verified": false,
                "header": signed.header,
                "claims": signed.claims,
                "live": live(&signed.claims, now),
                "remarks": remarks,
            });
            Said::json(&answer, Exit::Fine)
        }
        Output::Text => {
            let mut text = format!("{}\n{}", paint.strong("header"), table(&signed.header, now));
            text.push_str(&format!("\n{}\n{}\n", paint.strong("claims"), table(&signed.claims, now)));
            for remark in remarks {
                text.push_str(&format!("{remark}\n"));
            }
            Said::data(text)
        }
    }
}

/// Claims, one a row.
pub(super) fn table(object: &Map<String, Value>, now: Timestamp) -> String {
    let rows: Vec<_> = object.iter().map(|(name, value)| (plain(name), written(name, value, now))).collect();
    columns(2, &rows)
}

fn written(name: &str, value: &Value, now: Timestamp) -> String {
    let moment =
        ["exp", "iat", "nbf", "auth_time", "updated_at"].contains(&name).then(|| seconds(value)).flatten();
    match (moment, value) {
        (Some(seconds), _) => {
            format!("{} ({seconds})", self::moment(Timestamp::from_secs(seconds), now))
        }
        (None, Value::String(text)) => plain(text),
        (None, Value::Array(many)) if many.iter().all(Value::is_string) => {
            many.iter().filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join("\n")
        }
        (None, other) => plain(&other.to_string()),
    }
}

// NumericDate may have a fraction (RFC 7519 §2).
fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64))
}

/// `in 4 min, 2025-11-22T10:04:30Z`
pub(super) fn moment(moment: Timestamp, now: Timestamp) -> String {
    format!("{}, {}", away(moment, now), short(moment))
}

// Without the milliseconds, which a token does not have.
fn short(moment: Timestamp) -> String {
    moment.rfc3339().replace(".000Z", "Z")
}

/// `in 4 min 30 s`, `2 h 5 min ago`.
fn away(moment: Timestamp, now: Timestamp) -> String {
    let (ahead, behind) = (moment.since(now).as_secs(), now.since(moment).as_secs());
    match (ahead, behind) {
        (0, 0) => String::from("now"),
        (ahead, 0) => format!("in {}", length(ahead)),
        (_, behind) => format!("{} ago", length(behind)),
    }
}

fn length(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |one: u64, unit: &str, other: u64, smaller: &str| {
        if other == 0 { format!("{one} {unit}") } else { format!("{one} {unit} {other} {smaller}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => two(minutes, "min", seconds % 60, "s"),
        (0, ..) => two(hours, "h", minutes, "min"),
        _ => two(days, if days == 1 { "day" } else { "days" }, hours, "h"),
    }
}

fn live(claims: &Map<String, Value>, now: Timestamp) -> bool {
    let at = |name| claims.get(name).and_then(seconds).map(Timestamp::from_secs);
    at("exp").is_some_and(|end| now < end) && at("nbf").is_none_or(|start| now >= start)
}

// What the gateway would stumble over, whatever its configuration.
fn remarks(signed: &Signed, now: Timestamp) -> Vec<String> {
    let Signed { header, claims } = signed;
    let mut remarks = vec![String::from("nothing was verified: anybody can write such a token")];
    let moment = |name: &str| claims.get(name).and_then(seconds).map(Timestamp::from_secs);
    match moment("exp") {
        None => remarks.push("it never ends (no `exp`): the gateway refuses it".to_owned()),
        Some(end) if now >= end => remarks.push(format!("it has expired, {}", away(end, now))),
        Some(end) => remarks.push(format!("it ends {}", away(end, now))),
    }
    if let Some(start) = moment("nbf").filter(|start| now < *start) {
        remarks.push(format!("it is not valid yet: it begins {}", away(start, now)));
    }
    for name in ["iss", "sub", "aud"] {
        if !claims.contains_key(name) {
            remarks.push(format!("it has no `{name}`: the gateway refuses it"));
        }
    }
    let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    if algorithm.eq_ignore_ascii_case("none") || algorithm.starts_with("HS") {
        remarks.push("its algorithm is not one that the gateway accepts from an issuer".to_owned());
    }
    let access =
        header.get("typ").and_then(Value::as_str).is_some_and(|typ| typ.to_lowercase().ends_with("at+jwt"));
    if !access && ["nonce", "at_hash", "c_hash"].iter().any(|name| claims.contains_key(*name)) {
        remarks.push("it looks like an ID token; the gateway wants an access token".to_owned());
    }
    if claims.contains_key("cnf") {
        remarks
            .push("it is bound to a key (`cnf`): as a mere bearer token the gateway refuses it".to_owned());
    }
    remarks
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use safeconduct_core::time::Timestamp;
    use serde_json::json;

    use super::{Output, Paint, Token, length, shown};

    const NOW: Timestamp = Timestamp::from_secs(1_763_805_600);

    fn inspected(claims: &serde_json::Value, output: Output) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token =
            format!("{}.{}.c2VjcmV0", part(r#"{"alg":"RS256","kid":"k1"}"#), part(&claims.to_string()));
        let Token::Signed(signed) = Token::read(token.as_bytes()) else { panic!("not read") };
        shown(&signed, output, NOW, Paint::NEVER).data
    }

    #[test]
    fn claims_are_shown_with_times_in_words_and_no_signature() {
        let claims =
            json!({ "iss": "https://idp", "sub": "alice", "aud": ["a", "b"], "exp": 1_763_805_870u64 });
        let text = inspected(&claims, Output::Text);
        assert!(text.contains("in 4 min 30 s, 2025-11-22T10:04:30Z (1763805870)"), "{text}");
        assert!(text.contains("alice"), "{text}");
        assert!(!text.contains("c2VjcmV0"), "{text}");
        let json = inspected(&claims, Output::Json);
        assert!(json.contains("\"live\": true") && !json.contains("c2VjcmV0"), "{json}");
    }

    #[test]
    fn what_the_gateway_would_refuse_is_said() {
        let text = inspected(&json!({ "nonce": "x", "exp": 1_763_805_000u64, "cnf": {} }), Output::Text);
        for words in ["has expired, 10 min ago", "no `iss`", "no `sub`", "no `aud`", "ID token", "`cnf`"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_claim_cannot_draw_on_the_terminal() {
        let text = inspected(&json!({ "sub": "\u{1b}[31mroot\u{1b}[0m" }), Output::Text);
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn lengths_have_at_most_two_units() {
        let lengths =
            [(59, "59 s"), (60, "1 min"), (3_700, "1 h 1 min"), (86_400, "1 day"), (200_000, "2 days 7 h")];
        for (seconds, words) in lengths {
            assert_eq!(length(seconds), words);
        }
    }
}
