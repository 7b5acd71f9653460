//! Tokens made with independent code (`jsonwebtoken`), and requests that carry them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm as Alg, EncodingKey};
use safeconduct_core::audit::{Record, Sink, Trail};
use safeconduct_core::caller::{IssuerRules, KeySet, Preset, TokenProblem, Verified, verify_jwt};
use safeconduct_core::mcp::Verb;
use safeconduct_core::path::Arrived;
use safeconduct_core::server::{Catalogue, Delivery, Server};
use safeconduct_core::time::Timestamp;
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://idp.example/oauth2/default";
pub(crate) const RESOURCE: &str = "https://mcp.example.com/orders/mcp";
pub(crate) const NOW: u64 = 1_760_000_000;

/// A signing key and its public half as a JWK.
pub(crate) struct Signer {
    pub(crate) kid: &'static str,
    pub(crate) alg: Alg,
    pub(crate) key: EncodingKey,
    pub(crate) jwk: Value,
}

/// One key of each kind, made once.
pub(crate) fn signers() -> &'static [Signer; 4] {
    static SIGNERS: OnceLock<[Signer; 4]> = OnceLock::new();
    SIGNERS.get_or_init(|| {
        let random = SystemRandom::new();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
        [
            rsa("rsa", KeySize::Rsa2048),
            signer("p256", Alg::ES256, EncodingKey::from_ec_der(p256.as_ref())),
            signer("p384", Alg::ES384, EncodingKey::from_ec_der(p384.as_ref())),
            signer("ed", Alg::EdDSA, EncodingKey::from_ed_der(ed.as_ref())),
        ]
    })
}

pub(crate) fn rsa(kid: &'static str, size: KeySize) -> Signer {
    let pair = RsaKeyPair::generate(size).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    // jsonwebtoken wants the RSAPrivateKey that stands at the end of the PKCS#8 wrapping.
    let at = der.as_ref().windows(4).skip(4).position(|w| w[..2] == [0x30, 0x82]).unwrap() + 4;
    signer(kid, Alg::RS256, EncodingKey::from_rsa_der(&der.as_ref()[at..]))
}

fn signer(kid: &'static str, alg: Alg, key: EncodingKey) -> Signer {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, alg).unwrap()).unwrap();
    jwk["kid"] = kid.into();
    jwk["use"] = "sig".into();
    // The tests say for themselves which algorithm a key is for.
    jwk.as_object_mut().unwrap().remove("alg");
    Signer { kid, alg, key, jwk }
}

pub(crate) fn rsa_signer() -> &'static Signer {
    &signers()[0]
}

pub(crate) fn jwks(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

pub(crate) fn key_set() -> KeySet {
    let all: Vec<Value> = signers().iter().map(|signer| signer.jwk.clone()).collect();
    KeySet::from_jwks(&jwks(&all)).unwrap()
}

pub(crate) fn rules() -> IssuerRules {
    IssuerRules::new("corp", ISSUER, Preset::Oidc)
}

/// Claims of a good token.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "alice@example.com", "aud": RESOURCE, "exp": NOW + 300, "iat": NOW - 10,
        "client_id": "claude-code", "scope": "mcp:tools:list mcp:tools:call", "groups": ["support"],
    })
}

/// Good claims with one changed, or taken away where the value is null.
pub(crate) fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    if !value.is_null() {
        claims[name] = value;
    }
    claims
}

pub(crate) fn header(signer: &Signer) -> Value {
    let alg = match signer.alg {
        Alg::RS256 => "RS256",
        Alg::ES256 => "ES256",
        Alg::ES384 => "ES384",
        _ => "EdDSA",
    };
    json!({ "alg": alg, "kid": signer.kid, "typ": "at+jwt" })
}

/// The good header with one member changed, or taken away where the value is null.
pub(crate) fn header_with(name: &str, value: Value) -> Value {
    let mut header = header(rsa_signer());
    header.as_object_mut().unwrap().remove(name);
    if !value.is_null() {
        header[name] = value;
    }
    header
}

/// Signs exactly these bytes.
pub(crate) fn sign_raw(signer: &Signer, alg: Alg, header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &signer.key, alg).unwrap();
    format!("{message}.{signature}")
}

pub(crate) fn mint(claims: &Value) -> String {
    mint_with(&header(rsa_signer()), claims)
}

pub(crate) fn mint_with(header: &Value, claims: &Value) -> String {
    let signer = rsa_signer();
    sign_raw(signer, signer.alg, header.to_string().as_bytes(), claims.to_string().as_bytes())
}

struct Quiet;

impl Sink for Quiet {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(NOW)
    }
    fn write(&self, _: &Record) {}
}

/// A request for the server whose resource identifier is `resource`, with this token.
pub(crate) fn arrive_at(resource: &str, token: &str) -> Arrived {
    arrive_with(resource, token, &[])
}

/// The same, with further headers.
pub(crate) fn arrive_with(resource: &str, token: &str, further: &[(&'static str, &'static str)]) -> Arrived {
    let server = Server {
        name: "orders".into(),
        resource: resource.into(),
        metadata_url: "https://mcp.example.com/.well-known/oauth-protected-resource/orders/mcp".into(),
        issuers: vec!["corp".into()],
        scopes: Default::default(),
        url: http::Uri::from_static("http://127.0.0.1:9000/mcp"),
        started: false,
        delivery: Delivery::default(),
        shared_credential: false,
        catalogue: Catalogue::default(),
        pins: None,
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    for (name, value) in further {
        headers.append(*name, HeaderValue::from_static(value));
    }
    let trail = Trail::open(Arc::new(Quiet), [b'0'; 26]);
    match Arrived::from_head(Arc::new(server), Verb::Post, headers, None, trail) {
        Ok(arrived) => arrived,
        Err(refusal) => panic!("{:?}", refusal.reason),
    }
}

pub(crate) fn arrive(token: &str) -> Arrived {
    arrive_at(RESOURCE, token)
}

pub(crate) fn verify_under(
    rules: &IssuerRules,
    keys: &KeySet,
    token: &str,
) -> Result<Verified, TokenProblem> {
    verify_jwt(arrive(token).bearer(), rules, keys, Timestamp::from_secs(NOW))
}

pub(crate) fn verify(token: &str) -> Result<Verified, TokenProblem> {
    verify_under(&rules(), &key_set(), token)
}

/// The problem with a token, or none.
pub(crate) fn problem(token: &str) -> Option<TokenProblem> {
    verify(token).err()
}

pub(crate) fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(NOW).plus(Duration::from_secs(second))
}
