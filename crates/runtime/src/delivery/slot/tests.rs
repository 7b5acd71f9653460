use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;
use tokio::sync::Semaphore;
use tokio::time::{advance, sleep};

use super::{Held, Renew, Slot, Unavailable, wall};
use crate::masks::Masks;

const MINUTE: Duration = Duration::from_secs(60);
const ENOUGH: Duration = Duration::from_secs(300);
const PATIENCE: Duration = Duration::from_secs(2);

fn held(text: &str, left: Duration) -> Held {
    Held {
        material: Arc::new(Material::Token(Secret::new(text.as_bytes().to_vec()))),
        expires: Some(wall().plus(left)),
        scopes: Arc::new([]),
        audience: Arc::new([]),
    }
}

/// Answers with this, after being let; counts.
struct Asked {
    answer: Option<Held>,
    let_through: Semaphore,
    times: AtomicUsize,
}

impl Asked {
    fn answering(answer: Option<Held>) -> Arc<Self> {
        Arc::new(Self { answer, let_through: Semaphore::new(1000), times: AtomicUsize::new(0) })
    }

    fn held_up(answer: Option<Held>) -> Arc<Self> {
        Arc::new(Self { answer, let_through: Semaphore::new(0), times: AtomicUsize::new(0) })
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::Relaxed)
    }
}

impl Renew for Asked {
    fn renew(&self) -> Pin<Box<dyn Future<Output = Option<Held>> + Send + '_>> {
        Box::pin(async {
            self.times.fetch_add(1, Ordering::Relaxed);
            let _ = self.let_through.acquire().await;
            self.answer.clone()
        })
    }
}

fn slot(first: Held, renew: &Arc<Asked>) -> Arc<Slot> {
    Slot::new(first, Some(renew.clone()), Arc::new(Masks::default()))
}

async fn taken(slot: &Slot) -> Result<String, Unavailable> {
    let present = slot.take(ENOUGH, PATIENCE).await?;
    assert!(present.left >= Duration::from_secs(1));
    Ok(present.held.material.token().unwrap().expose_str().unwrap().to_owned())
}

#[tokio::test(start_paused = true)]
async fn what_holds_long_enough_is_given_and_nobody_is_asked() {
    let renew = Asked::answering(Some(held("fresh", MINUTE * 60)));
    let slot = slot(held("old", MINUTE * 6), &renew);
    assert_eq!(taken(&slot).await.unwrap(), "old");
    assert_eq!(renew.times(), 0);
    advance(MINUTE * 2).await;
    assert_eq!(taken(&slot).await.unwrap(), "fresh");
    assert_eq!(renew.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_no_fresh_one_is_granted_the_old_one_is_given_to_its_end_and_never_after() {
    let renew = Asked::answering(None);
    let slot = slot(held("old", MINUTE), &renew);
    for _ in 0..59 {
        assert_eq!(taken(&slot).await.unwrap(), "old");
        advance(Duration::from_secs(1)).await;
    }
    assert!((5..=7).contains(&renew.times()), "{}", renew.times());
    advance(Duration::from_millis(500)).await;
    assert_eq!(taken(&slot).await, Err(Unavailable::Nothing));
}

#[tokio::test(start_paused = true)]
async fn while_the_question_is_open_the_old_one_is_given_or_the_advice_to_come_back() {
    let renew = Asked::held_up(Some(held("fresh", MINUTE * 60)));
    let slot = slot(held("old", Duration::from_secs(4)), &renew);
    assert_eq!(taken(&slot).await.unwrap(), "old");
    assert_eq!(taken(&slot).await, Err(Unavailable::Soon));
    assert_eq!(renew.times(), 1);
    renew.let_through.add_permits(1);
    assert_eq!(taken(&slot).await.unwrap(), "fresh");
    assert_eq!(renew.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_credential_was_taken_back_is_not_kept() {
    let renew = Asked::held_up(Some(held("fresh", MINUTE * 60)));
    let slot = slot(held("old", MINUTE), &renew);
    assert_eq!(taken(&slot).await.unwrap(), "old");
    slot.clear();
    renew.let_through.add_permits(1);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(taken(&slot).await, Err(Unavailable::Nothing));
    assert_eq!(renew.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_asked_first_may_go_and_the_others_are_answered() {
    let renew = Asked::held_up(Some(held("fresh", MINUTE * 60)));
    let slot = slot(held("old", MINUTE), &renew);
    let first = tokio::spawn({
        let slot = slot.clone();
        async move { taken(&slot).await }
    });
    sleep(Duration::from_millis(10)).await;
    first.abort();
    let second = taken(&slot);
    renew.let_through.add_permits(1);
    assert_eq!(second.await.unwrap(), "fresh");
    assert_eq!(renew.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer_is_given_up() {
    let renew = Asked::held_up(None);
    let slot = slot(held("old", MINUTE * 4), &renew);
    assert_eq!(taken(&slot).await.unwrap(), "old");
    sleep(MINUTE).await;
    assert_eq!(taken(&slot).await.unwrap(), "old");
    sleep(MINUTE).await;
    assert_eq!(taken(&slot).await.unwrap(), "old");
    assert_eq!(renew.times(), 3);
}

/// Edge: 44, 45
#[tokio::test(start_paused = true)]
async fn either_clock_ends_it() {
    let nobody = Asked::answering(None);
    // The wall clock says that it ended; the steady one stood still.
    let slept = slot(held("old", Duration::ZERO), &nobody);
    assert!(slept.present().is_none());
    // The steady clock says so; the wall clock went back, as far as it can tell.
    let stepped = slot(held("old", MINUTE * 60), &nobody);
    assert!(stepped.present().is_some());
    advance(MINUTE * 61).await;
    assert!(stepped.present().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_has_no_end_is_told_to_hold_for_an_hour_whenever_it_is_asked() {
    let nobody = Asked::answering(None);
    let slot = slot(Held { expires: None, ..held("static", MINUTE) }, &nobody);
    advance(MINUTE * 600).await;
    let present = slot.take(ENOUGH, PATIENCE).await.unwrap();
    assert_eq!(present.left, MINUTE * 60);
    assert!(present.ends > wall().plus(MINUTE * 59));
    assert_eq!(nobody.times(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_masked_also_when_it_was_renewed() {
    let masks = Arc::new(Masks::default());
    let renew = Asked::answering(Some(held("fresh-secret", MINUTE * 60)));
    let slot = Slot::new(held("first-secret", MINUTE), Some(renew), masks.clone());
    taken(&slot).await.unwrap();
    slot.put(held("third-secret", MINUTE), None);
    assert_eq!(masks.mask("first-secret fresh-secret third-secret"), "[secret] [secret] [secret]");
}
