//! The other trust domain, as the demo plays it: a token service of its own (RFC 8693), or a cloud's. Each form has a file.

mod aws;
mod plain;

pub(super) use aws::InAws;
pub(super) use plain::Plain;

use std::path::Path;

use clap::ValueEnum;
use safeconduct_testkit::idp::Idp;
use safeconduct_testkit::wire::{Log, Seen};
use serde_json::Value;

use super::Scene;
use super::play::Played;

/// A cloud whose shapes domain B can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cloud {
    /// AWS: keys of a role, requests that are signed.
    Aws,
}

/// See the module.
pub(super) enum DomainB {
    Plain(Plain),
    Aws(InAws),
}

impl DomainB {
    /// Starts it. It trusts domain A.
    pub(super) async fn start(cloud: Option<Cloud>, idp: &Idp) -> std::io::Result<Self> {
        Ok(match cloud {
            None => Self::Plain(Plain::start(idp).await?),
            Some(Cloud::Aws) => Self::Aws(InAws::start(idp).await?),
        })
    }

    /// Where the warehouse API is, for the MCP server that is shared with the orders; empty where it has one of its own.
    pub(super) fn behind_the_shared_server(&self) -> String {
        match self {
            Self::Plain(plain) => plain.warehouse.url(),
            Self::Aws(_) => String::new(),
        }
    }

    /// Its own lines of the configuration: under `clients`, and under `servers`. `server` is the shared MCP server.
    pub(super) fn lines(&self, dir: &Path, server: &str) -> [String; 2] {
        match self {
            Self::Plain(plain) => plain.lines(dir, server),
            Self::Aws(aws) => [String::new(), aws.server_lines()],
        }
    }

    /// What its own files hold, by name.
    pub(super) fn files(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Plain(plain) => vec![("secret-b", plain.secret.clone())],
            Self::Aws(_) => Vec::new(),
        }
    }

    /// Its token service, and its API.
    pub(super) fn places(&self) -> [String; 2] {
        match self {
            Self::Plain(plain) => [plain.sts.issuer().to_owned(), plain.warehouse.url()],
            Self::Aws(aws) => [aws.aws.url(), aws.server.url()],
        }
    }

    /// Title of its scene, and what it is about.
    pub(super) fn about(&self) -> [&'static str; 2] {
        match self {
            Self::Plain(_) => plain::ABOUT,
            Self::Aws(_) => aws::ABOUT,
        }
    }

    /// Checks what a call that was served left at its edges; what the API got stands beside `before`.
    pub(super) fn served(&self, scene: &mut Scene, before: &Value, issuer: &str, user: &str) -> Value {
        match self {
            Self::Plain(plain) => plain.served(scene, before, issuer, user),
            Self::Aws(aws) => aws.served(scene, user),
        }
    }

    /// How many came to the API.
    pub(super) fn visits(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.warehouse.visits().len(),
            Self::Aws(aws) => aws.calls().len(),
        }
    }

    /// How often its token service was asked.
    pub(super) fn exchanges(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.exchanges(),
            Self::Aws(aws) => aws.aws.log().count(),
        }
    }

    /// What its own MCP server received, where it has one.
    pub(super) fn log(&self) -> Option<&Log> {
        match self {
            Self::Plain(_) => None,
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
        }
    }
}

/// Whether a request calls a tool.
fn calls_a_tool(seen: &Seen) -> bool {
    seen.json().get("method").is_some_and(|method| method == "tools/call")
}
