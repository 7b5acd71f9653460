//! `id_jag`: the caller's identity, asserted for another domain (Identity Assertion JWT Authorization Grant).

use crate::config::decode::{Named, section};
use crate::config::presets::PresetName;
use crate::config::values::{Many, Period, choice};

section! {
    /// The caller's identity, asserted by their own provider for the authorization server of another domain
    /// (Identity Assertion JWT Authorization Grant; MCP: enterprise-managed authorization). The next step must be
    /// `jwt_bearer`, which presents the assertion there. Values may use `{subject}`, `{email}`, `{claim:NAME}` and
    /// `{group:MAP}`; a caller without the claim is refused.
    IdJag {
        /// A token service whose quirks are known: what is said here counts, and the preset where nothing is
        /// (see the presets of token services below).
        preset: PresetName;
        /// The authorization server's issuer identifier: a `preset` knows the token endpoint from it.
        issuer: String;
        /// The token endpoint of the callers' identity provider. Required, unless `preset` and `issuer` say where it is.
        token_endpoint: String;
        /// The name under `clients` that asks there.
        client, required: String;
        /// The issuer identifier of the other domain's authorization server: one.
        audience, required: String;
        /// The resource behind that server, as its metadata names it (RFC 9728). MCP servers want it.
        resource: Many<String>;
        /// Scopes asked for at the resource.
        scopes: Many<String>;
        /// What the caller's token is said to be: a URI, or a short name (`id_token`, `access_token`, `jwt`, `saml2`).
        /// Default: `id_token`.
        subject_token_type: String;
        /// Our client identifier at the other domain's authorization server, which the assertion must name. Default:
        /// that of the next step's client.
        client_there: String;
        /// What providers are known to do otherwise than the draft says, each by its name.
        accept: Many<Deviation>;
        /// More parameters of the request, as the provider wants them.
        parameters: Named<String>;
        /// Uses an assertion no longer than this. Default: no limit besides the assertion's and the caller's token's.
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

choice! {
    /// Something that a real provider does otherwise than the draft says.
    pub Deviation {
        /// `token_type` is `Bearer`, not `N_A`.
        "bearer" => Bearer,
        /// The assertion's header has another `typ`, or none.
        "typ" => Typ,
        /// The assertion has no `client_id`.
        "client_id" => ClientId,
        /// The assertion has no `resource` though one was asked for.
        "resource" => Resource,
        /// The answer has no `issued_token_type`.
        "issued_token_type" => IssuedTokenType,
    }
}
