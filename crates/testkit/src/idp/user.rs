//! People and programs that the provider knows.

use serde_json::{Map, Value};

/// A user: what goes into every token of theirs.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// `sub`.
    pub subject: String,
    /// `groups`.
    pub groups: Vec<String>,
    /// Further claims (`email`, `acr`, ...).
    pub claims: Map<String, Value>,
}

impl User {
    /// A user in these groups. A subject with an `@` is also the `email` claim.
    pub fn new(subject: &str, groups: &[&str]) -> Self {
        let mut claims = Map::new();
        if subject.contains('@') {
            claims.insert("email".into(), subject.into());
        }
        Self {
            subject: subject.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            claims,
        }
    }

    /// With one more claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }
}
