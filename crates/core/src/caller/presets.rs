//! What is known of identity providers, as data. A preset only says where things are and what its tokens look like;
//! it never skips a check.

use super::rules::{ClaimPath, ClaimPaths};

/// A kind of identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Preset {
    /// Any that keeps to OpenID Connect and RFC 9068.
    #[default]
    Oidc,
    /// Okta custom authorization servers (`/oauth2/NAME`).
    Okta,
    /// Microsoft Entra ID, v1.0 and v2.0 tokens.
    Entra,
    /// Keycloak realms.
    Keycloak,
    /// Auth0 tenants.
    Auth0,
    /// Google's ID tokens (its access tokens are opaque).
    Google,
}

/// How a preset tells a program from a person, besides the subject being the client (RFC 9700 §4.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadSign {
    /// Nothing further.
    None,
    /// `idtyp: app`; or, where that optional claim is not sent, no `scp` and `oid` equal to `sub`.
    /// <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>
    EntraAppOnly,
    /// `preferred_username: service-account-CLIENT` beside `client_id` (or `azp`) CLIENT.
    KeycloakServiceAccount,
    /// `gty: client-credentials`.
    Auth0Grant,
}

/// One row of the table.
#[derive(Debug)]
pub struct Quirks {
    /// Name in the configuration.
    pub name: &'static str,
    /// The preset.
    pub preset: Preset,
    /// Where scopes are.
    pub scopes: &'static [&'static str],
    /// Where scopes are besides, in tokens of programs.
    pub workload_scopes: &'static [&'static str],
    /// Where groups are.
    pub groups: &'static [&'static str],
    /// Where the client is.
    pub client: &'static [&'static str],
    /// Where the email is.
    pub email: &'static [&'static str],
    /// A claim that must be true before the email is believed; otherwise it is enough that
    /// `email_verified` is not false.
    pub email_proof: Option<&'static str>,
    /// Value of the payload's `typ` in access tokens, where the product writes one (Keycloak).
    pub payload_typ: Option<&'static str>,
    /// True when what callers have is an ID token; then the signs of one are no reason to refuse.
    pub id_tokens: bool,
    /// How programs are known.
    pub workload: WorkloadSign,
    /// Claims that change with each token of one login, besides those of every issuer.
    pub volatile: &'static [&'static str],
    /// Hosts that the metadata document may name for keys, besides the issuer's own.
    pub key_hosts: &'static [&'static str],
}

/// The table.
pub static PRESETS: [Quirks; 6] = [
    Quirks {
        name: "oidc",
        preset: Preset::Oidc,
        scopes: &["scope", "scp"],
        workload_scopes: &[],
        groups: &["groups"],
        client: &["client_id", "azp", "cid"],
        email: &["email"],
        email_proof: None,
        payload_typ: None,
        id_tokens: false,
        workload: WorkloadSign::None,
        volatile: &[],
        key_hosts: &[],
    },
    // https://developer.okta.com/docs/reference/api/oidc/#access-token
    Quirks {
        name: "okta",
        preset: Preset::Okta,
        scopes: &["scp"],
        workload_scopes: &[],
        groups: &["groups"],
        client: &["cid"],
        email: &["email"],
        email_proof: None,
        payload_typ: None,
        id_tokens: false,
        workload: WorkloadSign::None,
        volatile: &[],
        key_hosts: &[],
    },
    // https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    // Entra's email is whatever the tenant wrote; only xms_edov says that the domain's owner was verified.
    Quirks {
        name: "entra",
        preset: Preset::Entra,
        scopes: &["scp"],
        workload_scopes: &["roles"],
        groups: &["groups"],
        client: &["azp", "appid"],
        email: &["email"],
        email_proof: Some("xms_edov"),
        payload_typ: None,
        id_tokens: false,
        workload: WorkloadSign::EntraAppOnly,
        volatile: &["aio", "rh", "uti", "xms_ftd"],
        key_hosts: &[
            "login.microsoftonline.com",
            "login.windows.net",
            "login.microsoftonline.us",
            "login.partner.microsoftonline.cn",
        ],
    },
    // Lightweight access tokens omit `sub`; they are refused for that, and the message says so.
    Quirks {
        name: "keycloak",
        preset: Preset::Keycloak,
        scopes: &["scope"],
        workload_scopes: &[],
        groups: &["groups"],
        client: &["azp", "client_id"],
        email: &["email"],
        email_proof: None,
        payload_typ: Some("Bearer"),
        id_tokens: false,
        workload: WorkloadSign::KeycloakServiceAccount,
        volatile: &["clientAddress", "clientHost"],
        key_hosts: &[],
    },
    // https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles ; `permissions` is RBAC's list of
    // what the caller may do at this audience.
    Quirks {
        name: "auth0",
        preset: Preset::Auth0,
        scopes: &["scope", "permissions"],
        workload_scopes: &[],
        groups: &["groups"],
        client: &["azp", "client_id"],
        email: &["email"],
        email_proof: None,
        payload_typ: None,
        id_tokens: false,
        workload: WorkloadSign::Auth0Grant,
        volatile: &[],
        key_hosts: &[],
    },
    // https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload
    Quirks {
        name: "google",
        preset: Preset::Google,
        scopes: &["scope"],
        workload_scopes: &[],
        groups: &["groups"],
        client: &["azp"],
        email: &["email"],
        email_proof: Some("email_verified"),
        payload_typ: None,
        id_tokens: true,
        workload: WorkloadSign::None,
        volatile: &[],
        key_hosts: &["www.googleapis.com"],
    },
];

static PLAIN: &Quirks = {
    let [plain, ..] = &PRESETS;
    plain
};

impl Preset {
    /// From its name in the configuration.
    pub fn named(name: &str) -> Option<Self> {
        PRESETS.iter().find(|quirks| quirks.name == name).map(|quirks| quirks.preset)
    }

    /// Its row of the table.
    pub fn quirks(self) -> &'static Quirks {
        PRESETS.iter().find(|quirks| quirks.preset == self).unwrap_or(PLAIN)
    }
}

impl Quirks {
    pub(super) fn claims(&self) -> ClaimPaths {
        let paths =
            |names: &'static [&'static str]| names.iter().map(|name| ClaimPath::fixed(name)).collect();
        ClaimPaths {
            scopes: paths(self.scopes),
            groups: paths(self.groups),
            client: paths(self.client),
            email: paths(self.email),
        }
    }
}
