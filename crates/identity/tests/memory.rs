//! What ten thousand kept credentials cost. A program of its own: nothing else is allocated meanwhile.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used)]

#[cfg(test)]
mod support;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use safeconduct_core::caller::Principal;
    use safeconduct_core::credential::Warrant;
    use safeconduct_core::material::Material;
    use safeconduct_core::secret::Secret;
    use safeconduct_core::time::Timestamp;
    use safeconduct_identity::cache::Fields;
    use safeconduct_identity::provider::{
        Counterpart, Description, Exchanging, Granted, Preview, Provider, Subject, Use,
    };
    use safeconduct_identity::template::MissingClaim;

    use super::support::{Bench, Caller};

    /// Grants a token of 1 KiB at once.
    struct Mint {
        words: Arc<[Box<str>]>,
    }

    impl Provider for Mint {
        fn name(&self) -> &'static str {
            "mint"
        }

        fn description(&self) -> Description {
            let none = Vec::new;
            Description {
                step: "mint".into(),
                endpoint: None,
                client: None,
                authentication: None,
                audience: none(),
                scopes: none(),
            }
        }

        fn identify(&self, fields: &mut Fields) {
            fields.text("mint");
        }

        fn inputs(&self, _: &Principal, _: &mut Fields) -> Result<(), MissingClaim> {
            Ok(())
        }

        fn preview(&self, _: &Principal, _: &str) -> Result<Preview, MissingClaim> {
            Ok(Vec::new())
        }

        fn counterpart(&self) -> Option<Counterpart<'_>> {
            None
        }

        fn max_lifetime(&self) -> Duration {
            Duration::from_secs(3600)
        }

        fn exchange(&self, _: &Warrant, _: Subject, now: Timestamp) -> Exchanging {
            let (audience, scopes) = (self.words.clone(), self.words.clone());
            Box::pin(async move {
                let token = Secret::new(vec![b'x'; 1024]);
                let expires = Some(now.plus(Duration::from_secs(3600)));
                Ok(Granted {
                    material: Material::Token(token),
                    usable: Use::Bearer,
                    expires,
                    audience,
                    scopes,
                })
            })
        }
    }

    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// Edge: 42
    #[tokio::test]
    async fn a_kept_credential_with_a_token_of_a_kilobyte_takes_at_most_two() {
        let bench = Bench::new(vec![Arc::new(Mint { words: Arc::new(["read".into()]) })]);
        let fill = async |from: usize, to: usize| {
            for number in from..to {
                bench.token(&Caller::named(&format!("user{number}"))).await.unwrap();
                bench.edge.records();
            }
        };
        // What the first ones cost is the program's own: code, stacks, arenas.
        fill(0, 1000).await;
        let (before, kept) = (resident(), bench.store.status());
        fill(1000, 11_000).await;
        let each = (resident() - before) / 10_000;
        assert_eq!(bench.store.status().entries, 11_000);
        assert!(each <= 2048, "{each} bytes for each");
        let counted = (bench.store.status().bytes - kept.bytes) / 10_000;
        assert!(counted >= 1024 && counted * 10 >= each * 8, "{counted} counted, {each} taken");
        println!("{each} bytes for each kept credential, {counted} counted");
    }
}
