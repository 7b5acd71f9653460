//! The policies as a whole: small worlds, asked questions.

mod cache;
mod entities;
mod matrix;
mod numbers;
mod oracle;
mod problems;
mod rules;
mod sight;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::OnceLock;

use super::{Decision, Effect, Policy, Problem, Query, Source};
use crate::caller::{Fingerprint, Kind, Principal};
use crate::mcp::{Era, Target};
use crate::server::{Catalogue, Delivery, Server};
use crate::time::Timestamp;

pub(super) const NOW: u64 = 1_763_805_600;

pub(super) fn compiled(text: &str) -> Result<(Policy, Vec<Problem>), Vec<Problem>> {
    let source = Source { file: "policies/orders.cedar".into(), text: text.into() };
    Policy::compile(&[source], &["orders", "warehouse"])
}

pub(super) fn policy(text: &str) -> Policy {
    compiled(text).unwrap_or_else(|problems| panic!("{problems:#?}")).0
}

pub(super) fn alice() -> Principal {
    let list = |values: &[&str]| values.iter().map(|value| Box::from(*value)).collect::<Vec<Box<str>>>();
    Principal {
        kind: Kind::User,
        issuer: "corp".into(),
        issuer_url: "https://idp.example.com".into(),
        subject: "alice@example.com".into(),
        client: Some("claude-code".into()),
        email: Some("alice@example.com".into()),
        groups: list(&["support"]),
        scopes: list(&["mcp:tools:call"]),
        claims: BTreeMap::from([("department".into(), list(&["sales", "support"]))]),
        actors: Vec::new(),
        acr: Some("urn:mfa".into()),
        amr: list(&["pwd", "otp"]),
        auth_time: Some(NOW - 60),
        session: None,
        issued: None,
        expires: Timestamp::from_secs(NOW + 300),
        fingerprint: Fingerprint([1; 32]),
        identity: OnceLock::new(),
    }
}

pub(super) fn bob() -> Principal {
    Principal {
        subject: "bob@example.com".into(),
        groups: Vec::new(),
        email: None,
        claims: BTreeMap::new(),
        fingerprint: Fingerprint([2; 32]),
        ..alice()
    }
}

pub(super) fn server(name: &str) -> Server {
    Server {
        name: name.into(),
        resource: format!("https://mcp.example.com/{name}/mcp").into(),
        metadata_url: "".into(),
        issuers: vec!["corp".into()],
        scopes: BTreeMap::new(),
        url: http::Uri::from_static("http://127.0.0.1:9000/mcp"),
        started: false,
        delivery: Delivery::default(),
        shared_credential: false,
        catalogue: Catalogue::default(),
        pins: None,
    }
}

/// A call in the making: `alice` calls `orders/refund` unless something else is said.
pub(super) struct Ask {
    pub(super) principal: Principal,
    pub(super) server: Server,
    pub(super) action: &'static str,
    pub(super) target: Target,
    pub(super) now: u64,
    pub(super) source_ip: Option<IpAddr>,
    pub(super) era: Era,
}

pub(super) fn ask(principal: Principal) -> Ask {
    Ask {
        principal,
        server: server("orders"),
        action: "tools/call",
        target: Target::Tool("refund".into()),
        now: NOW,
        source_ip: None,
        era: Era::Modern,
    }
}

impl Ask {
    pub(super) fn about(self, action: &'static str, target: Target) -> Self {
        Self { action, target, ..self }
    }

    pub(super) fn query<'a>(&'a self, arguments: Option<&'a str>) -> Query<'a> {
        Query {
            principal: &self.principal,
            server: &self.server,
            action: self.action,
            target: &self.target,
            arguments: arguments.map(str::as_bytes),
            now: Timestamp::from_secs(self.now),
            source_ip: self.source_ip,
            era: self.era,
        }
    }

    pub(super) fn decide(&self, policy: &Policy, arguments: &str) -> Decision {
        policy.decide(&self.query(Some(arguments)))
    }

    pub(super) fn effect(&self, policy: &Policy, arguments: &str) -> Effect {
        self.decide(policy, arguments).effect
    }

    pub(super) fn permitted(&self, policy: &Policy, arguments: &str) -> bool {
        self.effect(policy, arguments) == Effect::Permit
    }

    pub(super) fn sees(&self, policy: &Policy) -> bool {
        policy.may_see(&self.query(None))
    }
}
