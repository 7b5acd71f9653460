//! The MCP servers.

use std::time::Duration;

use safeconduct_runtime::launch::Transport;

use super::Resolver;
use crate::config::decode::At;
use crate::config::plan::{DeliverPlan, RunPlan, ServerPlan};
use crate::config::raw::Server;

/// Names that would stand for something else in the gateway's own paths.
const TAKEN: [&str; 4] = ["healthz", "readyz", "metrics", "status"];

const FIRST_USE: Duration = Duration::from_secs(600);

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
        let endpoint = self.endpoint(name, server);
        let issuers = self.believed(server);
        let scopes = self.scopes(server);
        let credential = self.chain(&server.credential);
        let runs = endpoint.as_ref().and_then(|(_, run)| run.as_ref());
        let over_stdio = runs.is_some_and(|run| run.transport == Transport::Stdio);
        let deliver = self.deliver(server, runs.is_some());
        self.signable(server, deliver.as_ref());
        if let (Some(chain), Some(deliver)) = (&credential, &deliver) {
            self.takes_what_is_given(server, chain, deliver);
        }
        if let (true, Some(DeliverPlan::Header { .. } | DeliverPlan::SigV4 { .. }), Some(steps)) =
            (over_stdio, &deliver, &credential)
            && !steps.is_empty()
        {
            self.problems
                .error(name.span.clone(), "a server that is spoken to over its standard streams takes no header")
                .label("its credential has nowhere to go")
                .help("deliver: { env: NAME }, { file: NAME }, { gcp_metadata: true }, { aws_container: true } or { azure_identity: true }");
        }
        // Without a public URL, which was complained about, the rest is checked and the plan is not made.
        let public_url = public_url.unwrap_or_default();
        let (url, run) = endpoint?;
        Some(ServerPlan {
            resource: format!("{public_url}/{}/mcp", name.value),
            metadata_url: format!("{public_url}/.well-known/oauth-protected-resource/{}/mcp", name.value),
            name: name.value.clone(),
            url,
            run,
            issuers,
            scopes,
            credential: credential?,
            deliver: deliver?,
            pin: self.pin(server),
        })
    }

    fn pin(&mut self, server: &Server) -> Option<Duration> {
        let pinned = server.pin.or(true);
        if let Some(first_use) = server.first_use.given().filter(|_| !pinned) {
            self.problems
                .error(first_use.site.clone(), "`first_use` is for a server whose tools are pinned")
                .label("this one's are not: `pin: false`")
                .help("remove one of the two lines");
        }
        pinned.then(|| server.first_use.value().map_or(FIRST_USE, |period| period.0))
    }

    /// Where it is, or what is started and how it is addressed inside.
    fn endpoint(&mut self, name: &At<String>, server: &Server) -> Option<(http::Uri, Option<RunPlan>)> {
        if !server.image.is_absent() || !server.package.is_absent() || !server.command.is_absent() {
            return self.started(name, server).map(|(url, run)| (url, Some(run)));
        }
        self.only_when_started(server);
        if server.url.is_absent() {
            self.problems
                .error(name.span.clone(), "`url` is missing")
                .label("needs `url`, `image`, `package` or `command`")
                .help("url: http://127.0.0.1:9000/mcp, the server's streamable HTTP endpoint");
        }
        let url = server.url.given()?;
        self.url("credentials and answers", url, &server.allow_http).map(|url| (url, None))
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
}
