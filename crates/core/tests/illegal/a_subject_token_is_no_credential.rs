//! A credential is made of an issuer's answer or of configuration, never of the caller's token.
use safeconduct_core::audit::CredentialRecord;
use safeconduct_core::caller::SubjectToken;
use safeconduct_core::credential::Credential;
use safeconduct_core::server::Delivery;

fn pass_through(token: &SubjectToken, delivery: &Delivery, record: CredentialRecord) {
    let _ = Credential::issued(token, delivery, record);
}

fn main() {}
