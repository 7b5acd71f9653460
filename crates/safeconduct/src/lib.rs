//! The program: the configuration file, the commands and what they print.
//!
//! `main.rs` only calls [`cli::main`]. Everything is in this library so that tests can reach it.

pub mod app;
pub mod cli;
pub mod commands;
pub mod config;
pub mod exit;
pub mod lock;
mod logging;
pub mod present;
mod secrets;
