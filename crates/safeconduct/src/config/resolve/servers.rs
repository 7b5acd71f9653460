//! The MCP servers.

use std::ops::Range;

use super::Resolver;
use crate::config::decode::{At, Field};
use crate::config::plan::{DeliverPlan, ServerPlan};
use crate::config::raw::Server;

/// Names that would stand for something else in the gateway's own paths.
const TAKEN: [&str; 4] = ["healthz", "readyz", "metrics", "status"];

/// Headers that belong to the connection or to MCP itself.
const RESERVED: [&str; 14] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "accept",
    "cookie",
    "expect",
    "proxy-authorization",
    "last-event-id",
    "origin",
];

impl Resolver<'_> {
    pub(super) fn servers(&mut self, public_url: Option<&str>) -> Vec<ServerPlan> {
        let Some(servers) = self.file.servers.given() else { return Vec::new() };
        if servers.value.entries.is_empty() {
            self.problems
                .error(servers.site.clone(), "there is no server behind the gateway")
                .label("empty")
                .help("servers: { orders: { url: http://127.0.0.1:9000/mcp, credential: none } }");
        }
        servers
            .value
            .iter()
            .filter_map(|(name, server)| self.server(name, &server.value, public_url))
            .collect()
    }

    fn server(&mut self, name: &At<String>, server: &Server, public_url: Option<&str>) -> Option<ServerPlan> {
        self.name("a server", name);
        if TAKEN.contains(&name.value.as_str()) {
            self.problems
                .error(name.span.clone(), format!("`{}` is a path of the gateway itself", name.value))
                .label("taken")
                .help("call the server otherwise");
        }
        let url = self.endpoint(name, server);
        let issuers = self.believed(server);
        let scopes = self.scopes(server);
        let credential = self.chain(&server.credential);
        let deliver = self.deliver(server);
        // Without a public URL, which was complained about, the rest is checked and the plan is not made.
        let public_url = public_url.unwrap_or_default();
        Some(ServerPlan {
            resource: format!("{public_url}/{}/mcp", name.value),
            metadata_url: format!("{public_url}/.well-known/oauth-protected-resource/{}/mcp", name.value),
            name: name.value.clone(),
            url: url?,
            issuers,
            scopes,
            credential: credential?,
            deliver: deliver?,
        })
    }

    fn endpoint(&mut self, name: &At<String>, server: &Server) -> Option<http::Uri> {
        let started = [
            ("image", place(&server.image)),
            ("command", place(&server.command)),
            ("transport", place(&server.transport)),
            ("permissions", place(&server.permissions)),
        ];
        let mut starts = false;
        for (setting, place) in started {
            let Some(place) = place else { continue };
            starts |= matches!(setting, "image" | "command");
            self.problems
                .error(place, format!("`{setting}` is not in this version: it does not start MCP servers"))
                .label("not in this version")
                .help("start the server yourself, reachable over streamable HTTP, and give its `url`");
        }
        if server.url.is_absent() && !starts {
            self.problems
                .error(name.span.clone(), "`url` is missing")
                .label("needs `url`")
                .help("url: http://127.0.0.1:9000/mcp, the server's streamable HTTP endpoint");
        }
        let url = server.url.given()?;
        self.url("credentials and answers", url, &server.allow_http)
    }

    fn believed(&mut self, server: &Server) -> Vec<String> {
        let known = self.issuer_names();
        let Some(written) = server.issuers.given() else { return known };
        if written.value.0.is_empty() {
            self.problems
                .error(written.site.clone(), "no issuer is believed here, so no caller could be")
                .label("empty")
                .help("remove the line to believe all of them");
        }
        let mut believed = Vec::new();
        for name in &written.value.0 {
            if self.known("issuer", "issuers", name, &known) && !believed.contains(&name.value) {
                believed.push(name.value.clone());
            }
        }
        believed
    }

    fn scopes(&mut self, server: &Server) -> Vec<(String, Vec<String>)> {
        let Some(scopes) = server.scopes.value() else { return Vec::new() };
        let methods: Vec<String> =
            safeconduct_core::mcp::methods::TABLE.iter().map(|row| row.name.to_owned()).collect();
        let mut by_method = Vec::new();
        for (method, needed) in scopes.iter() {
            if !methods.contains(&method.value) {
                self.problems
                    .warning(
                        method.span.clone(),
                        format!("`{}` is a method of no MCP revision", method.value),
                    )
                    .label("not known")
                    .maybe_help(
                        crate::config::near::nearest(&method.value, methods.iter().map(String::as_str))
                            .map(|near| format!("did you mean `{near}`?")),
                    );
            }
            for scope in &needed.value.0 {
                // RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
                if !scope.value.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'"' && b != b'\\') {
                    self.problems
                        .error(scope.span.clone(), format!("`{}` is not one scope", scope.value))
                        .label("has a space, a quote or a character that scopes cannot have")
                        .help("several scopes are a list: [a, b]");
                }
            }
            by_method.push((method.value.clone(), needed.value.values().cloned().collect()));
        }
        by_method
    }

    fn deliver(&mut self, server: &Server) -> Option<DeliverPlan> {
        let standard = |prefix| DeliverPlan::Header { name: http::header::AUTHORIZATION, prefix };
        let deliver = match &server.deliver {
            Field::Given(deliver) => &deliver.value,
            Field::Absent => return Some(standard("Bearer ".to_owned())),
            Field::Broken => return None,
        };
        let later = [
            ("sigv4", place(&deliver.sigv4)),
            ("env", place(&deliver.env)),
            ("file", place(&deliver.file)),
            ("gcp_metadata", place(&deliver.gcp_metadata)),
            ("aws_container", place(&deliver.aws_container)),
            ("azure_identity", place(&deliver.azure_identity)),
        ];
        let mut refused = false;
        for (setting, place) in later {
            let Some(place) = place else { continue };
            refused = true;
            self.problems
                .error(place, format!("delivery by `{setting}` is not in this version"))
                .label("not in this version")
                .help("this version delivers in a header: `deliver: { header: Authorization }`");
        }
        if refused || matches!(deliver.header, Field::Broken) || matches!(deliver.prefix, Field::Broken) {
            return None;
        }
        let Some(written) = deliver.header.given() else {
            let prefix =
                deliver.prefix.value().map_or_else(|| "Bearer ".to_owned(), |prefix| prefix.0.clone());
            return Some(standard(prefix));
        };
        let Ok(header) = http::HeaderName::from_bytes(written.value.as_bytes()) else {
            self.problems
                .error(written.span.clone(), format!("`{}` is not a header name", written.value))
                .label("cannot be a header's name");
            return None;
        };
        if RESERVED.contains(&header.as_str()) || header.as_str().starts_with("mcp-") {
            self.problems
                .error(written.span.clone(), format!("the header `{header}` has another meaning"))
                .label("cannot carry a credential")
                .help("`Authorization`, or a name that the server reads, such as `X-Api-Key`");
            return None;
        }
        let usual = if header == http::header::AUTHORIZATION { "Bearer " } else { "" };
        let prefix = deliver.prefix.value().map_or_else(|| usual.to_owned(), |prefix| prefix.0.clone());
        if let (Some(at), false) = (deliver.prefix.given(), prefix.bytes().all(|b| (0x20..0x7f).contains(&b)))
        {
            self.problems
                .error(at.span.clone(), "this prefix cannot stand in a header")
                .label("not printable ASCII");
        }
        Some(DeliverPlan::Header { name: header, prefix })
    }
}

fn place<T>(field: &Field<T>) -> Option<Range<usize>> {
    field.given().map(|at| at.site.clone())
}
