//! The schema that policies are validated against.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use cedar_policy::{Schema, Validator};

use super::infer::quoted;
use crate::mcp::methods::{Class, Row, TABLE};

const ENTITIES: &str = r#"
entity Group;
entity Server;
entity User, Workload in [Group] {
    issuer: String, subject: String, client?: String, email?: String,
    scopes: Set<String>, groups: Set<String>, expires: Long,
} tags Set<String>;
entity Tool in [Server] { readOnly: Bool, destructive: Bool, idempotent: Bool, openWorld: Bool };
entity Prompt, Resource, Task in [Server];
action "read", "write", "life", "list";
"#;

const CONTEXT: &str = "actor?: String, acr?: String, amr?: Set<String>, auth_time?: Long, \
    now: Long, time: datetime, source_ip?: ipaddr, era: String";

/// The kinds of thing that a method can be about.
const ALL: &str = "Tool, Prompt, Resource, Task, Server";

/// Groups of actions; `life` and `list` are what the built-in permits speak of.
pub(super) const GROUPS: [&str; 4] = ["read", "write", "life", "list"];

/// The groups that a method is in. One that only policies know is in none.
pub(super) fn groups(method: &str) -> Vec<&'static str> {
    let Some(row) = TABLE.iter().find(|row| row.name == method) else { return Vec::new() };
    let mut groups = vec![if row.read { "read" } else { "write" }];
    match row.class {
        Class::Life => groups.push("life"),
        Class::List(_) => groups.push("list"),
        Class::Use => {}
    }
    groups
}

/// Actions and groups that a policy names; None for all of them.
type Actions = Option<BTreeSet<Box<str>>>;

/// Validators by what a policy is about: most policies share one with others.
pub(super) struct Schemas {
    custom: BTreeSet<Box<str>>,
    made: HashMap<(Actions, String), Arc<Validator>>,
}

impl Schemas {
    /// For policies that name these methods besides those of the protocol.
    pub(super) fn new(custom: BTreeSet<Box<str>>) -> Self {
        Self { custom, made: HashMap::new() }
    }

    /// The validator for a policy about these actions with this type of arguments. A schema of few actions is made
    /// and asked much faster than one of all.
    ///
    /// # Errors
    /// What Cedar says of the schema. It means that the type is not one.
    pub(super) fn validator(
        &mut self,
        actions: &Actions,
        arguments: String,
    ) -> Result<Arc<Validator>, String> {
        let key = (actions.clone(), arguments);
        if let Some(validator) = self.made.get(&key) {
            return Ok(validator.clone());
        }
        let text = self.text(actions, &key.1);
        let (schema, _) = Schema::from_cedarschema_str(&text).map_err(|error| error.to_string())?;
        let validator = Arc::new(Validator::new(schema));
        self.made.insert(key, validator.clone());
        Ok(validator)
    }

    fn text(&self, actions: &Actions, arguments: &str) -> String {
        let mut text = format!("type Call = {{ args: {arguments}, {CONTEXT} }};\n{ENTITIES}");
        let known = TABLE.iter().map(|row| (row.name, groups(row.name), about(row)));
        let custom = self.custom.iter().map(|name| (&**name, Vec::new(), ALL));
        for (name, groups, about) in known.chain(custom) {
            let named = |actions: &BTreeSet<Box<str>>| {
                actions.contains(name) || groups.iter().any(|group| actions.contains(*group))
            };
            if !actions.as_ref().is_none_or(named) {
                continue;
            }
            let within = if groups.is_empty() { String::new() } else { format!(" in {groups:?}") };
            let _ = writeln!(
                text,
                "action {}{within} appliesTo {{ principal: [User, Workload], resource: [{about}], context: Call }};",
                quoted(name),
            );
        }
        text
    }
}

fn about(row: &Row) -> &'static str {
    match (row.name, row.class) {
        ("tools/call", _) => "Tool",
        ("prompts/get", _) => "Prompt",
        ("resources/read" | "resources/subscribe" | "resources/unsubscribe", _) => "Resource",
        ("completion/complete", _) => "Prompt, Resource",
        ("subscriptions/listen", _) => "Server, Resource, Task",
        ("notifications/tasks/status", _) => "Task, Server",
        (name, Class::Use) if name.starts_with("tasks/") => "Task",
        (_, Class::Use) => ALL,
        (_, Class::Life | Class::List(_)) => "Server",
    }
}

#[cfg(test)]
mod tests {
    use super::Schemas;

    #[test]
    fn the_schema_is_one() {
        let mut schemas = Schemas::new(["acme/\"foo\"".into()].into());
        assert!(
            schemas
                .validator(&None, r#"{"amount": Long, "odd \"name"?: Set<{"a": Bool, }>, }"#.into())
                .is_ok()
        );
        assert!(schemas.validator(&None, "{".into()).is_err());
    }
}
