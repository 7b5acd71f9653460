//! `connect`: a client's file changed, shown, kept as it was, and taken back.

use crate::program::{directory, safeconduct};

#[test]
fn a_server_is_added_to_a_clients_file_shown_and_taken_out_again() {
    let here = directory("connect");
    let home = here.to_str().unwrap().to_owned();
    let before =
        "{\n  \"theme\": \"dark\",\n  \"mcpServers\": {\n    \"own\": { \"command\": \"x\" }\n  }\n}\n";
    std::fs::write(here.join(".claude.json"), before).unwrap();
    let url = "http://127.0.0.1:8080/orders/mcp";
    let with_home = [("HOME", home.as_str())];
    let shown = safeconduct(&here, &with_home, &["connect", "claude-code", "--url", url, "--dry-run"]);
    assert!(
        shown.data.contains(
            "+     \"orders\": { \"type\": \"http\", \"url\": \"http://127.0.0.1:8080/orders/mcp\" }"
        )
    );
    assert_eq!(std::fs::read_to_string(here.join(".claude.json")).unwrap(), before, "only shown");
    let done = safeconduct(&here, &with_home, &["connect", "claude-code", "--url", url]);
    assert_eq!(done.code, 0, "{}", done.people);
    let after: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(here.join(".claude.json")).unwrap()).unwrap();
    assert_eq!(after["mcpServers"]["orders"]["url"], url);
    assert_eq!((&after["mcpServers"]["own"]["command"], &after["theme"]), (&"x".into(), &"dark".into()));
    assert_eq!(std::fs::read_to_string(here.join(".claude.json.before-safeconduct")).unwrap(), before);
    let undone = safeconduct(&here, &with_home, &["connect", "claude-code", "--url", url, "--undo"]);
    assert_eq!(undone.code, 0, "{}", undone.people);
    assert_eq!(std::fs::read_to_string(here.join(".claude.json")).unwrap(), before);
}

#[test]
fn what_the_user_wrote_is_kept_however_often_the_file_is_changed() {
    let here = directory("connect-again");
    let home = here.to_str().unwrap().to_owned();
    let with_home = [("HOME", home.as_str())];
    let before = "{\n  \"mcpServers\": {\n    \"orders\": { \"command\": \"mine\" }\n  }\n}\n";
    std::fs::write(here.join(".claude.json"), before).unwrap();
    let url = "http://127.0.0.1:8080/orders/mcp";
    let kept = || std::fs::read_to_string(here.join(".claude.json.before-safeconduct")).unwrap();
    assert_eq!(safeconduct(&here, &with_home, &["connect", "claude-code", "--url", url]).code, 0);
    assert_eq!(kept(), before);
    assert_eq!(safeconduct(&here, &with_home, &["connect", "claude-code", "--url", url, "--undo"]).code, 0);
    assert_eq!(kept(), before, "the only copy");
    assert!(here.join(".claude.json.before-safeconduct.2").is_file());
}

#[test]
fn a_clients_file_that_is_not_there_is_made_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let here = directory("connect-new");
    let made = safeconduct(&here, &[], &["connect", "vscode", "--url", "https://mcp.example.com/orders/mcp"]);
    assert_eq!(made.code, 0, "{}", made.people);
    let file = here.join(".vscode/mcp.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"servers\"") && text.contains("https://mcp.example.com/orders/mcp"), "{text}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let unknown = safeconduct(&here, &[], &["connect", "notepad", "--url", "https://x/y/mcp"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.people.contains("claude-code"), "{}", unknown.people);
}
