//! Google Cloud: the caller's own token becomes one of Google's, by workload or workforce identity federation, and that
//! one, where it is asked for, becomes a service account's.
//!
//! - federation: <https://docs.cloud.google.com/iam/docs/workload-identity-federation-with-other-providers>,
//!   <https://docs.cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>
//! - impersonation: <https://docs.cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts>
//!
//! What an administrator must set up: a pool with an OIDC provider for the callers' issuer, whose allowed audiences hold
//! one that the callers' tokens have; an attribute mapping with `google.subject`; and, for the principal or a
//! principal set of the pool, access to the resource itself or `roles/iam.workloadIdentityUser` on the service account.

mod api;
mod error;
mod impersonate;
mod sts;

pub use api::ServiceAccounts;
pub(in crate::provider) use error::ISSUER;
pub use impersonate::{GoogleIdToken, GoogleIdTokenConfig, GoogleImpersonate, GoogleImpersonateConfig};
pub use sts::{AccessBoundary, AccessCondition, AccessRule, GoogleSts, GoogleStsConfig, GoogleStsOptions};
