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
