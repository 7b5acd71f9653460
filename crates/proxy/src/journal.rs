//! What the path asks of whatever keeps the records.

use std::future::Future;
use std::pin::Pin;

/// The keeper of records, as the listener sees it.
pub trait Journal: Send + Sync {
    /// Whether another request may be admitted; cheap.
    fn room(&self) -> bool;
    /// Whether answers wait for their record (`flush: before_answer`).
    fn before_answer(&self) -> bool;
    /// Resolves when everything recorded before the call is on disk.
    fn durable(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
