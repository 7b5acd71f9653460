//! Okta: the gateway's service app, and the scopes and access policy of the authorization server that is asked
//! (<https://developer.okta.com/docs/guides/set-up-token-exchange/main/>).

use serde_json::json;

use super::facts::Facts;
use super::write::{Hcl, Text, label, shell};
use crate::commands::doctor::origin;
use crate::config::plan::{AtPlan, ClientAuthPlan, ClientPlan, StepPlan, TargetsPlan};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// One client at one authorization server.
struct Wanted<'p> {
    org: String,
    server: String,
    client: &'p ClientPlan,
    grants: Vec<&'static str>,
    audience: Option<String>,
    scopes: Vec<String>,
}

/// The authorization server's id in `https://ORG/oauth2/ID/v1/token`.
fn server_id(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("/oauth2/")?;
    let (id, rest) = rest.split_once('/')?;
    (rest == "v1/token" && id != "v1").then_some(id)
}

fn asks(step: &StepPlan) -> Option<(&AtPlan, &TargetsPlan, &'static str)> {
    match step {
        StepPlan::Exchange(plan) => Some((&plan.at, &plan.targets, EXCHANGE)),
        StepPlan::ClientCredentials(plan) => Some((&plan.at, &plan.targets, "client_credentials")),
        _ => None,
    }
}

fn wanted<'p>(facts: &Facts<'p>) -> Vec<Wanted<'p>> {
    let mut all: Vec<Wanted<'p>> = Vec::new();
    for (_, _, (at, targets, grant)) in facts.steps(asks) {
        let Some(id) = server_id(&at.token_endpoint) else { continue };
        let Some(client) = at.client.as_deref().and_then(|name| facts.plan.client(name)) else { continue };
        let org = origin(&at.token_endpoint);
        let known =
            all.iter().position(|it| it.org == org && it.server == id && it.client.name == client.name);
        let position = known.unwrap_or_else(|| {
            let audience = targets.audiences.first().filter(|text| !text.contains('{')).cloned();
            all.push(Wanted {
                org,
                server: id.to_owned(),
                client,
                grants: Vec::new(),
                audience,
                scopes: Vec::new(),
            });
            all.len() - 1
        });
        let Some(wanted) = all.get_mut(position) else { continue };
        if !wanted.grants.contains(&grant) {
            wanted.grants.push(grant);
        }
        let new: Vec<String> = targets
            .scopes
            .iter()
            .filter(|scope| !scope.contains('{') && !wanted.scopes.contains(scope))
            .cloned()
            .collect();
        wanted.scopes.extend(new);
    }
    all
}

fn method(client: &ClientPlan) -> &'static str {
    match &client.auth {
        ClientAuthPlan::SecretPost { .. } => "client_secret_post",
        ClientAuthPlan::PrivateKeyJwt { .. } => "private_key_jwt",
        _ => "client_secret_basic",
    }
}

/// Requests of Okta's API.
pub(super) fn commands(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let all = wanted(facts);
    let mut text = Text::default();
    if !all.is_empty() {
        text.remark("An API token of an administrator is in OKTA_API_TOKEN. It goes into a file, so that it is in no list of processes.");
        text.line("umask 077; printf 'Authorization: SSWS %s\\nContent-Type: application/json\\n' \"$OKTA_API_TOKEN\" > okta.headers");
        text.line("okta() { curl -fsS -H @okta.headers \"$@\"; }");
    }
    for wanted in &all {
        wanted.commands(&mut text);
    }
    if !all.is_empty() {
        text.line("rm okta.headers");
    }
    Ok((!all.is_empty()).then(|| text.whole()))
}

/// The same as Terraform (provider okta/okta).
pub(super) fn terraform(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let all = wanted(facts);
    let mut text = Text::default();
    for wanted in &all {
        wanted.terraform(&mut text);
    }
    Ok((!all.is_empty()).then(|| text.whole()))
}

impl Wanted<'_> {
    fn rule(&self, app: &str) -> serde_json::Value {
        json!({
            "type": "RESOURCE_ACCESS", "name": format!("{app} exchanges"), "priority": 1,
            "conditions": {
                "people": { "groups": { "include": ["EVERYONE"] } },
                "grantTypes": { "include": self.grants }, "scopes": { "include": self.scopes },
            },
            "actions": { "token": { "accessTokenLifetimeMinutes": 60 } },
        })
    }

    fn commands(&self, text: &mut Text) {
        let (org, id) = (&self.org, &self.server);
        let api = format!("{org}/api/v1/authorizationServers/{id}");
        text.gap()
            .remark(&format!("Client `{}` of this configuration, at {org}/oauth2/{id}", self.client.name));
        let app = json!({
            "name": "oidc_client", "label": "Safeconduct", "signOnMode": "OPENID_CONNECT",
            "credentials": { "oauthClient": { "client_id": self.client.client_id, "token_endpoint_auth_method": method(self.client) } },
            "settings": { "oauthClient": { "application_type": "service", "grant_types": self.grants, "response_types": ["token"] } },
        });
        text.document("app.json", &app);
        text.line(&format!("okta -d @app.json {}", shell(&format!("{org}/api/v1/apps"))));
        if method(self.client) == "private_key_jwt" {
            text.remark(
                "Add the public key of `private_key` under the application's General tab, Public keys.",
            );
        } else {
            text.remark("The answer holds `client_secret`, for this configuration's `client_secret`.");
        }
        for scope in &self.scopes {
            let document = json!({ "name": scope, "consent": "IMPLICIT" });
            text.document("scope.json", &document)
                .line(&format!("okta -d @scope.json {}", shell(&format!("{api}/scopes"))));
        }
        let policy = json!({
            "type": "OAUTH_AUTHORIZATION_POLICY", "name": "Safeconduct", "description": "What the MCP gateway may ask for", "priority": 1,
            "conditions": { "clients": { "include": [self.client.client_id] } },
        });
        text.document("policy.json", &policy);
        text.line(&format!(
            "POLICY=$(okta -d @policy.json {} | jq -r .id)",
            shell(&format!("{api}/policies"))
        ));
        text.document("rule.json", &self.rule("gateway"));
        text.line(&format!("okta -d @rule.json {}/\"$POLICY\"/rules", shell(&format!("{api}/policies"))));
        if let Some(audience) = &self.audience {
            text.remark(&format!(
                "The server's audience must be {audience}: an authorization server of Okta has exactly one."
            ));
        }
        text.remark("Callers' tokens of another authorization server of the org: add that one under Trusted servers of this one.");
    }

    fn terraform(&self, text: &mut Text) {
        let (name, id) = (label(&self.client.name), &self.server);
        text.remark(&format!(
            "Client `{}` of this configuration, at {}/oauth2/{id}",
            self.client.name, self.org
        ));
        text.block(
            "okta_app_oauth",
            &name,
            &[
                ("label", Hcl::text("Safeconduct")),
                ("type", Hcl::text("service")),
                ("client_id", Hcl::text(&self.client.client_id)),
                ("token_endpoint_auth_method", Hcl::text(method(self.client))),
                ("grant_types", Hcl::List(self.grants.iter().map(ToString::to_string).collect())),
                ("response_types", Hcl::List(vec!["token".into()])),
                ("omit_secret", Hcl::raw("true")),
            ],
        );
        for scope in &self.scopes {
            text.block(
                "okta_auth_server_scope",
                &format!("{name}_{}", label(scope)),
                &[
                    ("auth_server_id", Hcl::text(id)),
                    ("name", Hcl::text(scope)),
                    ("consent", Hcl::text("IMPLICIT")),
                ],
            );
        }
        text.block(
            "okta_auth_server_policy",
            &name,
            &[
                ("auth_server_id", Hcl::text(id)),
                ("name", Hcl::text("Safeconduct")),
                ("description", Hcl::text("What the MCP gateway may ask for")),
                ("priority", Hcl::raw("1")),
                ("client_whitelist", Hcl::raw(format!("[okta_app_oauth.{name}.client_id]"))),
            ],
        );
        text.block(
            "okta_auth_server_policy_rule",
            &name,
            &[
                ("auth_server_id", Hcl::text(id)),
                ("policy_id", Hcl::raw(format!("okta_auth_server_policy.{name}.id"))),
                ("name", Hcl::text("gateway exchanges")),
                ("priority", Hcl::raw("1")),
                ("grant_type_whitelist", Hcl::List(self.grants.iter().map(ToString::to_string).collect())),
                ("scope_whitelist", Hcl::List(self.scopes.clone())),
                ("group_whitelist", Hcl::List(vec!["EVERYONE".into()])),
            ],
        );
    }
}
