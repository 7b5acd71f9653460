//! Revoked callers, as those see them who wait, stream or are told: what is in flight ends with its caller's login.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use safeconduct_core::caller::Principal;
use safeconduct_core::revocation::{Revocation, Revocations};
use tokio::sync::watch;

/// Why a call or an answer ended.
pub const ENDED: &str = "the caller's login was ended";

/// Whether, and when, a caller is revoked. Cheap to clone.
#[derive(Clone)]
pub struct Revoked {
    ledger: Arc<Revocations>,
    news: watch::Receiver<u64>,
}

impl Revoked {
    /// By this ledger; `news` changes after each revocation.
    pub fn new(ledger: Arc<Revocations>, news: watch::Receiver<u64>) -> Self {
        Self { ledger, news }
    }

    /// How many revocations there were: while it stays, [`Revoked::has_ended`] does.
    pub fn count(&self) -> u64 {
        self.ledger.count()
    }

    /// Whether this caller's login has ended.
    pub fn has_ended(&self, who: &Principal) -> bool {
        self.ledger.ends(who)
    }

    /// Resolves when this caller's login ends.
    pub fn ends(&self, who: &Arc<Principal>) -> impl Future<Output = ()> + Send + use<> {
        let (ledger, mut news, who) = (self.ledger.clone(), self.news.clone(), who.clone());
        async move {
            while !ledger.ends(&who) {
                // A sender that is gone revokes nobody any more.
                if news.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

/// Who revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The issuer, by a logout token.
    Issuer,
    /// Somebody who may speak to the admin listener.
    Admin,
}

impl By {
    /// The word used in metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Admin => "admin",
        }
    }
}

/// What a revocation took away at once. What had no place of its own (sealed sessions, tokens not seen yet) is not
/// counted, and ends all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Cached credentials.
    pub credentials: usize,
    /// Tokens that were remembered as verified.
    pub tokens: usize,
}

/// Whoever can put a revocation into effect.
pub trait Revoke: Send + Sync {
    /// Ends what the revocation names. When this resolves, nothing of it is accepted any more.
    fn revoke(&self, revocation: Revocation, by: By) -> Pin<Box<dyn Future<Output = Tally> + Send>>;
}
