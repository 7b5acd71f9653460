//! What is known of token services, as data: `presets.yaml`. A step with `preset` is filled in before it is read, where
//! the file says nothing; so a preset can say nothing that the file could not, and is checked as the file is.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::decode::{Decode, expected};
use super::near::nearest;
use super::node::{Entry, Kind, Node};
use super::problem::Problems;

/// Steps that may have a preset.
const STEPS: [&str; 4] = ["client_credentials", "exchange", "id_jag", "jwt_bearer"];
/// Where the step's `issuer` stands in a preset's `token_endpoint`.
const ISSUER: &str = "{issuer}";

/// The table. That it can be read is a test's business.
static PRESETS: LazyLock<BTreeMap<String, Preset>> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("presets.yaml")).unwrap_or_default());

/// One service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// Which service, in words.
    pub(crate) about: String,
    /// Where it is documented.
    pub(crate) source: String,
    /// What is known, by step.
    #[serde(default)]
    pub(crate) steps: BTreeMap<String, Quirks>,
    /// What is to be done where no step of these fits.
    pub(crate) instead: Option<String>,
}

/// What a service wants of one step.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quirks {
    /// What the step is told.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, Setting>,
    /// What only the user knows, and why it is wanted.
    #[serde(default)]
    pub(crate) needs: BTreeMap<String, String>,
    /// What the service is known not to take, and why: it is sent, with a warning.
    #[serde(default)]
    pub(crate) never: BTreeMap<String, String>,
    /// How a client may prove itself; empty: in any way.
    #[serde(default)]
    pub(crate) auth: Vec<String>,
}

/// A value as the file could have it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Setting {
    Flag(bool),
    Text(String),
    List(Vec<String>),
}

impl Setting {
    fn at(&self, place: &Range<usize>) -> Node {
        let node = |kind| Node { span: place.clone(), site: place.clone(), kind };
        node(match self {
            Self::Flag(flag) => Kind::Flag(*flag),
            Self::Text(text) => Kind::Text(text.clone()),
            Self::List(items) => {
                Kind::List(items.iter().map(|item| node(Kind::Text(item.clone()))).collect())
            }
        })
    }
}

impl fmt::Display for Setting {
    /// As the file would have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => f.write_str(text),
            Self::List(items) => write!(f, "[{}]", items.join(", ")),
        }
    }
}

/// All presets, by name.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static Preset)> {
    PRESETS.iter().map(|(name, preset)| (name.as_str(), preset))
}

/// What a preset knows of a step.
pub(crate) fn quirks(preset: &str, step: &str) -> Option<&'static Quirks> {
    PRESETS.get(preset)?.steps.get(step)
}

/// The name of a preset that has steps.
#[derive(Clone)]
pub(crate) struct PresetName(pub(crate) String);

impl PresetName {
    fn known() -> Vec<&'static str> {
        all().filter(|(_, preset)| !preset.steps.is_empty()).map(|(name, _)| name).collect()
    }
}

impl Decode for PresetName {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let known = Self::known();
        let Kind::Text(name) = &node.kind else {
            expected(node, problems, &format!("one of {}", known.join(", ")));
            return None;
        };
        if known.contains(&name.as_str()) {
            return Some(Self(name.clone()));
        }
        let instead = PRESETS.get(name).and_then(|preset| preset.instead.clone());
        let near = || nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        problems
            .error(node.span.clone(), format!("`{name}` is not one of {}", known.join(", ")))
            .label("not known here")
            .maybe_help(instead.or_else(near));
        None
    }
}

impl JsonSchema for PresetName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "preset".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": Self::known() })
    }
}

/// The step with what its preset knows, where the file says nothing. What neither says is asked for.
pub(crate) fn filled<'n>(step: &str, node: &'n Node, problems: &mut Problems) -> Cow<'n, Node> {
    let Kind::Map(entries) = &node.kind else { return Cow::Borrowed(node) };
    if !STEPS.contains(&step) {
        return Cow::Borrowed(node);
    }
    let Some(preset) = entries.iter().find(|entry| entry.name == "preset") else {
        addressed(node, entries, None, problems);
        return Cow::Borrowed(node);
    };
    // An unknown name is complained about where it is read.
    let Kind::Text(name) = &preset.value.kind else { return Cow::Borrowed(node) };
    let Some(known) = PRESETS.get(name).filter(|preset| !preset.steps.is_empty()) else {
        return Cow::Borrowed(node);
    };
    let Some(quirks) = known.steps.get(step) else {
        let others: Vec<&str> =
            all().filter(|(_, preset)| preset.steps.contains_key(step)).map(|(name, _)| name).collect();
        problems
            .error(preset.value.span.clone(), format!("nothing is known of `{step}` at `{name}`"))
            .label("not for this step")
            .help(format!("known for `{step}`: {}", others.join(", ")));
        return Cow::Borrowed(node);
    };
    quirks.complain(name, node, entries, problems);
    let entries = quirks.fill(entries, &preset.value.span);
    addressed(node, &entries, Some((name, quirks)), problems);
    Cow::Owned(Node { kind: Kind::Map(entries), ..node.clone() })
}

impl Quirks {
    /// Says what is missing, and what is too much.
    fn complain(&self, preset: &str, node: &Node, entries: &[Entry], problems: &mut Problems) {
        for (setting, reason) in &self.needs {
            if written(entries, setting).is_none() {
                problems
                    .error(
                        node.site.clone(),
                        format!("`{setting}` is missing, and `{preset}` does not know it"),
                    )
                    .label(format!("needs `{setting}`"))
                    .help(reason.as_str());
            }
        }
        for (setting, reason) in &self.never {
            if let Some(value) = written(entries, setting) {
                problems
                    .warning(value.site.clone(), format!("`{preset}` takes no `{setting}`"))
                    .label("sent all the same")
                    .help(reason.as_str());
            }
        }
    }

    /// What is written, and after it what is not but known.
    fn fill(&self, entries: &[Entry], place: &Range<usize>) -> Vec<Entry> {
        let known = self.settings.iter().filter(|(name, _)| written(entries, name).is_none());
        let known = known.filter_map(|(name, setting)| {
            let value = match setting {
                Setting::Text(text) if text.contains(ISSUER) => at_issuer(entries, text)?,
                setting => setting.at(place),
            };
            Some(Entry { name: name.clone(), name_span: place.clone(), value })
        });
        entries.iter().cloned().chain(known).collect()
    }
}

/// The text with the step's issuer, in its place; None when the step has none.
fn at_issuer(entries: &[Entry], text: &str) -> Option<Node> {
    let node = written(entries, "issuer")?;
    let Kind::Text(issuer) = &node.kind else { return None };
    // Auth0's has a slash at its end.
    let text = text.replace(ISSUER, issuer.trim_end_matches('/'));
    Some(Node { kind: Kind::Text(text), ..node.clone() })
}

/// A step asks somebody.
fn addressed(node: &Node, entries: &[Entry], preset: Option<(&str, &Quirks)>, problems: &mut Problems) {
    // Where the preset asks for it, it was said already.
    let said = preset.is_some_and(|(_, quirks)| quirks.needs.contains_key("token_endpoint"));
    if said || written(entries, "token_endpoint").is_some() {
        return;
    }
    let place = preset.and_then(|(name, quirks)| match quirks.settings.get("token_endpoint") {
        Some(Setting::Text(place)) => Some((name, place)),
        _ => None,
    });
    let help = place.map(|(name, place)| {
        format!(
            "or `issuer`, the authorization server's identifier: `{name}` has it at {}",
            place.replace(ISSUER, "ISSUER")
        )
    });
    problems
        .error(node.site.clone(), "`token_endpoint` is missing")
        .label("needs `token_endpoint`")
        .maybe_help(help);
}

/// What is written for a setting, or (with a dot) for one of its names.
fn written<'e>(entries: &'e [Entry], setting: &str) -> Option<&'e Node> {
    let of = |entries: &'e [Entry], name: &str| entries.iter().find(|entry| entry.name == name);
    match setting.split_once('.') {
        None => of(entries, setting).map(|entry| &entry.value),
        Some((setting, name)) => match &of(entries, setting)?.value.kind {
            Kind::Map(inner) => of(inner, name).map(|entry| &entry.value),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests;
