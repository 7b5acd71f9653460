//! Steps of the other grant types, and what is given to and by them.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::caller::Principal;
use safeconduct_core::credential::Warrant;
use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use safeconduct_identity::cache::Fields;
use safeconduct_identity::client_auth::NoAuthentication;
use safeconduct_identity::provider::{
    ClientCredentials, ClientCredentialsConfig, Counterpart, Description, EntraObo, EntraOboConfig,
    Exchanging, Expected, Granted, IdJag, IdJagConfig, JwtBearer, JwtBearerConfig, Leases, Preview, Provider,
    Subject, Targets, TokenEndpoint, Use, Vault, VaultConfig, token_type,
};
use safeconduct_identity::template::{MissingClaim, Template};
use safeconduct_identity::wire::Endpoint;
use serde_json::{Value, json};

use super::{NOW, typed_jwt, wire};

/// The other domain's authorization server.
pub const AS: &str = "https://as.example.com";

/// An endpoint, and the public client `gateway` there.
pub fn at(url: &str) -> TokenEndpoint {
    let client = Arc::new(NoAuthentication::new(Some("gateway".into())));
    TokenEndpoint::new(Endpoint::parse(url, false).unwrap(), client)
}

fn targets(audience: &str) -> Targets {
    let one = |text: &str| vec![Template::fixed(text)];
    Targets { audience: one(audience), scopes: one("read"), ..Targets::default() }
}

/// A step `client_credentials` for audience `backend` and scope `read`.
pub fn client_credentials(url: &str, change: impl FnOnce(&mut ClientCredentialsConfig)) -> Arc<dyn Provider> {
    let (at, targets, expected) = (at(url), targets("backend"), Expected::default());
    let mut config = ClientCredentialsConfig { at, targets, expected };
    change(&mut config);
    Arc::new(ClientCredentials::new(config, wire()).unwrap())
}

/// A step `jwt_bearer` for audience `backend` and scope `read`.
pub fn jwt_bearer(url: &str, change: impl FnOnce(&mut JwtBearerConfig)) -> Arc<dyn Provider> {
    let (at, targets, expected) = (at(url), targets("backend"), Expected::default());
    let mut config = JwtBearerConfig { at, targets, expected, single_use: false };
    change(&mut config);
    Arc::new(JwtBearer::new(config, wire()).unwrap())
}

/// A step `id_jag` for the authorization server [`AS`] and the resource `https://mcp.example.com`.
pub fn id_jag(url: &str, change: impl FnOnce(&mut IdJagConfig)) -> Arc<dyn Provider> {
    let mut targets = targets(AS);
    targets.resource = vec![Template::fixed("https://mcp.example.com")];
    let mut config = IdJagConfig {
        at: at(url),
        targets,
        subject_token_type: token_type::ID_TOKEN.into(),
        client_there: "gateway-there".into(),
        accept: Vec::new(),
        expected: Expected::default(),
    };
    change(&mut config);
    Arc::new(IdJag::new(config, wire()).unwrap())
}

/// A step `entra_obo` for Graph's `User.Read`.
pub fn entra_obo(url: &str, change: impl FnOnce(&mut EntraOboConfig)) -> Arc<dyn Provider> {
    let scopes = vec![Template::fixed("https://graph.microsoft.com/User.Read")];
    let mut config = EntraOboConfig::new(at(url), Targets { scopes, ..Targets::default() });
    change(&mut config);
    Arc::new(EntraObo::new(config, wire()).unwrap())
}

/// A step `vault` as role `mcp` for the secret `secret/data/orders`, whose only member it takes.
pub fn vault(url: &str, leases: &Arc<Leases>, change: impl FnOnce(&mut VaultConfig)) -> Arc<dyn Provider> {
    let address = Endpoint::parse(url.trim_end_matches("/token"), false).unwrap();
    let mut config = VaultConfig::new(address, Template::fixed("mcp"), Template::fixed("secret/data/orders"));
    change(&mut config);
    Arc::new(Vault::new(config, leases.clone(), wire()).unwrap())
}

/// An ID-JAG as that step wants it, with changes; null takes a claim away.
pub fn assertion(changes: &Value) -> String {
    let mut claims = json!({
        "iss": "https://idp.example.com",
        "sub": "alice",
        "aud": AS,
        "client_id": "gateway-there",
        "resource": "https://mcp.example.com",
        "scope": "read",
        "jti": "one",
        "iat": NOW.secs(),
        "exp": NOW.secs() + 300,
    });
    let claims_of = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        claims_of.insert(name.clone(), value.clone());
    }
    claims_of.retain(|_, value| !value.is_null());
    typed_jwt("oauth-id-jag+jwt", &claims)
}

/// A step that hands on what it is given, as a credential, and asks no one.
pub struct HandedOn;

impl Provider for HandedOn {
    fn name(&self) -> &'static str {
        "handed_on"
    }

    fn description(&self) -> Description {
        let nothing = Vec::new;
        Description {
            step: self.name().into(),
            endpoint: None,
            client: None,
            authentication: None,
            audience: nothing(),
            scopes: nothing(),
        }
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text(self.name());
    }

    fn inputs(&self, _: &Principal, _: &mut Fields) -> Result<(), MissingClaim> {
        Ok(())
    }

    fn preview(&self, _: &Principal, _: &str) -> Result<Preview, MissingClaim> {
        Ok(Vec::new())
    }

    fn counterpart(&self) -> Option<Counterpart<'_>> {
        None
    }

    fn max_lifetime(&self) -> Duration {
        Duration::ZERO
    }

    fn exchange(&self, _: &Warrant, subject: Subject, _: Timestamp) -> Exchanging {
        Box::pin(async move {
            let Subject::Step(given) = subject else { panic!("the first step") };
            let token = given.token().unwrap().expose().to_vec();
            Ok(Granted {
                material: Material::Token(Secret::new(token)),
                usable: Use::Bearer,
                expires: None,
                audience: Arc::new([]),
                scopes: Arc::new([]),
            })
        })
    }
}
