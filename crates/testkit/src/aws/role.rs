//! Roles: whom they trust, and what they may do.

use std::time::Duration;

use super::ACCOUNT;

/// A role of the account.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name, without a path.
    pub name: String,
    /// Who may assume it.
    pub trusts: Trusts,
    /// Longest session.
    pub longest: Duration,
    /// What it may do: `warehouse:ReadStock`.
    pub allows: Vec<String>,
}

/// A trust policy, as far as it is spoken here.
#[derive(Clone, Debug)]
pub enum Trusts {
    /// `sts:AssumeRoleWithWebIdentity` for subjects that match one of these (`*` at the end stands for anything).
    WebIdentity {
        /// Condition on `ISSUER:sub`, `StringLike`.
        subjects: Vec<String>,
    },
    /// `sts:AssumeRole` for sessions of another role.
    Role {
        /// Its name.
        name: String,
        /// Condition on `sts:ExternalId`.
        external_id: Option<String>,
        /// Condition: `aws:RequestTag/KEY` must be there.
        tags: Vec<String>,
    },
}

impl Role {
    /// A role for callers of the OIDC provider, whoever they are.
    pub fn for_callers(name: &str, allows: &[&str]) -> Self {
        let trusts = Trusts::WebIdentity { subjects: vec!["*".into()] };
        Self { name: name.into(), trusts, longest: Duration::from_secs(3600), allows: owned(allows) }
    }

    /// The same, only for these subjects.
    #[must_use]
    pub fn only(mut self, subjects: &[&str]) -> Self {
        self.trusts = Trusts::WebIdentity { subjects: owned(subjects) };
        self
    }

    /// A role that is assumed with another role's keys.
    pub fn behind(first: &str, name: &str, allows: &[&str]) -> Self {
        let trusts = Trusts::Role { name: first.into(), external_id: None, tags: Vec::new() };
        Self { name: name.into(), trusts, longest: Duration::from_secs(3600), allows: owned(allows) }
    }

    /// Its ARN.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT}:role/{}", self.name)
    }
}

/// `StringLike`, as far as it is spoken here.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |start| text.starts_with(start))
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
