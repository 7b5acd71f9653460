//! Where finished records go: the audit log, and whoever else counts or shows them.
//!
//! A line is made on the request's own thread, straight into that thread's buffer; one thread writes all of them,
//! at most 5 ms later. Nothing is dropped silently: when lines cannot be written the gateway refuses further
//! requests ([`FileSink::room`]), or counts what it could not keep and writes the count.

mod buffer;
mod clock;
mod file;
mod json;
mod line;
mod target;
mod tee;
mod writer;

pub use clock::{Clock, SystemClock};
pub use file::{FileSink, Flush, Gauge, NotDurable, OnFailure, Settings, Unwritten};
pub use line::Arguments;
pub use target::Target;
pub use tee::Tee;
