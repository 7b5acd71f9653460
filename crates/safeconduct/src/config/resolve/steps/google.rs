//! `google_sts`, `google_impersonate`, `google_id_token`.

use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;

use super::super::Resolver;
use super::common::{elements, long};
use super::{ATTEMPT, list};
use crate::config::decode::{At, Field};
use crate::config::plan::{
    AtPlan, BoundaryPlan, GoogleIdTokenPlan, GoogleImpersonatePlan, GoogleStsPlan, ServiceAccountPlan,
    TargetsPlan,
};
use crate::config::raw::{GoogleIdToken, GoogleImpersonate, GoogleSts};
use crate::config::values::{Many, Period};

const STS: &str = "https://sts.googleapis.com/v1/token";
const IAM_CREDENTIALS: &str = "https://iamcredentials.googleapis.com";
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
const HOUR: Duration = Duration::from_secs(3600);
/// The API's own bounds (AIP-4117).
const LIFETIMES: [Duration; 2] = [Duration::from_secs(600), Duration::from_secs(43_200)];
/// Most rules of an access boundary.
const RULES: usize = 10;

/// What is read of an `external_account` file (AIP-4117). Such a file is code: its URLs decide where callers' tokens go.
#[derive(Deserialize)]
struct Adc {
    #[serde(rename = "type")]
    kind: String,
    audience: String,
    subject_token_type: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    service_account_impersonation: Option<Impersonation>,
    workforce_pool_user_project: Option<String>,
}

#[derive(Deserialize)]
struct Impersonation {
    token_lifetime_seconds: Option<u64>,
}

impl Resolver<'_> {
    pub(super) fn google_sts(&mut self, step: &GoogleSts, site: &Range<usize>) -> Option<GoogleStsPlan> {
        let adc = self.adc(&step.adc)?;
        let client = self.step_client(&step.client);
        let from_file = |pick: fn(&Adc) -> &String| adc.as_ref().map(pick).cloned();
        let audience = self.pool(step, adc.as_ref(), site);
        let token_endpoint = match step.token_endpoint.given() {
            Some(url) => {
                self.url("callers' tokens", url, &step.allow_http)?;
                url.value.clone()
            }
            None => from_file(|adc| &adc.token_url).unwrap_or_else(|| STS.to_owned()),
        };
        let workforce = audience.as_deref().is_some_and(|audience| audience.contains("/workforcePools/"));
        let subject_token_type = self
            .token_type(&step.subject_token_type)
            .or_else(|| from_file(|adc| &adc.subject_token_type))
            .unwrap_or_else(|| long(if workforce { "id_token" } else { "jwt" }));
        let user_project = step.user_project.value().cloned();
        let user_project =
            user_project.or_else(|| adc.as_ref().and_then(|adc| adc.workforce_pool_user_project.clone()));
        if let (Some(at), false) = (step.user_project.given(), workforce) {
            self.problems
                .error(at.site.clone(), "`user_project` is for workforce pools")
                .label("this is a workload pool, or none");
        }
        let access_boundary = self.boundaries(&step.access_boundary);
        for scope in elements(&step.scopes) {
            self.template(scope);
        }
        let at = AtPlan {
            token_endpoint,
            client: client?,
            max_lifetime: step.max_lifetime.value().map(|period| period.0),
            pause_after_refusal: None,
            attempt_timeout: step.attempt_timeout.value().map_or(ATTEMPT, |period| period.0),
            timeout: self.patience(&step.timeout),
            allow_http: step.allow_http.or(false),
        };
        // A narrowed token keeps the scopes that it has.
        let scopes =
            if access_boundary.is_empty() { self.scopes_or_all(&step.scopes) } else { list(&step.scopes) };
        let audiences = audience.into_iter().collect();
        let targets = TargetsPlan { audiences, scopes, ..TargetsPlan::default() };
        Some(GoogleStsPlan { at, targets, subject_token_type, user_project, access_boundary })
    }

    pub(super) fn google_impersonate(
        &mut self,
        step: &GoogleImpersonate,
        site: &Range<usize>,
    ) -> Option<GoogleImpersonatePlan> {
        let adc = self.adc(&step.adc)?;
        let lifetime = step.lifetime.value().map(|period| period.0);
        if let Some(at) =
            step.lifetime.given().filter(|at| !(LIFETIMES[0]..=LIFETIMES[1]).contains(&at.value.0))
        {
            self.problems
                .error(at.span.clone(), "Google gives no token of this life")
                .label("10m to 12h")
                .help("more than 1h only where the organization's policy allows it");
        }
        let of_file =
            adc.as_ref().and_then(|adc| adc.service_account_impersonation_url.as_deref()).map(impersonated);
        let (account, base) = match (step.service_account.given(), of_file) {
            (Some(account), _) => (account.value.clone(), None),
            (None, Some(Some((base, account)))) => (account, Some(base)),
            (None, _) => {
                self.problems
                    .error(site.clone(), "it is not said which service account is impersonated")
                    .label("needs `service_account`")
                    .help("service_account: NAME@PROJECT.iam.gserviceaccount.com");
                return None;
            }
        };
        let said =
            adc.as_ref().and_then(|adc| adc.service_account_impersonation.as_ref()?.token_lifetime_seconds);
        let at = self.service_account(
            &step.service_account,
            account,
            &step.delegates,
            &step.endpoint,
            base,
            [&step.max_lifetime, &step.attempt_timeout, &step.timeout],
            &step.allow_http,
        )?;
        Some(GoogleImpersonatePlan {
            at,
            scopes: self.scopes_or_all(&step.scopes),
            lifetime: lifetime.or(said.map(Duration::from_secs)).unwrap_or(HOUR),
        })
    }

    pub(super) fn google_id_token(&mut self, step: &GoogleIdToken) -> Option<GoogleIdTokenPlan> {
        let account = step.service_account.value().cloned().unwrap_or_default();
        if let Some(audience) = step.audience.given() {
            self.template(audience);
        }
        let at = self.service_account(
            &step.service_account,
            account,
            &step.delegates,
            &step.endpoint,
            None,
            [&step.max_lifetime, &step.attempt_timeout, &step.timeout],
            &step.allow_http,
        )?;
        Some(GoogleIdTokenPlan {
            at,
            audience: step.audience.value()?.clone(),
            include_email: step.include_email.or(true),
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "two steps have these settings, and no section of the file does"
    )]
    fn service_account(
        &mut self,
        written: &Field<String>,
        account: String,
        delegates: &Field<Many<String>>,
        endpoint: &Field<String>,
        base: Option<String>,
        [max_lifetime, attempt_timeout, timeout]: [&Field<Period>; 3],
        allow_http: &Field<bool>,
    ) -> Option<ServiceAccountPlan> {
        if let Some(at) = written.given() {
            self.template(at);
            if !at.value.contains('@') && !at.value.contains('{') {
                self.problems
                    .error(at.span.clone(), format!("`{}` is not a service account", at.value))
                    .label("not NAME@PROJECT.iam.gserviceaccount.com");
            }
        }
        let endpoint = match endpoint.given() {
            Some(url) => {
                self.url("federated tokens", url, allow_http)?;
                url.value.clone()
            }
            None => base.unwrap_or_else(|| IAM_CREDENTIALS.to_owned()),
        };
        Some(ServiceAccountPlan {
            endpoint,
            account,
            delegates: list(delegates),
            max_lifetime: max_lifetime.value().map(|period| period.0),
            attempt_timeout: attempt_timeout.value().map_or(ATTEMPT, |period| period.0),
            timeout: self.patience(timeout),
            allow_http: allow_http.or(false),
        })
    }

    fn patience(&self, timeout: &Field<Period>) -> Duration {
        timeout.value().map_or_else(|| self.token_endpoint_time(), |period| period.0)
    }

    fn scopes_or_all(&self, scopes: &Field<Many<String>>) -> Vec<String> {
        if scopes.is_absent() { vec![CLOUD_PLATFORM.to_owned()] } else { list(scopes) }
    }

    /// The provider's full name; None for a narrowed token, which has none.
    fn pool(&mut self, step: &GoogleSts, adc: Option<&Adc>, site: &Range<usize>) -> Option<String> {
        let Some(at) = step.audience.given() else {
            if adc.is_none() && step.access_boundary.is_absent() && step.audience.is_absent() {
                self.problems
                    .error(site.clone(), "it is not said which pool the callers' tokens go to")
                    .label("needs `audience`")
                    .help("audience: //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER");
            }
            return adc.map(|adc| adc.audience.clone());
        };
        if let Some(wrong) = wrong_pool(&at.value) {
            self.problems
                .error(at.span.clone(), wrong)
                .label("Google would call this an invalid audience")
                .help("//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER");
        }
        Some(at.value.clone())
    }

    fn boundaries(&mut self, written: &Field<Many<crate::config::raw::Boundary>>) -> Vec<BoundaryPlan> {
        let rules = written.value().map(|many| many.0.as_slice()).unwrap_or_default();
        if let Some(rule) = rules.get(RULES) {
            self.problems
                .error(rule.site.clone(), "an access boundary has at most ten rules")
                .label("one too many");
        }
        let rule = |at: &At<crate::config::raw::Boundary>| {
            Some(BoundaryPlan {
                resource: at.value.resource.value()?.clone(),
                permissions: list(&at.value.permissions),
                condition: at.value.condition.value().cloned(),
            })
        };
        rules.iter().filter_map(rule).collect()
    }

    /// The file, `Some(None)` when there is none, None after noting what is wrong with it.
    fn adc(&mut self, written: &Field<String>) -> Option<Option<Adc>> {
        let Some(at) = written.given() else { return (!matches!(written, Field::Broken)).then_some(None) };
        let path = self.readable(at);
        let text = std::fs::read_to_string(path).ok()?;
        let adc: Adc = match serde_json::from_str(&text) {
            Ok(adc) => adc,
            Err(error) => {
                self.problems
                    .error(at.span.clone(), format!("`{}` is no `external_account` file: {error}", at.value))
                    .label("this file");
                return None;
            }
        };
        let wrong = if adc.kind != "external_account" {
            Some(format!("its type is `{}`, not `external_account`", adc.kind))
        } else if !is_googles(&adc.token_url, "sts") {
            Some(format!("its token_url, `{}`, is not Google's", adc.token_url))
        } else {
            let url = adc.service_account_impersonation_url.as_deref();
            url.filter(|url| impersonated(url).is_none())
                .map(|url| format!("its service_account_impersonation_url, `{url}`, is not Google's"))
        };
        if let Some(wrong) = wrong {
            self.problems
                .error(at.span.clone(), format!("`{}` cannot be used: {wrong}", at.value))
                .label("this file")
                .help("such a file decides where callers' tokens go; for an emulator write the settings out, with its endpoint");
            return None;
        }
        Some(Some(adc))
    }
}

/// `https://sts.googleapis.com/...`, also regional and mutual-TLS hosts (`sts.mtls.googleapis.com`, `sts.REGION.rep.googleapis.com`).
fn is_googles(url: &str, service: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let inner = host.strip_suffix(".googleapis.com").unwrap_or_default();
    uri.scheme_str() == Some("https")
        && uri.port().is_none()
        && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
        && (inner == service || inner.strip_prefix(service).is_some_and(|rest| rest.starts_with('.')))
}

/// Base and account of `.../v1/projects/-/serviceAccounts/ACCOUNT:generateAccessToken`.
fn impersonated(url: &str) -> Option<(String, String)> {
    let (base, rest) = url.split_once("/v1/projects/-/serviceAccounts/")?;
    let account = rest.strip_suffix(":generateAccessToken")?;
    (is_googles(url, "iamcredentials") && account.contains('@'))
        .then(|| (base.to_owned(), account.to_owned()))
}

fn wrong_pool(audience: &str) -> Option<String> {
    let Some(path) = audience.strip_prefix("//iam.googleapis.com/") else {
        return Some("an audience of Google begins with `//iam.googleapis.com/`".into());
    };
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["projects", number, "locations", _, "workloadIdentityPools", _, "providers", _] => {
            let numeric = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            (!numeric).then(|| format!("`{number}` is a project's id, and here its number is wanted"))
        }
        ["locations", _, "workforcePools", _, "providers", _] => None,
        _ => Some("this is not the full name of a pool's provider".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{impersonated, is_googles, wrong_pool};

    #[test]
    fn a_file_that_sends_tokens_elsewhere_is_seen() {
        for good in ["https://sts.googleapis.com/v1/token", "https://sts.mtls.googleapis.com/v1/token"] {
            assert!(is_googles(good, "sts"), "{good}");
        }
        for bad in [
            "http://sts.googleapis.com/v1/token",
            "https://sts.googleapis.com.evil.example/v1/token",
            "https://evil.example/sts.googleapis.com",
            "https://stsx.googleapis.com/",
            "https://a@sts.googleapis.com/",
            "https://sts.googleapis.com:8443/",
        ] {
            assert!(!is_googles(bad, "sts"), "{bad}");
        }
        let url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@p.iam.gserviceaccount.com:generateAccessToken";
        assert_eq!(impersonated(url).unwrap().1, "a@p.iam.gserviceaccount.com");
        assert!(impersonated(&url.replace("googleapis.com", "evil.example")).is_none());
    }

    #[test]
    fn a_pool_is_named_in_full_and_by_its_projects_number() {
        let pool = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/i";
        assert_eq!(wrong_pool(pool), None);
        assert_eq!(wrong_pool("//iam.googleapis.com/locations/global/workforcePools/p/providers/i"), None);
        assert!(wrong_pool(&pool.replace("123", "my-project")).unwrap().contains("number"));
        assert!(wrong_pool("my-pool").is_some());
    }
}
