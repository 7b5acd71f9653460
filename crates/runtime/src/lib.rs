//! Runs MCP servers: starts them in containers, confines them, lets them out to named places only, and brings each
//! caller's own short-lived credential to where an unmodified SDK looks for it.
//!
//! It knows nothing of listeners or of the path: the binary hands it what a permitted call needs, and gets back how
//! to reach the instance that serves this caller.

pub mod delivery;
pub mod destination;
pub mod egress;
pub mod engine;
mod flight;
pub mod inside;
pub mod launch;
pub mod logs;
pub mod masks;
pub mod package;
pub mod stdio;
pub mod supervise;
