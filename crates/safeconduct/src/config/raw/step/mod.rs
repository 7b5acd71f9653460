//! `credential`: the steps from the caller's token to the server's credential. A step is a file here and a row below.

mod aws;
mod client_credentials;
mod common;
mod entra_obo;
mod exchange;
mod fixed;
mod google;
mod id_jag;
mod jwt_bearer;
mod vault;

pub(crate) use aws::{AwsAssumeRole, AwsWebIdentity};
pub(crate) use client_credentials::ClientCredentials;
pub(crate) use common::Common;
pub(crate) use entra_obo::EntraObo;
pub(crate) use exchange::Exchange;
pub use exchange::{BroaderScope, IssuedAudience, IssuedType};
pub(crate) use fixed::Static;
pub(crate) use google::{Boundary, GoogleIdToken, GoogleImpersonate, GoogleSts};
pub use id_jag::Deviation;
pub(crate) use id_jag::IdJag;
pub(crate) use jwt_bearer::JwtBearer;
pub(crate) use vault::Vault;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::super::decode::{At, Decode, Field, at, expected};
use super::super::near::suggest;
use super::super::node::{Kind, Node};
use super::super::presets;
use super::super::problem::Problems;

/// `credential: none`, or a list of steps.
#[derive(Clone)]
pub(crate) enum Chain {
    /// Said, not forgotten.
    None,
    /// The steps in order; a step that could not be read is broken.
    Steps(Vec<Field<Step>>),
}

/// The table of steps: the name in the file, and what stands under it.
macro_rules! steps {
    ($($name:literal => $step:ident),* $(,)?) => {
        /// One step.
        #[derive(Clone)]
        pub(crate) enum Step {
            $(#[doc = concat!("`", $name, "`")] $step(Box<$step>),)*
        }

        const STEPS: &[&str] = &[$($name),*];

        impl Step {
            fn named(name: &str, node: &Node, problems: &mut Problems) -> Option<Self> {
                match name {
                    $($name => $step::decode(node, problems).map(|step| Self::$step(Box::new(step))),)*
                    _ => None,
                }
            }
        }

        fn schemas(generator: &mut SchemaGenerator) -> serde_json::Map<String, serde_json::Value> {
            [$(($name.to_owned(), generator.subschema_for::<$step>().to_value())),*].into_iter().collect()
        }
    };
}

steps! {
    "client_credentials" => ClientCredentials,
    "entra_obo" => EntraObo,
    "exchange" => Exchange,
    "aws_web_identity" => AwsWebIdentity,
    "aws_assume_role" => AwsAssumeRole,
    "google_id_token" => GoogleIdToken,
    "google_impersonate" => GoogleImpersonate,
    "google_sts" => GoogleSts,
    "id_jag" => IdJag,
    "jwt_bearer" => JwtBearer,
    "static" => Static,
    "vault" => Vault,
}

impl Decode for Chain {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Text(word) if word == "none" => Some(Self::None),
            Kind::List(steps) if steps.is_empty() => {
                problems
                    .error(node.site.clone(), "this chain has no steps")
                    .label("empty")
                    .help("write `credential: none` if the server needs none");
                None
            }
            Kind::List(steps) => {
                let read = |step| at(step, problems).map_or(Field::Broken, Field::Given);
                Some(Self::Steps(steps.iter().map(read).collect()))
            }
            // Whoever expects a secret here has written one: it is not repeated.
            Kind::Text(_) | Kind::Number(_) => {
                problems.keep_secret(node);
                problems
                    .error(
                        node.site.clone(),
                        "a credential is `none` or a list of steps, and this is neither",
                    )
                    .label("expected `none` or a list of steps (its value is not shown)")
                    .help(
                        "credential: none, or credential: [ { exchange: { ... } } ]; there is no passthrough",
                    );
                None
            }
            _ => {
                expected(node, problems, "`none` or a list of steps (`- exchange: { ... }`)");
                None
            }
        }
    }
}

impl Decode for Step {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            problems.keep_secret(node);
            expected(node, problems, "a step, such as `exchange: { ... }`");
            return None;
        };
        let [entry] = entries.as_slice() else {
            problems
                .error(node.site.clone(), "a step has one name")
                .label(format!("this one has {}", entries.len()))
                .help("each step is its own list item: `- exchange: { ... }`");
            return None;
        };
        // Whoever gives a step no fields may have written a secret: it is not repeated.
        if !matches!(entry.value.kind, Kind::Map(_)) {
            problems.keep_secret(&entry.value);
        }
        match entry.name.as_str() {
            name if STEPS.contains(&name) => {
                Self::named(name, &presets::filled(name, &entry.value, problems), problems)
            }
            name => {
                problems
                    .error(entry.name_span.clone(), format!("unknown step `{name}`"))
                    .label("not known here")
                    .maybe_help(suggest(name, STEPS.iter().copied()));
                None
            }
        }
    }
}

impl Chain {
    /// The steps that could be read; None when one could not, or when it is `none`.
    pub(crate) fn steps(&self) -> Option<Vec<&At<Step>>> {
        match self {
            Self::None => Some(Vec::new()),
            Self::Steps(steps) => steps.iter().map(Field::given).collect(),
        }
    }
}

impl JsonSchema for Chain {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Chain".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let step = generator.subschema_for::<Step>();
        json_schema!({ "anyOf": [{ "const": "none" }, { "type": "array", "items": step, "minItems": 1 }] })
    }
}

impl JsonSchema for Step {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "One step of a credential chain: exactly one of these names.",
            "properties": schemas(generator),
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        })
    }
}
