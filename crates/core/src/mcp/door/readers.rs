//! Row P4 as a property: whatever the door lets in, a reader that keeps the last of two names, one that keeps
//! the first, and one that matches names without case (Go's `encoding/json`) read the same call.

use std::collections::BTreeMap;
use std::fmt;

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::mcp::fixture::{caller, door, head, server};
use crate::mcp::{Call, Verb};

/// A tree that keeps all members, in order, duplicates too.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Object(Vec<(String, Tree)>),
    Array(Vec<Tree>),
    Text(String),
    Other(String),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Tree::Object(members))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree, A::Error> {
                let mut all = Vec::new();
                while let Some(element) = elements.next_element()? {
                    all.push(element);
                }
                Ok(Tree::Array(all))
            }

            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Other(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Other(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Other(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Other(value.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Other("null".to_owned()))
            }
        }
        from.deserialize_any(Any)
    }
}

/// How a reader finds a member.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reader {
    Last,
    First,
    /// The last whose name is equal without case: simple folding, with the two letters that fold into ASCII.
    Folding,
}

impl Reader {
    fn member<'a>(self, tree: &'a Tree, name: &str) -> Option<&'a Tree> {
        let Tree::Object(members) = tree else { return None };
        let folded = |name: &str| {
            let fold = |letter| match letter {
                '\u{17f}' => 's',
                '\u{212a}' => 'k',
                other => other.to_ascii_lowercase(),
            };
            name.chars().map(fold).collect::<String>()
        };
        let mut found = members.iter().filter(|(other, _)| match self {
            Self::Folding => folded(other) == folded(name),
            _ => other == name,
        });
        let found = if self == Self::First { found.next() } else { found.next_back() };
        found.map(|(_, value)| value)
    }

    /// Method, id, name, URI, task, arguments and reference, as this reader sees them.
    fn call(self, tree: &Tree) -> BTreeMap<&'static str, Tree> {
        let params = self.member(tree, "params");
        let inside = |name| params.and_then(|params| self.member(params, name));
        let reference = |name| inside("ref").and_then(|reference| self.member(reference, name));
        [
            ("method", self.member(tree, "method")),
            ("id", self.member(tree, "id")),
            ("name", inside("name")),
            ("uri", inside("uri")),
            ("taskId", inside("taskId")),
            ("arguments", inside("arguments")),
            ("ref.name", reference("name")),
            ("ref.uri", reference("uri")),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.clone())))
        .collect()
    }
}

/// Messages near the border: known names in many spellings, some twice.
fn messages() -> impl Strategy<Value = String> {
    let name = |names: &'static [&'static str]| prop::sample::select(names);
    let value = prop_oneof![
        name(&[
            "1",
            "\"a\"",
            "null",
            "{}",
            "[]",
            "true",
            "1.5",
            "\"2.0\"",
            "\"tools/call\"",
            "\"ping\"",
            "\"x\\u0041\""
        ])
        .prop_map(str::to_owned),
        any::<u32>().prop_map(|number| number.to_string()),
    ];
    let inner = (
        name(&[
            "name",
            "Name",
            "n\\u0061me",
            "uri",
            "URI",
            "arguments",
            "argument\u{17f}",
            "_meta",
            "_Meta",
            "tas\u{212a}Id",
            "taskId",
            "ref",
            "x",
            "X",
        ]),
        value.clone(),
    );
    let object = |members: Vec<(&'static str, String)>| {
        let members: Vec<_> =
            members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let params = prop::collection::vec(inner, 0..5).prop_map(object);
    let outer = (
        name(&[
            "id",
            "ID",
            "method",
            "Method",
            "\\u006dethod",
            "params",
            "Param\u{17f}",
            "param\u{17f}",
            "result",
            "extra",
        ]),
        prop_oneof![value, params.clone()],
    );
    (params, prop::collection::vec(outer, 0..2), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        move |(params, extra, place, call)| {
            let method = if call { "\"tools/call\"" } else { "\"resources/read\"" };
            let mut members = vec![
                ("jsonrpc", "\"2.0\"".to_owned()),
                ("id", "1".to_owned()),
                ("method", method.to_owned()),
                ("params", params),
            ];
            for member in extra {
                members.insert(place.index(members.len() + 1), member);
            }
            object(members)
        },
    )
}

fn admitted(text: &str) -> Option<Call> {
    door().parse(&head(Verb::Post), text.to_owned().into(), &caller("alice"), &server("orders")).ok()
}

fn text_of(tree: Option<&Tree>) -> Option<&str> {
    match tree {
        Some(Tree::Text(text)) => Some(text),
        _ => None,
    }
}

proptest! {
    /// Row: P4
    #[test]
    fn what_is_admitted_is_the_same_call_to_every_reader(text in messages()) {
        if let Some(call) = admitted(&text) {
            let tree: Tree = serde_json::from_slice(call.body()).unwrap();
            let seen = Reader::Last.call(&tree);
            prop_assert_eq!(&seen, &Reader::First.call(&tree));
            prop_assert_eq!(&seen, &Reader::Folding.call(&tree));
            prop_assert_eq!(text_of(seen.get("method")), Some(call.method().name()));
            let name = text_of(seen.get("name").or(seen.get("uri")));
            if let Some(named) = call.target().name() {
                prop_assert!(name == Some(named) || text_of(seen.get("uri")) == Some(named));
            }
            let arguments = call.arguments().map(|arguments| serde_json::from_slice::<Tree>(&arguments).unwrap());
            let theirs = seen.get("arguments").filter(|tree| matches!(tree, Tree::Object(_)));
            prop_assert_eq!(arguments.as_ref(), theirs);
        }
    }
}

#[test]
fn the_property_is_not_empty() {
    assert!(
        admitted(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","x":1}}"#).is_some()
    );
    let tree: Tree = serde_json::from_str(r#"{"method":"a","Method":"b"}"#).unwrap();
    assert_ne!(Reader::Last.call(&tree), Reader::Folding.call(&tree));
    let tree: Tree = serde_json::from_str(r#"{"method":"a","method":"b"}"#).unwrap();
    assert_ne!(Reader::Last.call(&tree), Reader::First.call(&tree));
}
