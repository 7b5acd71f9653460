//! The move `acquire`, with real exchanges on loopback: sharing, refreshing, refusing, renewing.
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
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use safeconduct_core::refusal::{Fault, Reason};
    use safeconduct_core::secret::Secret;
    use safeconduct_identity::acquire::{CredentialLimits, CredentialPlan, Credentials};
    use safeconduct_identity::provider::StaticSecret;
    use safeconduct_identity::secret_source::SecretSource;
    use safeconduct_identity::template::Template;
    use tokio::sync::Semaphore;

    use super::support::{Asked, Bench, Caller, Edge, Reply, TokenEndpoint, exchange, sent, until};

    /// An endpoint whose tokens say for whom, and which one they are.
    async fn issuing(expires_in: u64) -> TokenEndpoint {
        TokenEndpoint::start(move |asked| {
            Reply::granted(&format!("{}-{}", owner(asked), asked.number), expires_in)
        })
        .await
    }

    /// Whose subject token was presented.
    fn owner(asked: &Asked) -> String {
        use base64::Engine as _;
        let payload = asked.one("subject_token").split('.').nth(1).unwrap().to_owned();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        format!(
            "{}.{}",
            claims["iss"].as_str().unwrap().trim_start_matches("https://"),
            claims["sub"].as_str().unwrap()
        )
    }

    /// A new plan for the same store, whose step asks for this scope.
    fn reload(bench: &mut Bench, endpoint: &TokenEndpoint, scope: &str) {
        let step = exchange(&endpoint.url, |config| config.targets.scopes = vec![Template::fixed(scope)]);
        let plan = (bench.edge.server.clone(), CredentialPlan::Chain(vec![step]));
        bench.credentials = Credentials::new(bench.store.clone(), [plan]);
    }

    fn bench(endpoint: &TokenEndpoint) -> Bench {
        Bench::new(vec![exchange(&endpoint.url, |_| ())])
    }

    #[tokio::test]
    async fn the_second_call_is_served_from_the_cache_and_the_audit_record_says_so() {
        let endpoint = issuing(3600).await;
        let bench = bench(&endpoint);
        let alice = Caller::named("alice");
        let mut sources = Vec::new();
        for _ in 0..3 {
            let outbound = bench.acquire(&alice).await.unwrap();
            assert_eq!(sent(&outbound), "idp.example.com.alice-1");
            sources.push(outbound.credential().record().source);
        }
        assert_eq!(sources, ["issuer", "cache", "cache"]);
        let record = bench.edge.records().pop().unwrap().credential.unwrap();
        assert_eq!(
            (&*record.steps, &*record.audience, &*record.scopes),
            (&["exchange".into()][..], &["backend".into()][..], &["read".into()][..])
        );
        assert_eq!(bench.store.counters().hits, 2);
        assert_eq!(endpoint.count(), 1);
    }

    /// Row: A18
    /// Edge: 35
    #[tokio::test]
    async fn racing_callers_never_get_each_others_credential() {
        let endpoint = issuing(3600).await;
        let bench = Arc::new(bench(&endpoint));
        let callers = [
            Caller::named("alice"),
            Caller::named("bob"),
            Caller::of("https://other.example.com", "alice"),
            Caller::named("alice").with("acr", "gold"),
        ];
        let mut tasks = Vec::new();
        for turn in 0..200 {
            let (bench, caller) = (bench.clone(), callers[turn % callers.len()].clone());
            tasks.push(tokio::spawn(async move { (turn % 4, bench.token(&caller).await.unwrap()) }));
        }
        let mut seen = [const { Vec::new() }; 4];
        for task in tasks {
            let (whose, token) = task.await.unwrap();
            seen[whose].push(token);
        }
        let owners = [
            "idp.example.com.alice",
            "idp.example.com.bob",
            "other.example.com.alice",
            "idp.example.com.alice",
        ];
        for (tokens, owner) in seen.iter_mut().zip(owners) {
            tokens.dedup();
            assert_eq!(tokens.len(), 1, "one flight a key");
            assert!(tokens[0].starts_with(owner), "{tokens:?}");
        }
        assert_ne!(seen[0], seen[3], "another login context is another key");
        assert_eq!(endpoint.count(), 4);
    }

    /// Row: A18
    #[tokio::test]
    async fn another_server_with_the_same_step_has_its_own_credential() {
        let endpoint = issuing(3600).await;
        let bench = bench(&endpoint);
        let other = Edge::serving("invoices");
        let plan = CredentialPlan::Chain(vec![exchange(&endpoint.url, |_| ())]);
        let both = Credentials::new(bench.store.clone(), [(other.server.clone(), plan)]);
        let alice = Caller::named("alice");
        bench.token(&alice).await.unwrap();
        let authorized = other.permitted(&alice, bench.clock.now());
        let Ok(outbound) = both.acquire(authorized, bench.clock.now()).await else { panic!() };
        assert_eq!(sent(&outbound), "idp.example.com.alice-2");
    }

    /// Edge: 32
    #[tokio::test]
    async fn a_thousand_concurrent_calls_of_one_caller_are_one_exchange() {
        let endpoint = issuing(3600).await;
        let bench = Arc::new(bench(&endpoint));
        let calls: Vec<_> = (0..1000)
            .map(|_| {
                let bench = bench.clone();
                tokio::spawn(async move { bench.token(&Caller::named("alice")).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), "idp.example.com.alice-1");
        }
        assert_eq!(endpoint.count(), 1);
        let counters = bench.store.counters();
        assert_eq!((counters.misses, counters.misses + counters.shared + counters.hits), (1, 1000));
    }

    /// Edge: 33
    #[tokio::test]
    async fn a_caller_who_gives_up_takes_nobody_else_along() {
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        let endpoint = TokenEndpoint::start(move |_| Reply::granted("issued", 3600).when(&held)).await;
        let bench = Arc::new(bench(&endpoint));
        let call =
            |bench: Arc<Bench>| tokio::spawn(async move { bench.token(&Caller::named("alice")).await });
        let leader = call(bench.clone());
        until(|| endpoint.count() == 1).await;
        let waiter = call(bench.clone());
        until(|| bench.store.counters().shared == 1).await;
        leader.abort();
        gate.add_permits(1);
        assert_eq!(waiter.await.unwrap().unwrap(), "issued");
        assert_eq!(bench.token(&Caller::named("alice")).await.unwrap(), "issued");
        assert_eq!(endpoint.count(), 1);
    }

    /// Edge: 34
    #[tokio::test]
    async fn a_failure_is_shared_by_all_who_wait_for_it() {
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        let endpoint = TokenEndpoint::start(move |_| Reply::error(400, "invalid_target").when(&held)).await;
        let bench = Arc::new(bench(&endpoint));
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let bench = bench.clone();
                tokio::spawn(async move { bench.token(&Caller::named("alice")).await })
            })
            .collect();
        until(|| bench.store.counters().shared == 99).await;
        gate.add_permits(1);
        for call in calls {
            assert_eq!(call.await.unwrap(), Err("SC-C02"));
        }
        assert_eq!(endpoint.count(), 1);
    }

    #[tokio::test]
    async fn a_call_on_another_runtime_waits_for_the_same_flight() {
        let endpoint = issuing(3600).await;
        let bench = Arc::new(bench(&endpoint));
        let elsewhere = {
            let bench = bench.clone();
            tokio::task::spawn_blocking(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async move { bench.token(&Caller::named("alice")).await })
            })
        };
        assert_eq!(elsewhere.await.unwrap().unwrap(), "idp.example.com.alice-1");
        assert_eq!(bench.token(&Caller::named("alice")).await.unwrap(), "idp.example.com.alice-1");
    }

    /// Edge: 37
    #[tokio::test]
    async fn a_credential_is_not_kept_beyond_the_callers_token() {
        let endpoint = issuing(3600).await;
        let bench = bench(&endpoint);
        let short = Caller::named("alice").with("exp", bench.clock.now().secs() + 300);
        let renewed = Caller::named("alice");
        assert_eq!(bench.token(&short).await.unwrap(), "idp.example.com.alice-1");
        bench.clock.advance(200);
        assert_eq!(
            bench.token(&renewed).await.unwrap(),
            "idp.example.com.alice-1",
            "a refreshed login's token"
        );
        bench.clock.advance(99);
        assert_eq!(bench.token(&renewed).await.unwrap(), "idp.example.com.alice-2");
    }

    /// Edge: 38
    #[tokio::test]
    async fn what_ends_within_the_margin_is_used_once() {
        let endpoint = issuing(9).await;
        let bench = bench(&endpoint);
        for turn in 1..=3 {
            assert_eq!(
                bench.token(&Caller::named("alice")).await.unwrap(),
                format!("idp.example.com.alice-{turn}")
            );
        }
        assert_eq!(bench.store.status().entries, 0);
    }

    /// Edge: 39
    #[tokio::test]
    async fn a_used_credential_is_refreshed_once_in_the_background_before_its_end() {
        let gate = Arc::new(Semaphore::new(1));
        let held = gate.clone();
        let endpoint = TokenEndpoint::start(move |asked| {
            Reply::granted(&format!("t{}", asked.number), 1000).when(&held)
        })
        .await;
        let bench = bench(&endpoint);
        let alice = Caller::named("alice");
        assert_eq!(bench.token(&alice).await.unwrap(), "t1");
        bench.clock.advance(600);
        assert_eq!(bench.token(&alice).await.unwrap(), "t1");
        assert_eq!(endpoint.count(), 1, "not yet due");
        bench.clock.advance(250);
        for _ in 0..5 {
            assert_eq!(bench.token(&alice).await.unwrap(), "t1", "nobody waits for the refresh");
        }
        until(|| endpoint.count() == 2).await;
        gate.add_permits(1);
        while bench.token(&alice).await.unwrap() == "t1" {
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.token(&alice).await.unwrap(), "t2");
        assert_eq!((endpoint.count(), bench.store.counters().refreshes), (2, 1));
    }

    /// Edge: 39
    #[tokio::test]
    async fn a_refresh_that_could_not_give_more_time_is_not_tried() {
        let endpoint = issuing(3600).await;
        let bench = bench(&endpoint);
        let short = Caller::named("alice").with("exp", bench.clock.now().secs() + 300);
        assert_eq!(bench.token(&short).await.unwrap(), "idp.example.com.alice-1");
        bench.clock.advance(250);
        assert_eq!(bench.token(&short).await.unwrap(), "idp.example.com.alice-1");
        assert_eq!(bench.store.counters().refreshes, 0);
        assert_eq!(bench.token(&Caller::named("alice")).await.unwrap(), "idp.example.com.alice-1");
        until(|| endpoint.count() == 2).await;
        assert_eq!(bench.store.counters().refreshes, 1, "the refreshed login's token is worth it");
    }

    /// Edge: 40
    #[tokio::test]
    async fn a_failed_refresh_leaves_the_old_credential_until_its_end() {
        let endpoint = TokenEndpoint::start(|asked| match asked.number {
            1 => Reply::granted("t1", 1000),
            _ => Reply::error(400, "invalid_grant"),
        })
        .await;
        let bench = bench(&endpoint);
        let alice = Caller::named("alice");
        assert_eq!(bench.token(&alice).await.unwrap(), "t1");
        bench.clock.advance(850);
        assert_eq!(bench.token(&alice).await.unwrap(), "t1");
        until(|| !bench.store.counters().failures.is_empty()).await;
        bench.clock.advance(80);
        assert_eq!(bench.token(&alice).await.unwrap(), "t1");
        bench.clock.advance(20);
        assert_eq!(bench.token(&alice).await, Err("SC-C01"));
    }

    /// Edge: 43
    #[tokio::test]
    async fn after_a_reload_an_unchanged_step_keeps_its_credentials_and_a_changed_one_cannot_reach_them() {
        let endpoint = issuing(3600).await;
        let mut bench = bench(&endpoint);
        let alice = Caller::named("alice");
        assert_eq!(bench.token(&alice).await.unwrap(), "idp.example.com.alice-1");
        reload(&mut bench, &endpoint, "read");
        assert_eq!(bench.token(&alice).await.unwrap(), "idp.example.com.alice-1");
        reload(&mut bench, &endpoint, "write");
        assert_eq!(bench.token(&alice).await.unwrap(), "idp.example.com.alice-2");
    }

    /// Edge: 47
    #[tokio::test]
    async fn a_refused_subject_is_not_hammered_but_a_newer_token_of_the_login_is_tried() {
        let endpoint = TokenEndpoint::start(|asked| match asked.number {
            1 | 2 => Reply::error(400, "invalid_grant"),
            _ => Reply::granted("issued", 3600),
        })
        .await;
        let bench = bench(&endpoint);
        let old = Caller::named("alice");
        let new = Caller::named("alice").with("exp", bench.clock.now().secs() + 9000);
        for _ in 0..100 {
            assert_eq!(bench.token(&old).await, Err("SC-C01"));
        }
        assert_eq!(bench.token(&new).await, Err("SC-C01"), "within the second, not even that");
        assert_eq!(endpoint.count(), 1);
        bench.clock.advance(1);
        assert_eq!(bench.token(&old).await, Err("SC-C01"));
        assert_eq!(endpoint.count(), 1);
        assert_eq!(bench.token(&new).await, Err("SC-C01"));
        assert_eq!(endpoint.count(), 2);
        bench.clock.advance(15);
        assert_eq!(bench.token(&old).await.unwrap(), "issued");
        assert_eq!(bench.token(&Caller::named("bob")).await.unwrap(), "issued");
    }

    /// Each token says something else besides, so that none is known from before.
    ///
    /// Edge: 47
    #[tokio::test]
    async fn a_refused_subject_is_not_hammered_with_tokens_that_differ_either() {
        let good = Arc::new(AtomicBool::new(false));
        let granting = good.clone();
        let endpoint = TokenEndpoint::start(move |_| match granting.load(Ordering::SeqCst) {
            true => Reply::granted("issued", 3600),
            false => Reply::error(400, "invalid_grant"),
        })
        .await;
        let bench = bench(&endpoint);
        let mut number = 0;
        let mut mallory = || {
            number += 1;
            Caller::named("mallory").with("uti", format!("u{number}"))
        };
        for second in 0..10 {
            for _ in 0..100 {
                assert_eq!(bench.token(&mallory()).await, Err("SC-C01"));
            }
            assert!(endpoint.count() <= 3 + second, "{} in second {second}", endpoint.count());
            bench.clock.advance(1);
        }
        good.store(true, Ordering::SeqCst);
        assert_eq!(bench.token(&mallory()).await.unwrap(), "issued", "once a second it is asked");
        assert_eq!(bench.token(&mallory()).await.unwrap(), "issued", "and granted, as often as any");
        assert_eq!(bench.token(&Caller::named("alice")).await.unwrap(), "issued");
    }

    /// Where a service locks out for hours whoever presents bad tokens often.
    ///
    /// Edge: 47
    #[tokio::test]
    async fn a_refused_caller_is_left_out_for_as_long_as_the_step_says_and_nobody_else_is() {
        let endpoint = TokenEndpoint::start(|asked| match owner(asked).ends_with("mallory") {
            true => Reply::error(401, "invalid_grant"),
            false => Reply::granted("issued", 3600),
        })
        .await;
        let pause = Duration::from_secs(600);
        let bench = Bench::new(vec![exchange(&endpoint.url, |config| config.at.pause_after_refusal = pause)]);
        let mut number = 0;
        let mut mallory = || {
            number += 1;
            Caller::named("mallory").with("uti", format!("u{number}"))
        };
        for second in 0..600 {
            assert_eq!(bench.token(&mallory()).await, Err("SC-C01"));
            assert_eq!(endpoint.count(), 1, "in second {second}");
            bench.clock.advance(1);
        }
        assert_eq!(bench.token(&mallory()).await, Err("SC-C01"));
        assert_eq!(bench.token(&mallory()).await, Err("SC-C01"));
        assert_eq!(endpoint.count(), 2);
        assert_eq!(bench.token(&Caller::named("alice")).await.unwrap(), "issued");
    }

    /// Edge: 48
    #[tokio::test]
    async fn a_refused_client_fails_all_callers_fast_and_is_the_gateways_fault() {
        let endpoint = TokenEndpoint::start(|_| Reply::error(401, "invalid_client")).await;
        let bench = bench(&endpoint);
        for name in ["alice", "bob", "carol"] {
            let Err(reason) = bench.acquire(&Caller::named(name)).await else { panic!() };
            assert_eq!((reason.code(), reason.fault()), ("SC-C05", Fault::Gateway));
        }
        assert_eq!(endpoint.count(), 1);
        assert_eq!(&*bench.store.status().endpoints[0].refused_clients, ["gateway".into()]);
        bench.clock.advance(30);
        assert_eq!(bench.token(&Caller::named("dave")).await, Err("SC-C05"));
        assert_eq!(endpoint.count(), 2);
    }

    /// Edge: 49, 55
    #[tokio::test]
    async fn a_throttled_endpoint_is_left_alone_for_all_and_is_never_the_callers_fault() {
        let endpoint =
            TokenEndpoint::start(|_| Reply::error(429, "slow_down").header("retry-after", "20")).await;
        let bench = bench(&endpoint);
        let Err(reason) = bench.acquire(&Caller::named("alice")).await else { panic!() };
        assert_eq!(reason.fault(), Fault::TokenEndpoint);
        let Err(Reason::TokenEndpointUnavailable { retry_after, .. }) =
            bench.acquire(&Caller::named("bob")).await
        else {
            panic!()
        };
        assert_eq!(retry_after.map(|pause| pause.as_secs()), Some(20));
        assert_eq!(endpoint.count(), 1);
    }

    /// Edge: 50, 53, 55
    #[tokio::test]
    async fn a_breaker_opens_kept_credentials_still_serve_and_one_probe_closes_it() {
        let down = Arc::new(AtomicBool::new(false));
        let is_down = down.clone();
        let endpoint = TokenEndpoint::start(move |_| match is_down.load(Ordering::SeqCst) {
            true => Reply::broken(),
            false => Reply::granted("issued", 3600),
        })
        .await;
        let bench = bench(&endpoint);
        assert_eq!(bench.token(&Caller::named("alice")).await.unwrap(), "issued");
        down.store(true, Ordering::SeqCst);
        for number in 0..5 {
            assert_eq!(bench.token(&Caller::named(&format!("user{number}"))).await, Err("SC-C07"));
        }
        let asked = endpoint.count();
        assert_eq!(bench.token(&Caller::named("bob")).await, Err("SC-C07"));
        assert_eq!(endpoint.count(), asked, "not asked while open");
        assert_eq!(bench.token(&Caller::named("alice")).await.unwrap(), "issued");
        down.store(false, Ordering::SeqCst);
        bench.clock.advance(5);
        assert_eq!(bench.token(&Caller::named("bob")).await.unwrap(), "issued");
    }

    /// Edge: 53
    #[tokio::test]
    async fn nobody_there_is_unavailable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        drop(listener);
        let bench = Bench::new(vec![exchange(&url, |_| ())]);
        assert_eq!(bench.token(&Caller::named("alice")).await, Err("SC-C07"));
    }

    /// Edge: 62
    #[tokio::test]
    async fn a_backends_401_buys_one_new_exchange() {
        let endpoint = issuing(3600).await;
        let bench = bench(&endpoint);
        let outbound = bench.acquire(&Caller::named("alice")).await.unwrap();
        let renewed = bench.renew(outbound).await.unwrap();
        assert_eq!(sent(&renewed), "idp.example.com.alice-2");
        assert_eq!(bench.token(&Caller::named("alice")).await.unwrap(), "idp.example.com.alice-2");
    }

    /// Edge: 63
    #[tokio::test]
    async fn parallel_401s_are_one_new_exchange() {
        let endpoint = issuing(3600).await;
        let bench = Arc::new(bench(&endpoint));
        let mut calls = Vec::new();
        for _ in 0..20 {
            calls.push(bench.acquire(&Caller::named("alice")).await.unwrap());
        }
        let renewals: Vec<_> = calls
            .into_iter()
            .map(|outbound| {
                let bench = bench.clone();
                tokio::spawn(async move { bench.renew(outbound).await.map(|outbound| sent(&outbound)) })
            })
            .collect();
        for renewal in renewals {
            assert_eq!(renewal.await.unwrap().unwrap(), "idp.example.com.alice-2");
        }
        assert_eq!(endpoint.count(), 2);
    }

    /// Edge: 64
    #[tokio::test]
    async fn a_backend_that_always_says_401_is_not_an_exchange_each_time() {
        let endpoint = issuing(3600).await;
        let bench = bench(&endpoint);
        let alice = Caller::named("alice");
        let outbound = bench.acquire(&alice).await.unwrap();
        let outbound = bench.renew(outbound).await.unwrap();
        for outbound in [outbound, bench.acquire(&alice).await.unwrap(), bench.acquire(&alice).await.unwrap()]
        {
            let Err(reason) = bench.renew(outbound).await else { panic!() };
            assert_eq!(reason, Reason::BackendRefusedCredential(401));
        }
        assert_eq!(endpoint.count(), 2);
        bench.clock.advance(30);
        let outbound = bench.acquire(&alice).await.unwrap();
        assert_eq!(sent(&bench.renew(outbound).await.unwrap()), "idp.example.com.alice-3");
    }

    #[tokio::test]
    async fn a_missing_claim_refuses_the_call_and_nobody_is_asked() {
        let endpoint = issuing(3600).await;
        let bench = Bench::new(vec![exchange(&endpoint.url, |config| {
            config.targets.parameters =
                vec![("tenant".into(), Template::parse("{claim:tenant}", &[]).unwrap())];
        })]);
        assert!(bench.token(&Caller::named("alice").with("tenant", "t1")).await.is_ok());
        assert_eq!(bench.token(&Caller::named("bob")).await, Err("SC-C08"));
        assert_eq!(endpoint.count(), 1);
    }

    #[tokio::test]
    async fn no_credential_is_said_and_sends_none() {
        let bench = Bench::with(CredentialPlan::None, CredentialLimits::default());
        let outbound = bench.acquire(&Caller::named("alice")).await.unwrap();
        assert_eq!(sent(&outbound), "");
        assert_eq!(outbound.credential().record().source, "none");
        assert!(bench.renew(outbound).await.is_err());
        assert_eq!(bench.credentials.describe("orders"), Some(Vec::new()));
    }

    #[tokio::test]
    async fn a_server_without_a_plan_gets_nothing() {
        let bench = Bench::new(Vec::new());
        assert!(bench.token(&Caller::named("alice")).await.is_err());
        let unplanned = Credentials::new(bench.store.clone(), []);
        let authorized = bench.edge.permitted(&Caller::named("alice"), bench.clock.now());
        assert!(unplanned.acquire(authorized, bench.clock.now()).await.is_err());
        assert_eq!(unplanned.describe("orders"), None);
    }

    #[tokio::test]
    async fn a_static_secret_is_the_same_for_all_and_a_rotated_file_is_used_within_a_second() {
        let path = std::env::temp_dir().join(format!("safeconduct-static-{}", std::process::id()));
        std::fs::write(&path, "first").unwrap();
        let secret = StaticSecret::new(SecretSource::file(&path).unwrap());
        let bench = Bench::with(CredentialPlan::Static(secret), CredentialLimits::default());
        let outbound = bench.acquire(&Caller::named("alice")).await.unwrap();
        assert_eq!(sent(&outbound), "first");
        assert_eq!(outbound.credential().record().source, "configuration");
        assert!(matches!(bench.renew(outbound).await, Err(Reason::BackendRefusedCredential(401))));
        let outbound = bench.acquire(&Caller::named("bob")).await.unwrap();
        std::fs::write(&path, "second").unwrap();
        assert_eq!(sent(&bench.renew(outbound).await.unwrap()), "second");
        std::fs::write(&path, "third").unwrap();
        bench.clock.advance(1);
        assert_eq!(bench.token(&Caller::named("bob")).await.unwrap(), "third");
    }

    #[tokio::test]
    async fn a_forgotten_caller_has_no_credential_any_more_and_others_keep_theirs() {
        let endpoint = issuing(3600).await;
        let bench = bench(&endpoint);
        bench.token(&Caller::named("alice")).await.unwrap();
        bench.token(&Caller::named("bob")).await.unwrap();
        assert_eq!(bench.store.forget("https://idp.example.com", "alice"), 1);
        assert_eq!(bench.token(&Caller::named("bob")).await.unwrap(), "idp.example.com.bob-2");
        assert_eq!(bench.token(&Caller::named("alice")).await.unwrap(), "idp.example.com.alice-3");
    }

    /// Edge: 76
    #[tokio::test]
    async fn a_caller_who_is_forgotten_while_an_exchange_is_under_way_does_not_get_it() {
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        let endpoint = TokenEndpoint::start(move |_| Reply::granted("issued", 3600).when(&held)).await;
        let bench = Arc::new(bench(&endpoint));
        let call = tokio::spawn({
            let bench = bench.clone();
            async move { bench.token(&Caller::named("alice")).await }
        });
        until(|| endpoint.count() == 1).await;
        bench.store.forget("https://idp.example.com", "alice");
        gate.add_permits(1);
        assert_eq!(call.await.unwrap(), Err("SC-C01"));
        assert_eq!(bench.store.status().entries, 0);
    }

    #[tokio::test]
    async fn a_static_secret_may_be_the_subject_of_an_exchange() {
        let endpoint = TokenEndpoint::start(|asked| {
            Reply::granted(&format!("for-{}", asked.one("subject_token")), 3600)
        })
        .await;
        let secret = StaticSecret::new(SecretSource::given(Secret::new(b"key".to_vec())).unwrap());
        let bench = Bench::new(vec![Arc::new(secret), exchange(&endpoint.url, |_| ())]);
        assert_eq!(bench.token(&Caller::named("alice")).await.unwrap(), "for-key");
    }

    /// Edge: 34, 51
    #[tokio::test]
    async fn when_an_endpoint_hangs_five_hundred_callers_are_answered_in_time_and_it_recovers() {
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        let endpoint = TokenEndpoint::start(move |_| Reply::granted("issued", 3600).when(&held)).await;
        let bench = Arc::new(Bench::new(vec![exchange(&endpoint.url, |config| {
            config.at.attempt_timeout = std::time::Duration::from_secs(1);
        })]));
        let began = std::time::Instant::now();
        let calls: Vec<_> = (0..500)
            .map(|number| {
                let bench = bench.clone();
                tokio::spawn(async move { bench.token(&Caller::named(&format!("user{number}"))).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), Err("SC-C07"));
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(8), "no pile-up: {:?}", began.elapsed());
        // 64 at once, and one for each of the failures that it takes to open the breaker, but the last.
        assert!(endpoint.count() <= 68, "{}", endpoint.count());
        gate.add_permits(1000);
        bench.clock.advance(5);
        assert_eq!(bench.token(&Caller::named("user1")).await.unwrap(), "issued");
    }

    /// Edge: 52
    #[tokio::test]
    async fn an_endpoint_that_hangs_does_not_hold_up_another() {
        let never = Arc::new(Semaphore::new(0));
        let slow = TokenEndpoint::start(move |_| Reply::granted("slow", 3600).when(&never)).await;
        let fast = issuing(3600).await;
        let bench = Arc::new(Bench::new(vec![exchange(&slow.url, |_| ())]));
        let other = Edge::serving("invoices");
        let plan = CredentialPlan::Chain(vec![exchange(&fast.url, |_| ())]);
        let quick = Credentials::new(bench.store.clone(), [(other.server.clone(), plan)]);
        let stuck: Vec<_> = (0..100)
            .map(|number| {
                let bench = bench.clone();
                tokio::spawn(async move { bench.token(&Caller::named(&format!("user{number}"))).await })
            })
            .collect();
        until(|| slow.count() >= 64).await;
        let authorized = other.permitted(&Caller::named("alice"), bench.clock.now());
        let Ok(outbound) = quick.acquire(authorized, bench.clock.now()).await else { panic!() };
        assert_eq!(sent(&outbound), "idp.example.com.alice-1");
        stuck.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
