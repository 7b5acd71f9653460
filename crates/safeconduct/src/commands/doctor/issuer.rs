//! The checks of an issuer: found, itself, its keys, its clock, and what MCP clients need of it to log people in.

mod discovery;
mod login;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::ask;
use super::check::{Finding, Group};
use crate::app::Rehearsal;
use crate::config::plan::{IssuerPlan, KeysPlan};
use discovery::Found;

/// A difference that is worth a word.
const NOTICEABLE: Duration = Duration::from_secs(5);

/// All of them.
pub(super) async fn checks(issuer: &IssuerPlan, rehearsal: &Rehearsal<'_>) -> Group {
    let mut group = Group::about(format!("issuer {}", issuer.name));
    let mut found = Found::default();
    group.check("discovery", discovery::check(issuer, rehearsal.wire(), &mut found)).await;
    group.check("keys", keys(issuer, rehearsal, &found)).await;
    if found.date.is_some() {
        group.check("clock", async { clock(&found, issuer.leeway) }).await;
    }
    if let Some(metadata) = &found.metadata {
        group.check("login", async { login::check(metadata) }).await;
    }
    group
}

/// The keys, fetched as the gateway fetches them.
async fn keys(issuer: &IssuerPlan, rehearsal: &Rehearsal<'_>, found: &Found) -> Finding {
    let keys = match rehearsal.keys(issuer).await {
        Ok(Ok(keys)) => keys,
        Ok(Err(error)) => {
            let remedy = "without keys every token of this issuer is refused (SC-A04); the gateway takes RSA from 2048 bits, P-256, P-384 and Ed25519";
            return Finding::fail(error.to_string(), remedy);
        }
        Err(failed) => return Finding::fail(failed.to_string(), "correct where the keys are"),
    };
    let each = described(issuer, rehearsal, found).await;
    let skipped = keys.set.skipped().len();
    let mut words = counted(keys.set.len());
    if !each.is_empty() {
        let list: Vec<String> = each.iter().map(Key::words).collect();
        words = format!("{words}: {}", list.join(", "));
    }
    if skipped > 0 {
        words = format!("{words}; {skipped} not usable");
    }
    let accepted: Vec<String> =
        issuer.algorithms.iter().map(|algorithm| format!("{algorithm:?}").to_uppercase()).collect();
    let foreign = |key: &Key| key.algorithm.as_ref().is_some_and(|it| !accepted.contains(&it.to_uppercase()));
    let details = json!({ "keys": each.iter().map(Key::data).collect::<Vec<_>>() });
    if !each.is_empty() && each.iter().all(foreign) {
        let remedy = format!("add their algorithm to `issuers.{}.algorithms`", issuer.name);
        return Finding::fail(format!("{words}; none is of an accepted algorithm"), remedy).with(details);
    }
    Finding::ok(words).with(details)
}

fn counted(count: usize) -> String {
    if count == 1 { String::from("1 key") } else { format!("{count} keys") }
}

/// A published key, as it calls itself.
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    kind: String,
}

impl Key {
    fn words(&self) -> String {
        let id = self.id.as_deref().unwrap_or("without kid");
        format!("{id} ({})", self.algorithm.as_deref().unwrap_or(&self.kind))
    }

    fn data(&self) -> Value {
        json!({ "kid": self.id, "alg": self.algorithm, "kty": self.kind })
    }
}

/// What the document says of its signature keys; nothing where it cannot be read.
async fn described(issuer: &IssuerPlan, rehearsal: &Rehearsal<'_>, found: &Found) -> Vec<Key> {
    let named = found.metadata.as_ref().and_then(|metadata| metadata.get("jwks_uri")).and_then(Value::as_str);
    let document = match (&issuer.keys, named) {
        (KeysPlan::JwksFile(path), _) => {
            std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok())
        }
        (KeysPlan::JwksUri(uri), _) => document(uri, issuer, rehearsal).await,
        (KeysPlan::Discovery, Some(uri)) => document(uri, issuer, rehearsal).await,
        (KeysPlan::Discovery, None) => None,
    };
    let document: Value = document.unwrap_or_default();
    let keys = document.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |key: &Value, name: &str| {
        let text = key.get(name)?.as_str()?;
        Some(text.chars().filter(|c| !c.is_control()).take(80).collect::<String>())
    };
    let signs = |key: &&Value| key.get("use").and_then(Value::as_str).is_none_or(|it| it == "sig");
    let key = |key: &Value| Key {
        id: text(key, "kid"),
        algorithm: text(key, "alg"),
        kind: text(key, "kty").unwrap_or_default(),
    };
    keys.iter().filter(signs).map(key).collect()
}

async fn document(uri: &str, issuer: &IssuerPlan, rehearsal: &Rehearsal<'_>) -> Option<Value> {
    ask::json(&ask::read(rehearsal.wire(), uri, issuer.allow_http).await.ok()?)
}

/// By the `Date` of its answer, which counts whole seconds.
fn clock(found: &Found, leeway: Duration) -> Finding {
    let Some((date, seen)) = found.date else { return Finding::note("the issuer says no time") };
    let (ahead, off) = match date.duration_since(seen) {
        Ok(ahead) => (true, ahead),
        Err(behind) => (false, behind.duration()),
    };
    let words =
        format!("the issuer's clock is {} s {}", off.as_secs(), if ahead { "ahead" } else { "behind" });
    let remedy = "set this machine's clock, or the issuer's (chronyc tracking, timedatectl)";
    let details = json!({ "seconds": off.as_secs(), "ahead": ahead });
    if off > leeway + Duration::from_secs(1) {
        Finding::fail(format!("{words}: more than `leeway` ({} s)", leeway.as_secs()), remedy).with(details)
    } else if off > NOTICEABLE {
        Finding::warn(words, remedy).with(details)
    } else {
        Finding::ok(format!("within {} s of this machine's", off.as_secs() + 1)).with(details)
    }
}

/// The `Date` of an answer, and when it was seen.
fn dated(headers: &http::HeaderMap) -> Option<(SystemTime, SystemTime)> {
    let date = httpdate::parse_http_date(ask::header(headers, "date")?).ok()?;
    Some((date, SystemTime::now()))
}

#[cfg(test)]
mod tests {
    use super::{Duration, Found, SystemTime, clock};
    use crate::commands::doctor::check::Outcome;

    #[test]
    fn a_clock_that_is_off_by_more_than_the_leeway_fails_and_a_little_less_warns() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let leeway = Duration::from_secs(30);
        let outcome = |date| clock(&Found { date: Some((date, now)), metadata: None }, leeway).outcome;
        assert_eq!(outcome(now), Outcome::Ok);
        assert_eq!(outcome(now - Duration::from_secs(10)), Outcome::Warn);
        assert_eq!(outcome(now + Duration::from_secs(40)), Outcome::Fail);
        assert_eq!(outcome(now - Duration::from_secs(40)), Outcome::Fail);
    }
}
