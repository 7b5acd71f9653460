//! Keycloak (<https://www.keycloak.org/securing-apps/token-exchange>).

use super::Known;

pub(super) const KNOWN: &[Known] = &[
    Known {
        said: "invalid_request Standard token exchange is not enabled for the requested client",
        words: &["standard token exchange is not enabled"],
        means: "Token exchange is off for the gateway's client.",
        fix: "Turn `Standard token exchange` on in the client's capability config, or: kcadm.sh update clients/ID -r REALM -s 'attributes.\"standard.token.exchange.enabled\"=true'.",
    },
    Known {
        said: "access_denied Client is not within the token audience",
        words: &["client is not within the token audience"],
        means: "The gateway's client is not in the `aud` of the caller's token; Keycloak lets only those exchange it.",
        fix: "Give a client scope of the callers' clients an audience mapper that adds the gateway's client: `safeconduct setup keycloak` prints it.",
    },
    Known {
        said: "invalid_request Requested audience not available: backend-server",
        words: &["requested audience not available"],
        means: "No scope that the new token has leads to this audience; `audience` only picks among those that scopes give.",
        fix: "Give the gateway's client a client scope with an audience mapper for it (default, or optional and named in the step's `scopes`): `safeconduct setup keycloak` prints it.",
    },
    Known {
        said: "invalid_client Audience not found",
        words: &["audience not found"],
        means: "The step's `audience` is no client of this realm.",
        fix: "Keycloak's audiences are client ids: create the client (it may have no flows at all), or correct the step.",
    },
    Known {
        said: "invalid_scope Missing consents for Token Exchange in client gateway",
        words: &["missing consents"],
        means: "The target client asks its users for consent, and this one has not given it.",
        fix: "Turn `Consent required` off for that client, or let the user log in to it once.",
    },
    Known {
        said: "access_denied Client is not allowed to exchange",
        words: &["client is not allowed to exchange"],
        means: "The realm's permissions do not let this client exchange (the older token exchange).",
        fix: "Use the standard one (Keycloak 26.2 and later): turn `Standard token exchange` on for the client.",
    },
    Known {
        said: "invalid_request Parameter 'subject_issuer' is not supported for standard token exchange",
        words: &["subject_issuer", "not supported"],
        means: "Standard token exchange takes tokens of its own realm only.",
        fix: "Use a `jwt_bearer` step for tokens of another issuer (Keycloak's JWT authorization grant).",
    },
    Known {
        said: "invalid_request subject_token_type supports access tokens only",
        words: &["subject_token_type", "access"],
        means: "Standard token exchange takes access tokens only.",
        fix: "Leave `subject_token_type` at its default, and let callers present access tokens.",
    },
    Known {
        said: "unauthorized_client Client not enabled to retrieve service account",
        words: &["client not enabled to retrieve service account"],
        means: "`client_credentials` is off for the gateway's client.",
        fix: "Turn `Service accounts roles` on in the client's capability config, or: kcadm.sh update clients/ID -r REALM -s serviceAccountsEnabled=true.",
    },
    Known {
        said: "unauthorized_client Invalid client or Invalid client credentials",
        words: &["invalid client or invalid client credentials"],
        means: "Keycloak does not know the client, or its secret, key or method is another one.",
        fix: "Compare `client_id` and `auth` with the client's Credentials tab; a public client cannot exchange.",
    },
    Known {
        said: "invalid_grant Invalid token issuer. Expected 'http://keycloak:8080/realms/corp'",
        words: &["invalid token issuer"],
        means: "The token's `iss` is not the name that Keycloak goes by at this URL: it was issued at another host name.",
        fix: "Set Keycloak's `hostname` to one fixed URL, and use it in `issuers` and `token_endpoint` alike.",
    },
    Known {
        said: "invalid_request The request must be confidential",
        words: &["must be confidential"],
        means: "A public client asks for something that only confidential ones may have.",
        fix: "Turn `Client authentication` on for the gateway's client and give `clients` its secret or key.",
    },
];
