//! `setup`: word for word, and what it would do: documents are read, scripts are run with programs that only write down
//! what they are given.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::{Ran, directory, of_crate, safeconduct};
use crate::snapshot;

const ENVIRONMENT: [(&str, &str); 1] = [("GATEWAY_SECRET", "canary-of-the-gateway")];

fn setup(here: &Path, arguments: &[&str]) -> Ran {
    let ran = safeconduct(here, &ENVIRONMENT, &[&["setup"], arguments].concat());
    assert!(!ran.transcript().contains("canary"), "a secret is shown:\n{}", ran.transcript());
    ran
}

fn printed(arguments: &[&str]) -> String {
    let ran = setup(&of_crate("tests/cli/setup"), arguments);
    assert_eq!((ran.code, ran.people.as_str()), (0, ""), "{}", ran.transcript());
    ran.data
}

/// The document that a script writes into a file of this name.
fn document(script: &str, file: &str) -> Value {
    let start = format!("cat > {file} <<'END'\n");
    let text = script.split(&start).nth(1).unwrap_or_else(|| panic!("no {file}:\n{script}"));
    serde_json::from_str(text.split("\nEND\n").next().unwrap()).unwrap()
}

/// Runs a script with programs that write down what they are given: one line an argument, `--` after each call.
fn calls(name: &str, script: &str, programs: &[&str]) -> Vec<Vec<String>> {
    let here = directory(name);
    let log = here.join("log");
    for program in programs {
        let path = here.join(program);
        std::fs::write(&path, format!("#!/bin/sh\nfor word; do printf '%s\\036' \"$word\" >> '{0}'; done; printf '\\035' >> '{0}'; echo id\n", log.display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::write(here.join("setup.sh"), script).unwrap();
    let path = format!("{}:/usr/bin:/bin", here.display());
    let ran = Command::new("/bin/sh")
        .arg("setup.sh")
        .current_dir(&here)
        .env_clear()
        .env("PATH", path)
        .env("OKTA_API_TOKEN", "t")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}\n{script}", String::from_utf8_lossy(&ran.stderr));
    assert!(!here.join("pwned").exists(), "{script}");
    let text = std::fs::read_to_string(&log).unwrap();
    text.split('\u{1d}')
        .filter(|call| !call.is_empty())
        .map(|call| call.split('\u{1e}').filter(|word| !word.is_empty()).map(str::to_owned).collect())
        .collect()
}

fn has(calls: &[Vec<String>], words: &[&str]) -> bool {
    count(calls, words) > 0
}

fn count(calls: &[Vec<String>], words: &[&str]) -> usize {
    calls.iter().filter(|call| words.iter().all(|word| call.iter().any(|it| it == word))).count()
}

#[test]
fn what_is_printed_for_each_provider_is_word_for_word_what_it_was() {
    for provider in ["google", "aws", "entra", "okta", "keycloak"] {
        snapshot::holds(&format!("tests/cli/setup/{provider}.sh.txt"), &printed(&[provider]));
        snapshot::holds(&format!("tests/cli/setup/{provider}.tf.txt"), &printed(&[provider, "--terraform"]));
    }
}

#[test]
fn a_trust_policy_of_aws_lets_in_exactly_the_issuer_and_audience_of_the_configuration() {
    let script = printed(&["aws", "--subject", "auth0|alice"]);
    let trust = document(&script, "Callers-trust.json");
    let statement = &trust["Statement"][0];
    let provider = "arn:aws:iam::123456789012:oidc-provider/partner.eu.auth0.com/";
    assert_eq!(statement["Principal"], json!({ "Federated": provider }));
    assert_eq!(
        statement["Condition"]["StringEquals"],
        json!({
            "partner.eu.auth0.com/:aud":
                ["https://mcp.example.com", "https://mcp.example.com/billing/mcp", "https://mcp.example.com/cloud/mcp"],
            "partner.eu.auth0.com/:sub": "auth0|alice",
        })
    );
    let chained = document(&script, "Reports-trust.json");
    assert_eq!(chained["Statement"][0]["Principal"]["AWS"], "arn:aws:iam::123456789012:role/mcp/Callers");
    assert_eq!(chained["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"], "mcp:reports");
    assert_eq!(chained["Statement"][0]["Action"], json!(["sts:AssumeRole", "sts:SetSourceIdentity"]));
    let onward = document(&script, "Callers-onward.json");
    assert_eq!(onward["Statement"][0]["Resource"], "arn:aws:iam::210987654321:role/Reports");
    let calls = calls("setup-aws", &script, &["aws"]);
    assert!(has(
        &calls,
        &["create-open-id-connect-provider", "https://partner.eu.auth0.com/", "https://mcp.example.com"]
    ));
    assert!(has(&calls, &["create-role", "Callers", "/mcp/", "7200", "file://Callers-trust.json"]));
    assert!(has(&calls, &["create-role", "Reports", "3600"]));
    assert_eq!(count(&calls, &["create-role", "Callers"]), 1, "a role of two servers is made once");
    assert_eq!(count(&calls, &["create-open-id-connect-provider"]), 1);
}

#[test]
fn a_provider_of_google_is_made_for_the_issuer_and_audiences_and_each_account_is_bound() {
    let calls = calls("setup-google", &printed(&["google"]), &["gcloud"]);
    assert!(has(&calls, &["workload-identity-pools", "create", "mcp", "--project=id"]));
    assert!(has(
        &calls,
        &[
            "create-oidc",
            "corp",
            "--workload-identity-pool=mcp",
            "--issuer-uri=https://keycloak.example.com/realms/corp",
            "--allowed-audiences=mcp-server,https://mcp.example.com/warehouse/mcp,https://mcp.example.com/archive/mcp",
        ]
    ));
    assert_eq!(count(&calls, &["create", "mcp"]), 1, "a pool of two servers is made once");
    assert_eq!(count(&calls, &["create-oidc", "--workload-identity-pool=mcp"]), 1, "and so is its provider");
    let everybody = "--member=principalSet://iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/mcp/*";
    for account in ["bq-reader@acme.iam.gserviceaccount.com", "bq-writer@acme.iam.gserviceaccount.com"] {
        assert!(
            has(
                &calls,
                &["add-iam-policy-binding", account, "--role=roles/iam.workloadIdentityUser", everybody]
            ),
            "{account}"
        );
    }
    assert!(has(&calls, &["projects", "add-iam-policy-binding", "--role=roles/storage.objectViewer"]));
    let only = printed(&["google", "--server", "storage", "--subject", "it's alice"]);
    let calls = self::calls("setup-google-subject", &only, &["gcloud"]);
    assert!(
        has(&calls, &["create-oidc", r"--attribute-condition=assertion.sub in ['it\'s alice']"]),
        "{calls:?}"
    );
    let alice = "--member=principal://iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/files/subject/it's alice";
    assert!(has(&calls, &["add-iam-policy-binding", alice]), "{calls:?}");
}

#[test]
fn an_application_of_entra_exposes_the_scopes_and_trusts_the_platforms_token_letter_by_letter() {
    let script = printed(&["entra"]);
    let application = document(&script, "application.json");
    assert_eq!(application["api"]["requestedAccessTokenVersion"], 2);
    assert_eq!(application["api"]["oauth2PermissionScopes"][0]["value"], "mcp.call");
    let calls = calls("setup-entra", &script, &["az", "jq"]);
    let id = "2f1e7d7a-0f5c-4c5e-9a53-d2b6d7a3c001";
    assert!(has(&calls, &["federated-credential", "create", id, "@federated.json"]), "{calls:?}");
    assert!(has(
        &calls,
        &[
            "https://oidc.cluster.example/abc/",
            "system:serviceaccount:mcp:safeconduct",
            "api://AzureADTokenExchange"
        ]
    ));
    assert!(has(&calls, &["permission", "add", id, "00000003-0000-0000-c000-000000000000", "id=Scope"]));
    assert!(has(&calls, &["login", "--tenant", "7c9e6679-7425-40de-944b-e07fc1f90ae7"]));
}

#[test]
fn a_client_of_keycloak_may_exchange_and_stands_in_the_audience_of_callers_tokens() {
    let script = printed(&["keycloak"]);
    let gateway = document(&script, "gateway.json");
    assert_eq!(gateway["clientId"], "gateway");
    assert_eq!(gateway["attributes"]["standard.token.exchange.enabled"], "true");
    assert_eq!(gateway["publicClient"], false);
    let callers = document(&script, "mcp-gateway.json");
    let audiences: Vec<&Value> =
        callers["protocolMappers"].as_array().unwrap().iter().map(|mapper| &mapper["config"]).collect();
    assert!(audiences.iter().any(|config| config["included.custom.audience"] == "mcp-server"));
    assert!(audiences.iter().any(|config| config["included.client.audience"] == "gateway"));
    let scope = document(&script, "backend_api_read.json");
    assert_eq!(scope["name"], "backend-api:read");
    assert_eq!(scope["protocolMappers"][0]["config"]["included.client.audience"], "backend-server");
    let calls = calls("setup-keycloak", &script, &["kcadm.sh"]);
    assert!(has(&calls, &["config", "credentials", "--server", "https://keycloak.example.com"]));
    assert!(has(&calls, &["update", "clients/id/optional-client-scopes/id", "corp"]));
    assert!(has(&calls, &["create", "clients", "clientId=backend-server"]));
}

#[test]
fn a_policy_of_okta_permits_the_exchange_with_the_scopes_of_the_step_and_no_token_is_on_a_command_line() {
    let script = printed(&["okta"]);
    let rule = document(&script, "rule.json");
    assert_eq!(
        rule["conditions"]["grantTypes"]["include"],
        json!(["urn:ietf:params:oauth:grant-type:token-exchange"])
    );
    assert_eq!(rule["conditions"]["scopes"]["include"], json!(["hr.read", "hr.write"]));
    assert_eq!(document(&script, "policy.json")["conditions"]["clients"]["include"], json!(["0oa1gateway"]));
    let calls = calls("setup-okta", &script, &["curl", "jq"]);
    assert!(
        has(
            &calls,
            &[
                "-H",
                "@okta.headers",
                "https://acme.okta.com/api/v1/authorizationServers/aus1hr/policies/id/rules"
            ]
        ),
        "{calls:?}"
    );
}

#[test]
fn nothing_in_a_configuration_can_end_the_quotes_of_what_is_printed() {
    let here = directory("setup-hostile");
    let evil = "x'; touch pwned; echo \"$(touch pwned)`touch pwned`";
    let file = format!(
        "issuers:\n  corp: {{ issuer: 'https://idp.example.com', audience: [{}] }}\n\
         servers:\n  orders:\n    url: 'http://127.0.0.1:9000/mcp'\n    credential:\n      - google_sts: {{ audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x', scopes: [s] }}\n",
        json!(evil)
    );
    std::fs::write(here.join("safeconduct.yaml"), file).unwrap();
    let ran = setup(&here, &["google", "--subject", evil]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let calls = calls("setup-hostile-run", &ran.data, &["gcloud"]);
    assert!(
        calls.iter().flatten().any(|word| word.starts_with(&format!("--allowed-audiences={evil},"))),
        "{calls:?}"
    );
}

#[test]
fn a_provider_that_the_configuration_does_not_use_is_said_to_be_none() {
    let here = directory("setup-none");
    std::fs::write(here.join("safeconduct.yaml"), "issuers:\n  corp: { issuer: 'https://idp.example.com' }\nservers:\n  orders: { url: 'http://127.0.0.1:9000/mcp', credential: none }\n").unwrap();
    let ran = setup(&here, &["aws"]);
    assert_eq!((ran.code, ran.data.as_str()), (1, ""));
    assert!(ran.people.contains("aws_web_identity"), "{}", ran.people);
    assert_eq!(setup(&here, &["google", "--server", "ordres"]).code, 2);
    assert_eq!(setup(&here, &["azure"]).code, 2);
}
