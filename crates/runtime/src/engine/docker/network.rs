//! A network of one instance: internal, so that it leads nowhere, and with nobody on it but the instance and, where
//! this program runs in a container, that container.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest,
    NetworkDisconnectRequest,
};

use super::Docker;
use super::error::told;
use super::labels::labels;
use super::made::Made;
use super::subnet::Subnet;
use crate::engine::EngineError;

/// Networks that are tried before it is given up: another one may have been quicker.
const ATTEMPTS: usize = 8;

/// An instance's network.
pub(super) struct Network {
    pub(super) name: String,
    subnet: Subnet,
    joined: bool,
}

impl Network {
    /// Makes it; `own` is this program's container, which joins it.
    pub(super) async fn make(
        docker: &Docker,
        made: &Made,
        server: &str,
        instance: &str,
        transport: &str,
        own: Option<&str>,
    ) -> Result<Self, EngineError> {
        let name = format!("safeconduct-{instance}");
        let mut refused =
            EngineError::Refused(format!("no network is left in the pool {}", docker.settings().pool));
        made.network(&name, own);
        for subnet in Subnet::some(docker.settings().pool, ATTEMPTS) {
            let options = own.is_some().then(without_host);
            let request = NetworkCreateRequest {
                name: name.clone(),
                driver: Some("bridge".to_owned()),
                internal: Some(true),
                attachable: Some(false),
                enable_ipv6: Some(false),
                ipam: Some(ipam(subnet)),
                labels: Some(labels(docker.mark(), server, instance, transport)),
                options,
                ..NetworkCreateRequest::default()
            };
            match docker.api().create_network(request).await.map_err(told) {
                Ok(_) => {
                    let network = Self { name, subnet, joined: own.is_some() };
                    if let Some(own) = own {
                        docker.join(&network, own).await?;
                    }
                    return Ok(network);
                }
                Err(EngineError::Refused(why)) if why.contains("overlap") || why.contains("already used") => {
                    refused = EngineError::Refused(why);
                }
                Err(other) => return Err(other),
            }
        }
        Err(refused)
    }

    /// This program's address on it.
    pub(super) fn gateway(&self) -> Ipv4Addr {
        if self.joined { self.subnet.own() } else { self.subnet.host() }
    }

    /// The instance's.
    pub(super) fn instance(&self) -> Ipv4Addr {
        self.subnet.instance()
    }
}

impl Docker {
    async fn join(&self, network: &Network, own: &str) -> Result<(), EngineError> {
        let ipam = EndpointIpamConfig {
            ipv4_address: Some(network.subnet.own().to_string()),
            ..EndpointIpamConfig::default()
        };
        let request = NetworkConnectRequest {
            container: own.to_owned(),
            endpoint_config: Some(EndpointSettings {
                ipam_config: Some(ipam),
                ..EndpointSettings::default()
            }),
        };
        self.api().connect_network(&network.name, request).await.map_err(told)
    }

    /// Takes our own container off a network again.
    pub(super) async fn leave(&self, network: &str, own: &str) -> Result<(), EngineError> {
        let request = NetworkDisconnectRequest { container: own.to_owned(), force: Some(true) };
        self.api().disconnect_network(network, request).await.map_err(told)
    }
}

/// The bridge gets no address of the host: nothing of the host is on this network.
fn without_host() -> HashMap<String, String> {
    HashMap::from([("com.docker.network.bridge.inhibit_ipv4".to_owned(), "true".to_owned())])
}

fn ipam(subnet: Subnet) -> Ipam {
    let config = IpamConfig {
        subnet: Some(subnet.to_string()),
        gateway: Some(subnet.host().to_string()),
        ..IpamConfig::default()
    };
    Ipam { config: Some(vec![config]), ..Ipam::default() }
}
