//! A gallery of configurations with mistakes, each beside what is said about it.

use std::path::PathBuf;

use crate::program::{directory, of_crate, safeconduct};
use crate::snapshot;

/// What stands in the environment of each.
const ENVIRONMENT: [(&str, &str); 2] = [("GATEWAY_SECRET", "canary-from-the-environment"), ("EMPTY", "")];

fn pictures() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(of_crate("tests/cli/gallery"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    all.sort();
    all
}

#[test]
fn every_mistake_is_shown_at_its_place_with_what_to_do() {
    let pictures = pictures();
    assert!(pictures.len() >= 20, "{}", pictures.len());
    for picture in pictures {
        let name = picture.file_stem().unwrap().to_str().unwrap().to_owned();
        let file = format!("{name}.yaml");
        let ran = safeconduct(&of_crate("tests/cli/gallery"), &ENVIRONMENT, &["check", "--config", &file]);
        let said = format!("{}{}", ran.data, ran.people);
        assert!(!said.contains("canary"), "{name} shows a secret:\n{said}");
        let warns_only = name.starts_with("warning-");
        assert_eq!(ran.code, if warns_only { 0 } else { 2 }, "{name}:\n{said}");
        snapshot::holds(&format!("tests/cli/gallery/{name}.txt"), &ran.transcript());
    }
}

#[test]
fn problems_are_data_too() {
    let here = of_crate("tests/cli/gallery");
    let ran = safeconduct(&here, &ENVIRONMENT, &["check", "-c", "names.yaml", "--output", "json"]);
    assert_eq!((ran.code, ran.people.as_str()), (2, ""));
    let answer: serde_json::Value = serde_json::from_str(&ran.data).unwrap();
    assert_eq!(answer["ok"], false);
    let problems = answer["problems"].as_array().unwrap();
    assert!(!problems.is_empty());
    for problem in problems {
        assert_eq!(problem["file"], "names.yaml");
        assert!(problem["line"].as_u64().unwrap() > 0 && problem["message"].is_string());
    }
}

#[test]
fn a_file_without_mistakes_says_so() {
    let here = directory("fine");
    let text = "issuers: { corp: { issuer: 'https://idp.example.com' } }\n\
                servers: { orders: { url: 'http://127.0.0.1:9000/mcp', credential: none } }\n\
                policy: all.cedar\n";
    std::fs::write(here.join("safeconduct.yaml"), text).unwrap();
    std::fs::write(here.join("all.cedar"), "permit (principal, action, resource in Server::\"orders\");")
        .unwrap();
    let ran = safeconduct(&here, &[], &["check"]);
    assert_eq!((ran.code, ran.people.as_str()), (0, ""));
    assert_eq!(ran.data, "safeconduct.yaml: no problems (1 issuer, 0 clients, 1 server, 1 policy file)\n");
}
