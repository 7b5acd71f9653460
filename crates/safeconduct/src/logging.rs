//! The program's own log: on standard error, for operators. Audit lines are not part of it.

use std::io::stderr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::present::Paint;

/// What is logged when nobody says otherwise: our own crates' `info`, others' warnings.
const DEFAULT: &str = "warn,safeconduct=info";

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "`--log {filter}`: {error}; write a level (`debug`) or `target=level` pairs (`info,safeconduct_identity=debug`)"
)]
pub(crate) struct BadFilter {
    filter: String,
    error: tracing_subscriber::filter::ParseError,
}

/// Begins to log, by this filter; without one by `RUST_LOG`, or by the default.
///
/// # Errors
/// A filter that cannot be read.
pub(crate) fn start(filter: Option<&str>) -> Result<(), BadFilter> {
    let from_environment = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    let filter = filter.map(ToOwned::to_owned).or(from_environment).unwrap_or_else(|| DEFAULT.to_owned());
    let parsed = EnvFilter::try_new(&filter).map_err(|error| BadFilter { filter, error })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(stderr)
        .with_ansi(Paint::of_stderr().is_on())
        .finish();
    // Only a test that started one before makes this fail; then that one goes on.
    let _ = subscriber.try_init();
    Ok(())
}
