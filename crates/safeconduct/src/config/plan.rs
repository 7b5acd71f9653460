//! The configuration as it is meant: every name looked up, every default filled in, nothing left to check.
//!
//! Plain immutable data. A reload makes another plan and swaps it whole.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::policy::Source;
use safeconduct_core::secret::Secret;

pub use super::raw::{
    Algorithm, ArgumentDetail, BasicEncoding, BroaderScope, Deviation, EngineWord, Flush, IssuedAudience,
    IssuedType, LogoutTokenType, OnFailure, Preset, SigningAlgorithm, TokenType,
};
pub use run::{RunPlan, RunSecret, RuntimePlan};
pub use step::{
    ActorPlan, AtPlan, AwsAssumeRolePlan, AwsRolePlan, AwsTagPlan, BoundaryPlan, ClientCredentialsPlan,
    EntraOboPlan, ExchangePlan, ExpectedPlan, Gives, GoogleIdTokenPlan, GoogleImpersonatePlan, GoogleStsPlan,
    IdJagPlan, JwtBearerPlan, PickPlan, ServiceAccountPlan, StepPlan, Takes, TargetsPlan, VaultPlan,
};

mod run;
mod step;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where clients are listened for.
    pub listen: SocketAddr,
    /// Certificate and key of the listener; None for plain http.
    pub tls: Option<TlsPlan>,
    /// What clients see: scheme, host and port, without a slash at its end.
    pub public_url: String,
    /// Where health, metrics and status are served.
    pub admin: Option<SocketAddr>,
    /// Values of `Host` that are accepted, in lower case; with a port only that port, without one any.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin` that are accepted.
    pub allowed_origins: Vec<String>,
    /// Networks (`10.0.0.0/8`, single addresses as `/32` and `/128`) whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Certificate authorities (PEM) believed besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Whom we believe, in the order of the file.
    pub issuers: Vec<IssuerPlan>,
    /// Who we are at token endpoints, in the order of the file.
    pub clients: Vec<ClientPlan>,
    /// The MCP servers, in the order of the file.
    pub servers: Vec<ServerPlan>,
    /// What `{group:MAP}` stands for: name of the map, then group and word in the order of the file.
    pub group_maps: Vec<(String, Vec<(String, String)>)>,
    /// Policy texts, in the order of the file and, within a directory, of their names.
    pub policies: Vec<Source>,
    /// Files and directories that the policies come from: what a reload watches.
    pub policy_paths: Vec<PathBuf>,
    /// Where it is written down what tools and images are pinned to.
    pub lock: PathBuf,
    /// Where audit lines go.
    pub audit: AuditPlan,
    /// Limits.
    pub limits: LimitsPlan,
    /// Timeouts.
    pub timeouts: TimeoutsPlan,
    /// Key that session identifiers are sealed with, 32 bytes; None: made at start.
    pub session_key: Option<Arc<SecretValue>>,
    /// Traces.
    pub telemetry: Option<TelemetryPlan>,
    /// What starts servers.
    pub runtime: RuntimePlan,
}

/// Certificate and key files, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPlan {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// One issuer of callers' tokens.
#[derive(Clone, Debug)]
pub struct IssuerPlan {
    /// Its name in the file.
    pub name: String,
    /// Issuer identifier, exactly as in `iss`.
    pub issuer: String,
    /// Known quirks.
    pub preset: Preset,
    /// Audiences accepted besides the server's own resource identifier.
    pub audiences: Vec<String>,
    /// Whether a token with an audience besides the accepted one is refused.
    pub single_audience: bool,
    /// Accepted signature algorithms; never empty.
    pub algorithms: Vec<Algorithm>,
    /// Claim paths that differ from the preset's.
    pub claims: ClaimsPlan,
    /// Introspection of opaque tokens.
    pub introspection: Option<IntrospectionPlan>,
    /// Where its keys are.
    pub keys: KeysPlan,
    /// Its logout tokens, if they are received.
    pub logout: Option<LogoutPlan>,
    /// What `typ` must be.
    pub token_type: TokenType,
    /// How far its clock may be off; at most 60 s.
    pub leeway: Duration,
    /// Oldest token accepted.
    pub max_age: Option<Duration>,
    /// Whether plain http is accepted for it beyond loopback.
    pub allow_http: bool,
}

/// Claim paths; None: by preset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimsPlan {
    /// Scopes.
    pub scopes: Option<String>,
    /// Groups.
    pub groups: Option<String>,
    /// Client.
    pub client: Option<String>,
    /// Mail address.
    pub email: Option<String>,
}

/// Logout tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutPlan {
    /// Accepted audiences; never empty.
    pub audiences: Vec<String>,
    /// What `typ` must be.
    pub token_type: LogoutTokenType,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysPlan {
    /// Found by OIDC discovery and RFC 8414.
    Discovery,
    /// At this URL.
    JwksUri(String),
    /// In this file.
    JwksFile(PathBuf),
}

/// Token introspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntrospectionPlan {
    /// Endpoint.
    pub endpoint: String,
    /// Name of the client that asks; it is in [`Plan::clients`].
    pub client: String,
    /// How long an answer is used.
    pub cache: Duration,
}

/// One client registration.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// Its name in the file.
    pub name: String,
    /// Client identifier.
    pub client_id: String,
    /// How it proves itself.
    pub auth: ClientAuthPlan,
    /// Whether its tokens are bound to a key (RFC 9449).
    pub dpop: Option<DpopPlan>,
}

/// What tokens are bound to.
#[derive(Clone, Debug)]
pub struct DpopPlan {
    /// PEM; None: made at start.
    pub key: Option<Arc<SecretValue>>,
}

/// The certificate of a signing key.
#[derive(Clone, Debug)]
pub struct KeyCertificatePlan {
    /// PEM, the key's own first.
    pub chain: Arc<SecretValue>,
    /// Whether it is sent (`x5c`).
    pub sent: bool,
}

/// How a client proves itself.
#[derive(Clone, Debug)]
pub enum ClientAuthPlan {
    /// HTTP Basic.
    SecretBasic {
        /// The secret.
        secret: Arc<SecretValue>,
        /// How it is written.
        encoding: BasicEncoding,
    },
    /// In the form.
    SecretPost {
        /// The secret.
        secret: Arc<SecretValue>,
    },
    /// A signed assertion.
    PrivateKeyJwt {
        /// PEM (PKCS#8).
        private_key: Arc<SecretValue>,
        /// What the server knows the key by.
        certificate: Option<KeyCertificatePlan>,
        /// `kid`.
        key_id: Option<String>,
        /// None: by the key.
        algorithm: Option<SigningAlgorithm>,
        /// The assertion's `aud`; None: the URL that it is sent to.
        audience: Option<String>,
    },
    /// A certificate of the connection (RFC 8705).
    Certificate {
        /// `self_signed_tls_client_auth` instead of `tls_client_auth`.
        self_signed: bool,
        /// PEM, the client's own first.
        chain: Arc<SecretValue>,
        /// PEM.
        private_key: Arc<SecretValue>,
        /// Whose metadata names other addresses.
        issuer: Option<String>,
    },
    /// A token of the platform.
    AssertionFile {
        /// The file.
        assertion: Arc<SecretValue>,
    },
    /// A JWT-SVID.
    Spiffe {
        /// The file.
        svid: Arc<SecretValue>,
    },
    /// The Azure machine's identity.
    ManagedIdentity {
        /// Where it is asked for.
        endpoint: String,
        /// The audience of its token.
        audience: String,
        /// `client_id` of a user-assigned one.
        identity: Option<String>,
        /// `X-IDENTITY-HEADER`.
        header: Option<Arc<SecretValue>>,
    },
    /// The identifier alone.
    None,
}

/// One MCP server.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    /// Its name in the file and in the path.
    pub name: String,
    /// Resource identifier: `public_url` + `/NAME/mcp`.
    pub resource: String,
    /// URL of its metadata document (RFC 9728 §3.1).
    pub metadata_url: String,
    /// Endpoint; of a server that is started here, as it is addressed inside.
    pub url: http::Uri,
    /// What is started; None for a server that runs elsewhere.
    pub run: Option<RunPlan>,
    /// Names of its issuers; never empty, each in [`Plan::issuers`].
    pub issuers: Vec<String>,
    /// Scopes by method.
    pub scopes: Vec<(String, Vec<String>)>,
    /// How its credential is got; empty for `none`.
    pub credential: Vec<StepPlan>,
    /// Where the credential goes.
    pub deliver: DeliverPlan,
    /// How long its new tools are pinned as they are; None: nothing of it is pinned.
    pub pin: Option<Duration>,
}

/// Where a credential goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliverPlan {
    /// In a header of the request.
    Header {
        /// Its name.
        name: http::HeaderName,
        /// What stands before the credential.
        prefix: String,
    },
    /// Nowhere: each request is signed with it (AWS SigV4).
    SigV4 {
        /// Region of the service.
        region: String,
        /// The service's name in signatures.
        service: String,
    },
    /// To the started server of this caller.
    Instance(safeconduct_runtime::delivery::Delivery),
}

impl DeliverPlan {
    /// What the last step of a chain must give for it.
    pub fn takes(&self) -> Gives {
        match self {
            Self::Header { .. } => Gives::Token,
            Self::SigV4 { .. } => Gives::AwsKeys,
            Self::Instance(delivery) if delivery.takes_keys() => Gives::AwsKeys,
            Self::Instance(_) => Gives::Token,
        }
    }
}

/// Audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPlan {
    /// File; None: standard output.
    pub file: Option<PathBuf>,
    /// What of the arguments is written.
    pub arguments: ArgumentDetail,
    /// When lines are written.
    pub flush: Flush,
    /// What happens when they cannot be.
    pub on_failure: OnFailure,
}

/// Limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsPlan {
    /// Largest request body, bytes.
    pub body: u64,
    /// Largest list that is read whole, bytes.
    pub list: u64,
    /// Calls of one caller in a time.
    pub per_caller: Option<(u32, Duration)>,
    /// Streams of one caller.
    pub streams_per_caller: u32,
    /// Connections.
    pub connections: u32,
    /// Cached credentials.
    pub credentials: u32,
}

/// Timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutsPlan {
    /// A client's request head.
    pub head: Duration,
    /// A client's request body.
    pub body: Duration,
    /// Connection to an MCP server.
    pub connect: Duration,
    /// Head of an MCP server's answer.
    pub answer: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// A whole answer or stream.
    pub total: Duration,
    /// Silence before a comment is sent.
    pub keep_alive: Duration,
    /// A token endpoint, retries included.
    pub token_endpoint: Duration,
    /// Calls in flight at the end.
    pub drain: Duration,
}

/// Traces.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryPlan {
    /// OTLP endpoint over HTTP.
    pub otlp: String,
    /// Share of requests traced.
    pub sample: f64,
}

/// A secret and where it came from. Debug shows only the latter.
pub struct SecretValue {
    /// Where it came from.
    pub origin: SecretOrigin,
    /// The secret, read when the plan was made.
    pub value: Secret,
}

/// Where a secret came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretOrigin {
    /// An environment variable.
    Env(String),
    /// A file, which may change while the program runs.
    File(PathBuf),
    /// An item of the system's keyring, read when the plan was made.
    Keyring(String),
    /// A name in the encrypted file, read when the plan was made; a change of that file is a reload.
    Encrypted(String),
    /// The configuration file itself.
    Inline,
}

impl fmt::Display for SecretOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Keyring(item) => write!(f, "keyring:{item}"),
            Self::Encrypted(name) => write!(f, "encrypted:{name}"),
            Self::Inline => f.write_str("inline"),
        }
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.origin, f)
    }
}

impl Plan {
    /// The server with this name.
    pub fn server(&self, name: &str) -> Option<&ServerPlan> {
        self.servers.iter().find(|server| server.name == name)
    }

    /// The issuer with this name.
    pub fn issuer(&self, name: &str) -> Option<&IssuerPlan> {
        self.issuers.iter().find(|issuer| issuer.name == name)
    }

    /// The client with this name.
    pub fn client(&self, name: &str) -> Option<&ClientPlan> {
        self.clients.iter().find(|client| client.name == name)
    }
}
