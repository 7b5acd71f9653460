//! `aws_container`: the caller's keys where Amazon's SDKs look for a container's or a machine's own.
//!
//! There are two such places, and which one is used depends on the address at which the endpoint is found from inside,
//! known only when the instance's network is:
//!
//! - **Container credentials** (`container.rs`): `AWS_CONTAINER_CREDENTIALS_FULL_URI` with a secret of the instance in
//!   `AWS_CONTAINER_AUTHORIZATION_TOKEN`. All SDKs refuse plain http there unless the host is a loopback address,
//!   `localhost`, 169.254.170.2, 169.254.170.23 or fd00:ec2::23 (botocore `ContainerMetadataFetcher`, aws-sdk-go-v2
//!   `isAllowedHost`, JavaScript v3 `checkUrl`), and https would need the image to trust a certificate of ours. So this is
//!   what an instance gets that finds the endpoint at loopback: its own network namespace's, or under the engine
//!   `process` the machine's.
//! - **Instance metadata** (`machine.rs`): `AWS_EC2_METADATA_SERVICE_ENDPOINT`, which all SDKs take with any host, version 2 only
//!   (a session token by `PUT`, then `GET` with it). This is what a container gets that finds the endpoint at its
//!   private network's gateway.
//!
//! Why not one of the three link-local addresses as the private network's gateway: docker and podman make no second network
//! whose range overlaps another's ("Pool overlaps with other one on this address space", "subnet is already used"),
//! so only two instances could run at once. A line for `localhost` in the hosts file does not do either: Go's SDK resolves
//! the name and wants nothing but loopback. `AWS_ENDPOINT_URL_STS`, with ourselves as the token service, would
//! take the server's own calls of STS away.
//!
//! Boto asks again below fifteen minutes, and waits for the answer below ten; so a fresh set is asked for below twenty. Keys
//! that never live so long (STS gives no less than fifteen minutes) are told with their true end, and Boto then asks at each
//! use: one request from memory, and no question to an issuer within ten seconds.
//!
//! Against instance metadata Boto stretches the end of keys that hold for less than about twenty minutes by as much again
//! ("static stability", `_evaluate_expiration`) and would sign with ended ones. It does so only when the end is
//! written in whole seconds; here it is written with milliseconds, which every SDK reads.
//!
//! Source: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>,
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>.

mod container;
mod machine;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use self::container::Container;
use self::machine::Machine;
use super::bearer::{Bearer, NoRandomness};
use super::endpoint::Protocol;
use super::slot::{Present, Slot, Unavailable};
use super::{Environment, plain, variable};

/// With less left, fresh keys are asked for.
const ENOUGH: Duration = Duration::from_secs(20 * 60);
/// The SDKs give up after one second (JavaScript) or two (Python).
const PATIENCE: Duration = Duration::from_millis(800);
/// Hosts that the SDKs believe over plain http, besides loopback.
const BELIEVED: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

/// What is said besides the keys.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AwsContainer {
    /// Region, for `AWS_REGION` and `AWS_DEFAULT_REGION`.
    pub region: Option<Box<str>>,
    /// Account that the keys belong to.
    pub account: Option<Box<str>>,
    /// Name under which the role is listed: letters, digits, `-`, `_` and `.`. None: `safeconduct`.
    pub role: Option<Box<str>>,
    /// As instance metadata everywhere, also where container credentials would do.
    pub machine: bool,
}

impl AwsContainer {
    /// What is served at `address`, and what tells the SDKs to ask there.
    pub(crate) fn at(&self, address: SocketAddr) -> Result<(Arc<dyn Protocol>, Environment), NoRandomness> {
        let believed = address.ip().is_loopback() || BELIEVED.contains(&address.ip());
        let (protocol, mut environment): (Arc<dyn Protocol>, _) = if believed && !self.machine {
            let bearer = Bearer::new()?;
            let environment = Container::environment(address, &bearer);
            (Arc::new(Container { bearer, account: self.account.clone() }), environment)
        } else {
            (Arc::new(Machine::new(self)?), Machine::environment(address))
        };
        if let Some(region) = &self.region {
            environment.push(variable("AWS_REGION", plain(region)));
            environment.push(variable("AWS_DEFAULT_REGION", plain(region)));
        }
        Ok((protocol, environment))
    }
}

/// The keys as both places write them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Keys<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
}

impl<'a> Keys<'a> {
    /// None when what is held are no keys.
    fn of(present: &'a Present, account_id: Option<&'a str>) -> Option<Self> {
        let keys = present.held.material.aws()?;
        Some(Self {
            access_key_id: &keys.access_key_id,
            secret_access_key: keys.secret_access_key.expose_str()?,
            token: keys.session_token.expose_str()?,
            expiration: present.ends.rfc3339(),
            account_id,
        })
    }
}

async fn take(slot: &Slot) -> Result<Present, Unavailable> {
    slot.take(ENOUGH, PATIENCE).await
}
