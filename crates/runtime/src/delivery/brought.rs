//! What one permitted call brings along, delivered.

use std::sync::Arc;

use safeconduct_core::secret::Secret;

use super::slot::{Held, Renew};
use super::{Deliver, Delivered, Delivery, Environment, Freshness, NO_PROXY};
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
            for (name, value) in prepared.environment {
                add(&mut launch.environment, name, value);
            }
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

    fn clear<'a>(&'a self, delivered: &'a Delivered, instance: &'a dyn Instance) -> Doing<'a, ()> {
        Box::pin(delivered.clear(instance))
    }
}

/// Adds a variable; of hosts without a proxy there may be some already.
fn add(environment: &mut Environment, name: String, value: Secret) {
    let before = environment.iter_mut().find(|(own, _)| *own == name && NO_PROXY.contains(&&*name));
    match before {
        Some((_, before)) => *before = Secret::new([before.expose(), b",", value.expose()].concat()),
        None => environment.push((name, value)),
    }
}
