//! `managed_identity`: a token of the Azure machine's own identity proves who the application is at Entra: no secret
//! anywhere (workload identity federation, RFC 7523 §2.2).
//!
//! - <https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity>
//! - virtual machines (IMDS): <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
//! - App Service, Container Apps, Functions: <https://learn.microsoft.com/azure/app-service/overview-managed-identity>
//!
//! What an administrator must set up: a user-assigned managed identity on the machine, and on the application a
//! federated identity credential that names it (subject: the identity's object id; audience
//! `api://AzureADTokenExchange`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use safeconduct_core::credential::{Form, encode};
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{ClientAuth, ClientAuthError, JWT_BEARER, Preparing, assert};
use crate::provider::TokenText;
use crate::provider::said::masked;
use crate::secret_source::SecretSource;
use crate::wire::{Answer, BadEndpoint, Endpoint, Request, Retry, Via, Wire, WireError};

/// Where a virtual machine asks.
pub const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
/// The audience that Entra wants (in the public cloud).
pub const AUDIENCE: &str = "api://AzureADTokenExchange";
/// How long before its end a token is replaced.
const AHEAD: Duration = Duration::from_secs(300);
/// After a failed attempt, while the last token is still good.
const AGAIN: Duration = Duration::from_secs(30);
/// Of a token that does not say when it ends.
const UNSAID_LIFETIME: Duration = Duration::from_secs(300);

/// The machine's identity service.
pub struct IdentityService {
    endpoint: Endpoint,
    /// App Service: what proves that this process may ask. None: IMDS.
    header: Option<SecretSource>,
}

impl IdentityService {
    /// At this URL; with a header's secret it is App Service's, without it is IMDS.
    ///
    /// # Errors
    /// [`BadEndpoint`]: plain http to an address that is not the machine's own.
    pub fn new(
        endpoint: &str,
        resource: &str,
        identity: Option<&str>,
        header: Option<SecretSource>,
    ) -> Result<Self, BadEndpoint> {
        let version = if header.is_some() { "2019-08-01" } else { "2018-02-01" };
        let mut query = format!("api-version={version}").into_bytes();
        for (name, value) in [("resource", Some(resource)), ("client_id", identity)] {
            if let Some(value) = value {
                query.extend_from_slice(format!("&{name}=").as_bytes());
                encode(&mut query, value.as_bytes());
            }
        }
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        let url = format!("{endpoint}{separator}{}", String::from_utf8_lossy(&query));
        Ok(Self { endpoint: Endpoint::of_machine(&url)?, header })
    }

    fn request(&self) -> Result<Request, ClientAuthError> {
        let mut request = Request::read(self.endpoint.clone());
        request.via = Via::Machine;
        let (name, mut value) = match &self.header {
            // The header shows that the request was meant: a redirected or forwarded one would not have it.
            None => (HeaderName::from_static("metadata"), HeaderValue::from_static("true")),
            Some(secret) => {
                let value = HeaderValue::from_bytes(secret.current().expose());
                let unfit = |_| ClientAuthError::Header("the identity service".into());
                (HeaderName::from_static("x-identity-header"), value.map_err(unfit)?)
            }
        };
        value.set_sensitive(true);
        request.headers.insert(name, value);
        Ok(request)
    }
}

/// See the module.
pub struct ManagedIdentity {
    client_id: Box<str>,
    service: IdentityService,
    kept: Mutex<Option<Kept>>,
    /// One question at a time.
    asking: tokio::sync::Mutex<()>,
}

struct Kept {
    token: Arc<Secret>,
    expires: Timestamp,
    again: Timestamp,
}

impl ManagedIdentity {
    /// For the application with this identifier.
    pub fn new(client_id: Box<str>, service: IdentityService) -> Self {
        Self { client_id, service, kept: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(|kept| kept.again <= now)
    }

    fn token(&self, now: Timestamp) -> Option<Arc<Secret>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|kept| now < kept.expires).map(|kept| kept.token.clone())
    }

    async fn renew(&self, wire: &Wire, now: Timestamp) -> Result<(), ClientAuthError> {
        let _one = self.asking.lock().await;
        if !self.is_due(now) {
            return Ok(());
        }
        match self.ask(wire, now).await {
            Ok(fresh) => {
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
                Ok(())
            }
            Err(error) if self.token(now).is_some() => {
                tracing::warn!(%error, "keeping the machine's token until its end");
                if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                    kept.again = now.plus(AGAIN);
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, wire: &Wire, now: Timestamp) -> Result<Kept, ClientAuthError> {
        let answer = wire.send_retrying(Retry::default(), || self.service.request()).await?;
        let status = answer.status.as_u16();
        match status {
            200 => read(&answer, now),
            // No such identity on this machine, or it may not be used: asking again will not help.
            400 | 401 | 403 => Err(ClientAuthError::Identity(format!("HTTP {status}: {}", said(&answer)))),
            // 404 and 410, too: the service is being started or updated.
            _ => Err(ClientAuthError::Unavailable(format!("the identity service: HTTP {status}"))),
        }
    }
}

impl ClientAuth for ManagedIdentity {
    fn method(&self) -> &'static str {
        "managed_identity"
    }

    fn client_id(&self) -> Option<&str> {
        Some(&self.client_id)
    }

    fn forget_proof(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn ready<'a>(&'a self, wire: &'a Wire, now: Timestamp) -> Option<Preparing<'a>> {
        self.is_due(now).then(|| Box::pin(self.renew(wire, now)) as Preparing<'a>)
    }

    fn apply(
        &self,
        form: &mut Form,
        _: &mut HeaderMap,
        _: &str,
        now: Timestamp,
    ) -> Result<(), ClientAuthError> {
        let token = self.token(now);
        let token =
            token.ok_or_else(|| ClientAuthError::Unavailable("no token of the machine's identity".into()))?;
        assert(form, &self.client_id, JWT_BEARER, &token)
    }
}

impl From<WireError> for ClientAuthError {
    fn from(error: WireError) -> Self {
        Self::Unavailable(format!("the identity service: {error}"))
    }
}

#[derive(Deserialize)]
struct Issued {
    access_token: TokenText,
    /// Seconds since the epoch; IMDS writes it as text.
    expires_on: Option<Value>,
    expires_in: Option<Value>,
}

fn read(answer: &Answer, now: Timestamp) -> Result<Kept, ClientAuthError> {
    let issued: Issued = serde_json::from_slice(&answer.body)
        .map_err(|_| ClientAuthError::Unavailable("the identity service: not a token answer".into()))?;
    let seconds = |value: &Value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let at = issued.expires_on.as_ref().and_then(seconds).map(Timestamp::from_secs);
    let lasting = issued.expires_in.as_ref().and_then(seconds).map(Duration::from_secs);
    let expires = at.unwrap_or_else(|| now.plus(lasting.unwrap_or(UNSAID_LIFETIME)));
    let again = expires.minus(AHEAD).max(now.plus(AGAIN));
    Ok(Kept { token: Arc::new(issued.access_token.0), expires, again })
}

/// What the service says of a refusal (`error_description`, `error`, or `message`), cut, without what may be a secret.
fn said(answer: &Answer) -> String {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = ["error_description", "message", "error"].iter().find_map(|name| document.get(name)?.as_str());
    // It may repeat what it was asked with, which holds this machine's header.
    masked(text.unwrap_or("no reason given"), 200)
}
