//! What the token service does: the three actions, each with AWS's checks in AWS's order.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::account::{About, Account, Session};
use super::reply::{self, Refusal, escaped};
use super::role::{self, Role, Trusts};
use super::{ACCOUNT, REGION, signature};
use crate::verify::words;
use crate::wire::{Form, Reply, Seen};

/// Answers a request, or refuses.
pub(super) async fn answer(account: &Account, seen: &Seen) -> Result<Reply, Refusal> {
    let form = seen.form();
    if form.one("Version") != Some("2011-06-15") {
        return Err(Refusal::new(400, "InvalidAction", "Could not find operation for that version"));
    }
    match form.one("Action") {
        Some("AssumeRoleWithWebIdentity") => web_identity(account, &form).await,
        Some("AssumeRole") => assume_role(account, seen, &form),
        Some("GetCallerIdentity") => caller_identity(account, seen),
        _ => Err(Refusal::new(400, "InvalidAction", "Could not find operation")),
    }
}

async fn web_identity(account: &Account, form: &Form) -> Result<Reply, Refusal> {
    const ACTION: &str = "AssumeRoleWithWebIdentity";
    let name = session_name(form)?;
    let token = form.one("WebIdentityToken").filter(|token| (4..=20_000).contains(&token.len()));
    let token = token.ok_or_else(|| {
        Refusal::validation("1 validation error detected: Value null at 'webIdentityToken'")
    })?;
    let claims = identified(account, token).await?;
    let denied = || Refusal::new(403, "AccessDenied", format!("Not authorized to perform sts:{ACTION}"));
    let role = account.role(form.one("RoleArn").unwrap_or_default()).ok_or_else(denied)?;
    let subject = claims["sub"].as_str().unwrap_or_default();
    let Trusts::WebIdentity { subjects } = &role.trusts else { return Err(denied()) };
    if !subjects.iter().any(|pattern| role::matches(pattern, subject)) {
        return Err(denied());
    }
    let lifetime = duration(
        form,
        role.longest,
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )?;
    let about = of_the_token(&claims);
    let packed = packed(account, form, &about)?;
    let session = account.issue(role, name, lifetime, about);
    let issuer = account
        .provider
        .trust()
        .issuer
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .to_owned();
    let provider = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}");
    let result = format!(
        "    <SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken>\n    <Audience>{}</Audience>\n{}    <Provider>{}</Provider>\n",
        escaped(subject),
        escaped(&words(&claims["aud"]).join(" ")),
        reply::credentials(&session, packed),
        escaped(&provider),
    );
    Ok(reply::xml(account, ACTION, &result))
}

/// The claims of a token that the account's OIDC provider vouches for.
async fn identified(account: &Account, token: &str) -> Result<Value, Refusal> {
    let invalid = |message: String| Refusal::new(400, "InvalidIdentityToken", message);
    let trust = account.provider.trust();
    let said = crate::keys::claims_of(token);
    if said["iss"] != trust.issuer.as_str() {
        let issuer = said["iss"].as_str().unwrap_or_default();
        return Err(invalid(format!("No OpenIDConnect provider found in your account for {issuer}")));
    }
    let claims = account.provider.signed(token).await.map_err(|why| match why.as_str() {
        "expired" => Refusal::new(400, "ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time"),
        unreached if unreached.starts_with("the keys of the issuer") => invalid(
            "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements".into(),
        ),
        other => invalid(format!("The web identity token is not valid: {other}")),
    })?;
    // Where there is an `azp`, that is what AWS compares.
    let audiences = if claims["azp"].is_string() { &claims["azp"] } else { &claims["aud"] };
    if !words(audiences).iter().any(|audience| trust.audiences.contains(audience)) {
        return Err(invalid("Incorrect token audience".into()));
    }
    Ok(claims)
}

/// Session tags and source identity, which only the token itself can give.
fn of_the_token(claims: &Value) -> About {
    let tags = &claims["https://aws.amazon.com/tags"];
    let principal = tags["principal_tags"].as_object().into_iter().flatten();
    About {
        tags: principal
            .filter_map(|(key, values)| Some((key.clone(), values[0].as_str()?.to_owned())))
            .collect(),
        transitive: words(&tags["transitive_tag_keys"]),
        source_identity: claims["https://aws.amazon.com/source_identity"].as_str().map(str::to_owned),
    }
}

fn assume_role(account: &Account, seen: &Seen, form: &Form) -> Result<Reply, Refusal> {
    const ACTION: &str = "AssumeRole";
    let first = signed(account, seen)?;
    let name = session_name(form)?;
    let arn = form.one("RoleArn").unwrap_or_default();
    let denied = || {
        let who = first.arn();
        Refusal::new(
            403,
            "AccessDenied",
            format!("User: {who} is not authorized to perform: sts:{ACTION} on resource: {arn}"),
        )
    };
    let role = account.role(arn).ok_or_else(denied)?;
    let about = asked_for(form, &first)?;
    if !trusted(role, &first, form, &about) {
        return Err(denied());
    }
    let longest = role.longest.min(Duration::from_secs(3600));
    let lifetime = duration(
        form,
        longest,
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
    )?;
    let packed = packed(account, form, &about)?;
    let session = account.issue(role, name, lifetime, about);
    Ok(reply::xml(account, ACTION, &reply::credentials(&session, packed)))
}

fn trusted(role: &Role, first: &Session, form: &Form, about: &About) -> bool {
    let Trusts::Role { name, external_id, tags } = &role.trusts else { return false };
    let id = external_id.as_deref().is_none_or(|id| form.one("ExternalId") == Some(id));
    first.role == *name && id && tags.iter().all(|key| about.tags.contains_key(key))
}

/// Tags and source identity of the request, with what is inherited.
fn asked_for(form: &Form, first: &Session) -> Result<About, Refusal> {
    let mut tags: BTreeMap<String, String> = first
        .tags
        .iter()
        .filter(|(key, _)| first.transitive.contains(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for at in 1..=50 {
        let (key, value) =
            (form.one(&format!("Tags.member.{at}.Key")), form.one(&format!("Tags.member.{at}.Value")));
        let (Some(key), Some(value)) = (key, value) else { break };
        tag(key)?;
        tag(value)?;
        if first.transitive.iter().any(|kept| kept == key) {
            return Err(Refusal::new(
                400,
                "InvalidParameterValue",
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
            ));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    let mut transitive = first.transitive.clone();
    transitive.extend(
        (1..=50).map_while(|at| form.one(&format!("TransitiveTagKeys.member.{at}")).map(str::to_owned)),
    );
    let source_identity = match (&first.source_identity, form.one("SourceIdentity")) {
        (Some(kept), Some(asked)) if kept != asked => {
            return Err(Refusal::new(403, "AccessDenied", "The source identity cannot be changed"));
        }
        (kept, asked) => kept.clone().or(asked.map(str::to_owned)),
    };
    Ok(About { tags, transitive, source_identity })
}

fn caller_identity(account: &Account, seen: &Seen) -> Result<Reply, Refusal> {
    let session = signed(account, seen)?;
    let result = format!(
        "    <Arn>{}</Arn>\n    <UserId>{}</UserId>\n    <Account>{ACCOUNT}</Account>\n",
        session.arn(),
        session.user_id()
    );
    Ok(reply::xml(account, "GetCallerIdentity", &result))
}

fn signed(account: &Account, seen: &Seen) -> Result<Session, Refusal> {
    signature::verify(account, seen, signature::Scope { region: REGION, service: "sts" })
}

fn session_name(form: &Form) -> Result<&str, Refusal> {
    let name = form.one("RoleSessionName").unwrap_or_default();
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if (2..=64).contains(&name.len()) && name.bytes().all(letter) {
        return Ok(name);
    }
    Err(Refusal::validation(format!(
        "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
    )))
}

fn tag(text: &str) -> Result<(), Refusal> {
    if text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c)) {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "1 validation error detected: Value '{text}' at 'tags' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]*"
    )))
}

fn duration(form: &Form, longest: Duration, too_long: &str) -> Result<Duration, Refusal> {
    let seconds = form.one("DurationSeconds").map_or(Some(3600), |text| text.parse().ok());
    let seconds: u64 = seconds.filter(|seconds| (900..=43_200).contains(seconds)).ok_or_else(|| {
        Refusal::validation("1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint: Member must have value between 900 and 43200")
    })?;
    if seconds > longest.as_secs() {
        Err(Refusal::validation(too_long))
    } else {
        Ok(Duration::from_secs(seconds))
    }
}

/// How much of the room for policies and tags is used, in percent.
fn packed(account: &Account, form: &Form, about: &About) -> Result<usize, Refusal> {
    let policy = form.one("Policy").unwrap_or_default();
    if !policy.is_empty()
        && !serde_json::from_str::<Value>(policy)
            .is_ok_and(|policy| policy["Statement"].is_array() || policy["Statement"].is_object())
    {
        return Err(Refusal::new(400, "MalformedPolicyDocument", "Syntax errors in policy."));
    }
    let tags: usize = about.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
    let used = (policy.len() + tags) * 100 / account.packed_limit().max(1);
    if used > 100 {
        return Err(Refusal::new(
            400,
            "PackedPolicyTooLarge",
            format!("Packed policy consumes {used}% of allotted space, please use smaller policy."),
        ));
    }
    Ok(used)
}
