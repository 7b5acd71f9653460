//! `jwt_bearer`: a JWT as an authorization grant (RFC 7523).

use super::{BroaderScope, IssuedAudience};
use crate::config::decode::{Named, section};
use crate::config::presets::PresetName;
use crate::config::values::{Many, Period};

section! {
    /// A JWT as an authorization grant (RFC 7523): the caller's own token, or, behind `exchange` or `id_jag`, what
    /// that step gave, at the authorization server of another domain. Values may use `{subject}`, `{email}`,
    /// `{claim:NAME}` and `{group:MAP}`; a caller without the claim is refused.
    JwtBearer {
        /// A token service whose quirks are known: what is said here counts, and the preset where nothing is
        /// (see the presets of token services below).
        preset: PresetName;
        /// The authorization server's issuer identifier: a `preset` knows the token endpoint from it.
        issuer: String;
        /// The token endpoint. Required, unless `preset` and `issuer` say where it is.
        token_endpoint: String;
        /// The name under `clients` that asks. Default: no client authentication.
        client: String;
        /// Logical names of the target, one `audience` parameter each, for servers that want it.
        audience: Many<String>;
        /// URLs of the target, one `resource` parameter each (RFC 8707).
        resource: Many<String>;
        /// Scopes asked for at the target.
        scopes: Many<String>;
        /// The server takes an assertion once. What the step before gave is then not kept; it is never presented again
        /// after an answer that was lost, with or without this. Default: `false`.
        single_use: bool;
        /// What the `aud` of an issued JWT must be, where an audience or resource is asked for: `exact`, nothing but what
        /// was asked for; `contains`, something of it; `any`, not looked at. Default: `exact`.
        issued_audience: IssuedAudience;
        /// The `aud` that the issued token has, where it is not the word that is asked for. Default: what is asked for.
        expected_audience: Many<String>;
        /// What happens to a token with more scopes than were asked for: `refuse`, or `accept` for servers that add
        /// scopes of their own. Default: `refuse`.
        broader_scope: BroaderScope;
        /// More parameters of the request, as the provider wants them.
        parameters: Named<String>;
        /// Uses an issued token no longer than this. Default: no limit besides the answer's and the caller's token's.
        max_lifetime: Period;
        /// After a caller's token was refused, asks for this caller again no sooner than after this time: some services
        /// lock out whoever presents bad tokens often, and all callers with it. Default: `1s`.
        pause_after_refusal: Period;
        /// Waits this long for one attempt. Default: `5s`.
        attempt_timeout: Period;
        /// Waits this long in all, retries included. Default: `timeouts.token_endpoint`.
        timeout: Period;
        /// Accepts plain http for an endpoint that is not on this machine. Default: `false`.
        allow_http: bool;
    }
}
