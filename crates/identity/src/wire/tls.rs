//! TLS towards issuers and token endpoints: the system's certificates, and those of the configuration.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::WireConfig;

/// Certificates that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRoots {
    /// A certificate of the configuration is not one.
    #[error("not a certificate in PEM form: {0}")]
    NotPem(String),
    /// No certificate in the file.
    #[error("no certificate in it")]
    Empty,
    /// TLS cannot be set up at all.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// The certificates of a PEM file, to be believed besides the system's.
///
/// # Errors
/// `NotPem`, `Empty`.
pub fn roots_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadRoots> {
    let roots: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| BadRoots::NotPem(error.to_string()))?;
    if roots.is_empty() { Err(BadRoots::Empty) } else { Ok(roots) }
}

pub(super) fn client_config(config: &WireConfig) -> Result<ClientConfig, BadRoots> {
    let mut roots = RootCertStore::empty();
    if config.system_roots {
        // A system without certificates (an empty container) can still use the configured ones.
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
    }
    for root in &config.extra_roots {
        roots.add(root.clone()).map_err(|error| BadRoots::NotPem(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BadRoots::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}
