//! AWS: an identity provider of IAM for the callers' issuer, and the trust policies of the roles
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html>).

use serde_json::{Value, json};

use super::facts::{Facts, Presented};
use super::write::{Hcl, Made, Text, label, once};
use crate::config::plan::{AwsAssumeRolePlan, AwsRolePlan, ServerPlan, StepPlan};

/// A role's ARN, taken apart.
struct Role {
    partition: String,
    account: String,
    /// `/` where it has none.
    path: String,
    name: String,
    arn: String,
}

impl Role {
    fn read(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else { return None };
        let (path, name) = resource.strip_prefix("role")?.rsplit_once('/')?;
        Some(Self {
            partition: (*partition).into(),
            account: (*account).into(),
            path: format!("{path}/"),
            name: name.into(),
            arn: arn.into(),
        })
    }
}

/// One server's chain as AWS must know it.
struct Wanted<'p> {
    server: &'p ServerPlan,
    presented: Presented,
    /// The first roles; None when a claim decides which.
    first: Option<Vec<Role>>,
    plan: &'p AwsRolePlan,
    /// The roles after it, each with the step that assumes it.
    then: Vec<(Vec<Role>, &'p AwsAssumeRolePlan)>,
}

fn roles(text: &str, facts: &Facts<'_>) -> Result<Option<Vec<Role>>, String> {
    let Some(arns) = facts.expanded(text) else { return Ok(None) };
    let read = |arn: &String| Role::read(arn).ok_or_else(|| format!("`{arn}` is not the ARN of a role"));
    arns.iter().map(read).collect::<Result<_, _>>().map(Some)
}

fn wanted<'p>(facts: &Facts<'p>) -> Result<Vec<Wanted<'p>>, String> {
    let of = |(server, index, plan): (&'p ServerPlan, usize, &'p AwsRolePlan)| {
        let mut then = Vec::new();
        for step in server.credential.iter().skip(index + 1) {
            if let StepPlan::AwsAssumeRole(next) = step {
                then.push((roles(&next.role.role, facts)?.unwrap_or_default(), &**next));
            }
        }
        Ok(Wanted {
            server,
            presented: facts.presented(server, index),
            first: roles(&plan.role, facts)?,
            plan,
            then,
        })
    };
    let steps = facts.steps(|step| match step {
        StepPlan::AwsWebIdentity(plan) => Some(&**plan),
        _ => None,
    });
    steps.into_iter().map(of).collect()
}

/// The issuer as IAM names it: without the scheme. A slash at its end counts (Auth0 has one).
fn host(issuer: &str) -> &str {
    issuer.split_once("://").map_or(issuer, |(_, rest)| rest)
}

/// A list, or the only word of it.
fn one_or_many(words: &[String]) -> Value {
    match words {
        [only] => json!(only),
        many => json!(many),
    }
}

/// Who may take the first role: tokens of this issuer, for these audiences, of these subjects.
fn trust(role: &Role, presented: &Presented, subjects: &[String]) -> Value {
    let (host, Role { partition, account, .. }) = (host(&presented.issuer), role);
    let mut equals = json!({ format!("{host}:aud"): one_or_many(&presented.audiences) });
    if let (false, Some(equals)) = (subjects.is_empty(), equals.as_object_mut()) {
        equals.insert(format!("{host}:sub"), one_or_many(subjects));
    }
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Federated": format!("arn:{partition}:iam::{account}:oidc-provider/{host}") },
            "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
            "Condition": { "StringEquals": equals },
        }],
    })
}

/// What is done to a role that is assumed from another.
fn actions(step: &AwsAssumeRolePlan) -> Vec<&'static str> {
    let mut actions = vec!["sts:AssumeRole"];
    if !step.tags.is_empty() {
        actions.push("sts:TagSession");
    }
    if step.source_identity.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    actions
}

/// Who may take a further role: the ones before it.
fn chained(before: &[Role], step: &AwsAssumeRolePlan) -> Value {
    let arns: Vec<String> = before.iter().map(|role| role.arn.clone()).collect();
    let mut statement =
        json!({ "Effect": "Allow", "Principal": { "AWS": one_or_many(&arns) }, "Action": actions(step) });
    if let (Some(id), Some(statement)) = (&step.external_id, statement.as_object_mut()) {
        statement.insert("Condition".into(), json!({ "StringEquals": { "sts:ExternalId": id } }));
    }
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

/// What a role needs to take the next.
fn onward(next: &[Role], step: &AwsAssumeRolePlan) -> Value {
    let arns: Vec<String> = next.iter().map(|role| role.arn.clone()).collect();
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": actions(step), "Resource": one_or_many(&arns) }] })
}

/// Commands of the AWS CLI.
pub(super) fn commands(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let all = wanted(facts)?;
    let (mut text, mut made) = (Text::default(), Made::default());
    for wanted in &all {
        wanted.commands(facts, &all, &mut made, &mut text);
    }
    Ok((!all.is_empty()).then(|| text.whole()))
}

/// The same as Terraform.
pub(super) fn terraform(facts: &Facts<'_>) -> Result<Option<String>, String> {
    let all = wanted(facts)?;
    let (mut text, mut made) = (Text::default(), Made::default());
    for wanted in &all {
        wanted.terraform(facts, &all, &mut made, &mut text);
    }
    Ok((!all.is_empty()).then(|| text.whole()))
}

impl Wanted<'_> {
    fn heading(&self, text: &mut Text) {
        text.remark(&format!("Server `{}`: tokens of {}", self.server.name, self.presented.issuer));
        self.presented.remark.iter().for_each(|remark| {
            text.remark(remark);
        });
        if !self.presented.issuer.starts_with("https://") {
            text.remark("AWS fetches the issuer's keys itself, from the internet, by https: this issuer it cannot reach.");
        }
    }

    /// Audiences of all servers whose callers' tokens are of the same issuer, and go to this account.
    fn clients(&self, account: &str, all: &[Wanted<'_>]) -> Vec<String> {
        let here = |wanted: &&Wanted<'_>| {
            wanted.presented.issuer == self.presented.issuer
                && wanted.first.iter().flatten().any(|role| role.account == account)
        };
        once(all.iter().filter(here).flat_map(|wanted| &wanted.presented.audiences))
    }

    /// The tokens of all servers that lead to this role.
    fn led_to(&self, role: &Role, all: &[Wanted<'_>]) -> Presented {
        let here = |wanted: &&Wanted<'_>| {
            wanted.presented.issuer == self.presented.issuer
                && wanted.first.iter().flatten().any(|other| other.arn == role.arn)
        };
        let audiences = once(all.iter().filter(here).flat_map(|wanted| &wanted.presented.audiences));
        Presented { issuer: self.presented.issuer.clone(), audiences, remark: None }
    }

    fn commands(&self, facts: &Facts<'_>, all: &[Wanted<'_>], made: &mut Made, text: &mut Text) {
        self.heading(text);
        let Some(first) = &self.first else {
            text.remark(&format!(
                "{}: a claim decides which role it is. For each that it can be, a trust policy as:",
                self.plan.role
            ));
            let (partition, account) = ("aws".into(), "ACCOUNT".into());
            let role = Role { partition, account, path: "/".into(), name: "ROLE".into(), arn: String::new() };
            text.document("trust.json", &trust(&role, &self.presented, facts.subjects));
            return;
        };
        let mut accounts: Vec<&str> = first.iter().map(|role| role.account.as_str()).collect();
        accounts.dedup();
        let url = format!("https://{}", host(&self.presented.issuer));
        for account in accounts.into_iter().filter(|account| made.first(format!("{account} {url}"))) {
            let clients = self.clients(account, all);
            text.remark(&format!("In account {account}. Where tokens have `azp`, AWS compares that, not `aud`: add those clients."));
            let mut words =
                vec!["aws", "iam", "create-open-id-connect-provider", "--url", &url, "--client-id-list"];
            words.extend(clients.iter().map(String::as_str));
            text.command(&words);
        }
        let duration = self.plan.duration.as_secs().max(3600).to_string();
        for role in first.iter().filter(|role| made.first(&role.arn)) {
            let file = format!("{}-trust.json", role.name);
            text.document(&file, &trust(role, &self.led_to(role, all), facts.subjects));
            role_made(role, &file, &duration, text);
        }
        let mut before = first;
        let policy = format!("to-{}", self.server.name);
        for (next, step) in &self.then {
            if next.is_empty() {
                text.remark(&format!(
                    "{}: a claim decides which role it is; both it and the role before must agree.",
                    step.role.role
                ));
                break;
            }
            for role in before {
                let file = format!("{}-onward.json", role.name);
                text.document(&file, &onward(next, step));
                let document = format!("file://{file}");
                text.command(&[
                    "aws",
                    "iam",
                    "put-role-policy",
                    "--role-name",
                    &role.name,
                    "--policy-name",
                    &policy,
                    "--policy-document",
                    &document,
                ]);
            }
            for role in next.iter().filter(|role| made.first(&role.arn)) {
                let file = format!("{}-trust.json", role.name);
                text.remark(&format!("In account {}:", role.account));
                text.document(&file, &chained(before, step));
                role_made(role, &file, "3600", text);
            }
            before = next;
        }
        for role in before {
            text.remark(&format!("What callers may do, no more than they need: aws iam attach-role-policy --role-name {} --policy-arn ...", role.name));
        }
        text.gap();
    }

    fn terraform(&self, facts: &Facts<'_>, all: &[Wanted<'_>], made: &mut Made, text: &mut Text) {
        self.heading(text);
        let name = label(&self.server.name);
        let url = format!("https://{}", host(&self.presented.issuer));
        let account =
            self.first.iter().flatten().next().map(|role| role.account.as_str()).unwrap_or_default();
        if made.first(format!("{account} {url}")) {
            let clients = if account.is_empty() {
                self.presented.audiences.clone()
            } else {
                self.clients(account, all)
            };
            text.block(
                "aws_iam_openid_connect_provider",
                &name,
                &[("url", Hcl::text(url)), ("client_id_list", Hcl::List(clients))],
            );
        }
        let Some(first) = &self.first else {
            text.remark(&format!("{}: a claim decides which role it is; safeconduct setup aws (without --terraform) prints the trust policy.", self.plan.role));
            return;
        };
        let duration = self.plan.duration.as_secs().max(3600).to_string();
        for role in first.iter().filter(|role| made.first(&role.arn)) {
            block(role, &trust(role, &self.led_to(role, all), facts.subjects), &duration, text);
        }
        let mut before = first;
        for (next, step) in self.then.iter().take_while(|(next, _)| !next.is_empty()) {
            for role in before {
                text.block(
                    "aws_iam_role_policy",
                    &format!("{}_to_{name}", label(&role.name)),
                    &[
                        ("role", Hcl::raw(format!("aws_iam_role.{}.name", label(&role.name)))),
                        ("policy", encoded(&onward(next, step))),
                    ],
                );
            }
            for role in next.iter().filter(|role| made.first(&role.arn)) {
                block(role, &chained(before, step), "3600", text);
            }
            before = next;
        }
        text.gap();
    }
}

fn role_made(role: &Role, file: &str, duration: &str, text: &mut Text) {
    let document = format!("file://{file}");
    let mut words = vec!["aws", "iam", "create-role", "--role-name", &role.name];
    if role.path != "/" {
        words.extend(["--path", &role.path]);
    }
    words.extend(["--assume-role-policy-document", &document, "--max-session-duration", duration]);
    text.command(&words);
}

fn block(role: &Role, trust: &Value, duration: &str, text: &mut Text) {
    text.remark(&format!("Account {}", role.account));
    text.block(
        "aws_iam_role",
        &label(&role.name),
        &[
            ("name", Hcl::text(&role.name)),
            ("path", Hcl::text(&role.path)),
            ("max_session_duration", Hcl::raw(duration)),
            ("assume_role_policy", encoded(trust)),
        ],
    );
}

/// JSON as text: Terraform compares it by meaning.
fn encoded(document: &Value) -> Hcl {
    Hcl::text(document.to_string())
}
