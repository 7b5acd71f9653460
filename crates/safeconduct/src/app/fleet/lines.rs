//! The logs of a server's instances as one: what is kept first, then what comes.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use safeconduct_proxy::admin::Lines;
use safeconduct_runtime::logs::{Log, Said};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

pub(super) fn of(logs: &[Arc<Log>], follow: bool) -> Lines {
    let (mut kept, mut coming) = (Vec::new(), Vec::new());
    for log in logs {
        let (said, receiver) = log.follow();
        kept.extend(said.iter().map(|said| line(said)));
        coming.push(following(receiver).boxed());
    }
    let kept = stream::iter(kept);
    if follow { kept.chain(stream::select_all(coming)).boxed() } else { kept.boxed() }
}

fn following(receiver: Receiver<Arc<Said>>) -> impl stream::Stream<Item = String> + Send {
    stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(said) => Some((line(&said), receiver)),
            Err(RecvError::Lagged(lost)) => Some((format!("({lost} lines were lost)"), receiver)),
            Err(RecvError::Closed) => None,
        }
    })
}

fn line(said: &Said) -> String {
    format!("{} {} {}", said.instance, said.source.name(), said.line)
}
