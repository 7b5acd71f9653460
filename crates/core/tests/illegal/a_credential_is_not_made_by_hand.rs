//! A credential comes from an issuer's answer or from configuration.
use safeconduct_core::audit::CredentialRecord;
use safeconduct_core::credential::Credential;

fn forge(credential: Credential, record: CredentialRecord) -> Credential {
    Credential { record, ..credential }
}

fn main() {}
