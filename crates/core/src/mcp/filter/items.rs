//! Lists: which items a caller may see, what they teach, and the cuts that take the others out.

use super::Sight;
use crate::mcp::Target;
use crate::mcp::json::{self, Edit, Kind as Json, Value};
use crate::mcp::methods::List;
use crate::policy::Query;
use crate::server::{Tool, ToolHints};

impl List {
    /// All lists.
    pub(super) const ALL: [Self; 5] =
        [Self::Tools, Self::Prompts, Self::Resources, Self::Templates, Self::Tasks];

    /// The member of the result that holds the items.
    pub(super) fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Tasks => "tasks",
        }
    }

    /// The member that names an item.
    fn name(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
            Self::Tasks => "taskId",
        }
    }

    /// The use that shows an item.
    fn action(self) -> &'static str {
        match self {
            Self::Tools => "tools/call",
            Self::Prompts => "prompts/get",
            Self::Resources | Self::Templates => "resources/read",
            Self::Tasks => "tasks/get",
        }
    }

    fn target(self, name: Box<str>) -> Target {
        match self {
            Self::Tools => Target::Tool(name),
            Self::Prompts => Target::Prompt(name),
            Self::Resources | Self::Templates => Target::Resource(name),
            Self::Tasks => Target::Task(name),
        }
    }
}

/// The cuts that take out what the caller may not use, and what does not fit. An item that cannot be named is taken out
/// too.
pub(super) fn hidden(sight: &Sight, list: List, items: Value<'_>, fit: Option<&[bool]>) -> Vec<Edit> {
    let parts: Vec<_> = items
        .elements()
        .enumerate()
        .map(|(at, item)| (item.range(), fits(fit, at) && shown(sight, list, item)))
        .collect();
    json::cuts(&parts)
}

fn fits(fit: Option<&[bool]>, at: usize) -> bool {
    fit.is_none_or(|fit| fit.get(at) == Some(&true))
}

fn shown(sight: &Sight, list: List, item: Value<'_>) -> bool {
    if json::clear_names(item, &[list.name()]).is_err() {
        return false;
    }
    let Some(name) = item.member(list.name()).and_then(|name| name.string()) else { return false };
    if list == List::Tasks && !sight.door.owns_task(&name, &sight.principal, &sight.server) {
        return false;
    }
    sight.policy.may_see(&Query {
        principal: &sight.principal,
        server: &sight.server,
        action: list.action(),
        target: &list.target(name.into()),
        arguments: None,
        now: sight.now,
        source_ip: sight.source_ip,
        era: sight.era,
    })
}

/// What a list of tools says of them, for the catalogue. One that does not fit teaches nothing.
pub(super) fn taught(tools: Value<'_>, fit: Option<&[bool]>) -> Vec<(Box<str>, Tool)> {
    tools
        .elements()
        .enumerate()
        .filter(|(at, _)| fits(fit, *at))
        .filter_map(|(_, tool)| {
            let name = tool.member("name")?.string()?.into();
            let mut header_params = Vec::new();
            if let Some(schema) = tool.member("inputSchema") {
                mirrored(schema, &mut Vec::new(), &mut header_params);
            }
            Some((name, Tool { hints: hints(tool), header_params }))
        })
        .collect()
}

fn hints(tool: Value<'_>) -> ToolHints {
    let default = ToolHints::default();
    let Some(annotations) = tool.member("annotations") else { return default };
    let hint = |name, default| annotations.member(name).and_then(|hint| hint.boolean()).unwrap_or(default);
    ToolHints {
        read_only: hint("readOnlyHint", default.read_only),
        destructive: hint("destructiveHint", default.destructive),
        idempotent: hint("idempotentHint", default.idempotent),
        open_world: hint("openWorldHint", default.open_world),
    }
}

/// Header suffixes and the paths of the properties they mirror.
type Mirrored = Vec<(Box<str>, Vec<Box<str>>)>;

/// `x-mcp-header` of properties that are reached through `properties` only (2026-07-28).
fn mirrored(schema: Value<'_>, path: &mut Vec<Box<str>>, found: &mut Mirrored) {
    let Some(properties) = schema.member("properties") else { return };
    for property in properties.members() {
        path.push(property.name().into());
        if let Some(suffix) = property.value.member("x-mcp-header").and_then(|suffix| suffix.string())
            && !suffix.is_empty()
        {
            found.push((suffix.into(), path.clone()));
        }
        mirrored(property.value, path, found);
        path.pop();
    }
}

/// `cacheScope` of what only this caller was permitted to see; what has none is private already.
pub(super) fn unshared(result: Value<'_>) -> Vec<Edit> {
    let shared = result.member("cacheScope").filter(|scope| scope.string().as_deref() != Some("private"));
    shared.map(|scope| Edit::new(scope.range(), *b"\"private\"")).into_iter().collect()
}

/// The changes that make a list private to its caller (2026-07-28 server/utilities/caching): it was filtered,
/// or another page of it may be. The result must have a member.
pub(super) fn private(sight: &Sight, result: Value<'_>) -> Vec<Edit> {
    let mut edits = Vec::new();
    match result.member("cacheScope") {
        Some(scope) if scope.string().as_deref() == Some("private") => {}
        Some(scope) => edits.push(Edit::new(scope.range(), *b"\"private\"")),
        None => {
            // The list itself is a member: a comma is right.
            let start = result.range().start + 1;
            edits.push(Edit::new(start..start, *b"\"cacheScope\":\"private\","));
        }
    }
    let bound = sight.principal.expires.since(sight.now).as_millis();
    if let Some(ttl) = result.member("ttlMs").filter(|ttl| ttl.kind() == Json::Number) {
        let asked = ttl.raw().parse::<f64>().unwrap_or(0.0);
        if asked < 0.0 || asked > bound as f64 {
            let bounded = if asked < 0.0 { 0 } else { bound };
            edits.push(Edit::new(ttl.range(), bounded.to_string()));
        }
    }
    edits
}
