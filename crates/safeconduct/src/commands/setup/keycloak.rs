//! Keycloak 26.2 and later: the gateway's client, what it may exchange for, and the audience of the callers' tokens
//! (<https://www.keycloak.org/securing-apps/token-exchange>).

mod terraform;

pub(super) use terraform::terraform;

use serde_json::{Value, json};

use super::facts::Facts;
use super::write::{Text, label};
use crate::config::plan::{AtPlan, ClientAuthPlan, ClientPlan, IssuerPlan, Preset, StepPlan, TargetsPlan};

/// End of the name of a scope that is made up here, for audiences that no scope of the configuration leads to.
const TARGETS: &str = "-targets";

/// One realm, as this configuration needs it.
struct Realm<'p> {
    base: String,
    name: String,
    issuers: Vec<&'p IssuerPlan>,
    clients: Vec<Client<'p>>,
    /// Audiences that callers' tokens must have.
    audiences: Vec<String>,
}

/// A client of the gateway, and what it asks for.
struct Client<'p> {
    plan: &'p ClientPlan,
    exchanges: bool,
    itself: bool,
    /// Scope, and the audiences that it leads to.
    scopes: Vec<(String, Vec<String>)>,
    audiences: Vec<String>,
}

/// `https://host/realms/NAME...` in its two parts.
fn split(url: &str) -> Option<(String, String)> {
    let (base, rest) = url.split_once("/realms/")?;
    let name = rest.split('/').next().filter(|name| !name.is_empty())?;
    Some((base.to_owned(), name.to_owned()))
}

/// Where a step asks at a realm, what for, and whether in its own name.
fn asks(step: &StepPlan) -> Option<(&AtPlan, &TargetsPlan, bool)> {
    match step {
        StepPlan::Exchange(plan) => Some((&plan.at, &plan.targets, false)),
        StepPlan::ClientCredentials(plan) => Some((&plan.at, &plan.targets, true)),
        _ => None,
    }
}

fn realms<'p>(facts: &Facts<'p>) -> Vec<Realm<'p>> {
    let mut realms: Vec<Realm<'p>> = Vec::new();
    let mut at = |(base, name): (String, String)| match realms
        .iter()
        .position(|it| it.base == base && it.name == name)
    {
        Some(known) => known,
        None => {
            realms.push(Realm {
                base,
                name,
                issuers: Vec::new(),
                clients: Vec::new(),
                audiences: Vec::new(),
            });
            realms.len() - 1
        }
    };
    let believed =
        |issuer: &&IssuerPlan| facts.servers.iter().any(|server| server.issuers.contains(&issuer.name));
    let mut placed = Vec::new();
    for issuer in
        facts.plan.issuers.iter().filter(believed).filter(|issuer| issuer.preset == Preset::Keycloak)
    {
        placed.extend(split(&issuer.issuer).map(|place| (at(place), issuer)));
    }
    let steps: Vec<_> = facts
        .steps(asks)
        .into_iter()
        .filter_map(|(_, _, asked)| Some((at(split(&asked.0.token_endpoint)?), asked)))
        .collect();
    for (realm, issuer) in placed {
        let Some(realm) = realms.get_mut(realm) else { continue };
        realm.issuers.push(issuer);
        let resources = facts
            .servers
            .iter()
            .filter(|server| server.issuers.contains(&issuer.name))
            .map(|server| server.resource.clone());
        // One that the configuration names is enough; else each server has its own.
        if issuer.audiences.is_empty() {
            realm.audiences.extend(resources)
        } else {
            realm.audiences.extend(issuer.audiences.iter().take(1).cloned())
        }
    }
    for (realm, (at, targets, itself)) in steps {
        let (Some(realm), Some(client)) =
            (realms.get_mut(realm), at.client.as_deref().and_then(|name| facts.plan.client(name)))
        else {
            continue;
        };
        realm.asked(client, targets, itself);
    }
    realms
}

impl<'p> Realm<'p> {
    fn asked(&mut self, plan: &'p ClientPlan, targets: &TargetsPlan, itself: bool) {
        let position =
            self.clients.iter().position(|known| known.plan.name == plan.name).unwrap_or_else(|| {
                self.clients.push(Client {
                    plan,
                    exchanges: false,
                    itself: false,
                    scopes: Vec::new(),
                    audiences: Vec::new(),
                });
                self.clients.len() - 1
            });
        let Some(client) = self.clients.get_mut(position) else { return };
        client.exchanges |= !itself;
        client.itself |= itself;
        let fixed = |text: &&String| !text.contains('{');
        let audiences: Vec<String> = targets.audiences.iter().filter(fixed).cloned().collect();
        for scope in targets.scopes.iter().filter(fixed) {
            match client.scopes.iter_mut().find(|(known, _)| known == scope) {
                Some((_, known)) => known
                    .extend(audiences.iter().filter(|it| !known.contains(it)).cloned().collect::<Vec<_>>()),
                None => client.scopes.push((scope.clone(), audiences.clone())),
            }
        }
        // Without a scope of its own an audience comes by a default scope.
        if targets.scopes.is_empty() {
            client.scopes.push((format!("{}{TARGETS}", plan.client_id), audiences.clone()));
        }
        client.audiences.extend(audiences);
        client.audiences.sort();
        client.audiences.dedup();
    }

    fn logout(&self) -> Option<&IssuerPlan> {
        self.issuers.iter().copied().find(|issuer| issuer.logout.is_some())
    }
}

/// The mapper that puts a client, or any word, into `aud`.
fn audience(word: &str, is_client: bool) -> Value {
    let kind = if is_client { "included.client.audience" } else { "included.custom.audience" };
    json!({
        "name": format!("audience {word}"), "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
        "config": { kind: word, "access.token.claim": "true", "id.token.claim": "false", "introspection.token.claim": "true" },
    })
}

fn groups(claim: &str) -> Value {
    json!({
        "name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper",
        "config": { "claim.name": claim, "full.path": "false", "access.token.claim": "true", "introspection.token.claim": "true" },
    })
}

fn groups_claim(realm: &Realm<'_>) -> String {
    let named = realm.issuers.iter().find_map(|issuer| issuer.claims.groups.clone());
    named.unwrap_or_else(|| "groups".into())
}

/// The way that Keycloak calls a client's authentication.
fn authenticator(client: &ClientPlan) -> Option<&'static str> {
    match &client.auth {
        ClientAuthPlan::SecretBasic { .. } | ClientAuthPlan::SecretPost { .. } => Some("client-secret"),
        ClientAuthPlan::PrivateKeyJwt { .. } => Some("client-jwt"),
        ClientAuthPlan::Certificate { .. } => Some("client-x509"),
        ClientAuthPlan::AssertionFile { .. } | ClientAuthPlan::Spiffe { .. } => Some("federated-jwt"),
        ClientAuthPlan::ManagedIdentity { .. } | ClientAuthPlan::None => None,
    }
}

/// Commands of kcadm.
pub(super) fn commands(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let realms = realms(facts);
    let mut text = Text::default();
    for realm in &realms {
        text.remark(&format!("Realm `{}` of {}", realm.name, realm.base));
        text.command(&[
            "kcadm.sh",
            "config",
            "credentials",
            "--server",
            &realm.base,
            "--realm",
            "master",
            "--user",
            "admin",
        ]);
        text.gap();
        callers(realm, &mut text);
        for client in &realm.clients {
            client.commands(realm, facts, &mut text);
        }
    }
    Ok((!realms.is_empty()).then(|| text.whole()))
}

/// What the callers' tokens must say: a scope that every client has.
fn callers(realm: &Realm<'_>, text: &mut Text) {
    let exchanging = realm
        .clients
        .iter()
        .filter(|client| client.exchanges)
        .map(|client| audience(&client.plan.client_id, true));
    let mappers: Vec<Value> = realm
        .audiences
        .iter()
        .map(|word| audience(word, false))
        .chain(exchanging)
        .chain([groups(&groups_claim(realm))])
        .collect();
    text.remark("What the gateway needs of callers' tokens: its audience, the client that exchanges them among the audiences, groups.");
    let scope = json!({ "name": "mcp-gateway", "protocol": "openid-connect", "attributes": { "include.in.token.scope": "false" }, "protocolMappers": mappers });
    text.document("mcp-gateway.json", &scope);
    text.wrapped(
        "SCOPE=$(",
        &["kcadm.sh", "create", "client-scopes", "-r", &realm.name, "-f", "mcp-gateway.json", "-i"],
        ")",
    );
    text.remark("For every client that is made from now on; add it to those that are there: kcadm.sh update clients/ID/default-client-scopes/$SCOPE -r REALM -b '{}'");
    let realm_path = super::write::shell(&realm.name);
    text.line(&format!(
        "kcadm.sh update realms/{realm_path}/default-default-client-scopes/\"$SCOPE\" -b '{{}}'"
    ));
    text.gap();
}

impl Client<'_> {
    fn representation(&self, realm: &Realm<'_>, facts: &Facts<'_>) -> Value {
        let mut attributes = json!({ "standard.token.exchange.enabled": self.exchanges.to_string() });
        if let (Some(issuer), Some(map)) = (realm.logout(), attributes.as_object_mut()) {
            map.insert(
                "backchannel.logout.url".into(),
                json!(format!("{}/backchannel-logout/{}", facts.plan.public_url, issuer.name)),
            );
            map.insert("backchannel.logout.session.required".into(), json!("true"));
        }
        json!({
            "clientId": self.plan.client_id, "publicClient": false, "standardFlowEnabled": false,
            "directAccessGrantsEnabled": false, "serviceAccountsEnabled": self.itself, "fullScopeAllowed": true,
            "clientAuthenticatorType": authenticator(self.plan).unwrap_or("client-secret"), "attributes": attributes,
        })
    }

    fn commands(&self, realm: &Realm<'_>, facts: &Facts<'_>, text: &mut Text) {
        text.remark(&format!("The gateway itself: client `{}` of this configuration", self.plan.name));
        if authenticator(self.plan).is_none() {
            text.remark("Its `auth` proves nothing to Keycloak, which lets only confidential clients exchange: give it a secret or a key.");
        }
        text.document("gateway.json", &self.representation(realm, facts));
        text.wrapped(
            "GATEWAY=$(",
            &["kcadm.sh", "create", "clients", "-r", &realm.name, "-f", "gateway.json", "-i"],
            ")",
        );
        if authenticator(self.plan) == Some("client-secret") {
            text.remark("Its secret, for `client_secret`:");
            text.wrapped(
                "",
                &["kcadm.sh", "get"],
                &format!(
                    " \"clients/$GATEWAY/client-secret\" -r {} --fields value",
                    super::write::shell(&realm.name)
                ),
            );
        }
        text.gap();
        for audience in &self.audiences {
            text.remark("An audience of Keycloak is a client; this one needs no flows.");
            text.command(&[
                "kcadm.sh",
                "create",
                "clients",
                "-r",
                &realm.name,
                "-s",
                &format!("clientId={audience}"),
                "-s",
                "standardFlowEnabled=false",
                "-s",
                "publicClient=false",
            ]);
        }
        for (scope, audiences) in &self.scopes {
            let mappers: Vec<Value> = audiences.iter().map(|word| audience(word, true)).collect();
            let document = json!({ "name": scope, "protocol": "openid-connect", "attributes": { "include.in.token.scope": "true" }, "protocolMappers": mappers });
            let file = format!("{}.json", label(scope));
            text.document(&file, &document);
            text.wrapped(
                "SCOPE=$(",
                &["kcadm.sh", "create", "client-scopes", "-r", &realm.name, "-f", &file, "-i"],
                ")",
            );
            let list =
                if scope.ends_with(TARGETS) { "default-client-scopes" } else { "optional-client-scopes" };
            text.wrapped(
                "",
                &["kcadm.sh", "update"],
                &format!(
                    " \"clients/$GATEWAY/{list}/$SCOPE\" -r {} -b '{{}}'",
                    super::write::shell(&realm.name)
                ),
            );
        }
        text.gap();
    }
}
