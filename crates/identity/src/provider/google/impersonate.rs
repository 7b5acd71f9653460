//! `google_impersonate` and `google_id_token`: a service account's access token, or its ID token for one audience, for the
//! federated token of the step before. The audit log of Google names both: the account, and the caller behind it.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::caller::Principal;
use safeconduct_core::credential::Warrant;
use safeconduct_core::material::Material;
use safeconduct_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::api::ServiceAccounts;
use crate::cache::Fields;
use crate::provider::answer::TokenText;
use crate::provider::issued::Issued;
use crate::provider::oauth::{bad, presentable};
use crate::provider::{Counterpart, Description, Exchanging, Granted, Preview, Provider, Subject, Use};
use crate::template::{MissingClaim, Template};
use crate::wire::Wire;

/// What `google_impersonate` is told.
pub struct GoogleImpersonateConfig {
    /// Whom, and where.
    pub at: ServiceAccounts,
    /// Scopes of the access token.
    pub scopes: Vec<Box<str>>,
    /// Life of the token; beyond an hour only where the organization's policy allows it.
    pub lifetime: Duration,
}

/// What `google_id_token` is told.
pub struct GoogleIdTokenConfig {
    /// Whom, and where.
    pub at: ServiceAccounts,
    /// Whom the token is for: `https://service.run.app`.
    pub audience: Template,
    /// Whether the account's address stands in it.
    pub include_email: bool,
}

/// See the module.
pub struct GoogleImpersonate {
    config: Arc<GoogleImpersonateConfig>,
    wire: Arc<Wire>,
}

/// See the module.
pub struct GoogleIdToken {
    config: Arc<GoogleIdTokenConfig>,
    wire: Arc<Wire>,
}

#[derive(Serialize)]
struct AccessTokenRequest<'a> {
    delegates: Vec<String>,
    scope: &'a [Box<str>],
    lifetime: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessTokenAnswer {
    access_token: Option<TokenText>,
    expire_time: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdTokenRequest<'a> {
    delegates: Vec<String>,
    audience: &'a str,
    include_email: bool,
}

#[derive(Deserialize)]
struct IdTokenAnswer {
    token: Option<TokenText>,
}

impl GoogleImpersonate {
    /// From its configuration.
    pub fn new(config: GoogleImpersonateConfig, wire: Arc<Wire>) -> Self {
        Self { config: Arc::new(config), wire }
    }
}

impl GoogleIdToken {
    /// From its configuration.
    pub fn new(config: GoogleIdTokenConfig, wire: Arc<Wire>) -> Self {
        Self { config: Arc::new(config), wire }
    }
}

impl Provider for GoogleImpersonate {
    fn name(&self) -> &'static str {
        "google_impersonate"
    }

    fn description(&self) -> Description {
        description(
            self.name(),
            &self.config.at,
            vec![self.config.at.account.text().into()],
            &self.config.scopes,
        )
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text(self.name());
        self.config.at.identify(fields);
        fields
            .set(self.config.scopes.iter().map(|scope| scope.as_bytes()))
            .number(self.config.lifetime.as_secs());
    }

    fn inputs(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim> {
        self.config.at.account.input(caller, fields)
    }

    fn preview(&self, caller: &Principal, subject: &str) -> Result<Preview, MissingClaim> {
        let account = self.config.at.account.fill(caller)?;
        Ok(vec![
            ("POST".into(), self.config.at.url(&account, "generateAccessToken").into()),
            ("Authorization".into(), format!("Bearer {subject}").into()),
            ("scope".into(), self.config.scopes.join(" ").into()),
            ("lifetime".into(), format!("{}s", self.config.lifetime.as_secs()).into()),
        ])
    }

    fn counterpart(&self) -> Option<Counterpart<'_>> {
        Some(self.config.at.counterpart())
    }

    fn max_lifetime(&self) -> Duration {
        self.config.at.max_lifetime
    }

    fn exchange(&self, warrant: &Warrant, subject: Subject, _: Timestamp) -> Exchanging {
        let (config, wire, warrant) = (self.config.clone(), self.wire.clone(), warrant.clone());
        Box::pin(async move {
            let account = config.at.account.fill(warrant.principal())?.into_owned();
            let request = AccessTokenRequest {
                delegates: config.at.delegates(),
                scope: &config.scopes,
                lifetime: format!("{}s", config.lifetime.as_secs()),
            };
            let body = serde_json::to_vec(&request).map_err(|error| bad(&error.to_string()))?;
            let answer = config.at.call(&wire, &account, "generateAccessToken", &subject, body).await?;
            let answer: AccessTokenAnswer =
                serde_json::from_slice(&answer).map_err(|_| bad("not a JSON object with a token"))?;
            let token = presentable(answer.access_token.map(|token| token.0))?;
            let ends =
                answer.expire_time.as_deref().and_then(instant).ok_or_else(|| bad("no usable expireTime"))?;
            Ok(Granted {
                material: Material::Token(token),
                usable: Use::Bearer,
                expires: Some(ends),
                audience: Arc::new([account.into()]),
                scopes: config.scopes.iter().cloned().collect(),
            })
        })
    }
}

impl Provider for GoogleIdToken {
    fn name(&self) -> &'static str {
        "google_id_token"
    }

    fn description(&self) -> Description {
        description(self.name(), &self.config.at, vec![self.config.audience.text().into()], &[])
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text(self.name());
        self.config.at.identify(fields);
        self.config.audience.identify(fields);
        fields.number(u64::from(self.config.include_email));
    }

    fn inputs(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim> {
        self.config.at.account.input(caller, fields)?;
        self.config.audience.input(caller, fields)
    }

    fn preview(&self, caller: &Principal, subject: &str) -> Result<Preview, MissingClaim> {
        let account = self.config.at.account.fill(caller)?;
        Ok(vec![
            ("POST".into(), self.config.at.url(&account, "generateIdToken").into()),
            ("Authorization".into(), format!("Bearer {subject}").into()),
            ("audience".into(), self.config.audience.fill(caller)?.into()),
        ])
    }

    fn counterpart(&self) -> Option<Counterpart<'_>> {
        Some(self.config.at.counterpart())
    }

    fn max_lifetime(&self) -> Duration {
        self.config.at.max_lifetime
    }

    fn exchange(&self, warrant: &Warrant, subject: Subject, _: Timestamp) -> Exchanging {
        let (config, wire, warrant) = (self.config.clone(), self.wire.clone(), warrant.clone());
        Box::pin(async move {
            let account = config.at.account.fill(warrant.principal())?.into_owned();
            let audience = config.audience.fill(warrant.principal())?.into_owned();
            let request = IdTokenRequest {
                delegates: config.at.delegates(),
                audience: &audience,
                include_email: config.include_email,
            };
            let body = serde_json::to_vec(&request).map_err(|error| bad(&error.to_string()))?;
            let answer = config.at.call(&wire, &account, "generateIdToken", &subject, body).await?;
            let answer: IdTokenAnswer =
                serde_json::from_slice(&answer).map_err(|_| bad("not a JSON object with a token"))?;
            let token = presentable(answer.token.map(|token| token.0))?;
            // Its end stands in the token alone (edge case 104).
            let issued = Issued::read(&token).ok_or_else(|| bad("the ID token is no JWT"))?;
            if issued.audience != [audience.as_str()] {
                return Err(bad("the ID token is for another audience than was asked for"));
            }
            let ends = issued.expires.ok_or_else(|| bad("the ID token does not say when it ends"))?;
            Ok(Granted {
                material: Material::Token(token),
                usable: Use::Bearer,
                expires: Some(ends),
                audience: Arc::new([audience.into()]),
                scopes: Arc::new([]),
            })
        })
    }
}

fn description(
    step: &str,
    at: &ServiceAccounts,
    audience: Vec<Box<str>>,
    scopes: &[Box<str>],
) -> Description {
    Description {
        step: step.into(),
        endpoint: Some(at.endpoint().into()),
        client: None,
        authentication: None,
        audience,
        scopes: scopes.to_vec(),
    }
}

/// An instant of RFC 3339, with nanoseconds or without (edge case 102).
fn instant(text: &str) -> Option<Timestamp> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp()).ok().map(Timestamp::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Edge: 102
    #[test]
    fn an_end_with_nanoseconds_or_an_offset_is_read() {
        let plain = instant("2026-11-22T23:34:08Z").unwrap();
        assert_eq!(instant("2026-11-22T23:34:08.123456789Z"), Some(plain));
        assert_eq!(instant("2026-11-23T00:34:08+01:00"), Some(plain));
        assert_eq!(instant("soon"), None);
        assert_eq!(instant("1900-01-01T00:00:00Z"), None);
    }
}
