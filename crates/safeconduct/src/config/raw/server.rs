//! `servers`: the MCP servers behind the gateway.

use super::super::decode::{Named, section};
use super::super::values::{Anything, Many};
use super::step::Chain;

section! {
    /// One MCP server.
    Server {
        /// The server's endpoint (streamable HTTP).
        url: String;
        /// Names of the `issuers` whose callers are believed here. Default: all.
        issuers: Many<String>;
        /// Scopes that a caller's token must have, by method (`tools/call: [mcp:tools:call]`). When one is missing, the
        /// caller is told the whole set for this method (403 `insufficient_scope`). Default: none.
        scopes: Named<Many<String>>;
        /// How the credential for the server is got: a chain of steps, each step's result being the next one's subject,
        /// or `none`. It must be said: a server without it is an error.
        credential, required: Chain;
        /// Where the credential goes. Default: `{ header: Authorization }`.
        deliver: Deliver;
        /// Accepts plain http for a server that is not on this machine. Default: `false`.
        allow_http: bool;
        /// A container image to run. Not in this version: start the server yourself and give its `url`.
        image: Anything;
        /// A command to run. Not in this version: start the server yourself and give its `url`.
        command: Anything;
        /// How the started server is spoken to. Not in this version.
        transport: Anything;
        /// What the started server may do. Not in this version.
        permissions: Anything;
    }
}

section! {
    /// Where the credential goes on the request to the server.
    Deliver {
        /// Name of a header. Default: `Authorization`.
        header: String;
        /// What stands before the credential in the header. Default: `"Bearer "`, and nothing in other headers than
        /// `Authorization`.
        prefix: Prefix;
        /// Signs requests for AWS. Not in this version.
        sigv4: Anything;
        /// An environment variable of the server. Not in this version.
        env: Anything;
        /// A file of the server. Not in this version.
        file: Anything;
        /// A metadata server for Google SDKs. Not in this version.
        gcp_metadata: Anything;
        /// A credential endpoint for AWS SDKs. Not in this version.
        aws_container: Anything;
        /// A credential endpoint for Azure SDKs. Not in this version.
        azure_identity: Anything;
    }
}

/// Text that may be empty.
#[derive(Clone)]
pub(crate) struct Prefix(pub(crate) String);

impl super::super::decode::Decode for Prefix {
    fn decode(
        node: &super::super::node::Node,
        problems: &mut super::super::problem::Problems,
    ) -> Option<Self> {
        use super::super::node::Kind;
        match &node.kind {
            Kind::Text(text) => Some(Self(text.clone())),
            _ => {
                super::super::decode::expected(
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
