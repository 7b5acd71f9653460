//! What the admin listener is ordered to do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use safeconduct_core::audit::{Sink, Trail};
use safeconduct_core::revocation::{Revocation, Whose};
use safeconduct_proxy::admin::{Obey, Order, OrderRefused, Revoked, Stop};
use safeconduct_proxy::revoked::{By, Revoke as _};
use safeconduct_proxy::{logout, request_id};

use super::running::Inner;

/// See the module.
pub(super) struct Orders(pub(super) Arc<Inner>);

impl Obey for Orders {
    fn revoke(&self, order: Order) -> Pin<Box<dyn Future<Output = Result<Revoked, OrderRefused>> + Send>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.revoke(order).await })
    }

    fn stop(&self, order: Stop) -> Pin<Box<dyn Future<Output = Option<usize>> + Send>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.house.fleet.stop(&order.server).await })
    }
}

impl Inner {
    async fn revoke(&self, order: Order) -> Result<Revoked, OrderRefused> {
        let Order { issuer, subject, sid } = order;
        let whose = whose(subject.as_deref(), sid.as_deref()).ok_or(OrderRefused::Nobody)?;
        let (name, revocation) = self.revocation(issuer.as_deref(), whose)?;
        let sink: Arc<dyn Sink> = self.eyes.sink.clone();
        let mut trail = Trail::open(sink.clone(), request_id::next(sink.now()));
        trail.note(|record| record.method = Some("revoke".into()));
        logout::note(&mut trail, &name, &revocation, By::Admin);
        let not_after = revocation.at.rfc3339();
        let tally = self.house.revoker.revoke(revocation, By::Admin).await;
        trail.answered(0);
        Ok(Revoked { issuer: name, subject, sid, not_after, tally })
    }

    /// Which issuer is meant, by its name, and what is to be revoked there.
    fn revocation(&self, issuer: Option<&str>, whose: Whose) -> Result<(String, Revocation), OrderRefused> {
        let plan = self.plan();
        let names = || plan.issuers.iter().map(|issuer| issuer.name.clone()).collect();
        let meant = match (issuer, plan.issuers.as_slice()) {
            (Some(named), issuers) => issuers.iter().find(|it| it.name == named || it.issuer == named),
            (None, [only]) => Some(only),
            (None, _) => return Err(OrderRefused::WhichIssuer(names())),
        };
        let name =
            meant.map(|issuer| issuer.name.clone()).ok_or_else(|| OrderRefused::NoSuchIssuer(names()))?;
        let verifier = self.shared.gateway.load_full().verifier.clone();
        let revocation = verifier.revocation(&name, whose, self.eyes.sink.now());
        Ok((name, revocation.ok_or_else(|| OrderRefused::NoSuchIssuer(names()))?))
    }
}

fn whose(subject: Option<&str>, sid: Option<&str>) -> Option<Whose> {
    let fine =
        |name: &str| !name.is_empty() && name.chars().count() <= 255 && !name.chars().any(char::is_control);
    if !subject.into_iter().chain(sid).all(fine) {
        return None;
    }
    match (subject, sid) {
        (subject, Some(sid)) => Some(Whose::Session { sid: sid.into(), subject: subject.map(Into::into) }),
        (Some(subject), None) => Some(Whose::Subject(subject.into())),
        (None, None) => None,
    }
}
