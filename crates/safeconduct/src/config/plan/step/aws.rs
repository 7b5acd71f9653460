//! `aws_web_identity` and `aws_assume_role`.

use std::time::Duration;

/// A role of AWS and a session of it: `aws_web_identity`, and what `aws_assume_role` has in common with it. Texts may hold
/// templates (`{subject}`), but for the policies.
#[derive(Clone, Debug)]
pub struct AwsRolePlan {
    /// Region of the token service.
    pub region: String,
    /// URL of the token service.
    pub endpoint: String,
    /// ARN of the role.
    pub role: String,
    /// Name of the session.
    pub session_name: String,
    /// How long the keys are good.
    pub duration: Duration,
    /// Session policy, JSON.
    pub policy: Option<String>,
    /// ARNs of managed policies.
    pub policy_arns: Vec<String>,
    /// Longest use of the keys.
    pub max_lifetime: Option<Duration>,
    /// Longest wait for one attempt.
    pub attempt_timeout: Duration,
    /// Longest wait, retries included.
    pub timeout: Duration,
    /// Whether plain http is accepted beyond loopback.
    pub allow_http: bool,
}

/// `aws_assume_role`.
#[derive(Clone, Debug)]
pub struct AwsAssumeRolePlan {
    /// The role and its session.
    pub role: AwsRolePlan,
    /// External id.
    pub external_id: Option<String>,
    /// Source identity, a template.
    pub source_identity: Option<String>,
    /// Session tags.
    pub tags: Vec<AwsTagPlan>,
}

/// A session tag.
#[derive(Clone, Debug)]
pub struct AwsTagPlan {
    /// Its key.
    pub key: String,
    /// Its value, a template.
    pub value: String,
    /// Whether it goes on to further roles.
    pub transitive: bool,
    /// Whether it may be left out.
    pub optional: bool,
}
