//! Google Cloud: a pool and a provider that believe the callers' issuer, and what they may do
//! (<https://cloud.google.com/iam/docs/workload-identity-federation-with-other-providers>).

mod commands;
mod terraform;

use super::facts::{Facts, Presented};
use super::write::{Made, Text, once};
use crate::config::plan::{GoogleStsPlan, ServerPlan, ServiceAccountPlan, StepPlan};

const USER: &str = "roles/iam.workloadIdentityUser";
const CREATOR: &str = "roles/iam.serviceAccountTokenCreator";

/// A provider's resource name, taken apart.
struct Pool {
    /// Number of the project; None for a workforce pool.
    project: Option<String>,
    pool: String,
    provider: String,
}

/// One server's chain as Google must know it.
struct Wanted<'p> {
    server: &'p ServerPlan,
    pool: Pool,
    presented: Presented,
    scopes: &'p [String],
    accounts: Vec<Account>,
}

/// A service account that is impersonated, and those on the way.
struct Account {
    addresses: Option<Vec<String>>,
    written: String,
    delegates: Vec<String>,
}

fn wanted<'p>(facts: &Facts<'p>) -> Result<Vec<Wanted<'p>>, String> {
    let of = |(server, index, sts): (&'p ServerPlan, usize, &'p GoogleStsPlan)| {
        let audience = sts.targets.audiences.first().map(String::as_str).unwrap_or_default();
        let pool = Pool::read(audience)
            .ok_or_else(|| format!("servers.{}: `{audience}` is not the name of a provider", server.name))?;
        let account = |step: &'p StepPlan| match step {
            StepPlan::GoogleImpersonate(plan) => Some(Account::of(&plan.at, facts)),
            StepPlan::GoogleIdToken(plan) => Some(Account::of(&plan.at, facts)),
            _ => None,
        };
        let presented = facts.presented(server, index);
        let accounts = server.credential.iter().filter_map(account).collect();
        Ok(Wanted { server, pool, presented, scopes: &sts.targets.scopes, accounts })
    };
    let steps = facts.steps(|step| match step {
        StepPlan::GoogleSts(plan) => Some(&**plan),
        _ => None,
    });
    steps.into_iter().map(of).collect()
}

/// With the audiences of all servers that come by the same provider: it is one, and takes them all.
fn merged(mut all: Vec<Wanted<'_>>) -> Vec<Wanted<'_>> {
    let places: Vec<(String, Vec<String>)> =
        all.iter().map(|wanted| (wanted.pool.place(), wanted.presented.audiences.clone())).collect();
    for wanted in &mut all {
        let place = wanted.pool.place();
        let here = places.iter().filter(|(other, _)| *other == place);
        wanted.presented.audiences = once(here.flat_map(|(_, audiences)| audiences));
    }
    all
}

/// Commands of gcloud.
pub(super) fn commands(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let all = merged(wanted(facts)?);
    let (mut text, mut made) = (Text::default(), Made::default());
    for wanted in &all {
        wanted.commands(facts, &mut made, &mut text);
    }
    Ok((!all.is_empty()).then(|| text.whole()))
}

/// The same as Terraform.
pub(super) fn terraform(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let all = merged(wanted(facts)?);
    let (mut text, mut made) = (Text::default(), Made::default());
    for wanted in &all {
        wanted.terraform(facts, &mut made, &mut text);
    }
    Ok((!all.is_empty()).then(|| text.whole()))
}

impl Pool {
    fn read(audience: &str) -> Option<Self> {
        let name = audience.trim_start_matches("https:").strip_prefix("//iam.googleapis.com/")?;
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            [
                "projects",
                project,
                "locations",
                "global",
                "workloadIdentityPools",
                pool,
                "providers",
                provider,
            ] => Some(Self {
                project: Some((*project).into()),
                pool: (*pool).into(),
                provider: (*provider).into(),
            }),
            ["locations", "global", "workforcePools", pool, "providers", provider] => {
                Some(Self { project: None, pool: (*pool).into(), provider: (*provider).into() })
            }
            _ => None,
        }
    }

    /// What makes it another one.
    fn place(&self) -> String {
        format!("{} {} {}", self.project.as_deref().unwrap_or_default(), self.pool, self.provider)
    }

    /// Everybody of the pool, or these.
    fn members(&self, subjects: &[String]) -> Vec<String> {
        let place = match &self.project {
            Some(project) => {
                format!("projects/{project}/locations/global/workloadIdentityPools/{}", self.pool)
            }
            None => format!("locations/global/workforcePools/{}", self.pool),
        };
        if subjects.is_empty() {
            return vec![format!("principalSet://iam.googleapis.com/{place}/*")];
        }
        subjects
            .iter()
            .map(|subject| format!("principal://iam.googleapis.com/{place}/subject/{subject}"))
            .collect()
    }
}

impl Account {
    fn of(plan: &ServiceAccountPlan, facts: &Facts<'_>) -> Self {
        Self {
            addresses: facts.expanded(&plan.account),
            written: plan.account.clone(),
            delegates: plan.delegates.clone(),
        }
    }
}

/// A CEL condition: only these subjects.
fn condition(subjects: &[String]) -> Option<String> {
    let quoted = |subject: &String| format!("'{}'", subject.replace('\\', "\\\\").replace('\'', "\\'"));
    (!subjects.is_empty())
        .then(|| format!("assertion.sub in [{}]", subjects.iter().map(quoted).collect::<Vec<_>>().join(", ")))
}

/// The name and project of `name@project.iam.gserviceaccount.com`.
fn parts(address: &str) -> Option<(&str, &str)> {
    let (name, domain) = address.split_once('@')?;
    Some((name, domain.strip_suffix(".iam.gserviceaccount.com")?))
}

/// A role that fits what is asked for; the least one where that is not known.
fn role(scopes: &[String]) -> &'static str {
    let asks = |word: &str| scopes.iter().any(|scope| scope.contains(word));
    if asks("bigquery") {
        "roles/bigquery.user"
    } else if asks("devstorage") {
        "roles/storage.objectViewer"
    } else {
        "roles/browser"
    }
}
