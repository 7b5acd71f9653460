//! A server that wants a better login behind a credential: the step that can ask for one does, and nobody else's
//! credential is touched by it.
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

    use safeconduct_core::caller::Principal;
    use safeconduct_core::challenge::Challenge;
    use safeconduct_core::credential::Warrant;
    use safeconduct_core::path::Outbound;
    use safeconduct_core::refusal::Reason;
    use safeconduct_core::secret::Secret;
    use safeconduct_core::time::Timestamp;
    use safeconduct_identity::acquire::{CredentialLimits, CredentialPlan};
    use safeconduct_identity::cache::Fields;
    use safeconduct_identity::provider::{
        Counterpart, Description, Exchanging, Preview, Provider, RequestedType, StaticSecret, Subject,
        token_type,
    };
    use safeconduct_identity::secret_source::SecretSource;
    use safeconduct_identity::template::{MissingClaim, Template};
    use serde_json::json;

    use super::support::{Asked, Bench, Caller, Reply, TokenEndpoint, exchange, sent};

    const CLAIMS: &str = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;

    /// A step that asks with the claims of a challenge, as Entra's on-behalf-of does.
    struct Heeding {
        url: String,
        plain: Arc<dyn Provider>,
    }

    fn heeding(url: &str) -> Arc<dyn Provider> {
        Arc::new(Heeding { url: url.to_owned(), plain: exchange(url, |_| ()) })
    }

    impl Provider for Heeding {
        fn name(&self) -> &'static str {
            "heeding"
        }

        fn description(&self) -> Description {
            self.plain.description()
        }

        fn identify(&self, fields: &mut Fields) {
            self.plain.identify(fields);
        }

        fn inputs(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim> {
            self.plain.inputs(caller, fields)
        }

        fn preview(&self, caller: &Principal, subject: &str) -> Result<Preview, MissingClaim> {
            self.plain.preview(caller, subject)
        }

        fn counterpart(&self) -> Option<Counterpart<'_>> {
            self.plain.counterpart()
        }

        fn max_lifetime(&self) -> Duration {
            self.plain.max_lifetime()
        }

        fn heeds_challenges(&self) -> bool {
            true
        }

        fn exchange(&self, warrant: &Warrant, subject: Subject, now: Timestamp) -> Exchanging {
            match warrant.challenge().and_then(|challenge| challenge.claims.as_deref()) {
                Some(claims) => {
                    let asking = exchange(&self.url, |config| {
                        config.targets.parameters = vec![("claims".into(), Template::fixed(claims))];
                    });
                    asking.exchange(warrant, subject, now)
                }
                None => self.plain.exchange(warrant, subject, now),
            }
        }
    }

    fn claims(text: &str) -> Challenge {
        Challenge { claims: Some(text.into()), ..Challenge::default() }
    }

    fn step_up(text: &str) -> Reason {
        Reason::StepUpRequired { acr_values: None, max_age: None, claims: Some(text.into()) }
    }

    async fn meet(bench: &Bench, outbound: Outbound, challenge: Challenge) -> Result<Outbound, Reason> {
        let met = bench.credentials.meet(outbound, challenge, bench.clock.now()).await;
        met.map_err(|refusal| refusal.reason)
    }

    /// Tokens that say whether they were asked for with claims, and which one they are.
    async fn issuing() -> TokenEndpoint {
        TokenEndpoint::start(|asked| {
            let how = asked.all("claims").first().map_or("plain", |_| "challenged");
            Reply::granted(&format!("{how}-{}", asked.number), 3600)
        })
        .await
    }

    fn asked_claims(asked: &Asked) -> Option<String> {
        asked.all("claims").first().map(|claims| (*claims).to_owned())
    }

    /// Edge: 57
    #[tokio::test]
    async fn claims_are_asked_for_once_and_what_they_gave_serves_the_callers_other_calls() {
        let endpoint = issuing().await;
        let bench = Bench::new(vec![heeding(&endpoint.url)]);
        let alice = Caller::named("alice");
        let outbound = bench.acquire(&alice).await.unwrap();
        assert_eq!(sent(&outbound), "plain-1");
        let met = meet(&bench, outbound, claims(CLAIMS)).await.unwrap();
        assert_eq!(sent(&met), "challenged-2");
        assert_eq!(asked_claims(&endpoint.asked()[1]).as_deref(), Some(CLAIMS));
        assert_eq!(bench.token(&alice).await.unwrap(), "challenged-2");
        assert_eq!(bench.token(&Caller::named("bob")).await.unwrap(), "plain-3");
        assert_eq!(endpoint.count(), 3);
    }

    /// Edge: 57
    #[tokio::test]
    async fn a_challenge_that_a_new_credential_does_not_meet_goes_to_the_caller_and_is_not_asked_again() {
        let endpoint = issuing().await;
        let bench = Bench::new(vec![heeding(&endpoint.url)]);
        let outbound = bench.acquire(&Caller::named("alice")).await.unwrap();
        let met = meet(&bench, outbound, claims(CLAIMS)).await.unwrap();
        // The next call's credential is the one that was got on the challenge already.
        assert_eq!(meet(&bench, met, claims(CLAIMS)).await.err(), Some(step_up(CLAIMS)));
        assert_eq!(endpoint.count(), 2);
    }

    /// Edge: 57
    #[tokio::test]
    async fn what_the_provider_wants_of_the_login_itself_goes_to_the_caller() {
        let own = r#"{"access_token":{"capolids":{"essential":true,"values":["p1"]}}}"#;
        let endpoint = TokenEndpoint::start(move |asked| match asked_claims(asked) {
            None => Reply::granted("plain", 3600),
            Some(_) => Reply::json(400, json!({"error": "interaction_required", "claims": own}).to_string()),
        })
        .await;
        let bench = Bench::new(vec![heeding(&endpoint.url)]);
        let alice = Caller::named("alice");
        let outbound = bench.acquire(&alice).await.unwrap();
        assert_eq!(meet(&bench, outbound, claims(CLAIMS)).await.err(), Some(step_up(own)));
        assert_eq!(bench.token(&alice).await.unwrap(), "plain", "as good as before for other calls");
        assert_eq!(endpoint.count(), 2);
    }

    /// Edge: 58
    #[tokio::test]
    async fn a_challenge_that_no_step_understands_goes_to_the_caller_and_costs_nothing() {
        let endpoint = issuing().await;
        let bench = Bench::new(vec![exchange(&endpoint.url, |_| ())]);
        let alice = Caller::named("alice");
        let outbound = bench.acquire(&alice).await.unwrap();
        let wants = Challenge { acr_values: Some("gold".into()), max_age: Some(60), claims: None };
        let told =
            Reason::StepUpRequired { acr_values: Some("gold".into()), max_age: Some(60), claims: None };
        assert_eq!(meet(&bench, outbound, wants).await.err(), Some(told));
        assert_eq!(bench.token(&alice).await.unwrap(), "plain-1");
        assert_eq!(endpoint.count(), 1);
    }

    #[tokio::test]
    async fn a_credential_that_is_nobodys_login_cannot_be_bettered_by_one() {
        let secret = StaticSecret::new(SecretSource::given(Secret::new(b"key".to_vec())).unwrap());
        for plan in [CredentialPlan::Static(secret), CredentialPlan::None] {
            let bench = Bench::with(plan, CredentialLimits::default());
            let outbound = bench.acquire(&Caller::named("alice")).await.unwrap();
            let refused = meet(&bench, outbound, claims(CLAIMS)).await.err();
            assert_eq!(refused, Some(Reason::BackendRefusedCredential(401)));
        }
    }

    /// Edge: 35, 57
    #[tokio::test]
    async fn another_challenge_and_another_caller_are_asked_for_apart_and_the_same_together() {
        let endpoint = issuing().await;
        let bench = Arc::new(Bench::new(vec![heeding(&endpoint.url)]));
        let mut challenged = Vec::new();
        for (who, text) in [
            ("alice", CLAIMS),
            ("alice", CLAIMS),
            ("alice", CLAIMS),
            ("alice", r#"{"a":1}"#),
            ("bob", CLAIMS),
        ] {
            challenged.push((bench.acquire(&Caller::named(who)).await.unwrap(), claims(text)));
        }
        assert_eq!(endpoint.count(), 2, "one for each caller");
        let met: Vec<_> = challenged
            .into_iter()
            .map(|(outbound, challenge)| {
                let bench = bench.clone();
                tokio::spawn(async move { sent(&meet(&bench, outbound, challenge).await.unwrap()) })
            })
            .collect();
        let mut tokens = Vec::new();
        for token in met {
            tokens.push(token.await.unwrap());
        }
        assert_eq!((&tokens[0], &tokens[0]), (&tokens[1], &tokens[2]));
        assert!(tokens[0] != tokens[3] && tokens[0] != tokens[4] && tokens[3] != tokens[4]);
        assert_eq!(endpoint.count(), 5);
    }

    /// Edge: 57
    #[tokio::test]
    async fn of_a_chain_only_the_steps_that_depend_on_the_challenge_are_asked_again() {
        let one = TokenEndpoint::start(|asked| {
            let body = json!({
                "access_token": format!("one-{}", asked.number), "issued_token_type": token_type::JWT,
                "token_type": "N_A", "expires_in": 3600,
            });
            Reply::json(200, body.to_string())
        })
        .await;
        let two = issuing().await;
        let jwt = RequestedType::Custom(token_type::JWT.into());
        let first = exchange(&one.url, |config| config.requested_token_type = jwt);
        let bench = Bench::new(vec![first, heeding(&two.url)]);
        let outbound = bench.acquire(&Caller::named("alice")).await.unwrap();
        let met = meet(&bench, outbound, claims(CLAIMS)).await.unwrap();
        assert_eq!(sent(&met), "challenged-2");
        assert_eq!((one.count(), two.count()), (1, 2));
        assert_eq!(two.asked()[1].one("subject_token"), "one-1");
    }
}
