//! The token endpoint: on behalf of a user.

use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

use super::{Application, Refusal, State};
use crate::canary;
use crate::keys::{self, Algorithm};
use crate::oauth;
use crate::verify::{verify_signature, words};
use crate::wire::{Form, Seen};

/// Of a token, in seconds; with continuous access evaluation a day.
const LIFETIME: u64 = 3600;
const EVALUATED_LIFETIME: u64 = 86_400;
/// Scopes that are no API's.
const OF_OPENID: [&str; 4] = ["openid", "profile", "email", "offline_access"];

impl State {
    pub(super) async fn token(&self, seen: &Seen) -> Result<Value, Refusal> {
        let application = self.authenticate(seen).await?;
        let form = seen.form();
        match (form.one("grant_type"), form.one("requested_token_use")) {
            (Some(oauth::JWT_BEARER), Some("on_behalf_of")) => self.on_behalf(&application, &form),
            (Some(oauth::JWT_BEARER), _) => Err(Refusal::new(
                "invalid_request",
                900_144,
                "The request body must contain the following parameter: 'requested_token_use'.",
            )),
            _ => Err(Refusal::new(
                "unsupported_grant_type",
                70003,
                "The app returned an unsupported grant type.",
            )),
        }
    }

    fn on_behalf(&self, application: &Application, form: &Form) -> Result<Value, Refusal> {
        let user = self.asserted(application, form.one("assertion"))?;
        let (api, granted) = self.granted(application, form)?;
        let name = user["preferred_username"].as_str().unwrap_or_default();
        self.assigned(name, &api)?;
        let context = self.inner().apis.get(&api).and_then(|api| api.wants.clone());
        let wanted: Value =
            form.one("claims").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let wanted = &wanted["access_token"];
        let asked = wanted["acrs"]["value"].as_str().map(str::to_owned);
        for context in context.iter().chain(&asked) {
            if !words(&user["acrs"]).contains(context) {
                return Err(Refusal::context(&api, context));
            }
        }
        let evaluated = words(&wanted["xms_cc"]["values"]).iter().any(|value| value == "cp1");
        let lifetime = if evaluated { EVALUATED_LIFETIME } else { LIFETIME };
        let now = self.clock.secs();
        let mut claims = self.of_user(name, &api);
        claims["aud"] = json!(api);
        claims["appid"] = json!(application.id);
        claims["scp"] = json!(granted.join(" "));
        claims["ver"] = json!("1.0");
        claims["exp"] = json!(now + lifetime);
        if evaluated {
            claims["xms_cc"] = json!(["cp1"]);
        }
        // Said only of what was wanted.
        let shown: Vec<&String> = context.iter().chain(&asked).collect();
        if !shown.is_empty() {
            claims["acrs"] = json!(shown);
        }
        let scopes: Vec<String> = granted.iter().map(|scope| format!("{api}/{scope}")).collect();
        let mut answer = json!({
            "token_type": "Bearer",
            "scope": scopes.join(" "),
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": self.keys.sign(Algorithm::Rs256, "JWT", &claims),
        });
        if form.words("scope").contains(&"offline_access") {
            answer["refresh_token"] = json!(canary::secret("refresh"));
        }
        Ok(answer)
    }

    /// The claims of a user's token for this application.
    fn asserted(&self, application: &Application, assertion: Option<&str>) -> Result<Value, Refusal> {
        let refused = |code: u64, words: &str| Refusal::new("invalid_grant", code, words);
        let assertion = assertion.ok_or_else(|| {
            let words = "The request body must contain the following parameter: 'assertion'.";
            Refusal::new("invalid_request", 900_144, words)
        })?;
        let key = keys::header_of(assertion)["kid"].as_str().and_then(|kid| self.keys.shown(kid));
        let key = key.and_then(|key| serde_json::from_value::<Jwk>(key).ok());
        let claims = key.and_then(|key| verify_signature(assertion, &key).ok());
        let claims = claims.filter(|claims| claims["iss"] == self.issuer().as_str());
        let claims = claims.ok_or_else(|| refused(50013, "Assertion failed signature validation."))?;
        if claims["exp"].as_u64().is_none_or(|end| end <= self.clock.secs()) {
            return Err(refused(500_133, "Assertion is not within its valid time range."));
        }
        if claims["aud"] != application.id.as_str() && claims["aud"] != format!("api://{}", application.id) {
            return Err(refused(
                500_131,
                "Assertion audience does not match the Client app presenting the assertion.",
            ));
        }
        if words(&claims["scp"]).is_empty() {
            return Err(refused(
                7_000_114,
                "Application is not allowed to make application on-behalf-of calls.",
            ));
        }
        Ok(claims)
    }

    /// Whether the user is let into the API at all.
    fn assigned(&self, user: &str, api: &str) -> Result<(), Refusal> {
        let inner = self.inner();
        let Some(groups) = inner.apis.get(api).and_then(|api| api.assigned.as_ref()) else { return Ok(()) };
        let member =
            inner.users.get(user).is_some_and(|user| user.groups.iter().any(|one| groups.contains(one)));
        if member { Ok(()) } else { Err(Refusal::unassigned(user, api)) }
    }

    /// The API that is asked for, and all its scopes that were consented to.
    fn granted(&self, application: &Application, form: &Form) -> Result<(String, Vec<String>), Refusal> {
        let asked: Vec<&str> =
            form.words("scope").into_iter().filter(|scope| !OF_OPENID.contains(scope)).collect();
        let invalid = |words: String| Refusal::new("invalid_scope", 70011, words);
        let first = asked.first().ok_or_else(|| invalid("The scope can't be empty.".into()))?;
        let (api, _) =
            first.rsplit_once('/').ok_or_else(|| invalid(format!("The scope {first} isn't valid.")))?;
        let scopes = self.inner().apis.get(api).map(|api| api.scopes.clone()).ok_or_else(|| {
            let words = format!("The resource principal named {api} was not found in the tenant.");
            Refusal::new("invalid_resource", 500_011, words)
        })?;
        let consented =
            |scope: &str| application.consented.iter().any(|one| *one == format!("{api}/{scope}"));
        for scope in &asked {
            let name = scope.strip_prefix(&format!("{api}/"));
            let name = name.ok_or_else(|| invalid("Scopes of several resources were requested.".into()))?;
            if name == ".default" {
                continue;
            }
            if !scopes.iter().any(|known| known == name) {
                return Err(invalid(format!("The scope {scope} isn't valid.")));
            }
            if !consented(name) {
                return Err(Refusal::consent(&application.id));
            }
        }
        let granted: Vec<String> = scopes.into_iter().filter(|scope| consented(scope)).collect();
        if granted.is_empty() {
            return Err(Refusal::consent(&application.id));
        }
        Ok((api.to_owned(), granted))
    }
}
