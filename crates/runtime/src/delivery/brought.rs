//! What one permitted call brings along, delivered.

use std::sync::Arc;

use super::slot::{Held, Renew};
use super::{Deliver, Delivered, Delivery, Freshness};
use crate::engine::{Doing, Instance, Place};
use crate::launch::Launch;
use crate::masks::Masks;

/// The caller's credential at hand, and how this server takes it.
pub struct Brought {
    /// How the server takes it.
    pub delivery: Arc<Delivery>,
    /// The credential.
    pub held: Held,
    /// Who is asked for a fresh one while the server works on; None: it ends when it ends.
    pub renew: Option<Arc<dyn Renew>>,
}

impl Deliver for Brought {
    type Delivered = Delivered;

    fn board<'a>(
        &'a self,
        place: &'a dyn Place,
        launch: &'a mut Launch,
        masks: &'a Arc<Masks>,
    ) -> Doing<'a, Delivered> {
        Box::pin(async move {
            let prepared = self.delivery.prepare(place, self.held.clone(), self.renew.clone(), masks).await?;
            launch.environment.extend(prepared.environment);
            launch.files.extend(prepared.files);
            Ok(prepared.delivered)
        })
    }

    fn started<'a>(&'a self, delivered: &'a Delivered, instance: &'a Arc<dyn Instance>) -> Doing<'a, ()> {
        Box::pin(async move {
            delivered.serve(instance);
            Ok(())
        })
    }

    fn refresh<'a>(&'a self, delivered: &'a Delivered, instance: &'a dyn Instance) -> Doing<'a, Freshness> {
        Box::pin(delivered.update(self.held.clone(), self.renew.clone(), instance))
    }
}
