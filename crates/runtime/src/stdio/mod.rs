//! MCP servers that speak over their standard streams, as HTTP servers: streamable HTTP of both eras on one side,
//! newline-delimited JSON-RPC on the other.
//!
//! A [`Bridge`] serves one caller (or, where the operator said so, all callers) of one server. It starts processes as
//! they are needed, gives each request a number of its own so that answers find their way, and ends what nobody waits
//! for. Messages are not read beyond their envelope and pass as they came; only ids, progress tokens and subscription
//! ids are exchanged on the way, and back again.
//!
//! What goes where:
//!
//! | client | server | |
//! |---|---|---|
//! | legacy | legacy | a session is a handshake with a process; sessions with the same handshake share one, unless their roots could differ |
//! | modern | modern | every request for itself |
//! | modern | legacy | the bridge holds the handshake; what the server asks in the course of a call becomes an `input_required` result |
//! | legacy | modern | the bridge holds the session; an `input_required` result becomes requests to the client |

mod ask;
mod bridge;
mod dispatch;
mod downward;
mod era;
mod frame;
mod http;
mod legacy;
mod listener;
mod message;
mod modern;
mod process;
mod respond;
mod rounds;
mod scan;
mod session;
mod stream;
mod table;
mod translate;
mod upward;

pub use bridge::{Activity, Bridge, NotStarted, Options, Spawn, Starting};
pub use era::Verdict;
pub use process::Spawned;

/// Whose calls a process answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One caller's: whatever the process says is for this caller.
    OneCaller,
    /// All callers': only what is tied to a request, a progress token or a subscription goes to anybody. Such a process
    /// cannot ask a client for something, and its log lines go to nobody.
    AllCallers,
}
