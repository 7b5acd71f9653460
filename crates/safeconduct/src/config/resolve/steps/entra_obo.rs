//! `entra_obo`.

use std::time::Duration;

use safeconduct_identity::provider::{EntraOboConfig, PUBLIC_CLOUD};

use super::super::Resolver;
use super::list;
use crate::config::decode::{At, Field};
use crate::config::plan::EntraOboPlan;
use crate::config::raw::{AuthMethod, EntraObo};

/// Longest wait for one attempt, unless the file says otherwise.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Entra's names for any tenant: a token is issued by one (the flow wants the tenant's own endpoint).
const NO_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

impl Resolver<'_> {
    pub(super) fn entra_obo(&mut self, step: &EntraObo) -> Option<EntraOboPlan> {
        let endpoint = self.tenant(step).map_or(Field::Broken, Field::Given);
        let none = Field::Absent;
        let common = step.common(&endpoint, &none);
        let at = self.at(common);
        self.proves_itself(&step.client);
        self.shows_certificate(&step.client);
        let targets = self.targets(common, &[]);
        if let Some(page) = step.consent_page.given().filter(|page| !page.value.starts_with("https://")) {
            self.problems
                .error(page.span.clone(), "a page for users is an https URL")
                .label("does not begin with `https://`");
        }
        let mut at = at?;
        if step.attempt_timeout.is_absent() {
            at.attempt_timeout = ATTEMPT.min(at.timeout);
        }
        Some(EntraOboPlan {
            at,
            targets,
            expected_audience: list(&step.expected_audience),
            claims_challenges: step.claims_challenges.or(false),
            consent_page: step.consent_page.value().cloned(),
        })
    }

    /// The tenant's token endpoint, in the place of the authority or the tenant.
    fn tenant(&mut self, step: &EntraObo) -> Option<At<String>> {
        let tenant = step.tenant.given()?;
        let plain = tenant.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        if !plain || NO_TENANTS.contains(&tenant.value.as_str()) {
            self.problems
                .error(tenant.span.clone(), format!("`{}` is not a tenant", tenant.value))
                .label("neither an identifier nor a domain")
                .help("the tenant's identifier (a GUID) is on the application's overview page");
            return None;
        }
        let (authority, place) = match &step.authority {
            Field::Given(authority) => (authority.value.as_str(), authority),
            Field::Absent => (PUBLIC_CLOUD, tenant),
            Field::Broken => return None,
        };
        let value = EntraOboConfig::token_endpoint(authority, &tenant.value);
        Some(At { value, span: place.span.clone(), site: place.site.clone() })
    }

    /// Entra knows a key by its certificate (`x5t`).
    fn shows_certificate(&mut self, name: &Field<String>) {
        let Some(client) = self.client_named(name) else { return };
        let signs = client.auth.value() == Some(&AuthMethod::PrivateKeyJwt);
        if let (true, Some(name)) = (signs && client.certificate.is_absent(), name.given()) {
            self.problems
                .error(name.span.clone(), format!("Entra would not know the key of `{}`", name.value))
                .label("has a key without a `certificate`")
                .help(
                    "certificate: the PEM file that was uploaded to the application (it names the key: x5t)",
                );
        }
    }
}
