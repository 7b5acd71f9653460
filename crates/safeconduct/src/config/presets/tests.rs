//! What the data says is what the file could say.

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
    let node = crate::config::node::parse(&format!("{{ {step}: {text} }}")).ok().unwrap();
    let _ = Step::decode(&node, &mut problems);
    problems.found.into_iter().map(|problem| problem.message).collect()
}

#[test]
fn the_table_can_be_read_and_has_the_services_that_are_promised() {
    let read: Result<BTreeMap<String, Preset>, _> = serde_saphyr::from_str(include_str!("../presets.yaml"));
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
        let node = crate::config::node::parse(text).ok().unwrap();
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
