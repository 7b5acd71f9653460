//! `deliver`: where the credential goes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::decode::{Decode, section};
use crate::config::node::{Kind, Node};
use crate::config::problem::Problems;
use crate::config::values::{Count, Many};

section! {
    /// Where the credential goes: into a header of the request, or to the started server itself, where an unmodified SDK
    /// looks for it. A server that is given its caller's credential runs once for each caller.
    Deliver {
        /// Name of a header. Default: `Authorization`.
        header: String;
        /// What stands before the credential in the header. Default: `"Bearer "`, and nothing in other headers than
        /// `Authorization`.
        prefix: Prefix;
        /// Signs each request for AWS (Signature Version 4), with the keys that the chain ends in.
        sigv4: SigV4;
        /// A variable of the started server: its name for a token, `true` for AWS keys in the variables that Amazon's SDKs
        /// read. A variable cannot be renewed: when the credential has ended, the next call starts the server anew.
        env: Detailed<EnvDelivery>;
        /// An in-memory file of the started server, kept up to date: its path, for a token, `true` for AWS keys in a shared
        /// credentials file.
        file: Detailed<FileDelivery>;
        /// A metadata server for Google's SDKs, for this started server alone: `true`, or what it says of itself.
        gcp_metadata: Detailed<GcpDelivery>;
        /// A credential endpoint for Amazon's SDKs, for this started server alone: `true`, or what it says of itself.
        aws_container: Detailed<AwsDelivery>;
        /// A managed-identity endpoint for Microsoft's SDKs, for this started server alone: `true`, or what it says of itself.
        azure_identity: Detailed<AzureDelivery>;
    }
}

section! {
    /// What requests are signed for.
    SigV4 {
        /// Region of the service: `us-east-1`.
        region, required: String;
        /// The service's name in signatures: `aws-mcp`, `bedrock-agentcore`, `execute-api`, `lambda`.
        service, required: String;
    }
}

section! {
    /// The credential in the environment.
    EnvDelivery {
        /// The variable, for a token.
        variable: String;
        /// What stands before the token. Default: nothing.
        prefix: Prefix;
        /// Region, for AWS keys.
        region: String;
    }
}

section! {
    /// The credential in a file below `/run/safeconduct`.
    FileDelivery {
        /// Name of the file: `/run/safeconduct/NAME`.
        path: String;
        /// A variable that names the file.
        variable: String;
    }
}

section! {
    /// What Google's metadata server says.
    GcpDelivery {
        /// Project id. Default: none.
        project: String;
        /// Project number. Default: none.
        project_number: Count;
        /// The account that the token acts as. Default: `default`.
        email: String;
        /// The cloud's domain. Default: `googleapis.com`.
        universe_domain: String;
        /// Zone, for libraries that ask where they are: `europe-west1-b`. Default: none.
        zone: String;
    }
}

section! {
    /// What Amazon's endpoint says.
    AwsDelivery {
        /// Region, for `AWS_REGION` and `AWS_DEFAULT_REGION`. Default: none.
        region: String;
        /// Account that the keys belong to. Default: none.
        account: String;
        /// Name under which the role is listed. Default: `safeconduct`.
        role: String;
    }
}

section! {
    /// What Microsoft's endpoint says.
    AzureDelivery {
        /// The resources that tokens are for: `https://graph.microsoft.com`. Default: those that the token's scopes and
        /// audience name.
        resources: Many<String>;
        /// Client id of the identity. Default: whichever is asked for.
        client_id: String;
        /// Tenant, for `AZURE_TENANT_ID`. Default: none.
        tenant: String;
    }
}

/// `true`, one word, or a section.
#[derive(Clone)]
pub(crate) enum Detailed<T> {
    /// `true`
    Plain,
    /// One word.
    Word(String),
    /// The section.
    Section(T),
}

impl<T: Decode> Decode for Detailed<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Flag(true) => Some(Self::Plain),
            Kind::Text(word) if !word.is_empty() => Some(Self::Word(word.clone())),
            _ => T::decode(node, problems).map(Self::Section),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Detailed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("true, text or {}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let section = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "const": true }, { "type": "string" }, section] })
    }
}

/// Text that may be empty.
#[derive(Clone)]
pub(crate) struct Prefix(pub(crate) String);

impl crate::config::decode::Decode for Prefix {
    fn decode(
        node: &crate::config::node::Node,
        problems: &mut crate::config::problem::Problems,
    ) -> Option<Self> {
        use crate::config::node::Kind;
        match &node.kind {
            Kind::Text(text) => Some(Self(text.clone())),
            _ => {
                crate::config::decode::expected(
                    node,
                    problems,
                    "text in quotes, such as `\"Bearer \"` or `\"\"`",
                );
                None
            }
        }
    }
}

impl schemars::JsonSchema for Prefix {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "text".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}
