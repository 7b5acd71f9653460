//! How clients authenticate, seen from the endpoints that they authenticate at: real TLS, real files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where it fails"
)]

#[cfg(test)]
mod support;

#[cfg(test)]
mod certificates {
    use std::sync::Arc;

    use safeconduct_core::refusal::Reason;
    use safeconduct_identity::client_auth::{Aliases, CertificateKind, ClientAuth, TlsClientAuth};
    use safeconduct_identity::provider::Exchange;
    use safeconduct_identity::secret_source::SecretSource;
    use safeconduct_identity::wire::{Wire, WireConfig};
    use tokio::runtime::Handle;

    use super::support::{Authority, Bench, Caller, Folder, Paper, Reply, TokenEndpoint, exchange_config};

    struct Scene {
        authority: Authority,
        folder: Folder,
        wire: Arc<Wire>,
    }

    impl Scene {
        fn new() -> Self {
            let authority = Authority::named("an authority");
            let config = WireConfig {
                system_roots: false,
                extra_roots: vec![authority.root()],
                ..WireConfig::default()
            };
            let wire = Arc::new(Wire::new(&config, Handle::current()).unwrap());
            Self { authority, folder: Folder::new(), wire }
        }

        fn put(&self, paper: &Paper) {
            put(&self.folder, paper);
        }

        fn client(&self, issuer: Option<Aliases>) -> Arc<dyn ClientAuth> {
            client(&self.folder, issuer)
        }

        fn bench(&self, url: &str, client: &Arc<dyn ClientAuth>) -> Bench {
            let mut config = exchange_config(url);
            config.at.client = client.clone();
            Bench::new(vec![Arc::new(Exchange::new(config, self.wire.clone()).unwrap())])
        }
    }

    fn put(folder: &Folder, paper: &Paper) {
        folder.put("key.pem", &paper.key);
        folder.put("certificate.pem", &paper.certificate);
    }

    fn client(folder: &Folder, issuer: Option<Aliases>) -> Arc<dyn ClientAuth> {
        let source = |name: &str| SecretSource::file(folder.path(name)).unwrap();
        let (chain, key) = (source("certificate.pem"), source("key.pem"));
        let made = TlsClientAuth::new("gateway".into(), CertificateKind::Issued, chain, key, issuer);
        Arc::new(made.unwrap())
    }

    async fn issuing(scene: &Scene) -> TokenEndpoint {
        TokenEndpoint::start_tls(scene.authority.server(), |_| Reply::granted("issued", 3600)).await
    }

    #[tokio::test]
    async fn the_certificate_is_shown_on_the_connection_and_the_client_named_in_the_form() {
        let scene = Scene::new();
        let paper = scene.authority.issue("gateway");
        scene.put(&paper);
        let endpoint = issuing(&scene).await;
        let bench = scene.bench(&endpoint.url, &scene.client(None));
        assert_eq!(bench.token(&Caller::named("alice")).await, Ok("issued".into()));
        let asked = &endpoint.asked()[0];
        assert_eq!(asked.certificate.as_ref(), Some(&paper.der));
        assert_eq!(asked.one("client_id"), "gateway");
        assert!(asked.all("client_secret").is_empty() && asked.all("client_assertion").is_empty());
    }

    #[tokio::test]
    async fn another_client_of_the_same_endpoint_does_not_travel_on_the_first_ones_connection() {
        let scene = Scene::new();
        let endpoint = issuing(&scene).await;
        let papers = [scene.authority.issue("one"), scene.authority.issue("other")];
        let folders = papers.each_ref().map(|_| Folder::new());
        for (index, (paper, folder)) in papers.iter().zip(&folders).enumerate() {
            put(folder, paper);
            let bench = scene.bench(&endpoint.url, &client(folder, None));
            assert_eq!(bench.token(&Caller::named("alice")).await, Ok("issued".into()));
            assert_eq!(endpoint.asked()[index].certificate.as_ref(), Some(&paper.der));
        }
    }

    /// Edge: 10
    #[tokio::test]
    async fn a_certificate_that_was_rotated_on_disk_is_shown_at_the_next_exchange() {
        let scene = Scene::new();
        let (before, after) = (scene.authority.issue("before"), scene.authority.issue("after"));
        scene.put(&before);
        let endpoint = issuing(&scene).await;
        let bench = scene.bench(&endpoint.url, &scene.client(None));
        let ask = async |name: &str| bench.token(&Caller::named(name)).await;
        assert_eq!(ask("alice").await, Ok("issued".into()));
        scene.folder.put("key.pem", &after.key);
        assert_eq!(ask("bob").await, Ok("issued".into()), "half of the pair is replaced");
        scene.folder.put("certificate.pem", &after.certificate);
        assert_eq!(ask("carol").await, Ok("issued".into()));
        let shown: Vec<_> = endpoint.asked().into_iter().map(|asked| asked.certificate.unwrap()).collect();
        assert_eq!(shown, [before.der.clone(), before.der, after.der]);
    }

    #[tokio::test]
    async fn a_certificate_that_the_server_does_not_trust_is_the_gateways_own_fault() {
        let scene = Scene::new();
        scene.put(&scene.authority.issue("gateway"));
        let endpoint = issuing(&scene).await;
        let bench = scene.bench(&endpoint.url, &scene.client(None));
        assert_eq!(bench.token(&Caller::named("alice")).await, Ok("issued".into()));
        scene.put(&Authority::named("another one").issue("gateway"));
        let refused = bench.acquire(&Caller::named("bob")).await.err().unwrap();
        let Reason::ClientRefused { error, .. } = refused else { panic!("{refused:?}") };
        assert_eq!(error, "certificate_refused");
        assert_eq!(endpoint.count(), 1);
    }

    #[tokio::test]
    async fn a_certificate_is_not_shown_where_there_is_no_tls() {
        let scene = Scene::new();
        scene.put(&scene.authority.issue("gateway"));
        let plain = TokenEndpoint::start(|_| Reply::granted("issued", 3600)).await;
        let bench = scene.bench(&plain.url, &scene.client(None));
        assert_eq!(bench.token(&Caller::named("alice")).await, Err("SC-C05"));
        assert_eq!(plain.count(), 0);
    }

    /// Edge: 10
    #[tokio::test]
    async fn where_the_issuer_names_another_address_for_clients_with_a_certificate_that_one_is_asked() {
        let scene = Scene::new();
        scene.put(&scene.authority.issue("gateway"));
        let alias = issuing(&scene).await;
        let named = TokenEndpoint::start(|_| Reply::error(400, "invalid_client")).await;
        let metadata = TokenEndpoint::start({
            let (token, alias) = (named.url.clone(), alias.url.clone());
            move |asked| {
                let issuer = format!("http://{}", asked.headers["host"].to_str().unwrap());
                let body = serde_json::json!({
                    "issuer": issuer,
                    "token_endpoint": token,
                    "mtls_endpoint_aliases": { "token_endpoint": alias },
                });
                Reply::json(200, body.to_string())
            }
        })
        .await;
        let issuer = metadata.url.trim_end_matches("/token");
        let client = scene.client(Some(Aliases::of_issuer(issuer.into(), false)));
        let bench = scene.bench(&named.url, &client);
        for caller in ["alice", "bob"] {
            assert_eq!(bench.token(&Caller::named(caller)).await, Ok("issued".into()));
        }
        assert_eq!((alias.count(), named.count()), (2, 0));
        assert_eq!(metadata.count(), 1, "asked once");
        assert_eq!(metadata.asked()[0].path, "/.well-known/openid-configuration");
    }
}

#[cfg(test)]
mod assertions {
    use std::sync::Arc;

    use safeconduct_identity::client_auth::{
        AUDIENCE, AssertionFile, ClientAuth, IdentityService, ManagedIdentity,
    };
    use safeconduct_identity::secret_source::SecretSource;
    use serde_json::json;

    use super::support::{Asked, Bench, Caller, Folder, NOW, Reply, TokenEndpoint, exchange};

    const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

    async fn issuing() -> TokenEndpoint {
        TokenEndpoint::start(|_| Reply::granted("issued", 3600)).await
    }

    fn bench(endpoint: &TokenEndpoint, client: impl ClientAuth + 'static) -> Bench {
        let client: Arc<dyn ClientAuth> = Arc::new(client);
        Bench::new(vec![exchange(&endpoint.url, |config| config.at.client = client)])
    }

    async fn asks(bench: &Bench, caller: &str) -> Result<String, &'static str> {
        bench.token(&Caller::named(caller)).await
    }

    /// Edge: 11
    #[tokio::test]
    async fn a_token_file_is_the_assertion_and_after_its_rotation_the_new_one_is_sent() {
        let (folder, endpoint) = (Folder::new(), issuing().await);
        let file = SecretSource::file(folder.put("token", "first.service.account\n")).unwrap();
        let bench = bench(&endpoint, AssertionFile::new("gateway".into(), file));
        assert_eq!(asks(&bench, "alice").await, Ok("issued".into()));
        folder.put("token", "second.service.account");
        assert_eq!(asks(&bench, "bob").await, Ok("issued".into()));
        let asked = endpoint.asked();
        assert_eq!(asked[0].one("client_assertion"), "first.service.account");
        assert_eq!(asked[1].one("client_assertion"), "second.service.account");
        for asked in asked {
            assert_eq!(asked.one("client_assertion_type"), JWT_BEARER);
            assert_eq!(asked.one("client_id"), "gateway");
        }
    }

    /// Edge: 11
    #[tokio::test]
    async fn a_file_that_holds_no_token_is_not_sent() {
        let (folder, endpoint) = (Folder::new(), issuing().await);
        let file = SecretSource::file(folder.put("token", "a.b.c")).unwrap();
        let bench = bench(&endpoint, AssertionFile::new("gateway".into(), file));
        assert_eq!(asks(&bench, "alice").await, Ok("issued".into()));
        folder.put("token", "two words");
        assert_eq!(asks(&bench, "bob").await, Err("SC-C05"));
        assert_eq!(endpoint.count(), 1);
    }

    /// Edge: 12
    #[tokio::test]
    async fn a_jwt_svid_has_an_assertion_type_of_its_own() {
        let (folder, endpoint) = (Folder::new(), issuing().await);
        let file = SecretSource::file(folder.put("svid", "jwt.svid.one")).unwrap();
        let bench = bench(&endpoint, AssertionFile::spiffe("gateway".into(), file));
        assert_eq!(asks(&bench, "alice").await, Ok("issued".into()));
        folder.put("svid", "jwt.svid.two");
        assert_eq!(asks(&bench, "bob").await, Ok("issued".into()));
        let asked = endpoint.asked();
        assert_eq!(asked[0].one("client_assertion_type"), JWT_SPIFFE);
        assert_eq!(asked[0].one("client_assertion"), "jwt.svid.one");
        assert_eq!(asked[1].one("client_assertion"), "jwt.svid.two");
    }

    fn machine(token: &'static str) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
        move |_| {
            let body = json!({
                "access_token": token,
                "expires_on": (NOW.secs() + 3600).to_string(),
                "resource": AUDIENCE,
                "token_type": "Bearer",
            });
            Reply::json(200, body.to_string())
        }
    }

    fn identity(service: &TokenEndpoint, header: Option<&str>) -> ManagedIdentity {
        let header = header
            .map(|text| SecretSource::given(safeconduct_core::secret::Secret::new(text.into())).unwrap());
        let service = IdentityService::new(&service.url, AUDIENCE, Some("a-user-assigned-one"), header);
        ManagedIdentity::new("application".into(), service.unwrap())
    }

    /// Edge: 106
    #[tokio::test]
    async fn the_token_of_the_virtual_machine_is_the_assertion_and_is_asked_for_once() {
        let (endpoint, imds) = (issuing().await, TokenEndpoint::start(machine("of.the.machine")).await);
        let bench = bench(&endpoint, identity(&imds, None));
        for caller in ["alice", "bob"] {
            assert_eq!(asks(&bench, caller).await, Ok("issued".into()));
        }
        let asked = &imds.asked()[0];
        assert_eq!(
            asked.path,
            "/token?api-version=2018-02-01&resource=api%3A%2F%2FAzureADTokenExchange&client_id=a-user-assigned-one"
        );
        assert_eq!(asked.headers["metadata"], "true");
        assert_eq!(imds.count(), 1);
        let asked = &endpoint.asked()[1];
        assert_eq!(asked.one("client_id"), "application");
        assert_eq!(asked.one("client_assertion_type"), JWT_BEARER);
        assert_eq!(asked.one("client_assertion"), "of.the.machine");
    }

    #[tokio::test]
    async fn app_service_is_asked_with_its_header() {
        let (endpoint, service) = (issuing().await, TokenEndpoint::start(machine("of.the.site")).await);
        let bench = bench(&endpoint, identity(&service, Some("a-header-secret")));
        assert_eq!(asks(&bench, "alice").await, Ok("issued".into()));
        let asked = &service.asked()[0];
        assert!(asked.path.contains("api-version=2019-08-01"), "{}", asked.path);
        assert_eq!(asked.headers["x-identity-header"], "a-header-secret");
        assert!(asked.headers.get("metadata").is_none());
        assert_eq!(endpoint.asked()[0].one("client_assertion"), "of.the.site");
    }

    #[tokio::test]
    async fn the_machines_token_is_replaced_ahead_of_its_end_and_serves_until_then_when_that_fails() {
        let endpoint = issuing().await;
        let imds = TokenEndpoint::start(|asked: &Asked| match asked.number {
            1 => machine("first")(asked),
            2..=4 => Reply::json(410, "{}"),
            _ => {
                let body = json!({ "access_token": "second", "expires_in": "86400" });
                Reply::json(200, body.to_string())
            }
        })
        .await;
        let bench = bench(&endpoint, identity(&imds, None));
        assert_eq!(asks(&bench, "alice").await, Ok("issued".into()));
        bench.clock.advance(3400);
        assert_eq!(asks(&bench, "bob").await, Ok("issued".into()), "refused, and still good for 200 seconds");
        bench.clock.advance(31);
        assert_eq!(asks(&bench, "carol").await, Ok("issued".into()));
        bench.clock.advance(31);
        assert_eq!(asks(&bench, "dave").await, Ok("issued".into()));
        bench.clock.advance(31);
        assert_eq!(asks(&bench, "erin").await, Ok("issued".into()));
        let sent: Vec<_> =
            endpoint.asked().iter().map(|asked| asked.one("client_assertion").to_owned()).collect();
        assert_eq!(sent, ["first", "first", "first", "first", "second"]);
    }

    #[tokio::test]
    async fn a_machine_without_the_identity_is_the_gateways_own_fault_and_one_that_starts_is_not() {
        for (status, code) in [(400, "SC-C05"), (503, "SC-C07")] {
            let endpoint = issuing().await;
            let imds = TokenEndpoint::start(move |_| {
                Reply::json(status, r#"{"error":"invalid_request","error_description":"Identity not found"}"#)
            })
            .await;
            let bench = bench(&endpoint, identity(&imds, None));
            assert_eq!(asks(&bench, "alice").await, Err(code), "{status}");
            assert_eq!(endpoint.count(), 0);
        }
    }
}

#[cfg(test)]
mod bound_tokens {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use safeconduct_identity::client_auth::{ClientAuth, DpopKey, KeyBound, NoAuthentication};
    use safeconduct_identity::provider::ExchangeConfig;
    use serde_json::{Value, json};

    use super::support::{Asked, Bench, Caller, Reply, TokenEndpoint, exchange};

    fn issued(kind: &str) -> Reply {
        let body = json!({
            "access_token": "issued",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": kind,
            "expires_in": 3600,
        });
        Reply::json(200, body.to_string())
    }

    fn challenge(nonce: &str) -> Reply {
        Reply::error(400, "use_dpop_nonce").header("dpop-nonce", nonce)
    }

    fn bound(config: &mut ExchangeConfig) {
        let client: Arc<dyn ClientAuth> = Arc::new(NoAuthentication::new(Some("gateway".into())));
        config.at.client = Arc::new(KeyBound::new(client, DpopKey::generate().unwrap()));
    }

    async fn bench(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (TokenEndpoint, Bench) {
        let endpoint = TokenEndpoint::start(script).await;
        let bench = Bench::new(vec![exchange(&endpoint.url, bound)]);
        (endpoint, bench)
    }

    /// The claims of a proof.
    fn claims(proof: &http::HeaderValue) -> Value {
        let claims = proof.to_str().unwrap().split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_endpoint_is_shown_a_proof_and_what_it_issues_leaves_with_one_for_each_request() {
        let (endpoint, bench) = bench(|_| issued("DPoP")).await;
        let outbound = bench.acquire(&Caller::named("alice")).await.unwrap();
        let asked = claims(&endpoint.asked()[0].headers["dpop"]);
        assert_eq!((&asked["htm"], &asked["htu"]), (&json!("POST"), &json!(endpoint.url)));
        let [first, second] = [outbound.request(), outbound.request()];
        assert_eq!(first.headers()["authorization"], "DPoP issued");
        let (one, other) = (claims(&first.headers()["dpop"]), claims(&second.headers()["dpop"]));
        assert_eq!((&one["htm"], &one["htu"]), (&json!("POST"), &json!("http://127.0.0.1:9000/mcp")));
        assert!(one["ath"].is_string());
        assert_ne!(one["jti"], other["jti"]);
        // The proof for the token endpoint and the one for the server are of the same key.
        let key = |proof: &http::HeaderValue| proof.to_str().unwrap().split('.').next().unwrap().to_owned();
        assert_eq!(key(&endpoint.asked()[0].headers["dpop"]), key(&first.headers()["dpop"]));
    }

    /// Edge: 20
    #[tokio::test]
    async fn a_token_that_is_not_bound_is_refused_where_a_bound_one_was_asked_for_and_the_other_way_round() {
        let (_endpoint, asking) = bench(|_| issued("dpop")).await;
        assert!(asking.acquire(&Caller::named("alice")).await.is_ok(), "in any case");
        let (_endpoint, asking) = bench(|_| issued("Bearer")).await;
        assert_eq!(asking.token(&Caller::named("alice")).await, Err("SC-C06"));
        let endpoint = TokenEndpoint::start(|_| issued("DPoP")).await;
        let without = Bench::new(vec![exchange(&endpoint.url, |_| ())]);
        assert_eq!(without.token(&Caller::named("alice")).await, Err("SC-C06"));
        assert!(endpoint.asked()[0].headers.get("dpop").is_none());
    }

    /// Edge: 13
    #[tokio::test]
    async fn a_challenge_for_a_nonce_is_answered_once_and_the_nonce_is_remembered() {
        let (endpoint, bench) = bench(|asked| match asked.number {
            1 => challenge("n-1"),
            2 => issued("DPoP").header("dpop-nonce", "n-2"),
            _ => issued("DPoP"),
        })
        .await;
        for caller in ["alice", "bob"] {
            assert!(bench.acquire(&Caller::named(caller)).await.is_ok());
        }
        let proofs: Vec<_> = endpoint.asked().iter().map(|asked| claims(&asked.headers["dpop"])).collect();
        let nonces: Vec<_> = proofs.iter().map(|claims| claims.get("nonce").cloned()).collect();
        assert_eq!(nonces, [None, Some(json!("n-1")), Some(json!("n-2"))]);
        assert_ne!(proofs[0]["jti"], proofs[1]["jti"]);
    }

    /// Edge: 13
    #[tokio::test]
    async fn an_endpoint_that_is_never_content_with_its_nonce_is_asked_twice_and_no_more() {
        let (endpoint, bench) = bench(|asked| challenge(&format!("n-{}", asked.number))).await;
        assert_eq!(bench.token(&Caller::named("alice")).await, Err("SC-C05"));
        assert_eq!(endpoint.count(), 2);
    }

    #[tokio::test]
    async fn a_bound_token_may_be_the_next_steps_subject() {
        let first = TokenEndpoint::start(|_| issued("DPoP")).await;
        let second = TokenEndpoint::start(|_| Reply::granted("for-the-backend", 3600)).await;
        let bench = Bench::new(vec![exchange(&first.url, bound), exchange(&second.url, |_| ())]);
        assert_eq!(bench.token(&Caller::named("alice")).await, Ok("for-the-backend".into()));
        assert_eq!(second.asked()[0].one("subject_token"), "issued");
    }
}
