//! `safeconduct schema`: the JSON schema of the configuration file.

use crate::config::schema;
use crate::exit::Exit;
use crate::present::Said;

/// Prints the schema.
pub fn run() -> Said {
    Said::json(&schema::json(), Exit::Fine)
}
