//! Listeners, and the path from the socket to the audit line.
//!
//! Start at [`gateway`]: it is the path. [`service`] brings requests to it, [`upstream`] asks the MCP server,
//! [`answer`] is the only place where a refusal becomes a response.

pub mod admin;
pub mod answer;
pub mod berth;
pub mod body;
pub mod catalogue;
pub mod chunks;
pub mod cors;
pub mod detach;
pub mod entrance;
pub mod gateway;
pub mod handover;
pub mod limits;
pub mod listener;
pub mod listening;
pub mod logout;
pub mod metadata;
pub mod metrics;
pub mod pace;
pub mod pool;
pub mod recorded;
pub mod request_id;
pub mod revoked;
pub mod service;
mod signed;
pub mod sink;
pub mod stream;
pub mod trace;
pub mod upstream;
mod visit;
pub mod watchdog;
