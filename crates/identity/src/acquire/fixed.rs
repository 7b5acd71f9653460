//! A server's static credential, made before a call comes and again when its file changes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use safeconduct_core::audit::{CredentialRecord, SpeaksFor};
use safeconduct_core::credential::Credential;
use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;
use safeconduct_core::server::Delivery;

use crate::provider::{Description, Provider as _, StaticSecret};

/// How long a file is believed to be unchanged.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Fixed {
    secret: StaticSecret,
    delivery: Delivery,
    record: CredentialRecord,
    rotates: bool,
    made: Mutex<Made>,
}

struct Made {
    at: Duration,
    from: Arc<Secret>,
    /// None until there was one that a header may hold.
    credential: Option<Credential>,
}

impl Fixed {
    pub(super) fn new(secret: StaticSecret, delivery: &Delivery) -> Self {
        let nothing: Arc<[Box<str>]> = Arc::new([]);
        let record = CredentialRecord {
            steps: Arc::new([secret.name().into()]),
            source: "configuration",
            speaks_for: SpeaksFor::Gateway,
            audience: nothing.clone(),
            scopes: nothing,
            expires: None,
        };
        let from = secret.current();
        let credential = made(&from, delivery, &record);
        let made = Mutex::new(Made { at: Duration::ZERO, from, credential });
        Self { rotates: secret.rotates(), secret, delivery: delivery.clone(), record, made }
    }

    /// The credential; a file is looked at again at most once a second. None for a secret that no header may hold: a
    /// call must not leave without what its server was configured with.
    pub(super) fn credential(&self, now: Duration) -> Option<Credential> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.rotates || now < made.at + LOOK_AGAIN {
            return made.credential.clone();
        }
        drop(made);
        self.reread(now)
    }

    /// The credential from the file as it is now; the last good one, if that is none.
    pub(super) fn reread(&self, now: Duration) -> Option<Credential> {
        let current = self.secret.current();
        let mut kept = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        kept.at = now;
        if kept.from.expose() != current.expose() {
            kept.credential = made(&current, &self.delivery, &self.record).or(kept.credential.take());
            kept.from = current;
        }
        kept.credential.clone()
    }

    pub(super) fn description(&self) -> Description {
        self.secret.description()
    }
}

fn made(secret: &Secret, delivery: &Delivery, record: &CredentialRecord) -> Option<Credential> {
    let material = Arc::new(Material::Token(Secret::new(secret.expose().to_vec())));
    Credential::configured(&material, delivery, record.clone())
        .inspect_err(|error| tracing::error!(%error, "a static secret is not used"))
        .ok()
}
