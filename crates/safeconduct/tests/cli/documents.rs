//! What the documents tell people to write holds: each configuration, each policy, each setting that they name.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct::config::schema;

use crate::program::{Ran, directory, of_crate, safeconduct};
use crate::snapshot;

const DOCUMENTS: [&str; 18] = [
    "README.md",
    "docs/guide.md",
    "docs/policy.md",
    "docs/refusals.md",
    "docs/revocation.md",
    "docs/doctor.md",
    "docs/configuration.md",
    "docs/lock.md",
    "docs/guides/auth0.md",
    "docs/guides/packages.md",
    "docs/secrets.md",
    "docs/guides/aws.md",
    "docs/guides/entra.md",
    "docs/guides/google.md",
    "docs/guides/keycloak.md",
    "docs/guides/okta.md",
    "docs/guides/local.md",
    "docs/guides/production.md",
];
const ENVIRONMENT: [(&str, &str); 2] =
    [("GATEWAY_SECRET", "secret-of-a-test"), ("SESSION_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")];

/// What a fragment is put into, section by section.
const BASE: &str = "\
issuers:
  corp: { issuer: https://idp.example.com, audience: [mcp-server] }
clients:
  gateway: { client_id: gateway, client_secret: env:GATEWAY_SECRET }
servers:
  orders: { url: http://127.0.0.1:9000/mcp, credential: none }
policy: policies/
";
const POLICY: &str =
    "permit (principal in Group::\"corp/support\", action, resource in Server::\"orders\");\n";

fn document(name: &str) -> String {
    std::fs::read_to_string(of_crate("../..").join(name)).unwrap()
}

/// The fenced blocks of a language.
fn blocks(name: &str, language: &str) -> Vec<String> {
    let text = document(name);
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The sections of a file: a line that begins without a space, and what is below it.
fn sections(text: &str) -> BTreeMap<String, String> {
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if !line.starts_with(' ') {
            name = line.split(':').next().unwrap().to_owned();
        }
        let section = sections.entry(name.clone()).or_default();
        section.push_str(line);
        section.push('\n');
    }
    sections
}

/// A block as a whole file.
fn whole(block: &str) -> String {
    let mut given = sections(block);
    if let Some(chain) = given.remove("credential") {
        let chain = chain.replace('\n', "\n    ");
        given.insert(
            "servers".into(),
            format!("servers:\n  orders:\n    url: http://127.0.0.1:9000/mcp\n    {chain}\n"),
        );
    }
    let mut all = sections(BASE);
    all.extend(given);
    all.into_values().collect()
}

/// The file that a document's policies are for: a guide's own first one.
fn file_of(document: &str) -> String {
    match document.starts_with("docs/guides/") {
        true => whole(&blocks(document, "yaml")[0]),
        false => BASE.to_owned(),
    }
}

/// The policy that a document's files go with: a guide's own first one.
fn policy_of(document: &str) -> String {
    let own = blocks(document, "cedar").into_iter().next();
    own.filter(|_| document.starts_with("docs/guides/")).unwrap_or_else(|| POLICY.to_owned())
}

fn checked(name: &str, file: &str, policy: &str) -> Ran {
    let here = directory(name);
    std::fs::create_dir_all(here.join("policies")).unwrap();
    let key = rcgen::generate_simple_self_signed(vec!["mcp.example.com".to_owned()]).unwrap();
    std::fs::write(here.join("tls.crt"), key.cert.pem()).unwrap();
    std::fs::write(here.join("tls.key"), key.signing_key.serialize_pem()).unwrap();
    std::fs::write(here.join("token"), "a.platforms.token\n").unwrap();
    // The documents name the places where such files are in production.
    let file = file.replace("/etc/safeconduct/", "").replace("/var/lib/safeconduct/", "");
    std::fs::write(here.join("safeconduct.yaml"), file).unwrap();
    std::fs::write(here.join("policies/some.cedar"), policy).unwrap();
    safeconduct(&here, &ENVIRONMENT, &["check"])
}

#[test]
fn every_configuration_in_the_documents_passes_check() {
    let mut count = 0;
    for document in DOCUMENTS {
        for block in blocks(document, "yaml").iter().filter(|block| !sections(block).is_empty()) {
            let file = whole(block);
            let ran = checked("document-yaml", &file, &policy_of(document));
            assert_eq!(ran.code, 0, "{document}:\n{file}\n{}", ran.people);
            assert!(ran.data.contains("no problems"), "{document}:\n{file}\n{}", ran.people);
            count += 1;
        }
    }
    assert!(count >= 6, "{count}");
}

#[test]
fn every_policy_in_the_documents_passes_check() {
    let mut count = 0;
    for document in DOCUMENTS {
        for block in blocks(document, "cedar") {
            let ran = checked("document-cedar", &file_of(document), &block);
            assert!(
                ran.code == 0 && ran.data.contains("no problems"),
                "{document}:\n{block}\n{}",
                ran.people
            );
            count += 1;
        }
    }
    assert!(count >= 2, "{count}");
}

#[test]
fn the_five_minutes_of_the_readme_go_as_it_says() {
    let here = directory("readme");
    std::fs::create_dir_all(here.join("policies")).unwrap();
    std::fs::write(here.join("safeconduct.yaml"), &blocks("README.md", "yaml")[0]).unwrap();
    std::fs::write(here.join("policies/orders.cedar"), &blocks("README.md", "cedar")[0]).unwrap();
    let asked = |amount: &str| {
        let arguments = format!("{{\"amount\":{amount}}}");
        let claims = r#"{"sub":"alice","groups":["support"]}"#;
        let question =
            ["explain", "--server", "orders", "--tool", "refund", "--args", &arguments, "--claims", claims];
        safeconduct(&here, &ENVIRONMENT, &question)
    };
    assert_eq!(asked("400").code, 0);
    let denied = asked("900");
    assert_eq!(denied.code, 1);
    assert!(denied.data.contains("Ask finance to refund more than 500."), "{}", denied.data);
    assert!(denied.data.contains("policies/orders.cedar:"), "{}", denied.data);
}

#[test]
fn every_setting_that_the_documents_name_is_one() {
    let schema = schema::json();
    let known = |section: &str, field: &str| {
        let place =
            schema.pointer(&format!("/properties/{section}/$ref")).and_then(|it| it.as_str()).unwrap();
        schema.pointer(&format!("{}/properties/{field}", place.trim_start_matches('#'))).is_some()
    };
    for name in DOCUMENTS {
        let text = document(name);
        for span in text.split('`').skip(1).step_by(2) {
            let Some((section, field)) = span.split_once('.') else { continue };
            let told =
                ["tls", "audit", "limits", "timeouts", "sessions", "telemetry", "runtime"].contains(&section);
            let plain = !field.is_empty() && field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(!told || !plain || known(section, field), "{name} speaks of `{span}`");
        }
    }
}

/// The codes in a text, each once.
fn codes(text: &str) -> BTreeSet<&str> {
    let code = |(at, _): (usize, &str)| text.get(at..at + "SC-D01".len());
    text.match_indices("SC-")
        .filter_map(code)
        .filter(|code| code.bytes().skip("SC-D".len()).all(|b| b.is_ascii_digit()))
        .collect()
}

#[test]
fn every_code_of_a_refusal_has_its_row_in_the_documents() {
    let program = document("crates/core/src/refusal.rs");
    let page = document("docs/refusals.md");
    assert_eq!(codes(&program), codes(&page));
    for code in codes(&page) {
        let rows = page.lines().filter(|line| line.starts_with(&format!("| {code} |"))).count();
        assert_eq!(rows, 1, "{code}");
    }
}

#[test]
fn every_guide_is_among_the_documents_and_names_only_refusals_that_there_are() {
    let page = document("docs/refusals.md");
    let mut guides = 0;
    for entry in std::fs::read_dir(of_crate("../../docs/guides")).unwrap() {
        let name = format!("docs/guides/{}", entry.unwrap().file_name().into_string().unwrap());
        assert!(DOCUMENTS.contains(&name.as_str()), "{name}");
        let text = document(&name);
        let named = codes(&text);
        assert!(named.is_subset(&codes(&page)), "{name}: {named:?}");
        guides += usize::from(!named.is_empty());
    }
    assert!(guides >= 6, "guides say what is refused: {guides}");
}

/// What a guide has an administrator run is made from the guide's own file, and what it says of a refusal is what the
/// gateway makes of it.
#[test]
fn the_guides_go_as_they_say() {
    for (provider, wanted) in [
        ("okta", "https://example.okta.com/api/v1/authorizationServers/ausorders/scopes"),
        ("keycloak", "\"included.client.audience\": \"backend-server\""),
        ("entra", "az ad app permission admin-consent --id 2f1e7d7a-0f5c-4c5e-9a53-d2b6d7a3c001"),
        ("google", "workload-identity-pools"),
        ("aws", "create-open-id-connect-provider"),
    ] {
        let guide = format!("docs/guides/{provider}.md");
        let here = directory(&format!("guide-{provider}"));
        std::fs::create_dir_all(here.join("policies")).unwrap();
        std::fs::write(here.join("safeconduct.yaml"), file_of(&guide)).unwrap();
        std::fs::write(here.join("policies/some.cedar"), policy_of(&guide)).unwrap();
        let ran = safeconduct(&here, &ENVIRONMENT, &["setup", provider]);
        assert_eq!(ran.code, 0, "{guide}: {}", ran.people);
        assert!(ran.data.contains(wanted), "{guide}: {}", ran.data);
    }
    let explained = document("crates/safeconduct/src/commands/doctor/known/entra.rs").to_lowercase();
    for number in document("docs/guides/entra.md").split("AADSTS").skip(1) {
        let number: String = number.chars().take_while(char::is_ascii_digit).collect();
        let known = number.is_empty() || explained.contains(&format!("&[\"aadsts{number}\"]"));
        assert!(known, "doctor does not explain AADSTS{number}");
    }
}

#[test]
fn the_callers_of_the_guides_are_permitted_and_others_are_not() {
    let support = r#"{"sub":"alice","groups":["support"]}"#;
    for (guide, server, claims) in [
        ("okta", "orders", support),
        ("keycloak", "orders", support),
        ("auth0", "orders", r#"{"sub":"auth0|alice","https://acme.example/groups":["support"]}"#),
        (
            "entra",
            "graph",
            r#"{"sub":"alice","scp":"mcp.call","groups":["0d1f6a54-7a41-4c0c-bb0e-6b6f4d1d6b11"]}"#,
        ),
    ] {
        let name = format!("docs/guides/{guide}.md");
        let here = directory(&format!("caller-{guide}"));
        std::fs::create_dir_all(here.join("policies")).unwrap();
        std::fs::write(here.join("safeconduct.yaml"), file_of(&name)).unwrap();
        std::fs::write(here.join("policies/some.cedar"), policy_of(&name)).unwrap();
        let call = ["--server", server, "--tool", "list", "--annotations", r#"{"readOnlyHint":true}"#];
        for (claims, code) in [(claims, 0), (r#"{"sub":"mallory","scp":"mcp.call"}"#, 1)] {
            let ran =
                safeconduct(&here, &ENVIRONMENT, &[&["explain"], &call[..], &["--claims", claims]].concat());
            assert_eq!(ran.code, code, "{name}: {}{}", ran.data, ran.people);
        }
    }
}

#[test]
fn the_reference_is_made_from_the_program() {
    snapshot::holds("../../docs/configuration.md", &schema::reference());
}
