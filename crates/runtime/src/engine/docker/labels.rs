//! What this program writes on all that it makes, to find it again.

use std::collections::HashMap;

use super::mark::Mark;

/// On everything; the value is the gateway's name.
pub(super) const OWNER: &str = "safeconduct.owner";
/// On everything; the value is the running gateway that made it.
pub(super) const GATEWAY: &str = "safeconduct.gateway";
/// The server's name in the configuration.
pub(super) const SERVER: &str = "safeconduct.server";
/// The instance.
pub(super) const INSTANCE: &str = "safeconduct.instance";
/// `stdio` or `http`.
pub(super) const TRANSPORT: &str = "safeconduct.transport";

/// Labels of what is made for an instance.
pub(super) fn labels(mark: &Mark, server: &str, instance: &str, transport: &str) -> HashMap<String, String> {
    [
        (OWNER, mark.owner.as_str()),
        (GATEWAY, &mark.gateway),
        (SERVER, server),
        (INSTANCE, instance),
        (TRANSPORT, transport),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// A filter for what carries our label; of one gateway only, if one is named.
pub(super) fn filter(owner: Option<&str>) -> HashMap<String, Vec<String>> {
    let label = owner.map_or_else(|| OWNER.to_owned(), |owner| format!("{OWNER}={owner}"));
    HashMap::from([("label".to_owned(), vec![label])])
}
