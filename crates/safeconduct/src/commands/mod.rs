//! One file a command. A command that ends by itself gives back what it [`Said`](crate::present::Said).

pub mod check;
pub mod completions;
pub mod connect;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod lock;
mod pick;
pub mod revoke;
pub mod run;
pub mod schema;
pub mod secret;
pub mod serve;
pub mod servers;
pub mod setup;
pub mod token;
pub mod version;
mod yielded;
