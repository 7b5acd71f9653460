//! Okta (<https://developer.okta.com/docs/guides/set-up-token-exchange/main/>).

use super::Known;

pub(super) const KNOWN: &[Known] = &[
    Known {
        said: "access_denied Policy evaluation failed for this request, please check the policy configurations.",
        words: &["policy evaluation failed"],
        means: "No access policy rule of the authorization server lets this client use this grant with these scopes.",
        fix: "Add a rule to a policy that is assigned to the gateway's client: grant type Token Exchange, the scopes of the step, the users: `safeconduct setup okta` prints it.",
    },
    Known {
        said: "invalid_scope One or more scopes are not configured for the authorization server resource.",
        words: &["scopes are not configured for the authorization server"],
        means: "A scope of the step does not exist at this authorization server.",
        fix: "Add it under Security, API, the server, Scopes; openid and offline_access are not for exchanges.",
    },
    Known {
        said: "invalid_target The audience is invalid or not configured",
        words: &["invalid_target", "audience"],
        means: "An authorization server of Okta has one audience, and the step asks for another.",
        fix: "Ask at the authorization server whose audience it is (`token_endpoint` .../oauth2/ID/v1/token); it must trust the server that issued the caller's token.",
    },
    Known {
        said: "unauthorized_client The client is not authorized to use the provided grant type. Configured grant types: [client_credentials].",
        words: &["not authorized to use the provided grant type"],
        means: "The grant type is not enabled for the gateway's client.",
        fix: "Turn it on: in Okta under the application's General settings, Grant type, Advanced, Token Exchange; elsewhere in the client's grant types.",
    },
    Known {
        said: "invalid_grant 'subject_token' is invalid.",
        words: &["'subject_token' is invalid"],
        means: "The authorization server does not accept the caller's token: it is expired, or of a server that this one does not trust.",
        fix: "Get a new token; if it is of another authorization server of the org, add that one under Trusted servers of this one.",
    },
    Known {
        said: "invalid_client The client secret supplied for a confidential client is invalid.",
        words: &["client secret supplied for a confidential client is invalid"],
        means: "The client secret is wrong.",
        fix: "Take the secret from the application's General tab; or use private_key_jwt.",
    },
    Known {
        said: "invalid_client The audience claim for client_assertion must be the endpoint invoked for the request.",
        words: &["audience claim for client_assertion"],
        means: "Okta wants the token endpoint as the audience of the client's assertion.",
        fix: "Take `audience` out of the client; the token endpoint is the default.",
    },
];
