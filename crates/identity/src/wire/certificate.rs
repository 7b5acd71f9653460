//! A client certificate with its key, as the TLS library takes it.

use std::fmt;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use safeconduct_core::secret::Secret;

/// What this program shows of itself while it connects (RFC 8705 §2). Made once for each pair of files, and
/// shared: connections are pooled by it.
pub struct ClientCertificate(Arc<SingleCertAndKey>);

impl ClientCertificate {
    /// From a chain, the client's own certificate first, and the key of that, each in PEM form.
    ///
    /// # Errors
    /// What is wrong with them; never their content.
    pub fn from_pem(chain: &[u8], key: &Secret) -> Result<Self, &'static str> {
        let chain = certificates(chain)?;
        let key =
            PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| "no PEM private key in the key file")?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        match CertifiedKey::from_der(chain, key, &provider) {
            Ok(certified) => Ok(Self(Arc::new(SingleCertAndKey::from(certified)))),
            Err(rustls::Error::InconsistentKeys(_)) => Err("the key is not the certificate's"),
            Err(_) => Err("the certificate or its key is of a kind that is not supported"),
        }
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        self.0.clone()
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

/// The certificates of a PEM text; at least one.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| "the certificate file is not in PEM form")?;
    if chain.is_empty() { Err("no PEM certificate in the certificate file") } else { Ok(chain) }
}
