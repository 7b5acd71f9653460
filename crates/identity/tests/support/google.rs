//! Google's side of the tests: steps that ask it, and what it answers.

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
    Counterpart, Description, Exchanging, GoogleIdToken, GoogleIdTokenConfig, GoogleImpersonate,
    GoogleImpersonateConfig, GoogleSts, GoogleStsConfig, GoogleStsOptions, Granted, Preview, Provider,
    ServiceAccounts, Subject, Targets, TokenEndpoint, Use,
};
use safeconduct_identity::template::{MissingClaim, Template};
use safeconduct_identity::wire::Endpoint;
use serde_json::json;

use super::{NOW, Reply, wire};

pub const POOL: &str =
    "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/corp";
pub const ACCOUNT: &str = "analyst@p.iam.gserviceaccount.com";
pub const SERVICE: &str = "https://service.run.app";

/// The step `google_sts`, with these options.
pub fn sts(url: &str, options: GoogleStsOptions) -> Arc<dyn Provider> {
    let mut at =
        TokenEndpoint::new(Endpoint::parse(url, false).unwrap(), Arc::new(NoAuthentication::new(None)));
    at.attempt_timeout = Duration::from_secs(1);
    let targets = Targets {
        audience: vec![Template::fixed(POOL)],
        scopes: vec![Template::fixed("https://www.googleapis.com/auth/bigquery")],
        ..Targets::default()
    };
    let subject_token_type = "urn:ietf:params:oauth:token-type:jwt".into();
    Arc::new(GoogleSts::new(GoogleStsConfig { at, targets, subject_token_type, options }, wire()).unwrap())
}

/// A federated token of the caller, as a step that asks nobody.
pub fn federated() -> Arc<dyn Provider> {
    Arc::new(Federated)
}

struct Federated;

impl Provider for Federated {
    fn name(&self) -> &'static str {
        "federated"
    }

    fn description(&self) -> Description {
        Description {
            step: "federated".into(),
            endpoint: None,
            client: None,
            authentication: None,
            audience: Vec::new(),
            scopes: Vec::new(),
        }
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text("federated");
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
        Duration::from_secs(3600)
    }

    fn exchange(&self, _: &Warrant, _: Subject, now: Timestamp) -> Exchanging {
        let granted = Granted {
            material: Material::Token(Secret::new(b"federated".to_vec())),
            usable: Use::Bearer,
            expires: Some(now.plus(Duration::from_secs(3600))),
            audience: Arc::new([]),
            scopes: Arc::new([]),
        };
        Box::pin(async move { Ok(granted) })
    }
}

fn accounts(url: &str) -> ServiceAccounts {
    let mut at = ServiceAccounts::new(Endpoint::parse(url, false).unwrap(), Template::fixed(ACCOUNT));
    at.attempt_timeout = Duration::from_secs(1);
    at
}

/// The step `google_impersonate`.
pub fn impersonate(url: &str) -> Arc<dyn Provider> {
    let scopes = vec!["https://www.googleapis.com/auth/bigquery".into()];
    let config = GoogleImpersonateConfig { at: accounts(url), scopes, lifetime: Duration::from_secs(900) };
    Arc::new(GoogleImpersonate::new(config, wire()))
}

/// The step `google_id_token`.
pub fn id_token(url: &str) -> Arc<dyn Provider> {
    let config =
        GoogleIdTokenConfig { at: accounts(url), audience: Template::fixed(SERVICE), include_email: true };
    Arc::new(GoogleIdToken::new(config, wire()))
}

/// An impersonated access token, good for an hour.
pub fn impersonated(token: &str) -> Reply {
    let ends = NOW.plus(Duration::from_secs(3600)).rfc3339();
    Reply::json(200, json!({ "accessToken": token, "expireTime": ends }).to_string())
}

/// A refusal of Google's APIs.
pub fn refusal(status: u16, word: &str) -> Reply {
    let error =
        json!({ "error": { "code": status, "message": format!("{word}: said in words"), "status": word } });
    Reply::json(status, error.to_string())
}
