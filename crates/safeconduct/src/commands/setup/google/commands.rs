//! The commands of gcloud.

use super::super::facts::Facts;
use super::super::write::{Made, Text, shell};
use super::{CREATOR, Pool, USER, Wanted, condition, parts, role};

impl Wanted<'_> {
    /// Pool, provider, and what the callers may do.
    pub(super) fn commands(&self, facts: &Facts<'_>, made: &mut Made, text: &mut Text) {
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
                if made.first(format!("pool {number} {pool}")) {
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
                }
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
                if made.first(self.pool.place()) {
                    text.wrapped("", &words, " --project=\"$PROJECT\"");
                }
                text.remark("Groups in the tokens? Map them too (a list of at most 8 KB): google.subject=assertion.sub,google.groups=assertion.groups");
            }
            None => {
                let pool_flag = format!("--workforce-pool={pool}");
                let client = format!(
                    "--client-id={}",
                    self.presented.audiences.first().map(String::as_str).unwrap_or_default()
                );
                text.remark("A workforce pool belongs to the organization: ORGANIZATION is its number.");
                if made.first(format!("pool {pool}")) {
                    text.wrapped(
                        "",
                        &["gcloud", "iam", "workforce-pools", "create", pool, "--location=global"],
                        " --organization=\"$ORGANIZATION\"",
                    );
                }
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
                if made.first(self.pool.place()) {
                    text.command(&words);
                }
                text.remark("PROJECT: where the callers' access is granted.");
            }
        }
        text.gap();
        self.access(facts, made, text);
        text.gap();
    }

    fn access(&self, facts: &Facts<'_>, made: &mut Made, text: &mut Text) {
        let members = self.pool.members(facts.subjects);
        if self.accounts.is_empty() {
            text.remark("What the callers may do, each in their own name. ROLE: no more than they need.");
            text.line(&format!("ROLE={}", role(self.scopes)));
            for member in &members {
                let member = format!("--member={member}");
                text.wrapped(
                    "",
                    &["gcloud", "projects", "add-iam-policy-binding"],
                    &format!(" \"$PROJECT\" {} --role=\"$ROLE\" --condition=None", shell(&member)),
                );
            }
        }
        for account in &self.accounts {
            let Some(addresses) = &account.addresses else {
                text.remark(&format!("{}: a claim decides which account it is. For each that it can be:\n  gcloud iam service-accounts add-iam-policy-binding ACCOUNT --role={USER} --member=...", account.written));
                continue;
            };
            for address in addresses {
                if let Some((name, project)) = parts(address).filter(|_| made.first(address)) {
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
}
