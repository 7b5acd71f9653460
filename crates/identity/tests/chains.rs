//! Chains of several steps: each kept on its own, each failure named by its step.
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

    use safeconduct_core::refusal::Reason;
    use safeconduct_identity::provider::{Provider, RequestedType, token_type};
    use safeconduct_identity::template::Template;
    use serde_json::json;

    use super::support::{Asked, Bench, Caller, Reply, TokenEndpoint, exchange};

    /// The first step's token is good for the second step only.
    fn first(url: &str) -> Arc<dyn Provider> {
        exchange(url, |config| config.requested_token_type = RequestedType::Custom(token_type::JWT.into()))
    }

    fn second(url: &str) -> Arc<dyn Provider> {
        exchange(url, |config| {
            config.targets.audience = vec![Template::fixed("second-domain")];
            config.subject_token_type = token_type::JWT.into();
        })
    }

    fn subject_only(asked: &Asked, expires_in: u64) -> Reply {
        let body = json!({
            "access_token": format!("one-{}", asked.number),
            "issued_token_type": token_type::JWT,
            "token_type": "N_A",
            "expires_in": expires_in,
        });
        Reply::json(200, body.to_string())
    }

    fn derived(asked: &Asked, expires_in: u64) -> Reply {
        Reply::granted(&format!("two-{}-of-{}", asked.number, asked.one("subject_token")), expires_in)
    }

    /// Edge: 18
    #[tokio::test]
    async fn each_steps_result_is_the_next_ones_subject_and_each_is_kept_for_its_own_time() {
        let one = TokenEndpoint::start(|asked| subject_only(asked, 3600)).await;
        let two = TokenEndpoint::start(|asked| derived(asked, 100)).await;
        let bench = Bench::new(vec![first(&one.url), second(&two.url)]);
        let alice = Caller::named("alice");
        let outbound = bench.acquire(&alice).await.unwrap();
        assert_eq!(super::support::sent(&outbound), "two-1-of-one-1");
        assert_eq!(&*outbound.credential().record().steps, ["exchange".into(), "exchange[2]".into()]);
        assert_eq!(two.asked()[0].one("subject_token_type"), token_type::JWT);
        bench.clock.advance(95);
        assert_eq!(bench.token(&alice).await.unwrap(), "two-2-of-one-1");
        assert_eq!((one.count(), two.count()), (1, 2));
        let steps: Vec<_> = bench.credentials.describe("orders").unwrap();
        assert_eq!((&*steps[0].step, &*steps[1].step), ("exchange", "exchange[2]"));
        assert_eq!(*steps[1].audience, ["second-domain".into()]);
    }

    #[tokio::test]
    async fn a_failure_names_its_step_and_the_other_one_is_not_asked_for_nothing() {
        let refusing = Arc::new(AtomicBool::new(true));
        let now = refusing.clone();
        let one = TokenEndpoint::start(move |asked| match now.load(Ordering::SeqCst) {
            true => Reply::error(400, "invalid_target"),
            false => subject_only(asked, 3600),
        })
        .await;
        let two = TokenEndpoint::start(|_| Reply::error(403, "access_denied")).await;
        let bench = Bench::new(vec![first(&one.url), second(&two.url)]);
        let step = |reason: Reason| match reason {
            Reason::ExchangeDenied { step, .. } => step,
            _ => panic!(),
        };
        for _ in 0..3 {
            assert_eq!(step(bench.acquire(&Caller::named("alice")).await.err().unwrap()), "exchange");
        }
        assert_eq!((one.count(), two.count()), (1, 0));
        refusing.store(false, Ordering::SeqCst);
        bench.clock.advance(15);
        for _ in 0..3 {
            assert_eq!(step(bench.acquire(&Caller::named("alice")).await.err().unwrap()), "exchange[2]");
        }
        assert_eq!((one.count(), two.count()), (2, 1));
    }

    #[tokio::test]
    async fn a_kept_subject_that_the_next_step_refuses_is_bought_again_once() {
        let one = TokenEndpoint::start(|asked| subject_only(asked, 3600)).await;
        let revoked = Arc::new(AtomicBool::new(false));
        let is_revoked = revoked.clone();
        let two = TokenEndpoint::start(move |asked| {
            let old = asked.one("subject_token") == "one-1" && is_revoked.load(Ordering::SeqCst);
            if old { Reply::error(400, "invalid_grant") } else { derived(asked, 100) }
        })
        .await;
        let bench = Bench::new(vec![first(&one.url), second(&two.url)]);
        let alice = Caller::named("alice");
        assert_eq!(bench.token(&alice).await.unwrap(), "two-1-of-one-1");
        revoked.store(true, Ordering::SeqCst);
        bench.clock.advance(95);
        assert_eq!(bench.token(&alice).await.unwrap(), "two-3-of-one-2");
        assert_eq!((one.count(), two.count()), (2, 3));
    }

    /// A token that is only good as a subject is never sent to a server.
    /// Edge: 18
    #[tokio::test]
    async fn a_chain_that_ends_in_a_subject_gives_no_credential() {
        let one = TokenEndpoint::start(|asked| subject_only(asked, 3600)).await;
        let bench = Bench::new(vec![first(&one.url)]);
        assert_eq!(bench.token(&Caller::named("alice")).await, Err("SC-C06"));
    }

    #[tokio::test]
    async fn a_chain_can_be_walked_by_hand_past_the_cache() {
        let one = TokenEndpoint::start(|asked| subject_only(asked, 3600)).await;
        let two = TokenEndpoint::start(|asked| match asked.number {
            3 => Reply::error(400, "invalid_scope"),
            _ => derived(asked, 100),
        })
        .await;
        let bench = Bench::new(vec![first(&one.url), second(&two.url)]);
        let alice = Caller::named("alice");
        bench.token(&alice).await.unwrap();
        let warrant = bench.edge.permitted(&alice, bench.clock.now()).warrant();
        let walk = bench.credentials.walk(&warrant).await;
        let steps: Vec<_> = walk
            .granted
            .iter()
            .map(|step| (&*step.step, step.material.token().unwrap().expose_str().unwrap()))
            .collect();
        assert_eq!(steps, [("exchange", "one-2"), ("exchange[2]", "two-2-of-one-2")]);
        assert!(walk.failure.is_none());
        let walk = bench.credentials.walk(&warrant).await;
        assert_eq!(walk.granted.len(), 1);
        let stopped = walk.failure.unwrap();
        assert_eq!((&*stopped.step, stopped.reason.code()), ("exchange[2]", "SC-C02"));
    }
}
