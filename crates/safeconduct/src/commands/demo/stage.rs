//! The stage: an identity provider, a token service of another domain, two APIs, an unmodified MCP server, and
//! the gateway in front, started from a real configuration file.

use std::error::Error;
use std::net::TcpListener;
#[cfg(test)]
use std::path::Path;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use safeconduct_testkit::api::Api;
use safeconduct_testkit::canary;
use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::idp::{Idp, Rule, User};
use safeconduct_testkit::oauth::Client;
use safeconduct_testkit::server::{McpServer, Options};
use serde_json::Value;

use super::Places;
use super::domain_b::{Cloud, DomainB};
use crate::app::{self, Running};
use crate::config;

/// What callers' tokens are for.
pub(super) const AUDIENCE: &str = "mcp-server";
/// What callers' tokens may do.
pub(super) const SCOPE: &str = "backend-mcp:tools:call";
/// Domain B's name for the warehouse, where it is a domain of its own.
pub(super) const WAREHOUSE: &str = "warehouse.b.example";

const POLICIES: &str = include_str!("policies.cedar");
const CONFIG: &str = include_str!("safeconduct.yaml");

pub(super) struct Stage {
    pub(super) idp: Idp,
    pub(super) b: DomainB,
    pub(super) orders: Api,
    pub(super) server: McpServer,
    gateway: Option<Running>,
    pub(super) base: String,
    pub(super) admin: String,
    dir: PathBuf,
    /// Every token that a caller was given.
    given: Mutex<Vec<String>>,
}

impl Stage {
    pub(super) async fn build(cloud: Option<Cloud>) -> Result<Self, Box<dyn Error>> {
        let idp = Idp::start().await?;
        idp.add_user(User::new("alice@example.com", &["support", "warehouse"]));
        idp.add_user(User::new("bob@example.com", &["guests"]));
        idp.add_user(User::new("carol@example.com", &["warehouse"]));
        let (client, secret) = Client::basic("gateway");
        idp.add_client(client);
        idp.allow(Rule::new("gateway", AUDIENCE, "backend-server").scope(SCOPE, "backend-api:read"));
        let b = DomainB::start(cloud, &idp).await?;
        let orders = Api::orders(idp.issuer(), Clock::system()).await?;
        let warehouse = b.behind_the_shared_server();
        let options = Options { orders: orders.url(), warehouse, ..Options::default() };
        let server = McpServer::start(options).await?;
        let dir = std::env::temp_dir().join(format!("safeconduct-demo-{}", canary::random_hex()));
        let [listen, admin] = free_addresses()?;
        let (base, admin) = (format!("http://{listen}"), format!("http://{admin}"));
        let mut stage =
            Self { idp, b, orders, server, gateway: None, base, admin, dir, given: Mutex::default() };
        stage.write_files(&secret)?;
        stage.open_again().await?;
        Ok(stage)
    }

    /// The gateway's endpoint of a server.
    pub(super) fn url(&self, server: &str) -> String {
        format!("{}/{server}/mcp", self.base)
    }

    /// A token as the identity provider gives it to an MCP client of this person.
    pub(super) fn token(&self, user: &str) -> String {
        self.give(self.idp.mint(user, AUDIENCE, SCOPE, Duration::from_secs(3600)))
    }

    /// A token as the warehouse's callers bring it: domain A's, where the other domain has no login of its own.
    pub(super) fn visitor_token(&self, user: &str) -> String {
        match self.b.login(user) {
            Some(token) => self.give(token),
            None => self.token(user),
        }
    }

    fn give(&self, token: String) -> String {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).push(token.clone());
        token
    }

    /// All tools of the MCP server, whoever asks: told by a server like it, so that the log of this one stays that of
    /// the gateway's requests.
    pub(super) async fn tools(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let twin = McpServer::start(Options::default()).await?;
        Ok(safeconduct_testkit::client::Client::modern(&twin.url()).list("tools").await?.names())
    }

    /// Every token that a caller was given so far.
    pub(super) fn given(&self) -> Vec<String> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who stands where.
    pub(super) fn places(&self) -> Places {
        let [token_service, warehouse_api] = self.b.places();
        Places {
            identity_provider: self.idp.issuer().to_owned(),
            orders_api: self.orders.url(),
            token_service,
            warehouse_api,
            mcp_server: self.server.url(),
            gateway: self.base.clone(),
        }
    }

    /// The file that the gateway runs on.
    pub(super) fn config_file(&self) -> PathBuf {
        self.dir.join("safeconduct.yaml")
    }

    /// The gateway's audit log.
    pub(super) fn audit_file(&self) -> PathBuf {
        self.dir.join("audit.jsonl")
    }

    /// Starts the gateway from its file.
    pub(super) async fn open_again(&mut self) -> Result<(), Box<dyn Error>> {
        let mut loaded = config::load(&self.config_file());
        let policy = loaded.plan.as_ref().and_then(|plan| config::compile(plan, &mut loaded.report));
        let (Some(plan), Some(policy)) = (loaded.plan, policy) else {
            return Err(loaded.report.text(false).into());
        };
        let started = tokio::task::spawn_blocking(move || app::start(plan, policy)).await?;
        self.gateway = Some(started?);
        Ok(())
    }

    /// Stops the gateway, so that its log is whole, and reads the log.
    pub(super) async fn audit_lines(&mut self) -> Result<Vec<Value>, Box<dyn Error>> {
        self.stop().await;
        let text = std::fs::read_to_string(self.audit_file())?;
        let mut lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        // Each thread writes its own lines in their order; together they are ordered by their ids.
        lines.sort_by_key(|line| line["id"].as_str().unwrap_or_default().to_owned());
        Ok(lines)
    }

    /// The log as it stands.
    pub(super) fn audit_text(&self) -> String {
        std::fs::read_to_string(self.audit_file()).unwrap_or_default()
    }

    /// Takes everything down.
    pub(super) async fn close(mut self) {
        self.stop().await;
    }

    /// Where its files are, while it stands.
    #[cfg(test)]
    pub(super) fn directory(&self) -> &Path {
        &self.dir
    }

    async fn stop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            let _ = tokio::task::spawn_blocking(move || gateway.stop()).await;
        }
    }

    fn write_files(&self, secret: &str) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        // The secrets of the demo are of no use elsewhere; even so nobody else reads them.
        std::fs::DirBuilder::new().mode(0o700).create(&self.dir)?;
        std::fs::create_dir(self.dir.join("policies"))?;
        std::fs::write(self.dir.join("secret-a"), secret)?;
        for (name, text) in self.b.files() {
            std::fs::write(self.dir.join(name), text)?;
        }
        let b = self.b.lines(&self.dir, &self.server.url());
        std::fs::write(self.dir.join("policies/demo.cedar"), format!("{POLICIES}{}", b.policies))?;
        let config = CONFIG
            .replace("@LISTEN@", self.base.trim_start_matches("http://"))
            .replace("@ADMIN@", self.admin.trim_start_matches("http://"))
            .replace("@BASE@", &self.base)
            .replace("@ISSUER@", self.idp.issuer())
            .replace("@TOKEN_A@", &self.idp.token_endpoint())
            .replace("@ISSUERS@\n", &b.issuers)
            .replace("@CLIENTS@\n", &b.clients)
            .replace("@WAREHOUSE@\n", &b.servers)
            .replace("@SERVER@", &self.server.url())
            .replace("@DIR@", &self.dir.display().to_string());
        std::fs::write(self.config_file(), config)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            // The gateway has threads of its own, which must not be awaited from within those of the demo.
            let _ = std::thread::spawn(move || gateway.stop()).join();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The public URL stands in the file, so the ports must be known before the gateway listens. Both are held until
/// both are known: they differ.
fn free_addresses() -> std::io::Result<[std::net::SocketAddr; 2]> {
    let (first, second) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok([first.local_addr()?, second.local_addr()?])
}
