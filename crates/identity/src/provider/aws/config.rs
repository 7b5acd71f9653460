//! What both steps are told: which role, under which name, for how long, with how much of it.

use std::time::Duration;

use safeconduct_core::caller::Principal;

use super::arn::RoleArn;
use super::limits;
use super::names;
use crate::cache::Fields;
use crate::provider::Description;
use crate::template::{MissingClaim, Template};

/// A role, and the session of it.
pub struct RoleConfig {
    /// ARN of the role.
    pub role: Template,
    /// `RoleSessionName`; what AWS would not take of it is replaced (`names`).
    pub session_name: Template,
    /// Callers of several issuers are believed here: the issuer becomes part of every name.
    pub several_issuers: bool,
    /// `DurationSeconds`
    pub duration: Duration,
    /// `Policy`: what of the role's permissions the session has at most.
    pub policy: Option<Box<str>>,
    /// `PolicyArns`, to the same end.
    pub policy_arns: Vec<Box<str>>,
    /// Longest time that keys are kept.
    pub max_lifetime: Duration,
}

/// Parameters of a request, in order. None of them is a secret.
pub(super) type Asked = Vec<(Box<str>, Box<str>)>;

/// A role and a session's name, for one caller.
pub(super) struct Session {
    pub(super) role: String,
    pub(super) name: String,
}

impl RoleConfig {
    /// This role, for an hour, under the caller's subject.
    pub fn new(role: Template, subject: Template) -> Self {
        Self {
            role,
            session_name: subject,
            several_issuers: false,
            duration: Duration::from_secs(3600),
            policy: None,
            policy_arns: Vec::new(),
            max_lifetime: Duration::from_secs(24 * 3600),
        }
    }

    /// Fills the templates. A claim may name a role, but not leave the place that the configuration gives it in an ARN.
    pub(super) fn session(&self, caller: &Principal) -> Result<Session, MissingClaim> {
        let role = match self.role.is_one_placeholder() {
            true => self.role.fill(caller)?,
            false => self.role.fill_where(caller, |value| !value.contains(['/', ':']))?,
        };
        if RoleArn::read(&role).is_none() {
            return Err(MissingClaim(format!("the ARN of a role, for {}", self.role.text())));
        }
        Ok(Session { name: self.name(&self.session_name, caller)?, role: role.into_owned() })
    }

    /// A name that AWS takes, of a template.
    pub(super) fn name(&self, template: &Template, caller: &Principal) -> Result<String, MissingClaim> {
        let text = template.fill(caller)?;
        if template.as_fixed().is_some() {
            return Ok(text.into_owned());
        }
        Ok(names::session_name(&text, caller, self.several_issuers))
    }

    /// What of the request is common to both actions.
    pub(super) fn asked(&self, action: &str, session: &Session) -> Asked {
        let mut asked = Asked::new();
        let mut put = |name: &str, value: &str| asked.push((name.into(), value.into()));
        put("Action", action);
        put("Version", "2011-06-15");
        put("RoleArn", &session.role);
        put("RoleSessionName", &session.name);
        put("DurationSeconds", &self.duration.as_secs().to_string());
        if let Some(policy) = &self.policy {
            put("Policy", policy);
        }
        for (at, arn) in self.policy_arns.iter().enumerate() {
            put(&format!("PolicyArns.member.{}.arn", at + 1), arn);
        }
        asked
    }

    pub(super) fn identify(&self, fields: &mut Fields) {
        self.role.identify(fields);
        self.session_name.identify(fields);
        fields
            .number(u64::from(self.several_issuers))
            .number(self.duration.as_secs())
            .option(self.policy.as_deref())
            .set(self.policy_arns.iter().map(|arn| arn.as_bytes()))
            .number(self.max_lifetime.as_secs());
    }

    pub(super) fn inputs(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim> {
        self.role.input(caller, fields)?;
        self.session_name.input(caller, fields)
    }

    pub(super) fn description(&self, step: &str, endpoint: &str) -> Description {
        Description {
            step: step.into(),
            endpoint: Some(endpoint.into()),
            client: None,
            authentication: None,
            audience: vec![self.role.text().into()],
            scopes: self.policy_arns.clone(),
        }
    }

    /// What of it AWS would refuse, and why.
    pub(super) fn check(&self, chained: bool) -> Result<(), BadStep> {
        let longest = if chained { limits::CHAINED } else { limits::DURATION };
        if !longest.contains(&self.duration) {
            return Err(BadStep::Duration { longest: longest.end().as_secs() });
        }
        let wrong = |what: &'static str| move |wrong: limits::Wrong| BadStep::Value { what, wrong };
        self.role.as_fixed().map_or(Ok(()), limits::role).map_err(wrong("role"))?;
        self.session_name.as_fixed().map_or(Ok(()), limits::name).map_err(wrong("session_name"))?;
        self.policy.as_deref().map_or(Ok(()), limits::policy).map_err(wrong("policy"))?;
        self.policy_arns.iter().try_for_each(|arn| limits::policy_arn(arn)).map_err(wrong("policy_arns"))?;
        if self.policy_arns.len() > 10 {
            return Err(BadStep::Value { what: "policy_arns", wrong: "at most ten" });
        }
        Ok(())
    }
}

/// A step that AWS would refuse for every caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadStep {
    /// Too short or too long.
    #[error("a session is between 900 and {longest} seconds long")]
    Duration {
        /// Longest, in seconds.
        longest: u64,
    },
    /// A value.
    #[error("{what}: {wrong}")]
    Value {
        /// The setting.
        what: &'static str,
        /// What is wrong with it.
        wrong: limits::Wrong,
    },
}
