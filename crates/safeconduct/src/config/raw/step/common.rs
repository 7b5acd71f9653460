//! What all steps at an OAuth token endpoint are told, whichever grant it is.

use super::{ClientCredentials, Exchange, IdJag, JwtBearer};
use crate::config::decode::{At, Field, Named};
use crate::config::presets::{Quirks, quirks};
use crate::config::values::{Many, Period};

/// Settings that steps have in common, by reference.
#[derive(Clone, Copy)]
pub(crate) struct Common<'a> {
    /// What the step's preset knows, and its name.
    pub(crate) quirks: Option<(&'a str, &'static Quirks)>,
    /// An issuer that no preset makes anything of.
    pub(crate) lone_issuer: Option<&'a At<String>>,
    pub(crate) token_endpoint: &'a Field<String>,
    pub(crate) client: &'a Field<String>,
    pub(crate) resource: &'a Field<Many<String>>,
    pub(crate) scopes: &'a Field<Many<String>>,
    pub(crate) parameters: &'a Field<Named<String>>,
    pub(crate) max_lifetime: &'a Field<Period>,
    pub(crate) pause_after_refusal: &'a Field<Period>,
    pub(crate) attempt_timeout: &'a Field<Period>,
    pub(crate) timeout: &'a Field<Period>,
    pub(crate) allow_http: &'a Field<bool>,
}

macro_rules! common {
    ($($name:literal => $step:ident),* $(,)?) => { $(
        impl $step {
            /// What it has in common with the other steps at a token endpoint.
            pub(crate) fn common(&self) -> Common<'_> {
                let preset = self.preset.value().map(|preset| preset.0.as_str());
                Common {
                    quirks: preset.and_then(|preset| Some((preset, quirks(preset, $name)?))),
                    lone_issuer: self.issuer.given().filter(|_| self.preset.is_absent()),
                    token_endpoint: &self.token_endpoint,
                    client: &self.client,
                    resource: &self.resource,
                    scopes: &self.scopes,
                    parameters: &self.parameters,
                    max_lifetime: &self.max_lifetime,
                    pause_after_refusal: &self.pause_after_refusal,
                    attempt_timeout: &self.attempt_timeout,
                    timeout: &self.timeout,
                    allow_http: &self.allow_http,
                }
            }
        }
    )* };
}
common! {
    "client_credentials" => ClientCredentials,
    "exchange" => Exchange,
    "id_jag" => IdJag,
    "jwt_bearer" => JwtBearer,
}
