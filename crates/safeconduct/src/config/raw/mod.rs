//! The configuration file as it is written. The documentation of each field is the reference that users read:
//! `safeconduct schema` and `docs/configuration.md` are made from it.
//!
//! Nothing here decides anything: names are not looked up, secrets are not read. That is [`super::resolve`].

mod client;
mod deliver;
mod issuer;
mod outside;
mod run;
mod secrets;
mod server;
mod step;

pub(crate) use client::{Client, ManagedIdentity};
pub(crate) use deliver::{
    AwsDelivery, AzureDelivery, Deliver, Detailed, EnvDelivery, FileDelivery, GcpDelivery,
};
pub(crate) use issuer::{Introspection, Issuer, Logout};
use outside::{Audit, Limits, Sessions, Telemetry, Timeouts, Tls};
pub use run::EngineWord;
pub(crate) use run::PullWord;
pub(crate) use run::{Net, Runtime, Speech};
pub(crate) use secrets::Secrets;
pub(crate) use server::Server;
pub(crate) use step::{
    AwsAssumeRole, AwsWebIdentity, Boundary, Chain, ClientCredentials, Common, EntraObo, Exchange,
    GoogleIdToken, GoogleImpersonate, GoogleSts, IdJag, JwtBearer, Static, Step, Vault,
};

pub(crate) use client::{AssertionAudienceWord, AuthMethod};
pub use client::{BasicEncoding, SigningAlgorithm};
pub use issuer::{Algorithm, LogoutTokenType, Preset, TokenType};
use outside::Plaintext;
pub use outside::{ArgumentDetail, Flush, OnFailure};
pub use step::{BroaderScope, Deviation, IssuedAudience, IssuedType};

use super::decode::{Named, section};
use super::values::{Address, Many};

section! {
    /// The file: `safeconduct.yaml` by default. Relative paths in it start at its own directory.
    File {
        /// Where the gateway listens for MCP clients. Default: `127.0.0.1:8080`.
        listen: Address;
        /// Turns TLS on for `listen`. Without it, a listener that others can reach needs `plaintext: accepted`.
        tls: Tls;
        /// `accepted`: the listener may be reached by others without TLS, because something in front of it ends TLS.
        plaintext: Plaintext;
        /// What clients see: `https://host[:port]`, without a path. Resource identifiers, metadata and challenges are
        /// built from it, never from a request's Host. Default: the listener's own address, if that is loopback.
        public_url: String;
        /// Where `/healthz`, `/readyz`, `/metrics` and `/status` are served, and `safeconduct revoke` is obeyed. It knows
        /// nobody: keep it on loopback, or in a network of your own. `/status`, `/logs` and orders are for who names it
        /// by an address or `localhost`, so that no web page reaches them under a name of its own. Default: nowhere.
        admin: Address;
        /// Host names accepted in requests, besides that of `public_url` and, on a loopback listener, the loopback
        /// names. With or without a port. This is what stops DNS rebinding.
        allowed_hosts: Many<String>;
        /// Origins of web pages that may call the gateway from a browser (`https://app.example.com`), besides that of
        /// `public_url`. Default: none.
        allowed_origins: Many<String>;
        /// Addresses or networks (`10.0.0.0/8`) of reverse proxies whose `X-Forwarded-For` is believed. Default: none;
        /// the caller's address is that of the connection.
        trusted_proxies: Many<String>;
        /// A PEM file of certificate authorities that are believed for issuers, token endpoints and MCP servers,
        /// besides the system's.
        ca_file: String;
        /// Whom we believe about callers, by a name of your choice.
        issuers, required: Named<Issuer>;
        /// Who we are at a token endpoint, by a name of your choice.
        clients: Named<Client>;
        /// The MCP servers, by name: `orders` is served at `/orders/mcp`, its metadata at
        /// `/.well-known/oauth-protected-resource/orders/mcp`.
        servers, required: Named<Server>;
        /// What `{group:MAP}` in a step stands for: for each map a list of groups, and the word for each. The first group
        /// of the map that the caller is in counts; a caller in none of them is refused.
        group_maps: Named<Named<String>>;
        /// Directories (their `*.cedar`, in the order of their names) or files of policies. None at all: everything
        /// is denied.
        policy: Many<String>;
        /// The lock file: what the servers' tools, and the images of those that are started here, were when they were first
        /// seen. What has changed since is quarantined: `safeconduct lock diff` shows it, `safeconduct lock approve`
        /// ends that. Default: beside this file, `.lock` instead of `.yaml`.
        lock: String;
        /// Where the audit lines go.
        audit: Audit;
        /// What one caller, and all of them together, may ask of the gateway.
        limits: Limits;
        /// How long the gateway waits for whom.
        timeouts: Timeouts;
        /// Sessions of MCP revisions up to 2025-11-25.
        sessions: Sessions;
        /// Traces.
        telemetry: Telemetry;
        /// The encrypted file that `encrypted:NAME` refers to.
        secrets: Secrets;
        /// Servers that this program starts.
        runtime: Runtime;
    }
}
