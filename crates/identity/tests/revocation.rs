//! Revoked callers: what is kept of theirs, what is under way for them, and what logout tokens an issuer may send.
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
mod issuer_world;
#[cfg(test)]
mod support;

#[cfg(test)]
mod kept {
    use std::sync::Arc;

    use safeconduct_core::revocation::Whose;
    use safeconduct_identity::provider::{Provider, RequestedType, token_type};
    use serde_json::json;
    use tokio::sync::Semaphore;

    use super::support::{Bench, Caller, Reply, TokenEndpoint, exchange, until};

    fn subject(name: &str) -> Whose {
        Whose::Subject(name.into())
    }

    async fn numbered() -> TokenEndpoint {
        TokenEndpoint::start(|asked| Reply::granted(&format!("token-{}", asked.number), 3600)).await
    }

    /// Her next login, whose token says the same but for the times.
    fn again(bench: &Bench, caller: &Caller) -> Caller {
        caller.clone().with("iat", bench.clock.now().secs() + 1)
    }

    /// Edge: 73
    #[tokio::test]
    async fn a_session_takes_its_own_credentials_along_and_a_subject_takes_all() {
        let endpoint = numbered().await;
        let bench = Bench::new(vec![exchange(&endpoint.url, |_| ())]);
        let alice = |sid: &str| Caller::named("alice").with("sid", sid);
        let (one, two, none) = (alice("s1"), alice("s2"), Caller::named("alice"));
        let bob = Caller::named("bob").with("sid", "s3");
        for (caller, token) in [(&one, "1"), (&two, "2"), (&none, "3"), (&bob, "4")] {
            assert_eq!(bench.token(caller).await.unwrap(), format!("token-{token}"));
        }
        assert_eq!(bench.revoke(Whose::Session { sid: "s1".into(), subject: None }), 1);
        assert_eq!(bench.store.status().entries, 3);
        assert_eq!(bench.revoke(Whose::Session { sid: "s4".into(), subject: Some("alice".into()) }), 1);
        assert_eq!(bench.token(&two).await.unwrap(), "token-2");
        assert_eq!(bench.revoke(subject("alice")), 1);
        assert_eq!(bench.token(&bob).await.unwrap(), "token-4");
        assert_eq!(bench.revoke(subject("mallory")), 0);
    }

    /// Edge: 76
    #[tokio::test]
    async fn what_is_fetched_for_a_caller_who_is_revoked_meanwhile_is_neither_kept_nor_sent() {
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        let endpoint = TokenEndpoint::start(move |asked| {
            Reply::granted(&format!("token-{}", asked.number), 3600).when(&held)
        })
        .await;
        let bench = Arc::new(Bench::new(vec![exchange(&endpoint.url, |_| ())]));
        let alice = Caller::named("alice");
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let (bench, alice) = (bench.clone(), alice.clone());
                tokio::spawn(async move { bench.token(&alice).await })
            })
            .collect();
        until(|| endpoint.count() == 1).await;
        bench.revoke(subject("alice"));
        gate.add_permits(10);
        for call in calls {
            assert_eq!(call.await.unwrap(), Err("SC-C01"));
        }
        assert_eq!(bench.store.status().entries, 0);
        assert_eq!(bench.token(&again(&bench, &alice)).await.unwrap(), "token-2");
    }

    /// The fetch of an earlier step begins after the revocation, for a call from before it.
    ///
    /// Edge: 76
    #[tokio::test]
    async fn a_chain_that_a_revocation_interrupts_goes_no_further_and_leaves_nothing_behind() {
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        let one = TokenEndpoint::start(move |asked| {
            let body = json!({
                "access_token": format!("one-{}", asked.number), "issued_token_type": token_type::JWT,
                "token_type": "N_A", "expires_in": 3600,
            });
            Reply::json(200, body.to_string()).when(&held)
        })
        .await;
        let two = TokenEndpoint::start(|asked| {
            Reply::granted(&format!("two-of-{}", asked.one("subject_token")), 3600)
        })
        .await;
        let jwt = RequestedType::Custom(token_type::JWT.into());
        let steps: Vec<Arc<dyn Provider>> = vec![
            exchange(&one.url, |config| config.requested_token_type = jwt),
            exchange(&two.url, |config| config.subject_token_type = token_type::JWT.into()),
        ];
        let bench = Arc::new(Bench::new(steps));
        let alice = Caller::named("alice");
        let call = tokio::spawn({
            let (bench, alice) = (bench.clone(), alice.clone());
            async move { bench.token(&alice).await }
        });
        until(|| one.count() == 1).await;
        bench.revoke(subject("alice"));
        gate.add_permits(10);
        assert_eq!(call.await.unwrap(), Err("SC-C01"));
        assert_eq!((two.count(), bench.store.status().entries), (0, 0));
        // One that was permitted before and comes to its credential only now asks nobody.
        assert_eq!(bench.token(&alice).await, Err("SC-C01"));
        assert_eq!((one.count(), two.count(), bench.store.status().entries), (1, 0, 0));
        assert_eq!(bench.token(&again(&bench, &alice)).await.unwrap(), "two-of-one-2");
    }

    /// Edge: 76
    #[tokio::test]
    async fn a_refresh_ahead_for_a_caller_who_is_revoked_meanwhile_is_not_kept() {
        let gate = Arc::new(Semaphore::new(1));
        let held = gate.clone();
        let endpoint = TokenEndpoint::start(move |asked| {
            Reply::granted(&format!("token-{}", asked.number), 100).when(&held)
        })
        .await;
        let bench = Bench::new(vec![exchange(&endpoint.url, |_| ())]);
        let alice = Caller::named("alice");
        assert_eq!(bench.token(&alice).await.unwrap(), "token-1");
        bench.clock.advance(88);
        assert_eq!(bench.token(&alice).await.unwrap(), "token-1");
        until(|| endpoint.count() == 2).await;
        bench.revoke(subject("alice"));
        gate.add_permits(10);
        assert_eq!(bench.token(&again(&bench, &alice)).await.unwrap(), "token-3");
        assert_eq!(bench.store.status().entries, 1);
    }
}

#[cfg(test)]
mod logouts {
    use std::sync::Arc;

    use safeconduct_core::caller::LogoutRules;
    use safeconduct_core::refusal::Reason;
    use safeconduct_core::revocation::{Revocations, Whose};
    use safeconduct_core::time::Timestamp;
    use safeconduct_identity::verifier::Verifier;
    use safeconduct_testkit::idp::Logout;
    use safeconduct_testkit::keys::Algorithm;
    use safeconduct_testkit::wire::Fault;

    use super::issuer_world::{World, caller_at, seconds};

    const CLIENT: &str = "safeconduct";

    fn taking_logouts(world: &World, ledger: &Arc<Revocations>) -> Verifier {
        let verifier = world.reloaded(|issuer| {
            issuer.logout = Some(LogoutRules { audiences: vec![CLIENT.into()], strict_typ: true });
        });
        verifier.under(ledger.clone())
    }

    /// Edge: 71, 72, 73
    #[tokio::test]
    async fn a_logout_token_says_who_is_revoked_and_is_heeded_once() {
        let world = World::start().await;
        let verifier = taking_logouts(&world, &Arc::default());
        assert!(verifier.takes_logouts("corp") && !verifier.takes_logouts("other"));
        let token = world.idp.logout_token(&Logout::of(CLIENT).subject("alice").session("s1"));
        let now = world.time.now();
        let revocation = verifier.logout("corp", token.as_bytes(), now).await.unwrap();
        assert_eq!(revocation.issuer, world.idp.issuer().into());
        assert_eq!(revocation.whose, Whose::Session { sid: "s1".into(), subject: Some("alice".into()) });
        assert_eq!(revocation.at, now);
        let second = verifier.logout("corp", token.as_bytes(), world.time.now()).await;
        assert!(matches!(second, Err(Reason::BadLogout(_))));
        // A reload does not make it good again.
        let reloaded = taking_logouts(&world, &Arc::default());
        assert!(reloaded.logout("corp", token.as_bytes(), world.time.now()).await.is_err());
    }

    /// Edge: 72
    #[tokio::test]
    async fn what_another_issuer_signed_or_nobody_asked_for_is_refused() {
        let world = World::start().await;
        let verifier = taking_logouts(&world, &Arc::default());
        let now = world.time.now();
        let stranger = World::start().await;
        let foreign = stranger.idp.logout_token(&Logout::of(CLIENT).subject("alice"));
        assert!(matches!(verifier.logout("corp", foreign.as_bytes(), now).await, Err(Reason::BadLogout(_))));
        let forged =
            stranger.idp.logout_token(&Logout::of(CLIENT).subject("alice").claim("iss", world.idp.issuer()));
        assert!(matches!(verifier.logout("corp", forged.as_bytes(), now).await, Err(Reason::BadLogout(_))));
        let good = world.idp.logout_token(&Logout::of(CLIENT).subject("alice"));
        assert!(matches!(
            world.verifier.logout("corp", good.as_bytes(), now).await,
            Err(Reason::BadLogout(_))
        ));
        assert!(verifier.logout("corp", good.as_bytes(), now).await.is_ok());
    }

    #[tokio::test]
    async fn a_logout_signed_with_a_new_key_is_heeded_and_without_any_keys_the_issuer_is_unavailable() {
        let world = World::start().await;
        let verifier = taking_logouts(&world, &Arc::default());
        world.idp.keys().rotate(Algorithm::Es256).unwrap();
        let token = world.idp.logout_token(&Logout::of(CLIENT).subject("alice"));
        assert!(verifier.logout("corp", token.as_bytes(), world.time.now()).await.is_ok());
        world.idp.faults().always(Fault::Close);
        world.time.skip(seconds(30 * 3600)).await;
        let token = world.idp.logout_token(&Logout::of(CLIENT).subject("alice"));
        let verdict = verifier.logout("corp", token.as_bytes(), world.time.now()).await;
        assert!(matches!(verdict, Err(Reason::IssuerUnavailable(_))), "{verdict:?}");
    }

    async fn code(verifier: &Verifier, token: &str, now: Timestamp) -> Option<&'static str> {
        caller_at(verifier, &["corp"], token, now).await.err().map(|reason| reason.code())
    }

    /// Remembered or not, signed or opaque: what was issued before the revocation is refused, what came after is not.
    #[tokio::test]
    async fn a_remembered_token_of_a_revoked_caller_is_not_believed_again() {
        let world = World::start().await;
        let ledger = Arc::new(Revocations::default());
        let verifier = taking_logouts(&world, &ledger);
        let (alice, unseen, bob) = (world.token("alice"), world.token("alice"), world.token("bob"));
        for token in [&alice, &bob] {
            assert_eq!(code(&verifier, token, world.time.now()).await, None);
        }
        world.time.skip(seconds(10)).await;
        let token = world.idp.logout_token(&Logout::of(CLIENT).subject("alice"));
        let revocation = verifier.logout("corp", token.as_bytes(), world.time.now()).await.unwrap();
        ledger.note(&revocation);
        for token in [&alice, &unseen] {
            assert_eq!(code(&verifier, token, world.time.now()).await, Some("SC-A02"));
        }
        assert_eq!(code(&verifier, &bob, world.time.now()).await, None);
        assert_eq!(world.known.forget(|who| revocation.covers(who)).0, 1 + 1, "the unseen one was verified");
        world.time.skip(seconds(1)).await;
        assert_eq!(code(&verifier, &world.token("alice"), world.time.now()).await, None);
        assert_eq!(code(&verifier, &alice, world.time.now()).await, Some("SC-A02"));
    }

    /// Edge: 75
    #[tokio::test]
    async fn what_introspection_said_before_is_not_believed_of_a_revoked_caller() {
        let world = World::start().await;
        let ledger = Arc::new(Revocations::default());
        let verifier = world.reloaded(|issuer| {
            issuer.introspection =
                Some(super::issuer_world::introspection(&world.idp, seconds(60), &world.wire));
            issuer.logout = Some(LogoutRules { audiences: vec![CLIENT.into()], strict_typ: true });
        });
        let verifier = verifier.under(ledger.clone());
        let opaque = world.opaque("alice");
        assert_eq!(code(&verifier, &opaque, world.time.now()).await, None);
        let token = world.idp.logout_token(&Logout::of(CLIENT).subject("alice"));
        let revocation = verifier.logout("corp", token.as_bytes(), world.time.now()).await.unwrap();
        ledger.note(&revocation);
        assert_eq!(world.known.forget(|who| revocation.covers(who)).0, 1);
        assert_eq!(code(&verifier, &opaque, world.time.now()).await, Some("SC-A02"));
        world.time.skip(seconds(1)).await;
        assert_eq!(code(&verifier, &world.opaque("alice"), world.time.now()).await, None);
    }
}
