//! What `token_type` of an answer makes of the token (RFC 6749 §7.1, RFC 8693 §2.2.1, RFC 9449 §5).

use safeconduct_core::bound::BoundToken;
use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;

use super::{ExchangeError, Use};
use crate::client_auth::ClientAuth;

/// The token as what it is. None for `said` is a bearer token; whether it may be missing is the step's business.
/// A client whose tokens are to be bound to a key takes no others: a server that ignores the proof would make of it
/// a token that any thief could use.
pub(super) fn material(
    token: Secret,
    said: Option<&str>,
    client: &dyn ClientAuth,
) -> Result<(Material, Use), ExchangeError> {
    let said = said.unwrap_or("Bearer").to_ascii_lowercase();
    match (said.as_str(), client.dpop()) {
        ("bearer", None) => Ok((Material::Token(token), Use::Bearer)),
        ("dpop", Some(key)) => Ok((Material::Bound(BoundToken::new(token, key.clone())), Use::Bearer)),
        ("n_a", _) => Ok((Material::Token(token), Use::SubjectOnly)),
        ("bearer", Some(_)) => {
            Err(bad("token_type is Bearer, and the client's tokens are to be bound (dpop)"))
        }
        ("dpop", None) => Err(bad("token_type is DPoP, and the client has no key for it (dpop: true)")),
        _ => Err(bad("token_type is neither Bearer, DPoP nor N_A")),
    }
}

fn bad(problem: &str) -> ExchangeError {
    ExchangeError::BadAnswer { problem: problem.into() }
}
