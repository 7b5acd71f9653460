//! The steps of a chain, as they are meant. Each step has a file here, but for the small ones.

mod aws;
mod common;
mod entra_obo;
mod exchange;
mod google;
mod grants;
mod vault;

pub use aws::{AwsAssumeRolePlan, AwsRolePlan, AwsTagPlan};
pub use common::{AtPlan, ExpectedPlan, TargetsPlan};
pub use entra_obo::EntraOboPlan;
pub use exchange::{ActorPlan, ExchangePlan};
pub use google::{BoundaryPlan, GoogleIdTokenPlan, GoogleImpersonatePlan, GoogleStsPlan, ServiceAccountPlan};
pub use grants::{ClientCredentialsPlan, IdJagPlan, JwtBearerPlan};
pub use vault::{PickPlan, VaultPlan};

use std::sync::Arc;
use std::time::Duration;

use super::SecretValue;

/// One step of a chain.
#[derive(Clone, Debug)]
pub enum StepPlan {
    /// Keys of an AWS role, for those of another.
    AwsAssumeRole(Box<AwsAssumeRolePlan>),
    /// Keys of an AWS role, for a token.
    AwsWebIdentity(Box<AwsRolePlan>),
    /// A token for the gateway itself.
    ClientCredentials(Box<ClientCredentialsPlan>),
    /// On behalf of the caller, at Entra.
    EntraObo(Box<EntraOboPlan>),
    /// Token exchange.
    Exchange(Box<ExchangePlan>),
    /// A service account's ID token.
    GoogleIdToken(Box<GoogleIdTokenPlan>),
    /// A service account's access token.
    GoogleImpersonate(Box<GoogleImpersonatePlan>),
    /// A federated token of Google.
    GoogleSts(Box<GoogleStsPlan>),
    /// An identity assertion.
    IdJag(Box<IdJagPlan>),
    /// A JWT as an authorization grant.
    JwtBearer(Box<JwtBearerPlan>),
    /// A named secret.
    Static(Arc<SecretValue>),
    /// A secret of a vault.
    Vault(Box<VaultPlan>),
}

/// What a step makes of what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A token: the caller's, or that of the step before.
    Token,
    /// A token, or what is good as a grant only.
    Grant,
    /// A token of the step before: never the caller's own, which is no header.
    TokenOfStep,
    /// AWS keys of the step before.
    AwsKeys,
    /// Two tokens: the caller's, and that of the step before.
    TokenAndCaller,
    /// Nothing: it gives the same whatever it is given.
    Nothing,
}

/// What a step gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// A token, which a header can carry.
    Token,
    /// What the next step presents, and nobody else.
    Grant,
    /// Temporary AWS keys.
    AwsKeys,
}

impl Gives {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Token => "a token",
            Self::Grant => "an assertion that is good for a `jwt_bearer` step only",
            Self::AwsKeys => "AWS keys",
        }
    }

    /// As what a step has made is called.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Grant => "assertion",
            Self::AwsKeys => "keys",
        }
    }
}

impl Takes {
    /// Whether it can be given that.
    pub const fn fits(self, given: Gives) -> bool {
        match self {
            Self::Token | Self::TokenOfStep | Self::TokenAndCaller => matches!(given, Gives::Token),
            Self::Grant => matches!(given, Gives::Token | Gives::Grant),
            Self::AwsKeys => matches!(given, Gives::AwsKeys),
            Self::Nothing => false,
        }
    }
}

impl StepPlan {
    /// Its name in the file.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AwsAssumeRole(_) => "aws_assume_role",
            Self::AwsWebIdentity(_) => "aws_web_identity",
            Self::ClientCredentials(_) => "client_credentials",
            Self::EntraObo(_) => "entra_obo",
            Self::Exchange(_) => "exchange",
            Self::GoogleIdToken(_) => "google_id_token",
            Self::GoogleImpersonate(_) => "google_impersonate",
            Self::GoogleSts(_) => "google_sts",
            Self::IdJag(_) => "id_jag",
            Self::JwtBearer(_) => "jwt_bearer",
            Self::Static(_) => "static",
            Self::Vault(_) => "vault",
        }
    }

    /// What it makes of what it is given.
    pub const fn takes(&self) -> Takes {
        match self {
            Self::ClientCredentials(_) | Self::Static(_) => Takes::Nothing,
            Self::Exchange(exchange) => match exchange.actor {
                Some(ActorPlan::Step(_)) => Takes::TokenAndCaller,
                Some(ActorPlan::Configured(..)) | None => Takes::Token,
            },
            Self::AwsWebIdentity(_)
            | Self::EntraObo(_)
            | Self::GoogleSts(_)
            | Self::IdJag(_)
            | Self::Vault(_) => Takes::Token,
            Self::GoogleIdToken(_) | Self::GoogleImpersonate(_) => Takes::TokenOfStep,
            Self::AwsAssumeRole(_) => Takes::AwsKeys,
            Self::JwtBearer(_) => Takes::Grant,
        }
    }

    /// What it gives.
    pub const fn gives(&self) -> Gives {
        match self {
            Self::AwsAssumeRole(_) | Self::AwsWebIdentity(_) => Gives::AwsKeys,
            Self::IdJag(_) => Gives::Grant,
            Self::ClientCredentials(_)
            | Self::EntraObo(_)
            | Self::GoogleIdToken(_)
            | Self::GoogleImpersonate(_)
            | Self::GoogleSts(_)
            | Self::Exchange(_)
            | Self::JwtBearer(_)
            | Self::Static(_)
            | Self::Vault(_) => Gives::Token,
        }
    }

    /// Longest time that it may take.
    pub const fn timeout(&self) -> Duration {
        match self {
            Self::AwsAssumeRole(plan) => plan.role.timeout,
            Self::AwsWebIdentity(plan) => plan.timeout,
            Self::ClientCredentials(plan) => plan.at.timeout,
            Self::EntraObo(plan) => plan.at.timeout,
            Self::Exchange(plan) => plan.at.timeout,
            Self::GoogleIdToken(plan) => plan.at.timeout,
            Self::GoogleImpersonate(plan) => plan.at.timeout,
            Self::GoogleSts(plan) => plan.at.timeout,
            Self::IdJag(plan) => plan.at.timeout,
            Self::JwtBearer(plan) => plan.at.timeout,
            Self::Static(_) => Duration::ZERO,
            // The login, and the secret.
            Self::Vault(plan) => plan.timeout.saturating_mul(2),
        }
    }

    /// Whether a chain of these steps gives every caller the same credential: the gateway's own.
    pub fn are_shared(steps: &[Self]) -> bool {
        steps.iter().fold(false, |shared, step| match step.takes() {
            Takes::Nothing => true,
            Takes::TokenAndCaller => false,
            Takes::Token | Takes::TokenOfStep | Takes::Grant | Takes::AwsKeys => shared,
        })
    }
}
