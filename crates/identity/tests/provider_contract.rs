//! What every provider must do, whatever it asks and of whom: the table grows by one row with each provider.
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
    use std::time::{Duration, Instant};

    use safeconduct_core::server::Delivery;
    use safeconduct_identity::provider::{
        EntraOboConfig, GoogleStsOptions, Provider, TokenEndpoint as TokenEndpointConfig, VaultConfig,
    };
    use serde_json::json;
    use tokio::sync::Semaphore;

    use super::support::{
        Bench, Caller, HandedOn, NOW, Reply, TokenEndpoint, assertion, aws, client_credentials, entra_obo,
        exchange, google, id_jag, jwt, jwt_bearer, sent, until, vault,
    };

    /// One provider: how it is made for an endpoint, and what its endpoint says.
    struct Row {
        name: &'static str,
        /// The provider, and what else a chain that ends in a credential needs.
        make: fn(&str) -> Vec<Arc<dyn Provider>>,
        /// How its credential is delivered.
        delivery: fn() -> Delivery,
        /// The token of a success, or the id of the keys.
        token: fn() -> String,
        /// A success, with that token.
        granted: fn(String) -> Reply,
        /// The caller may not have it.
        refused: fn() -> Reply,
        /// The caller's token has ended, says the endpoint; None for what asks in no caller's name.
        expired: Option<fn() -> Reply>,
        /// The token of a success for somebody else; None where the answer cannot tell.
        wrong_audience: Option<fn() -> String>,
    }

    impl Row {
        /// Requests that one exchange takes.
        fn requests(&self) -> usize {
            if self.name == "vault" { 2 } else { 1 }
        }

        fn success(&self) -> impl Fn() -> Reply + Send + Sync + use<> {
            let (granted, token) = (self.granted, (self.token)());
            move || granted(token.clone())
        }
    }

    fn issued() -> String {
        "issued".into()
    }

    fn for_somebody_else() -> String {
        jwt(&json!({ "aud": "somebody-else", "exp": NOW.secs() + 3600 }))
    }

    /// Keys of another's session.
    fn bobs() -> String {
        "ASIABOB".into()
    }

    fn whose(id: &str) -> &'static str {
        if id == "ASIABOB" { "bob" } else { "alice" }
    }

    fn impatient(at: &mut TokenEndpointConfig) {
        at.attempt_timeout = Duration::from_secs(1);
    }

    const TABLE: &[Row] = &[
        Row {
            name: "exchange",
            make: |url| vec![exchange(url, |config| impatient(&mut config.at))],
            delivery: Delivery::default,
            token: issued,
            granted: |token| Reply::granted(&token, 3600),
            refused: || Reply::error(400, "invalid_target"),
            expired: Some(|| Reply::error(400, "invalid_grant")),
            wrong_audience: Some(for_somebody_else),
        },
        Row {
            name: "client_credentials",
            make: |url| vec![client_credentials(url, |config| impatient(&mut config.at))],
            delivery: Delivery::default,
            token: issued,
            granted: |token| Reply::token(&token, 3600),
            refused: || Reply::error(400, "invalid_scope"),
            expired: None,
            wrong_audience: Some(for_somebody_else),
        },
        Row {
            name: "jwt_bearer",
            make: |url| vec![jwt_bearer(url, |config| impatient(&mut config.at))],
            delivery: Delivery::default,
            token: issued,
            granted: |token| Reply::token(&token, 3600),
            refused: || Reply::error(400, "unauthorized_client"),
            expired: Some(|| Reply::error(400, "invalid_grant")),
            wrong_audience: Some(for_somebody_else),
        },
        Row {
            name: "entra_obo",
            make: |url| {
                let impatient = |config: &mut EntraOboConfig| {
                    impatient(&mut config.at);
                    config.expected_audience = vec!["https://graph.microsoft.com".into()];
                };
                vec![entra_obo(url, impatient)]
            },
            delivery: Delivery::default,
            token: issued,
            granted: |token| Reply::entra(&token, "User.Read"),
            refused: || Reply::json(400, r#"{"error":"invalid_grant","error_codes":[50105]}"#),
            expired: Some(|| Reply::json(400, r#"{"error":"invalid_grant","error_codes":[500133]}"#)),
            wrong_audience: Some(for_somebody_else),
        },
        Row {
            name: "google_sts",
            make: |url| vec![google::sts(url, GoogleStsOptions::default())],
            delivery: Delivery::default,
            token: issued,
            granted: |token| Reply::granted(&token, 3600),
            refused: || Reply::error(400, "unauthorized_client"),
            expired: Some(|| {
                Reply::json(
                    400,
                    r#"{"error":"invalid_grant","error_description":"ID Token issued at 1749625771 is stale to sign-in."}"#,
                )
            }),
            wrong_audience: None,
        },
        Row {
            name: "google_impersonate",
            make: |url| vec![google::federated(), google::impersonate(url)],
            delivery: Delivery::default,
            token: issued,
            granted: |token| google::impersonated(&token),
            refused: || google::refusal(403, "PERMISSION_DENIED"),
            expired: Some(|| google::refusal(401, "UNAUTHENTICATED")),
            wrong_audience: None,
        },
        Row {
            name: "google_id_token",
            make: |url| vec![google::federated(), google::id_token(url)],
            delivery: Delivery::default,
            token: || jwt(&json!({ "aud": google::SERVICE, "exp": NOW.secs() + 3600 })),
            granted: |token| Reply::json(200, json!({ "token": token }).to_string()),
            refused: || google::refusal(403, "PERMISSION_DENIED"),
            expired: Some(|| google::refusal(401, "UNAUTHENTICATED")),
            wrong_audience: Some(for_somebody_else),
        },
        Row {
            name: "id_jag",
            make: |url| vec![id_jag(url, |config| impatient(&mut config.at)), Arc::new(HandedOn)],
            delivery: Delivery::default,
            token: || assertion(&json!({})),
            granted: |token| Reply::id_jag(&token),
            refused: || Reply::error(403, "access_denied"),
            expired: Some(|| Reply::error(400, "invalid_grant")),
            wrong_audience: Some(|| assertion(&json!({ "aud": "https://somebody.else" }))),
        },
        Row {
            name: "vault",
            make: |url| {
                let impatient = |config: &mut VaultConfig| config.attempt_timeout = Duration::from_secs(1);
                vec![vault(url, &Arc::default(), impatient)]
            },
            delivery: Delivery::default,
            token: issued,
            // The answer to both: the login, and the secret.
            granted: |token| {
                let auth = json!({ "client_token": "hvs.one", "lease_duration": 900, "renewable": true });
                Reply::json(200, json!({ "auth": auth, "data": { "key": token } }).to_string())
            },
            refused: || Reply::json(400, r#"{"errors":["role \"mcp\" could not be found"]}"#),
            expired: Some(|| Reply::json(400, r#"{"errors":["error validating token: token is expired"]}"#)),
            wrong_audience: None,
        },
        Row {
            name: "aws_web_identity",
            make: |url| vec![aws::web_identity(url, |_| {})],
            delivery: aws::sigv4,
            token: issued,
            granted: |id| aws::issued("AssumeRoleWithWebIdentity", &id, whose(&id), &aws::in_an_hour()),
            refused: || {
                aws::refusal(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
            },
            expired: Some(|| aws::refusal(400, "ExpiredTokenException", "Token expired: current date ...")),
            wrong_audience: Some(bobs),
        },
        Row {
            name: "aws_assume_role",
            make: |url| vec![Arc::new(aws::Keys("ASIAFIRST")), aws::assume_role(url, |_| {})],
            delivery: aws::sigv4,
            token: issued,
            granted: |id| aws::issued("AssumeRole", &id, whose(&id), &aws::in_an_hour()),
            refused: || aws::refusal(403, "AccessDenied", "x is not authorized to perform: sts:AssumeRole"),
            expired: Some(|| {
                aws::refusal(403, "ExpiredToken", "The security token included in the request is expired")
            }),
            wrong_audience: Some(bobs),
        },
    ];

    /// The provider at an endpoint, and what is around it.
    fn bench(row: &Row, url: &str) -> Bench {
        Bench::delivering((row.delivery)(), (row.make)(url))
    }

    /// The provider at an endpoint with this script, and what a call comes to.
    async fn outcome(
        row: &Row,
        script: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Result<String, &'static str> {
        let endpoint = TokenEndpoint::start(move |asked| script(asked.number)).await;
        bench(row, &endpoint.url).token(&Caller::named("alice")).await
    }

    #[tokio::test]
    async fn granted() {
        for row in TABLE {
            let granted = row.success();
            assert_eq!(outcome(row, move |_| granted()).await, Ok((row.token)()), "{}", row.name);
        }
    }

    #[tokio::test]
    async fn refused() {
        for row in TABLE {
            let refused = row.refused;
            assert_eq!(outcome(row, move |_| refused()).await, Err("SC-C02"), "{}", row.name);
        }
    }

    #[tokio::test]
    async fn expired() {
        for (row, expired) in TABLE.iter().filter_map(|row| Some((row, row.expired?))) {
            assert_eq!(outcome(row, move |_| expired()).await, Err("SC-C01"), "{}", row.name);
        }
    }

    #[tokio::test]
    async fn wrong_audience() {
        for (row, wrong) in TABLE.iter().filter_map(|row| Some((row, row.wrong_audience?))) {
            assert_eq!(outcome(row, move |_| (row.granted)(wrong())).await, Err("SC-C06"), "{}", row.name);
        }
    }

    #[tokio::test]
    async fn a_server_error_then_success() {
        for row in TABLE {
            let granted = row.success();
            let script = move |number| if number == 1 { Reply::json(503, "") } else { granted() };
            assert_eq!(outcome(row, script).await, Ok((row.token)()), "{}", row.name);
            assert_eq!(outcome(row, |_| Reply::json(503, "")).await, Err("SC-C07"), "{}", row.name);
        }
    }

    #[tokio::test]
    async fn a_broken_connection_then_success() {
        for row in TABLE {
            let granted = row.success();
            let script = move |number| if number == 1 { Reply::broken() } else { granted() };
            assert_eq!(outcome(row, script).await, Ok((row.token)()), "{}", row.name);
        }
    }

    /// Edge: 34
    #[tokio::test]
    async fn no_answer_in_time() {
        for row in TABLE {
            let never = Arc::new(Semaphore::new(0));
            let (granted, began) = (row.success(), Instant::now());
            let outcome = outcome(row, move |_| granted().when(&never)).await;
            assert_eq!(outcome, Err("SC-C07"), "{}", row.name);
            assert!(began.elapsed() < Duration::from_secs(5), "{}", row.name);
        }
    }

    /// Edge: 15
    #[tokio::test]
    async fn a_megabyte_too_much() {
        for row in TABLE {
            let outcome = outcome(row, |_| Reply::json(200, format!("\"{}\"", "x".repeat(1 << 20)))).await;
            assert_eq!(outcome, Err("SC-C06"), "{}", row.name);
        }
    }

    /// Edge: 15
    #[tokio::test]
    async fn not_json_and_not_xml() {
        for row in TABLE {
            for body in ["", "<html></html>", "<html>", "{", "[]", "null", "\"token\"", "\u{feff}{}"] {
                assert_eq!(
                    outcome(row, move |_| Reply::json(200, body)).await,
                    Err("SC-C06"),
                    "{} {body}",
                    row.name
                );
            }
        }
    }

    #[tokio::test]
    async fn slow_but_in_time() {
        for row in TABLE {
            let gate = Arc::new(Semaphore::new(0));
            let (granted, held) = (row.success(), gate.clone());
            let endpoint = TokenEndpoint::start(move |_| granted().when(&held)).await;
            let bench = Arc::new(bench(row, &endpoint.url));
            let call = tokio::spawn({
                let bench = bench.clone();
                async move { bench.acquire(&Caller::named("alice")).await.map(|outbound| sent(&outbound)) }
            });
            until(|| endpoint.count() == 1).await;
            gate.add_permits(row.requests());
            assert_eq!(call.await.unwrap().unwrap(), (row.token)(), "{}", row.name);
        }
    }

    /// Edge: 33
    #[tokio::test]
    async fn cancelled() {
        for row in TABLE {
            let gate = Arc::new(Semaphore::new(0));
            let (granted, held) = (row.success(), gate.clone());
            let endpoint = TokenEndpoint::start(move |_| granted().when(&held)).await;
            let bench = Arc::new(bench(row, &endpoint.url));
            let call = tokio::spawn({
                let bench = bench.clone();
                async move { bench.token(&Caller::named("alice")).await }
            });
            until(|| endpoint.count() == 1).await;
            call.abort();
            gate.add_permits(row.requests());
            until(|| bench.store.status().entries == 1).await;
            assert_eq!(bench.token(&Caller::named("alice")).await, Ok((row.token)()), "{}", row.name);
            assert_eq!(endpoint.count(), row.requests(), "{}", row.name);
        }
    }

    #[tokio::test]
    async fn it_names_itself_and_its_counterpart_and_no_secret() {
        for row in TABLE {
            let steps = (row.make)("http://127.0.0.1:1/token");
            let provider = steps.iter().find(|step| step.name() == row.name).unwrap();
            assert_eq!(&*provider.description().step, row.name);
            assert!(
                provider
                    .counterpart()
                    .is_some_and(|counterpart| counterpart.endpoint.contains("127.0.0.1:1"))
            );
        }
    }
}
