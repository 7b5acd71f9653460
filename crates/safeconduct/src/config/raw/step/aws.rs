//! `aws_web_identity` and `aws_assume_role`: temporary AWS keys.

use crate::config::decode::{Named, section};
use crate::config::values::{Many, Period};

section! {
    /// Keys of an AWS role, for the caller's token (`AssumeRoleWithWebIdentity`). The callers' issuer must be an IAM OIDC
    /// provider of the role's account. Delivered by `sigv4`, `aws_container`, `env: true` or `file: true`.
    AwsWebIdentity {
        /// Region of the token service: `eu-central-1`; `aws-global` for the global endpoint.
        region, required: String;
        /// ARN of the role. It may be chosen by the caller: `{group:MAP}`, or `{claim:NAME}` in the place of its name.
        role, required: String;
        /// Name of the session, which CloudTrail shows. What AWS does not take of it is replaced, and told apart by a
        /// mark; so is the same name of two issuers. Default: `{subject}`.
        session_name: String;
        /// How long the keys are good: 15 minutes to 12 hours, and not longer than the role allows. Default: `1h`.
        duration: Period;
        /// A session policy (JSON, at most 2048 characters): what of the role's permissions the keys have at most.
        policy: String;
        /// ARNs of managed policies, to the same end; at most ten.
        policy_arns: Many<String>;
        /// Asks the FIPS endpoint of the region. Default: `false`.
        fips: bool;
        /// URL of the token service, where it is not the region's own (an emulator, a private endpoint).
        endpoint: String;
        /// Accepts plain http for an endpoint that is not on this machine. Default: `false`.
        allow_http: bool;
        /// Uses the keys no longer than this. Default: no limit besides their own and the caller's token's.
        max_lifetime: Period;
        /// Waits this long for one attempt. Default: `5s`.
        attempt_timeout: Period;
        /// Waits this long in all, retries included. Default: `timeouts.token_endpoint`.
        timeout: Period;
    }
}

section! {
    /// Keys of a second AWS role, for those of the step before (`AssumeRole`, signed): an hour at most. Tags and a source
    /// identity of the caller's claims can be attached to the session.
    AwsAssumeRole {
        /// Region of the token service.
        region, required: String;
        /// ARN of the role; may be chosen by the caller as in `aws_web_identity`.
        role, required: String;
        /// Name of the session. Default: `{subject}`.
        session_name: String;
        /// How long the keys are good: 15 minutes to one hour. Default: `1h`.
        duration: Period;
        /// A session policy (JSON, at most 2048 characters).
        policy: String;
        /// ARNs of managed policies; at most ten.
        policy_arns: Many<String>;
        /// The external id that the role's trust policy asks for.
        external_id: String;
        /// The source identity: it stays through all further roles. Made fit for AWS as the session's name is.
        source_identity: String;
        /// Session tags, at most fifty. A value that AWS does not take refuses the call.
        tags: Named<String>;
        /// Keys of the tags that go on to further roles.
        transitive_tags: Many<String>;
        /// Keys of the tags that are left out when the caller has no such claim, and when the session is too large for AWS.
        optional_tags: Many<String>;
        /// Asks the FIPS endpoint of the region. Default: `false`.
        fips: bool;
        /// URL of the token service, where it is not the region's own.
        endpoint: String;
        /// Accepts plain http for an endpoint that is not on this machine. Default: `false`.
        allow_http: bool;
        /// Uses the keys no longer than this. Default: no limit besides their own and the caller's token's.
        max_lifetime: Period;
        /// Waits this long for one attempt. Default: `5s`.
        attempt_timeout: Period;
        /// Waits this long in all, retries included. Default: `timeouts.token_endpoint`.
        timeout: Period;
    }
}
