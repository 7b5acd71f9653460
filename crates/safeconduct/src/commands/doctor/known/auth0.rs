//! Auth0 (<https://auth0.com/docs/authenticate/custom-token-exchange>).

use super::Known;

pub(super) const KNOWN: &[Known] = &[
    Known {
        said: "too_many_attempts Your account has been blocked after multiple consecutive login attempts.",
        words: &["too_many_attempts"],
        means: "Auth0 has locked this gateway's address out: after ten refused subject tokens it answers six an hour.",
        fix: "Wait, and find out which caller sends bad tokens (audit lines with SC-C01). Put the address on the allow list of Attack Protection, Suspicious IP Throttling.",
    },
    Known {
        said: "unauthorized_client Grant type 'urn:ietf:params:oauth:grant-type:token-exchange' not allowed for the client.",
        words: &["grant type", "not allowed for the client"],
        means: "The grant type is not enabled for the gateway's client.",
        fix: "Auth0: turn it on under the application's Advanced settings, Grant Types (for on-behalf-of the application must be of type resource_server).",
    },
    Known {
        said: "access_denied Service not found: https://api.example.com",
        words: &["service not found"],
        means: "There is no API with this audience in the tenant.",
        fix: "Compare the step's `audience` with the API's Identifier, letter by letter.",
    },
    Known {
        said: "access_denied Client is not authorized to access \"https://api.example.com\".",
        words: &["client is not authorized to access"],
        means: "The gateway's client has no grant for this API.",
        fix: "Authorize it: in Auth0 under the API's Machine to Machine (or Application Access) tab.",
    },
    Known {
        said: "invalid_request Delegation chain (`act` claim) depth exceeds the maximum allowed limit of 4",
        words: &["delegation chain", "depth exceeds"],
        means: "The caller's token was already handed on as often as Auth0 allows.",
        fix: "Exchange the first token of the chain instead of the last.",
    },
    Known {
        said: "invalid_request The audience of the subject token may not be a resource server of another client",
        words: &["subject token", "resource server"],
        means: "On-behalf-of takes only tokens whose audience is the API that the gateway's client stands for.",
        fix: "Set the client's resource_server_identifier to the audience of the callers' tokens.",
    },
];
