//! From a permitted call to the instance that serves it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use safeconduct_core::path::Outbound;
use safeconduct_core::refusal::Reason;
use safeconduct_identity::acquire::Credentials;
use safeconduct_proxy::berth;
use safeconduct_runtime::delivery::slot::Held;
use safeconduct_runtime::delivery::{Brought, Delivery};
use safeconduct_runtime::supervise::{Berth, BerthError, Berths};
use tokio::runtime::Handle;

use super::bringing::{Bringing, Renewing};
use super::ways_out::WaysOut;

/// See the module. One for each plan.
pub(super) struct Reaching {
    berths: Arc<Berths<Bringing>>,
    ways_out: Arc<WaysOut>,
    deliveries: HashMap<Box<str>, Arc<Delivery>>,
    /// Servers of which each caller has an instance of their own.
    own: HashSet<Box<str>>,
    credentials: Arc<Credentials>,
    runtime: Handle,
}

impl Reaching {
    pub(super) fn new(
        berths: Arc<Berths<Bringing>>,
        ways_out: Arc<WaysOut>,
        deliveries: HashMap<Box<str>, Arc<Delivery>>,
        own: HashSet<Box<str>>,
        credentials: Arc<Credentials>,
        runtime: Handle,
    ) -> Self {
        Self { berths, ways_out, deliveries, own, credentials, runtime }
    }

    fn bringing(&self, outbound: &Outbound) -> Result<Bringing, Reason> {
        let authorized = outbound.authorized();
        let brought = match self.deliveries.get(&authorized.server().name) {
            None => None,
            Some(delivery) => {
                let held = Held::of(outbound.credential()).ok_or_else(|| {
                    Reason::Internal(
                        "a started server is to be given a credential that is not for one".into(),
                    )
                })?;
                let renew = Renewing {
                    credentials: self.credentials.clone(),
                    warrant: authorized.warrant(),
                    runtime: self.runtime.clone(),
                };
                Some(Brought { delivery: delivery.clone(), held, renew: Some(Arc::new(renew)) })
            }
        };
        let own = self.own.contains(&authorized.server().name);
        Ok(Bringing {
            caller: own.then(|| authorized.principal().clone()),
            brought,
            ways_out: self.ways_out.clone(),
        })
    }
}

impl berth::Berths for Reaching {
    fn reach<'a>(&'a self, outbound: &'a Outbound) -> berth::Reaching<'a> {
        Box::pin(async move {
            let bringing = Arc::new(self.bringing(outbound)?);
            let authorized = outbound.authorized();
            let reached =
                self.berths.reach(&authorized.server().name, authorized.principal(), &bringing).await;
            match reached {
                Ok(berth) => Ok(Arc::new(Place(berth)) as Arc<dyn berth::Berth>),
                Err(error @ BerthError::Full(_)) => Err(Reason::NoRoomForServer(error.to_string())),
                Err(error) => Err(Reason::ServerNotStarted(error.to_string())),
            }
        })
    }
}

struct Place(Arc<Berth<Bringing>>);

impl berth::Berth for Place {
    fn number(&self) -> u64 {
        self.0.id()
    }

    fn connect(&self) -> berth::Connecting<'_> {
        Box::pin(async move { Ok(Box::new(self.0.connect().await?) as Box<dyn berth::Io>) })
    }
}
