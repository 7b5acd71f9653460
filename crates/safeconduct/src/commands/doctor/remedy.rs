//! What the one who runs the gateway can do about a refusal: the same as docs/refusals.md says, in one sentence.

use safeconduct_core::refusal::Reason;

/// What to do; None where there is nothing to add to the reason.
pub(crate) fn remedy(reason: &Reason) -> Option<String> {
    let text = match reason {
        Reason::InvalidToken(_) | Reason::BadHead(_) => {
            "get a new token from the issuer; if a new one is refused too, compare its claims (`safeconduct token inspect`) with `issuers`"
        }
        Reason::WrongAudience => {
            "have the token issued for the server's resource identifier, or add its audience to `issuers.NAME.audience`"
        }
        Reason::IssuerUnavailable(_) => {
            "the gateway must reach the issuer's discovery document and keys; see the checks of the issuer in `safeconduct doctor`"
        }
        Reason::InsufficientScope(_) => "have the token issued with the missing scopes",
        Reason::Denied { .. } | Reason::PolicyError { .. } => {
            "a policy forbids this caller even to ping the server; `safeconduct explain` shows which"
        }
        Reason::SubjectRefused { .. } => {
            "get a new token; if it happens with a new one, the token endpoint does not accept this kind of token: is the gateway's client among the token's audiences, is `subject_token_type` what the endpoint wants, does it believe the token's issuer?"
        }
        Reason::ExchangeDenied { .. } => {
            "grant this caller and this client the audience and the scopes at the provider, or mend the step's `audience`, `resource` and `scopes`"
        }
        Reason::StepUpRequired { .. } => {
            "log in again as the provider demands, with a second factor for instance"
        }
        Reason::InteractionRequired { .. } => "open the page as the user, agree, and try again",
        Reason::ClientRefused { .. } => {
            "compare `clients` with the registration at the provider: the identifier, the secret or key, the method, and whether this grant type is enabled for it"
        }
        Reason::StepMisconfigured { .. } => {
            "mend the step: the provider says that it cannot be as it is configured"
        }
        Reason::BadTokenAnswer { .. } => {
            "the answer is not what the step asks for; `issued_audience`, `expected_audience`, `issued_token_type` and `broader_scope` say what is accepted"
        }
        Reason::TokenEndpointUnavailable { .. } => {
            "is the URL right, and can this machine reach it (DNS, proxy, firewall, `ca_file`)? If it throttles: wait"
        }
        Reason::MissingClaim(_) => {
            "have the issuer put the claim into its tokens, or take it out of the step"
        }
        _ => return None,
    };
    Some(text.to_owned())
}
