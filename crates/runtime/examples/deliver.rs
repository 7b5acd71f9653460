//! Serves credential endpoints from what is written to its input: for trying an SDK against them by hand, and for
//! `interop/sdks.sh`.
//!
//! One JSON object a line, each answered with one line:
//!
//! ```text
//! {"do": "serve", "name": "alice", "deliver": {"gcp_metadata": {"project": "p"}}, "give": {"token": "t", "seconds": 900}}
//! {"do": "update", "name": "alice", "give": {"token": "t2", "seconds": 900}}
//! {"do": "clear", "name": "alice"}
//! {"do": "asked", "name": "alice"}
//! {"do": "stop", "name": "alice"}
//! ```
//!
//! `serve` is answered with the environment that the caller's process is to be given. What stands in its list `then` is given,
//! one after the other, when a credential is about to end. `asked` counts how often that was. Addresses other than
//! loopback, for a container's network: `"at": "172.18.0.1", "source": "172.18.0.2"`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::error::Error;
use std::future::Future;
use std::io::{BufRead as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use safeconduct_core::material::{AwsKeys, Material};
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;
use safeconduct_runtime::delivery::aws_container::AwsContainer;
use safeconduct_runtime::delivery::azure_identity::AzureIdentity;
use safeconduct_runtime::delivery::gcp_metadata::GcpMetadata;
use safeconduct_runtime::delivery::slot::{Held, Renew};
use safeconduct_runtime::delivery::{Delivered, Delivery};
use safeconduct_runtime::engine::{Doing, EngineError, Exit, Instance, Listener, Pipes, Place};
use safeconduct_runtime::launch::{Ladder, Launch};
use safeconduct_runtime::masks::Masks;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Order {
    Serve {
        name: String,
        deliver: Deliver,
        give: Give,
        #[serde(default)]
        then: VecDeque<Give>,
        #[serde(default = "loopback")]
        at: IpAddr,
        #[serde(default = "loopback")]
        source: IpAddr,
    },
    Update {
        name: String,
        give: Give,
    },
    Clear {
        name: String,
    },
    Asked {
        name: String,
    },
    Stop {
        name: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Deliver {
    GcpMetadata {
        project: Option<Box<str>>,
        email: Option<Box<str>>,
    },
    AwsContainer {
        region: Option<Box<str>>,
        account: Option<Box<str>>,
        #[serde(default)]
        machine: bool,
    },
    AzureIdentity {
        #[serde(default)]
        resources: Vec<Box<str>>,
        client_id: Option<Box<str>>,
    },
}

/// A token or AWS keys, and for how long they hold.
#[derive(Deserialize)]
struct Give {
    token: Option<String>,
    aws: Option<(String, String, String)>,
    seconds: u64,
    #[serde(default)]
    scopes: Vec<Box<str>>,
}

/// What would be given next, and how often it was asked for.
struct Next(Mutex<(VecDeque<Give>, usize)>);

/// An address at which an instance would run.
struct Spot {
    at: IpAddr,
    source: IpAddr,
}

struct Served {
    delivered: Delivered,
    next: Arc<Next>,
    spot: Arc<Spot>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut all = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let order = serde_json::from_str(&line?)?;
        let answer = runtime
            .block_on(obey(order, &mut all))
            .unwrap_or_else(|error| json!({"error": error.to_string()}));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

async fn obey(order: Order, all: &mut HashMap<String, Served>) -> Result<Value, Box<dyn Error>> {
    let unknown = || "nobody of that name is served";
    match order {
        Order::Serve { name, deliver, give, then, at, source } => {
            let spot = Arc::new(Spot { at, source });
            let next = Arc::new(Next(Mutex::new((then, 0))));
            let delivery = Delivery::from(deliver);
            let prepared = delivery
                .prepare(&*spot, give.held()?, Some(next.clone()), &Arc::new(Masks::default()))
                .await?;
            let shown =
                |(name, value): &(String, Secret)| Some((name.clone(), value.expose_str()?.to_owned()));
            let environment: BTreeMap<_, _> = prepared.environment.iter().filter_map(shown).collect();
            all.insert(name, Served { delivered: prepared.delivered, next, spot });
            Ok(json!({"environment": environment}))
        }
        Order::Update { name, give } => {
            let served = all.get(&name).ok_or_else(unknown)?;
            served.delivered.update(give.held()?, Some(served.next.clone()), &*served.spot).await?;
            Ok(json!({}))
        }
        Order::Clear { name } => {
            let served = all.get(&name).ok_or_else(unknown)?;
            served.delivered.clear(&*served.spot).await?;
            Ok(json!({}))
        }
        Order::Asked { name } => {
            let served = all.get(&name).ok_or_else(unknown)?;
            Ok(json!({"asked": served.next.0.lock().unwrap_or_else(PoisonError::into_inner).1}))
        }
        Order::Stop { name } => {
            all.remove(&name).ok_or_else(unknown)?;
            Ok(json!({}))
        }
    }
}

fn loopback() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

impl From<Deliver> for Delivery {
    fn from(deliver: Deliver) -> Self {
        match deliver {
            Deliver::GcpMetadata { project, email } => {
                Self::GcpMetadata(GcpMetadata { project, email, ..GcpMetadata::default() })
            }
            Deliver::AwsContainer { region, account, machine } => {
                Self::AwsContainer(AwsContainer { region, account, role: None, machine })
            }
            Deliver::AzureIdentity { resources, client_id } => {
                Self::AzureIdentity(AzureIdentity { resources, client_id, tenant: None })
            }
        }
    }
}

impl Give {
    fn held(self) -> Result<Held, Box<dyn Error>> {
        let secret = |text: String| Secret::new(text.into_bytes());
        let material = match (self.token, self.aws) {
            (Some(token), None) => Material::Token(secret(token)),
            (None, Some((id, key, session))) => Material::Aws(AwsKeys {
                access_key_id: id.into(),
                secret_access_key: secret(key),
                session_token: secret(session),
            }),
            _ => return Err("either a token or AWS keys".into()),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let expires =
            Timestamp::from_micros(now.as_micros().try_into()?).plus(Duration::from_secs(self.seconds));
        Ok(Held {
            material: Arc::new(material),
            expires: Some(expires),
            scopes: self.scopes.into(),
            audience: Arc::new([]),
        })
    }
}

impl Renew for Next {
    fn renew(&self) -> Pin<Box<dyn Future<Output = Option<Held>> + Send + '_>> {
        Box::pin(async {
            let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            next.1 += 1;
            next.0.pop_front()?.held().ok()
        })
    }
}

impl Place for Spot {
    fn listen(&self, port: u16) -> Doing<'_, Listener> {
        Box::pin(async move {
            let bound = tokio::net::TcpListener::bind((self.at, port)).await;
            let bound = bound.and_then(|listener| Listener::bound(listener, Some(self.source)));
            bound.map_err(|error| EngineError::Refused(error.to_string()))
        })
    }

    fn start<'a>(self: Box<Self>, _: &'a Launch) -> Doing<'a, Arc<dyn Instance>> {
        Box::pin(async { Err(EngineError::Missing("nothing is run here".into())) })
    }
}

impl Instance for Spot {
    fn pipes(&self) -> Option<Pipes> {
        None
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }

    fn source(&self) -> IpAddr {
        self.source
    }

    fn write<'a>(&'a self, _: &'a Path, _: &'a Secret) -> Doing<'a, ()> {
        Box::pin(async { Err(EngineError::Missing("there are no files here".into())) })
    }

    fn ended(&self) -> Doing<'_, Exit> {
        Box::pin(std::future::pending())
    }

    fn stop(&self, _: Ladder) -> Doing<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
