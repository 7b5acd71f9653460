//! Who AWS takes the holder of keys for (`GetCallerIdentity`). It needs no permission: what `doctor` asks to see what a
//! chain came to.

use std::sync::Arc;

use safeconduct_core::material::Material;
use safeconduct_core::sigv4::SigningKeys;
use safeconduct_core::time::Timestamp;

use super::sts::{Asker, Sts};
use crate::provider::ExchangeError;

/// Whom keys belong to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CallerIdentity {
    /// Account.
    pub account: String,
    /// `arn:aws:sts::123456789012:assumed-role/ROLE/SESSION`
    pub arn: String,
    /// The role's id and the session's name.
    pub user_id: String,
}

/// Asks a region's token service whom these keys belong to.
///
/// # Errors
/// As a step's that is signed with them; `BadAnswer` for a token instead of keys.
pub async fn caller_identity(
    sts: &Sts,
    keys: &Arc<Material>,
    now: Timestamp,
) -> Result<CallerIdentity, ExchangeError> {
    let bad = |problem: String| ExchangeError::BadAnswer { problem };
    let keys = SigningKeys::new(keys).map_err(|error| bad(error.to_string()))?;
    let asked = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")]
        .map(|(name, value)| (name.into(), value.into()));
    let answer = sts.ask(&asked, Asker::Keys(&keys), now).await?;
    let text = |name| {
        let text = answer.text(&["GetCallerIdentityResult", name]).filter(|text| !text.is_empty());
        text.map(ToOwned::to_owned).ok_or_else(|| bad(format!("no {name} in it")))
    };
    Ok(CallerIdentity { account: text("Account")?, arn: text("Arn")?, user_id: text("UserId")? })
}
