//! `clients`: who we are at a token endpoint.

use super::super::decode::section;
use super::super::values::{SecretText, choice};

section! {
    /// One registration of the gateway at an authorization server.
    Client {
        /// The client identifier.
        client_id, required: String;
        /// How the client proves itself. Default: `client_secret_basic`.
        auth: AuthMethod;
        /// The secret, by reference: `env:NAME` or `file:PATH` (a file is read again when it changes).
        /// For `client_secret_basic` and `client_secret_post`.
        client_secret: SecretText;
        /// `client_secret_basic` only. `form`: identifier and secret are form-encoded before base64, as RFC 6749 §2.3.1
        /// says; `raw`: for servers that do not decode them. Default: `form`.
        basic_encoding: BasicEncoding;
        /// `private_key_jwt` only: the private key, PEM (PKCS#8), by reference.
        private_key: SecretText;
        /// `private_key_jwt` only: the `kid` that the authorization server knows the key by.
        key_id: String;
        /// `private_key_jwt` only. Default: by the key, RS256, ES256, ES384 or EdDSA.
        algorithm: SigningAlgorithm;
        /// `private_key_jwt` only: the assertion's `aud`. `token_endpoint`: the URL that it is sent to; `issuer`: the
        /// identifier in `issuer` below. Default: `token_endpoint`.
        assertion_audience: AssertionAudienceWord;
        /// `private_key_jwt` with `assertion_audience: issuer` only: the authorization server's issuer identifier.
        issuer: String;
    }
}

choice! {
    /// How a client proves itself (RFC 6749 §2.3, RFC 7523 §2.2).
    pub(crate) AuthMethod {
        /// HTTP Basic.
        "client_secret_basic" => ClientSecretBasic,
        /// Identifier and secret in the form.
        "client_secret_post" => ClientSecretPost,
        /// A signed assertion.
        "private_key_jwt" => PrivateKeyJwt,
        /// The identifier alone: a public client.
        "none" => None,
        /// A client certificate; not in this version.
        "tls_client_auth" => TlsClientAuth,
        /// An assertion in a file; not in this version.
        "assertion_file" => AssertionFile,
        /// A SPIFFE identity; not in this version.
        "spiffe" => Spiffe,
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

choice! {
    /// Whom an assertion is for.
    pub(crate) AssertionAudienceWord {
        /// The URL that it is sent to.
        "token_endpoint" => TokenEndpoint,
        /// The authorization server's issuer identifier.
        "issuer" => Issuer,
    }
}
