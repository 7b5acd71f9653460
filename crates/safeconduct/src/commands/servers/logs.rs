//! `safeconduct logs`.

use std::io::{Write as _, stdout};

use futures_util::StreamExt as _;

use super::admin::Admin;
use super::{LogsArgs, engine};
use crate::exit::Exit;
use crate::present::Said;

/// Prints what a server says: from the gateway, which masks its secrets; where none runs, from the engine.
pub fn run(args: &LogsArgs) -> Said {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Said::failure(Exit::Failed, "no threads");
    };
    match runtime.block_on(print(args)) {
        Ok(()) => Said::data(""),
        Err(why) => Said::failure(Exit::Failed, why),
    }
}

async fn print(args: &LogsArgs) -> Result<(), String> {
    let mut out = stdout().lock();
    let from_gateway = match Admin::at(&args.place) {
        Some(admin) => admin.logs(&args.server, args.follow, &mut out).await,
        None => Err("the configuration has no `admin`, so its gateway cannot be asked".to_owned()),
    };
    let Err(why) = from_gateway else { return Ok(()) };
    let (docker, tenants) =
        engine::tenants(&args.place, true).await.map_err(|error| format!("{why}; and {error}"))?;
    let of_server: Vec<_> = tenants.iter().filter(|tenant| tenant.server == args.server).collect();
    if of_server.is_empty() {
        return Err(format!("{why}; and the engine runs no server {}", args.server));
    }
    for tenant in of_server {
        let mut lines = docker.logs(&tenant.id, Some(1000), args.follow, false);
        while let Some(line) = lines.next().await {
            let line = line.map_err(|error| error.to_string())?;
            if out.write_all(&line.bytes).and_then(|()| out.flush()).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
