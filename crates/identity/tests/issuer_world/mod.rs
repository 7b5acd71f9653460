//! Issuers on loopback, a verifier before them, and a clock that is turned by hand.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use safeconduct_core::audit::{Record, Sink, Trail};
use safeconduct_core::caller::{IssuerRules, Preset, Principal};
use safeconduct_core::mcp::Verb;
use safeconduct_core::path::Arrived;
use safeconduct_core::refusal::Reason;
use safeconduct_core::secret::Secret;
use safeconduct_core::server::{Catalogue, Delivery, Server};
use safeconduct_core::time::Timestamp;
use safeconduct_identity::client_auth::{BasicEncoding, ClientAuth, ClientSecretBasic};
use safeconduct_identity::clock::Clock;
use safeconduct_identity::introspection::Introspection;
use safeconduct_identity::issuer::{IssuerKeys, KeySource};
use safeconduct_identity::secret_source::SecretSource;
use safeconduct_identity::verifier::{Issuer, KnownTokens, Verifier};
use safeconduct_identity::wire::{Endpoint, Wire, WireConfig};
use safeconduct_testkit::clock::Clock as IdpClock;
use safeconduct_testkit::idp::{Idp, Mint};
use safeconduct_testkit::oauth::Client;
use safeconduct_testkit::wire::{Edge, Reply, Seen, Serve};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// When the tests begin, in seconds since the epoch.
pub const NOW: u64 = 1_800_000_000;
pub const AUDIENCE: &str = "mcp-server";

/// Everybody's clock: tokio's, which a test can move on.
pub struct Time {
    start: Instant,
    idps: Mutex<Vec<IdpClock>>,
}

impl Time {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), idps: Mutex::default() })
    }

    /// Lets this much time pass, for timers too.
    pub async fn skip(&self, by: Duration) {
        tokio::time::pause();
        tokio::time::advance(by).await;
        tokio::time::resume();
        self.idps.lock().unwrap().iter().for_each(|clock| clock.advance(by));
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_secs(NOW).plus(self.start.elapsed())
    }
}

impl Clock for Time {
    fn wall(&self) -> Timestamp {
        self.now()
    }

    fn steady(&self) -> Duration {
        Duration::from_secs(1000) + self.start.elapsed()
    }
}

pub fn wire() -> Wire {
    let config = WireConfig { system_roots: false, ..WireConfig::default() };
    Wire::new(&config, tokio::runtime::Handle::current()).unwrap()
}

pub fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Waits, on the real clock, until it is so; fails after ten seconds.
pub async fn until(mut so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to be");
}

struct Quiet;

impl Sink for Quiet {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(NOW)
    }
    fn write(&self, _: &Record) {}
}

/// A request with this token to a server that believes these issuers.
pub fn arrive(issuers: &[&str], token: &str) -> Arrived {
    let server = Server {
        name: "orders".into(),
        resource: "https://mcp.example.com/orders/mcp".into(),
        metadata_url: "https://mcp.example.com/.well-known/oauth-protected-resource/orders/mcp".into(),
        issuers: issuers.iter().map(|alias| (*alias).into()).collect(),
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
    let trail = Trail::open(Arc::new(Quiet), [b'0'; 26]);
    match Arrived::from_head(Arc::new(server), Verb::Post, headers, None, trail) {
        Ok(arrived) => arrived,
        Err(refusal) => panic!("{:?}", refusal.reason),
    }
}

/// Who the token's caller is, at a server that believes these issuers.
pub async fn caller_at(
    verifier: &Verifier,
    issuers: &[&str],
    token: &str,
    now: Timestamp,
) -> Result<Arc<Principal>, Reason> {
    match verifier.authenticate(arrive(issuers, token), now).await {
        Ok(authenticated) => Ok(authenticated.principal().clone()),
        Err(refusal) => Err(refusal.reason.clone()),
    }
}

/// True for a token that is not believed: the caller's fault.
pub fn is_refused<T>(outcome: &Result<T, Reason>) -> bool {
    matches!(outcome, Err(Reason::InvalidToken(_)))
}

/// True where nobody knows: the issuer's fault.
pub fn is_unknown<T>(outcome: &Result<T, Reason>) -> bool {
    matches!(outcome, Err(Reason::IssuerUnavailable(_)))
}

pub fn rules(alias: &str, issuer: &str) -> IssuerRules {
    let mut rules = IssuerRules::new(alias, issuer, Preset::Oidc);
    rules.audiences = vec![AUDIENCE.into()];
    rules
}

/// Where the keys of a testkit provider are.
pub fn at_its_keys(idp: &Idp) -> KeySource {
    KeySource::Uri(Endpoint::parse(&idp.jwks_uri(), false).unwrap())
}

/// How many times its keys were fetched.
pub fn fetches(idp: &Idp) -> usize {
    idp.log().to("/jwks").len()
}

/// How many times it was asked about a token.
pub fn questions(idp: &Idp) -> usize {
    idp.log().to("/introspect").len()
}

/// One issuer `corp`, and the verifier that believes it.
pub struct World {
    pub time: Arc<Time>,
    pub idp: Idp,
    pub keys: Arc<IssuerKeys>,
    pub known: Arc<KnownTokens>,
    pub wire: Wire,
    pub verifier: Verifier,
}

impl World {
    pub async fn start() -> Self {
        Self::asking(None).await
    }

    /// With introspection, answers believed for this long.
    pub async fn asking(cache: Option<Duration>) -> Self {
        let time = Time::new();
        let idp = provider(&time).await;
        let wire = wire();
        let keys = IssuerKeys::start(idp.issuer(), at_its_keys(&idp), wire.clone(), time.clone());
        keys.first().await.unwrap();
        let known = KnownTokens::new(4096);
        let introspection = cache.map(|cache| introspection(&idp, cache, &wire));
        let issuer =
            Issuer { rules: rules("corp", idp.issuer()), keys: keys.clone(), introspection, logout: None };
        let verifier = Verifier::new(vec![issuer], known.clone());
        Self { time, idp, keys, known, wire, verifier }
    }

    pub fn token(&self, user: &str) -> String {
        self.idp.mint(user, AUDIENCE, "call", seconds(3600 * 100))
    }

    pub fn opaque(&self, user: &str) -> String {
        self.idp.mint_opaque(&Mint::user(user).audience(AUDIENCE))
    }

    pub async fn caller(&self, token: &str) -> Result<Arc<Principal>, Reason> {
        caller_at(&self.verifier, &["corp"], token, self.time.now()).await
    }

    /// A verifier of another plan, with what is known of tokens by now.
    pub fn reloaded(&self, change: impl FnOnce(&mut Issuer)) -> Verifier {
        let rules = rules("corp", self.idp.issuer());
        let mut issuer = Issuer { rules, keys: self.keys.clone(), introspection: None, logout: None };
        change(&mut issuer);
        Verifier::new(vec![issuer], self.known.clone())
    }
}

pub async fn provider(time: &Arc<Time>) -> Idp {
    let clock = IdpClock::standing_at(NOW);
    time.idps.lock().unwrap().push(clock.clone());
    Idp::start_at("", clock).await.unwrap()
}

/// Asks the provider as the client `gateway`.
pub fn introspection(idp: &Idp, cache: Duration, wire: &Wire) -> Introspection {
    let (client, secret) = Client::basic("gateway");
    idp.add_client(client);
    let endpoint = Endpoint::parse(&idp.introspection_endpoint(), false).unwrap();
    Introspection::new(endpoint, basic(&secret), cache, wire.clone())
}

pub fn basic(secret: &str) -> Arc<dyn ClientAuth> {
    let secret = SecretSource::given(Secret::new(secret.as_bytes().to_vec())).unwrap();
    Arc::new(ClientSecretBasic::new("gateway".into(), secret, BasicEncoding::Form).unwrap())
}

/// An edge that answers as it is told, at once or when it is let.
pub struct Scripted {
    pub edge: Edge,
    script: Arc<Script>,
}

type Answer = Box<dyn Fn(&str, &Seen) -> Reply + Send + Sync>;

struct Script {
    base: String,
    answer: Mutex<Answer>,
    gate: Semaphore,
}

impl Scripted {
    /// `answer` is given the base URL and the request.
    pub async fn start(answer: impl Fn(&str, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let (listener, address) = Edge::bind().await.unwrap();
        let script = Arc::new(Script {
            base: format!("http://{address}"),
            answer: Mutex::new(Box::new(answer)),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        Self { edge: Edge::start(listener, address, script.clone()), script }
    }

    pub fn now_answers(&self, answer: impl Fn(&str, &Seen) -> Reply + Send + Sync + 'static) {
        *self.script.answer.lock().unwrap() = Box::new(answer);
    }

    /// Nothing is answered any more.
    pub fn hold(&self) {
        self.script.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Everything is.
    pub fn release(&self) {
        self.script.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.script.base)
    }

    pub fn keys(&self) -> KeySource {
        KeySource::Uri(Endpoint::parse(&self.url("/jwks"), false).unwrap())
    }

    pub fn count(&self) -> usize {
        self.edge.log().count()
    }
}

impl Serve for Script {
    async fn serve(self: Arc<Self>, seen: Seen) -> Reply {
        let _open = self.gate.acquire().await.unwrap();
        let answer = self.answer.lock().unwrap();
        answer(&self.base, &seen)
    }
}

pub fn json(document: &serde_json::Value) -> Reply {
    Reply::json(StatusCode::OK, document)
}
