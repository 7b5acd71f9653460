//! The step `exchange` against a token endpoint on loopback: what is asked, and what of the answers is believed.
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

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::Ed25519KeyPair;
    use safeconduct_core::secret::Secret;
    use safeconduct_identity::client_auth::{AssertionAudience, PrivateKeyJwt};
    use safeconduct_identity::provider::{
        Actor, AudienceCheck, BadTarget, BroaderScope, Exchange, ExchangeConfig, ExchangeConfigError,
        IssuedTypeCheck, Pick, RequestedType, token_type,
    };
    use safeconduct_identity::secret_source::SecretSource;
    use safeconduct_identity::template::Template;
    use serde_json::{Value, json};

    use super::support::{
        Asked, Bench, Caller, NOW, Reply, TokenEndpoint, exchange, exchange_config, jwt, sent, wire,
    };

    /// What one call comes to when the endpoint gives this answer.
    async fn outcome(reply: Reply, change: impl FnOnce(&mut ExchangeConfig)) -> Result<String, &'static str> {
        let endpoint = TokenEndpoint::start(move |_| reply.clone()).await;
        let bench = Bench::new(vec![exchange(&endpoint.url, change)]);
        bench.token(&Caller::named("alice")).await
    }

    /// A correct answer, with changes.
    fn answer(changes: Value) -> Reply {
        let mut body = json!({
            "access_token": "issued",
            "issued_token_type": token_type::ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": 3600,
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => body.as_object_mut().unwrap().remove(name),
                value => body.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        Reply::json(200, body.to_string())
    }

    const BAD_ANSWER: Result<String, &str> = Err("SC-C06");

    fn issued() -> Result<String, &'static str> {
        Ok("issued".into())
    }

    /// Edge: 1, 3
    #[tokio::test]
    async fn the_parameters_of_rfc_8693_are_sent_and_the_call_leaves_with_the_result() {
        let endpoint = TokenEndpoint::start(|_| Reply::granted("issued", 3600)).await;
        let bench = Bench::new(vec![exchange(&endpoint.url, |config| {
            config.targets.audience.push(Template::fixed("second"));
            config.targets.resource = vec![Template::fixed("https://api.example.com/a?b=c")];
        })]);
        let alice = Caller::named("alice");
        let outbound = bench.acquire(&alice).await.unwrap();
        assert_eq!(sent(&outbound), "issued");
        let asked = &endpoint.asked()[0];
        assert_eq!(asked.one("grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange");
        assert_eq!(asked.one("subject_token"), alice.token());
        assert_eq!(asked.one("subject_token_type"), token_type::ACCESS_TOKEN);
        assert_eq!(asked.all("audience"), ["backend", "second"]);
        assert_eq!(asked.one("resource"), "https://api.example.com/a?b=c");
        assert_eq!(asked.one("scope"), "read");
        assert_eq!(asked.one("client_id"), "gateway");
        assert!(asked.all("requested_token_type").is_empty());
        assert!(asked.all("actor_token").is_empty());
    }

    /// Edge: 3
    #[tokio::test]
    async fn the_requested_type_may_be_the_default_or_a_custom_one_and_parameters_may_be_added() {
        let endpoint = TokenEndpoint::start(|asked: &Asked| {
            let kind = asked.one("requested_token_type").to_owned();
            answer(json!({ "issued_token_type": kind }))
        })
        .await;
        let asked_with = |kind: RequestedType| {
            exchange(&endpoint.url, |config| {
                config.requested_token_type = kind;
                config.targets.parameters =
                    vec![("connector_id".into(), Template::parse("c-{subject}", &[]).unwrap())];
            })
        };
        for kind in [RequestedType::AccessToken, RequestedType::Custom("urn:acme:token".into())] {
            let bench = Bench::new(vec![asked_with(kind.clone())]);
            assert_eq!(bench.token(&Caller::named("alice")).await, issued());
            let asked = endpoint.asked().pop().unwrap();
            assert_eq!(Some(asked.one("requested_token_type")), kind.uri());
            assert_eq!(asked.one("connector_id"), "c-alice");
        }
    }

    /// Edge: 4
    #[tokio::test]
    async fn an_actor_token_goes_with_its_type() {
        let endpoint = TokenEndpoint::start(|_| Reply::granted("issued", 3600)).await;
        let bench = Bench::new(vec![exchange(&endpoint.url, |config| {
            let token = SecretSource::given(Secret::new(b"the-actor".to_vec())).unwrap();
            config.actor = Some(Actor::Configured { token, token_type: token_type::JWT.into() });
        })]);
        assert_eq!(bench.token(&Caller::named("alice")).await, issued());
        assert_eq!(endpoint.asked()[0].one("actor_token"), "the-actor");
        assert_eq!(endpoint.asked()[0].one("actor_token_type"), token_type::JWT);
    }

    /// Edge: 4, 5
    #[tokio::test]
    async fn a_step_that_cannot_work_is_refused_when_the_configuration_is_read() {
        let made = |change: &dyn Fn(&mut ExchangeConfig)| {
            let mut config = exchange_config("http://127.0.0.1:1/token");
            change(&mut config);
            Exchange::new(config, wire()).map(drop)
        };
        assert_eq!(made(&|_| ()), Ok(()));
        let resource = |text: &str| {
            let text = text.to_owned();
            made(&move |config| config.targets.resource = vec![Template::fixed(&text)])
        };
        assert_eq!(resource("https://api/x?y"), Ok(()));
        assert!(matches!(
            resource("https://api/#part"),
            Err(ExchangeConfigError::Target(BadTarget::Resource(_)))
        ));
        assert!(matches!(resource("/relative"), Err(ExchangeConfigError::Target(BadTarget::Resource(_)))));
        let actor = made(&|config| {
            let token = SecretSource::given(Secret::new(b"a".to_vec())).unwrap();
            config.actor = Some(Actor::Configured { token, token_type: "".into() });
        });
        assert!(matches!(actor, Err(ExchangeConfigError::TokenType(_))));
        let own =
            made(&|config| config.targets.parameters = vec![("subject_token".into(), Template::fixed("x"))]);
        assert!(matches!(own, Err(ExchangeConfigError::Target(BadTarget::Parameter(_)))));
        let scope = made(&|config| config.targets.scopes = vec![Template::fixed("a b")]);
        assert!(matches!(scope, Err(ExchangeConfigError::Target(BadTarget::Scope(_)))));
        let nothing = made(&|config| {
            config.targets.audience.clear();
            config.targets.scopes.clear();
        });
        assert_eq!(nothing, Err(ExchangeConfigError::NoTarget));
    }

    /// Edge: 8
    #[tokio::test]
    async fn a_repeated_attempt_has_a_client_assertion_of_its_own() {
        let endpoint = TokenEndpoint::start(|asked: &Asked| match asked.number {
            1 => Reply::error(503, "temporarily_unavailable"),
            _ => Reply::granted("issued", 3600),
        })
        .await;
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = SecretSource::given(Secret::new(key.as_ref().to_vec())).unwrap();
        let client =
            PrivateKeyJwt::new("gateway".into(), key, None, None, AssertionAudience::TokenEndpoint).unwrap();
        let bench = Bench::new(vec![exchange(&endpoint.url, |config| config.at.client = Arc::new(client))]);
        assert_eq!(bench.token(&Caller::named("alice")).await, issued());
        let asked = endpoint.asked();
        assert_eq!(asked.len(), 2);
        assert_ne!(asked[0].one("client_assertion"), asked[1].one("client_assertion"));
    }

    /// Edge: 14
    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let elsewhere = TokenEndpoint::start(|_| Reply::granted("issued", 3600)).await;
        let reply = Reply::json(307, "").header("location", &elsewhere.url);
        assert_eq!(outcome(reply, |_| ()).await, BAD_ANSWER);
        assert_eq!(elsewhere.count(), 0);
    }

    /// Edge: 15
    #[tokio::test]
    async fn what_is_not_json_or_names_a_member_twice_is_no_answer() {
        assert_eq!(outcome(answer(json!({})), |_| ()).await, issued());
        let charset = answer(json!({})).header("content-type", "application/json; charset=utf-8");
        assert_eq!(outcome(charset, |_| ()).await, issued());
        let html = answer(json!({})).header("content-type", "text/html");
        assert_eq!(outcome(html, |_| ()).await, BAD_ANSWER);
        assert_eq!(outcome(Reply::json(200, "<html>"), |_| ()).await, BAD_ANSWER);
        let twice = r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#;
        assert_eq!(outcome(Reply::json(200, twice), |_| ()).await, BAD_ANSWER);
        assert_eq!(outcome(answer(json!({})).header("content-encoding", "gzip"), |_| ()).await, BAD_ANSWER);
    }

    /// Edge: 16, 17
    #[tokio::test]
    async fn the_issued_type_must_be_there_unless_lenient_and_must_be_the_requested_one_always() {
        let lenient = |config: &mut ExchangeConfig| config.expected.type_check = IssuedTypeCheck::Lenient;
        let missing = || answer(json!({ "issued_token_type": null }));
        assert_eq!(outcome(missing(), |_| ()).await, BAD_ANSWER);
        assert_eq!(outcome(missing(), lenient).await, issued());
        let untyped = || answer(json!({ "token_type": null }));
        assert_eq!(outcome(untyped(), |_| ()).await, BAD_ANSWER);
        assert_eq!(outcome(untyped(), lenient).await, issued());
        let other = || answer(json!({ "issued_token_type": token_type::ID_TOKEN }));
        assert_eq!(outcome(other(), |_| ()).await, BAD_ANSWER);
        assert_eq!(outcome(other(), lenient).await, BAD_ANSWER);
        assert_eq!(outcome(answer(json!({ "issued_token_type": token_type::JWT })), |_| ()).await, issued());
    }

    /// Edge: 18, 19, 20
    #[tokio::test]
    async fn only_a_bearer_token_in_any_case_is_presented() {
        for kind in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(outcome(answer(json!({ "token_type": kind })), |_| ()).await, issued(), "{kind}");
        }
        for kind in ["N_A", "DPoP", "mac", ""] {
            assert_eq!(outcome(answer(json!({ "token_type": kind })), |_| ()).await, BAD_ANSWER, "{kind}");
        }
    }

    /// Edge: 22, 23, 24
    #[tokio::test]
    async fn a_refresh_token_is_ignored_and_an_error_or_an_empty_token_in_a_200_is_no_success() {
        assert_eq!(outcome(answer(json!({ "refresh_token": "r", "id_token": 7 })), |_| ()).await, issued());
        assert_eq!(outcome(answer(json!({ "error": "invalid_grant" })), |_| ()).await, Err("SC-C01"));
        assert_eq!(outcome(answer(json!({ "access_token": "" })), |_| ()).await, BAD_ANSWER);
        assert_eq!(outcome(answer(json!({ "access_token": null })), |_| ()).await, BAD_ANSWER);
    }

    /// Edge: 25
    #[tokio::test]
    async fn a_narrower_scope_is_recorded_and_a_broader_one_refused() {
        let scopes_granted = async |reply: Reply, broader: BroaderScope| {
            let endpoint = TokenEndpoint::start(move |_| reply.clone()).await;
            let bench = Bench::new(vec![exchange(&endpoint.url, |config| {
                config.targets.scopes.push(Template::fixed("write"));
                config.expected.broader_scope = broader;
            })]);
            let outbound = bench.acquire(&Caller::named("alice")).await.map_err(|reason| reason.code())?;
            Ok::<_, &str>(outbound.credential().record().scopes.join(" "))
        };
        let refuse = BroaderScope::Refuse;
        assert_eq!(scopes_granted(answer(json!({})), refuse).await, Ok("read write".into()));
        assert_eq!(scopes_granted(answer(json!({ "scope": "read" })), refuse).await, Ok("read".into()));
        let broader = || answer(json!({ "scope": "read admin" }));
        assert_eq!(scopes_granted(broader(), refuse).await, Err("SC-C06"));
        assert_eq!(scopes_granted(broader(), BroaderScope::Accept).await, Ok("read admin".into()));
        let inside =
            || answer(json!({ "access_token": jwt(&json!({ "aud": "backend", "scope": "read admin" })) }));
        assert_eq!(scopes_granted(inside(), refuse).await, Err("SC-C06"), "said only by the token itself");
    }

    /// Edge: 26
    #[tokio::test]
    async fn a_jwt_for_another_audience_is_refused() {
        let token = |audience: Value| answer(json!({ "access_token": jwt(&json!({ "aud": audience })) }));
        let accepted = async |audience: Value, check: AudienceCheck| {
            outcome(token(audience), |config| config.expected.audience_check = check).await.is_ok()
        };
        assert!(accepted(json!("backend"), AudienceCheck::Exact).await);
        assert!(accepted(json!(["backend"]), AudienceCheck::Exact).await);
        assert!(!accepted(json!("other"), AudienceCheck::Exact).await);
        assert!(!accepted(json!(["backend", "other"]), AudienceCheck::Exact).await);
        assert!(!accepted(json!([]), AudienceCheck::Exact).await);
        assert!(accepted(json!(["backend", "other"]), AudienceCheck::Contains).await);
        assert!(!accepted(json!("other"), AudienceCheck::Contains).await);
        assert!(accepted(json!("other"), AudienceCheck::Off).await);
        let expected =
            |config: &mut ExchangeConfig| config.expected.audience = vec!["https://backend".into()];
        assert!(outcome(token(json!("https://backend")), expected).await.is_ok());
        let expected =
            |config: &mut ExchangeConfig| config.expected.audience = vec!["https://backend".into()];
        assert_eq!(outcome(token(json!("backend")), expected).await, BAD_ANSWER);
    }

    /// Edge: 28, 29
    #[tokio::test]
    async fn a_token_that_cannot_stand_in_a_header_is_refused() {
        for token in ["a\r\nX-Evil: 1", "a b", "caf\u{e9}", "\u{0}"] {
            assert_eq!(
                outcome(answer(json!({ "access_token": token })), |_| ()).await,
                BAD_ANSWER,
                "{token:?}"
            );
        }
        let long = |length: usize| answer(json!({ "access_token": "x".repeat(length) }));
        assert!(outcome(long(32 * 1024), |_| ()).await.is_ok());
        assert_eq!(outcome(long(64 * 1024), |_| ()).await, BAD_ANSWER);
    }

    /// The caller's token never crosses, not even when the token endpoint hands it back.
    /// Row: A9
    /// Edge: 110
    #[tokio::test]
    async fn the_subject_token_handed_back_is_refused() {
        let endpoint =
            TokenEndpoint::start(|asked: &Asked| Reply::granted(asked.one("subject_token"), 3600)).await;
        let bench = Bench::new(vec![exchange(&endpoint.url, |config| {
            config.expected.audience_check = AudienceCheck::Off
        })]);
        assert_eq!(bench.token(&Caller::named("alice")).await, BAD_ANSWER);
    }

    /// Edge: 21
    #[tokio::test]
    async fn the_end_of_a_token_is_the_earlier_of_what_answer_and_token_say() {
        let ends = async |changes: Value| {
            let endpoint = TokenEndpoint::start(move |_| answer(changes.clone())).await;
            let bench = Bench::new(vec![exchange(&endpoint.url, |_| ())]);
            let outbound = bench.acquire(&Caller::named("alice")).await.unwrap();
            outbound.credential().expires().unwrap().secs() - NOW.secs()
        };
        let token = |seconds: u64| jwt(&json!({ "aud": "backend", "exp": NOW.secs() + seconds }));
        assert_eq!(ends(json!({})).await, 3600);
        assert_eq!(ends(json!({ "access_token": token(60) })).await, 60);
        assert_eq!(ends(json!({ "access_token": token(7000) })).await, 3600);
        assert_eq!(ends(json!({ "access_token": token(500), "expires_in": null })).await, 500);
        assert_eq!(ends(json!({ "expires_in": null })).await, 300, "what nothing is said of");
        assert_eq!(ends(json!({ "expires_in": "120" })).await, 120);
    }

    /// Okta's answers for what it keeps for a user: an object in place of a token.
    /// Edge: 30
    #[tokio::test]
    async fn an_object_of_secrets_gives_one_member_and_is_kept_for_as_long_as_it_says() {
        const VAULTED: &str = "urn:okta:params:oauth:token-type:vaulted-secret";
        let object = |name: &str, kind: &str, members: Value| {
            let mut body = json!({ "issued_token_type": kind, "token_type": "N_A", "expires_in": 300 });
            body[name] = members;
            Reply::json(200, body.to_string())
        };
        let asking = |kind: &'static str, pick: Pick| {
            move |config: &mut ExchangeConfig| {
                config.requested_token_type = RequestedType::Custom(kind.into());
                config.pick = Some(pick);
            }
        };
        let two = move || object("vaulted_secret", VAULTED, json!({ "key1": "value1", "key2": "value2" }));
        let key2 = || Pick::Member("key2".into());
        let endpoint = TokenEndpoint::start(move |_| two()).await;
        let bench = Bench::new(vec![exchange(&endpoint.url, asking(VAULTED, key2()))]);
        let outbound = bench.acquire(&Caller::named("alice")).await.unwrap();
        assert_eq!(sent(&outbound), "value2");
        assert_eq!(outbound.credential().expires().unwrap().secs() - NOW.secs(), 300);
        assert_eq!(endpoint.asked()[0].one("requested_token_type"), VAULTED);
        let account = "urn:okta:params:oauth:token-type:service-account";
        let shared = object("service_account", account, json!({ "username": "u", "password": "p" }));
        assert_eq!(outcome(shared, asking(account, Pick::Basic)).await, Ok("dTpw".into()));
        assert_eq!(outcome(two(), asking(VAULTED, Pick::Only)).await, BAD_ANSWER);
        assert_eq!(outcome(two(), asking(account, key2())).await, BAD_ANSWER, "another type");
        assert_eq!(outcome(two(), |_| ()).await, BAD_ANSWER, "nobody asked for an object");
        let token = answer(json!({ "issued_token_type": VAULTED }));
        assert_eq!(outcome(token, asking(VAULTED, key2())).await, BAD_ANSWER);
    }
}
