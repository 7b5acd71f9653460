//! Which server is meant.

use crate::config::plan::{Plan, ServerPlan};
use crate::config::suggest;

/// The server with this name, or the only one.
///
/// # Errors
/// What to type instead.
pub(crate) fn server<'p>(name: Option<&str>, plan: &'p Plan) -> Result<&'p ServerPlan, String> {
    let names = || plan.servers.iter().map(|server| server.name.as_str());
    match (name, plan.servers.as_slice()) {
        (Some(name), _) => plan.server(name).ok_or_else(|| {
            format!("no server is called `{name}`: {}", suggest(name, names()).unwrap_or_default())
        }),
        (None, [only]) => Ok(only),
        (None, _) => {
            let all = names().collect::<Vec<_>>().join(", ");
            Err(format!("say at which server: --server NAME, one of {all}"))
        }
    }
}
