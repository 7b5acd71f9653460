//! What this program is when it is started inside a rootless container's namespaces, and nothing else: for tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    safeconduct_runtime::inside::serve_if_asked().unwrap_or(ExitCode::FAILURE)
}
