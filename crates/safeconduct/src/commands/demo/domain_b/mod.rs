//! The other trust domain, as the demo plays it: a token service of its own (RFC 8693), or a cloud's. Each form has a file.

mod aws;
mod entra;
mod google;
mod plain;

pub(super) use aws::InAws;
pub(super) use entra::InEntra;
pub(super) use google::AtGoogle;
pub(super) use plain::Plain;

use std::path::Path;

use clap::ValueEnum;
use safeconduct_testkit::idp::Idp;
use safeconduct_testkit::keys::claims_of;
use safeconduct_testkit::wire::{Log, Seen};
use serde_json::Value;

use super::Scene;
use super::play::{ALICE, CAROL, Played};
use super::proof;
use super::stage::WAREHOUSE;

/// A cloud whose shapes domain B can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cloud {
    /// AWS: keys of a role, requests that are signed.
    Aws,
    /// Entra: a token for another API, on behalf of the caller, who logged in there.
    Entra,
    /// Google: each caller is a principal of a workload identity pool.
    Google,
}

/// See the module.
pub(super) enum DomainB {
    Plain(Plain),
    Aws(InAws),
    Entra(InEntra),
    Google(AtGoogle),
}

/// What it adds to the gateway's files.
#[derive(Default)]
pub(super) struct Lines {
    /// Under `issuers`.
    pub(super) issuers: String,
    /// Under `clients`.
    pub(super) clients: String,
    /// Under `servers`.
    pub(super) servers: String,
    /// Of the policies.
    pub(super) policies: String,
}

impl DomainB {
    /// Starts it. It trusts domain A, or has logins of its own ([`DomainB::login`]).
    pub(super) async fn start(cloud: Option<Cloud>, idp: &Idp) -> std::io::Result<Self> {
        Ok(match cloud {
            None => Self::Plain(Plain::start(idp).await?),
            Some(Cloud::Aws) => Self::Aws(InAws::start(idp).await?),
            Some(Cloud::Entra) => Self::Entra(InEntra::start().await?),
            Some(Cloud::Google) => Self::Google(AtGoogle::start(idp).await?),
        })
    }

    /// Where the warehouse API is, for the MCP server that is shared with the orders; empty where it has one of its own.
    pub(super) fn behind_the_shared_server(&self) -> String {
        match self {
            Self::Plain(plain) => plain.warehouse.url(),
            Self::Aws(_) => String::new(),
            Self::Entra(entra) => entra.warehouse.url(),
            Self::Google(google) => google.warehouse.url(),
        }
    }

    /// Its own lines of the configuration, `server` being the shared MCP server.
    pub(super) fn lines(&self, dir: &Path, server: &str) -> Lines {
        match self {
            Self::Plain(plain) => plain.lines(dir, server),
            Self::Aws(aws) => Lines { servers: aws.server_lines(), ..Lines::default() },
            Self::Entra(entra) => entra.lines(dir, server),
            Self::Google(google) => Lines { servers: google.server_lines(server), ..Lines::default() },
        }
    }

    /// What its own files hold, by name.
    pub(super) fn files(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Plain(plain) => vec![("secret-b", plain.secret.clone())],
            Self::Entra(entra) => entra.files(),
            Self::Aws(_) | Self::Google(_) => Vec::new(),
        }
    }

    /// Its token service, and its API.
    pub(super) fn places(&self) -> [String; 2] {
        match self {
            Self::Plain(plain) => [plain.sts.issuer().to_owned(), plain.warehouse.url()],
            Self::Aws(aws) => [aws.aws.url(), aws.server.url()],
            Self::Entra(entra) => [entra.entra.token_endpoint(), entra.warehouse.url()],
            Self::Google(google) => [google.google.token_endpoint(), google.warehouse.url()],
        }
    }

    /// A token as its own login gives it to an MCP client of this person; None where callers log in at domain A.
    pub(super) fn login(&self, user: &str) -> Option<String> {
        match self {
            Self::Plain(_) | Self::Aws(_) | Self::Google(_) => None,
            Self::Entra(entra) => Some(entra.login(user)),
        }
    }

    /// Title of its scene, and what it is about.
    pub(super) fn about(&self) -> [&'static str; 2] {
        match self {
            Self::Plain(_) => plain::ABOUT,
            Self::Aws(_) => aws::ABOUT,
            Self::Entra(_) => entra::ABOUT,
            Self::Google(_) => google::ABOUT,
        }
    }

    /// Who is let in. Bob is not.
    pub(super) fn visitors(&self) -> &'static [&'static str] {
        match self {
            Self::Plain(_) | Self::Aws(_) => &[ALICE],
            Self::Entra(_) | Self::Google(_) => &[ALICE, CAROL],
        }
    }

    /// Whether it made this token.
    pub(super) fn made(&self, token: &str) -> bool {
        match self {
            Self::Plain(_) => claims_of(token).get("aud").is_some_and(|audience| audience == WAREHOUSE),
            Self::Aws(_) => false,
            Self::Entra(_) => claims_of(token).get("aud").is_some_and(|audience| audience == entra::API),
            Self::Google(google) => google.google.seen_as(token).is_ok(),
        }
    }

    /// Checks how the log accounts for those who went there and for bob, who was refused.
    pub(super) fn records(&self, scene: &mut Scene, calls: &[&Value]) {
        match self {
            Self::Plain(_) | Self::Aws(_) => {}
            Self::Entra(_) => entra::records(scene, calls),
            Self::Google(_) => google::records(scene, calls),
        }
    }

    /// Checks what a call that was served left at its edges; what the API got stands beside `before`.
    pub(super) fn served(&self, scene: &mut Scene, before: &Value, issuer: &str, user: &str) -> Value {
        match self {
            Self::Plain(plain) => plain.served(scene, before, issuer, user),
            Self::Aws(aws) => aws.served(scene, user),
            Self::Entra(entra) => entra.served(scene, before),
            Self::Google(google) => google.served(scene, before, user),
        }
    }

    /// How many came to the API.
    pub(super) fn visits(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.warehouse.visits().len(),
            Self::Aws(aws) => aws.calls().len(),
            Self::Entra(entra) => entra.warehouse.visits().len(),
            Self::Google(google) => google.warehouse.visits().len(),
        }
    }

    /// How often its token service was asked.
    pub(super) fn exchanges(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.exchanges(),
            Self::Aws(aws) => aws.aws.log().count(),
            Self::Entra(entra) => entra.exchanges(),
            Self::Google(google) => google.google.log().to("/v1/token").len(),
        }
    }

    /// What its own MCP server received, where it has one.
    pub(super) fn log(&self) -> Option<&Log> {
        match self {
            Self::Plain(_) | Self::Entra(_) | Self::Google(_) => None,
            Self::Aws(aws) => Some(aws.server.log()),
        }
    }

    /// Checks what its own MCP server received.
    pub(super) fn border(&self, scene: &mut Scene) {
        if let Self::Aws(aws) = self {
            aws.border(scene);
        }
    }

    /// What the API answers to whoever brings this token, and why.
    pub(super) async fn ask(&self, token: &str) -> Played<(u16, String)> {
        match self {
            Self::Plain(plain) => plain.ask(token).await,
            Self::Aws(aws) => aws.ask(token).await,
            Self::Entra(entra) => proof::ask(&entra.warehouse, token).await,
            Self::Google(google) => proof::ask(&google.warehouse, token).await,
        }
    }
}

/// Whether a request calls a tool.
fn calls_a_tool(seen: &Seen) -> bool {
    seen.json().get("method").is_some_and(|method| method == "tools/call")
}
