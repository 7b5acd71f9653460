//! Ends what its caller does not take. An answer is asked for its next piece when the last one was taken: while that
//! waits on the caller, none of the answer's own clocks is looked at. HTTP/2 can make it wait for ever, since a caller
//! that never opens its window is as alive as any other.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How long a slow reader may take for the last piece after the answer's time is over: then it sees a proper end.
const MOMENT: Duration = Duration::from_secs(5);

tokio::task_local! {
    static WATCH: Watch;
}

struct Watch {
    patience: Duration,
    /// When the piece that was handed out must have been taken.
    due: Cell<Option<Instant>>,
}

/// The answer is asked for its next piece: the one before was taken.
pub fn asked() {
    let _ = WATCH.try_with(|watch| watch.due.set(None));
}

/// A piece of the answer was handed out, for whoever watches. It is waited for no longer than patience allows, and not
/// much longer than the answer may `last`.
pub fn handed(last: impl FnOnce() -> Option<Instant>) {
    let _ = WATCH.try_with(|watch| {
        let now = Instant::now();
        let due = now + watch.patience;
        watch.due.set(Some(last().map_or(due, |last| due.min(now.max(last) + MOMENT))));
    });
}

/// Sends one answer, and gives up (None) when a piece of it is not taken in time.
pub async fn watched<F: Future>(patience: Duration, sending: F) -> Option<F::Output> {
    let watch = Watch { patience, due: Cell::new(None) };
    WATCH.scope(watch, in_time(sending)).await
}

async fn in_time<F: Future>(sending: F) -> Option<F::Output> {
    let mut sending = pin!(sending);
    // Made at the first piece that is not taken at once.
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
            return Poll::Ready(Some(sent));
        }
        let Some(due) = WATCH.with(|watch| watch.due.get()) else { return Poll::Pending };
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, MOMENT, asked, handed, watched};

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_is_not_taken_ends_the_answer_when_patience_or_its_time_is_over() {
        let moment = MOMENT.as_secs();
        for (last, expected) in [(None, 60), (Some(600), 60), (Some(7), 7 + moment), (Some(0), moment)] {
            let since = Instant::now();
            let last = last.map(|seconds| since + Duration::from_secs(seconds));
            let sent = watched(PATIENCE, async {
                handed(|| last);
                std::future::pending::<()>().await
            });
            assert_eq!(sent.await, None);
            assert_eq!(since.elapsed().as_secs(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_taken_piece_by_piece_may_be_silent_in_between() {
        let sent = watched(PATIENCE, async {
            for _ in 0..3 {
                handed(|| None);
                tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
                asked();
                tokio::time::sleep(10 * PATIENCE).await;
            }
        });
        assert_eq!(sent.await, Some(()));
    }
}
