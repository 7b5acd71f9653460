//! Which server the configuration means.

use aws_lc_rs::digest::{SHA256, digest};
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
        Some(Program::Package(package)) => format!("{}:{}", package.name.scheme.word(), package.name.name),
        Some(Program::Command { arguments, .. }) => {
            let all = digest(&SHA256, arguments.join("\0").as_bytes());
            let short: String = all.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
            format!("{} {short}", arguments.first().map_or("", String::as_str))
        }
        None => {
            let authority = server.url.authority().map_or("", |authority| authority.as_str());
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{}://{host}{}", server.url.scheme_str().unwrap_or("http"), server.url.path())
        }
    }
}
