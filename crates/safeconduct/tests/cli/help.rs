//! Help texts, usage errors, and the small commands.

use crate::program::{directory, safeconduct};
use crate::snapshot;

const COMMANDS: [&[&str]; 28] = [
    &[],
    &["serve"],
    &["run"],
    &["dev"],
    &["connect"],
    &["list"],
    &["logs"],
    &["stop"],
    &["rm"],
    &["demo"],
    &["check"],
    &["doctor"],
    &["explain"],
    &["revoke"],
    &["lock"],
    &["lock", "diff"],
    &["lock", "approve"],
    &["secret"],
    &["secret", "set"],
    &["secret", "list"],
    &["secret", "rm"],
    &["token"],
    &["token", "inspect"],
    &["token", "exchange"],
    &["setup"],
    &["schema"],
    &["version"],
    &["completions"],
];

#[test]
fn every_command_has_a_help_text_with_examples() {
    let here = directory("help");
    let mut all = String::new();
    for command in COMMANDS {
        let ran = safeconduct(&here, &[], &[command, &["--help"]].concat());
        assert_eq!((ran.code, ran.people.as_str()), (0, ""), "{command:?}");
        let leaf = !command.is_empty() && *command != ["token"] && *command != ["secret"];
        assert!(!leaf || ran.data.contains("Example"), "{command:?} has no examples");
        all.push_str(&format!("$ safeconduct {} --help\n\n{}\n\n", command.join(" "), ran.data.trim_end()));
    }
    snapshot::holds("tests/cli/help.txt", &all.replace("safeconduct  --help", "safeconduct --help"));
}

#[test]
fn the_list_of_commands_in_this_test_is_complete() {
    let ran = safeconduct(&directory("commands"), &[], &["--help"]);
    let listed = ran.data.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    for line in listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        assert!(name == "help" || COMMANDS.iter().any(|command| command.first() == Some(&name)), "{name}");
    }
}

#[test]
fn a_command_line_that_cannot_be_understood_exits_with_2_and_says_so_on_standard_error() {
    let here = directory("usage");
    for arguments in [&["chekc"] as &[&str], &[], &["serve", "--port", "1"], &["--log", "a=b=c", "version"]] {
        let ran = safeconduct(&here, &[], arguments);
        assert_eq!((ran.code, ran.data.as_str()), (2, ""), "{arguments:?}");
        assert!(!ran.people.is_empty());
    }
    assert!(safeconduct(&here, &[], &["chekc"]).people.contains("check"));
}

#[test]
fn a_configuration_that_is_not_there_exits_with_2_for_every_command_that_reads_one() {
    let here = directory("absent");
    let asked = ["explain", "--tool", "t", "--claims", "{\"sub\":\"a\"}"];
    for arguments in [&["check"] as &[&str], &["serve"], &asked] {
        let ran = safeconduct(&here, &[], arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.people.contains("safeconduct.yaml"), "{}", ran.people);
    }
}

#[test]
fn the_schema_the_version_and_completions_are_data() {
    let here = directory("data");
    let schema = safeconduct(&here, &[], &["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema.data).unwrap();
    assert_eq!(schema["title"], "safeconduct.yaml");
    assert!(schema["properties"]["servers"].is_object());
    let version = safeconduct(&here, &[], &["version", "--output", "json"]);
    let version: serde_json::Value = serde_json::from_str(&version.data).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    for shell in ["bash", "zsh", "fish"] {
        let ran = safeconduct(&here, &[], &["completions", shell]);
        assert!(ran.code == 0 && ran.data.contains("explain"), "{shell}");
    }
}
