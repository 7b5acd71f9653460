//! The small HTTP under every edge: a listener that records and can be made to fail, replies, one-shot requests.

mod edge;
pub mod faults;
pub mod fetch;
mod form;
mod log;
mod reply;

pub use edge::{Edge, Serve};
pub use faults::{Fault, Faults};
pub use form::{Form, decode as decode_form, encode as encode_form};
pub use log::{Log, Seen};
pub use reply::{Chunk, Reply, ReplyBody};
