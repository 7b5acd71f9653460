//! `static`: a named secret of the configuration, the same for every caller.
//!
//! The server behind it cannot tell callers apart: the audit record says `configuration`, and the gateway binds
//! tasks and request state to the caller itself. For servers that know nothing but an API key.
//!
//! What an administrator must set up: the key, in a file or in the environment; a file may be rotated while the
//! program runs.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::caller::Principal;
use safeconduct_core::credential::Warrant;
use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;

use super::{Counterpart, Description, Exchanging, Granted, Preview, Provider, Subject, Use, Whose};
use crate::cache::Fields;
use crate::secret_source::SecretSource;
use crate::template::MissingClaim;

/// See the module.
pub struct StaticSecret {
    secret: Arc<SecretSource>,
    nothing: Arc<[Box<str>]>,
}

impl StaticSecret {
    /// From this secret.
    pub fn new(secret: SecretSource) -> Self {
        Self { secret: Arc::new(secret), nothing: Arc::new([]) }
    }

    /// The secret as it is now.
    pub fn current(&self) -> Arc<Secret> {
        self.secret.current()
    }

    /// True when it can change while the program runs.
    pub fn rotates(&self) -> bool {
        self.secret.rotates()
    }
}

impl Provider for StaticSecret {
    fn name(&self) -> &'static str {
        "static"
    }

    fn description(&self) -> Description {
        Description {
            step: self.name().into(),
            endpoint: None,
            client: None,
            authentication: None,
            audience: Vec::new(),
            scopes: Vec::new(),
        }
    }

    fn identify(&self, fields: &mut Fields) {
        // The secret's digest, so that another secret after a reload is another credential.
        let mut secret = Fields::new();
        secret.bytes(self.secret.current().expose());
        fields.text(self.name()).bytes(&secret.digest());
    }

    fn inputs(&self, _: &Principal, _: &mut Fields) -> Result<(), MissingClaim> {
        Ok(())
    }

    fn preview(&self, _: &Principal, _: &str) -> Result<Preview, MissingClaim> {
        Ok(vec![("secret".into(), "<the configured secret>".into())])
    }

    fn counterpart(&self) -> Option<Counterpart<'_>> {
        None
    }

    fn max_lifetime(&self) -> Duration {
        // Never kept: it is here already.
        Duration::ZERO
    }

    fn whose(&self) -> Whose {
        Whose::Gateway
    }

    fn exchange(&self, _: &Warrant, _: Subject, _: Timestamp) -> Exchanging {
        let secret = self.secret.current();
        let nothing = self.nothing.clone();
        Box::pin(async move {
            Ok(Granted {
                material: Material::Token(Secret::new(secret.expose().to_vec())),
                usable: Use::Bearer,
                expires: None,
                audience: nothing.clone(),
                scopes: nothing,
            })
        })
    }
}
