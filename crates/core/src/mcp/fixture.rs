//! What the tests of this module share: a caller, a server, a head, a door, and a sink that keeps records.

#![allow(clippy::unwrap_used, reason = "built only for tests and fuzzing, where a panic is the finding")]

use std::sync::{Arc, Mutex};

use http::HeaderValue;

use super::door::Door;
use super::{Head, Verb};
use crate::audit::{Outcome, Record, Sink, Trail};
use crate::caller::{Fingerprint, Kind, Principal};
use crate::policy::{Policy, Source};
use crate::server::{Catalogue, Delivery, Server};
use crate::time::Timestamp;

/// A user of one issuer whose token ends 600 seconds after the epoch.
pub(crate) fn caller(subject: &str) -> Principal {
    Principal {
        kind: Kind::User,
        issuer: "corp".into(),
        issuer_url: "https://idp.example.com".into(),
        subject: subject.into(),
        client: None,
        email: None,
        groups: Vec::new(),
        scopes: Vec::new(),
        claims: Default::default(),
        actors: Vec::new(),
        acr: None,
        amr: Vec::new(),
        auth_time: None,
        session: None,
        issued: None,
        expires: Timestamp::from_secs(600),
        fingerprint: Fingerprint([0; 32]),
        identity: Default::default(),
    }
}

/// A server whose callers each have a credential of their own.
pub(crate) fn server(name: &str) -> Server {
    Server {
        name: name.into(),
        resource: format!("https://mcp.example.com/{name}/mcp").into(),
        metadata_url: "".into(),
        issuers: vec!["corp".into()],
        scopes: Default::default(),
        url: http::Uri::from_static("http://127.0.0.1:9000/mcp"),
        started: false,
        delivery: Delivery::default(),
        shared_credential: false,
        catalogue: Catalogue::default(),
        pins: None,
    }
}

/// A server that every caller reaches with the same credential.
#[cfg(test)]
pub(crate) fn shared(name: &str) -> Server {
    Server { shared_credential: true, ..server(name) }
}

/// Policies that permit what the Cedar text says, for one server named `orders`.
pub(crate) fn policy(text: &str) -> Policy {
    let source = Source { file: "test.cedar".into(), text: text.into() };
    Policy::compile(&[source], &["orders"]).unwrap().0
}

/// A door with a fixed key.
pub(crate) fn door() -> Door {
    Door::new(&[7; 32], &[]).unwrap()
}

/// An empty head.
pub(crate) fn head(verb: Verb) -> Head {
    Head {
        verb,
        accept: None,
        protocol_version: None,
        mcp_method: None,
        mcp_name: None,
        mcp_params: Vec::new(),
        session: None,
        last_event_id: None,
        trace: Vec::new(),
    }
}

/// The head of a message of 2026-07-28.
pub(crate) fn modern(method: &'static str, name: Option<&'static str>) -> Head {
    Head {
        protocol_version: Some(HeaderValue::from_static("2026-07-28")),
        mcp_method: Some(HeaderValue::from_static(method)),
        mcp_name: name.map(HeaderValue::from_static),
        ..head(Verb::Post)
    }
}

/// What the sink keeps of a record: outcome, code and bytes to the caller.
pub(crate) type Kept = (Outcome, Option<&'static str>, u64);

/// A sink that keeps what it is given.
#[derive(Default)]
pub(crate) struct Records(Mutex<Vec<Kept>>);

impl Records {
    pub(crate) fn trail(self: &Arc<Self>) -> Trail {
        Trail::open(self.clone(), [b'0'; 26])
    }

    #[cfg(test)]
    pub(crate) fn kept(&self) -> Vec<Kept> {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for Records {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(0)
    }

    fn write(&self, record: &Record) {
        self.0.lock().unwrap().push((record.outcome, record.code, record.bytes_out));
    }
}
