//! Nothing that is logged, refused, recorded or counted holds a token or a secret. A program of its own,
//! because it listens to everything that is logged.
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
    use std::fmt::{Debug, Write};
    use std::sync::{Arc, Mutex};

    use safeconduct_core::secret::Secret;
    use safeconduct_identity::client_auth::{BasicEncoding, ClientSecretBasic};
    use safeconduct_identity::secret_source::SecretSource;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id};
    use tracing::{Event, Metadata, Subscriber};

    use super::support::{Asked, Bench, Caller, Reply, TokenEndpoint, exchange};

    /// Writes down everything, at every level.
    #[derive(Clone, Default)]
    struct Ear(Arc<Mutex<String>>);

    struct Pen<'a>(&'a mut String);

    impl Visit for Pen<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            writeln!(self.0, "{field}={value:?}").unwrap();
        }
    }

    impl Subscriber for Ear {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, span: &Attributes<'_>) -> Id {
            span.record(&mut Pen(&mut self.0.lock().unwrap()));
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, values: &tracing::span::Record<'_>) {
            values.record(&mut Pen(&mut self.0.lock().unwrap()));
        }

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut Pen(&mut self.0.lock().unwrap()));
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// Row: A16
    /// Edge: 46
    #[tokio::test]
    async fn no_token_and_no_secret_is_ever_logged_refused_recorded_or_counted() {
        let ear = Ear::default();
        tracing::subscriber::set_global_default(ear.clone()).unwrap();
        // Everything that can be answered, with the tokens repeated wherever a server may repeat them.
        let endpoint = TokenEndpoint::start(|asked: &Asked| {
            let token = asked.one("subject_token");
            let says = |status, error: &str| {
                let body =
                    serde_json::json!({ "error": error, "error_description": format!("bad token {token}") });
                Reply::json(status, body.to_string())
            };
            match asked.number {
                1 => Reply::granted("marker-issued-token", 3600),
                2 => says(400, "invalid_grant"),
                3 => says(403, "access_denied"),
                4 => Reply::json(200, format!("<html>{token}</html>")),
                5 => Reply::granted(token, 3600),
                6 => Reply::granted(&format!("{token}\r\n"), 3600),
                7 => says(401, "invalid_client"),
                _ => Reply::broken(),
            }
        })
        .await;
        let bench = Bench::new(vec![exchange(&endpoint.url, |config| {
            let secret = SecretSource::given(Secret::new(b"marker-client-secret".to_vec())).unwrap();
            let client = ClientSecretBasic::new("gateway".into(), secret, BasicEncoding::Form).unwrap();
            config.at.client = Arc::new(client);
        })]);
        let (mut told, mut tokens) = (String::new(), Vec::new());
        for number in 0..9 {
            let caller = Caller::named(&format!("user{number}"));
            tokens.push(caller.token());
            match bench.acquire(&caller).await {
                Ok(outbound) => writeln!(told, "{:?}", outbound.credential().record()).unwrap(),
                Err(reason) => writeln!(told, "{reason:?}").unwrap(),
            }
            bench.clock.advance(31);
        }
        writeln!(told, "{:?} {:?}", bench.store.status(), bench.store.counters()).unwrap();
        writeln!(told, "{:?} {:?}", bench.credentials.describe("orders"), bench.edge.records()).unwrap();
        told.push_str(&ear.0.lock().unwrap());
        assert!(told.contains("invalid_grant") && told.contains("bad token [...]"), "it does say something");
        for secret in tokens.iter().map(String::as_str).chain(["marker-issued-token", "marker-client-secret"])
        {
            let parts = secret.split('.').filter(|part| part.len() >= 40);
            for part in parts.chain([secret]) {
                assert!(!told.contains(part), "a secret was told");
            }
        }
    }
}
