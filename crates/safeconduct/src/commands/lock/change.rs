//! What has changed of one server, and how it is said.

use serde::Serialize;

use crate::lock::{Entry, Listed, Tool, as_listed, changes};
use crate::present::plain;

/// One change.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    server: String,
    /// None for the server's image.
    pub(super) tool: Option<String>,
    kind: Kind,
    /// When it was first seen.
    seen: Option<String>,
    /// What changed, or what the new tool is.
    lines: Vec<String>,
    /// Digest of what is approved.
    from: Option<String>,
    /// Digest of what it became.
    to: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Changed,
    New,
    /// Not listed any more, which harms nobody.
    Unlisted,
    Image,
}

/// All changes of a server.
pub(super) fn of_server(server: &str, entry: &Entry) -> Vec<Change> {
    let tools = entry.tools.iter().filter_map(|(name, tool)| of_tool(server, name, tool));
    let image = entry.image.as_ref().and_then(|image| {
        let became = image.quarantined.clone()?;
        Some(Change {
            server: server.to_owned(),
            tool: None,
            kind: Kind::Image,
            seen: None,
            lines: vec![format!("{} -> {}", image.digest, became)],
            from: Some(image.digest.clone()),
            to: Some(became),
        })
    });
    tools.chain(image).collect()
}

fn of_tool(server: &str, name: &str, tool: &Tool) -> Option<Change> {
    let digest = |listed: &Option<Listed>| listed.as_ref().map(|listed| listed.digest.to_string());
    let (kind, lines) = match (&tool.pinned, &tool.quarantined) {
        (Some(pinned), Some(became)) => (Kind::Changed, changes(pinned, became)),
        (None, Some(became)) => (Kind::New, as_listed(became)),
        (Some(_), None) if tool.unlisted => (Kind::Unlisted, Vec::new()),
        _ => return None,
    };
    Some(Change {
        server: server.to_owned(),
        tool: Some(name.to_owned()),
        kind,
        seen: tool.quarantined.as_ref().map(|became| became.seen.clone()),
        lines,
        from: digest(&tool.pinned),
        to: digest(&tool.quarantined),
    })
}

impl Change {
    /// As paragraphs for people.
    pub(super) fn words(&self) -> String {
        let server = plain(&self.server);
        let tool = format!("`{}`", plain(self.tool.as_deref().unwrap_or_default()));
        let since = self.seen.as_deref().map(|seen| format!(", seen {}", plain(seen))).unwrap_or_default();
        let mut text = match self.kind {
            Kind::Changed => format!("{server}: {tool} changed{since}\n"),
            Kind::New => format!("{server}: {tool} is new{since}\n"),
            Kind::Unlisted => format!("{server}: {tool} is not listed any more\n"),
            Kind::Image => format!("{server}: the image is another one\n"),
        };
        for line in &self.lines {
            text.push_str(&format!("  {}\n", plain(line)));
        }
        text
    }
}
