//! Tokens in the shapes of real products, each under its preset.

use safeconduct_core::caller::{ClaimPath, IssuerRules, Kind, PRESETS, Preset, Principal, TokenProblem};
use serde_json::{Value, json};

use crate::mint::*;

fn under(preset: Preset, typ: Value, own: Value) -> Result<std::sync::Arc<Principal>, TokenProblem> {
    let mut claims = json!({ "iss": ISSUER, "aud": RESOURCE, "exp": NOW + 300, "iat": NOW - 1 });
    claims.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    let token = mint_with(&header_with("typ", typ), &claims);
    let rules = IssuerRules::new("corp", ISSUER, preset);
    verify_under(&rules, &key_set(), &token).map(|verified| verified.principal().clone())
}

fn texts(of: &[Box<str>]) -> Vec<&str> {
    of.iter().map(|text| &**text).collect()
}

#[test]
fn every_preset_is_found_by_its_name() {
    for quirks in &PRESETS {
        assert_eq!(Preset::named(quirks.name), Some(quirks.preset));
        assert_eq!(quirks.preset.quirks().name, quirks.name);
    }
    assert_eq!(Preset::named("Okta"), None);
}

#[test]
fn okta_has_scopes_in_scp_and_the_client_in_cid() {
    let own = json!({ "sub": "alice@example.com", "uid": "00u1", "cid": "0oa1", "scp": ["openid", "mcp"], "groups": ["Everyone"] });
    let caller = under(Preset::Okta, Value::Null, own).unwrap();
    assert_eq!((texts(&caller.scopes), texts(&caller.groups)), (vec!["openid", "mcp"], vec!["Everyone"]));
    assert_eq!((caller.client.as_deref(), caller.kind), (Some("0oa1"), Kind::User));
    let program =
        under(Preset::Okta, Value::Null, json!({ "sub": "0oa1", "cid": "0oa1", "scp": ["mcp"] })).unwrap();
    assert_eq!(program.kind, Kind::Workload);
}

/// Row: A20
#[test]
fn entra_has_scopes_in_scp_for_people_and_in_roles_for_programs() {
    let person = json!({ "sub": "pairwise", "oid": "o-1", "azp": "app-1", "scp": "mcp.read mcp.call", "roles": ["Admin"],
        "email": "alice@evil.example", "ver": "2.0" });
    let caller = under(Preset::Entra, "JWT".into(), person).unwrap();
    assert_eq!((texts(&caller.scopes), caller.kind), (vec!["mcp.read", "mcp.call"], Kind::User));
    assert_eq!((caller.client.as_deref(), caller.email.as_deref()), (Some("app-1"), None));
    assert_eq!(texts(&caller.claims["roles"]), ["Admin"]);
    for mark in [json!({ "idtyp": "app" }), json!({})] {
        let mut program =
            json!({ "sub": "o-2", "oid": "o-2", "appid": "app-2", "roles": ["mcp.call"], "ver": "1.0" });
        program.as_object_mut().unwrap().extend(mark.as_object().unwrap().clone());
        let caller = under(Preset::Entra, "JWT".into(), program).unwrap();
        assert_eq!((texts(&caller.scopes), caller.kind), (vec!["mcp.call"], Kind::Workload));
        assert_eq!(caller.client.as_deref(), Some("app-2"));
    }
}

#[test]
fn entra_tokens_without_the_groups_that_they_should_hold_are_refused_by_name() {
    for own in [
        json!({ "sub": "a", "scp": "s", "_claim_names": { "groups": "src1" }, "_claim_sources": {} }),
        json!({ "sub": "a", "scp": "s", "hasgroups": true }),
    ] {
        let refused = under(Preset::Entra, "JWT".into(), own).err();
        assert_eq!(refused, Some(TokenProblem::GroupsOverage));
        assert!(TokenProblem::GroupsOverage.to_string().contains("groups overage"));
    }
}

#[test]
fn entra_tokens_of_one_login_have_one_fingerprint() {
    let token = |uti: &str, rh: &str| {
        let own = json!({ "sub": "a", "scp": "s", "uti": uti, "rh": rh, "aio": uti });
        under(Preset::Entra, "JWT".into(), own).unwrap().fingerprint
    };
    assert_eq!(token("1", "2"), token("3", "4"));
}

/// Row: A20
#[test]
fn keycloak_says_the_kind_of_token_in_the_payload_and_names_service_accounts() {
    let own = |typ: &str| {
        json!({ "sub": "u-1", "typ": typ, "azp": "claude-code", "nonce": "n", "scope": "openid mcp", "groups": ["/support"],
            "preferred_username": "service-account-of-mine" })
    };
    let caller = under(Preset::Keycloak, "JWT".into(), own("Bearer")).unwrap();
    assert_eq!((caller.kind, texts(&caller.groups)), (Kind::User, vec!["/support"]));
    for typ in ["ID", "Refresh", "DPoP", "Logout"] {
        let refused = under(Preset::Keycloak, "JWT".into(), own(typ)).err();
        assert!(matches!(refused, Some(TokenProblem::WrongType(_))), "{typ}");
    }
    let robot = json!({ "sub": "u-2", "typ": "Bearer", "azp": "CI-bot", "client_id": "CI-bot",
        "preferred_username": "service-account-ci-bot" });
    assert_eq!(under(Preset::Keycloak, "JWT".into(), robot).unwrap().kind, Kind::Workload);
}

/// Row: A20
#[test]
fn auth0_has_permissions_and_marks_client_credentials() {
    let own =
        json!({ "sub": "auth0|1", "azp": "c-1", "scope": "openid", "permissions": ["mcp:call", "openid"] });
    let caller = under(Preset::Auth0, "JWT".into(), own).unwrap();
    assert_eq!((texts(&caller.scopes), caller.kind), (vec!["openid", "mcp:call"], Kind::User));
    let own = json!({ "sub": "c-1@clients", "azp": "c-1", "gty": "client-credentials", "scope": "mcp:call" });
    assert_eq!(under(Preset::Auth0, "JWT".into(), own).unwrap().kind, Kind::Workload);
}

#[test]
fn google_callers_come_with_id_tokens_and_a_verified_email_only() {
    let own = |verified: bool| json!({ "sub": "1", "azp": "c.apps.example", "at_hash": "h", "email": "a@example.com", "email_verified": verified });
    let caller = under(Preset::Google, "JWT".into(), own(true)).unwrap();
    assert_eq!(
        (caller.email.as_deref(), caller.client.as_deref()),
        (Some("a@example.com"), Some("c.apps.example"))
    );
    assert_eq!(under(Preset::Google, "JWT".into(), own(false)).unwrap().email, None);
}

#[test]
fn the_configuration_can_say_where_claims_are() {
    let mut rules = IssuerRules::new("corp", ISSUER, Preset::Keycloak);
    rules.claims.groups = vec![
        ClaimPath::parse("realm_access.roles").unwrap(),
        ClaimPath::parse("https://acme.example/teams").unwrap(),
    ];
    let mut claims = with("realm_access", json!({ "roles": ["admin"] }));
    claims["https://acme.example/teams"] = "blue".into();
    let verified = verify_under(&rules, &key_set(), &mint(&claims)).unwrap();
    assert_eq!(texts(&verified.principal().groups), ["admin", "blue"]);
}
