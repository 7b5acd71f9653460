//! An AWS account on loopback: its token service, which verifies web identity tokens and signatures for real, its roles
//! with what they trust, and the keys that it issued, by which an AWS service knows its callers. It refuses in AWS's
//! own words.

mod account;
mod actions;
mod reply;
mod role;
pub mod signature;

pub use account::{Account, Session};
pub use role::{Role, Trusts};

use std::io;
use std::sync::Arc;

use http::{Method, StatusCode};

use crate::clock::Clock;
use crate::verify::Trust;
use crate::wire::{Edge, Faults, Log, Reply, Seen, Serve};

/// The account's number.
pub const ACCOUNT: &str = "123456789012";
/// The region that its token service is of.
pub const REGION: &str = "eu-central-1";

/// A running token service, and the account that it is of.
pub struct Aws {
    edge: Edge,
    account: Arc<Account>,
}

impl Aws {
    /// Starts one. `provider` is the account's IAM OIDC provider, and its client ids.
    ///
    /// # Errors
    /// When loopback cannot be bound.
    pub async fn start(provider: Trust, roles: Vec<Role>, clock: Clock) -> io::Result<Self> {
        let (listener, address) = Edge::bind().await?;
        let account = Arc::new(Account::new(provider, roles, clock));
        let edge = Edge::start(listener, address, Arc::new(Sts(account.clone())));
        Ok(Self { edge, account })
    }

    /// URL of the token service.
    pub fn url(&self) -> String {
        format!("{}/", self.edge.url())
    }

    /// The account, for services that take its keys.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Everything that the token service received.
    pub fn log(&self) -> &Log {
        self.edge.log()
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        self.edge.faults()
    }
}

/// That a service takes requests which are signed with keys of the account, and no other.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The account.
    pub account: Arc<Account>,
    /// Region that they must be signed for.
    pub region: &'static str,
    /// Service that they must be signed for.
    pub service: &'static str,
}

impl Signed {
    /// Whose request it is.
    ///
    /// # Errors
    /// The refusal, as a service with a JSON protocol writes it.
    pub fn by(&self, seen: &Seen) -> Result<Session, Box<Reply>> {
        let scope = signature::Scope { region: self.region, service: self.service };
        signature::verify(&self.account, seen, scope).map_err(|refusal| Box::new(refusal.json(&self.account)))
    }
}

/// The token service.
struct Sts(Arc<Account>);

impl Serve for Sts {
    async fn serve(self: Arc<Self>, seen: Seen) -> Reply {
        if seen.method != Method::POST || seen.path() != "/" {
            return Reply::empty(StatusCode::NOT_FOUND);
        }
        actions::answer(&self.0, &seen).await.unwrap_or_else(|refusal| refusal.xml(&self.0))
    }
}

#[cfg(test)]
mod tests;
