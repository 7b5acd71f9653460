//! Protected-resource metadata (RFC 9728): one document per server, built once per plan.

use bytes::Bytes;
use safeconduct_core::server::Server;
use serde::Serialize;

#[derive(Serialize)]
struct Document<'a> {
    resource: &'a str,
    authorization_servers: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'a str,
}

/// Where the documents stand (RFC 9728 §3.1); the path of the resource follows.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The document of `server`, whose callers may come from the issuers at `issuer_urls`.
pub fn document(server: &Server, issuer_urls: &[&str]) -> Bytes {
    let document = Document {
        resource: &server.resource,
        authorization_servers: issuer_urls.to_vec(),
        // A resource server must not lure clients into refresh tokens (checklist A8).
        scopes_supported: server
            .all_scopes()
            .into_iter()
            .filter(|scope| *scope != "offline_access")
            .collect(),
        bearer_methods_supported: ["header"],
        resource_name: &server.name,
    };
    serde_json::to_vec(&document).unwrap_or_default().into()
}
