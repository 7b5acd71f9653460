//! What a message is about: by name, by URI, by reference (row P6).

use std::ops::Range;

use super::envelope::{Envelope, clear, invalid, object};
use crate::mcp::Target;
use crate::mcp::json::{Kind as Json, Object, Value};
use crate::refusal::Reason;

/// What a message names.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) target: Target,
    pub(super) items: Vec<Target>,
    /// Where the arguments stand in the text.
    pub(super) arguments: Option<Range<usize>>,
}

/// Reads what the message is about.
///
/// # Errors
/// `InvalidMessage` if the method needs a name that is not there; `Malformed` for names that differ by case.
pub(super) fn named(envelope: &Envelope<'_>) -> Result<Named, Reason> {
    let text = |name: &'static str, wrong: &'static str| -> Result<Box<str>, Reason> {
        let value = envelope.param(name).and_then(|value| value.string());
        value.map(|value| value.as_ref().into()).ok_or_else(|| invalid(wrong))
    };
    let mut items = Vec::new();
    let target = match envelope.method.name() {
        "tools/call" => Target::Tool(text("name", "tools/call without the tool's name")?),
        "prompts/get" => Target::Prompt(text("name", "prompts/get without the prompt's name")?),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            Target::Resource(text("uri", "a resource method without a URI")?)
        }
        "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" => {
            Target::Task(text("taskId", "a task method without the task's id")?)
        }
        "completion/complete" => reference(envelope)?,
        "subscriptions/listen" => {
            items = subscribed(envelope)?;
            Target::Server
        }
        _ => Target::Server,
    };
    let arguments = envelope.param("arguments").filter(|arguments| arguments.kind() != Json::Null);
    if arguments.is_some_and(|arguments| !arguments.is_object()) {
        return Err(invalid("arguments is not an object"));
    }
    let arguments = arguments.map(|arguments| arguments.range());
    Ok(Named { target, items, arguments })
}

/// `ref` of `completion/complete`: a prompt by name, or a resource (template) by URI.
fn reference(envelope: &Envelope<'_>) -> Result<Target, Reason> {
    let reference = envelope.param("ref").and_then(Object::of);
    let reference = reference.ok_or_else(|| invalid("completion/complete without a reference"))?;
    clear(&reference, &["type", "name", "uri"])?;
    let text = |name| reference.member(name).and_then(|value| value.string());
    match (text("type").as_deref(), text("name"), text("uri")) {
        (Some("ref/prompt"), Some(name), None) => Ok(Target::Prompt(name.into())),
        (Some("ref/resource"), _, Some(uri)) => Ok(Target::Resource(uri.into())),
        _ => Err(invalid("completion/complete with an unknown reference")),
    }
}

/// A list by its name, and what its elements name.
type Subscribed = (&'static str, fn(Box<str>) -> Target);

/// Lists inside `params.notifications` of `subscriptions/listen`.
const SUBSCRIBED: [Subscribed; 2] = [("resourceSubscriptions", Target::Resource), ("taskIds", Target::Task)];

/// Most things that one call may subscribe to: each of them is decided on.
const MOST: usize = 1024;

fn subscribed(envelope: &Envelope<'_>) -> Result<Vec<Target>, Reason> {
    let Some(notifications) = object(envelope.param("notifications"), "notifications is not an object")?
    else {
        return Ok(Vec::new());
    };
    let known = [
        "resourceSubscriptions",
        "taskIds",
        "toolsListChanged",
        "promptsListChanged",
        "resourcesListChanged",
    ];
    clear(&notifications, &known)?;
    let mut items = Vec::new();
    for (name, target) in SUBSCRIBED {
        let Some(list) = notifications.member(name) else { continue };
        if list.kind() != Json::Array {
            return Err(invalid("a subscription that is not a list"));
        }
        for element in list.elements() {
            if items.len() == MOST {
                return Err(invalid("more than 1024 subscriptions in one call"));
            }
            let text = element.string().ok_or_else(|| invalid("a subscription to what is not a string"))?;
            items.push(target(text.into()));
        }
    }
    Ok(items)
}

/// The elements of a checked `subscriptions/listen` message, list by list: their places and what they name.
pub(crate) fn subscribed_elements(message: Value<'_>) -> Vec<Vec<(Range<usize>, Target)>> {
    let Some(notifications) = message.member("params").and_then(|params| params.member("notifications"))
    else {
        return Vec::new();
    };
    let elements = |(name, target): Subscribed| {
        let list = notifications.member(name)?;
        let named = |element: Value<'_>| Some((element.range(), target(element.string()?.into())));
        Some(list.elements().filter_map(named).collect())
    };
    SUBSCRIBED.into_iter().filter_map(elements).collect()
}
