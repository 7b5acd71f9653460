//! Google Cloud: a pool and a provider that believe the callers' issuer, and what they may do
//! (<https://cloud.google.com/iam/docs/workload-identity-federation-with-other-providers>).

use super::facts::{Facts, Presented};
use super::write::{Hcl, Text, label};
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

/// Commands of gcloud.
pub(super) fn commands(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let all = wanted(facts)?;
    let mut text = Text::default();
    for wanted in &all {
        wanted.commands(facts, &mut text);
    }
    Ok((!all.is_empty()).then(|| text.whole()))
}

/// The same as Terraform.
pub(super) fn terraform(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let all = wanted(facts)?;
    let mut text = Text::default();
    for wanted in &all {
        wanted.terraform(facts, &mut text);
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

impl Wanted<'_> {
    fn commands(&self, facts: &Facts<'_>, text: &mut Text) {
        let Pool { project, pool, provider } = &self.pool;
        text.remark(&format!("Server `{}`: tokens of {}", self.server.name, self.presented.issuer));
        self.presented.remark.iter().for_each(|remark| {
            text.remark(remark);
        });
        let (issuer, audiences) =
            (format!("--issuer-uri={}", self.presented.issuer), self.presented.audiences.join(","));
        let condition =
            condition(facts.subjects).map(|condition| format!("--attribute-condition={condition}"));
        match project {
            Some(number) => {
                text.wrapped(
                    "PROJECT=$(",
                    &["gcloud", "projects", "describe", number, "--format=value(projectId)"],
                    ")",
                );
                text.line("gcloud services enable iam.googleapis.com sts.googleapis.com iamcredentials.googleapis.com --project=\"$PROJECT\"");
                let pool_flag = format!("--workload-identity-pool={pool}");
                text.wrapped(
                    "",
                    &[
                        "gcloud",
                        "iam",
                        "workload-identity-pools",
                        "create",
                        pool,
                        "--location=global",
                        "--display-name=MCP callers",
                    ],
                    " --project=\"$PROJECT\"",
                );
                let allowed = format!("--allowed-audiences={audiences}");
                let mut words = vec![
                    "gcloud",
                    "iam",
                    "workload-identity-pools",
                    "providers",
                    "create-oidc",
                    provider,
                    "--location=global",
                    &pool_flag,
                    &issuer,
                    &allowed,
                    "--attribute-mapping=google.subject=assertion.sub",
                ];
                words.extend(condition.as_deref());
                text.wrapped("", &words, " --project=\"$PROJECT\"");
                text.remark("Groups in the tokens? Map them too (a list of at most 8 KB): google.subject=assertion.sub,google.groups=assertion.groups");
            }
            None => {
                let pool_flag = format!("--workforce-pool={pool}");
                let client = format!(
                    "--client-id={}",
                    self.presented.audiences.first().map(String::as_str).unwrap_or_default()
                );
                text.remark("A workforce pool belongs to the organization: ORGANIZATION is its number.");
                text.wrapped(
                    "",
                    &["gcloud", "iam", "workforce-pools", "create", pool, "--location=global"],
                    " --organization=\"$ORGANIZATION\"",
                );
                let mut words = vec![
                    "gcloud",
                    "iam",
                    "workforce-pools",
                    "providers",
                    "create-oidc",
                    provider,
                    "--location=global",
                    &pool_flag,
                    &issuer,
                    &client,
                    "--web-sso-response-type=id-token",
                    "--web-sso-assertion-claims-behavior=only-id-token-claims",
                    "--attribute-mapping=google.subject=assertion.sub",
                ];
                words.extend(condition.as_deref());
                text.command(&words);
                text.remark("PROJECT: where the callers' access is granted.");
            }
        }
        text.gap();
        self.access(facts, text);
        text.gap();
    }

    fn access(&self, facts: &Facts<'_>, text: &mut Text) {
        let members = self.pool.members(facts.subjects);
        if self.accounts.is_empty() {
            text.remark("What the callers may do, each in their own name. ROLE: no more than they need.");
            text.line(&format!("ROLE={}", role(self.scopes)));
            for member in &members {
                let member = format!("--member={member}");
                text.wrapped(
                    "",
                    &["gcloud", "projects", "add-iam-policy-binding"],
                    &format!(
                        " \"$PROJECT\" {} --role=\"$ROLE\" --condition=None",
                        super::write::shell(&member)
                    ),
                );
            }
        }
        for account in &self.accounts {
            let Some(addresses) = &account.addresses else {
                text.remark(&format!("{}: a claim decides which account it is. For each that it can be:\n  gcloud iam service-accounts add-iam-policy-binding ACCOUNT --role={USER} --member=...", account.written));
                continue;
            };
            for address in addresses {
                if let Some((name, project)) = parts(address) {
                    let project = format!("--project={project}");
                    text.command(&["gcloud", "iam", "service-accounts", "create", name, &project]);
                }
                let mut holders: Vec<(String, &str)> =
                    members.iter().map(|member| (member.clone(), USER)).collect();
                for delegate in account.delegates.iter().chain([address]) {
                    for (holder, role) in &holders {
                        let (role, member) = (format!("--role={role}"), format!("--member={holder}"));
                        text.command(&[
                            "gcloud",
                            "iam",
                            "service-accounts",
                            "add-iam-policy-binding",
                            delegate,
                            &role,
                            &member,
                        ]);
                    }
                    holders = vec![(format!("serviceAccount:{delegate}"), CREATOR)];
                }
            }
        }
    }

    fn terraform(&self, facts: &Facts<'_>, text: &mut Text) {
        let Pool { project, pool, provider } = &self.pool;
        let name = label(&self.server.name);
        text.remark(&format!("Server `{}`: tokens of {}", self.server.name, self.presented.issuer));
        self.presented.remark.iter().for_each(|remark| {
            text.remark(remark);
        });
        let mapping = Hcl::Map(vec![("google.subject".into(), "assertion.sub".into())]);
        let condition =
            condition(facts.subjects).map(|condition| ("attribute_condition", Hcl::text(condition)));
        match project {
            Some(number) => {
                text.block(
                    "google_iam_workload_identity_pool",
                    &name,
                    &[
                        ("project", Hcl::text(number)),
                        ("workload_identity_pool_id", Hcl::text(pool)),
                        ("display_name", Hcl::text("MCP callers")),
                    ],
                );
                let allowed =
                    self.presented.audiences.iter().map(|it| quoted(it)).collect::<Vec<_>>().join(", ");
                let oidc = format!(
                    "oidc {{\n    issuer_uri        = {}\n    allowed_audiences = [{allowed}]\n  }}",
                    quoted(&self.presented.issuer)
                );
                let mut arguments = vec![
                    ("project", Hcl::text(number)),
                    (
                        "workload_identity_pool_id",
                        Hcl::raw(format!(
                            "google_iam_workload_identity_pool.{name}.workload_identity_pool_id"
                        )),
                    ),
                    ("workload_identity_pool_provider_id", Hcl::text(provider)),
                    ("attribute_mapping", mapping),
                ];
                arguments.extend(condition);
                text.nested("google_iam_workload_identity_pool_provider", &name, &arguments, &oidc);
            }
            None => {
                let client = self.presented.audiences.first().cloned().unwrap_or_default();
                let oidc = format!(
                    "oidc {{\n    issuer_uri = {}\n    client_id  = {}\n    web_sso_config {{\n      response_type             = \"ID_TOKEN\"\n      assertion_claims_behavior = \"ONLY_ID_TOKEN_CLAIMS\"\n    }}\n  }}",
                    quoted(&self.presented.issuer),
                    quoted(&client)
                );
                text.line("variable \"organization\" {}");
                text.block(
                    "google_iam_workforce_pool",
                    &name,
                    &[
                        ("workforce_pool_id", Hcl::text(pool)),
                        ("parent", Hcl::raw("\"organizations/${var.organization}\"")),
                        ("location", Hcl::text("global")),
                    ],
                );
                let mut arguments = vec![
                    (
                        "workforce_pool_id",
                        Hcl::raw(format!("google_iam_workforce_pool.{name}.workforce_pool_id")),
                    ),
                    ("location", Hcl::text("global")),
                    ("provider_id", Hcl::text(provider)),
                    ("attribute_mapping", mapping),
                ];
                arguments.extend(condition);
                text.nested("google_iam_workforce_pool_provider", &name, &arguments, &oidc);
            }
        }
        self.granted(facts, &name, text);
        text.gap();
    }

    fn granted(&self, facts: &Facts<'_>, name: &str, text: &mut Text) {
        let members = self.pool.members(facts.subjects);
        if self.accounts.is_empty() {
            let project = self.pool.project.clone().map_or_else(|| Hcl::raw("var.project"), Hcl::text);
            for (number, member) in members.iter().enumerate() {
                text.block(
                    "google_project_iam_member",
                    &format!("{name}_{number}"),
                    &[
                        (
                            "project",
                            match &project {
                                Hcl::Raw(raw) => Hcl::raw(raw),
                                _ => Hcl::text(self.pool.project.clone().unwrap_or_default()),
                            },
                        ),
                        ("role", Hcl::text(role(self.scopes))),
                        ("member", Hcl::text(member)),
                    ],
                );
            }
        }
        for account in &self.accounts {
            let Some(addresses) = &account.addresses else {
                text.remark(&format!(
                    "{}: a claim decides which account it is; bind {USER} on each that it can be.",
                    account.written
                ));
                continue;
            };
            for address in addresses {
                let mut holders: Vec<(String, &str)> =
                    members.iter().map(|member| (member.clone(), USER)).collect();
                if let Some((id, project)) = parts(address) {
                    text.block(
                        "google_service_account",
                        &label(address),
                        &[("project", Hcl::text(project)), ("account_id", Hcl::text(id))],
                    );
                }
                for delegate in account.delegates.iter().chain([address]) {
                    for (number, (holder, role)) in holders.iter().enumerate() {
                        let project = parts(delegate).map_or("-", |(_, project)| project);
                        text.block(
                            "google_service_account_iam_member",
                            &format!("{}_{}_{number}", name, label(delegate)),
                            &[
                                (
                                    "service_account_id",
                                    Hcl::text(format!("projects/{project}/serviceAccounts/{delegate}")),
                                ),
                                ("role", Hcl::text(*role)),
                                ("member", Hcl::text(holder)),
                            ],
                        );
                    }
                    holders = vec![(format!("serviceAccount:{delegate}"), CREATOR)];
                }
            }
        }
    }
}

fn quoted(text: &str) -> String {
    super::write::hcl(text)
}
