//! Starting one instance: place, credential, process, log; and what is written down of its end.

use std::sync::{Arc, Weak};
use std::time::Instant;

use aws_lc_rs::rand;

use super::berth::Berth;
use super::error::BerthError;
use super::permits::Permit;
use crate::delivery::Deliver;
use crate::engine::{EngineError, Instance};
use crate::logs::{Log, Source};
use crate::masks::Masks;

/// One instance that runs in a berth.
pub(super) struct Run<D: Deliver> {
    pub(super) name: Box<str>,
    pub(super) instance: Arc<dyn Instance>,
    pub(super) delivered: D::Delivered,
    pub(super) log: Arc<Log>,
    pub(super) started: Instant,
}

/// What a run is kept with: dropped when the instance is gone.
pub(super) struct Held<D: Deliver> {
    pub(super) run: Arc<Run<D>>,
    berth: Weak<Berth<D>>,
    _permit: Permit,
}

impl<D: Deliver> Drop for Held<D> {
    fn drop(&mut self) {
        if let Some(berth) = self.berth.upgrade() {
            berth.forget(&self.run);
        }
    }
}

/// Starts an instance in a berth.
///
/// # Errors
/// It was not started; whatever was made for it is taken away.
pub(super) async fn start<D: Deliver>(berth: &Arc<Berth<D>>) -> Result<Held<D>, BerthError> {
    berth.may_start()?;
    let permit = berth.permit().await?;
    let _starting = berth.common.starting.acquire().await.map_err(|_| BerthError::Stopping)?;
    // The wait may have been long, and its end asked for meanwhile.
    berth.may_start()?;
    let begun = Instant::now();
    match launched(berth).await {
        Ok(run) => {
            let run = Arc::new(run);
            berth.remember(&run);
            watch(berth, &run);
            Ok(Held { run, berth: Arc::downgrade(berth), _permit: permit })
        }
        Err(error) => {
            berth.failed(error.to_string().into(), begun.elapsed());
            Err(error.into())
        }
    }
}

async fn launched<D: Deliver>(berth: &Arc<Berth<D>>) -> Result<Run<D>, EngineError> {
    let serving = berth.serving();
    let name = name(&serving.server)?;
    let mut launch = (serving.launch)(&name)?;
    let masks = Arc::new(Masks::default());
    let place = serving.engine.prepare(&launch).await?;
    let deliver = berth.deliver();
    let delivered = deliver.board(&*place, &mut launch, &masks).await?;
    // After the delivery, so that what it added is among them.
    launch.environment.iter().for_each(|(_, value)| masks.keep(value));
    launch.files.iter().for_each(|(_, content)| masks.keep(content));
    let instance = place.start(&launch).await?;
    if let Err(error) = deliver.started(&delivered, &instance).await {
        stop(&*instance, serving.ladder).await;
        return Err(error);
    }
    let log = Log::new(&serving.server, &name, masks);
    tracing::info!(server = &*serving.server, instance = &*name, engine = serving.engine.name(), "started");
    Ok(Run { name, instance, delivered, log, started: Instant::now() })
}

/// Writes down the end of an instance that nobody asked to end.
fn watch<D: Deliver>(berth: &Arc<Berth<D>>, run: &Arc<Run<D>>) {
    let (instance, name, log, started) =
        (run.instance.clone(), run.name.clone(), run.log.clone(), run.started);
    let (berth, runtime) = (Arc::downgrade(berth), berth.common.runtime.clone());
    runtime.spawn(async move {
        let end = instance.ended().await;
        let Some(berth) = berth.upgrade() else { return };
        let wanted = berth.is_ending(&name);
        let reason: Arc<str> = match &end {
            Ok(exit) if exit.out_of_memory => "it used more memory than it may".into(),
            Ok(exit) => exit
                .code
                .map_or_else(|| "a signal ended it".into(), |code| format!("exit code {code}").into()),
            Err(error) => error.to_string().into(),
        };
        log.line(Source::Runtime, format!("ended: {reason}").as_bytes());
        if wanted {
            return;
        }
        let last = log.last().map_or_else(String::new, |said| said.line.to_string());
        let server = berth.serving().server.clone();
        tracing::warn!(server = &*server, instance = &*name, %reason, last, "an instance ended by itself");
        berth.failed(reason, started.elapsed());
    });
}

async fn stop(instance: &dyn Instance, ladder: crate::launch::Ladder) {
    if let Err(error) = instance.stop(ladder).await {
        tracing::warn!(%error, "not all of an instance was taken away");
    }
}

/// A name that no other instance has: the server's, as far as it can stand in one, and something random.
fn name(server: &str) -> Result<Box<str>, EngineError> {
    let mut random = [0; 6];
    rand::fill(&mut random).map_err(|_| EngineError::Refused("there is no randomness".into()))?;
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let letters = server.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
    let letters: String = letters.take(32).collect();
    Ok(format!("{letters}-{hex}").into())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn names_of_instances_are_fit_for_labels_and_never_the_same() {
        let (one, other) = (name("my server/1").unwrap(), name("my server/1").unwrap());
        assert!(one.starts_with("my-server-1-") && one != other);
    }
}
