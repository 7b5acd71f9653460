//! Where questions about tokens are asked: one for each token at a time, not too many at once, and of an endpoint
//! that is down no more than one a second.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use safeconduct_core::caller::TokenDigest;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};

use super::Failed;
use crate::wire::{Retry, Wire};

/// Questions under way at a time.
const AT_ONCE: usize = 64;
/// Questions under way or waiting for their turn.
const QUEUE: usize = 1024;
/// Longest wait for an answer, with the wait for the turn and all attempts.
const PATIENCE: Duration = Duration::from_secs(8);
/// Between two questions to an endpoint that is down.
const PAUSE: Duration = Duration::from_secs(1);

type Answer = Result<Bytes, Failed>;

/// See the module.
pub(super) struct Desk {
    state: Mutex<State>,
    turns: Semaphore,
}

#[derive(Default)]
struct State {
    questions: HashMap<TokenDigest, watch::Receiver<Option<Answer>>>,
    /// Since when the endpoint is down, as of the last attempt, and why.
    down: Option<(Instant, Failed)>,
    /// One question is out to see if it still is.
    probing: bool,
}

impl Default for Desk {
    fn default() -> Self {
        Self { state: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Desk {
    /// The answer about this token. `ask` makes the question, if nobody is asking it already.
    pub(super) async fn answer<F>(
        self: &Arc<Self>,
        digest: &TokenDigest,
        wire: &Wire,
        ask: impl FnOnce(Retry) -> F,
    ) -> Answer
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let mut answered = self.begin(digest, wire, ask)?;
        match answered.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or_else(|| Err(given_up())),
            Err(_) => Err(given_up()),
        }
    }

    fn begin<F>(
        self: &Arc<Self>,
        digest: &TokenDigest,
        wire: &Wire,
        ask: impl FnOnce(Retry) -> F,
    ) -> Result<watch::Receiver<Option<Answer>>, Failed>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let mut state = self.state();
        if let Some(question) = state.questions.get(digest) {
            return Ok(question.clone());
        }
        if state.questions.len() >= QUEUE {
            return Err(Failed::of("too many questions to the introspection endpoint are under way"));
        }
        let probe = state.admit()?;
        let (sender, receiver) = watch::channel(None);
        state.questions.insert(*digest, receiver.clone());
        drop(state);
        let question = Question { desk: self.clone(), digest: *digest, probe, sender };
        let retry = if probe { Retry::ONCE } else { Retry { total: PATIENCE, ..Retry::default() } };
        wire.runtime().spawn(question.put(ask(retry)));
        Ok(receiver)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// True: this question finds out whether the endpoint is back.
    fn admit(&mut self) -> Result<bool, Failed> {
        match &self.down {
            None => Ok(false),
            Some((since, why)) if self.probing || since.elapsed() < PAUSE => Err(why.clone()),
            Some(_) => {
                self.probing = true;
                Ok(true)
            }
        }
    }
}

/// A question under way. It outlives those who wait for the answer; given up, they are told by the sender's end.
struct Question {
    desk: Arc<Desk>,
    digest: TokenDigest,
    probe: bool,
    sender: watch::Sender<Option<Answer>>,
}

impl Question {
    async fn put(self, ask: impl Future<Output = Answer> + Send) {
        let deadline = Instant::now() + PATIENCE;
        let answer = match timeout_at(deadline, self.turn()).await {
            Ok(Ok(_turn)) => {
                let answer = timeout_at(deadline, ask).await;
                let answer =
                    answer.unwrap_or_else(|_| Err(Failed::of("no introspection answer in time").down()));
                self.learn(&answer);
                answer
            }
            Ok(Err(why)) => Err(why),
            Err(_) => Err(Failed::of("too many questions to the introspection endpoint are under way")),
        };
        self.sender.send_replace(Some(answer));
    }

    /// An outage that was noticed while this one waited counts.
    async fn turn(&self) -> Result<Option<SemaphorePermit<'_>>, Failed> {
        let turn = self.desk.turns.acquire().await.ok();
        match self.desk.state().down.as_ref().filter(|_| !self.probe) {
            Some((_, why)) => Err(why.clone()),
            None => Ok(turn),
        }
    }

    fn learn(&self, answer: &Answer) {
        self.desk.state().down = match answer {
            Err(why) if why.down => Some((Instant::now(), why.clone())),
            // It answers, whatever it says.
            _ => None,
        };
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        state.questions.remove(&self.digest);
        if self.probe {
            state.probing = false;
        }
    }
}

fn given_up() -> Failed {
    Failed::of("the question to the introspection endpoint was given up")
}
