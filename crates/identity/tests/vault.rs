//! The step `vault` against something that speaks as OpenBao and Vault do.
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use safeconduct_core::refusal::Reason;
    use safeconduct_core::revocation::Whose;
    use safeconduct_identity::acquire::CredentialLimits;
    use safeconduct_identity::provider::{Pick, Vault, VaultConfig, VaultConfigError};
    use safeconduct_identity::template::Template;
    use safeconduct_identity::wire::Endpoint;
    use serde_json::json;

    use super::support::{Asked, Bench, Caller, NOW, Reply, TokenEndpoint, sent, until, vault, wire};

    fn alice() -> Caller {
        Caller::named("alice")
    }

    fn refused(status: u16, error: &str) -> Reply {
        Reply::json(status, json!({ "errors": [error] }).to_string())
    }

    /// What a vault answers to everything but reading: logins are numbered, tokens live for fifteen minutes.
    struct Desk {
        logins: AtomicUsize,
        token_lives: u64,
    }

    impl Desk {
        fn lasting(token_lives: u64) -> Arc<Self> {
            Arc::new(Self { logins: AtomicUsize::new(0), token_lives })
        }

        fn answer(&self, asked: &Asked, read: impl FnOnce(&str) -> Reply) -> Reply {
            let auth = |token: String| {
                let auth =
                    json!({ "client_token": token, "lease_duration": self.token_lives, "renewable": true });
                Reply::json(200, json!({ "auth": auth, "lease_id": "" }).to_string())
            };
            match asked.path.as_str() {
                "/v1/auth/jwt/login" => {
                    auth(format!("hvs.{}", self.logins.fetch_add(1, Ordering::SeqCst) + 1))
                }
                "/v1/auth/token/renew-self" => auth(asked.header("x-vault-token").to_owned()),
                "/v1/auth/token/revoke-self" => Reply::json(204, ""),
                _ => read(asked.header("x-vault-token")),
            }
        }
    }

    fn value(text: &str) -> Reply {
        let data = json!({ "data": { "key": text }, "metadata": { "version": 1 } });
        Reply::json(200, json!({ "lease_id": "", "lease_duration": 0, "data": data }).to_string())
    }

    fn made(lease: &str, lasting: u64) -> Reply {
        let data = json!({ "username": "v-alice", "password": format!("of-{lease}") });
        let body = json!({ "lease_id": lease, "lease_duration": lasting, "renewable": true, "data": data });
        Reply::json(200, body.to_string())
    }

    fn paths(endpoint: &TokenEndpoint) -> Vec<String> {
        endpoint.asked().iter().map(|asked| asked.path.trim_start_matches("/v1/").to_owned()).collect()
    }

    #[tokio::test]
    async fn the_caller_logs_in_as_themselves_and_the_secret_is_read_with_the_vaults_own_token() {
        let desk = Desk::lasting(900);
        let endpoint = TokenEndpoint::start(move |asked| desk.answer(asked, |_| value("s3cret"))).await;
        let bench = Bench::lending(|leases| {
            vec![vault(&endpoint.url, leases, |config| {
                config.namespace = Some("team-a".into());
                config.role = Template::parse("mcp-{claim:tenant}", &[]).unwrap();
                config.path = Template::parse("secret/data/users/{subject}", &[]).unwrap();
            })]
        });
        let caller = Caller::named("alice@example.com").with("tenant", "acme");
        let outbound = bench.acquire(&caller).await.unwrap();
        assert_eq!(sent(&outbound), "s3cret");
        let [login, read] = &endpoint.asked()[..] else { panic!() };
        assert_eq!((login.method.as_str(), login.path.as_str()), ("POST", "/v1/auth/jwt/login"));
        assert_eq!(login.json(), json!({ "role": "mcp-acme", "jwt": caller.token() }));
        assert_eq!(
            (read.method.as_str(), read.path.as_str()),
            ("GET", "/v1/secret/data/users/alice%40example.com")
        );
        assert_eq!(read.header("x-vault-token"), "hvs.1");
        for asked in [login, read] {
            assert_eq!(asked.header("x-vault-namespace"), "team-a");
            assert_eq!(asked.header("x-vault-request"), "true");
            assert!(asked.headers.get("authorization").is_none());
        }
    }

    #[tokio::test]
    async fn what_the_callers_token_says_is_one_name_of_the_path_and_no_way_out_of_it() {
        let desk = Desk::lasting(900);
        let endpoint = TokenEndpoint::start(move |asked| desk.answer(asked, |_| value("x"))).await;
        let bench = Bench::lending(|leases| {
            let path = Template::parse("secret/data/{claim:team}/key", &[]).unwrap();
            vec![vault(&endpoint.url, leases, |config| config.path = path)]
        });
        assert!(bench.token(&alice().with("team", "a b?c")).await.is_ok());
        assert_eq!(endpoint.asked()[1].path, "/v1/secret/data/a%20b%3Fc/key");
        for team in ["..", ".", "a/b", "../../sys", "a\\b"] {
            assert_eq!(bench.token(&alice().with("team", team)).await, Err("SC-C08"), "{team}");
        }
        assert_eq!(endpoint.count(), 2);
    }

    #[tokio::test]
    async fn a_secret_that_changed_is_read_again_with_the_same_login_which_is_renewed_when_it_is_due() {
        let desk = Desk::lasting(900);
        let version = Arc::new(AtomicUsize::new(1));
        let now = version.clone();
        let endpoint = TokenEndpoint::start(move |asked| {
            desk.answer(asked, |_| value(&format!("v{}", now.load(Ordering::SeqCst))))
        })
        .await;
        let bench = Bench::lending(|leases| vec![vault(&endpoint.url, leases, |_| ())]);
        assert_eq!(bench.token(&alice()).await, Ok("v1".into()));
        version.store(2, Ordering::SeqCst);
        bench.clock.advance(400);
        assert_eq!(bench.token(&alice()).await, Ok("v2".into()));
        bench.clock.advance(400);
        assert_eq!(bench.token(&alice()).await, Ok("v2".into()));
        let read = "secret/data/orders";
        assert_eq!(paths(&endpoint), ["auth/jwt/login", read, read, "auth/token/renew-self", read]);
        assert_eq!(bench.store.leases().count(), 1);
    }

    #[tokio::test]
    async fn a_login_that_the_vault_no_longer_knows_is_made_again_once() {
        let desk = Desk::lasting(900);
        let endpoint = TokenEndpoint::start(move |asked| {
            desk.answer(asked, |token| match (token, asked.number) {
                ("hvs.1", 3..) => refused(403, "permission denied"),
                _ => value(token),
            })
        })
        .await;
        let bench = Bench::lending(|leases| vec![vault(&endpoint.url, leases, |_| ())]);
        assert_eq!(bench.token(&alice()).await, Ok("hvs.1".into()));
        bench.clock.advance(400);
        assert_eq!(bench.token(&alice()).await, Ok("hvs.2".into()));
        let never = Desk::lasting(900);
        let endpoint =
            TokenEndpoint::start(move |asked| never.answer(asked, |_| refused(403, "permission denied")))
                .await;
        let bench = Bench::lending(|leases| vec![vault(&endpoint.url, leases, |_| ())]);
        assert_eq!(bench.token(&alice()).await, Err("SC-C02"));
        until(|| endpoint.count() == 3).await;
        assert_eq!(paths(&endpoint), ["auth/jwt/login", "secret/data/orders", "auth/token/revoke-self"]);
    }

    /// A user that was made for the caller: kept as long as it is in use, and not one second longer.
    fn database(
        leases: &Arc<safeconduct_identity::provider::Leases>,
        url: &str,
    ) -> Arc<dyn safeconduct_identity::provider::Provider> {
        vault(url, leases, |config| {
            config.path = Template::fixed("database/creds/readonly");
            config.pick = Pick::Member("password".into());
        })
    }

    #[tokio::test]
    async fn a_lease_is_renewed_while_it_is_in_use_until_its_longest_life_is_over() {
        let desk = Desk::lasting(3600);
        let (renewals, count) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let endpoint = TokenEndpoint::start({
            let renewals = renewals.clone();
            move |asked| {
                desk.answer(asked, |_| match asked.path.as_str() {
                    "/v1/sys/leases/renew" => {
                        assert_eq!(asked.json(), json!({ "lease_id": "database/creds/readonly/1" }));
                        // The second time it is near its longest life.
                        let lasting = if renewals.fetch_add(1, Ordering::SeqCst) == 0 { 300 } else { 60 };
                        made("database/creds/readonly/1", lasting)
                    }
                    _ => made(
                        &format!("database/creds/readonly/{}", count.fetch_add(1, Ordering::SeqCst) + 1),
                        300,
                    ),
                })
            }
        })
        .await;
        let bench = Bench::lending(|leases| vec![database(leases, &endpoint.url)]);
        let one: Result<String, &str> = Ok("of-database/creds/readonly/1".into());
        assert_eq!(bench.token(&alice()).await, one);
        for (advance, renewed) in [(250, 1), (10, 1)] {
            bench.clock.advance(advance);
            assert_eq!(bench.token(&alice()).await, one);
            until(|| renewals.load(Ordering::SeqCst) == renewed).await;
        }
        bench.clock.advance(275);
        assert_eq!(bench.token(&alice()).await, Ok("of-database/creds/readonly/2".into()));
        let revoked =
            |endpoint: &TokenEndpoint| paths(endpoint).iter().any(|path| path == "auth/token/revoke-self");
        until(|| revoked(&endpoint)).await;
        let old = endpoint.asked().into_iter().find(|asked| asked.path.ends_with("revoke-self")).unwrap();
        assert_eq!(old.header("x-vault-token"), "hvs.1", "what it was made under is given back");
    }

    #[tokio::test]
    async fn what_was_made_under_a_login_is_served_to_its_end_when_there_is_no_next_one() {
        let desk = Desk::lasting(3600);
        let endpoint = TokenEndpoint::start(move |asked| {
            if asked.path.ends_with("login") && desk.logins.load(Ordering::SeqCst) == 1 {
                return refused(503, "no leader");
            }
            // Renewed, it is given next to nothing: its longest life is nearly over.
            let lasting = if asked.path.ends_with("renew") { 10 } else { 300 };
            desk.answer(asked, |_| made("creds/1", lasting))
        })
        .await;
        let bench = Bench::lending(|leases| vec![database(leases, &endpoint.url)]);
        assert_eq!(bench.token(&alice()).await, Ok("of-creds/1".into()));
        bench.clock.advance(250);
        assert_eq!(bench.token(&alice()).await, Ok("of-creds/1".into()));
        let again = || paths(&endpoint).iter().filter(|path| *path == "auth/jwt/login").count() > 1;
        until(again).await;
        assert_eq!(bench.token(&alice()).await, Ok("of-creds/1".into()));
        let given_back = paths(&endpoint).iter().any(|path| path == "auth/token/revoke-self");
        assert!(!given_back, "{:?}", paths(&endpoint));
    }

    #[tokio::test]
    async fn a_vault_that_says_that_something_lasts_for_ever_is_not_believed() {
        let desk = Desk::lasting(u64::MAX);
        let endpoint =
            TokenEndpoint::start(move |asked| desk.answer(asked, |token| made(token, u64::MAX))).await;
        let bench = Bench::lending(|leases| vec![database(leases, &endpoint.url)]);
        assert_eq!(bench.token(&alice()).await, Ok("of-hvs.1".into()));
    }

    /// Edge: 62
    #[tokio::test]
    async fn what_the_server_refuses_is_not_given_again() {
        let desk = Desk::lasting(3600);
        let count = AtomicUsize::new(0);
        let endpoint = TokenEndpoint::start(move |asked| {
            desk.answer(asked, |_| made(&format!("creds/{}", count.fetch_add(1, Ordering::SeqCst) + 1), 3600))
        })
        .await;
        let bench = Bench::lending(|leases| vec![database(leases, &endpoint.url)]);
        let outbound = bench.acquire(&alice()).await.unwrap();
        assert_eq!(sent(&outbound), "of-creds/1");
        assert_eq!(sent(&bench.renew(outbound).await.unwrap()), "of-creds/2");
    }

    /// Edge: 73, 76
    #[tokio::test]
    async fn what_was_made_for_a_revoked_caller_is_given_back_and_the_others_is_not() {
        let desk = Desk::lasting(3600);
        let endpoint = TokenEndpoint::start(move |asked| desk.answer(asked, |token| made(token, 3600))).await;
        let bench = Bench::lending(|leases| vec![database(leases, &endpoint.url)]);
        for caller in [alice(), Caller::named("bob")] {
            assert!(bench.token(&caller).await.is_ok());
        }
        bench.revoke(Whose::Subject("alice".into()));
        until(|| endpoint.count() == 5).await;
        let last = endpoint.asked().pop().unwrap();
        assert_eq!(
            (last.path.as_str(), last.header("x-vault-token")),
            ("/v1/auth/token/revoke-self", "hvs.1")
        );
        assert_eq!(bench.store.leases().count(), 1);
        assert_eq!(bench.token(&Caller::named("bob")).await, Ok("of-hvs.2".into()));
    }

    #[tokio::test]
    async fn at_the_end_everything_is_given_back_and_a_vault_that_is_gone_holds_nobody_up() {
        let desk = Desk::lasting(3600);
        let endpoint = TokenEndpoint::start(move |asked| desk.answer(asked, |token| made(token, 3600))).await;
        let bench = Bench::lending(|leases| vec![database(leases, &endpoint.url)]);
        for number in 0..40 {
            assert!(bench.token(&Caller::named(&format!("user-{number}"))).await.is_ok());
        }
        bench.store.leases().end(Duration::from_secs(10)).await;
        let given_back = paths(&endpoint).iter().filter(|path| *path == "auth/token/revoke-self").count();
        assert_eq!((given_back, bench.store.leases().count()), (40, 0));
        let desk = Desk::lasting(3600);
        let gone = TokenEndpoint::start(move |asked| match asked.path.as_str() {
            "/v1/auth/token/revoke-self" => {
                Reply::json(200, "").when(&Arc::new(tokio::sync::Semaphore::new(0)))
            }
            _ => desk.answer(asked, |token| made(token, 3600)),
        })
        .await;
        let bench = Bench::lending(|leases| vec![database(leases, &gone.url)]);
        assert!(bench.token(&alice()).await.is_ok());
        let began = std::time::Instant::now();
        bench.store.leases().end(Duration::from_millis(200)).await;
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_login_whose_secret_did_not_come_in_time_is_given_back() {
        let desk = Desk::lasting(3600);
        let endpoint = TokenEndpoint::start(move |asked| {
            desk.answer(asked, |_| made("l", 3600).when(&Arc::new(tokio::sync::Semaphore::new(0))))
        })
        .await;
        let limits = CredentialLimits { step: Duration::from_millis(500), ..CredentialLimits::default() };
        let bench = Bench::lending_within(limits, |leases| vec![database(leases, &endpoint.url)]);
        assert!(bench.token(&alice()).await.is_err());
        until(|| endpoint.count() == 3).await;
        let last = endpoint.asked().pop().unwrap();
        assert_eq!(
            (last.path.as_str(), last.header("x-vault-token")),
            ("/v1/auth/token/revoke-self", "hvs.1")
        );
        assert_eq!(bench.store.leases().count(), 0);
    }

    /// Edge: 30
    #[tokio::test]
    async fn a_secret_of_several_members_needs_a_word_about_which() {
        let of = async |pick: Pick| {
            let desk = Desk::lasting(900);
            let endpoint = TokenEndpoint::start(move |asked| desk.answer(asked, |_| made("l", 60))).await;
            let bench =
                Bench::lending(|leases| vec![vault(&endpoint.url, leases, |config| config.pick = pick)]);
            bench.token(&alice()).await
        };
        assert_eq!(of(Pick::Member("username".into())).await, Ok("v-alice".into()));
        assert_eq!(of(Pick::Basic).await, Ok("di1hbGljZTpvZi1s".into()));
        assert_eq!(of(Pick::Only).await, Err("SC-C06"));
        assert_eq!(of(Pick::Member("other".into())).await, Err("SC-C06"));
    }

    #[tokio::test]
    async fn a_refusal_says_where_and_why_and_a_sealed_vault_is_down() {
        let reason = async |reply: Reply| {
            let endpoint = TokenEndpoint::start(move |_| reply.clone()).await;
            let bench = Bench::lending(|leases| vec![vault(&endpoint.url, leases, |_| ())]);
            bench.acquire(&alice()).await.err().unwrap()
        };
        let denied = reason(refused(400, "error validating claims: claim \"groups\" does not match")).await;
        let error = "status 400 error validating claims: claim \"groups\" does not match".to_owned();
        assert_eq!(denied, Reason::ExchangeDenied { step: "vault".into(), error });
        assert_eq!(reason(refused(503, "Vault is sealed")).await.code(), "SC-C07");
        assert_eq!(reason(refused(400, "error validating token: token is expired")).await.code(), "SC-C01");
    }

    /// Edge: 37
    #[tokio::test]
    async fn a_secret_that_was_made_for_a_caller_ends_with_the_login_that_it_was_made_under() {
        let desk = Desk::lasting(120);
        let endpoint = TokenEndpoint::start(move |asked| desk.answer(asked, |token| made(token, 3600))).await;
        let bench = Bench::lending(|leases| vec![database(leases, &endpoint.url)]);
        let outbound = bench.acquire(&alice()).await.unwrap();
        assert_eq!(outbound.credential().expires().unwrap().secs() - NOW.secs(), 120);
    }

    #[tokio::test]
    async fn a_step_that_cannot_work_is_refused_when_the_configuration_is_read() {
        let made = |change: &dyn Fn(&mut VaultConfig)| {
            let address = Endpoint::parse("http://127.0.0.1:1", false).unwrap();
            let mut config =
                VaultConfig::new(address, Template::fixed("mcp"), Template::fixed("secret/data/x"));
            change(&mut config);
            Vault::new(config, Arc::default(), wire()).map(drop)
        };
        assert_eq!(made(&|_| ()), Ok(()));
        for path in ["", "/secret/x", "secret//x", "secret/../sys", "v1/secret/data/x", "secret/x?list=true"]
        {
            let outcome = made(&|config| config.path = Template::fixed(path));
            assert_eq!(outcome, Err(VaultConfigError::Path(path.into())), "{path}");
        }
        assert!(matches!(made(&|config| config.mount = "../x".into()), Err(VaultConfigError::Path(_))));
        assert_eq!(made(&|config| config.namespace = Some("a\nb".into())), Err(VaultConfigError::Namespace));
    }
}
