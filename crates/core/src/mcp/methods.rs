//! The table of methods of both eras. A method that is not in it is known only if a policy names it.

/// What a method does, as far as the gateway treats methods differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The life of a connection: open to every authenticated caller unless a `forbid` takes it away.
    Life,
    /// A list, filtered by what the caller may use; needs no rule of its own.
    List(List),
    /// Everything else: needs a `permit`.
    Use,
}

/// The lists that are filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum List {
    /// `tools/list`: items by `name`.
    Tools,
    /// `prompts/list`: items by `name`.
    Prompts,
    /// `resources/list`: items by `uri`.
    Resources,
    /// `resources/templates/list`: items by `uriTemplate`.
    Templates,
    /// `tasks/list` (2025-11-25): items by `taskId`.
    Tasks,
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// JSON-RPC method, or `stream/open`, `session/end` for GET and DELETE.
    pub name: &'static str,
    /// How it is treated.
    pub class: Class,
    /// Policy group `read` (true) or `write` (false); life and lists are in `read`.
    pub read: bool,
}

/// A method of the table, or one that only a policy may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// In the table.
    Known(&'static Row),
    /// Not in the table.
    Other(Box<str>),
}

impl Method {
    /// The method's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(row) => row.name,
            Self::Other(name) => name,
        }
    }

    /// How it is treated; an unknown one is a use.
    pub fn class(&self) -> Class {
        match self {
            Self::Known(row) => row.class,
            Self::Other(_) => Class::Use,
        }
    }
}

/// Looks a method up.
pub fn method(name: &str) -> Method {
    TABLE.iter().find(|row| row.name == name).map_or_else(|| Method::Other(name.into()), Method::Known)
}

/// Requests that 2026-07-28 no longer has: there they are unknown methods.
const REMOVED: [&str; 7] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/list",
    "tasks/result",
];

impl Method {
    /// Whether 2026-07-28 took this request away.
    pub(crate) fn is_removed(&self) -> bool {
        REMOVED.contains(&self.name())
    }
}

/// The names of all methods of the table.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}

const fn row(name: &'static str, class: Class, read: bool) -> Row {
    Row { name, class, read }
}

/// Every method of 2025-06-18, 2025-11-25 and 2026-07-28 that a client sends, and the two HTTP-only ones.
/// Ordered by how often they come.
pub static TABLE: &[Row] = &[
    row("tools/call", Class::Use, false),
    row("tools/list", Class::List(List::Tools), true),
    row("resources/read", Class::Use, true),
    row("prompts/get", Class::Use, true),
    row("initialize", Class::Life, true),
    row("server/discover", Class::Life, true),
    row("ping", Class::Life, true),
    row("notifications/initialized", Class::Life, true),
    row("notifications/cancelled", Class::Life, true),
    row("notifications/progress", Class::Life, true),
    row("notifications/roots/list_changed", Class::Life, true),
    row("notifications/elicitation/complete", Class::Life, true),
    row("notifications/tasks/status", Class::Life, true),
    row("stream/open", Class::Life, true),
    row("session/end", Class::Life, true),
    row("response", Class::Life, true),
    row("logging/setLevel", Class::Life, true),
    row("resources/list", Class::List(List::Resources), true),
    row("resources/templates/list", Class::List(List::Templates), true),
    row("prompts/list", Class::List(List::Prompts), true),
    row("completion/complete", Class::Use, true),
    row("resources/subscribe", Class::Use, true),
    row("resources/unsubscribe", Class::Life, true),
    row("subscriptions/listen", Class::Use, true),
    row("tasks/list", Class::List(List::Tasks), true),
    row("tasks/get", Class::Use, true),
    row("tasks/result", Class::Use, true),
    row("tasks/update", Class::Use, false),
    row("tasks/cancel", Class::Use, false),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Class, Method, TABLE, method, names};

    const SCHEMA: &str = include_str!("fixtures/methods.txt");
    const UNCOVERED: &str = include_str!("fixtures/uncovered.txt");
    /// How long the list of uncovered methods may be. Lower it when it shrinks.
    const MOST_UNCOVERED: usize = 10;

    fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
        text.lines().filter(|line| !line.starts_with('#'))
    }

    #[test]
    fn every_method_of_the_schema_is_in_the_table_or_known_not_to_be() {
        let last = |line: &'static str| line.rsplit(' ').next().unwrap();
        let schema: BTreeSet<_> = lines(SCHEMA).map(last).collect();
        let table: BTreeSet<_> = names().collect();
        let missing: Vec<_> = schema.difference(&table).copied().collect();
        assert_eq!(missing, lines(UNCOVERED).collect::<Vec<_>>());
        assert!(missing.len() <= MOST_UNCOVERED);
        let sent_by_clients =
            |name: &&str| lines(SCHEMA).any(|line| line.ends_with(&format!(" client {name}")));
        assert_eq!(missing.iter().find(|name| sent_by_clients(name)), None);
    }

    #[test]
    fn the_table_names_nothing_twice_and_nothing_that_no_revision_has() {
        let table: BTreeSet<_> = names().collect();
        assert_eq!(table.len(), TABLE.len());
        let invented: Vec<_> = table
            .iter()
            .filter(|name| !lines(SCHEMA).any(|line| line.ends_with(&format!(" {name}"))))
            .collect();
        assert_eq!(invented, [&"response", &"session/end", &"stream/open"]);
    }

    #[test]
    fn only_the_life_of_a_connection_is_open_without_a_rule() {
        let open: Vec<_> = TABLE.iter().filter(|row| row.class == Class::Life).map(|row| row.name).collect();
        assert!(open.iter().all(|name| !name.starts_with("tools/") && !name.starts_with("prompts/")));
        assert!(!open.contains(&"resources/subscribe") && !open.contains(&"completion/complete"));
        assert_eq!(method("vendor/x").class(), Class::Use);
        assert_eq!(method("vendor/x"), Method::Other("vendor/x".into()));
        assert_eq!(method("Tools/call"), Method::Other("Tools/call".into()));
    }
}
