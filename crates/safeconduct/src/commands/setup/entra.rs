//! Microsoft Entra ID: the gateway's application, what it exposes, what it may use in its callers' names, and how it proves itself
//! (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-on-behalf-of-flow>).

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::facts::Facts;
use super::write::{Hcl, Text, hcl, label, shell};
use crate::commands::doctor::origin;
use crate::commands::token::Token;
use crate::config::plan::{ClientAuthPlan, ClientPlan, EntraOboPlan, SecretValue, ServerPlan, StepPlan};

/// Microsoft Graph, in every tenant.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

/// One application.
struct Application<'p> {
    client: &'p ClientPlan,
    authority: String,
    tenant: String,
    /// Scopes that callers' tokens must have.
    exposed: Vec<String>,
    /// API and scope that it may use in their names.
    uses: Vec<(String, String)>,
}

fn applications<'p>(facts: &Facts<'p>) -> Vec<Application<'p>> {
    let mut all: Vec<Application<'p>> = Vec::new();
    let steps: Vec<(&'p ServerPlan, usize, &'p EntraOboPlan)> = facts.steps(|step| match step {
        StepPlan::EntraObo(plan) => Some(&**plan),
        _ => None,
    });
    for (server, _, plan) in steps {
        let Some(client) = plan.at.client.as_deref().and_then(|name| facts.plan.client(name)) else {
            continue;
        };
        let position = all.iter().position(|known| known.client.name == client.name).unwrap_or_else(|| {
            let authority = origin(&plan.at.token_endpoint);
            let path = plan.at.token_endpoint.get(authority.len() + 1..).unwrap_or_default();
            let tenant = path.split('/').next().unwrap_or_default().to_owned();
            all.push(Application { client, authority, tenant, exposed: Vec::new(), uses: Vec::new() });
            all.len() - 1
        });
        let Some(application) = all.get_mut(position) else { continue };
        for scope in server.scopes.iter().flat_map(|(_, scopes)| scopes) {
            if !application.exposed.contains(scope) {
                application.exposed.push(scope.clone());
            }
        }
        for scope in plan.targets.scopes.iter().filter(|scope| !scope.contains('{')) {
            if let Some((api, name)) = scope.rsplit_once('/')
                && !application.uses.contains(&(api.to_owned(), name.to_owned()))
            {
                application.uses.push((api.to_owned(), name.to_owned()));
            }
        }
    }
    all
}

/// Commands of the Azure CLI.
pub(super) fn commands(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let all = applications(facts);
    let mut text = Text::default();
    for application in &all {
        application.commands(&mut text);
    }
    Ok((!all.is_empty()).then(|| text.whole()))
}

/// The same as Terraform (provider hashicorp/azuread).
pub(super) fn terraform(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let all = applications(facts);
    let mut text = Text::default();
    for application in &all {
        application.terraform(&mut text);
    }
    Ok((!all.is_empty()).then(|| text.whole()))
}

/// How a federated credential is compared: letter by letter.
struct Federated {
    issuer: Option<String>,
    subject: Option<String>,
    audience: &'static str,
}

impl Application<'_> {
    /// The audience of federated credentials, which each cloud has of its own.
    fn exchange(&self) -> &'static str {
        if self.authority.ends_with(".us") {
            "api://AzureADTokenExchangeUSGov"
        } else if self.authority.ends_with(".cn") {
            "api://AzureADTokenExchangeChina"
        } else {
            "api://AzureADTokenExchange"
        }
    }

    fn manifest(&self) -> Value {
        let scope = |name: &String| {
            json!({
                "id": identifier(&self.client.client_id, name), "value": name, "type": "User", "isEnabled": true,
                "adminConsentDisplayName": name, "adminConsentDescription": format!("{name} at MCP servers"),
                "userConsentDisplayName": name, "userConsentDescription": format!("{name} at MCP servers"),
            })
        };
        json!({
            "identifierUris": [format!("api://{}", self.client.client_id)],
            "groupMembershipClaims": "ApplicationGroup",
            "api": {
                "requestedAccessTokenVersion": 2,
                "oauth2PermissionScopes": self.exposed.iter().map(scope).collect::<Vec<_>>(),
            },
        })
    }

    fn commands(&self, text: &mut Text) {
        let id = self.client.client_id.as_str();
        text.remark(&format!(
            "Client `{}` of this configuration, in tenant {} at {}",
            self.client.name, self.tenant, self.authority
        ));
        text.command(&["az", "login", "--tenant", &self.tenant, "--allow-no-subscriptions"]);
        text.remark("There is no application yet? az ad app create --display-name Safeconduct; its appId becomes `client_id`.");
        text.command(&["az", "ad", "app", "show", "--id", id, "--query", "displayName"]);
        text.gap();
        text.remark(
            "Callers' tokens: of version 2, for this application, with the groups that are assigned to it.",
        );
        text.document("application.json", &self.manifest());
        let graph = if self.authority.ends_with(".us") {
            "https://graph.microsoft.us"
        } else if self.authority.ends_with(".cn") {
            "https://microsoftgraph.chinacloudapi.cn"
        } else {
            "https://graph.microsoft.com"
        };
        let url = format!("{graph}/v1.0/applications(appId='{id}')");
        text.command(&[
            "az",
            "rest",
            "--method",
            "PATCH",
            "--url",
            &url,
            "--headers",
            "Content-Type=application/json",
            "--body",
            "@application.json",
        ]);
        text.wrapped(
            "",
            &["az", "ad", "sp", "show", "--id", id],
            &format!(" > /dev/null 2>&1 || az ad sp create --id {}", shell(id)),
        );
        text.gap();
        self.permissions(text);
        self.proof(text);
        text.gap();
    }

    fn permissions(&self, text: &mut Text) {
        let id = self.client.client_id.as_str();
        text.remark("What it may use in its callers' names, and an administrator's consent to it.");
        for (api, scope) in self.uses.iter().filter(|(_, scope)| scope != ".default") {
            let api = if api.contains("graph.microsoft") || api.contains("microsoftgraph") {
                GRAPH
            } else {
                api.trim_start_matches("api://")
            };
            let query = format!("oauth2PermissionScopes[?value=='{}'].id", scope.replace('\'', "\\'"));
            text.wrapped(
                "SCOPE=$(",
                &["az", "ad", "sp", "show", "--id", api, "--query", &query, "-o", "tsv"],
                ")",
            );
            text.wrapped(
                "",
                &["az", "ad", "app", "permission", "add", "--id", id, "--api", api, "--api-permissions"],
                " \"$SCOPE=Scope\"",
            );
        }
        text.command(&["az", "ad", "app", "permission", "admin-consent", "--id", id]);
        text.gap();
    }

    fn proof(&self, text: &mut Text) {
        let id = self.client.client_id.as_str();
        match &self.client.auth {
            ClientAuthPlan::PrivateKeyJwt { .. } => {
                text.remark("How it proves itself: the certificate of its key (`certificate`).");
                text.command(&[
                    "az",
                    "ad",
                    "app",
                    "credential",
                    "reset",
                    "--id",
                    id,
                    "--cert",
                    "@gateway.crt",
                    "--append",
                ]);
            }
            ClientAuthPlan::AssertionFile { assertion } | ClientAuthPlan::Spiffe { svid: assertion } => {
                text.remark("How it proves itself: the token of its platform. No secret.");
                self.federated(&self.of_file(assertion), text);
            }
            ClientAuthPlan::ManagedIdentity { identity, .. } => {
                text.remark("How it proves itself: the managed identity of its machine. No secret.");
                match identity {
                    Some(identity) => text.wrapped(
                        "SUBJECT=$(",
                        &["az", "ad", "sp", "show", "--id", identity, "--query", "id", "-o", "tsv"],
                        ")",
                    ),
                    None => text.remark("SUBJECT: the object id of the machine's own identity."),
                };
                let issuer = format!("{}/{}/v2.0", self.authority, self.tenant);
                self.federated(
                    &Federated { issuer: Some(issuer), subject: None, audience: self.exchange() },
                    text,
                );
            }
            ClientAuthPlan::SecretBasic { .. } | ClientAuthPlan::SecretPost { .. } => {
                text.remark(
                    "How it proves itself: a secret, which the answer holds, and which ends in a year.",
                );
                text.command(&["az", "ad", "app", "credential", "reset", "--id", id, "--append"]);
            }
            ClientAuthPlan::Certificate { .. } | ClientAuthPlan::None => {
                text.remark("Its `auth` is none that Entra knows: give it a key, an assertion file, a managed identity or a secret.");
            }
        }
    }

    /// Issuer and subject, as the platform's own token says them.
    fn of_file(&self, assertion: &SecretValue) -> Federated {
        let claim = |name: &str| match Token::read(assertion.value.expose().trim_ascii()) {
            Token::Signed(signed) => signed.claims.get(name).and_then(Value::as_str).map(ToOwned::to_owned),
            Token::Encrypted | Token::Opaque => None,
        };
        Federated { issuer: claim("iss"), subject: claim("sub"), audience: self.exchange() }
    }

    fn federated(&self, federated: &Federated, text: &mut Text) {
        let word = |known: &Option<String>, name: &str| {
            known.as_deref().map_or_else(|| format!("\"${name}\""), |known| shell(known).into_owned())
        };
        if federated.issuer.is_none() {
            text.remark("ISSUER, SUBJECT: `iss` and `sub` of that token (safeconduct token inspect FILE), letter by letter.");
        }
        let (issuer, subject) = (word(&federated.issuer, "ISSUER"), word(&federated.subject, "SUBJECT"));
        text.line(&format!(
            "jq -n --arg issuer {issuer} --arg subject {subject} --arg audience {} \\",
            federated.audience
        ));
        text.line("  '{name: \"safeconduct\", issuer: $issuer, subject: $subject, audiences: [$audience]}' > federated.json");
        text.command(&[
            "az",
            "ad",
            "app",
            "federated-credential",
            "create",
            "--id",
            &self.client.client_id,
            "--parameters",
            "@federated.json",
        ]);
    }

    fn terraform(&self, text: &mut Text) {
        let name = label(&self.client.name);
        text.remark(&format!(
            "Client `{}` of this configuration, in tenant {}. Import it if it is there:",
            self.client.name, self.tenant
        ));
        text.remark(&format!("terraform import azuread_application.{name} /applications/OBJECT_ID"));
        let scopes: Vec<String> = self
            .exposed
            .iter()
            .map(|scope| {
                let (id, scope) = (hcl(&identifier(&self.client.client_id, scope)), hcl(scope));
                format!("    oauth2_permission_scope {{\n      id                         = {id}\n      value                      = {scope}\n      type                       = \"User\"\n      admin_consent_display_name = {scope}\n      admin_consent_description  = {scope}\n    }}\n")
            })
            .collect();
        let api = format!("api {{\n    requested_access_token_version = 2\n{}  }}", scopes.concat());
        text.nested(
            "azuread_application",
            &name,
            &[
                ("display_name", Hcl::text("Safeconduct")),
                ("identifier_uris", Hcl::List(vec![format!("api://{}", self.client.client_id)])),
                ("group_membership_claims", Hcl::List(vec!["ApplicationGroup".into()])),
            ],
            &api,
        );
        text.remark("What it may use in its callers' names (azuread_application_api_access), with an administrator's consent:");
        for (api, scope) in &self.uses {
            text.remark(&format!("  {api}/{scope}"));
        }
        let application = Hcl::raw(format!("azuread_application.{name}.id"));
        let federated = match &self.client.auth {
            ClientAuthPlan::AssertionFile { assertion } | ClientAuthPlan::Spiffe { svid: assertion } => {
                self.of_file(assertion)
            }
            ClientAuthPlan::ManagedIdentity { .. } => Federated {
                issuer: Some(format!("{}/{}/v2.0", self.authority, self.tenant)),
                subject: None,
                audience: self.exchange(),
            },
            ClientAuthPlan::PrivateKeyJwt { .. } => {
                text.block(
                    "azuread_application_certificate",
                    &name,
                    &[
                        ("application_id", application),
                        ("type", Hcl::text("AsymmetricX509Cert")),
                        ("value", Hcl::raw("file(\"gateway.crt\")")),
                    ],
                );
                return;
            }
            _ => {
                text.block("azuread_application_password", &name, &[("application_id", application)]);
                return;
            }
        };
        let word = |known: Option<String>, name: &str| {
            known.map_or_else(|| Hcl::raw(format!("var.{name}")), Hcl::text)
        };
        text.block(
            "azuread_application_federated_identity_credential",
            &name,
            &[
                ("application_id", application),
                ("display_name", Hcl::text("safeconduct")),
                ("issuer", word(federated.issuer, "issuer")),
                ("subject", word(federated.subject, "subject")),
                ("audiences", Hcl::List(vec![federated.audience.into()])),
            ],
        );
    }
}

/// A GUID that is the same each time for the same scope of the same application (RFC 9562 §5.8).
fn identifier(application: &str, scope: &str) -> String {
    let hash = digest(&SHA256, format!("{application} {scope}").as_bytes());
    let hex: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-8{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
