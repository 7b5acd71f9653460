//! From a plan to the [`Gateway`] that works by it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use safeconduct_core::mcp::door::Door;
use safeconduct_core::path::Release;
use safeconduct_core::policy::Policy;
use safeconduct_core::server::{Catalogue, Delivery, Server};
use safeconduct_core::sigv4::Signer;
use safeconduct_identity::acquire::{CredentialPlan, CredentialStore, Credentials};
use safeconduct_identity::wire::{Wire, WireConfig};
use safeconduct_proxy::catalogue::Asked;
use safeconduct_proxy::entrance::Entrance;
use safeconduct_proxy::gateway::Gateway;
use safeconduct_proxy::limits::{Limits, Rate};
use safeconduct_proxy::logout;
use safeconduct_proxy::metadata;
use safeconduct_proxy::stream::Lifetimes;
use tokio::runtime::Handle;

use super::fleet::Fleet;
use super::keeper::Keeper;
use super::revoker::Revoker;
use super::{Failed, clients, credentials, issuers, tls};
use crate::config::Plan;
use crate::config::plan::{DeliverPlan, ServerPlan, StepPlan};

/// What outlives a reload.
pub(super) struct House {
    /// The background runtime: issuers, token endpoints, admin, reload.
    pub(super) runtime: Handle,
    /// Cached credentials.
    pub(super) store: Arc<CredentialStore>,
    /// Known callers and issuers' keys.
    pub(super) issuers: issuers::Issuers,
    /// Whose logins have ended.
    pub(super) revoker: Arc<Revoker>,
    /// The servers that are started here.
    pub(super) fleet: Arc<Fleet>,
    /// What tools are pinned to.
    pub(super) keeper: Arc<Keeper>,
    /// Key that session ids are sealed with, when the plan names none.
    pub(super) session_key: [u8; 32],
}

/// A plan at work, as the next one finds it.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    pub(super) plan: &'a Plan,
    pub(super) gateway: &'a Gateway,
}

/// Makes the gateway of a plan. What must not be forgotten is taken over from the one before: what the servers'
/// lists have taught, open requests of servers, and how much each caller has called.
pub(super) fn assemble(
    house: &House,
    plan: &Plan,
    policy: Policy,
    before: Option<Before<'_>>,
) -> Result<Gateway, Failed> {
    let config = WireConfig { extra_roots: tls::extra_roots(plan)?, ..WireConfig::default() };
    let wire = Wire::new(&config, house.runtime.clone()).map_err(|error| Failed::of("ca_file", error))?;
    let wire = Arc::new(wire);
    let clients = clients::clients(plan)?;
    let mut servers = HashMap::new();
    let mut plans = Vec::new();
    for server in &plan.servers {
        let chain = credentials::chain(server, plan, &clients, house.store.leases(), &wire)?;
        let mut made = server_of(server, &chain, before.map(|before| before.gateway))?;
        made.pins = house.keeper.pins(server);
        let made = Arc::new(made);
        plans.push((made.clone(), chain));
        servers.insert(path_of(server), made);
    }
    let policy = Arc::new(policy);
    let door = match before.filter(|before| same_door(before.plan, plan)) {
        Some(before) => before.gateway.release.door.clone(),
        None => Arc::new(door(plan, house)?),
    };
    let limits = match before.filter(|before| before.plan.limits == plan.limits) {
        Some(before) => before.gateway.limits.clone(),
        None => {
            let rate = plan.limits.per_caller.map(|(calls, window)| Rate { calls, window });
            Arc::new(Limits::new(rate, plan.limits.streams_per_caller))
        }
    };
    let credentials = Arc::new(Credentials::new(house.store.clone(), plans));
    Ok(Gateway {
        entrance: entrance(plan, &servers),
        verifier: house.issuers.verifier(plan, &clients, &wire, house.revoker.ledger())?,
        credentials: credentials.clone(),
        release: Release { policy: policy.clone(), door },
        policy,
        revoked: house.revoker.watched(),
        asked: Asked::new(plan.servers.iter().map(|server| server.name.as_str())),
        limits,
        berths: house.fleet.berths(plan, &credentials),
        lifetimes: Lifetimes {
            answer: plan.timeouts.answer,
            idle: plan.timeouts.idle,
            total: plan.timeouts.total,
            keep_alive: plan.timeouts.keep_alive,
        },
        body_limit: plan.limits.body,
        body_time: plan.timeouts.body,
    })
}

fn same_door(one: &Plan, other: &Plan) -> bool {
    let key = |plan: &Plan| plan.session_key.as_ref().map(|key| key.value.expose().to_vec());
    key(one) == key(other) && one.limits.list == other.limits.list
}

fn door(plan: &Plan, house: &House) -> Result<Door, Failed> {
    let failed = |error: &dyn std::fmt::Display| Failed::of("sessions.key", error.to_string());
    let key = session_key(plan, house)?;
    let door = Door::new(&key, &[]).map_err(|error| failed(&error))?;
    let body = usize::try_from(plan.limits.list).unwrap_or(usize::MAX);
    let door = door.with_revocations(house.revoker.ledger().clone());
    Ok(door.with_limits(safeconduct_core::mcp::door::Limits { body, ..Default::default() }))
}

fn path_of(server: &ServerPlan) -> Box<str> {
    format!("/{}/mcp", server.name).into()
}

pub(super) fn server_of(
    plan: &ServerPlan,
    chain: &CredentialPlan,
    before: Option<&Gateway>,
) -> Result<Server, Failed> {
    let known = before.and_then(|gateway| gateway.entrance.servers.get(&path_of(plan)));
    let catalogue = known
        .filter(|server| server.url == plan.url)
        .map_or_else(Catalogue::default, |server| Catalogue::taken_over(&server.catalogue));
    Ok(Server {
        name: plan.name.as_str().into(),
        resource: plan.resource.as_str().into(),
        metadata_url: plan.metadata_url.as_str().into(),
        issuers: plan.issuers.iter().map(|name| name.as_str().into()).collect(),
        scopes: plan
            .scopes
            .iter()
            .map(|(method, scopes)| {
                (method.as_str().into(), scopes.iter().map(|s| s.as_str().into()).collect())
            })
            .collect::<BTreeMap<_, _>>(),
        url: plan.url.clone(),
        started: plan.run.is_some(),
        delivery: match &plan.deliver {
            DeliverPlan::Header { name, prefix } => {
                Delivery::Header { name: name.clone(), prefix: prefix.as_str().into() }
            }
            DeliverPlan::SigV4 { region, service } => Delivery::SigV4(Arc::new(
                Signer::new(region, service).map_err(|error| Failed::of("deliver.sigv4", error))?,
            )),
            DeliverPlan::Instance(_) => Delivery::Instance,
        },
        shared_credential: StepPlan::are_shared(&plan.credential)
            || matches!(chain, CredentialPlan::None | CredentialPlan::Static(_)),
        catalogue,
        pins: None,
    })
}

fn session_key(plan: &Plan, house: &House) -> Result<[u8; 32], Failed> {
    let Some(key) = &plan.session_key else { return Ok(house.session_key) };
    key.value.expose().try_into().map_err(|_| Failed::of("sessions.key", "must be 32 bytes"))
}

fn entrance(plan: &Plan, servers: &HashMap<Box<str>, Arc<Server>>) -> Entrance {
    let mut documents: HashMap<Box<str>, bytes::Bytes> = HashMap::new();
    for (path, server) in servers {
        let urls: Vec<&str> = plan
            .issuers
            .iter()
            .filter(|issuer| server.issuers.iter().any(|name| **name == *issuer.name))
            .map(|issuer| issuer.issuer.as_str())
            .collect();
        let document = metadata::document(server, &urls);
        documents.insert(format!("{}{path}", metadata::WELL_KNOWN).into(), document.clone());
        // With one server the root is unambiguous (RFC 9728 §3.1, MCP's last place to look).
        if servers.len() == 1 {
            documents.insert(metadata::WELL_KNOWN.into(), document);
        }
    }
    let public: Option<http::Uri> = plan.public_url.parse().ok();
    let mut hosts = plan.allowed_hosts.clone();
    hosts.extend(public.as_ref().and_then(http::Uri::host).map(str::to_ascii_lowercase));
    let mut origins = plan.allowed_origins.clone();
    origins.push(plan.public_url.to_ascii_lowercase());
    Entrance {
        hosts,
        origins,
        local: plan.listen.ip().is_loopback(),
        trusted_proxies: plan.trusted_proxies.iter().filter_map(|net| net.parse().ok()).collect(),
        servers: servers.clone(),
        metadata: documents,
        logouts: plan
            .issuers
            .iter()
            .filter(|issuer| issuer.logout.is_some())
            .map(|issuer| (format!("{}{}", logout::PATH, issuer.name).into(), issuer.name.as_str().into()))
            .collect(),
    }
}
