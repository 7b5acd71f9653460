//! Reload: when the file, a policy or a certificate changes, and on SIGHUP. A plan that does not hold up
//! changes nothing but the log and the status.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use super::running::Inner;
use crate::config::plan::KeysPlan;
use crate::config::{self, Plan};

/// How the last reload went, for status.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Reloaded {
    /// Plans put to work since the start, the first one included.
    pub generation: u64,
    /// When the last attempt was made, RFC 3339.
    pub last: Option<String>,
    /// Why the last attempt left the old plan in place.
    pub error: Option<String>,
}

const EVERY: Duration = Duration::from_secs(1);

type Stamps = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// Looks at the files each second. They are few, and polling works on every file system and mount. What they
/// are like now is noted before this returns.
pub(super) fn watch(inner: Arc<Inner>, config: PathBuf) -> impl Future<Output = ()> + Send {
    let mut seen = stamps(&inner.plan(), &config);
    async move {
        loop {
            tokio::time::sleep(EVERY).await;
            let now = stamps(&inner.plan(), &config);
            if now == seen {
                continue;
            }
            // A writer may not have finished: wait until nothing changes any more.
            tokio::time::sleep(EVERY / 4).await;
            if stamps(&inner.plan(), &config) != now {
                continue;
            }
            let (reader, path) = (inner.clone(), config.clone());
            let _ = tokio::task::spawn_blocking(move || reread(&reader, &path)).await;
            // Those of before the reading: what changed during it is read again.
            seen = now;
        }
    }
}

/// Reads everything anew and puts it to work, if it holds up.
pub(super) fn reread(inner: &Inner, path: &Path) {
    let _one = inner.reloading.lock().unwrap_or_else(PoisonError::into_inner);
    let result = read(path).and_then(|(plan, policy)| {
        let restart = needs_restart(&inner.plan(), &plan);
        inner.reload(plan, policy).map_err(|error| error.to_string())?;
        if let Some(what) = restart {
            tracing::warn!("a change of {what} takes effect at the next start");
        }
        Ok(())
    });
    match &result {
        Ok(()) => tracing::info!("reloaded {}", path.display()),
        Err(error) => tracing::error!("the old plan stays: {error}"),
    }
    inner.eyes.reloaded(result);
}

fn read(path: &Path) -> Result<(Plan, safeconduct_core::policy::Policy), String> {
    let mut loaded = config::load(path);
    let policy = loaded.plan.as_ref().and_then(|plan| config::compile(plan, &mut loaded.report));
    match (loaded.plan, policy) {
        (Some(plan), Some(policy)) => Ok((plan, policy)),
        _ => Err(loaded.report.text(false)),
    }
}

fn needs_restart(old: &Plan, new: &Plan) -> Option<&'static str> {
    if old.listen != new.listen {
        return Some("listen");
    }
    if old.admin != new.admin {
        return Some("admin");
    }
    if old.lock != new.lock {
        return Some("lock");
    }
    if old.audit != new.audit {
        return Some("audit");
    }
    if old.telemetry != new.telemetry {
        return Some("telemetry");
    }
    if old.runtime != new.runtime {
        return Some("runtime");
    }
    if (old.limits.connections, old.limits.credentials) != (new.limits.connections, new.limits.credentials) {
        return Some("limits.connections or limits.credentials");
    }
    let at_start = |plan: &Plan| {
        let timeouts = &plan.timeouts;
        (timeouts.head, timeouts.connect, timeouts.drain, timeouts.token_endpoint)
    };
    (at_start(old) != at_start(new)).then_some("timeouts.head, connect, drain or token_endpoint")
}

fn stamps(plan: &Plan, config: &Path) -> Stamps {
    let mut files = vec![config.to_owned()];
    files.extend(plan.tls.iter().flat_map(|tls| [tls.cert.clone(), tls.key.clone()]));
    files.extend(plan.ca_file.clone());
    files.extend(plan.runtime.sealed.iter().cloned());
    files.extend(plan.issuers.iter().filter_map(|issuer| match &issuer.keys {
        KeysPlan::JwksFile(path) => Some(path.clone()),
        KeysPlan::Discovery | KeysPlan::JwksUri(_) => None,
    }));
    for path in &plan.policy_paths {
        files.push(path.clone());
        let inside = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        files.extend(inside.filter(|file| file.extension().is_some_and(|ending| ending == "cedar")));
    }
    let stamp = |path: PathBuf| {
        let stamp = std::fs::metadata(&path).ok().and_then(|meta| Some((meta.modified().ok()?, meta.len())));
        (path, stamp)
    };
    files.into_iter().map(stamp).collect()
}
