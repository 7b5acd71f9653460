//! `issuers`: whom we believe about callers.

use super::super::decode::section;
use super::super::values::{Many, Period, choice};

section! {
    /// One issuer of callers' tokens.
    Issuer {
        /// The issuer identifier, exactly as it stands in the tokens' `iss`. Its keys are found by OIDC discovery and
        /// RFC 8414, unless `jwks_uri` or `jwks_file` says where they are.
        issuer, required: String;
        /// Known quirks of a product, as data: where scopes, groups and the client stand, which `typ` its tokens have.
        /// Default: `oidc`.
        preset: Preset;
        /// Audiences accepted besides the server's own resource identifier (`public_url` + `/NAME/mcp`). An audience is
        /// always checked. Default: none besides the server's own.
        audience: Many<String>;
        /// Refuses tokens that are good elsewhere too: with an audience besides the accepted one (RFC 9700 §2.3).
        /// Default: `false`.
        single_audience: bool;
        /// Signature algorithms accepted. Default: RS256 PS256 ES256 ES384 EdDSA.
        algorithms: Many<Algorithm>;
        /// Where things stand in the token, when not in the usual places of the preset.
        claims: Claims;
        /// Asks the issuer about tokens that are not JWTs (RFC 7662).
        introspection: Introspection;
        /// Where the keys are, instead of discovery.
        jwks_uri: String;
        /// A file with the keys (a JWKS document), instead of discovery.
        jwks_file: String;
        /// `at+jwt`: only access tokens that say so (RFC 9068). `any`: `JWT` or nothing is accepted too, and what looks
        /// like an ID token is still refused. Default: `any`.
        token_type: TokenType;
        /// How far the issuer's clock may be off, at most `60s`. Default: `30s`.
        leeway: Period;
        /// Refuses tokens that were issued longer ago than this, whatever they say. Default: no limit.
        max_age: Period;
        /// Receives this issuer's logout tokens at `/backchannel-logout/NAME` (OpenID Connect Back-Channel Logout 1.0), and
        /// ends what it holds of whoever logged out. Default: none are received.
        backchannel_logout: Logout;
        /// Accepts plain http for an issuer that is not on this machine. Default: `false`.
        allow_http: bool;
    }
}

section! {
    /// Names of claims: `groups`, a URI, or a path with dots such as `realm_access.roles`.
    Claims {
        /// Scopes, as a string with spaces or a list. Default: by preset, `scope`.
        scopes: String;
        /// Groups. Default: by preset, `groups`.
        groups: String;
        /// The client that the token was issued to. Default: by preset, `client_id` or `azp`.
        client: String;
        /// The caller's mail address. Default: `email`.
        email: String;
    }
}

section! {
    /// Token introspection (RFC 7662).
    Introspection {
        /// The introspection endpoint.
        endpoint, required: String;
        /// The name under `clients` that asks.
        client, required: String;
        /// How long an answer is used, at most `60s` and never beyond the token's end. Default: `30s`.
        cache: Period;
    }
}

section! {
    /// Logout tokens of an issuer. Their keys and algorithms are those of its other tokens.
    Logout {
        /// The client ids that the issuer knows the receiver by: its tokens are made out to these (`aud`).
        audience, required: Many<String>;
        /// `logout+jwt`: only tokens that say so. `any`: for issuers that write `JWT` or nothing. Default: `logout+jwt`.
        token_type: LogoutTokenType;
    }
}

choice! {
    /// What the `typ` of a logout token must be.
    pub LogoutTokenType {
        /// `logout+jwt` only (OpenID Connect Back-Channel Logout 1.0 §2.4).
        "logout+jwt" => Logout,
        /// `JWT` or nothing too.
        "any" => Any,
    }
}

choice! {
    /// A product whose quirks are known.
    pub Preset {
        /// What the standards say.
        "oidc" => Oidc,
        /// Okta: `scp`, `cid`.
        "okta" => Okta,
        /// Microsoft Entra ID: `scp`, `roles`, `azp` or `appid`.
        "entra" => Entra,
        /// Keycloak.
        "keycloak" => Keycloak,
        /// Auth0.
        "auth0" => Auth0,
        /// Google.
        "google" => Google,
    }
}

choice! {
    /// A signature algorithm (RFC 7518, RFC 8037).
    pub Algorithm {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        "RS256" => Rs256,
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        "RS384" => Rs384,
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        "RS512" => Rs512,
        /// RSASSA-PSS with SHA-256.
        "PS256" => Ps256,
        /// RSASSA-PSS with SHA-384.
        "PS384" => Ps384,
        /// RSASSA-PSS with SHA-512.
        "PS512" => Ps512,
        /// ECDSA on P-256.
        "ES256" => Es256,
        /// ECDSA on P-384.
        "ES384" => Es384,
        /// Ed25519.
        "EdDSA" => EdDsa,
    }
}

choice! {
    /// What the `typ` of a token must be.
    pub TokenType {
        /// `at+jwt` only (RFC 9068 §2.1).
        "at+jwt" => AccessToken,
        /// `JWT` or nothing too.
        "any" => Any,
    }
}
