//! Proofs of possession (RFC 9449), and what any token endpoint may say.

use super::Known;

pub(super) const KNOWN: &[Known] = &[
    Known {
        said: "use_dpop_nonce Authorization server requires nonce in DPoP proof",
        words: &["use_dpop_nonce"],
        means: "The server wants its nonce in the proof, and refused the one that it gave just before.",
        fix: "Several servers behind one name may each have nonces of their own: they must share them, or the gateway must reach one of them only.",
    },
    Known {
        said: "invalid_dpop_proof DPoP proof iat is not recent enough",
        words: &["invalid_dpop_proof"],
        means: "The server does not accept the proof: most often a clock is off, or it sees itself under another URL (`htu`) than the gateway.",
        fix: "Do the clocks agree? Does a reverse proxy before the token endpoint change its scheme or host?",
    },
    Known {
        said: "unsupported_grant_type The grant type is not supported by the authorization server",
        words: &["unsupported_grant_type"],
        means: "This endpoint does not know the grant type of the step, or it is not enabled.",
        fix: "Is `token_endpoint` the right server's? Keycloak and ZITADEL have token exchange as a feature that must be on; Entra knows only `entra_obo`; Ory Hydra knows only `jwt_bearer`.",
    },
];
