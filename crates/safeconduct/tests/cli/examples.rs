//! The files of `examples/` are what a person begins with: they hold.

use std::path::Path;

use crate::program::{directory, of_crate, safeconduct};

const ENVIRONMENT: [(&str, &str); 4] = [
    ("GATEWAY_SECRET", "secret-of-a-test"),
    ("PARTNER_SECRET", "secret-of-a-test"),
    ("SEARCH_KEY", "secret-of-a-test"),
    ("SESSION_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
];

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A copy of the examples with everybody's own files beside them.
pub(crate) fn laid_out(name: &str) -> std::path::PathBuf {
    let here = directory(name);
    copy(&of_crate("../../examples"), &here);
    let made = rcgen::generate_simple_self_signed(vec!["mcp.example.com".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let own = [
        ("tls/tls.crt", made.cert.pem()),
        ("tls/tls.key", key.clone()),
        ("tls/gateway.pem", key),
        ("secrets/gateway", "secret-of-a-test\n".to_owned()),
        ("secrets/service-account-token", "a.service-account.token\n".to_owned()),
        ("secrets/jwt-svid", "a.jwt.svid\n".to_owned()),
    ];
    for (file, text) in own {
        let path = here.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    here
}

#[test]
fn every_example_passes_check_without_an_error() {
    let here = laid_out("examples");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(&here).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".yaml") {
            continue;
        }
        let ran = safeconduct(&here, &ENVIRONMENT, &["check", "--config", &name]);
        assert_eq!(ran.code, 0, "{name}:\n{}", ran.people);
        let warnings = if name == "oidc.yaml" { "0 errors, 1 warning" } else { "no problems" };
        assert!(ran.data.contains(warnings), "{}\n{}", ran.data, ran.people);
        seen.push(name);
    }
    seen.sort();
    assert_eq!(
        seen,
        [
            "auth0.yaml",
            "aws.yaml",
            "clients.yaml",
            "entra.yaml",
            "google.yaml",
            "keycloak.yaml",
            "oidc.yaml",
            "okta.yaml"
        ]
    );
}

#[test]
fn every_client_of_the_examples_can_be_made_of_its_files() {
    let here = laid_out("clients");
    let call = ["--tool", "find", "--annotations", r#"{"readOnlyHint":true}"#, "--output", "json"];
    let caller = ["--claims", r#"{"sub":"alice","groups":["support"]}"#];
    let arguments = [&["explain", "-c", "clients.yaml"], &call[..], &caller].concat();
    let ran = safeconduct(&here, &ENVIRONMENT, &arguments);
    let answer: serde_json::Value = serde_json::from_str(&ran.data).unwrap();
    assert!(ran.people.is_empty(), "{}", ran.people);
    assert_eq!(answer["credential"][0]["authentication"], "tls_client_auth", "{answer:#}");
    // App Service says in the environment where its identity is: it must be a place on the machine.
    let with = |endpoint: &'static str| {
        let platform = [("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", "a-header")];
        safeconduct(&here, &[&ENVIRONMENT[..], &platform].concat(), &arguments)
    };
    assert_eq!(with("http://127.0.0.1:41741/msi/token").people, "");
    let elsewhere = with("http://10.0.0.1/msi/token").people;
    assert!(elsewhere.contains("client azure: http://10.0.0.1/msi/token"), "{elsewhere}");
}

#[test]
fn the_policies_of_the_examples_do_what_their_comments_say() {
    let here = laid_out("policies");
    let asked = |arguments: &[&str]| {
        let claims = ["--claims", r#"{"sub":"alice","groups":["support"],"scope":"mcp:tools:call"}"#];
        let ran = safeconduct(
            &here,
            &ENVIRONMENT,
            &[&["explain", "-c", "keycloak.yaml"], arguments, &claims].concat(),
        );
        assert!(ran.people.is_empty(), "{}", ran.people);
        (ran.code, ran.data)
    };
    assert_eq!(asked(&["--resource", "file:///orders/7"]).0, 0);
    let refund = |amount: &str| {
        asked(&["--tool", "refund", "--annotations", r#"{"readOnlyHint":false}"#, "--args", amount])
    };
    assert_eq!(refund(r#"{"amount":500}"#).0, 0);
    let (code, said) = refund(r#"{"amount":501}"#);
    assert!(code == 1 && said.contains("Ask finance"), "{said}");
    assert_eq!(asked(&["--tool", "find", "--annotations", r#"{"readOnlyHint":true}"#]).0, 0);
    assert_eq!(asked(&["--tool", "find", "--annotations", "{}"]).0, 1);
    let (code, said) = asked(&["--tool", "purge", "--annotations", r#"{"readOnlyHint":true}"#]);
    assert!(code == 1 && said.contains("forbidden by policies/orders.cedar"), "{said}");
}
