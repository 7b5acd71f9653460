//! Token exchange within the domain (RFC 8693): who may turn which token into which.

use std::sync::PoisonError;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

use super::State;
use super::mint::one_or_many;
use crate::canary;
use crate::keys::{self, Algorithm};
use crate::oauth::{self, Problem};
use crate::verify::{verify_signature, words};
use crate::wire::{Form, Seen};

/// Allows a client to turn tokens for one audience into tokens for another.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The client that may ask.
    pub client: String,
    /// An audience that the subject token must have.
    pub from: String,
    /// The audience (or resource) that may be asked for.
    pub to: String,
    /// Scope of the subject token, and the scope that it is worth there.
    pub scopes: Vec<(String, String)>,
    /// Users in one of these groups only; empty for everyone.
    pub groups: Vec<String>,
    /// Longest life of the new token. It also ends with the subject token.
    pub lifetime: Duration,
    /// The client's identifier at the authorization server `to`, where the new token is an assertion for that server.
    pub client_there: Option<String>,
}

impl Rule {
    /// Everyone, for ten minutes, without scopes.
    pub fn new(client: &str, from: &str, to: &str) -> Self {
        Self {
            client: client.into(),
            from: from.into(),
            to: to.into(),
            scopes: Vec::new(),
            groups: Vec::new(),
            lifetime: Duration::from_secs(600),
            client_there: None,
        }
    }

    /// The scope `held` in the subject token is worth the scope `worth` there.
    #[must_use]
    pub fn scope(mut self, held: &str, worth: &str) -> Self {
        self.scopes.push((held.into(), worth.into()));
        self
    }

    /// The new token is an assertion for another domain's authorization server, where the client is called so.
    #[must_use]
    pub fn assertion_for(mut self, client_there: &str) -> Self {
        self.client_there = Some(client_there.into());
        self.lifetime = Duration::from_secs(300);
        self
    }

    /// For users in this group.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.groups.push(group.into());
        self
    }

    /// For so long at most.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }
}

impl State {
    pub(super) fn exchange(&self, seen: &Seen) -> Result<Value, Problem> {
        let endpoints = [self.at("/token"), self.issuer.clone()];
        let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
        let client = self.clients.authenticate(seen, &endpoints, self.clock.secs())?;
        let form = seen.form();
        check_types(&form, &[oauth::ACCESS_TOKEN, oauth::JWT, oauth::ID_JAG])?;
        let subject =
            form.one("subject_token").ok_or_else(|| Problem::new("invalid_request", "no subject_token"))?;
        let subject = self.own_claims(subject).map_err(|why| Problem::new("invalid_grant", why))?;
        let requested = form.one("requested_token_type").unwrap_or(oauth::ACCESS_TOKEN);
        let mut targets = form.all("audience");
        if requested != oauth::ID_JAG {
            targets.extend(form.all("resource"));
        }
        let rules = self.rules_for(&client.id, &targets, &subject)?;
        let scopes = granted(&rules, &form.words("scope"), &words(&subject["scope"]))?;
        let actor = form.one("actor_token").map(|actor| self.own_claims(actor)).transpose();
        let actor = actor.map_err(|why| Problem::new("invalid_request", format!("actor_token: {why}")))?;
        if requested != oauth::ACCESS_TOKEN {
            return self.asserted(&rules, &subject, &scopes, &form);
        }
        let lifetime = rules.iter().map(|rule| rule.lifetime.as_secs()).min().unwrap_or_default();
        Ok(self.exchanged(&client.id, &targets, &subject, &scopes, actor.as_ref(), lifetime))
    }

    /// The claims of a token of this provider that is good now.
    pub(super) fn own_claims(&self, token: &str) -> Result<Value, String> {
        let header = keys::header_of(token);
        let key = header["kid"]
            .as_str()
            .and_then(|kid| self.keys.shown(kid))
            .ok_or("not signed by this provider")?;
        let key: Jwk = serde_json::from_value(key).map_err(|_| "unusable key")?;
        let claims = verify_signature(token, &key)?;
        if claims["exp"].as_u64().is_none_or(|end| end <= self.clock.secs()) {
            return Err("expired".into());
        }
        if claims["iss"] != self.issuer.as_str() {
            return Err("of another issuer".into());
        }
        Ok(claims)
    }

    /// One rule for each target; the first target without one decides.
    fn rules_for(&self, client: &str, targets: &[&str], subject: &Value) -> Result<Vec<Rule>, Problem> {
        if targets.is_empty() {
            return Err(Problem::new("invalid_request", "an audience or a resource is needed"));
        }
        let held = words(&subject["aud"]);
        let groups = words(&subject["groups"]);
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let rule_for = |target: &&str| {
            let mut about =
                rules.iter().filter(|rule| rule.client == client && rule.to == *target).peekable();
            if about.peek().is_none() {
                return Err(Problem::new("invalid_target", format!("{client} may not ask for {target}")));
            }
            let mut fitting = about.filter(|rule| held.contains(&rule.from)).peekable();
            if fitting.peek().is_none() {
                return Err(Problem::new("invalid_grant", "the subject token is for somebody else"));
            }
            fitting
                .find(|rule| rule.groups.is_empty() || rule.groups.iter().any(|group| groups.contains(group)))
                .cloned()
                .ok_or_else(|| Problem::new("access_denied", format!("this user may not reach {target}")))
        };
        targets.iter().map(rule_for).collect()
    }

    fn exchanged(
        &self,
        client: &str,
        targets: &[&str],
        subject: &Value,
        scopes: &[String],
        actor: Option<&Value>,
        lifetime: u64,
    ) -> Value {
        let now = self.clock.secs();
        let end = (now + lifetime).min(subject["exp"].as_u64().unwrap_or(now));
        let targets: Vec<String> = targets.iter().map(|target| (*target).to_owned()).collect();
        let mut claims = json!({
            "iss": self.issuer,
            "sub": subject["sub"],
            "aud": one_or_many(&targets),
            "iat": now,
            "nbf": now,
            "exp": end,
            "jti": canary::random_hex(),
            "client_id": client,
            "azp": client,
            "scope": scopes.join(" "),
            "canary": canary::MARK,
        });
        if let Some(actor) = actor {
            claims["act"] = json!({"iss": actor["iss"], "sub": actor["sub"]});
        }
        json!({
            "access_token": self.keys.sign(Algorithm::Es256, "at+jwt", &claims),
            "issued_token_type": oauth::ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": end.saturating_sub(now),
            "scope": scopes.join(" "),
        })
    }
}

/// Grant and token types (RFC 8693 §2.1).
pub(crate) fn check_types(form: &Form, issued: &[&str]) -> Result<(), Problem> {
    match form.one("grant_type") {
        Some(oauth::TOKEN_EXCHANGE) => {}
        Some(other) => return Err(Problem::new("unsupported_grant_type", format!("not {other}"))),
        None => return Err(Problem::new("invalid_request", "no grant_type")),
    }
    let bearable = [oauth::ACCESS_TOKEN, oauth::JWT, oauth::ID_TOKEN];
    if !form.one("subject_token_type").is_some_and(|given| bearable.contains(&given)) {
        return Err(Problem::new("invalid_request", "subject_token_type is missing or unknown"));
    }
    if form.one("actor_token").is_some() != form.one("actor_token_type").is_some() {
        return Err(Problem::new("invalid_request", "actor_token and actor_token_type belong together"));
    }
    match form.one("requested_token_type") {
        None => Ok(()),
        Some(known) if issued.contains(&known) => Ok(()),
        Some(other) => Err(Problem::new("invalid_request", format!("{other} is not issued here"))),
    }
}

/// Scopes asked for, or all that there are; asking for more than there are is refused (RFC 6749 §5.2).
fn granted(rules: &[Rule], asked: &[&str], held: &[String]) -> Result<Vec<String>, Problem> {
    let worth = rules.iter().flat_map(|rule| &rule.scopes).filter(|(need, _)| held.contains(need));
    let grantable: Vec<String> = worth.map(|(_, scope)| scope.clone()).collect();
    if asked.is_empty() {
        return Ok(grantable);
    }
    match asked.iter().find(|scope| !grantable.iter().any(|grantable| grantable == *scope)) {
        Some(excess) => Err(Problem::new("invalid_scope", format!("{excess} is not granted to this user"))),
        None => Ok(asked.iter().map(|scope| (*scope).to_owned()).collect()),
    }
}
