//! One protected MCP server, as data: what the path needs to know of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, RwLock};

use crate::mcp::Target;
use crate::pins::Pins;
use crate::sigv4::Signer;
use crate::time::Timestamp;

/// Where the acquired credential goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In a header of the request to the server.
    Header {
        /// Its name; `authorization` by default.
        name: http::HeaderName,
        /// What stands before the token, with its space: `Bearer ` by default, may be empty.
        prefix: Box<str>,
    },
    /// Nowhere: the request is signed with it (AWS).
    SigV4(Arc<Signer>),
    /// To the process that runs the server for this caller; the request carries none.
    Instance,
}

impl Default for Delivery {
    fn default() -> Self {
        Self::Header { name: http::header::AUTHORIZATION, prefix: "Bearer ".into() }
    }
}

/// One protected resource: a server path of the gateway and the MCP server behind it.
#[derive(Debug)]
pub struct Server {
    /// Name in the configuration and in the path `/NAME/mcp`.
    pub name: Box<str>,
    /// Resource identifier: public URL + `/NAME/mcp` (RFC 9728 §1.2, RFC 8707 §2).
    pub resource: Box<str>,
    /// URL of the protected-resource metadata document (RFC 9728 §3.1).
    pub metadata_url: Box<str>,
    /// Names of the issuers whose callers are believed here; never empty.
    pub issuers: Vec<Box<str>>,
    /// Scopes that a method needs, by method name.
    pub scopes: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// The MCP server's endpoint; of a server that is started here, as it is addressed by whoever reaches it.
    pub url: http::Uri,
    /// True for a server that is started here.
    pub started: bool,
    /// Where the credential goes.
    pub delivery: Delivery,
    /// True when every caller reaches the server with the same credential (static or none): then the server
    /// cannot tell callers apart and the gateway binds tasks and requestState to the caller itself.
    pub shared_credential: bool,
    /// What the server's lists have taught about its tools.
    pub catalogue: Catalogue,
    /// What its tools are pinned to; None where they may change at any time.
    pub pins: Option<Arc<Pins>>,
}

impl Server {
    /// All scopes of this server, each once, sorted: what a 401 challenge and the metadata document name.
    pub fn all_scopes(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.scopes.values().flatten().map(|scope| &**scope).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Why this is not called now, if it is a tool that is not what was approved.
    pub fn quarantined(&self, target: &Target, now: Timestamp) -> Option<&'static str> {
        let Target::Tool(tool) = target else { return None };
        self.pins.as_ref()?.objection(tool, now)
    }
}

/// Hints that a tool gives about itself (`annotations` of a tool; MCP schema). Missing hints have the
/// specification's defaults: not read-only, destructive, not idempotent, open world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolHints {
    /// `readOnlyHint`
    pub read_only: bool,
    /// `destructiveHint`
    pub destructive: bool,
    /// `idempotentHint`
    pub idempotent: bool,
    /// `openWorldHint`
    pub open_world: bool,
}

impl Default for ToolHints {
    fn default() -> Self {
        Self { read_only: false, destructive: true, idempotent: false, open_world: true }
    }
}

/// One tool as the server listed it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tool {
    /// Its hints.
    pub hints: ToolHints,
    /// `x-mcp-header` annotations of its input schema: header suffix and path of property names (2026-07-28).
    pub header_params: Vec<(Box<str>, Vec<Box<str>>)>,
}

/// What `tools/list` answers have taught. Read on calls, written when a list passes.
#[derive(Debug, Default)]
pub struct Catalogue {
    tools: RwLock<Arc<BTreeMap<Box<str>, Tool>>>,
    announces: AtomicU8,
}

/// A list whose changes a server announces (`listChanged` of its capabilities).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// `notifications/tools/list_changed`
    Tools = 1,
    /// `notifications/prompts/list_changed`
    Prompts = 2,
    /// `notifications/resources/list_changed`
    Resources = 4,
}

impl Announced {
    /// All of them, with the name of their capability.
    pub const ALL: [(&'static str, Self); 3] =
        [("tools", Self::Tools), ("prompts", Self::Prompts), ("resources", Self::Resources)];
}

impl Catalogue {
    /// The tool, if a list has named it.
    pub fn tool(&self, name: &str) -> Option<Tool> {
        self.tools.read().ok().and_then(|tools| tools.get(name).cloned())
    }

    /// The server said that it announces changes of this list.
    pub fn note_announced(&self, list: Announced) {
        self.announces.fetch_or(list as u8, Ordering::Relaxed);
    }

    /// Whether the server announces changes of this list, as far as it was heard to say so.
    pub fn announces(&self, list: Announced) -> bool {
        self.announces.load(Ordering::Relaxed) & list as u8 != 0
    }

    /// Takes over what another catalogue of the same server knows.
    #[must_use]
    pub fn taken_over(before: &Self) -> Self {
        let tools = before.tools.read().map_or_else(|_| Arc::default(), |tools| tools.clone());
        Self { tools: RwLock::new(tools), announces: AtomicU8::new(before.announces.load(Ordering::Relaxed)) }
    }

    /// True when no list has passed yet.
    pub fn is_empty(&self) -> bool {
        self.tools.read().map_or(true, |tools| tools.is_empty())
    }

    /// Forgets tools, whose definitions are other ones now: the next list teaches them anew.
    pub fn forget(&self, names: &[Box<str>]) {
        let Ok(mut tools) = self.tools.write() else { return };
        if names.iter().any(|name| tools.contains_key(name)) {
            let mut next = BTreeMap::clone(&tools);
            next.retain(|name, _| !names.contains(name));
            *tools = Arc::new(next);
        }
    }

    /// Takes over what a list said of its tools; tools that it did not name stay (a list may be one page).
    pub fn learn(&self, seen: impl IntoIterator<Item = (Box<str>, Tool)>) {
        let Ok(mut tools) = self.tools.write() else { return };
        let fresh: Vec<_> = seen.into_iter().filter(|(name, tool)| tools.get(name) != Some(tool)).collect();
        if fresh.is_empty() {
            return;
        }
        let mut next = BTreeMap::clone(&tools);
        next.extend(fresh);
        *tools = Arc::new(next);
    }
}
