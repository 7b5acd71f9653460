//! `entra_obo`.

use super::{AtPlan, TargetsPlan};

/// A token for another API in the caller's name, from Microsoft Entra ID.
#[derive(Clone, Debug)]
pub struct EntraOboPlan {
    /// The tenant's token endpoint, and who we are there.
    pub at: AtPlan,
    /// Scopes, and more parameters.
    pub targets: TargetsPlan,
    /// The `aud` expected; empty: not looked at.
    pub expected_audience: Vec<String>,
    /// Whether the API's claims challenges come back here.
    pub claims_challenges: bool,
    /// Where a user can consent.
    pub consent_page: Option<String>,
}
