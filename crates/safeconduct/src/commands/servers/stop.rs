//! `safeconduct stop` and `safeconduct rm`.

use safeconduct_runtime::launch::Ladder;

use super::admin::Admin;
use super::{StopArgs, engine};
use crate::exit::Exit;
use crate::present::Said;

/// Ends what runs of a server. The next call starts it again.
pub fn stop(args: &StopArgs) -> Said {
    done(args, "stopped", async {
        if let Some(admin) = Admin::at(&args.place)
            && let Some(count) = admin.stop(&args.server).await
        {
            return Ok(count as usize);
        }
        let (docker, tenants) =
            engine::tenants(&args.place, true).await.map_err(|error| error.to_string())?;
        let mut count = 0;
        for tenant in tenants.iter().filter(|tenant| meant(args, &tenant.server, &tenant.instance)) {
            docker.stop(&tenant.id, Ladder::default()).await.map_err(|error| error.to_string())?;
            count += 1;
        }
        Ok(count)
    })
}

/// Removes what the engine keeps of a server: containers, running or not, and their networks.
pub fn remove(args: &StopArgs) -> Said {
    done(args, "removed", async {
        let (docker, tenants) =
            engine::tenants(&args.place, true).await.map_err(|error| error.to_string())?;
        let mut count = 0;
        for tenant in tenants.iter().filter(|tenant| meant(args, &tenant.server, &tenant.instance)) {
            docker.remove(tenant).await.map_err(|error| error.to_string())?;
            count += 1;
        }
        Ok(count)
    })
}

fn meant(args: &StopArgs, server: &str, instance: &str) -> bool {
    args.server == server || args.server == instance
}

fn done(args: &StopArgs, word: &str, doing: impl Future<Output = Result<usize, String>>) -> Said {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Said::failure(Exit::Failed, "no threads");
    };
    match runtime.block_on(doing) {
        Ok(0) => Said::failure(Exit::Failed, format!("nothing of {} runs", args.server)),
        Ok(count) => Said::data(format!("{word} {count} of {}\n", args.server)),
        Err(why) => Said::failure(Exit::Failed, why),
    }
}
