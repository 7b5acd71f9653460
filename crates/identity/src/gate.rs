//! What stands before a token endpoint: how many may ask at once, whether it is to be asked at all, and whether
//! it refuses this very client. One gate an endpoint, so that a slow one does not hold up another (edge case 52).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::breaker::{Breaker, BreakerState, Outcome};
use crate::clock::Clock;
use crate::provider::ExchangeError;

/// Requests to one endpoint at a time.
const AT_ONCE: usize = 64;
/// Requests that may wait for their turn.
const QUEUE: usize = 1024;
/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a refused client is not tried again: one probe each time.
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// One endpoint, for `/status`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct EndpointStatus {
    /// URL.
    pub endpoint: Box<str>,
    /// Whether it is asked.
    pub breaker: BreakerState,
    /// Requests under way.
    pub in_flight: usize,
    /// Clients that it refuses: to be mended by whoever runs this program.
    pub refused_clients: Vec<Box<str>>,
}

/// All gates, by endpoint. They outlive a reload.
#[derive(Default)]
pub(crate) struct Gates(Mutex<BTreeMap<Box<str>, Arc<Gate>>>);

impl Gates {
    pub(crate) fn to(&self, endpoint: &str) -> Arc<Gate> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(endpoint.into()).or_insert_with(|| Arc::new(Gate::new())).clone()
    }

    /// After a reload: the client's secret may be another one now, so refused clients are tried again; and
    /// gates that lead nowhere any more go.
    pub(crate) fn reloaded(&self) {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        gates.values().for_each(|gate| gate.state().clients.clear());
    }

    pub(crate) fn status(&self, now: Duration) -> Vec<EndpointStatus> {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.iter().map(|(endpoint, gate)| gate.status(endpoint, now)).collect()
    }
}

/// See the module.
pub(crate) struct Gate {
    slots: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    breaker: Breaker,
    waiting: usize,
    /// `Retry-After` of a throttling endpoint: holds for everybody (edge case 49).
    closed_until: Duration,
    clients: HashMap<Box<str>, RefusedClient>,
}

struct RefusedClient {
    until: Duration,
    error: String,
    probing: bool,
}

impl Gate {
    fn new() -> Self {
        let state = State {
            breaker: Breaker::new(),
            waiting: 0,
            closed_until: Duration::ZERO,
            clients: HashMap::new(),
        };
        Self { slots: Arc::new(Semaphore::new(AT_ONCE)), state: Mutex::new(state) }
    }

    /// Passes, or says at once why not.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        client: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Pass, ExchangeError> {
        self.state().check(client, clock.steady())?;
        let slot = self.slot().await?;
        // What was learned while this one waited counts: after an outage the queue empties at once (edge case 51).
        let (probe, client_probe) = {
            let mut state = self.state();
            let now = clock.steady();
            state.check(client, now)?;
            let probe =
                state.breaker.admit(now).map_err(|pause| unavailable(Some(pause), "it failed too often"))?;
            let client_probe = match state.clients.get_mut(client) {
                Some(refused) => {
                    refused.probing = true;
                    true
                }
                None => false,
            };
            (probe, client_probe)
        };
        Ok(Pass {
            gate: self.clone(),
            client: client.into(),
            clock: clock.clone(),
            probe,
            client_probe,
            open: true,
            _slot: slot,
        })
    }

    async fn slot(self: &Arc<Self>) -> Result<OwnedSemaphorePermit, ExchangeError> {
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            return Ok(slot);
        }
        let _waiting = Waiting::begin(self)?;
        match tokio::time::timeout(PATIENCE, self.slots.clone().acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(unavailable(None, "too many requests are under way")),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self, endpoint: &str, now: Duration) -> EndpointStatus {
        let state = self.state();
        let mut refused_clients: Vec<Box<str>> = state.clients.keys().cloned().collect();
        refused_clients.sort_unstable();
        EndpointStatus {
            endpoint: endpoint.into(),
            breaker: state.breaker.state(now),
            in_flight: AT_ONCE.saturating_sub(self.slots.available_permits()),
            refused_clients,
        }
    }
}

impl State {
    fn check(&self, client: &str, now: Duration) -> Result<(), ExchangeError> {
        if let Some(refused) = self.clients.get(client)
            && (refused.probing || now < refused.until)
        {
            return Err(ExchangeError::ClientRefused { error: refused.error.clone() });
        }
        if now < self.closed_until {
            return Err(unavailable(
                Some(self.closed_until.saturating_sub(now)),
                "it asked to be left alone",
            ));
        }
        if self.breaker.state(now) == BreakerState::Open {
            return Err(unavailable(None, "it failed too often"));
        }
        Ok(())
    }
}

/// A place in the queue.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn begin(gate: &'a Gate) -> Result<Self, ExchangeError> {
        let mut state = gate.state();
        if state.waiting >= QUEUE {
            return Err(unavailable(None, "too many requests are waiting"));
        }
        state.waiting += 1;
        Ok(Self(gate))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

/// The right to ask once. What came of it must be told; a pass that is dropped was abandoned.
pub(crate) struct Pass {
    gate: Arc<Gate>,
    client: Box<str>,
    clock: Arc<dyn Clock>,
    probe: bool,
    client_probe: bool,
    open: bool,
    _slot: OwnedSemaphorePermit,
}

impl Pass {
    /// Tells what came of it.
    pub(crate) fn learn(mut self, error: Option<&ExchangeError>) {
        self.open = false;
        let now = self.clock.steady();
        let mut state = self.gate.state();
        let outcome = match error {
            Some(ExchangeError::Unavailable { retry_after, .. }) => {
                if let Some(pause) = retry_after {
                    state.closed_until = state.closed_until.max(now + *pause);
                }
                Outcome::Failed
            }
            Some(ExchangeError::Lost { .. }) => Outcome::Failed,
            _ => Outcome::Answered,
        };
        state.breaker.learn(outcome, self.probe, now);
        match error {
            Some(ExchangeError::ClientRefused { error }) => {
                if !state.clients.contains_key(&self.client) {
                    tracing::error!(client = %self.client, error, "the token endpoint refuses this client");
                }
                let refused =
                    RefusedClient { until: now + REFUSED_FOR, error: error.clone(), probing: false };
                state.clients.insert(self.client.clone(), refused);
            }
            Some(ExchangeError::Unavailable { .. } | ExchangeError::Lost { .. }) => {
                self.release_client(&mut state);
            }
            // Whatever else it said, it knows the client.
            _ if self.client_probe => {
                state.clients.remove(&self.client);
            }
            _ => {}
        }
    }

    fn release_client(&self, state: &mut State) {
        if self.client_probe
            && let Some(refused) = state.clients.get_mut(&self.client)
        {
            refused.probing = false;
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.open {
            let now = self.clock.steady();
            let mut state = self.gate.state();
            state.breaker.learn(Outcome::Abandoned, self.probe, now);
            self.release_client(&mut state);
        }
    }
}

fn unavailable(retry_after: Option<Duration>, problem: &str) -> ExchangeError {
    ExchangeError::Unavailable { retry_after, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use safeconduct_core::time::Timestamp;

    use super::*;
    use crate::clock::fake::FakeClock;

    fn gate() -> (Arc<Gate>, Arc<FakeClock>, Arc<dyn Clock>) {
        let clock = Arc::new(FakeClock::at(Timestamp::from_secs(1_800_000_000)));
        (Arc::new(Gate::new()), clock.clone(), clock)
    }

    fn refused() -> ExchangeError {
        ExchangeError::ClientRefused { error: "invalid_client".into() }
    }

    /// Edge: 48
    #[tokio::test]
    async fn a_refused_client_is_tried_once_in_thirty_seconds_and_another_client_passes() {
        let (gate, fake, clock) = gate();
        gate.enter("app", &clock).await.unwrap().learn(Some(&refused()));
        assert_eq!(gate.enter("app", &clock).await.err(), Some(refused()));
        gate.enter("other", &clock).await.unwrap().learn(None);
        fake.advance(Duration::from_secs(30));
        let probe = gate.enter("app", &clock).await.unwrap();
        assert_eq!(gate.enter("app", &clock).await.err(), Some(refused()), "while the probe is out");
        probe.learn(Some(&refused()));
        assert_eq!(gate.enter("app", &clock).await.err(), Some(refused()));
        fake.advance(Duration::from_secs(30));
        gate.enter("app", &clock).await.unwrap().learn(None);
        gate.enter("app", &clock).await.unwrap().learn(None);
    }

    /// Edge: 49
    #[tokio::test]
    async fn a_throttling_endpoint_is_left_alone_by_everybody_for_as_long_as_it_asked() {
        let (gate, fake, clock) = gate();
        let throttled = ExchangeError::Unavailable {
            retry_after: Some(Duration::from_secs(7)),
            problem: "status 429".into(),
        };
        gate.enter("app", &clock).await.unwrap().learn(Some(&throttled));
        let Some(ExchangeError::Unavailable { retry_after, .. }) = gate.enter("other", &clock).await.err()
        else {
            panic!()
        };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
        fake.advance(Duration::from_secs(7));
        assert!(gate.enter("other", &clock).await.is_ok());
    }

    /// Edge: 52
    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_ask_at_once_and_those_who_wait_too_long_are_told() {
        let (gate, _, clock) = gate();
        let mut passes = Vec::new();
        for _ in 0..AT_ONCE {
            passes.push(gate.enter("app", &clock).await.unwrap());
        }
        assert_eq!(gate.enter("app", &clock).await.err().map(|error| error.class()), Some("unavailable"));
        passes.pop();
        assert!(gate.enter("app", &clock).await.is_ok());
    }

    /// Edge: 51
    #[tokio::test]
    async fn the_queue_empties_at_once_when_the_breaker_opens() {
        let (gate, _, clock) = gate();
        let mut passes = Vec::new();
        for _ in 0..AT_ONCE {
            passes.push(gate.enter("app", &clock).await.unwrap());
        }
        let waiting = tokio::spawn({
            let (gate, clock) = (gate.clone(), clock.clone());
            async move { gate.enter("app", &clock).await.err().map(|error| error.class()) }
        });
        tokio::task::yield_now().await;
        for pass in passes {
            pass.learn(Some(&ExchangeError::Unavailable { retry_after: None, problem: "down".into() }));
        }
        assert_eq!(waiting.await.unwrap(), Some("unavailable"));
    }
}
