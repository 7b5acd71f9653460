//! The same as Terraform (provider keycloak/keycloak).

use super::super::facts::Facts;
use super::super::write::{Hcl, Text, label};
use super::{Client, Realm, TARGETS, authenticator, groups_claim, realms};

/// All of it.
pub(in crate::commands::setup) fn terraform(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let realms = realms(facts);
    let mut text = Text::default();
    for realm in &realms {
        text.remark(&format!("Realm `{}` of {}", realm.name, realm.base));
        text.block(
            "keycloak_openid_client_scope",
            "mcp_gateway",
            &[
                ("realm_id", Hcl::text(&realm.name)),
                ("name", Hcl::text("mcp-gateway")),
                ("include_in_token_scope", Hcl::raw("false")),
            ],
        );
        for word in &realm.audiences {
            mapper(realm, "mcp_gateway", word, &Hcl::text(word), false, &mut text);
        }
        for client in realm.clients.iter().filter(|client| client.exchanges) {
            let reference =
                Hcl::raw(format!("keycloak_openid_client.{}.client_id", label(&client.plan.name)));
            mapper(realm, "mcp_gateway", &client.plan.client_id, &reference, true, &mut text);
        }
        text.block(
            "keycloak_openid_group_membership_protocol_mapper",
            "groups",
            &[
                ("realm_id", Hcl::text(&realm.name)),
                ("client_scope_id", Hcl::raw("keycloak_openid_client_scope.mcp_gateway.id")),
                ("name", Hcl::text("groups")),
                ("claim_name", Hcl::text(groups_claim(realm))),
                ("full_path", Hcl::raw("false")),
            ],
        );
        text.remark("Make mcp_gateway a default scope of the clients that people log in with (keycloak_openid_client_default_scopes), or of the realm.");
        for client in &realm.clients {
            client.terraform(realm, facts, &mut text);
        }
    }
    Ok((!realms.is_empty()).then(|| text.whole()))
}

impl Client<'_> {
    fn terraform(&self, realm: &Realm<'_>, facts: &Facts<'_>, text: &mut Text) {
        let name = label(&self.plan.name);
        let mut arguments = vec![
            ("realm_id", Hcl::text(&realm.name)),
            ("client_id", Hcl::text(&self.plan.client_id)),
            ("access_type", Hcl::text("CONFIDENTIAL")),
            ("client_authenticator_type", Hcl::text(authenticator(self.plan).unwrap_or("client-secret"))),
            ("standard_token_exchange_enabled", Hcl::raw(self.exchanges.to_string())),
            ("service_accounts_enabled", Hcl::raw(self.itself.to_string())),
        ];
        if let Some(issuer) = realm.logout() {
            arguments.push((
                "backchannel_logout_url",
                Hcl::text(format!("{}/backchannel-logout/{}", facts.plan.public_url, issuer.name)),
            ));
            arguments.push(("backchannel_logout_session_required", Hcl::raw("true")));
        }
        text.block("keycloak_openid_client", &name, &arguments);
        for audience in &self.audiences {
            text.block(
                "keycloak_openid_client",
                &label(audience),
                &[
                    ("realm_id", Hcl::text(&realm.name)),
                    ("client_id", Hcl::text(audience)),
                    ("access_type", Hcl::text("CONFIDENTIAL")),
                ],
            );
        }
        let (mut defaults, mut optional) = (Vec::new(), Vec::new());
        for (scope, audiences) in &self.scopes {
            let scope_label = label(scope);
            text.block(
                "keycloak_openid_client_scope",
                &scope_label,
                &[("realm_id", Hcl::text(&realm.name)), ("name", Hcl::text(scope))],
            );
            for audience in audiences {
                mapper(
                    realm,
                    &scope_label,
                    audience,
                    &Hcl::raw(format!("keycloak_openid_client.{}.client_id", label(audience))),
                    true,
                    text,
                );
            }
            let list = if scope.ends_with(TARGETS) { &mut defaults } else { &mut optional };
            list.push(format!("keycloak_openid_client_scope.{scope_label}.name"));
        }
        for (kind, list) in [("default", defaults), ("optional", optional)] {
            if !list.is_empty() {
                text.block(
                    &format!("keycloak_openid_client_{kind}_scopes"),
                    &name,
                    &[
                        ("realm_id", Hcl::text(&realm.name)),
                        ("client_id", Hcl::raw(format!("keycloak_openid_client.{name}.id"))),
                        (
                            if kind == "default" { "default_scopes" } else { "optional_scopes" },
                            Hcl::raw(format!("[{}]", list.join(", "))),
                        ),
                    ],
                );
            }
        }
    }
}

fn mapper(realm: &Realm<'_>, scope: &str, word: &str, value: &Hcl, is_client: bool, text: &mut Text) {
    let kind = if is_client { "included_client_audience" } else { "included_custom_audience" };
    text.block(
        "keycloak_openid_audience_protocol_mapper",
        &format!("{scope}_{}", label(word)),
        &[
            ("realm_id", Hcl::text(&realm.name)),
            ("client_scope_id", Hcl::raw(format!("keycloak_openid_client_scope.{scope}.id"))),
            ("name", Hcl::text(format!("audience {word}"))),
            (kind, value.clone()),
        ],
    );
}
