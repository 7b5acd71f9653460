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
mod tests {
    use super::*;
    use crate::config::raw::{AuthMethod, Step};

    /// A step with nothing but its preset, what that asks for, and this.
    fn step<'n>(preset: &str, step: &str, needs: impl IntoIterator<Item = &'n String>, more: &str) -> String {
        let mut text = format!("{{ preset: {preset}, issuer: 'https://as.example/', {more}");
        match step {
            "id_jag" => text.push_str("client: gateway, audience: there, "),
            "client_credentials" => text.push_str("client: gateway, "),
            _ => {}
        }
        for need in needs {
            text += &match need.split_once('.') {
                None => format!("{need}: 'urn:some:{need}', "),
                Some((map, name)) => format!("{map}: {{ {name}: some }}, "),
            };
        }
        text + "}"
    }

    fn read(step: &str, text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let node = super::super::node::parse(&format!("{{ {step}: {text} }}")).ok().unwrap();
        let _ = Step::decode(&node, &mut problems);
        problems.found.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn the_table_can_be_read_and_has_the_services_that_are_promised() {
        let read: Result<BTreeMap<String, Preset>, _> = serde_saphyr::from_str(include_str!("presets.yaml"));
        assert_eq!(read.unwrap().len(), PRESETS.len());
        for name in
            ["okta", "auth0", "auth0_custom", "keycloak", "zitadel", "dex", "databricks", "snowflake", "ping"]
        {
            assert!(PresetName::known().contains(&name), "{name}");
        }
        for (name, preset) in all() {
            assert!(preset.source.starts_with("https://"), "{name}");
            assert_eq!(preset.instead.is_some(), preset.steps.is_empty(), "{name}");
        }
    }

    #[test]
    fn every_preset_says_only_what_the_file_could_say_and_asks_for_what_it_says_it_needs() {
        let mut count = 0;
        for (name, preset) in all() {
            for (step_name, quirks) in &preset.steps {
                let said = |needs: &[&String], more: &str| {
                    read(step_name, &step(name, step_name, needs.iter().copied(), more))
                };
                let needs: Vec<&String> = quirks.needs.keys().collect();
                assert_eq!(said(&needs, ""), Vec::<String>::new(), "{name} {step_name}");
                for need in &needs {
                    let others: Vec<&String> = needs.iter().copied().filter(|it| it != need).collect();
                    let missing = format!("`{need}` is missing, and `{name}` does not know it");
                    assert_eq!(said(&others, ""), [missing], "{name} {step_name}");
                }
                for never in quirks.never.keys() {
                    let value = if never == "actor" { "step" } else { "'file:some'" };
                    let too_much = said(&needs, &format!("{never}: {value}, "));
                    assert_eq!(too_much, [format!("`{name}` takes no `{never}`")], "{name} {step_name}");
                }
                assert!(quirks.auth.iter().all(|word| AuthMethod::WORDS.contains(&word.as_str())), "{name}");
                count += 1;
            }
        }
        assert!(count >= 20, "{count}");
    }

    #[test]
    fn a_setting_of_the_file_counts_and_the_preset_only_where_there_is_none() {
        let filled = |text: &str| {
            let node = super::super::node::parse(text).ok().unwrap();
            let mut problems = Problems::default();
            let filled = filled("exchange", &node, &mut problems).into_owned();
            let Kind::Map(entries) = filled.kind else { panic!("not a mapping") };
            let said: Vec<String> = problems.found.into_iter().map(|problem| problem.message).collect();
            assert_eq!(said, Vec::<String>::new());
            move |name: &str| match &written(&entries, name)?.kind {
                Kind::Text(text) => Some(text.clone()),
                Kind::List(items) => Some(items.len().to_string()),
                _ => None,
            }
        };
        let told = filled("{ preset: databricks, issuer: 'https://dbc.example/oidc' }");
        assert_eq!(told("token_endpoint").as_deref(), Some("https://dbc.example/oidc/v1/token"));
        assert_eq!(told("subject_token_type").as_deref(), Some("jwt"));
        assert_eq!(told("scopes").as_deref(), Some("1"));
        let told = filled(
            "{ preset: databricks, token_endpoint: 'https://other.example', subject_token_type: id_token, scopes: sql }",
        );
        assert_eq!(told("token_endpoint").as_deref(), Some("https://other.example"));
        assert_eq!(told("subject_token_type").as_deref(), Some("id_token"));
        assert_eq!(told("scopes").as_deref(), Some("sql"));
        let told = filled("{ token_endpoint: 'https://other.example' }");
        assert_eq!(told("subject_token_type"), None);
    }
}
