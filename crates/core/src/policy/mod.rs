//! May they: Cedar behind one function.

use std::net::IpAddr;
use std::sync::Arc;

use crate::caller::Principal;
use crate::mcp::{Era, Target};
use crate::server::Server;
use crate::time::Timestamp;

/// The caller as policy entities; built once per verified token.
#[derive(Debug)]
pub struct PrincipalEntities;

/// A policy file: its name as people know it and its text.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path as it is printed in decisions (`policies/orders.cedar`).
    pub file: String,
    /// Cedar text.
    pub text: String,
}

/// Something wrong (or doubtful) in a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Index into the sources.
    pub source: usize,
    /// Byte offset and length in the text.
    pub span: std::ops::Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
    /// True for what is only doubtful.
    pub warning: bool,
}

/// One question to the policy.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// At which server.
    pub server: &'a Server,
    /// Method name.
    pub action: &'a str,
    /// On what.
    pub target: &'a Target,
    /// JSON text of the arguments, already checked by the door.
    pub arguments: Option<&'a [u8]>,
    /// When.
    pub now: Timestamp,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// Protocol era.
    pub era: Era,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What was decided.
    pub effect: Effect,
    /// `file:line` of the determining policies.
    pub policies: Arc<[Box<str>]>,
    /// True when the decision cache had it.
    pub cached: bool,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A permit applies and no forbid does.
    Permit,
    /// Nothing permits, or something forbids; the text of the `@remedy` annotation, if any.
    Deny(Option<String>),
    /// A policy could not be evaluated: denied.
    Error(String),
    /// Arguments that a policy reads have two readings: denied; the name.
    Ambiguous(String),
}

/// The compiled policies of one plan. Total and pure: every query has an answer.
pub struct Policy {}

impl Policy {
    /// Decides. Never fails: what cannot be evaluated is denied.
    pub fn decide(&self, _query: &Query<'_>) -> Decision {
        Decision { effect: Effect::Deny(None), policies: Arc::new([]), cached: false }
    }

    /// Whether the caller may use the item with *some* arguments: what lists show, and what decides between
    /// "denied" and "unknown". The query's arguments are not looked at.
    pub fn may_see(&self, _query: &Query<'_>) -> bool {
        false
    }

    /// Whether any policy names this method, which is in no revision of the protocol.
    pub fn names_method(&self, _name: &str) -> bool {
        false
    }
}
