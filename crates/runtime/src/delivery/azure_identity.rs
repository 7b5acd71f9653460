//! `azure_identity`: the caller's token where Microsoft's libraries look for an App Service's managed identity.
//!
//! `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` make `ManagedIdentityCredential`, `DefaultAzureCredential` (azure-identity)
//! and `ManagedIdentityClient` (MSAL) ask `GET ?api-version=2019-08-01&resource=R` with the secret of the instance in
//! `X-IDENTITY-HEADER`. They read `access_token`, `expires_on` (seconds since the epoch, as a string), `resource` and
//! `token_type`; of a refusal `statusCode` and `message`.
//!
//! A token is for one resource. Another one that is asked for is refused: else a token for Graph would be sent to
//! whatever the server talks to. Which one the caller's token is for is configured, or seen from the scopes that were
//! granted (`https://graph.microsoft.com/User.Read`) and the audience that was asked for.
//!
//! The libraries think a token ended when less than five minutes are left, and ask at each use then; so a fresh one is
//! asked for below six. What lives shorter is told with its true end. Refusals are 4xx where waiting is of no use: the
//! libraries repeat a 5xx for minutes.
//!
//! Source: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>,
//! `msal/managed_identity.py`.

use std::net::SocketAddr;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use safeconduct_core::secret::Secret;
use serde::Serialize;

use super::bearer::Bearer;
use super::endpoint::{Answering, Protocol};
use super::query::Query;
use super::reply::{Reply, json, soon};
use super::slot::{Held, Slot, Unavailable};
use super::{Environment, plain, variable};

const PATH: &str = "/msi/token";
/// With less left, a fresh token is asked for.
const ENOUGH: Duration = Duration::from_secs(6 * 60);
/// Longest wait for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How a server names a user-assigned identity.
const IDENTITIES: [&str; 4] = ["client_id", "object_id", "principal_id", "mi_res_id"];

/// What the caller's token is for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AzureIdentity {
    /// Resources (`https://graph.microsoft.com`, `api://...`) that it may be asked for as. Empty: those that the token's own
    /// scopes and audience name.
    pub resources: Vec<Box<str>>,
    /// Client id of the identity; None: whichever is asked for.
    pub client_id: Option<Box<str>>,
    /// Tenant, for `AZURE_TENANT_ID`.
    pub tenant: Option<Box<str>>,
}

/// [`AzureIdentity`], served to one instance.
pub(crate) struct Served {
    about: AzureIdentity,
    bearer: Bearer,
}

#[derive(Serialize)]
struct Token<'a> {
    access_token: &'a str,
    /// A string, as App Service writes it.
    expires_on: String,
    resource: &'a str,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    status_code: u16,
    message: &'static str,
}

impl Served {
    pub(crate) fn new(about: &AzureIdentity, bearer: Bearer) -> Self {
        Self { about: about.clone(), bearer }
    }

    /// What tells Microsoft's libraries where to ask.
    pub(crate) fn environment(&self, address: SocketAddr) -> Environment {
        let mut environment = vec![
            variable("IDENTITY_ENDPOINT", plain(&format!("http://{address}{PATH}"))),
            variable("IDENTITY_HEADER", self.bearer.to_secret()),
        ];
        if let Some(tenant) = &self.about.tenant {
            environment.push(variable("AZURE_TENANT_ID", plain(tenant)));
        }
        environment
    }

    async fn reply(&self, asked: &Parts, slot: &Slot) -> Reply {
        let shown = asked.headers.get("x-identity-header").map_or(&b""[..], HeaderValue::as_bytes);
        if !self.bearer.is(shown) {
            return problem(StatusCode::UNAUTHORIZED, "X-IDENTITY-HEADER is missing or wrong.");
        }
        if asked.method != Method::GET {
            return problem(StatusCode::METHOD_NOT_ALLOWED, "GET only.");
        }
        if asked.uri.path() != PATH {
            return problem(StatusCode::NOT_FOUND, "There is nothing here.");
        }
        let query = Query::of(&asked.uri);
        if query.first("api-version").is_none_or(|version| !["2019-08-01", "2020-06-01"].contains(&version)) {
            return problem(StatusCode::BAD_REQUEST, "api-version must be 2019-08-01.");
        }
        let Some(resource) = query.first("resource").filter(|resource| !resource.is_empty()) else {
            return problem(StatusCode::BAD_REQUEST, "resource is missing.");
        };
        if !self.is_own_identity(&query) {
            return problem(StatusCode::BAD_REQUEST, "No such managed identity: it is the caller's own.");
        }
        let present = match slot.take(ENOUGH, PATIENCE).await {
            Ok(present) => present,
            Err(Unavailable::Nothing) => {
                return problem(StatusCode::BAD_REQUEST, "The caller has no credential at present.");
            }
            Err(Unavailable::Soon) => {
                let message = "The caller's credential is being renewed.";
                return soon(problem(StatusCode::SERVICE_UNAVAILABLE, message));
            }
        };
        if !self.is_for(&present.held, resource) {
            return problem(StatusCode::BAD_REQUEST, "The caller's token is for another resource.");
        }
        let Some(access_token) = present.held.material.token().and_then(Secret::expose_str) else {
            return problem(StatusCode::BAD_REQUEST, "The caller's credential is no token.");
        };
        let client_id = self.about.client_id.as_deref().or_else(|| query.first("client_id"));
        let expires_on = present.ends.secs().to_string();
        json(StatusCode::OK, &Token { access_token, expires_on, resource, token_type: "Bearer", client_id })
    }

    /// A server that names an identity means the one it was given on Azure; here there is one, the caller's.
    fn is_own_identity(&self, query: &Query<'_>) -> bool {
        let Some(own) = &self.about.client_id else { return true };
        IDENTITIES.iter().all(|name| match query.first(name) {
            Some(asked) => *name == "client_id" && asked.eq_ignore_ascii_case(own),
            None => true,
        })
    }

    fn is_for(&self, held: &Held, resource: &str) -> bool {
        let resource = resource.trim_end_matches('/');
        let same =
            |one: &str| !resource.is_empty() && one.trim_end_matches('/').eq_ignore_ascii_case(resource);
        if self.about.resources.is_empty() {
            held.audience.iter().any(|audience| same(audience))
                || held.scopes.iter().any(|scope| same(resource_of(scope)))
        } else {
            self.about.resources.iter().any(|own| same(own))
        }
    }
}

impl Protocol for Served {
    fn answer<'a>(&'a self, asked: &'a Parts, slot: &'a Slot) -> Answering<'a> {
        Box::pin(self.reply(asked, slot))
    }
}

/// The resource that a scope belongs to: what stands before its last `/` (`https://graph.microsoft.com/User.Read`,
/// `api://b1c2/Files.Read`). A scope without one (`openid`) is no resource of anybody's.
pub fn resource_of(scope: &str) -> &str {
    scope.rsplit_once('/').map_or("", |(resource, _)| resource)
}

fn problem(status: StatusCode, message: &'static str) -> Reply {
    json(status, &Problem { status_code: status.as_u16(), message })
}
