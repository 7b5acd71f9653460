//! OpenBao and HashiCorp Vault: all refusals of the JWT login are a 400 with one sentence
//! (<https://openbao.org/docs/auth/jwt/>).

use super::Known;

pub(super) const KNOWN: &[Known] = &[
    Known {
        said: "role \"orders\" could not be found",
        words: &["role", "could not be found"],
        means: "The JWT login has no such role.",
        fix: "bao write auth/jwt/role/NAME ...; compare the step's `role` and where the login is mounted.",
    },
    Known {
        said: "error validating token: invalid audience (aud) claim: audience claim does not match any expected audience",
        words: &["audience claim does not match"],
        means: "The role's `bound_audiences` do not hold the token's `aud`.",
        fix: "bao write auth/jwt/role/NAME bound_audiences=AUD ... with the audience of the callers' tokens.",
    },
    Known {
        said: "error validating token: invalid issuer (iss) claim",
        words: &["invalid issuer (iss) claim"],
        means: "The login is configured for another issuer.",
        fix: "bao write auth/jwt/config bound_issuer=ISS oidc_discovery_url=ISS; letter by letter, with or without a slash at its end.",
    },
    Known {
        said: "error validating claims: claim \"groups\" does not match any associated bound claim values",
        words: &["does not match any associated bound claim"],
        means: "The role's `bound_claims` do not let this caller in.",
        fix: "Compare them (bao read auth/jwt/role/NAME) with the token's claims above.",
    },
    Known {
        said: "error validating token: error verifying token signature: no known key successfully validated the token signature",
        words: &["no known key successfully validated"],
        means: "Vault does not have the key that the token is signed with.",
        fix: "Is the login's `oidc_discovery_url` or `jwks_url` the issuer's? Static keys must be renewed by hand.",
    },
    Known {
        said: "error validating token: expiration (exp) claim has passed",
        words: &["expiration (exp)"],
        means: "The caller's token has expired.",
        fix: "Get a new token; if it is new, do the clocks agree?",
    },
    Known {
        said: "Vault is sealed",
        words: &["vault is sealed"],
        means: "Vault cannot read its storage until it is unsealed.",
        fix: "Unseal it: bao operator unseal.",
    },
];
