//! Waiting for conditions, never for time, and never for ever.

use std::future::Future;
use std::time::Duration;

/// As long as anything in a test may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for it, at most ten seconds.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it did not come within ten seconds")
}

/// Asks again until it holds, at most ten seconds.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    within(async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
