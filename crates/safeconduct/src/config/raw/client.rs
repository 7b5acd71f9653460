//! `clients`: who we are at a token endpoint.

use safeconduct_identity::client_auth;

use super::super::decode::section;
use super::super::values::{SecretText, choice};

section! {
    /// One registration of the gateway at an authorization server.
    Client {
        /// The client identifier.
        client_id, required: String;
        /// How the client proves itself: by a secret (`client_secret_basic` in the header, `client_secret_post` in the
        /// form), by a signed assertion (`private_key_jwt`, RFC 7523), by a certificate for the connection
        /// (`tls_client_auth`, `self_signed_tls_client_auth`, RFC 8705), by a token that the platform puts into a file
        /// (`assertion_file`), by a JWT-SVID in a file (`spiffe`), by the Azure machine's own identity
        /// (`managed_identity`), or not at all (`none`). Default: `client_secret_basic`.
        auth: AuthMethod;
        /// The secret, by reference: `env:NAME` or `file:PATH` (a file is read again when it changes).
        /// For `client_secret_basic` and `client_secret_post`.
        client_secret: SecretText;
        /// `client_secret_basic` only. `form`: identifier and secret are form-encoded before base64, as RFC 6749 §2.3.1
        /// says; `raw`: for servers that do not decode them. Default: `form`.
        basic_encoding: BasicEncoding;
        /// The private key, PEM (PKCS#8), by reference; a file is read again when it changes. For `private_key_jwt`,
        /// `tls_client_auth` and `self_signed_tls_client_auth`.
        private_key: SecretText;
        /// A PEM file with the certificate of that key, and after it those of the authorities between, if any; read
        /// again when it changes. Required for `tls_client_auth` and `self_signed_tls_client_auth`. With
        /// `private_key_jwt` the assertion then names the key by `x5t` and `x5t#S256`, as Entra wants it.
        certificate: String;
        /// `private_key_jwt` with `certificate` only: sends the certificates in the assertion (`x5c`), for servers that
        /// know the authority and the subject instead of each certificate. Default: `false`.
        send_certificate: bool;
        /// `private_key_jwt` only: the `kid` that the authorization server knows the key by.
        key_id: String;
        /// `private_key_jwt` only. Default: by the key, RS256, ES256, ES384 or EdDSA.
        algorithm: SigningAlgorithm;
        /// `private_key_jwt` only: the assertion's `aud`. `token_endpoint`: the URL that it is sent to; `issuer`: the
        /// identifier in `issuer` below. Default: `token_endpoint`.
        assertion_audience: AssertionAudienceWord;
        /// The authorization server's issuer identifier. `private_key_jwt` with `assertion_audience: issuer`: what stands
        /// in `aud`. `tls_client_auth` and `self_signed_tls_client_auth`: its metadata is asked for the addresses that
        /// it has for clients with a certificate (`mtls_endpoint_aliases`, RFC 8705 §5); without `issuer`, the
        /// `token_endpoint` of a step is to be that address.
        issuer: String;
        /// `assertion_file`: the file that the platform puts the token into (a Kubernetes projected service account
        /// token, `AZURE_FEDERATED_TOKEN_FILE`). `spiffe`: the file that spiffe-helper puts the JWT-SVID into. Read at
        /// each use.
        assertion_file: String;
        /// `managed_identity` only: how the machine's own identity is asked for.
        managed_identity: ManagedIdentity;
        /// Binds the tokens that are issued to this client to a key (DPoP, RFC 9449), with any method of
        /// authentication: a proof goes with each request to the token endpoint, and with each request to the MCP
        /// server that is asked with the token. The server's `deliver` must be the default one. An answer without
        /// `token_type: DPoP` is refused. Default: `false`.
        dpop: bool;
        /// With `dpop: true` only: the key, PEM, for ES256 (P-256) or EdDSA (Ed25519), by reference; read at start and
        /// at a reload. Default: a new ES256 key at each start.
        dpop_key: SecretText;
    }
}

section! {
    /// The identity that Azure gives a machine, as proof of who an Entra application is. The application needs a
    /// federated identity credential that names this identity.
    ManagedIdentity {
        /// The client identifier of a user-assigned identity. Default: the machine's system-assigned one.
        client_id: String;
        /// The audience of the machine's token. Default: `api://AzureADTokenExchange`
        /// (`api://AzureADTokenExchangeUSGov`, `api://AzureADTokenExchangeChina`).
        audience: String;
        /// Where the machine is asked. Plain http is accepted for loopback and link-local addresses. Default: what
        /// `IDENTITY_ENDPOINT` says (App Service, Container Apps), else the virtual machine's
        /// `http://169.254.169.254/metadata/identity/oauth2/token`.
        endpoint: String;
        /// App Service and Container Apps only: the secret of the header `X-IDENTITY-HEADER`, by reference. Default: with
        /// `IDENTITY_ENDPOINT`, `env:IDENTITY_HEADER`.
        header: SecretText;
    }
}

choice! {
    /// How a client proves itself (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705 §2).
    pub(crate) AuthMethod {
        /// HTTP Basic.
        "client_secret_basic" => ClientSecretBasic,
        /// Identifier and secret in the form.
        "client_secret_post" => ClientSecretPost,
        /// A signed assertion.
        "private_key_jwt" => PrivateKeyJwt,
        /// A certificate of an authority that the server trusts.
        "tls_client_auth" => TlsClientAuth,
        /// A certificate that is itself registered.
        "self_signed_tls_client_auth" => SelfSignedTlsClientAuth,
        /// A token that the platform puts into a file.
        "assertion_file" => AssertionFile,
        /// A JWT-SVID in a file.
        "spiffe" => Spiffe,
        /// A token of the Azure machine's own identity.
        "managed_identity" => ManagedIdentity,
        /// The identifier alone: a public client.
        "none" => None,
    }
}

choice! {
    /// How identifier and secret are written before base64.
    pub BasicEncoding {
        /// Form-encoded (RFC 6749 §2.3.1).
        "form" => Form,
        /// As they are.
        "raw" => Raw,
    }
}

choice! {
    /// What an assertion is signed with.
    pub SigningAlgorithm {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        "RS256" => Rs256,
        /// RSASSA-PSS with SHA-256.
        "PS256" => Ps256,
        /// ECDSA on P-256.
        "ES256" => Es256,
        /// ECDSA on P-384.
        "ES384" => Es384,
        /// Ed25519.
        "EdDSA" => EdDsa,
    }
}

impl From<SigningAlgorithm> for client_auth::SigningAlgorithm {
    fn from(written: SigningAlgorithm) -> Self {
        match written {
            SigningAlgorithm::Rs256 => Self::Rs256,
            SigningAlgorithm::Ps256 => Self::Ps256,
            SigningAlgorithm::Es256 => Self::Es256,
            SigningAlgorithm::Es384 => Self::Es384,
            SigningAlgorithm::EdDsa => Self::EdDsa,
        }
    }
}

choice! {
    /// Whom an assertion is for.
    pub(crate) AssertionAudienceWord {
        /// The URL that it is sent to.
        "token_endpoint" => TokenEndpoint,
        /// The authorization server's issuer identifier.
        "issuer" => Issuer,
    }
}
