//! Puts revocations into effect: in the ledger first, which everything heeds that is asked from then on; then in what is
//! kept; then in what waits or streams; then in what others keep for callers.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use safeconduct_core::revocation::{Revocation, Revocations};
use safeconduct_identity::acquire::CredentialStore;
use safeconduct_identity::verifier::KnownTokens;
use safeconduct_proxy::revoked::{By, Revoke, Revoked, Tally};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Who keeps something for callers that ends with their login: a process that runs a server for one of them.
pub trait Follower: Send + Sync {
    /// These logins have ended. Called once for each revocation, after the ledger knows it; must not block.
    /// [`Revocation::covers`] says whether a caller is meant.
    fn revoked(&self, revocation: &Revocation);
}

/// See the module. It outlives a reload.
pub(super) struct Revoker {
    parts: Arc<Parts>,
    runtime: Handle,
}

struct Parts {
    ledger: Arc<Revocations>,
    store: Arc<CredentialStore>,
    known: Arc<KnownTokens>,
    news: watch::Sender<u64>,
    followers: Mutex<Vec<Arc<dyn Follower>>>,
    by_issuers: AtomicU64,
    by_admins: AtomicU64,
}

impl Revoker {
    pub(super) fn new(
        ledger: Arc<Revocations>,
        store: Arc<CredentialStore>,
        known: Arc<KnownTokens>,
        runtime: Handle,
    ) -> Self {
        let parts = Parts {
            ledger,
            store,
            known,
            news: watch::Sender::new(0),
            followers: Mutex::default(),
            by_issuers: AtomicU64::new(0),
            by_admins: AtomicU64::new(0),
        };
        Self { parts: Arc::new(parts), runtime }
    }

    /// For those who ask.
    pub(super) fn ledger(&self) -> &Arc<Revocations> {
        &self.parts.ledger
    }

    /// For those who wait.
    pub(super) fn watched(&self) -> Revoked {
        Revoked::new(self.parts.ledger.clone(), self.parts.news.subscribe())
    }

    /// Tells this one too, from now on.
    pub(super) fn follow(&self, follower: Arc<dyn Follower>) {
        self.parts.followers.lock().unwrap_or_else(PoisonError::into_inner).push(follower);
    }

    /// Revocations so far: by issuers, and by admins.
    pub(super) fn counts(&self) -> [(By, u64); 2] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [(By::Issuer, read(&self.parts.by_issuers)), (By::Admin, read(&self.parts.by_admins))]
    }
}

impl Revoke for Revoker {
    fn revoke(&self, revocation: Revocation, by: By) -> Pin<Box<dyn Future<Output = Tally> + Send>> {
        let parts = self.parts.clone();
        // Tables are gone through: not on the thread that serves callers.
        let done = self.runtime.spawn(async move { parts.revoke(revocation, by) });
        Box::pin(async move { done.await.unwrap_or_default() })
    }
}

impl Parts {
    fn revoke(&self, mut revocation: Revocation, by: By) -> Tally {
        let (tokens, latest) = self.known.forget(|who| revocation.covers(who));
        if by == By::Admin {
            // A moment of the gateway's clock: tokens that it has seen are from before it, whatever their issuer's says.
            revocation.issued = revocation.issued.max(latest.unwrap_or_default());
        }
        self.ledger.note(&revocation);
        let tally = Tally { credentials: self.store.revoke(&revocation), tokens };
        self.news.send_modify(|count| *count += 1);
        for follower in self.followers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            follower.revoked(&revocation);
        }
        let counted = match by {
            By::Issuer => &self.by_issuers,
            By::Admin => &self.by_admins,
        };
        counted.fetch_add(1, Ordering::Relaxed);
        let Revocation { issuer, whose, .. } = &revocation;
        let Tally { credentials, tokens } = tally;
        tracing::info!(by = by.word(), %issuer, ?whose, credentials, tokens, "logins ended");
        tally
    }
}
