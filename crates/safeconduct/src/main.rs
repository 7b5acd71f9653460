//! `safeconduct`: see [`safeconduct::cli`].

fn main() -> std::process::ExitCode {
    // Before any thread: this program is also the child that enters a rootless container's namespaces.
    safeconduct_runtime::inside::serve_if_asked().unwrap_or_else(safeconduct::cli::main)
}
