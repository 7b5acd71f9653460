//! Clients that prove themselves by what their platform gives them.

use std::sync::Arc;

use safeconduct_core::secret::Secret;
use safeconduct_identity::client_auth::{AUDIENCE, IMDS};
use safeconduct_identity::wire::Endpoint;

use super::super::Resolver;
use crate::config::decode::{At, Field};
use crate::config::plan::{ClientAuthPlan, SecretOrigin, SecretValue};
use crate::config::raw::{Client, ManagedIdentity};
use crate::config::values::SecretText;

impl Resolver<'_> {
    pub(super) fn managed_identity(&mut self, client: &Client) -> Option<ClientAuthPlan> {
        let nothing = ManagedIdentity {
            client_id: Field::Absent,
            audience: Field::Absent,
            endpoint: Field::Absent,
            header: Field::Absent,
        };
        let identity = match &client.managed_identity {
            Field::Absent => &nothing,
            given => &given.given()?.value,
        };
        let variable = |name: &str| (self.surroundings.variable)(name).filter(|text| !text.is_empty());
        let platform = variable("IDENTITY_ENDPOINT").zip(variable("IDENTITY_HEADER"));
        let (endpoint, header) = match (&identity.endpoint, &identity.header) {
            (Field::Absent, Field::Absent) => match platform {
                Some((endpoint, header)) => {
                    let origin = SecretOrigin::Env("IDENTITY_HEADER".into());
                    let value = Secret::new(header.into_bytes());
                    (endpoint, Some(Arc::new(SecretValue { origin, value })))
                }
                None => (IMDS.to_owned(), None),
            },
            (endpoint, header) => {
                let header = match header {
                    Field::Absent => None,
                    given => Some(self.secret(given.given()?)?),
                };
                (endpoint.or(IMDS.to_owned()), header)
            }
        };
        if let (Err(_), Some(at)) = (Endpoint::of_machine(&endpoint), identity.endpoint.given()) {
            self.problems
                .error(at.span.clone(), "this is not an address of the machine itself")
                .label("not of this machine")
                .help("plain http goes to loopback and link-local addresses only, by number");
        }
        Some(ClientAuthPlan::ManagedIdentity {
            endpoint,
            audience: identity.audience.or(AUDIENCE.to_owned()),
            identity: identity.client_id.value().cloned(),
            header,
        })
    }

    pub(super) fn needed_file(
        &mut self,
        name: &At<String>,
        setting: &str,
        written: &Field<String>,
        help: &str,
    ) -> Option<Arc<SecretValue>> {
        if written.is_absent() {
            self.problems
                .error(name.span.clone(), format!("`{setting}` is missing"))
                .label(format!("needs `{setting}`"))
                .help(help);
        }
        self.content(written.given()?)
    }

    /// A file that may be replaced while the program runs.
    pub(super) fn content(&mut self, path: &At<String>) -> Option<Arc<SecretValue>> {
        let value = SecretText::File(path.value.clone());
        self.secret(&At { value, span: path.span.clone(), site: path.site.clone() })
    }
}
