//! The step `entra_obo` against a token endpoint that speaks as Entra does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends where it fails"
)]

#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use safeconduct_core::refusal::Reason;
    use safeconduct_identity::client_auth::AssertionFile;
    use safeconduct_identity::provider::{EntraObo, EntraOboConfig, EntraOboConfigError, Targets};
    use safeconduct_identity::secret_source::SecretSource;
    use safeconduct_identity::template::Template;
    use serde_json::{Value, json};

    use super::support::{
        Asked, Bench, Caller, Folder, NOW, Reply, TokenEndpoint, at, entra_obo, jwt, sent, wire,
    };

    fn alice() -> Caller {
        Caller::named("alice")
    }

    /// A refusal in Entra's words.
    fn refused(status: u16, error: &str, code: u64, more: Value) -> Reply {
        let mut body = json!({
            "error": error,
            "error_description": format!("AADSTS{code}: words.\r\nTrace ID: 0000aaaa-11bb-cccc-dd33-eeeeee333333"),
            "error_codes": [code],
            "timestamp": "2026-11-22 10:00:00Z",
            "trace_id": "0000aaaa-11bb-cccc-dd33-eeeeee333333",
            "correlation_id": "aaaa0000-bb11-2222-33cc-444444dddddd",
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        Reply::json(status, body.to_string())
    }

    async fn reason(reply: Reply) -> Reason {
        let endpoint = TokenEndpoint::start(move |_| reply.clone()).await;
        let bench = Bench::new(vec![entra_obo(&endpoint.url, |_| ())]);
        bench.acquire(&alice()).await.err().unwrap()
    }

    /// Edge: 105
    #[tokio::test]
    async fn the_parameters_of_the_on_behalf_of_flow_are_sent_and_no_more() {
        let endpoint = TokenEndpoint::start(|_| Reply::entra("issued", "User.Read Mail.Read")).await;
        let bench = Bench::new(vec![entra_obo(&endpoint.url, |_| ())]);
        let outbound = bench.acquire(&alice()).await.unwrap();
        assert_eq!(sent(&outbound), "issued");
        assert_eq!(
            outbound.credential().record().scopes.join(" "),
            "User.Read Mail.Read",
            "what is granted, also more"
        );
        let asked = &endpoint.asked()[0];
        let names: Vec<&str> = asked.form.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["grant_type", "assertion", "requested_token_use", "scope", "client_id"]);
        assert_eq!(asked.one("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_eq!(asked.one("assertion"), alice().token());
        assert_eq!(asked.one("requested_token_use"), "on_behalf_of");
        assert_eq!(asked.one("scope"), "https://graph.microsoft.com/User.Read");
    }

    /// Edge: 57
    #[tokio::test]
    async fn who_can_meet_a_challenge_says_so_and_another_step_does_not() {
        let endpoint = TokenEndpoint::start(|_| Reply::entra("issued", "User.Read")).await;
        let bench = Bench::new(vec![entra_obo(&endpoint.url, |config| config.challenged = true)]);
        assert!(bench.token(&alice()).await.is_ok());
        let claims: Value = serde_json::from_str(endpoint.asked()[0].one("claims")).unwrap();
        assert_eq!(claims, json!({ "access_token": { "xms_cc": { "values": ["cp1"] } } }));
    }

    /// Edge: 26
    #[tokio::test]
    async fn the_audience_of_a_token_is_looked_at_where_one_is_expected() {
        let token = jwt(&json!({ "aud": "00000003-0000-0000-c000-000000000000", "exp": NOW.secs() + 600 }));
        for (expected, outcome) in [
            (None, Ok(token.clone())),
            (Some("00000003-0000-0000-c000-000000000000"), Ok(token.clone())),
            (Some("https://graph.microsoft.com"), Err("SC-C06")),
        ] {
            let issued = token.clone();
            let endpoint = TokenEndpoint::start(move |_| Reply::entra(&issued, "User.Read")).await;
            let bench = Bench::new(vec![entra_obo(&endpoint.url, |config| {
                config.expected_audience = expected.into_iter().map(Into::into).collect();
            })]);
            assert_eq!(bench.token(&alice()).await, outcome, "{expected:?}");
        }
    }

    /// Edge: 57
    #[tokio::test]
    async fn a_second_factor_that_is_wanted_ends_at_the_caller_with_the_claims() {
        let claims = r#"{"access_token":{"polids":{"essential":true,"values":["9ab03e19"]}}}"#;
        let reason = reason(refused(400, "interaction_required", 50079, json!({ "claims": claims }))).await;
        assert_eq!(
            reason,
            Reason::StepUpRequired { acr_values: None, max_age: None, claims: Some(claims.into()) }
        );
    }

    /// Edge: 56, 60
    #[tokio::test]
    async fn each_class_of_code_is_somebodys_business_and_named_to_the_operator() {
        let (step, named) = ("entra_obo".to_owned(), |text: &str| text.to_owned());
        let subject = reason(refused(400, "invalid_grant", 500_133, json!({}))).await;
        assert_eq!(
            subject,
            Reason::SubjectRefused { step: step.clone(), error: named("invalid_grant AADSTS500133") }
        );
        let consent =
            reason(refused(400, "invalid_grant", 65001, json!({ "suberror": "consent_required" }))).await;
        assert_eq!(
            consent,
            Reason::ExchangeDenied { step: step.clone(), error: named("consent_required AADSTS65001") }
        );
        let secret = reason(refused(401, "invalid_client", 7_000_222, json!({}))).await;
        assert_eq!(secret, Reason::ClientRefused { step, error: named("invalid_client AADSTS7000222") });
        let throttled =
            reason(refused(429, "invalid_grant", 50196, json!({})).header("retry-after", "3")).await;
        assert_eq!(throttled.code(), "SC-C07");
    }

    /// Edge: 59
    #[tokio::test]
    async fn a_missing_consent_is_a_page_to_open_where_one_is_configured() {
        let endpoint = TokenEndpoint::start(|_| refused(400, "invalid_grant", 65001, json!({}))).await;
        let page = "https://apps.example.com/consent";
        let bench =
            Bench::new(vec![entra_obo(&endpoint.url, |config| config.consent_page = Some(page.into()))]);
        let reason = bench.acquire(&alice()).await.err().unwrap();
        assert_eq!(reason, Reason::InteractionRequired { step: "entra_obo".into(), url: page.into() });
    }

    /// Edge: 11
    #[tokio::test]
    async fn an_assertion_that_has_ended_is_read_again_and_presented_once_more() {
        let folder = Folder::new();
        let path = folder.put("token", "old");
        let file = path.clone();
        let endpoint = TokenEndpoint::start(move |asked: &Asked| match asked.one("client_assertion") {
            "new" => Reply::entra("issued", "User.Read"),
            _ => {
                std::fs::write(&file, "new").unwrap();
                refused(401, "invalid_client", 700_024, json!({}))
            }
        })
        .await;
        let with_file = |url: &str| {
            let source = SecretSource::file(&path).unwrap();
            entra_obo(url, |config| config.at.client = Arc::new(AssertionFile::new("app".into(), source)))
        };
        assert_eq!(Bench::new(vec![with_file(&endpoint.url)]).token(&alice()).await, Ok("issued".into()));
        let presented: Vec<String> =
            endpoint.asked().iter().map(|asked| asked.one("client_assertion").to_owned()).collect();
        assert_eq!(presented, ["old", "new"]);
        assert_eq!(endpoint.asked()[0].one("client_id"), "app");
        let never = TokenEndpoint::start(|_| refused(401, "invalid_client", 700_024, json!({}))).await;
        assert_eq!(Bench::new(vec![with_file(&never.url)]).token(&alice()).await, Err("SC-C05"));
        assert_eq!(never.count(), 2);
    }

    #[tokio::test]
    async fn a_federated_credential_that_is_not_known_yet_is_tried_a_few_times() {
        let endpoint = TokenEndpoint::start(|asked| match asked.number {
            1 => refused(400, "invalid_request", 70021, json!({})),
            2 => refused(400, "invalid_client", 700_213, json!({})),
            _ => Reply::entra("issued", "User.Read"),
        })
        .await;
        assert_eq!(
            Bench::new(vec![entra_obo(&endpoint.url, |_| ())]).token(&alice()).await,
            Ok("issued".into())
        );
        assert_eq!(endpoint.count(), 3);
    }

    /// Edge: 107
    #[tokio::test]
    async fn a_federated_token_for_another_audience_is_refused_once_and_named() {
        let endpoint = TokenEndpoint::start(|_| refused(401, "invalid_client", 700_212, json!({}))).await;
        let bench = Bench::new(vec![entra_obo(&endpoint.url, |_| ())]);
        let reason = bench.acquire(&alice()).await.err().unwrap();
        let error = "invalid_client AADSTS700212".to_owned();
        assert_eq!(reason, Reason::ClientRefused { step: "entra_obo".into(), error });
        assert_eq!(bench.token(&Caller::named("bob")).await, Err("SC-C05"));
        assert_eq!(endpoint.count(), 1);
    }

    #[tokio::test]
    async fn a_step_that_cannot_work_is_refused_when_the_configuration_is_read() {
        let made = |targets: Targets, change: &dyn Fn(&mut EntraOboConfig)| {
            let mut config = EntraOboConfig::new(at("http://127.0.0.1:1/token"), targets);
            change(&mut config);
            EntraObo::new(config, wire()).map(drop)
        };
        let scopes = || vec![Template::fixed("https://graph.microsoft.com/.default")];
        let fine = || Targets { scopes: scopes(), ..Targets::default() };
        assert_eq!(made(fine(), &|_| ()), Ok(()));
        assert_eq!(made(Targets::default(), &|_| ()), Err(EntraOboConfigError::NoScopes));
        let audience = Targets { audience: vec![Template::fixed("graph")], ..fine() };
        assert_eq!(made(audience, &|_| ()), Err(EntraOboConfigError::OtherTargets));
        let plain = |config: &mut EntraOboConfig| config.consent_page = Some("http://x".into());
        assert_eq!(made(fine(), &plain), Err(EntraOboConfigError::ConsentPage));
    }

    #[test]
    fn every_cloud_has_its_authority() {
        for (authority, expected) in [
            ("https://login.microsoftonline.com", "https://login.microsoftonline.com/t/oauth2/v2.0/token"),
            ("https://login.microsoftonline.us/", "https://login.microsoftonline.us/t/oauth2/v2.0/token"),
            ("http://127.0.0.1:1", "http://127.0.0.1:1/t/oauth2/v2.0/token"),
        ] {
            assert_eq!(EntraOboConfig::token_endpoint(authority, "t"), expected);
        }
    }
}
