//! `tls_client_auth` and `self_signed_tls_client_auth`: a certificate for the connection, and `client_id` in the
//! form (RFC 8705 §2). Which of the two it is, is between the certificate and the server; here it is one thing.
//!
//! The server may have another address for clients with a certificate (`mtls_endpoint_aliases`, §5). Where the
//! configuration names the server's issuer, its metadata is asked for them; where not, the address for clients with
//! a certificate is what the configuration names as the endpoint.

use std::borrow::Cow;

use http::HeaderMap;
use safeconduct_core::credential::Form;
use safeconduct_core::time::Timestamp;

use super::aliases::Aliases;
use super::rotating::Rotating;
use super::{ClientAuth, ClientAuthError, Preparing};
use crate::secret_source::SecretSource;
use crate::wire::{ClientCertificate, Endpoint, Via, Wire};

/// By whom the certificate was issued, as the server knows it (RFC 8705 §2.1.1, §2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateKind {
    /// `tls_client_auth`: by an authority that the server trusts; the subject is registered.
    Issued,
    /// `self_signed_tls_client_auth`: by nobody; the certificate itself is registered.
    SelfSigned,
}

/// See the module.
pub struct TlsClientAuth {
    client_id: Box<str>,
    kind: CertificateKind,
    certificate: Rotating<ClientCertificate>,
    aliases: Option<Aliases>,
}

impl TlsClientAuth {
    /// For this client: the chain, the client's own certificate first, and the key of that, in PEM form. Both are
    /// read again when they change. `issuer` is whose metadata is asked for other addresses.
    ///
    /// # Errors
    /// `Key`: not a certificate, not a key, or not that certificate's.
    pub fn new(
        client_id: Box<str>,
        kind: CertificateKind,
        chain: SecretSource,
        key: SecretSource,
        issuer: Option<Aliases>,
    ) -> Result<Self, ClientAuthError> {
        let certificate = Rotating::new(vec![chain, key], |read| match read {
            [chain, key] => ClientCertificate::from_pem(chain.expose(), key),
            _ => Err("needs a certificate and its key"),
        });
        let certificate =
            certificate.map_err(|problem| ClientAuthError::Key { client: client_id.to_string(), problem })?;
        Ok(Self { client_id, kind, certificate, aliases: issuer })
    }
}

impl ClientAuth for TlsClientAuth {
    fn method(&self) -> &'static str {
        match self.kind {
            CertificateKind::Issued => "tls_client_auth",
            CertificateKind::SelfSigned => "self_signed_tls_client_auth",
        }
    }

    fn client_id(&self) -> Option<&str> {
        Some(&self.client_id)
    }

    fn apply(
        &self,
        form: &mut Form,
        _: &mut HeaderMap,
        _: &str,
        _: Timestamp,
    ) -> Result<(), ClientAuthError> {
        // RFC 8705 §2: required, so that the server need not guess the client from the certificate.
        form.field("client_id", &self.client_id);
        Ok(())
    }

    fn ready<'a>(&'a self, wire: &'a Wire, now: Timestamp) -> Option<Preparing<'a>> {
        self.aliases.as_ref()?.ready(wire, now)
    }

    fn via(&self) -> Result<Via, ClientAuthError> {
        Ok(Via::Certificate(self.certificate.current(&self.client_id)))
    }

    fn endpoint<'a>(&self, named: &'a Endpoint) -> Cow<'a, Endpoint> {
        match self.aliases.as_ref().and_then(|aliases| aliases.of(named)) {
            Some(alias) => Cow::Owned(alias),
            None => Cow::Borrowed(named),
        }
    }
}
