//! `run` and `dev`: from a command line to an answered tool call, with no account anywhere.

use std::net::TcpListener;

use safeconduct_testkit::client::Client;
use safeconduct_testkit::server::{McpServer, Options};
use serde_json::json;

use crate::program::{directory, safeconduct};
use crate::serve::Served;

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_reached_with_a_login_of_this_machine_and_its_key_is_the_gateways() {
    let server = McpServer::start(Options::default()).await.unwrap();
    let (here, listen) = (directory("run-url"), free_address());
    std::fs::write(here.join("key"), "CANARY-static-key-of-the-server\n").unwrap();
    let arguments = ["run", &server.url(), "--name", "tools", "--listen", &listen, "--api-key", "file:key"];
    let mut served = Served::spawn(here, &[&arguments[..], &["--user", "alice@example.com:ops"]].concat());
    let line = served.says("TOKEN=");
    let token = line.trim().trim_start_matches("TOKEN=");
    let url = format!("http://{listen}/tools/mcp");
    let refused = Client::modern(&url).call("echo", json!({"text": "x"})).await.unwrap();
    assert_eq!(refused.status, 401, "nobody gets in without a login");
    let answer = Client::modern(&url).bearer(token).call("echo", json!({"text": "hello"})).await.unwrap();
    assert_eq!(answer.status, 200, "{:?}", answer.message());
    assert!(answer.message().to_string().contains("hello"), "{}", answer.message());
    let seen = server.log().all();
    assert!(seen.iter().all(|request| request.bearer() == Some("CANARY-static-key-of-the-server")));
    assert!(!seen.iter().any(|request| request.mentions(token)));
    served.signal("-TERM");
    assert!(served.ends().success());
}

#[test]
fn the_flags_become_a_file_that_check_accepts() {
    let here = directory("run-print");
    std::fs::create_dir(here.join("data")).unwrap();
    let image = format!("ghcr.io/acme/weather-mcp@sha256:{}", "0".repeat(64));
    let printed = safeconduct(
        &here,
        &[],
        &[
            "run",
            "--print-config",
            &image,
            "--issuer",
            "https://idp.example.com",
            "--allow",
            "api.weather.example:443",
            "--read",
            "data",
            "--memory",
            "256MiB",
            "--cpus",
            "0.5",
            "--env",
            "LOG_LEVEL=debug",
            "--secret",
            "KEY=file:key",
        ],
    );
    assert_eq!((printed.code, printed.people.as_str()), (0, ""));
    for expected in ["weather-mcp:", "api.weather.example:443", "256MiB", "LOG_LEVEL", "file:key"] {
        assert!(printed.data.contains(expected), "{expected} is not in\n{}", printed.data);
    }
    std::fs::write(here.join("safeconduct.yaml"), &printed.data).unwrap();
    std::fs::write(here.join("key"), "x").unwrap();
    std::fs::create_dir(here.join("policies")).unwrap();
    std::fs::write(
        here.join("policies/all.cedar"),
        "permit (principal, action, resource in Server::\"weather-mcp\");",
    )
    .unwrap();
    let checked = safeconduct(&here, &[], &["check"]);
    assert_eq!(checked.code, 0, "{}\n{}", checked.people, printed.data);
}

#[test]
fn what_cannot_be_run_is_said_before_anything_starts() {
    let here = directory("run-wrong");
    for (arguments, words) in [
        (vec!["run", "ghcr.io/acme/weather-mcp:latest"], "names an image by tag"),
        (
            vec!["run", "http://127.0.0.1:9/mcp", "--allow", "x:1"],
            "`permissions` is for a server that is started here",
        ),
        (vec!["run", "uvx:mcp-server-time"], "names no version"),
        (vec!["run", "npx:mcp-server@latest"], "names no version"),
        (vec!["run", "npx:mcp-server@^1.0.0"], "the version is not exact"),
        (vec!["run"], "required"),
        (vec!["run", "--env", "X", "--", "true"], "--env is NAME=VALUE"),
    ] {
        let ran = safeconduct(&here, &[], &arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.people);
        assert!(ran.people.contains(words), "{arguments:?}: {}", ran.people);
    }
}

#[test]
fn a_package_becomes_a_file_that_check_accepts() {
    let here = directory("run-package");
    let package = "npx:@modelcontextprotocol/server-everything@2025.7.1";
    let base = format!("node@sha256:{}", "0".repeat(64));
    let printed = safeconduct(
        &here,
        &[],
        &[
            "run",
            "--print-config",
            "--entry",
            "mcp-server-everything",
            "--base-image",
            &base,
            "--index",
            "https://npm.example.com/",
            "--build-network",
            "builds",
            package,
            "--",
            "stdio",
        ],
    );
    assert_eq!((printed.code, printed.people.as_str()), (0, ""));
    for expected in [
        "server-everything:",
        package,
        "entry: mcp-server-everything",
        &base,
        "npm_registry: https://npm.example.com/",
        "network: builds",
        "- stdio",
    ] {
        assert!(printed.data.contains(expected), "{expected} is not in\n{}", printed.data);
    }
    std::fs::write(here.join("safeconduct.yaml"), &printed.data).unwrap();
    std::fs::create_dir(here.join("policies")).unwrap();
    let policy = "permit (principal, action, resource in Server::\"server-everything\");";
    std::fs::write(here.join("policies/all.cedar"), policy).unwrap();
    let checked = safeconduct(&here, &[], &["check"]);
    assert_eq!(checked.code, 0, "{}\n{}", checked.people, printed.data);
    // Without a container it is run only by who asks for that by name, and then by what this machine has.
    let python =
        safeconduct(&here, &[], &["run", "--print-config", "uvx:mcp-server-time@1.0", "--engine", "process"]);
    assert!(
        python.data.contains("engine: process") && python.data.contains("mcp-server-time:"),
        "{}",
        python.data
    );
}
