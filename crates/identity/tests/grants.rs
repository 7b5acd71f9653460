//! The grants beside token exchange: `client_credentials`, `jwt_bearer`, `id_jag`, and chains of them.
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
    use std::time::Duration;

    use safeconduct_core::audit::SpeaksFor;
    use safeconduct_core::refusal::Reason;
    use safeconduct_identity::provider::{Actor, Deviation, IdJagConfig, RequestedType, token_type};
    use safeconduct_identity::template::Template;
    use serde_json::{Value, json};
    use tokio::sync::Semaphore;

    use super::support::{
        AS, Asked, Bench, Caller, HandedOn, NOW, Reply, TokenEndpoint, assertion, client_credentials,
        exchange, id_jag, jwt, jwt_bearer, sent, typed_jwt,
    };

    const BAD_ANSWER: Result<String, &str> = Err("SC-C06");

    fn alice() -> Caller {
        Caller::named("alice")
    }

    fn numbered(asked: &Asked) -> Reply {
        Reply::token(&format!("token-{}", asked.number), 3600)
    }

    // --- client_credentials

    #[tokio::test]
    async fn the_gateway_asks_in_its_own_name_and_never_shows_the_caller() {
        let endpoint = TokenEndpoint::start(numbered).await;
        let bench = Bench::new(vec![client_credentials(&endpoint.url, |config| {
            config.targets.resource = vec![Template::fixed("https://api.example.com")];
        })]);
        let outbound = bench.acquire(&alice()).await.unwrap();
        assert_eq!(sent(&outbound), "token-1");
        assert_eq!(outbound.credential().record().speaks_for, SpeaksFor::Gateway);
        let names: Vec<String> = endpoint.asked()[0].form.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, ["grant_type", "audience", "resource", "scope", "client_id"]);
        assert_eq!(endpoint.asked()[0].one("grant_type"), "client_credentials");
        assert_eq!(endpoint.asked()[0].one("client_id"), "gateway");
    }

    /// Edge: 35
    #[tokio::test]
    async fn all_callers_share_it_beyond_the_end_of_their_own_tokens() {
        let endpoint = TokenEndpoint::start(numbered).await;
        let bench = Bench::new(vec![client_credentials(&endpoint.url, |_| ())]);
        let short = alice().with("exp", NOW.secs() + 60);
        assert_eq!(bench.token(&short).await, Ok("token-1".into()));
        bench.clock.advance(600);
        for caller in [Caller::named("bob"), Caller::of("https://other.example.com", "alice")] {
            assert_eq!(bench.token(&caller).await, Ok("token-1".into()));
        }
        bench.store.forget("https://idp.example.com", "alice");
        assert_eq!(bench.token(&alice()).await, Ok("token-1".into()), "it was never hers");
        assert_eq!(endpoint.count(), 1);
    }

    /// Edge: 35
    #[tokio::test]
    async fn what_a_template_made_for_one_caller_is_not_shared() {
        let endpoint = TokenEndpoint::start(numbered).await;
        let bench = Bench::new(vec![client_credentials(&endpoint.url, |config| {
            config.targets.parameters =
                vec![("tenant".into(), Template::parse("{claim:tenant}", &[]).unwrap())];
        })]);
        let of = |subject: &str| Caller::named(subject).with("tenant", "acme");
        assert_eq!(bench.token(&of("alice")).await, Ok("token-1".into()));
        assert_eq!(bench.token(&of("alice")).await, Ok("token-1".into()));
        assert_eq!(bench.token(&of("bob")).await, Ok("token-2".into()));
        assert_eq!(bench.token(&alice()).await, Err("SC-C08"), "without the claim");
    }

    #[tokio::test]
    async fn what_is_refused_to_the_gateway_is_no_reason_for_a_caller_to_log_in_again() {
        let endpoint = TokenEndpoint::start(|_| Reply::error(400, "invalid_grant")).await;
        let bench = Bench::new(vec![client_credentials(&endpoint.url, |_| ())]);
        assert_eq!(bench.token(&alice()).await, Err("SC-C02"));
        assert_eq!(bench.token(&Caller::named("bob")).await, Err("SC-C02"));
        assert_eq!(endpoint.count(), 1);
        let endpoint = TokenEndpoint::start(|_| Reply::error(401, "invalid_client")).await;
        let bench = Bench::new(vec![client_credentials(&endpoint.url, |_| ())]);
        assert_eq!(bench.token(&alice()).await, Err("SC-C05"));
    }

    #[tokio::test]
    async fn it_gives_the_next_step_its_subject_which_is_then_shared_too() {
        let one = TokenEndpoint::start(numbered).await;
        let two =
            TokenEndpoint::start(|asked| Reply::granted(&format!("of-{}", asked.one("subject_token")), 600))
                .await;
        let bench = Bench::new(vec![client_credentials(&one.url, |_| ()), exchange(&two.url, |_| ())]);
        for subject in ["alice", "bob"] {
            let outbound = bench.acquire(&Caller::named(subject)).await.unwrap();
            assert_eq!(sent(&outbound), "of-token-1");
            assert_eq!(outbound.credential().record().speaks_for, SpeaksFor::Gateway);
        }
        assert_eq!((one.count(), two.count()), (1, 1));
    }

    /// Edge: 4, 35
    #[tokio::test]
    async fn it_gives_the_next_step_its_actor_while_the_subject_stays_the_caller() {
        let one = TokenEndpoint::start(numbered).await;
        let two =
            TokenEndpoint::start(|asked| Reply::granted(&format!("second-{}", asked.number), 3600)).await;
        let acting = exchange(&two.url, |config| {
            config.actor = Some(Actor::Step { token_type: token_type::ACCESS_TOKEN.into() });
        });
        let bench = Bench::new(vec![client_credentials(&one.url, |_| ()), acting]);
        for (caller, token) in [(alice(), "second-1"), (Caller::named("bob"), "second-2")] {
            let outbound = bench.acquire(&caller).await.unwrap();
            assert_eq!(sent(&outbound), token);
            assert_eq!(outbound.credential().record().speaks_for, SpeaksFor::Caller);
            let asked = two.asked().pop().unwrap();
            assert_eq!(asked.one("subject_token"), caller.token());
            assert_eq!(asked.one("actor_token"), "token-1");
            assert_eq!(asked.one("actor_token_type"), token_type::ACCESS_TOKEN);
        }
        assert_eq!(one.count(), 1, "the actor is the same for all");
    }

    // --- jwt_bearer

    #[tokio::test]
    async fn the_callers_token_is_the_assertion_and_a_refusal_is_not_followed_by_anything() {
        let endpoint = TokenEndpoint::start(|asked| match asked.number {
            1 => numbered(asked),
            _ => Reply::error(400, "invalid_grant"),
        })
        .await;
        let bench = Bench::new(vec![jwt_bearer(&endpoint.url, |config| {
            config.targets.audience.clear();
            config.targets.resource = vec![Template::fixed("https://mcp.example.com")];
        })]);
        assert_eq!(bench.token(&alice()).await, Ok("token-1".into()));
        let asked = &endpoint.asked()[0];
        assert_eq!(asked.one("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_eq!(asked.one("assertion"), alice().token());
        assert_eq!(asked.one("resource"), "https://mcp.example.com");
        assert_eq!(asked.one("scope"), "read");
        let names: Vec<&str> = asked.form.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["grant_type", "assertion", "resource", "scope", "client_id"]);
        assert_eq!(bench.token(&Caller::named("bob")).await, Err("SC-C01"));
        assert_eq!(bench.token(&Caller::named("bob")).await, Err("SC-C01"));
        assert_eq!(endpoint.count(), 2);
    }

    /// Identity chaining: the first domain's server gives a grant for the second's (edge 54: each presented once).
    fn chained(asked: &Asked) -> Reply {
        let body = json!({
            "access_token": jwt(&json!({ "aud": AS, "jti": asked.number })),
            "issued_token_type": token_type::JWT,
            "token_type": "N_A",
            "expires_in": 300,
        });
        Reply::json(200, body.to_string())
    }

    fn first(url: &str) -> Arc<dyn safeconduct_identity::provider::Provider> {
        exchange(url, |config| {
            config.targets.audience = vec![Template::fixed(AS)];
            config.requested_token_type = RequestedType::Custom(token_type::JWT.into());
        })
    }

    #[tokio::test]
    async fn identity_is_chained_across_two_domains() {
        let (one, two) = (TokenEndpoint::start(chained).await, TokenEndpoint::start(numbered).await);
        let bench = Bench::new(vec![first(&one.url), jwt_bearer(&two.url, |_| ())]);
        let outbound = bench.acquire(&alice()).await.unwrap();
        assert_eq!(sent(&outbound), "token-1");
        assert_eq!(*outbound.credential().record().steps, ["exchange".into(), "jwt_bearer".into()]);
        assert_eq!(one.asked()[0].one("subject_token"), alice().token());
        let grant = two.asked()[0].one("assertion").to_owned();
        assert_eq!(grant, jwt(&json!({ "aud": AS, "jti": 1 })));
    }

    /// Edge: 54
    #[tokio::test]
    async fn after_a_lost_answer_a_new_grant_is_got_and_the_old_one_never_presented_again() {
        let one = TokenEndpoint::start(chained).await;
        let two = TokenEndpoint::start(|asked| match asked.number {
            1 => Reply::broken(),
            _ => numbered(asked),
        })
        .await;
        let bench = Bench::new(vec![first(&one.url), jwt_bearer(&two.url, |_| ())]);
        assert_eq!(bench.token(&alice()).await, Ok("token-2".into()));
        let presented: Vec<String> =
            two.asked().iter().map(|asked| asked.one("assertion").to_owned()).collect();
        assert_eq!(presented, [jwt(&json!({ "aud": AS, "jti": 1 })), jwt(&json!({ "aud": AS, "jti": 2 }))]);
    }

    /// Edge: 54
    #[tokio::test]
    async fn an_answer_in_vain_or_none_in_time_is_a_lost_one_and_two_of_them_are_the_end() {
        for script in [|| Reply::json(503, ""), || Reply::json(200, "").when(&Arc::new(Semaphore::new(0)))] {
            let one = TokenEndpoint::start(chained).await;
            let two = TokenEndpoint::start(move |_| script()).await;
            let second =
                jwt_bearer(&two.url, |config| config.at.attempt_timeout = Duration::from_millis(200));
            let bench = Bench::new(vec![first(&one.url), second]);
            assert_eq!(bench.token(&alice()).await, Err("SC-C07"));
            assert_eq!((one.count(), two.count()), (2, 2));
            assert_ne!(two.asked()[0].one("assertion"), two.asked()[1].one("assertion"));
        }
    }

    /// Edge: 54
    #[tokio::test]
    async fn where_there_is_no_other_grant_a_lost_one_is_not_presented_again() {
        let one = TokenEndpoint::start(|_| {
            let grant = jwt(&json!({ "aud": AS }));
            let body =
                json!({ "access_token": grant, "issued_token_type": token_type::JWT, "token_type": "N_A" });
            Reply::json(200, body.to_string())
        })
        .await;
        let two = TokenEndpoint::start(|_| Reply::broken()).await;
        let bench = Bench::new(vec![first(&one.url), jwt_bearer(&two.url, |_| ())]);
        assert_eq!(bench.token(&alice()).await, Err("SC-C07"));
        assert_eq!((one.count(), two.count()), (2, 1), "the new grant is the old one");
        let alone = Bench::new(vec![jwt_bearer(&two.url, |config| config.single_use = true)]);
        assert_eq!(alone.token(&alice()).await, Err("SC-C07"));
        assert_eq!(two.count(), 2, "the caller's token, once");
    }

    #[tokio::test]
    async fn a_grant_for_one_use_is_not_kept_and_one_for_many_is() {
        for (single_use, grants) in [(false, 1), (true, 2)] {
            let one = TokenEndpoint::start(chained).await;
            let two =
                TokenEndpoint::start(|asked| Reply::token(&format!("token-{}", asked.number), 60)).await;
            let second = jwt_bearer(&two.url, |config| config.single_use = single_use);
            let bench = Bench::new(vec![first(&one.url), second]);
            assert_eq!(bench.token(&alice()).await, Ok("token-1".into()));
            bench.clock.advance(55);
            assert_eq!(bench.token(&alice()).await, Ok("token-2".into()));
            assert_eq!(one.count(), grants, "{single_use}");
        }
    }

    #[tokio::test]
    async fn a_grant_that_says_it_must_not_be_kept_is_not() {
        let one = TokenEndpoint::start(|asked| {
            let body = json!({
                "access_token": jwt(&json!({ "aud": AS, "jti": asked.number })),
                "issued_token_type": token_type::JWT,
                "token_type": "N_A",
                "expires_in": 0,
            });
            Reply::json(200, body.to_string())
        })
        .await;
        let two = TokenEndpoint::start(|asked| Reply::token(&format!("token-{}", asked.number), 60)).await;
        let bench = Bench::new(vec![first(&one.url), jwt_bearer(&two.url, |_| ())]);
        assert_eq!(bench.token(&alice()).await, Ok("token-1".into()));
        bench.clock.advance(55);
        assert_eq!(bench.token(&alice()).await, Ok("token-2".into()));
        assert_eq!(one.count(), 2);
    }

    // --- id_jag

    /// What the assertion's endpoint answers comes to, behind a step that hands it on.
    async fn asserted(reply: Reply, change: impl FnOnce(&mut IdJagConfig)) -> Result<String, &'static str> {
        let endpoint = TokenEndpoint::start(move |_| reply.clone()).await;
        Bench::new(vec![id_jag(&endpoint.url, change), Arc::new(HandedOn)]).token(&alice()).await
    }

    fn accepting(deviation: Deviation) -> impl FnOnce(&mut IdJagConfig) {
        move |config| config.accept = vec![deviation]
    }

    #[tokio::test]
    async fn an_assertion_is_asked_for_at_home_and_presented_abroad() {
        let home = TokenEndpoint::start(|_| Reply::id_jag(&assertion(&json!({})))).await;
        let abroad = TokenEndpoint::start(numbered).await;
        let bench = Bench::new(vec![id_jag(&home.url, |_| ()), jwt_bearer(&abroad.url, |_| ())]);
        let outbound = bench.acquire(&alice()).await.unwrap();
        assert_eq!(sent(&outbound), "token-1");
        assert_eq!(*outbound.credential().record().steps, ["id_jag".into(), "jwt_bearer".into()]);
        let asked = &home.asked()[0];
        assert_eq!(asked.one("grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange");
        assert_eq!(asked.one("requested_token_type"), token_type::ID_JAG);
        assert_eq!(asked.one("subject_token"), alice().token());
        assert_eq!(asked.one("subject_token_type"), token_type::ID_TOKEN);
        assert_eq!(asked.one("audience"), AS);
        assert_eq!(asked.one("resource"), "https://mcp.example.com");
        assert_eq!(asked.one("scope"), "read");
        assert!(asked.all("actor_token").is_empty());
        assert_eq!(abroad.asked()[0].one("assertion"), assertion(&json!({})));
        bench.clock.advance(200);
        assert_eq!(bench.token(&alice()).await, Ok("token-1".into()));
        assert_eq!(home.count(), 1);
    }

    /// Edge: 31
    #[tokio::test]
    async fn what_an_assertion_must_say_is_checked_before_it_is_presented() {
        let of = |changes: Value| Reply::id_jag(&assertion(&changes));
        assert!(asserted(of(json!({})), |_| ()).await.is_ok());
        assert!(asserted(of(json!({ "aud": [AS] })), |_| ()).await.is_ok(), "an array of one");
        for changes in [
            json!({ "aud": [AS, "https://other"] }),
            json!({ "aud": "https://other" }),
            json!({ "aud": [] }),
            json!({ "aud": null }),
            json!({ "client_id": "somebody" }),
            json!({ "client_id": null }),
            json!({ "resource": "https://other" }),
            json!({ "resource": ["https://mcp.example.com", "https://other"] }),
            json!({ "resource": null }),
            json!({ "iss": null }),
            json!({ "sub": null }),
            json!({ "jti": null }),
            json!({ "exp": null }),
        ] {
            assert_eq!(asserted(of(changes.clone()), |_| ()).await, BAD_ANSWER, "{changes}");
        }
        let claims: Value = json!({ "aud": AS });
        assert_eq!(asserted(Reply::id_jag(&jwt(&claims)), |_| ()).await, BAD_ANSWER, "another typ");
        assert_eq!(asserted(Reply::id_jag("opaque"), |_| ()).await, BAD_ANSWER);
    }

    /// Edge: 16, 17, 31
    #[tokio::test]
    async fn a_deviation_is_accepted_by_its_name_only() {
        let with = |name: &str, value: Value| {
            let mut body = json!({
                "access_token": assertion(&json!({})),
                "issued_token_type": token_type::ID_JAG,
                "token_type": "N_A",
            });
            body[name] = value;
            body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            Reply::json(200, body.to_string())
        };
        let untyped = || {
            let claims = jwt_claims(&assertion(&json!({})));
            Reply::id_jag(&typed_jwt("JWT", &claims))
        };
        type Made = Box<dyn Fn() -> Reply>;
        let table: [(Deviation, Made); 5] = [
            (Deviation::Bearer, Box::new(move || with("token_type", json!("Bearer")))),
            (Deviation::IssuedType, Box::new(move || with("issued_token_type", Value::Null))),
            (Deviation::Typ, Box::new(untyped)),
            (Deviation::ClientId, Box::new(|| Reply::id_jag(&assertion(&json!({ "client_id": null }))))),
            (Deviation::Resource, Box::new(|| Reply::id_jag(&assertion(&json!({ "resource": null }))))),
        ];
        for (deviation, reply) in &table {
            assert_eq!(asserted(reply(), |_| ()).await, BAD_ANSWER, "{deviation:?}");
            assert!(asserted(reply(), accepting(*deviation)).await.is_ok(), "{deviation:?}");
            for (other, _) in table.iter().filter(|(other, _)| other != deviation) {
                assert_eq!(
                    asserted(reply(), accepting(*other)).await,
                    BAD_ANSWER,
                    "{deviation:?} by {other:?}"
                );
            }
        }
        let wrong = with("issued_token_type", json!(token_type::JWT));
        assert_eq!(asserted(wrong, accepting(Deviation::IssuedType)).await, BAD_ANSWER);
        let unbound = with("token_type", json!("DPoP"));
        assert_eq!(asserted(unbound, accepting(Deviation::Bearer)).await, BAD_ANSWER);
    }

    fn jwt_claims(token: &str) -> Value {
        use base64::Engine as _;
        let part = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap())
            .unwrap()
    }

    /// Edge: 21, 31
    #[tokio::test]
    async fn an_assertion_ends_when_it_says_so_though_the_answer_says_nothing() {
        let home = TokenEndpoint::start(|asked| {
            let assertion = assertion(&json!({ "jti": asked.number.to_string() }));
            let body = json!({ "access_token": assertion, "issued_token_type": token_type::ID_JAG, "token_type": "N_A" });
            Reply::json(200, body.to_string())
        })
        .await;
        let abroad = TokenEndpoint::start(|asked| Reply::token(&format!("token-{}", asked.number), 60)).await;
        let bench = Bench::new(vec![id_jag(&home.url, |_| ()), jwt_bearer(&abroad.url, |_| ())]);
        for (advance, asked_at_home) in [(0, 1), (100, 1), (100, 1), (100, 2)] {
            bench.clock.advance(advance);
            assert!(bench.token(&alice()).await.is_ok());
            assert_eq!(home.count(), asked_at_home, "after {advance}");
        }
    }

    /// Edge: 59
    #[tokio::test]
    async fn a_page_that_the_provider_wants_opened_ends_the_chain_with_its_address() {
        let body =
            json!({ "error": "interaction_required", "interaction_uri": "https://idp.example.com/consent" });
        let home = TokenEndpoint::start(move |_| Reply::json(400, body.to_string())).await;
        let abroad = TokenEndpoint::start(numbered).await;
        let bench = Bench::new(vec![id_jag(&home.url, |_| ()), jwt_bearer(&abroad.url, |_| ())]);
        let reason = bench.acquire(&alice()).await.err().unwrap();
        let expected = Reason::InteractionRequired {
            step: "id_jag".into(),
            url: "https://idp.example.com/consent".into(),
        };
        assert_eq!(reason, expected);
        assert_eq!(abroad.count(), 0);
    }

    /// The assertion is good for the next step only.
    /// Edge: 18
    #[tokio::test]
    async fn a_chain_that_ends_in_an_assertion_gives_no_credential() {
        let home = TokenEndpoint::start(|_| Reply::id_jag(&assertion(&json!({})))).await;
        let bench = Bench::new(vec![id_jag(&home.url, |_| ())]);
        assert_eq!(bench.token(&alice()).await, BAD_ANSWER);
    }
}
