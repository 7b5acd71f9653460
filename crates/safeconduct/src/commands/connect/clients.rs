//! MCP clients, and where each keeps its servers: a table. A new client is a row.

use std::path::PathBuf;

/// One client.
pub(super) struct Client {
    /// Its name on the command line.
    pub(super) word: &'static str,
    /// Where its file is.
    place: Place,
    /// The member of the file that holds the servers.
    pub(super) section: &'static str,
    /// How it writes a server down.
    entry: Entry,
    /// What to do then.
    pub(super) next: &'static str,
}

enum Place {
    /// Below the user's home.
    Home(&'static str),
    /// In the project that this was typed in.
    Here(&'static str),
}

enum Entry {
    /// `{"type": "http", "url": URL}`
    Typed,
    /// `{NAME: URL}`
    Url(&'static str),
    /// A client that only starts programs: `mcp-remote` stands between.
    Remote,
}

pub(super) const CLIENTS: &[Client] = &[
    Client {
        word: "claude-code",
        place: Place::Home(".claude.json"),
        section: "mcpServers",
        entry: Entry::Typed,
        next: "In Claude Code: /mcp, and log in.",
    },
    Client {
        word: "claude-project",
        place: Place::Here(".mcp.json"),
        section: "mcpServers",
        entry: Entry::Typed,
        next: "In Claude Code, in this directory: /mcp, and log in.",
    },
    Client {
        word: "claude-desktop",
        place: Place::Home(".config/Claude/claude_desktop_config.json"),
        section: "mcpServers",
        entry: Entry::Remote,
        next: "Start Claude Desktop again. It logs in through mcp-remote, which needs Node.js.",
    },
    Client {
        word: "cursor",
        place: Place::Home(".cursor/mcp.json"),
        section: "mcpServers",
        entry: Entry::Url("url"),
        next: "In Cursor: Settings, MCP, and log in.",
    },
    Client {
        word: "vscode",
        place: Place::Here(".vscode/mcp.json"),
        section: "servers",
        entry: Entry::Typed,
        next: "In VS Code, in this folder: MCP: List Servers, start it, and log in.",
    },
    Client {
        word: "windsurf",
        place: Place::Home(".codeium/windsurf/mcp_config.json"),
        section: "mcpServers",
        entry: Entry::Url("serverUrl"),
        next: "In Windsurf: Cascade, MCP servers, refresh, and log in.",
    },
    Client {
        word: "gemini",
        place: Place::Home(".gemini/settings.json"),
        section: "mcpServers",
        entry: Entry::Url("httpUrl"),
        next: "In Gemini CLI: /mcp auth, and log in.",
    },
];

impl Client {
    /// Its file; None without a home.
    pub(super) fn file(&self) -> Option<PathBuf> {
        match self.place {
            Place::Home(path) => std::env::var_os("HOME")
                .filter(|home| !home.is_empty())
                .map(|home| PathBuf::from(home).join(path)),
            Place::Here(path) => Some(PathBuf::from(path)),
        }
    }

    /// How it writes the server down, as JSON on one line.
    pub(super) fn entry(&self, url: &str) -> String {
        let url = serde_json::Value::from(url);
        match self.entry {
            Entry::Typed => format!("{{ \"type\": \"http\", \"url\": {url} }}"),
            Entry::Url(name) => format!("{{ \"{name}\": {url} }}"),
            Entry::Remote => format!("{{ \"command\": \"npx\", \"args\": [\"-y\", \"mcp-remote\", {url}] }}"),
        }
    }
}
