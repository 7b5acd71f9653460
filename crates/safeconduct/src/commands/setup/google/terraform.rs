//! The same as Terraform.

use super::super::facts::Facts;
use super::super::write::{Hcl, Made, Text, hcl, label};
use super::{CREATOR, Pool, USER, Wanted, condition, parts, role};

impl Wanted<'_> {
    /// Pool, provider, and what the callers may do.
    pub(super) fn terraform(&self, facts: &Facts<'_>, made: &mut Made, text: &mut Text) {
        let Pool { project, pool, provider } = &self.pool;
        let name = label(&self.server.name);
        let (pool_label, provider_label) = (label(pool), label(&format!("{pool}_{provider}")));
        text.remark(&format!("Server `{}`: tokens of {}", self.server.name, self.presented.issuer));
        self.presented.remark.iter().for_each(|remark| {
            text.remark(remark);
        });
        let mapping = Hcl::Map(vec![("google.subject".into(), "assertion.sub".into())]);
        let condition =
            condition(facts.subjects).map(|condition| ("attribute_condition", Hcl::text(condition)));
        match project {
            Some(number) => {
                if made.first(format!("pool {number} {pool}")) {
                    text.block(
                        "google_iam_workload_identity_pool",
                        &pool_label,
                        &[
                            ("project", Hcl::text(number)),
                            ("workload_identity_pool_id", Hcl::text(pool)),
                            ("display_name", Hcl::text("MCP callers")),
                        ],
                    );
                }
                let allowed =
                    self.presented.audiences.iter().map(|it| hcl(it)).collect::<Vec<_>>().join(", ");
                let oidc = format!(
                    "oidc {{\n    issuer_uri        = {}\n    allowed_audiences = [{allowed}]\n  }}",
                    hcl(&self.presented.issuer)
                );
                let mut arguments = vec![
                    ("project", Hcl::text(number)),
                    (
                        "workload_identity_pool_id",
                        Hcl::raw(format!(
                            "google_iam_workload_identity_pool.{pool_label}.workload_identity_pool_id"
                        )),
                    ),
                    ("workload_identity_pool_provider_id", Hcl::text(provider)),
                    ("attribute_mapping", mapping),
                ];
                arguments.extend(condition);
                if made.first(self.pool.place()) {
                    let kind = "google_iam_workload_identity_pool_provider";
                    text.nested(kind, &provider_label, &arguments, &oidc);
                }
            }
            None => {
                let client = self.presented.audiences.first().cloned().unwrap_or_default();
                let oidc = format!(
                    "oidc {{\n    issuer_uri = {}\n    client_id  = {}\n    web_sso_config {{\n      response_type             = \"ID_TOKEN\"\n      assertion_claims_behavior = \"ONLY_ID_TOKEN_CLAIMS\"\n    }}\n  }}",
                    hcl(&self.presented.issuer),
                    hcl(&client)
                );
                if made.first("variables") {
                    text.line("variable \"organization\" {}\nvariable \"project\" {}");
                }
                if made.first(format!("pool {pool}")) {
                    text.block(
                        "google_iam_workforce_pool",
                        &pool_label,
                        &[
                            ("workforce_pool_id", Hcl::text(pool)),
                            ("parent", Hcl::raw("\"organizations/${var.organization}\"")),
                            ("location", Hcl::text("global")),
                        ],
                    );
                }
                let mut arguments = vec![
                    (
                        "workforce_pool_id",
                        Hcl::raw(format!("google_iam_workforce_pool.{pool_label}.workforce_pool_id")),
                    ),
                    ("location", Hcl::text("global")),
                    ("provider_id", Hcl::text(provider)),
                    ("attribute_mapping", mapping),
                ];
                arguments.extend(condition);
                if made.first(self.pool.place()) {
                    text.nested("google_iam_workforce_pool_provider", &provider_label, &arguments, &oidc);
                }
            }
        }
        self.granted(facts, &name, made, text);
        text.gap();
    }

    fn granted(&self, facts: &Facts<'_>, name: &str, made: &mut Made, text: &mut Text) {
        let members = self.pool.members(facts.subjects);
        if self.accounts.is_empty() {
            let project = self.pool.project.clone().map_or_else(|| Hcl::raw("var.project"), Hcl::text);
            for (number, member) in members.iter().enumerate() {
                text.block(
                    "google_project_iam_member",
                    &format!("{name}_{number}"),
                    &[
                        ("project", project.clone()),
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
                if let Some((id, project)) = parts(address).filter(|_| made.first(address)) {
                    text.block(
                        "google_service_account",
                        &label(address),
                        &[("project", Hcl::text(project)), ("account_id", Hcl::text(id))],
                    );
                }
                for delegate in account.delegates.iter().chain([address]) {
                    let project = parts(delegate).map_or("-", |(_, project)| project);
                    let account = if delegate == address && project != "-" {
                        Hcl::raw(format!("google_service_account.{}.name", label(address)))
                    } else {
                        Hcl::text(format!("projects/{project}/serviceAccounts/{delegate}"))
                    };
                    for (number, (holder, role)) in holders.iter().enumerate() {
                        text.block(
                            "google_service_account_iam_member",
                            &format!("{}_{}_{number}", name, label(delegate)),
                            &[
                                ("service_account_id", account.clone()),
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
