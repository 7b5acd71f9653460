//! Which server the configuration means.

use safeconduct_runtime::launch::Program;

use crate::config::plan::ServerPlan;

/// Where it is, without anything secret, or what is started, without its version.
pub(super) fn address(server: &ServerPlan) -> String {
    match server.run.as_ref().map(|run| &run.program) {
        Some(Program::Image { reference, .. }) => {
            let name = reference.split_once('@').map_or(reference.as_str(), |(name, _)| name);
            let slash = name.rfind('/').map_or(0, |slash| slash + 1);
            let colon = name.get(slash..).and_then(|last| last.find(':')).map(|colon| slash + colon);
            colon.and_then(|colon| name.get(..colon)).unwrap_or(name).to_owned()
        }
        Some(Program::Command { arguments, .. }) => arguments.first().cloned().unwrap_or_default(),
        None => {
            let authority = server.url.authority().map_or("", |authority| authority.as_str());
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{}://{host}{}", server.url.scheme_str().unwrap_or("http"), server.url.path())
        }
    }
}
