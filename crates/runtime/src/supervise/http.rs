//! A server that is spoken to over HTTP: one instance at a time, reached by its address.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;

use super::berth::Berth;
use super::counted::Counted;
use super::error::BerthError;
use super::run::{self, Held};
use crate::delivery::Deliver;
use crate::launch::Ladder;
use crate::logs::Source;

/// Between two attempts to reach an instance that is starting.
const PAUSE: Duration = Duration::from_millis(50);
/// Instances whose end was asked for, as many as are remembered.
const ENDING: usize = 64;

/// See the module.
pub(super) struct Http<D: Deliver>(Mutex<State<D>>);

struct State<D: Deliver> {
    present: Option<Present<D>>,
    generations: u64,
    /// Instances whose end was asked for.
    ending: VecDeque<Box<str>>,
}

struct Present<D: Deliver> {
    held: Arc<Held<D>>,
    generation: u64,
    open: Arc<()>,
}

impl<D: Deliver> Default for Http<D> {
    fn default() -> Self {
        Self(Mutex::new(State { present: None, generations: 0, ending: VecDeque::new() }))
    }
}

impl<D: Deliver> Http<D> {
    /// Starts an instance and waits until its port answers.
    pub(super) async fn start(&self, berth: &Arc<Berth<D>>) -> Result<(), BerthError> {
        let held = Arc::new(run::start(berth).await?);
        let run = &held.run;
        if let Some(pipes) = run.instance.pipes() {
            drop(pipes.stdin);
            let (log, other) = (run.log.clone(), run.log.clone());
            berth.common.runtime.spawn(async move { log.drain(Source::Stdout, pipes.stdout).await });
            berth.common.runtime.spawn(async move { other.drain(Source::Stderr, pipes.stderr).await });
        }
        let serving = berth.serving();
        if let Err(reason) = answers(&held, serving.ready).await {
            self.take_away(held, serving.ladder).await;
            return Err(BerthError::NotReady(reason));
        }
        let over = {
            let mut state = self.lock();
            // Looked at under the lock under which `rest` takes what is present: one of the two sees the other.
            let over = berth.is_over();
            if !over {
                state.generations += 1;
                let generation = berth.number | (state.generations << 40);
                state.present = Some(Present { held: held.clone(), generation, open: Arc::default() });
            }
            over
        };
        if over {
            self.take_away(held, serving.ladder).await;
            return Err(BerthError::Stopping);
        }
        self.clear_after_end(berth, &held);
        Ok(())
    }

    /// Nobody is sent to an instance that has ended.
    fn clear_after_end(&self, berth: &Arc<Berth<D>>, held: &Arc<Held<D>>) {
        let (instance, name) = (held.run.instance.clone(), held.run.name.clone());
        let (berth, runtime) = (Arc::downgrade(berth), berth.common.runtime.clone());
        runtime.spawn(async move {
            // However it ended: it is gone.
            drop(instance.ended().await);
            let Some(berth) = berth.upgrade() else { return };
            if let super::berth::Speaks::Http(http) = &berth.speaks {
                let gone = http.remove(&name);
                if let Some(gone) = gone {
                    http.take_away(gone, berth.serving().ladder).await;
                }
            }
        });
    }

    pub(super) async fn connect(&self) -> io::Result<Counted<TcpStream>> {
        let found = {
            let state = self.lock();
            let present = state.present.as_ref();
            present.and_then(|present| Some((present.held.run.instance.address()?, present.open.clone())))
        };
        let (address, open) = found.ok_or(io::ErrorKind::NotConnected)?;
        let stream = TcpStream::connect(address).await?;
        // A hint; without it small messages are slower.
        let _ = stream.set_nodelay(true);
        Ok(Counted::new(stream, open))
    }

    pub(super) fn generation(&self) -> Option<u64> {
        self.lock().present.as_ref().map(|present| present.generation)
    }

    pub(super) fn is_running(&self) -> bool {
        self.lock().present.is_some()
    }

    /// Nobody has a connection.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().present.as_ref().is_none_or(|present| Arc::strong_count(&present.open) == 1)
    }

    pub(super) fn is_ending(&self, name: &str) -> bool {
        self.lock().ending.iter().any(|ending| **ending == *name)
    }

    /// New calls go to another instance; this one ends when its connections have, or after a while.
    pub(super) fn retire(&self, berth: &Arc<Berth<D>>, patience: Duration) {
        let Some(Present { held, open, .. }) = self.lock().present.take() else { return };
        self.will_end(&held);
        let berth = berth.clone();
        let runtime = berth.common.runtime.clone();
        runtime.spawn(async move {
            let ends = tokio::time::Instant::now() + patience;
            while Arc::strong_count(&open) > 1 && tokio::time::Instant::now() < ends {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            if let super::berth::Speaks::Http(http) = &berth.speaks {
                http.take_away(held, berth.serving().ladder).await;
            }
        });
    }

    pub(super) async fn rest(&self, ladder: Ladder) {
        let present = self.lock().present.take();
        if let Some(present) = present {
            self.take_away(present.held, ladder).await;
        }
    }

    fn remove(&self, name: &str) -> Option<Arc<Held<D>>> {
        let mut state = self.lock();
        let same = state.present.as_ref().is_some_and(|present| *present.held.run.name == *name);
        let gone = if same { state.present.take() } else { None };
        gone.map(|present| present.held)
    }

    fn will_end(&self, held: &Held<D>) {
        let mut state = self.lock();
        if state.ending.len() == ENDING {
            state.ending.pop_front();
        }
        state.ending.push_back(held.run.name.clone());
    }

    async fn take_away(&self, held: Arc<Held<D>>, ladder: Ladder) {
        self.will_end(&held);
        if let Err(error) = held.run.instance.stop(ladder).await {
            held.run.log.line(Source::Runtime, error.to_string().as_bytes());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<D>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answers<D: Deliver>(held: &Held<D>, patience: Duration) -> Result<(), Arc<str>> {
    if held.run.instance.address().is_none() {
        return Err("it has no address".into());
    }
    let attempts = async {
        while !held.run.instance.listens().await.unwrap_or_default() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        biased;
        () = attempts => Ok(()),
        end = held.run.instance.ended() => Err(match end {
            Ok(exit) => exit.code.map_or_else(
                || "a signal ended it".into(),
                |code| format!("exit code {code}").into(),
            ),
            Err(error) => error.to_string().into(),
        }),
        () = tokio::time::sleep(patience) => {
            Err(format!("nothing listens at its port after {} s", patience.as_secs()).into())
        }
    }
}
