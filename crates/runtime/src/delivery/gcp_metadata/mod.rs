//! `gcp_metadata`: the caller's token where Google's libraries look for a virtual machine's own.
//!
//! They find the metadata server by `GCE_METADATA_HOST` (all of them; `GCE_METADATA_ROOT` is its older name) and
//! `GCE_METADATA_IP` (Python pings that one, Node prefers it). What they ask, by their sources (google-auth for Python and Node, cloud.google.com/go):
//!
//! | asked | for |
//! |---|---|
//! | `/`, `/computeMetadata/v1/instance` | whether there is a metadata server at all |
//! | `project/project-id`, `project/numeric-project-id` | the default project; 404 where none is configured, which they take |
//! | `universe/universe-domain` | the cloud's domain |
//! | `instance/service-accounts/default/?recursive=true` | account and scopes, before every token |
//! | `instance/service-accounts/default/token?scopes=` | the access token |
//! | `instance/service-accounts/default/identity?audience=` | an ID token |
//!
//! Anything else of the tree that has no answer is 404, as on a machine that lacks it. Scopes that are asked for are
//! ignored, as a virtual machine does: the token is what the caller was granted. An ID token is given when the
//! caller's credential is one (`google_id_token`) and is for the audience that is asked for; no other is made here.
//!
//! Google's real server gives a token that holds for at least five more minutes, and the libraries ask again when less
//! than 3:45 are left. So a fresh one is asked for below five minutes. When the caller's token does not live that long, the
//! true rest is told: the library asks again at each use, which costs one request from memory and no question
//! to an issuer within ten seconds. A longer life than the true one is never told.
//!
//! The protocol has no place for a secret of the instance: its source address is what opens the door, and the header
//! `Metadata-Flavor: Google` keeps out what a page or a fetched link could send.
//!
//! Source: <https://docs.cloud.google.com/compute/docs/metadata/querying-metadata>,
//! <https://docs.cloud.google.com/compute/docs/metadata/predefined-metadata-keys>.

mod tree;

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use safeconduct_core::secret::Secret;
use serde::{Deserialize, Serialize};

use self::tree::{Node, Shown};
use super::endpoint::{Answering, Protocol};
use super::query::Query;
use super::reply::{Reply, json, secret, soon, text};
use super::slot::{Held, Slot, Unavailable};
use super::{Environment, plain, variable};

/// With less left, a fresh token is asked for.
const ENOUGH: Duration = Duration::from_secs(300);
/// The libraries give up after three (Python, Node) to five seconds (Go).
const PATIENCE: Duration = Duration::from_secs(2);
/// Largest part of an ID token that is looked into, in bytes.
const CLAIMS: usize = 16 * 1024;

/// What the metadata server says besides the token.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GcpMetadata {
    /// Project id; None: there is no default project.
    pub project: Option<Box<str>>,
    /// Project number.
    pub project_number: Option<u64>,
    /// The account that the token acts as: the impersonated service account. None: `default`.
    pub email: Option<Box<str>>,
    /// The cloud's domain; None: `googleapis.com`.
    pub universe_domain: Option<Box<str>>,
    /// Zone (`europe-west1-b`), for libraries that ask where they are.
    pub zone: Option<Box<str>>,
}

/// Answers of `token`.
#[derive(Serialize)]
struct AccessToken<'a> {
    access_token: &'a str,
    expires_in: u64,
    token_type: &'static str,
}

impl GcpMetadata {
    /// What tells Google's libraries where to ask.
    pub(crate) fn environment(&self, address: SocketAddr) -> Environment {
        let host = address.to_string();
        let names = ["GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"];
        let mut environment: Vec<_> = names.into_iter().map(|name| variable(name, plain(&host))).collect();
        if let Some(project) = &self.project {
            environment.push(variable("GOOGLE_CLOUD_PROJECT", plain(project)));
        }
        environment
    }

    async fn reply(&self, asked: &Parts, slot: &Slot) -> Reply {
        if asked.method != Method::GET && asked.method != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        }
        let path = asked.uri.path();
        let Some(inside) = path.strip_prefix("/computeMetadata/v1") else {
            return entrance(path);
        };
        if asked.headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
            return text(StatusCode::FORBIDDEN, "Missing Metadata-Flavor:Google header.\n");
        }
        let query = Query::of(&asked.uri);
        if query.is("wait_for_change", "true") {
            return text(StatusCode::BAD_REQUEST, "wait_for_change is not supported.\n");
        }
        // The only character of a name that anybody escapes.
        let inside = inside.replace("%40", "@");
        let names: Vec<&str> = inside.split('/').filter(|name| !name.is_empty()).collect();
        match &*names {
            ["instance", "service-accounts", account, "token"] if self.is_account(account) => {
                token(slot).await
            }
            ["instance", "service-accounts", account, "identity"] if self.is_account(account) => {
                identity(slot, query.first("audience")).await
            }
            names => {
                let scopes = slot.present().map(|present| present.held.scopes);
                let Some(node) = self.tree(scopes.as_deref()).at(names) else { return absent() };
                let recursive = query.is("recursive", "true");
                match node.shown(recursive || query.is("alt", "json"), recursive) {
                    Shown::Json(value) => json(StatusCode::OK, &value),
                    Shown::Text(lines) => text(StatusCode::OK, lines),
                }
            }
        }
    }

    fn is_account(&self, name: &str) -> bool {
        name == "default" || self.email.as_deref() == Some(name)
    }

    /// What is known without a token. The account is there only while it has one.
    fn tree(&self, scopes: Option<&[Box<str>]>) -> Node {
        let email = self.email.as_deref().unwrap_or("default");
        let mut accounts = Vec::new();
        if let Some(scopes) = scopes {
            let account = || {
                Node::directory([
                    ("aliases", Node::List(vec!["default".into()])),
                    ("email", Node::Value(email.into())),
                    ("identity", Node::Asked),
                    ("scopes", Node::List(scopes.iter().map(|scope| scope.to_string()).collect())),
                    ("token", Node::Asked),
                ])
            };
            accounts.push(("default".into(), account()));
            if email != "default" {
                accounts.push((email.into(), account()));
            }
        }
        let mut instance = vec![
            ("attributes".into(), Node::Directory(Vec::new())),
            ("service-accounts".into(), Node::Directory(accounts)),
        ];
        let mut project = vec![("attributes".into(), Node::Directory(Vec::new()))];
        let number = self.project_number.unwrap_or_default();
        if let Some(zone) = &self.zone {
            instance.push(("zone".into(), Node::Value(format!("projects/{number}/zones/{zone}"))));
            if let Some((region, _)) = zone.rsplit_once('-') {
                instance.push(("region".into(), Node::Value(format!("projects/{number}/regions/{region}"))));
            }
        }
        if self.project_number.is_some() {
            project.push(("numeric-project-id".into(), Node::Number(number)));
        }
        if let Some(id) = &self.project {
            project.push(("project-id".into(), Node::Value(id.to_string())));
        }
        let universe = self.universe_domain.as_deref().unwrap_or("googleapis.com");
        Node::directory([
            ("instance", Node::Directory(instance)),
            ("project", Node::Directory(project)),
            ("universe", Node::directory([("universe-domain", Node::Value(universe.into()))])),
        ])
    }
}

impl Protocol for GcpMetadata {
    fn answer<'a>(&'a self, asked: &'a Parts, slot: &'a Slot) -> Answering<'a> {
        Box::pin(async move {
            let mut reply = self.reply(asked, slot).await;
            // By these the libraries know that it is a metadata server, and not a captive portal.
            reply.headers_mut().insert("metadata-flavor", HeaderValue::from_static("Google"));
            reply.headers_mut().insert("server", HeaderValue::from_static("Metadata Server for VM"));
            reply
        })
    }
}

async fn token(slot: &Slot) -> Reply {
    let present = match slot.take(ENOUGH, PATIENCE).await {
        Ok(present) => present,
        Err(unavailable) => return refused(unavailable),
    };
    let Some(access_token) = present.held.material.token().and_then(Secret::expose_str) else {
        return absent();
    };
    json(
        StatusCode::OK,
        &AccessToken { access_token, expires_in: present.left.as_secs(), token_type: "Bearer" },
    )
}

async fn identity(slot: &Slot, audience: Option<&str>) -> Reply {
    let Some(audience) = audience.filter(|audience| !audience.is_empty()) else {
        return text(StatusCode::BAD_REQUEST, "non-empty audience parameter required\n");
    };
    match slot.take(ENOUGH, PATIENCE).await {
        Ok(present) if is_for(&present.held, audience) => match present.held.material.token() {
            Some(token) => secret(StatusCode::OK, "text/html", token.expose()),
            None => absent(),
        },
        Ok(_) => text(StatusCode::NOT_FOUND, "The caller has no ID token for this audience.\n"),
        Err(unavailable) => refused(unavailable),
    }
}

/// Whether what is held is a JWT for this audience. Its signature is its reader's to check.
fn is_for(held: &Held, audience: &str) -> bool {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Several(Vec<String>),
    }
    #[derive(Deserialize)]
    struct Claims {
        aud: Audience,
    }
    let claims = || {
        let token = held.material.token()?.expose_str()?;
        let [_, claims, _] = *token.split('.').collect::<Vec<_>>() else { return None };
        let claims = Some(claims).filter(|claims| claims.len() <= CLAIMS)?;
        serde_json::from_slice::<Claims>(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    };
    match claims().map(|claims| claims.aud) {
        Some(Audience::One(one)) => one == audience,
        Some(Audience::Several(all)) => all.iter().any(|one| one == audience),
        None => false,
    }
}

/// What is above the versioned tree needs no header, as on the real server: this is how it is found.
fn entrance(path: &str) -> Reply {
    match path {
        "/" => text(StatusCode::OK, "computeMetadata/\n"),
        "/computeMetadata" | "/computeMetadata/" => text(StatusCode::OK, "v1/\n"),
        _ => absent(),
    }
}

/// 404 is what the libraries do not repeat: the next call of the caller brings a token, no waiting does.
fn refused(unavailable: Unavailable) -> Reply {
    match unavailable {
        Unavailable::Nothing => text(StatusCode::NOT_FOUND, "The caller has no credential at present.\n"),
        Unavailable::Soon => {
            soon(text(StatusCode::SERVICE_UNAVAILABLE, "The caller's credential is being renewed.\n"))
        }
    }
}

fn absent() -> Reply {
    text(StatusCode::NOT_FOUND, "Not Found\n")
}
