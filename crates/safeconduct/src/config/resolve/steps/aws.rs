//! `aws_web_identity` and `aws_assume_role`. What AWS would refuse for every caller is refused here, by the limits that
//! the steps themselves have.

use std::ops::RangeInclusive;
use std::time::Duration;

use safeconduct_identity::provider::aws::{limits, partition};

use super::super::Resolver;
use super::{ATTEMPT, list};
use crate::config::decode::{At, Field};
use crate::config::plan::{AwsAssumeRolePlan, AwsRolePlan, AwsTagPlan};
use crate::config::raw::{AwsAssumeRole, AwsWebIdentity};
use crate::config::values::{Many, Period};

/// What both steps have in common.
struct Role<'a> {
    region: &'a Field<String>,
    role: &'a Field<String>,
    session_name: &'a Field<String>,
    duration: &'a Field<Period>,
    durations: RangeInclusive<Duration>,
    policy: &'a Field<String>,
    policy_arns: &'a Field<Many<String>>,
    fips: &'a Field<bool>,
    endpoint: &'a Field<String>,
    allow_http: &'a Field<bool>,
    max_lifetime: &'a Field<Period>,
    attempt_timeout: &'a Field<Period>,
    timeout: &'a Field<Period>,
}

impl Resolver<'_> {
    pub(super) fn aws_web_identity(&mut self, step: &AwsWebIdentity) -> Option<AwsRolePlan> {
        self.aws_role(&Role {
            region: &step.region,
            role: &step.role,
            session_name: &step.session_name,
            duration: &step.duration,
            durations: limits::DURATION,
            policy: &step.policy,
            policy_arns: &step.policy_arns,
            fips: &step.fips,
            endpoint: &step.endpoint,
            allow_http: &step.allow_http,
            max_lifetime: &step.max_lifetime,
            attempt_timeout: &step.attempt_timeout,
            timeout: &step.timeout,
        })
    }

    pub(super) fn aws_assume_role(&mut self, step: &AwsAssumeRole) -> Option<AwsAssumeRolePlan> {
        let role = self.aws_role(&Role {
            region: &step.region,
            role: &step.role,
            session_name: &step.session_name,
            duration: &step.duration,
            durations: limits::CHAINED,
            policy: &step.policy,
            policy_arns: &step.policy_arns,
            fips: &step.fips,
            endpoint: &step.endpoint,
            allow_http: &step.allow_http,
            max_lifetime: &step.max_lifetime,
            attempt_timeout: &step.attempt_timeout,
            timeout: &step.timeout,
        });
        self.within("external id", &step.external_id, limits::external_id);
        self.fixed_within("source identity", &step.source_identity, limits::name);
        let tags = self.tags(step);
        Some(AwsAssumeRolePlan {
            role: role?,
            external_id: step.external_id.value().cloned(),
            source_identity: step.source_identity.value().cloned(),
            tags,
        })
    }

    fn aws_role(&mut self, step: &Role<'_>) -> Option<AwsRolePlan> {
        self.within("region", step.region, limits::region);
        self.fixed_within("role", step.role, limits::role);
        self.fixed_within("session name", step.session_name, limits::name);
        self.within("session policy", step.policy, limits::policy);
        let arns = step.policy_arns.value().map(|many| many.0.as_slice()).unwrap_or_default();
        arns.iter().for_each(|arn| self.told("managed policy", arn, limits::policy_arn));
        if let Some(eleventh) = arns.get(10) {
            self.problems
                .error(eleventh.span.clone(), "a session has at most ten managed policies")
                .label("the eleventh");
        }
        let duration = step.duration.value().map_or(Duration::from_secs(3600), |period| period.0);
        if let (Some(at), false) = (step.duration.given(), step.durations.contains(&duration)) {
            let longest = step.durations.end().as_secs() / 3600;
            self.problems
                .error(at.span.clone(), format!("a session lasts from `15m` to `{longest}h`"))
                .label("outside of that")
                .help("keys that were assumed with another role's keys last an hour at most");
        }
        let region = step.region.value()?.clone();
        let endpoint = match step.endpoint.given() {
            Some(url) => self.url("callers' tokens", url, step.allow_http).map(|_| url.value.clone()),
            None if matches!(step.endpoint, Field::Broken) => None,
            None => {
                self.same_cloud(step.role, &region);
                Some(partition::endpoint(&region, step.fips.or(false)))
            }
        };
        Some(AwsRolePlan {
            endpoint: endpoint?,
            region,
            role: step.role.value()?.clone(),
            session_name: step.session_name.or("{subject}".to_owned()),
            duration,
            policy: step.policy.value().cloned(),
            policy_arns: list(step.policy_arns),
            max_lifetime: step.max_lifetime.value().map(|period| period.0),
            attempt_timeout: step.attempt_timeout.value().map_or(ATTEMPT, |period| period.0),
            timeout: step.timeout.value().map_or_else(|| self.token_endpoint_time(), |period| period.0),
            allow_http: step.allow_http.or(false),
        })
    }

    /// A role of one of AWS's clouds is unknown in the others.
    fn same_cloud(&mut self, role: &Field<String>, region: &str) {
        let (Some(at), here) = (role.given(), partition::partition(region)) else { return };
        if let Some(there) = limits::partition_of(&at.value).filter(|there| *there != here) {
            self.problems
                .error(at.span.clone(), format!("this role is of `{there}`, and `{region}` of `{here}`"))
                .label("another cloud's")
                .help("mend the role or the region; an emulator is named by `endpoint`");
        }
    }

    fn tags(&mut self, step: &AwsAssumeRole) -> Vec<AwsTagPlan> {
        let Some(written) = step.tags.value() else {
            self.tags_named(&step.transitive_tags, &[]);
            self.tags_named(&step.optional_tags, &[]);
            return Vec::new();
        };
        let keys: Vec<&str> = written.names().collect();
        self.tags_named(&step.transitive_tags, &keys);
        self.tags_named(&step.optional_tags, &keys);
        let (transitive, optional) = (list(&step.transitive_tags), list(&step.optional_tags));
        let mut tags: Vec<AwsTagPlan> = Vec::new();
        for (key, value) in written.iter() {
            self.told("tag", key, limits::tag_key);
            self.fixed_told("tag's value", value, limits::tag_value);
            let alike = tags.iter().find(|tag| tag.key.to_lowercase() == key.value.to_lowercase());
            if let Some(alike) = alike {
                self.problems
                    .error(
                        key.span.clone(),
                        format!("AWS does not tell `{}` from `{}`", key.value, alike.key),
                    )
                    .label("the same tag");
            }
            if tags.len() == 50 {
                self.problems.error(key.span.clone(), "a session has at most fifty tags").label("too many");
            }
            tags.push(AwsTagPlan {
                transitive: transitive.contains(&key.value),
                optional: optional.contains(&key.value),
                key: key.value.clone(),
                value: value.value.clone(),
            });
        }
        tags
    }

    fn tags_named(&mut self, list: &Field<Many<String>>, keys: &[&str]) {
        for name in list.value().map(|many| many.0.as_slice()).unwrap_or_default() {
            if !keys.contains(&name.value.as_str()) {
                self.problems
                    .error(name.span.clone(), format!("`{}` is none of the `tags`", name.value))
                    .label("not there")
                    .maybe_help(crate::config::near::suggest(&name.value, keys.iter().copied()));
            }
        }
    }

    /// Text that is the same for all callers.
    fn within(&mut self, what: &str, field: &Field<String>, limit: fn(&str) -> Result<(), limits::Wrong>) {
        if let Some(text) = field.given() {
            self.told(what, text, limit);
        }
    }

    /// A template; what it becomes is known beforehand where it has no placeholder.
    fn fixed_within(
        &mut self,
        what: &str,
        field: &Field<String>,
        limit: fn(&str) -> Result<(), limits::Wrong>,
    ) {
        if let Some(text) = field.given() {
            self.fixed_told(what, text, limit);
        }
    }

    fn fixed_told(&mut self, what: &str, text: &At<String>, limit: fn(&str) -> Result<(), limits::Wrong>) {
        self.template(text);
        if !text.value.contains(['{', '}']) {
            self.told(what, text, limit);
        }
    }

    fn told(&mut self, what: &str, text: &At<String>, limit: fn(&str) -> Result<(), limits::Wrong>) {
        if let Err(wrong) = limit(&text.value) {
            self.problems
                .error(text.span.clone(), format!("AWS takes no such {what}: {wrong}"))
                .label("not one");
        }
    }
}
