//! From a tree to typed sections, collecting every mistake of shape on the way.
//!
//! A mistake spoils one field, not the file: the field is [`Field::Broken`], everything else is read, and the
//! later checks know the difference between a field that is not there and one that was already complained about.

use std::borrow::Cow;
use std::ops::Range;

use safeconduct_identity::secret_source::is_telling;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::near::{nearest, suggest};
use super::node::{Entry, Kind, Node};
use super::problem::Problems;

/// What can be read from a node.
pub(crate) trait Decode: Sized + JsonSchema {
    /// The value, or None after noting what is wrong.
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self>;
}

/// A value with its place.
#[derive(Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    /// Bytes of the value.
    pub(crate) span: Range<usize>,
    /// Its name in the mapping, or the value.
    pub(crate) site: Range<usize>,
}

/// One field of a section.
#[derive(Clone)]
pub(crate) enum Field<T> {
    /// Not in the file.
    Absent,
    /// In the file, wrong, and already complained about.
    Broken,
    /// Read.
    Given(At<T>),
}

impl<T> Field<T> {
    /// The value with its place.
    pub(crate) fn given(&self) -> Option<&At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Broken => None,
        }
    }

    /// The value.
    pub(crate) fn value(&self) -> Option<&T> {
        self.given().map(|at| &at.value)
    }

    /// True when the file does not have it.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<T: Clone> Field<T> {
    /// The value, or the default when it is absent or broken.
    pub(crate) fn or(&self, default: T) -> T {
        self.value().cloned().unwrap_or(default)
    }
}

/// A mapping whose names the user chooses, in the order of the file. A broken value keeps its name, so that
/// what refers to it is not called unknown.
#[derive(Clone)]
pub(crate) struct Named<T> {
    pub(crate) entries: Vec<(At<String>, Option<At<T>>)>,
}

impl<T> Named<T> {
    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.value.as_str())
    }

    /// The entries that could be read.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&At<String>, &At<T>)> {
        self.entries.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)))
    }
}

impl<T: Decode> Decode for Named<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let entries = mapping(node, problems)?;
        let mut named = Vec::new();
        for entry in distinct(entries, problems) {
            let name = At {
                value: entry.name.clone(),
                span: entry.name_span.clone(),
                site: entry.name_span.clone(),
            };
            named.push((name, at(&entry.value, problems)));
        }
        Some(Self { entries: named })
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("named {}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
    }
}

/// Reads a value with its place.
pub(crate) fn at<T: Decode>(node: &Node, problems: &mut Problems) -> Option<At<T>> {
    let value = T::decode(node, problems)?;
    Some(At { value, span: node.span.clone(), site: node.site.clone() })
}

/// The entries of a mapping, or None after saying that one is expected.
pub(crate) fn mapping<'n>(node: &'n Node, problems: &mut Problems) -> Option<&'n [Entry]> {
    match &node.kind {
        Kind::Map(entries) => Some(entries),
        _ => {
            expected(node, problems, "a mapping (`name: value` lines, or `{ name: value }`)");
            None
        }
    }
}

/// Says what was expected and what is there.
pub(crate) fn expected(node: &Node, problems: &mut Problems, what: &str) {
    let found = node.kind.word();
    match node.kind {
        Kind::Null => problems
            .error(node.site.clone(), format!("expected {what}, and there is no value"))
            .label("has no value")
            .help("give it a value, or remove the line"),
        _ => problems
            .error(node.span.clone(), format!("expected {what}, found {found}"))
            .label(format!("this is {found}")),
    };
}

/// The fields that a section knows, taken one by one.
pub(crate) struct Section<'n> {
    entries: Vec<&'n Entry>,
    site: Range<usize>,
}

impl<'n> Section<'n> {
    /// Opens a mapping; names that are not `known` are complained about.
    pub(crate) fn open(node: &'n Node, known: &[&str], problems: &mut Problems) -> Option<Self> {
        let entries = distinct(mapping(node, problems)?, problems);
        for entry in &entries {
            if !known.contains(&entry.name.as_str()) {
                problems
                    .error(entry.name_span.clone(), format!("unknown setting `{}`", entry.name))
                    .label("not known here")
                    .maybe_help(suggest(&entry.name, known.iter().copied()));
                // Whoever misspells a secret's name has still written a secret beside it.
                if is_telling(&entry.name)
                    || nearest(&entry.name, known.iter().copied()).is_some_and(is_telling)
                {
                    problems.keep_secret(&entry.value);
                }
            }
        }
        Some(Self { entries, site: node.site.clone() })
    }

    /// Reads a field.
    pub(crate) fn field<T: Decode>(&self, name: &str, required: bool, problems: &mut Problems) -> Field<T> {
        let Some(entry) = self.entries.iter().find(|entry| entry.name == name) else {
            if required {
                problems
                    .error(self.site.clone(), format!("`{name}` is missing"))
                    .label(format!("needs `{name}`"));
            }
            return Field::Absent;
        };
        at(&entry.value, problems).map_or(Field::Broken, Field::Given)
    }
}

fn distinct<'n>(entries: &'n [Entry], problems: &mut Problems) -> Vec<&'n Entry> {
    let mut seen: Vec<&Entry> = Vec::new();
    for entry in entries {
        if seen.iter().any(|earlier| earlier.name == entry.name) {
            problems
                .error(entry.name_span.clone(), format!("`{}` stands here a second time", entry.name))
                .label("repeated")
                .help("keep one of them");
        } else {
            seen.push(entry);
        }
    }
    seen
}

/// Declares a section of the file: its fields with their documentation, how it is read, and its schema.
/// The documentation is the reference that users read (`docs/configuration.md`, `safeconduct schema`).
macro_rules! section {
    ($(#[doc = $about:literal])* $name:ident {
        $( $(#[doc = $doc:literal])* $field:ident $(= $key:literal)? $(, $required:ident)? : $type:ty; )*
    }) => {
        $(#[doc = $about])*
        #[derive(Clone)]
        pub(crate) struct $name { $( $(#[doc = $doc])* pub(crate) $field: $crate::config::decode::Field<$type>, )* }

        impl $crate::config::decode::Decode for $name {
            fn decode(
                node: &$crate::config::node::Node,
                problems: &mut $crate::config::problem::Problems,
            ) -> Option<Self> {
                let known = [$( $crate::config::decode::key!($field $($key)?) ),*];
                let section = $crate::config::decode::Section::open(node, &known, problems)?;
                Some(Self { $( $field: section.field(
                    $crate::config::decode::key!($field $($key)?),
                    $crate::config::decode::required!($($required)?),
                    problems,
                ), )* })
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                let mut fields = $crate::config::decode::Fields::new(concat!("" $(, $about, "\n")*));
                $( fields.add::<$type>(
                    generator,
                    $crate::config::decode::key!($field $($key)?),
                    $crate::config::decode::required!($($required)?),
                    concat!("" $(, $doc, "\n")*),
                ); )*
                fields.finish()
            }
        }
    };
}
pub(crate) use section;

macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}
pub(crate) use key;

macro_rules! required {
    () => {
        false
    };
    (required) => {
        true
    };
}
pub(crate) use required;

/// The schema of a section in the making.
pub(crate) struct Fields {
    about: String,
    properties: serde_json::Map<String, serde_json::Value>,
    required: Vec<&'static str>,
}

impl Fields {
    pub(crate) fn new(about: &str) -> Self {
        Self { about: prose(about), properties: serde_json::Map::new(), required: Vec::new() }
    }

    pub(crate) fn add<T: JsonSchema>(
        &mut self,
        generator: &mut SchemaGenerator,
        key: &'static str,
        required: bool,
        doc: &str,
    ) {
        let mut schema = generator.subschema_for::<T>();
        schema.insert("description".to_owned(), prose(doc).into());
        self.properties.insert(key.to_owned(), schema.to_value());
        if required {
            self.required.push(key);
        }
    }

    pub(crate) fn finish(self) -> Schema {
        let mut schema = json_schema!({
            "type": "object",
            "description": self.about,
            "properties": self.properties,
            "additionalProperties": false,
        });
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), self.required.into());
        }
        schema
    }
}

// A doc comment as prose: one space before each line removed.
fn prose(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join("\n").trim().to_owned()
}
