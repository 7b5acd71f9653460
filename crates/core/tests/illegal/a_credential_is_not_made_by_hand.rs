//! A credential is made of an issuer's answer or of configuration, never put together.
use safeconduct_core::audit::CredentialRecord;
use safeconduct_core::credential::Credential;

fn forge(header: Option<(http::HeaderName, http::HeaderValue)>, record: CredentialRecord) -> Credential {
    Credential { header, record }
}

fn main() {}
