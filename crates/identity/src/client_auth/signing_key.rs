//! A private key that signs client assertions: PEM or DER, PKCS#8, PKCS#1 or SEC1, by aws-lc-rs.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use safeconduct_core::secret::Secret;
use serde_json::{Value, json};

/// JWS algorithm of a client assertion (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    /// The value of the `alg` header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A key and the one algorithm it is used with (RFC 8725 §3.1).
pub(super) struct SigningKey {
    algorithm: SigningAlgorithm,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Reads a key. Without an algorithm the key decides: RS256 for RSA, else by the curve.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(encoded: &Secret, asked: Option<SigningAlgorithm>) -> Result<Self, &'static str> {
        let der = private_key(encoded)?;
        let candidates = match asked {
            Some(algorithm) => vec![algorithm],
            None => vec![
                SigningAlgorithm::Rs256,
                SigningAlgorithm::Es256,
                SigningAlgorithm::Es384,
                SigningAlgorithm::EdDsa,
            ],
        };
        let mut problem = "not a key of a supported kind (RSA, P-256, P-384, Ed25519)";
        for algorithm in candidates {
            match pair(&der, algorithm) {
                Ok(pair) => return Ok(Self { algorithm, pair }),
                Err(refused) if asked.is_some() || refused == TOO_SHORT => problem = refused,
                Err(_) => {}
            }
        }
        Err(problem)
    }

    pub(super) fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The JWS signature over `message`. None only when the library fails.
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Pair::Ecdsa(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
        }
    }

    /// A compact JWS (RFC 7515 §7.1). None only when the library fails.
    pub(super) fn jws(&self, header: &Value, claims: &Value) -> Option<String> {
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(token)
    }

    /// A new key for ECDSA on P-256. None only when the library fails.
    pub(super) fn generate() -> Option<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
        Some(Self { algorithm: SigningAlgorithm::Es256, pair: Pair::Ecdsa(pair) })
    }

    /// The public key as a JWK with the members that its thumbprint is made of, and no others (RFC 7638 §3.2); None
    /// for RSA.
    pub(super) fn public_jwk(&self) -> Option<Value> {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match (self.algorithm, self.public()) {
            // SEC 1 §2.3.3: an uncompressed point, 4 and both coordinates.
            (SigningAlgorithm::Es256 | SigningAlgorithm::Es384, [4, point @ ..]) => {
                let (x, y) = point.split_at_checked(point.len() / 2)?;
                let curve = if self.algorithm == SigningAlgorithm::Es256 { "P-256" } else { "P-384" };
                Some(json!({ "crv": curve, "kty": "EC", "x": part(x), "y": part(y) }))
            }
            (SigningAlgorithm::EdDsa, x) => Some(json!({ "crv": "Ed25519", "kty": "OKP", "x": part(x) })),
            _ => None,
        }
    }

    /// The public key, as the library writes it.
    pub(super) fn public(&self) -> &[u8] {
        match &self.pair {
            Pair::Rsa(pair, _) => pair.public_key().as_ref(),
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }
}

/// A private key in PEM or DER form.
pub(super) fn private_key(encoded: &Secret) -> Result<PrivateKeyDer<'static>, &'static str> {
    let bytes = encoded.expose();
    if bytes.starts_with(b"-----") || bytes.windows(11).any(|part| part == b"-----BEGIN ") {
        PrivateKeyDer::from_pem_slice(bytes).map_err(|_| "no PEM private key in it")
    } else {
        Ok(PrivateKeyDer::try_from(bytes).map_err(|_| "neither PEM nor a DER private key")?.clone_key())
    }
}

const TOO_SHORT: &str = "an RSA key of less than 2048 bits (RFC 7518 §3.3)";

fn pair(der: &PrivateKeyDer<'_>, algorithm: SigningAlgorithm) -> Result<Pair, &'static str> {
    match algorithm {
        SigningAlgorithm::Rs256 => Ok(Pair::Rsa(rsa(der)?, &RSA_PKCS1_SHA256)),
        SigningAlgorithm::Ps256 => Ok(Pair::Rsa(rsa(der)?, &RSA_PSS_SHA256)),
        SigningAlgorithm::Es256 => Ok(Pair::Ecdsa(ecdsa(der, &ECDSA_P256_SHA256_FIXED_SIGNING)?)),
        SigningAlgorithm::Es384 => Ok(Pair::Ecdsa(ecdsa(der, &ECDSA_P384_SHA384_FIXED_SIGNING)?)),
        SigningAlgorithm::EdDsa => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_der())
            .map(Pair::Ed25519)
            .map_err(|_| "not an Ed25519 key in PKCS#8"),
    }
}

fn rsa(der: &PrivateKeyDer<'_>) -> Result<RsaKeyPair, &'static str> {
    let pair = match der {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        other => RsaKeyPair::from_pkcs8(other.secret_der()),
    }
    .map_err(|_| "not an RSA key")?;
    if pair.public_modulus_len() < 256 { Err(TOO_SHORT) } else { Ok(pair) }
}

fn ecdsa(
    der: &PrivateKeyDer<'_>,
    algorithm: &'static EcdsaSigningAlgorithm,
) -> Result<EcdsaKeyPair, &'static str> {
    EcdsaKeyPair::from_private_key_der(algorithm, der.secret_der())
        .map_err(|_| "not a key of the algorithm's curve")
}
