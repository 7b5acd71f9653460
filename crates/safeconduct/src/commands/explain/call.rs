//! The call that is asked about.

use std::net::IpAddr;

use safeconduct_core::mcp::json::{self, Value};
use safeconduct_core::mcp::methods::{self, Method, method};
use safeconduct_core::mcp::{Era, Target};
use safeconduct_core::policy::Policy;
use safeconduct_core::server::{Catalogue, Tool, ToolHints};

use super::{Question, Unanswerable};
use crate::config;

/// The call that is asked about.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) target: Target,
    /// JSON text, checked as the door checks it.
    pub(super) arguments: Option<String>,
    /// What the tool says of itself.
    pub(super) hints: Option<ToolHints>,
    pub(super) source_ip: Option<IpAddr>,
    pub(super) era: Era,
}

impl Call {
    pub(super) fn read(question: &Question, policy: &Policy) -> Result<Self, Unanswerable> {
        let target = target(question);
        let name = match (&question.method, usual(&target)) {
            (Some(name), _) => name.as_str(),
            (None, Some(name)) => name,
            (None, None) => {
                return Err(Unanswerable::usage(
                    "say what is done: --tool, --prompt, --resource or --method",
                ));
            }
        };
        let method = method(name);
        if let Method::Other(name) = &method
            && !policy.names_method(name)
            && let Some(near) = config::nearest(name, methods::names())
        {
            return Err(Unanswerable::usage(format!("no method is called `{name}`: did you mean `{near}`?")));
        }
        fits(&method, &target)?;
        let arguments = question.args.as_deref().map(|text| object(text, "--args").map(|_| text.to_owned()));
        let hints = question.annotations.as_deref().map(hints);
        Ok(Self {
            method,
            target,
            arguments: arguments.transpose()?,
            hints: hints.transpose()?,
            source_ip: question.source_ip,
            era: question.era.era(),
        })
    }

    /// A catalogue that knows the tool, if its annotations were given: nothing else is known without asking.
    pub(super) fn catalogue(&self) -> Catalogue {
        let catalogue = Catalogue::default();
        if let (Target::Tool(name), Some(hints)) = (&self.target, self.hints) {
            catalogue.learn([(name.clone(), Tool { hints, ..Tool::default() })]);
        }
        catalogue
    }

    /// The names of the arguments, never their values.
    pub(super) fn argument_names(&self) -> Vec<String> {
        let Some(text) = &self.arguments else { return Vec::new() };
        let names = |value: Value<'_>| value.members().map(|member| member.name().into_owned()).collect();
        json::checked(text.as_bytes()).map(names).unwrap_or_default()
    }
}

fn target(question: &Question) -> Target {
    let Question { tool, prompt, resource, task, .. } = question;
    match (tool, prompt, resource, task) {
        (Some(name), ..) => Target::Tool(name.as_str().into()),
        (_, Some(name), ..) => Target::Prompt(name.as_str().into()),
        (_, _, Some(uri), _) => Target::Resource(uri.as_str().into()),
        (_, _, _, Some(id)) => Target::Task(id.as_str().into()),
        (None, None, None, None) => Target::Server,
    }
}

// What one mostly does with it.
const fn usual(target: &Target) -> Option<&'static str> {
    match target {
        Target::Server => None,
        Target::Tool(_) => Some("tools/call"),
        Target::Prompt(_) => Some("prompts/get"),
        Target::Resource(_) => Some("resources/read"),
        Target::Task(_) => Some("tasks/get"),
    }
}

// What the door makes of a message of this method; a call that no message can make has no answer.
fn fits(method: &Method, target: &Target) -> Result<(), Unanswerable> {
    let (name, Method::Known(_)) = (method.name(), method) else { return Ok(()) };
    let (wanted, flag): (fn(&Target) -> bool, _) = match name {
        "tools/call" => (|target| matches!(target, Target::Tool(_)), "--tool NAME"),
        "prompts/get" => (|target| matches!(target, Target::Prompt(_)), "--prompt NAME"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            (|target| matches!(target, Target::Resource(_)), "--resource URI")
        }
        "completion/complete" => (
            |target| matches!(target, Target::Prompt(_) | Target::Resource(_)),
            "--prompt NAME or --resource URI",
        ),
        "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" => {
            (|target| matches!(target, Target::Task(_)), "--task ID")
        }
        _ => (|target| matches!(target, Target::Server), "no --tool, --prompt, --resource or --task"),
    };
    if wanted(target) { Ok(()) } else { Err(Unanswerable::usage(format!("the method {name} takes {flag}"))) }
}

fn object<'t>(text: &'t str, flag: &str) -> Result<Value<'t>, Unanswerable> {
    let value = json::checked(text.as_bytes())
        .map_err(|error| Unanswerable::usage(format!("{flag} is not acceptable JSON: {error}")))?;
    if value.is_object() {
        return Ok(value);
    }
    Err(Unanswerable::usage(format!("{flag} must be a JSON object, such as '{{\"name\":\"value\"}}'")))
}

fn hints(text: &str) -> Result<ToolHints, Unanswerable> {
    let annotations = object(text, "--annotations")?;
    let usual = ToolHints::default();
    let hint = |name, default| annotations.member(name).and_then(|value| value.boolean()).unwrap_or(default);
    Ok(ToolHints {
        read_only: hint("readOnlyHint", usual.read_only),
        destructive: hint("destructiveHint", usual.destructive),
        idempotent: hint("idempotentHint", usual.idempotent),
        open_world: hint("openWorldHint", usual.open_world),
    })
}
