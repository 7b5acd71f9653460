//! The world of a test: an identity provider, an MCP server, and the real gateway between them, from a real
//! configuration file, over real HTTP on loopback. The canary watches everything.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use safeconduct::app::{self, Running};
use safeconduct::config;
use safeconduct_testkit::abroad::{self, Abroad};
use safeconduct_testkit::aws::{Aws, Role, Signed};
use safeconduct_testkit::backend::Backend;
use safeconduct_testkit::canary;
use safeconduct_testkit::client::Client;
use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::google::{self, Google};
use safeconduct_testkit::idp::{Idp, Rule, User};
use safeconduct_testkit::log_watch::{self, Watched};
use safeconduct_testkit::oauth;
use safeconduct_testkit::server::{McpServer, Options};
use safeconduct_testkit::verify::Trust;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// What a caller's token must be for.
pub(crate) const AUDIENCE: &str = "mcp-server";
/// To whom the identity provider issues callers' tokens.
pub(crate) const CLIENT: &str = "mcp-client";
/// What the exchanged token is for.
pub(crate) const BACKEND: &str = "backend-server";
/// An hour.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Everyone in `support` may read, refund up to 500 and call a few harmless tools.
pub(crate) const POLICIES: &str = r#"
permit (principal in Group::"corp/support", action in Action::"read", resource in Server::"orders");
permit (principal in Group::"corp/support", action == Action::"tools/call", resource in Server::"orders")
unless { [Tool::"orders/refund", Tool::"orders/drop_table"].contains(resource) };
@remedy("Ask finance to refund more than 500.")
permit (principal in Group::"corp/support", action == Action::"tools/call", resource == Tool::"orders/refund")
when { context.args.amount <= 500 };
"#;

/// What stands behind the gateway.
pub(crate) enum Behind {
    /// The real MCP server of the testkit.
    Server(Options),
    /// A backend that answers what the test tells it.
    Scripted,
}

/// How the world is made.
pub(crate) struct Plan {
    pub(crate) behind: Behind,
    /// Cedar text.
    pub(crate) policies: String,
    /// YAML of `servers.orders.credential`.
    pub(crate) credential: String,
    /// More lines at the top level of the file.
    pub(crate) top: String,
    /// More lines of `servers.orders`.
    pub(crate) server: String,
    /// More lines of `issuers.corp`.
    pub(crate) issuer: String,
    /// More lines of `clients`.
    pub(crate) clients: String,
    /// The `audit` line.
    pub(crate) audit: String,
    /// The roles of an AWS account, and its clock: its token service is `@STS@`, and the server takes its signatures.
    pub(crate) aws: Option<(Vec<Role>, Clock)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            behind: Behind::Server(Options::default()),
            policies: POLICIES.into(),
            credential: format!(
                "[{{ exchange: {{ token_endpoint: \"@IDP@/token\", client: gateway, audience: {BACKEND}, scopes: [\"backend-api:read\"] }} }}]"
            ),
            top: String::new(),
            server: String::new(),
            issuer: String::new(),
            clients: String::new(),
            audit: "{ file: \"@DIR@/audit.jsonl\", arguments: digest }".into(),
            aws: None,
        }
    }
}

impl Plan {
    /// A scripted backend.
    pub(crate) fn scripted() -> Self {
        Self { behind: Behind::Scripted, ..Self::default() }
    }
}

/// The world, running.
pub(crate) struct World {
    pub(crate) idp: Idp,
    /// The other domain's authorization server, where the configuration speaks of `@ABROAD@`.
    abroad: Option<Abroad>,
    aws: Option<Aws>,
    /// Google, where the configuration speaks of `@GOOGLE@`.
    google: Option<Google>,
    server: Option<McpServer>,
    backend: Option<Backend>,
    pub(crate) gateway: Option<Running>,
    pub(crate) base: String,
    pub(crate) dir: PathBuf,
    plan: Plan,
    place: Socket,
    _watched: Watched,
}

/// Another domain that takes assertions of this provider, presented by this client.
async fn abroad(idp: &Idp, client: oauth::Client) -> Abroad {
    let domain = abroad::Domain {
        home: idp.issuer().to_owned(),
        audience: BACKEND.into(),
        scopes: vec!["files.read".into()],
        lifetime: Duration::from_secs(600),
    };
    let abroad = Abroad::start(domain, Clock::system()).await.unwrap();
    abroad.add_client(client);
    idp.allow(
        Rule::new("gateway", AUDIENCE, abroad.issuer())
            .scope("backend-mcp:tools:call", "files.read")
            .assertion_for("gateway"),
    );
    abroad
}

/// A provider of a pool at Google that takes the tokens of this provider.
pub(crate) const POOL: &str =
    "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/corp/providers/idp";

/// Google, which knows the support team, and an account that alice may impersonate.
async fn google(idp: &Idp) -> Google {
    let trust = Trust { issuer: idp.issuer().to_owned(), audiences: vec![AUDIENCE.into()] };
    let pool = google::Pool { provider: POOL.into(), trust, groups: vec!["support".into()] };
    let email = "analyst@p.iam.gserviceaccount.com".into();
    let analyst = google::Account { email, users: vec!["alice".into()] };
    Google::start(pool, vec![analyst], Clock::system()).await.unwrap()
}

/// A port that nobody else takes. The public URL must be known before the gateway listens, and the gateway's
/// sockets share a port with this one, which never listens.
fn place() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket
}

impl World {
    /// The usual one.
    pub(crate) async fn start() -> Self {
        Self::with(Plan::default()).await
    }

    /// As planned.
    pub(crate) async fn with(plan: Plan) -> Self {
        let watched = log_watch::watch();
        let idp = Idp::start().await.unwrap();
        idp.add_user(User::new("alice", &["support", "everyone"]));
        idp.add_user(User::new("bob", &["everyone"]));
        idp.add_user(User::new("carol", &["support"]));
        let (client, secret) = oauth::Client::basic("gateway");
        idp.add_client(client.clone());
        let abroad = match plan.credential.contains("@ABROAD@") {
            true => Some(abroad(&idp, client).await),
            false => None,
        };
        let google = match plan.credential.contains("@GOOGLE@") {
            true => Some(google(&idp).await),
            false => None,
        };
        idp.allow(
            Rule::new("gateway", AUDIENCE, BACKEND).scope("backend-mcp:tools:call", "backend-api:read"),
        );
        let aws = match &plan.aws {
            Some((roles, clock)) => {
                let trust = Trust { issuer: idp.issuer().into(), audiences: vec![CLIENT.into()] };
                Some(Aws::start(trust, roles.clone(), clock.clone()).await.unwrap())
            }
            None => None,
        };
        let (mut server, mut backend) = (None, None);
        let url = match &plan.behind {
            Behind::Server(options) => {
                let signed = aws.as_ref().map(|aws| Signed {
                    account: aws.account().clone(),
                    region: "us-east-1",
                    service: "aws-mcp",
                });
                let options = Options { signed, ..options.clone() };
                let started = McpServer::start(options).await.unwrap();
                let url = started.url();
                server = Some(started);
                url
            }
            Behind::Scripted => {
                let started = Backend::start().await.unwrap();
                let url = started.url();
                backend = Some(started);
                url
            }
        };
        let dir = std::env::temp_dir().join(format!("safeconduct-test-{}", canary::random_hex()));
        std::fs::create_dir_all(dir.join("policies")).unwrap();
        std::fs::write(dir.join("secret"), &secret).unwrap();
        std::fs::write(dir.join("policies/orders.cedar"), &plan.policies).unwrap();
        let mut world = Self {
            idp,
            abroad,
            aws,
            google,
            server,
            backend,
            gateway: None,
            base: String::new(),
            dir,
            plan,
            place: place(),
            _watched: watched,
        };
        world.base = format!("http://{}", world.place.local_addr().unwrap().as_socket().unwrap());
        world.write_config(&url);
        world.restart().await;
        world
    }

    /// Starts the gateway, which was stopped or never begun.
    pub(crate) async fn restart(&mut self) {
        let (plan, policy) = self.read_config();
        let running = tokio::task::spawn_blocking(move || app::start(plan, policy)).await.unwrap().unwrap();
        self.gateway = Some(running);
    }

    fn write_config(&self, url: &str) {
        let Plan { credential, top, server, issuer, clients, audit, .. } = &self.plan;
        let listen = self.base.trim_start_matches("http://");
        let text = format!(
            r#"
listen: {listen}
public_url: {base}
issuers:
  corp:
    issuer: "@IDP@"
    audience: [{AUDIENCE}]
{issuer}
clients:
  gateway: {{ client_id: gateway, auth: client_secret_basic, client_secret: "file:@DIR@/secret" }}
{clients}
servers:
  orders:
    url: {url}
    credential: {credential}
{server}
  other:
    url: {url}
    credential: none
policy: "@DIR@/policies/"
audit: {audit}
{top}
"#,
            base = self.base,
        );
        let abroad = self.abroad.as_ref().map(Abroad::issuer).unwrap_or_default();
        let text = text
            .replace("@IDP@", self.idp.issuer())
            .replace("@ABROAD@", abroad)
            .replace("@STS@", &self.aws.as_ref().map(Aws::url).unwrap_or_default())
            .replace("@GOOGLE@", self.google.as_ref().map(Google::url).unwrap_or_default())
            .replace("@DIR@", &self.dir.display().to_string());
        std::fs::write(self.config(), text).unwrap();
    }

    fn read_config(&self) -> (config::Plan, safeconduct_core::policy::Policy) {
        let mut loaded = config::load(&self.config());
        let plan = loaded.plan.unwrap_or_else(|| panic!("{}", loaded.report.text(false)));
        let policy = config::compile(&plan, &mut loaded.report);
        (plan, policy.unwrap_or_else(|| panic!("{}", loaded.report.text(false))))
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("safeconduct.yaml")
    }

    /// The gateway's endpoint for the server `orders`.
    pub(crate) fn url(&self) -> String {
        format!("{}/orders/mcp", self.base)
    }

    /// The other domain's authorization server.
    pub(crate) fn abroad(&self) -> &Abroad {
        self.abroad.as_ref().unwrap()
    }

    /// The AWS account's token service.
    pub(crate) fn aws(&self) -> &Aws {
        self.aws.as_ref().unwrap()
    }

    /// Google.
    pub(crate) fn google(&self) -> &Google {
        self.google.as_ref().unwrap()
    }

    /// The MCP server.
    pub(crate) fn server(&self) -> &McpServer {
        self.server.as_ref().unwrap()
    }

    /// The scripted backend.
    pub(crate) fn backend(&self) -> &Backend {
        self.backend.as_ref().unwrap()
    }

    /// A good token of this user.
    pub(crate) fn token(&self, user: &str) -> String {
        self.idp.mint(user, AUDIENCE, "backend-mcp:tools:call", HOUR)
    }

    /// A legacy client with a session, logged in as this user.
    pub(crate) async fn legacy(&self, user: &str) -> Client {
        let client = Client::legacy(&self.url()).bearer(&self.token(user));
        let hello = client.connect().await.unwrap();
        assert_eq!(hello.status, 200, "{}", hello.text());
        client
    }

    /// A modern client, logged in as this user.
    pub(crate) fn modern(&self, user: &str) -> Client {
        Client::modern(&self.url()).bearer(&self.token(user))
    }

    /// Stops the gateway and gives the audit lines. No secret may stand in them.
    pub(crate) async fn audit(&mut self) -> Vec<Value> {
        if let Some(gateway) = self.gateway.take() {
            tokio::task::spawn_blocking(move || gateway.stop()).await.unwrap();
        }
        let text = std::fs::read_to_string(self.dir.join("audit.jsonl")).unwrap_or_default();
        canary::assert_clean("audit log", text.as_bytes());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The audit lines by method, after stopping.
    pub(crate) async fn audit_of(&mut self, method: &str) -> Vec<Value> {
        self.audit().await.into_iter().filter(|line| line["method"] == method).collect()
    }

    /// How often each outcome stands in the audit log, after stopping.
    pub(crate) async fn outcomes(&mut self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in self.audit().await {
            *counts.entry(line["outcome"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        counts
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            // Stopping blocks; a test's runtime must not.
            let _ = std::thread::spawn(move || gateway.stop()).join();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
