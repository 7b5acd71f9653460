//! `private_key_jwt`: a signed assertion instead of a secret (RFC 7523 §2.2, RFC 7521 §4.2).

use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use safeconduct_core::credential::Form;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::key_certificate::Shown;
use super::rotating::Rotating;
use super::signing_key::SigningKey;
use super::{ClientAuth, ClientAuthError, JWT_BEARER, SigningAlgorithm, assert};
use crate::secret_source::SecretSource;

/// How long an assertion lives; servers refuse more than five minutes.
const LIFETIME: Duration = Duration::from_secs(60);
/// How far `iat` lies back, for servers whose clock is behind and whose skew is zero.
const BACK_DATED: Duration = Duration::from_secs(10);

/// What stands in the assertion's `aud`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AssertionAudience {
    /// The token endpoint's URL: what all servers accept (RFC 7523 §3).
    #[default]
    TokenEndpoint,
    /// The server's issuer identifier, as a single string (draft-ietf-oauth-rfc7523bis).
    Issuer(Box<str>),
}

/// A certificate of the key, for servers that know the key by it (Entra).
pub struct KeyCertificate {
    /// The chain, the key's own certificate first, in PEM form.
    pub chain: SecretSource,
    /// The chain itself is sent, too (`x5c`): for servers that trust its authority and know the subject only.
    pub sent: bool,
}

/// See the module.
pub struct PrivateKeyJwt {
    client_id: Box<str>,
    key: Rotating<Signer>,
    key_id: Option<Box<str>>,
    audience: AssertionAudience,
}

/// The key as last read, and what is said of it in the header.
struct Signer {
    key: SigningKey,
    certificate: Option<Shown>,
}

impl Signer {
    fn read(
        key: &Secret,
        algorithm: Option<SigningAlgorithm>,
        chain: Option<&Secret>,
        sent: bool,
    ) -> Result<Self, &'static str> {
        let certificate = chain.map(|chain| Shown::read(chain, key, sent)).transpose()?;
        Ok(Self { key: SigningKey::read(key, algorithm)?, certificate })
    }
}

impl PrivateKeyJwt {
    /// Whether a key could sign, and its certificate is its own: what can be said before there is a client.
    ///
    /// # Errors
    /// What is wrong; never the content.
    pub fn check(
        key: &Secret,
        algorithm: Option<SigningAlgorithm>,
        chain: Option<&Secret>,
    ) -> Result<(), &'static str> {
        Signer::read(key, algorithm, chain, false).map(drop)
    }

    /// For this client; `algorithm` only where the key alone does not say it (PS256).
    ///
    /// # Errors
    /// `Key` when it is not a private key of the algorithm.
    pub fn new(
        client_id: Box<str>,
        source: SecretSource,
        algorithm: Option<SigningAlgorithm>,
        key_id: Option<Box<str>>,
        audience: AssertionAudience,
    ) -> Result<Self, ClientAuthError> {
        Self::certified(client_id, source, algorithm, key_id, audience, None)
    }

    /// The same with a certificate that the server knows the key by.
    ///
    /// # Errors
    /// As [`PrivateKeyJwt::new`]; `Key`, too, when the certificate is not that key's.
    pub fn certified(
        client_id: Box<str>,
        source: SecretSource,
        algorithm: Option<SigningAlgorithm>,
        key_id: Option<Box<str>>,
        audience: AssertionAudience,
        certificate: Option<KeyCertificate>,
    ) -> Result<Self, ClientAuthError> {
        let sent = certificate.as_ref().is_some_and(|certificate| certificate.sent);
        let sources = [Some(source), certificate.map(|certificate| certificate.chain)];
        let key = Rotating::new(sources.into_iter().flatten().collect(), move |read| {
            let (key, chain) = read.split_first().ok_or("no key")?;
            Signer::read(key, algorithm, chain.first().map(|chain| &**chain), sent)
        });
        let key = key.map_err(|problem| ClientAuthError::Key { client: client_id.to_string(), problem })?;
        Ok(Self { client_id, key, key_id, audience })
    }

    fn assertion(&self, endpoint: &str, now: Timestamp) -> Result<Secret, ClientAuthError> {
        let failed = || ClientAuthError::Signing(self.client_id.to_string());
        let Signer { key, certificate } = &*self.key.current(&self.client_id);
        let mut header = Map::from_iter([
            ("alg".to_owned(), json!(key.algorithm().name())),
            ("typ".to_owned(), json!("JWT")),
        ]);
        if let Some(key_id) = &self.key_id {
            header.insert("kid".into(), json!(key_id));
        }
        if let Some(certificate) = certificate {
            certificate.write(&mut header);
        }
        let mut unique = [0; 16];
        rand::fill(&mut unique).map_err(|_| failed())?;
        let audience = match &self.audience {
            AssertionAudience::TokenEndpoint => endpoint,
            AssertionAudience::Issuer(issuer) => issuer,
        };
        let issued = now.minus(BACK_DATED).secs();
        let claims = json!({
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "jti": URL_SAFE_NO_PAD.encode(unique),
            "iat": issued,
            "nbf": issued,
            "exp": now.plus(LIFETIME).secs(),
        });
        let token = key.jws(&Value::Object(header), &claims).ok_or_else(failed)?;
        Ok(Secret::new(token.into_bytes()))
    }
}

impl ClientAuth for PrivateKeyJwt {
    fn method(&self) -> &'static str {
        "private_key_jwt"
    }

    fn client_id(&self) -> Option<&str> {
        Some(&self.client_id)
    }

    fn apply(
        &self,
        form: &mut Form,
        _: &mut HeaderMap,
        endpoint: &str,
        now: Timestamp,
    ) -> Result<(), ClientAuthError> {
        let assertion = self.assertion(endpoint, now)?;
        assert(form, &self.client_id, JWT_BEARER, &assertion)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
    use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn pkcs8(algorithm: SigningAlgorithm) -> Vec<u8> {
        use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
        use aws_lc_rs::rsa::KeySize;
        let random = aws_lc_rs::rand::SystemRandom::new();
        let ecdsa =
            |curve| signature::EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap().as_ref().to_vec();
        match algorithm {
            SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => {
                let pair = signature::RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec()
            }
            SigningAlgorithm::Es256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            SigningAlgorithm::Es384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            SigningAlgorithm::EdDsa => {
                signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref().to_vec()
            }
        }
    }

    fn pem(der: &[u8]) -> Vec<u8> {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n").into_bytes()
    }

    fn client(
        key: Vec<u8>,
        algorithm: Option<SigningAlgorithm>,
        audience: AssertionAudience,
    ) -> PrivateKeyJwt {
        let source = SecretSource::given(Secret::new(key)).unwrap();
        PrivateKeyJwt::new("app".into(), source, algorithm, Some("k1".into()), audience).unwrap()
    }

    fn assertion(client: &PrivateKeyJwt) -> (Value, Value, String, Vec<u8>) {
        let (mut form, mut headers) = (Form::new(), HeaderMap::new());
        client.apply(&mut form, &mut headers, "https://as/token", NOW).unwrap();
        assert!(headers.is_empty());
        let body = String::from_utf8(form.into_body().to_vec()).unwrap();
        let token = body.split("&client_assertion=").nth(1).unwrap();
        assert!(body.starts_with("client_id=app&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A"));
        let parts: Vec<&str> = token.split('.').collect();
        let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let signed = format!("{}.{}", parts[0], parts[1]);
        (json(parts[0]), json(parts[1]), signed, URL_SAFE_NO_PAD.decode(parts[2]).unwrap())
    }

    /// Edge: 8
    #[test]
    fn every_algorithm_makes_an_assertion_that_its_public_key_verifies() {
        let table: [(SigningAlgorithm, &dyn VerificationAlgorithm); 5] = [
            (SigningAlgorithm::Rs256, &signature::RSA_PKCS1_2048_8192_SHA256),
            (SigningAlgorithm::Ps256, &signature::RSA_PSS_2048_8192_SHA256),
            (SigningAlgorithm::Es256, &signature::ECDSA_P256_SHA256_FIXED),
            (SigningAlgorithm::Es384, &signature::ECDSA_P384_SHA384_FIXED),
            (SigningAlgorithm::EdDsa, &signature::ED25519),
        ];
        for (algorithm, verification) in table {
            let asked = (algorithm == SigningAlgorithm::Ps256).then_some(algorithm);
            let client = client(pem(&pkcs8(algorithm)), asked, AssertionAudience::TokenEndpoint);
            let (header, claims, signed, signature) = assertion(&client);
            assert_eq!(header, json!({ "alg": algorithm.name(), "typ": "JWT", "kid": "k1" }));
            assert_eq!(claims["iss"], "app");
            assert_eq!(claims["sub"], "app");
            assert_eq!(claims["aud"], "https://as/token");
            assert_eq!(claims["iat"], 1_799_999_990_u64);
            assert!(claims["exp"].as_u64().unwrap() <= NOW.secs() + 300);
            let public =
                UnparsedPublicKey::new(verification, client.key.current("app").key.public().to_vec());
            public.verify(signed.as_bytes(), &signature).unwrap();
        }
    }

    /// Edge: 8
    #[test]
    fn each_attempt_has_its_own_jti_and_the_issuer_may_be_the_audience() {
        let client =
            client(pkcs8(SigningAlgorithm::Es256), None, AssertionAudience::Issuer("https://as".into()));
        let (_, first, ..) = assertion(&client);
        let (_, second, ..) = assertion(&client);
        assert_eq!(first["aud"], "https://as");
        assert_ne!(first["jti"], second["jti"]);
    }

    /// Edge: 9
    #[test]
    fn a_key_that_was_rotated_on_disk_signs_the_next_assertion() {
        let path = std::env::temp_dir().join(format!("safeconduct-client-key-{}", std::process::id()));
        std::fs::write(&path, pem(&pkcs8(SigningAlgorithm::Es256))).unwrap();
        let source = SecretSource::file(&path).unwrap();
        let client =
            PrivateKeyJwt::new("app".into(), source, None, None, AssertionAudience::TokenEndpoint).unwrap();
        let before = client.key.current("app").key.public().to_vec();
        std::fs::write(&path, pem(&pkcs8(SigningAlgorithm::EdDsa))).unwrap();
        assert_ne!(client.key.current("app").key.public(), before);
        assert_eq!(assertion(&client).0["alg"], "EdDSA");
        std::fs::write(&path, "half a key").unwrap();
        assert_eq!(assertion(&client).0["alg"], "EdDSA");
    }

    /// Edge: 8
    #[test]
    fn a_certificate_is_named_by_its_thumbprints_and_sent_whole_where_that_is_asked_for() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
        let given = |text: String| SecretSource::given(Secret::new(text.into_bytes())).unwrap();
        let made = |key: &rcgen::KeyPair, sent: bool| {
            let shown = KeyCertificate { chain: given(certificate.pem()), sent };
            let (key, audience) = (given(key.serialize_pem()), AssertionAudience::TokenEndpoint);
            PrivateKeyJwt::certified("app".into(), key, None, None, audience, Some(shown))
        };
        let (header, ..) = assertion(&made(&pair, false).unwrap());
        let thumbprint = |algorithm| URL_SAFE_NO_PAD.encode(digest(algorithm, certificate.der()));
        assert_eq!(header["x5t"], thumbprint(&SHA1_FOR_LEGACY_USE_ONLY));
        assert_eq!(header["x5t#S256"], thumbprint(&SHA256));
        assert!(header.get("x5c").is_none());
        let (header, ..) = assertion(&made(&pair, true).unwrap());
        assert_eq!(header["x5c"], json!([STANDARD.encode(certificate.der())]));
        let other = rcgen::KeyPair::generate().unwrap();
        assert!(matches!(made(&other, false), Err(ClientAuthError::Key { .. })), "of another key");
    }

    #[test]
    fn what_is_no_key_or_of_another_curve_is_refused_at_load() {
        let made = |key: Vec<u8>, algorithm| {
            let source = SecretSource::given(Secret::new(key)).unwrap();
            PrivateKeyJwt::new("app".into(), source, algorithm, None, AssertionAudience::TokenEndpoint)
                .map(drop)
        };
        assert!(made(pkcs8(SigningAlgorithm::Es256), Some(SigningAlgorithm::Es256)).is_ok());
        let wrong = made(pkcs8(SigningAlgorithm::Es384), Some(SigningAlgorithm::Es256));
        assert!(matches!(wrong, Err(ClientAuthError::Key { .. })));
        assert!(matches!(made(b"hello".to_vec(), None), Err(ClientAuthError::Key { .. })));
    }
}
