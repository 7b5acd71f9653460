//! One doing that many wait for: whoever comes first begins it, all get its end, and nobody's going away stops it.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::watch;

/// Something that is under way, or has come to its end.
#[derive(Clone)]
pub(crate) struct Flight<T>(watch::Receiver<Option<T>>);

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Begins it.
    pub(crate) fn begin(runtime: &Handle, doing: impl Future<Output = T> + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(None);
        runtime.spawn(async move { sender.send_replace(Some(doing.await)) });
        Self(receiver)
    }

    /// Waits for its end; None if it broke off.
    pub(crate) async fn landed(mut self) -> Option<T> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Its end, if it has come: the inner None means that it broke off.
    pub(crate) fn now(&self) -> Option<Option<T>> {
        let ended = self.0.borrow().clone();
        match ended {
            Some(ended) => Some(Some(ended)),
            None => self.0.has_changed().is_err().then_some(None),
        }
    }
}
