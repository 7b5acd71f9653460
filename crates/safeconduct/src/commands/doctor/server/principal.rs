//! Whom the cloud takes the holder of the last credential for: asked of the cloud itself.

use std::sync::Arc;

use safeconduct_core::credential::Form;
use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;
use safeconduct_identity::clock::{Clock as _, SystemClock};
use safeconduct_identity::provider::aws::caller_identity;
use safeconduct_identity::wire::{Request, Wire};
use serde_json::{Value, json};

use super::super::ask;
use super::super::check::Finding;
use crate::app::Rehearsal;
use crate::config::plan::{AwsRolePlan, ServerPlan, StepPlan};

/// Google's own; where the step's endpoint is another's (an emulator), it is asked there.
const TOKENINFO: &str = "https://oauth2.googleapis.com/tokeninfo";

/// What there is to ask.
enum Question<'p> {
    Aws(&'p AwsRolePlan),
    /// Of an access token of Google: by this URL, which member of the form holds it.
    Google(String, &'static str),
}

/// Whether there is somebody to be asked.
pub(super) fn is_askable(server: &ServerPlan) -> bool {
    question(server).is_some()
}

fn question(server: &ServerPlan) -> Option<Question<'_>> {
    match server.credential.last()? {
        StepPlan::AwsWebIdentity(plan) => Some(Question::Aws(plan)),
        StepPlan::AwsAssumeRole(plan) => Some(Question::Aws(&plan.role)),
        StepPlan::GoogleSts(plan) => {
            let base = plan.at.token_endpoint.strip_suffix("/v1/token")?;
            Some(Question::Google(format!("{base}/v1/introspect"), "token"))
        }
        StepPlan::GoogleImpersonate(plan) => {
            Some(Question::Google(tokeninfo(&plan.at.endpoint), "access_token"))
        }
        _ => None,
    }
}

fn tokeninfo(endpoint: &str) -> String {
    let origin = ask::origin(endpoint);
    if origin.ends_with(".googleapis.com") { TOKENINFO.to_owned() } else { format!("{origin}/tokeninfo") }
}

/// Asks.
pub(super) async fn check(server: &ServerPlan, last: &Arc<Material>, rehearsal: &Rehearsal<'_>) -> Finding {
    match question(server) {
        Some(Question::Aws(plan)) => aws(plan, last, rehearsal).await,
        Some(Question::Google(url, member)) => match last.token() {
            Some(token) => google(&url, member, token, rehearsal.wire()).await,
            None => Finding::note("no token that could be asked about"),
        },
        None => Finding::note("nobody to ask"),
    }
}

async fn aws(plan: &AwsRolePlan, keys: &Arc<Material>, rehearsal: &Rehearsal<'_>) -> Finding {
    let sts = match rehearsal.sts(plan) {
        Ok(sts) => sts,
        Err(failed) => return Finding::fail(failed.to_string(), "mend the step"),
    };
    match caller_identity(&sts, keys, SystemClock::new().wall()).await {
        Ok(identity) => {
            let found = format!("AWS sees {} of account {}", identity.arn, identity.account);
            Finding::ok(found).with(json!(identity))
        }
        Err(error) => Finding::fail(
            format!("GetCallerIdentity: {error}"),
            "the keys were granted, and are not accepted: is the endpoint of the same partition and region, is this machine's clock right?",
        ),
    }
}

async fn google(url: &str, member: &str, token: &Secret, wire: &Wire) -> Finding {
    let endpoint = match ask::endpoint(url, false) {
        Ok(endpoint) => endpoint,
        Err(finding) => return finding,
    };
    let mut form = Form::new();
    form.secret(member, token);
    let answer = match wire.send(Request::form(endpoint, form)).await {
        Ok(answer) => answer,
        Err(error) => return ask::unanswered(url, &error),
    };
    let told = ask::json(&answer).unwrap_or_default();
    let text = |name: &str| {
        told.get(name).and_then(Value::as_str).map(|text| text.chars().take(300).collect::<String>())
    };
    let who = ["email", "username", "sub", "client_id"].into_iter().find_map(text);
    match who {
        Some(who) => Finding::ok(format!("Google sees {who}; scopes {}", text("scope").unwrap_or_default()))
            .with(json!({ "principal": who, "scope": text("scope"), "expires_in": told.get("expires_in") })),
        None => Finding::note(format!("{url} does not say (HTTP {})", answer.status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::{TOKENINFO, tokeninfo};

    #[test]
    fn an_emulator_is_asked_itself_and_never_google_about_its_tokens() {
        assert_eq!(tokeninfo("https://iamcredentials.googleapis.com"), TOKENINFO);
        assert_eq!(tokeninfo("http://127.0.0.1:9000/v1"), "http://127.0.0.1:9000/tokeninfo");
        assert_eq!(
            tokeninfo("https://iamcredentials.googleapis.com.example/"),
            "https://iamcredentials.googleapis.com.example/tokeninfo"
        );
    }
}
