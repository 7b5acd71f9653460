//! `safeconduct version`: the version, and what this build can do.

use serde_json::json;

use crate::cli::Output;
use crate::exit::Exit;
use crate::present::{Said, columns};

const PROTOCOL: [&str; 3] = ["2025-06-18", "2025-11-25", "2026-07-28"];
const STEPS: [&str; 2] = ["exchange", "static"];
const CLIENTS: [&str; 4] = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];

/// Prints it.
pub fn run(output: Output) -> Said {
    let version = env!("CARGO_PKG_VERSION");
    match output {
        Output::Json => {
            let features = json!({
                "version": version,
                "protocol": PROTOCOL,
                "steps": STEPS,
                "client_authentication": CLIENTS,
            });
            Said::json(&features, Exit::Fine)
        }
        Output::Text => {
            let row = |name: &str, words: &[&str]| (name.to_owned(), words.join(", "));
            let rows = [
                row("MCP revisions", &PROTOCOL),
                row("credential steps", &STEPS),
                row("client authentication", &CLIENTS),
            ];
            Said::data(format!("safeconduct {version}\n{}", columns(2, &rows)))
        }
    }
}
