//! Temporary AWS keys: `aws_web_identity` makes them of the caller's token, `aws_assume_role` makes keys of another role
//! of the first ones.
//!
//! - <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>
//! - <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
//! - <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html>
//!
//! What an administrator must set up:
//! 1. the callers' issuer as an IAM OIDC provider of the account (it must be reachable from AWS), with the audience of their tokens
//!    (or, where these have an `azp`, that) among its client ids;
//! 2. a role whose trust policy lets that provider `sts:AssumeRoleWithWebIdentity`, with conditions on `ISSUER:aud` and
//!    `ISSUER:sub`;
//! 3. for a second role: `sts:AssumeRole` on it for the first one, and in its trust policy the first one as principal
//!    (with `sts:TagSession` and `sts:SetSourceIdentity`, where tags and a source identity are sent).
//!
//! A session is named after its caller (`names`), so that CloudTrail tells callers apart as the gateway does.

mod answer;
mod arn;
mod assume_role;
mod caller_identity;
mod config;
pub mod limits;
mod names;
pub mod partition;
mod refusal;
mod sts;
mod web_identity;
mod xml;

pub use assume_role::{AssumeRole, AssumeRoleConfig, Tag};
pub use caller_identity::{CallerIdentity, caller_identity};
pub use config::{BadStep, RoleConfig};
pub use sts::Sts;
pub use web_identity::WebIdentity;
