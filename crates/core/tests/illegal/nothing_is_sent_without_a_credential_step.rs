//! The MCP server is asked with an outbound call; a permitted one is not yet that.
use safeconduct_core::path::{Authorized, Outbound};

fn send(_: Outbound) {}

fn skip(authorized: Authorized) {
    send(authorized);
}

fn main() {}
