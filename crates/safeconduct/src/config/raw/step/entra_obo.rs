//! `entra_obo`: a token for another API in the caller's name, from Microsoft Entra ID.

use super::Common;
use crate::config::decode::{Field, Named, section};
use crate::config::values::{Many, Period};

section! {
    /// A token for another API in the caller's name, from Microsoft Entra ID (on-behalf-of flow). The caller's token
    /// must be for the application that asks. Values of `scopes` and `parameters` may use `{subject}`, `{email}`,
    /// `{claim:NAME}` and `{group:MAP}`; a caller without the claim is refused.
    EntraObo {
        /// The tenant: its identifier, or a domain of it.
        tenant, required: String;
        /// The name under `clients` that asks: the application that the callers' tokens are for. With `private_key_jwt`
        /// it needs its `certificate`; `assertion_file` and `managed_identity` need no secret at all.
        client, required: String;
        /// Scopes of one API, with the API in front: `https://graph.microsoft.com/User.Read`, `api://ID/.default`.
        scopes, required: Many<String>;
        /// Where Entra is: `https://login.microsoftonline.us` for the US government's cloud,
        /// `https://login.partner.microsoftonline.cn` for China's. Default: `https://login.microsoftonline.com`.
        authority: String;
        /// The `aud` that the new token must have, where it is to be looked at: some APIs are named by identifiers that
        /// differ from their scopes. Default: not looked at.
        expected_audience: Many<String>;
        /// The MCP server hands on the claims challenges of the API behind it (`insufficient_claims`): Entra may then
        /// give tokens that live for up to a day, and that the API ends earlier. Default: `false`.
        claims_challenges: bool;
        /// A page where a user can consent to what is asked for, `https://...`: callers without consent are sent there.
        /// Default: they are refused, and the log says whose consent is missing.
        consent_page: String;
        /// More parameters of the request.
        parameters: Named<String>;
        /// Uses an issued token no longer than this. Default: no limit besides the answer's and the caller's token's.
        max_lifetime: Period;
        /// After a caller's token was refused, asks for this caller again no sooner than after this time: some services
        /// lock out whoever presents bad tokens often, and all callers with it. Default: `1s`.
        pause_after_refusal: Period;
        /// Waits this long for one attempt. Default: `10s`: Entra may take its time.
        attempt_timeout: Period;
        /// Waits this long in all, retries included. Default: `timeouts.token_endpoint`.
        timeout: Period;
        /// Accepts plain http for an `authority` that is not on this machine. Default: `false`.
        allow_http: bool;
    }
}

impl EntraObo {
    /// What it has in common with the other steps at a token endpoint, once that is known.
    pub(crate) fn common<'a>(
        &'a self,
        token_endpoint: &'a Field<String>,
        resource: &'a Field<Many<String>>,
    ) -> Common<'a> {
        Common {
            quirks: None,
            lone_issuer: None,
            token_endpoint,
            client: &self.client,
            resource,
            scopes: &self.scopes,
            parameters: &self.parameters,
            max_lifetime: &self.max_lifetime,
            pause_after_refusal: &self.pause_after_refusal,
            attempt_timeout: &self.attempt_timeout,
            timeout: &self.timeout,
            allow_http: &self.allow_http,
        }
    }
}
