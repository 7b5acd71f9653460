//! The table of running instances: one for each caller and server, or one for all callers where the operator said so.
//! An instance is started by the first call that needs it, replaced when it crashes, ended when nobody used it for a
//! while, when its caller's token ends, and when its launch changes.
//!
//! A [`Berth`] is the place of one caller at one server: it is there from the first call on, whether or not something
//! runs in it. [`Berths::reach`] is the one entry: it gives the berth with something running in it, or says why not.

mod backoff;
mod berth;
mod counted;
mod error;
mod http;
mod permits;
mod run;
mod serving;
mod snapshot;
mod stdio;
mod table;

pub use berth::{Berth, Io};
pub use error::{BerthError, Scope};
pub use permits::Bounds;
pub use serving::{MakeLaunch, Occupancy, Serving};
pub use snapshot::{BerthStatus, Caller, InstanceStatus, State, Trouble};
pub use table::Berths;
