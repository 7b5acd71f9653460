//! `credential`: the steps from the caller's token to the server's credential.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::super::decode::{At, Decode, Field, Named, at, expected, section};
use super::super::near::suggest;
use super::super::node::{Kind, Node};
use super::super::problem::Problems;
use super::super::values::{Many, Period, SecretText, choice};

/// Steps that the contract knows and this version does not have.
pub(crate) const LATER: &[&str] = &[
    "jwt_bearer",
    "id_jag",
    "google_sts",
    "google_impersonate",
    "google_id_token",
    "aws_web_identity",
    "aws_assume_role",
    "entra_obo",
    "client_credentials",
    "vault",
];

const STEPS: &[&str] = &["exchange", "static"];

/// `credential: none`, or a list of steps.
#[derive(Clone)]
pub(crate) enum Chain {
    /// Said, not forgotten.
    None,
    /// The steps in order; a step that could not be read is broken.
    Steps(Vec<Field<Step>>),
}

/// One step.
#[derive(Clone)]
pub(crate) enum Step {
    /// Token exchange (RFC 8693).
    Exchange(Box<Exchange>),
    /// A named secret, the same for every caller.
    Static(Static),
}

section! {
    /// Token exchange (RFC 8693). Values may use `{subject}`, `{email}`, `{claim:NAME}` and `{group:MAP}`; a caller
    /// without the claim is refused.
    Exchange {
        /// The token endpoint.
        token_endpoint, required: String;
        /// The name under `clients` that asks. Default: no client authentication (some token services want none).
        client: String;
        /// Logical names of the target, one `audience` parameter each (§2.1).
        audience: Many<String>;
        /// URLs of the target, one `resource` parameter each (§2.1).
        resource: Many<String>;
        /// Scopes asked for at the target.
        scopes: Many<String>;
        /// What the subject token is said to be: a URI, or the short name of one of RFC 8693 §3 (`access_token`, `jwt`,
        /// `id_token`). Default: `access_token`.
        subject_token_type: String;
        /// What is asked for: a URI, a short name, or `omit`: the parameter is not sent and the server chooses. Some
        /// servers refuse it, some require it. Default: `omit`.
        requested_token_type: String;
        /// A token for the acting party, by reference. Sent with `actor_token_type`.
        actor_token: SecretText;
        /// What the actor token is. Default: `access_token`.
        actor_token_type: String;
        /// `strict`: the answer must say the `issued_token_type` that was asked for; `lenient`: it may say nothing, as
        /// some servers do. Default: `strict`.
        issued_token_type: IssuedType;
        /// What the `aud` of an issued JWT must be: `exact`, nothing but what was asked for; `contains`, something of it;
        /// `any`, not looked at. Default: `exact`.
        issued_audience: IssuedAudience;
        /// The `aud` that the issued token has, where it is not the word that is asked for. Default: what is asked for.
        expected_audience: Many<String>;
        /// What happens to a token with more scopes than were asked for: `refuse`, or `accept` for servers that add
        /// scopes of their own (Keycloak). Default: `refuse`.
        broader_scope: BroaderScope;
        /// More parameters of the request, as the provider wants them.
        parameters: Named<String>;
        /// Uses an issued token no longer than this. Default: no limit besides the answer's and the caller's token's.
        max_lifetime: Period;
        /// Waits this long for one attempt. Default: `5s`.
        attempt_timeout: Period;
        /// Waits this long in all, retries included. Default: `timeouts.token_endpoint`.
        timeout: Period;
        /// Accepts plain http for an endpoint that is not on this machine. Default: `false`.
        allow_http: bool;
    }
}

section! {
    /// A secret of the server, the same for every caller: the server cannot tell them apart.
    Static {
        /// The secret, by reference: `env:NAME` or `file:PATH`.
        secret, required: SecretText;
    }
}

choice! {
    /// Whether an answer may leave out `issued_token_type`.
    pub IssuedType {
        /// It must be there and as asked for.
        "strict" => Strict,
        /// It may be missing.
        "lenient" => Lenient,
    }
}

choice! {
    /// What the audience of an issued JWT must be.
    pub IssuedAudience {
        /// Nothing but what was asked for.
        "exact" => Exact,
        /// Something of what was asked for.
        "contains" => Contains,
        /// Not looked at.
        "any" => Any,
    }
}

choice! {
    /// What happens to a token with more scopes than were asked for.
    pub BroaderScope {
        /// It is refused.
        "refuse" => Refuse,
        /// It is used, and its scopes are recorded.
        "accept" => Accept,
    }
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
        match entry.name.as_str() {
            "exchange" => {
                Exchange::decode(&entry.value, problems).map(|exchange| Self::Exchange(Box::new(exchange)))
            }
            "static" => {
                if !matches!(entry.value.kind, Kind::Map(_)) {
                    problems.keep_secret(&entry.value);
                }
                Static::decode(&entry.value, problems).map(Self::Static)
            }
            name if LATER.contains(&name) => {
                problems
                    .error(entry.name_span.clone(), format!("the step `{name}` is not in this version"))
                    .label("not in this version")
                    .help("this version has `exchange` (RFC 8693), `static` and `credential: none`");
                None
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
        let (exchange, fixed) = (generator.subschema_for::<Exchange>(), generator.subschema_for::<Static>());
        json_schema!({
            "type": "object",
            "description": "One step of a credential chain: exactly one of these names.",
            "properties": { "exchange": exchange, "static": fixed },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        })
    }
}
