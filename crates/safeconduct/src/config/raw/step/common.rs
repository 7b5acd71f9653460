//! What all steps at an OAuth token endpoint are told, whichever grant it is.

use super::{ClientCredentials, Exchange, IdJag, JwtBearer};
use crate::config::decode::{Field, Named};
use crate::config::values::{Many, Period};

/// Settings that steps have in common, by reference.
#[derive(Clone, Copy)]
pub(crate) struct Common<'a> {
    pub(crate) token_endpoint: &'a Field<String>,
    pub(crate) client: &'a Field<String>,
    pub(crate) resource: &'a Field<Many<String>>,
    pub(crate) scopes: &'a Field<Many<String>>,
    pub(crate) parameters: &'a Field<Named<String>>,
    pub(crate) max_lifetime: &'a Field<Period>,
    pub(crate) attempt_timeout: &'a Field<Period>,
    pub(crate) timeout: &'a Field<Period>,
    pub(crate) allow_http: &'a Field<bool>,
}

macro_rules! common {
    ($($step:ident),*) => { $(
        impl $step {
            /// What it has in common with the other steps at a token endpoint.
            pub(crate) fn common(&self) -> Common<'_> {
                Common {
                    token_endpoint: &self.token_endpoint,
                    client: &self.client,
                    resource: &self.resource,
                    scopes: &self.scopes,
                    parameters: &self.parameters,
                    max_lifetime: &self.max_lifetime,
                    attempt_timeout: &self.attempt_timeout,
                    timeout: &self.timeout,
                    allow_http: &self.allow_http,
                }
            }
        }
    )* };
}
common!(ClientCredentials, Exchange, IdJag, JwtBearer);
