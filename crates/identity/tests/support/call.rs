//! A permitted call, made of a signed token by the same moves that the gateway makes.

use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderMap;
use safeconduct_core::audit::{CredentialRecord, Outcome, Record, Sink, Trail};
use safeconduct_core::caller::{IssuerRules, KeySet, Preset, Principal, suppose, verify_jwt};
use safeconduct_core::mcp::Verb;
use safeconduct_core::mcp::door::Door;
use safeconduct_core::path::{Arrived, Authorized};
use safeconduct_core::policy::{Policy, Source};
use safeconduct_core::server::{Catalogue, Delivery, Server};
use safeconduct_core::time::Timestamp;
use serde_json::{Value, json};

/// When the tests begin.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

/// Whose call it is.
#[derive(Clone, Debug)]
pub struct Caller {
    pub claims: Value,
}

impl Caller {
    /// A user of the issuer whose token has two hours left.
    pub fn named(subject: &str) -> Self {
        Self::of("https://idp.example.com", subject)
    }

    pub fn of(issuer: &str, subject: &str) -> Self {
        let claims = json!({
            "iss": issuer,
            "sub": subject,
            "aud": "https://mcp.example.com/orders/mcp",
            "exp": NOW.secs() + 7200,
            "iat": NOW.secs(),
            "client_id": "app",
        });
        Self { claims }
    }

    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// Its token: signed, and with the marker that must never be seen behind the gateway.
    pub fn token(&self) -> String {
        jwt(&self.claims)
    }
}

/// A signed token with these claims.
pub fn jwt(claims: &Value) -> String {
    typed_jwt("at+jwt", claims)
}

/// The same with another `typ`.
pub fn typed_jwt(typ: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "EdDSA", "typ": typ, "kid": "k" })), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(KEY.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// What of a record is looked at.
#[derive(Debug)]
pub struct Seen {
    pub outcome: Outcome,
    pub code: Option<&'static str>,
    pub credential: Option<CredentialRecord>,
}

#[derive(Default)]
struct Records(Mutex<Vec<Seen>>);

impl Sink for Records {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn write(&self, record: &Record) {
        let seen = Seen { outcome: record.outcome, code: record.code, credential: record.credential.clone() };
        self.0.lock().unwrap().push(seen);
    }
}

/// Everything before the credential.
pub struct Edge {
    pub server: Arc<Server>,
    policy: Policy,
    door: Door,
    keys: KeySet,
    records: Arc<Records>,
}

impl Edge {
    pub fn new() -> Self {
        Self::serving("orders")
    }

    pub fn serving(name: &str) -> Self {
        Self::with(name, Delivery::default())
    }

    pub fn delivering(delivery: Delivery) -> Self {
        Self::with("orders", delivery)
    }

    fn with(name: &str, delivery: Delivery) -> Self {
        let server = Server {
            name: name.into(),
            resource: "https://mcp.example.com/orders/mcp".into(),
            metadata_url: "https://mcp.example.com/.well-known/oauth-protected-resource/orders/mcp".into(),
            issuers: vec!["idp.example.com".into(), "other.example.com".into()],
            scopes: Default::default(),
            url: http::Uri::from_static("http://127.0.0.1:9000/mcp"),
            started: false,
            delivery,
            shared_credential: false,
            catalogue: Catalogue::default(),
            pins: None,
        };
        let source =
            Source { file: "all.cedar".into(), text: "permit (principal, action, resource);".into() };
        let x = URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref());
        let keys =
            json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x, "alg": "EdDSA" }] });
        Self {
            server: Arc::new(server),
            policy: Policy::compile(&[source], &[name]).unwrap().0,
            door: Door::new(&[7; 32], &[]).unwrap(),
            keys: KeySet::from_jwks(keys.to_string().as_bytes()).unwrap(),
            records: Arc::default(),
        }
    }

    /// The caller's call to a tool, permitted.
    pub fn permitted(&self, caller: &Caller, now: Timestamp) -> Authorized {
        let trail = Trail::open(self.records.clone(), [b'0'; 26]);
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {}", caller.token()).parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("accept", "application/json, text/event-stream".parse().unwrap());
        headers.insert("mcp-protocol-version", "2025-06-18".parse().unwrap());
        let body = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        let Ok(arrived) = Arrived::from_head(self.server.clone(), Verb::Post, headers, None, trail) else {
            panic!()
        };
        let verified = verify_jwt(arrived.bearer(), &rules(caller), &self.keys, now).unwrap();
        let Ok(authenticated) = arrived.authenticated(&verified, &[], now) else {
            panic!("not authenticated")
        };
        let admitted = authenticated.admit(body, &self.door).map_err(|refusal| refusal.reason).unwrap();
        self.policy.authorize(admitted, now).map_err(|refusal| refusal.reason).unwrap()
    }

    /// The caller as the gateway knows them.
    pub fn principal(caller: &Caller) -> Principal {
        suppose(caller.claims.to_string().as_bytes(), &rules(caller), NOW).unwrap()
    }

    /// The records that were closed.
    pub fn records(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.records.0.lock().unwrap())
    }
}

fn rules(caller: &Caller) -> IssuerRules {
    let issuer = caller.claims["iss"].as_str().unwrap();
    IssuerRules::new(issuer.trim_start_matches("https://"), issuer, Preset::Oidc)
}
