//! `safeconduct`: see [`safeconduct::cli`].

fn main() -> std::process::ExitCode {
    safeconduct::cli::main()
}
