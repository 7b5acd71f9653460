//! `vault`.

use std::time::Duration;

use super::super::Resolver;
use super::ATTEMPT;
use crate::config::decode::{At, Field};
use crate::config::plan::{PickPlan, VaultPlan};
use crate::config::raw::Vault;

/// When a secret without a lease is read again, unless the file says otherwise.
const REFRESH: Duration = Duration::from_secs(300);

impl Resolver<'_> {
    pub(super) fn vault(&mut self, step: &Vault) -> Option<VaultPlan> {
        let address = step.address.given();
        let usable = address.and_then(|url| self.url("callers' tokens and secrets", url, &step.allow_http));
        if let (Some(url), Some(address)) = (&usable, address)
            && (!matches!(url.path(), "" | "/") || url.query().is_some())
        {
            self.problems
                .error(address.span.clone(), "an address has no path")
                .label("more than a host and a port")
                .help("address: https://vault.example.com:8200; the paths go into `mount` and `read`");
        }
        for path in [&step.mount, &step.read].into_iter().filter_map(Field::given) {
            self.vault_path(path);
        }
        for text in [&step.role, &step.read].into_iter().filter_map(Field::given) {
            self.template(text);
        }
        let pick = self.pick(&step.field, &step.basic);
        usable?;
        let timeout = step.timeout.value().map_or_else(|| self.token_endpoint_time(), |period| period.0);
        let attempt = step.attempt_timeout.value().map_or(ATTEMPT, |period| period.0);
        Some(VaultPlan {
            address: address?.value.clone(),
            namespace: step.namespace.value().cloned(),
            mount: step.mount.value().map_or("jwt", String::as_str).to_owned(),
            role: step.role.value()?.clone(),
            read: step.read.value()?.clone(),
            pick: pick.unwrap_or(PickPlan::Only),
            refresh: step.refresh.value().map_or(REFRESH, |period| period.0),
            max_lifetime: step.max_lifetime.value().map(|period| period.0),
            attempt_timeout: attempt.min(timeout).max(Duration::from_millis(1)),
            timeout,
            allow_http: step.allow_http.or(false),
        })
    }

    /// Which member of an object of secrets is meant; None where nothing is said.
    pub(super) fn pick(&mut self, field: &Field<String>, basic: &Field<bool>) -> Option<PickPlan> {
        if let (Field::Given(basic), Field::Given(_)) = (basic, field)
            && basic.value
        {
            self.problems
                .error(basic.site.clone(), "`basic` beside `field`: there is one credential")
                .label("which of the two?")
                .help("keep one of them");
        }
        if basic.or(false) {
            return Some(PickPlan::Basic);
        }
        field.value().cloned().map(PickPlan::Member)
    }

    /// Names with slashes between.
    fn vault_path(&mut self, path: &At<String>) {
        let names = path.value.split('/').all(|name| !name.is_empty() && name != "." && name != "..");
        if !names || path.value.starts_with("v1/") || path.value.contains(['?', '#']) {
            self.problems
                .error(path.span.clone(), format!("`{}` is not a path of the vault", path.value))
                .label("not names with slashes between")
                .help("as the API has it, without `/v1/` in front: secret/data/orders");
        }
    }
}
