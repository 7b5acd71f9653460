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
    use safeconduct_identity::provider::{Exchange, ExchangeConfig};
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
            let config = ExchangeConfig { client: client.clone(), ..exchange_config(url) };
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
