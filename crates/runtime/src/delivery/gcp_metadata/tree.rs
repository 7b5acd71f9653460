//! The metadata tree, and the three ways in which it is shown: a listing, a value, or JSON with everything below.

use serde_json::{Map, Value};

/// A place in the tree.
pub(super) enum Node {
    /// Shown with a `/` behind its name.
    Directory(Vec<(String, Node)>),
    /// A text.
    Value(String),
    /// A number: a number in JSON too.
    Number(u64),
    /// Several texts: a line each, an array in JSON.
    List(Vec<String>),
    /// Answered elsewhere, and only when asked for by name: a token.
    Asked,
}

/// A node, written.
pub(super) enum Shown {
    Text(String),
    Json(Value),
}

impl Node {
    pub(super) fn directory<const N: usize>(nodes: [(&str, Self); N]) -> Self {
        Self::Directory(nodes.into_iter().map(|(name, node)| (name.to_owned(), node)).collect())
    }

    /// The node below, by names. None also for what is only answered elsewhere.
    pub(super) fn at(self, names: &[&str]) -> Option<Self> {
        match (self, names) {
            (Self::Asked, _) => None,
            (node, []) => Some(node),
            (Self::Directory(nodes), [name, below @ ..]) => {
                nodes.into_iter().find(|(own, _)| own == name).and_then(|(_, node)| node.at(below))
            }
            _ => None,
        }
    }

    /// As JSON when that is wanted; directories only when everything below is, too.
    pub(super) fn shown(self, json: bool, recursive: bool) -> Shown {
        match self {
            Self::Directory(nodes) if !recursive => {
                let line = |(name, node): (String, Self)| match node {
                    Self::Directory(_) => format!("{name}/\n"),
                    _ => format!("{name}\n"),
                };
                Shown::Text(nodes.into_iter().map(line).collect())
            }
            node if json => Shown::Json(node.json().unwrap_or_default()),
            Self::Directory(_) | Self::Asked => Shown::Text(String::new()),
            Self::Value(value) => Shown::Text(value),
            Self::Number(number) => Shown::Text(number.to_string()),
            Self::List(lines) => Shown::Text(lines.into_iter().map(|line| line + "\n").collect()),
        }
    }

    fn json(self) -> Option<Value> {
        Some(match self {
            Self::Directory(nodes) => {
                let below = |(name, node): (String, Self)| Some((camel(&name), node.json()?));
                Value::Object(nodes.into_iter().filter_map(below).collect::<Map<_, _>>())
            }
            Self::Value(value) => value.into(),
            Self::Number(number) => number.into(),
            Self::List(lines) => lines.into(),
            Self::Asked => return None,
        })
    }
}

/// `service-accounts` is `serviceAccounts` in JSON; an account's own name stays as it is.
fn camel(name: &str) -> String {
    if name.contains('@') {
        return name.to_owned();
    }
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |joined, word| {
        let mut letters = word.chars();
        let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
        joined.chars().chain(initial).chain(letters).collect()
    })
}
