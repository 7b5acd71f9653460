//! Certificates: the listener's own, and those that MCP servers are believed by.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Failed;
use crate::config::plan::{Plan, TlsPlan};

/// The listener's certificate and key.
pub(super) fn server(plan: &TlsPlan) -> Result<Arc<ServerConfig>, Failed> {
    let failed = |path: &std::path::Path, error: &dyn std::fmt::Display| {
        Failed::of(path.display().to_string(), error.to_string())
    };
    let chain = CertificateDer::pem_file_iter(&plan.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(&plan.cert, &error))?;
    let key = PrivateKeyDer::from_pem_file(&plan.key).map_err(|error| failed(&plan.key, &error))?;
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&plan.cert, &error))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| failed(&plan.cert, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Authorities of the file `ca_file`.
pub(super) fn extra_roots(plan: &Plan) -> Result<Vec<CertificateDer<'static>>, Failed> {
    let Some(path) = &plan.ca_file else { return Ok(Vec::new()) };
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| Failed::of(path.display().to_string(), error))
}

/// How MCP servers are spoken to. The system's authorities are read only when a server has https: they take
/// two megabytes.
pub(super) fn upstream(plan: &Plan) -> Result<Arc<ClientConfig>, Failed> {
    let mut roots = RootCertStore::empty();
    let secure = plan.servers.iter().any(|server| server.url.scheme_str() == Some("https"));
    if secure {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for root in extra_roots(plan)? {
        roots.add(root).map_err(|error| Failed::of("ca_file", error))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failed::of("tls", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
