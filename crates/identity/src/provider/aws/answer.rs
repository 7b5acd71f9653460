//! The keys that were issued, and whether they are for whom and what they were asked for.

use std::sync::Arc;

use safeconduct_core::material::{AwsKeys, Material};
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;

use super::arn::RoleArn;
use super::config::Session;
use super::xml::Element;
use crate::provider::{ExchangeError, Granted, Use};

/// Longest session token that is accepted, in bytes: it has to fit into a header. AWS names no size (edge case 29).
const MAX_TOKEN: usize = 32 * 1024;

/// Turns a success into a grant.
pub(super) fn granted(
    root: &Element,
    action: &str,
    session: &Session,
    policies: &[Box<str>],
) -> Result<Granted, ExchangeError> {
    let (response, result) = (format!("{action}Response"), format!("{action}Result"));
    if !root.is(&response) {
        return Err(bad("not the answer to what was asked"));
    }
    let text = |path: &[&str]| root.text(&[&[result.as_str()], path].concat());
    let key = |name: &str| text(&["Credentials", name]).filter(|text| !text.is_empty());
    let (id, secret_key) =
        key("AccessKeyId").zip(key("SecretAccessKey")).ok_or_else(|| bad("no keys in it"))?;
    let token = key("SessionToken").ok_or_else(|| bad("no session token in it"))?;
    let word = |text: &str| text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic());
    let id_fits = id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !id_fits
        || !word(secret_key)
        || token.len() > MAX_TOKEN
        || !token.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(bad("the keys hold characters that keys do not have, or are too long"));
    }
    let expires = key("Expiration").and_then(Timestamp::parse_rfc3339);
    let expires = expires.ok_or_else(|| bad("it does not say when the keys end"))?;
    check_session(text(&["AssumedRoleUser", "Arn"]), session)?;
    tracing::debug!(
        request = root.text(&["ResponseMetadata", "RequestId"]).unwrap_or_default(),
        packed_policy_size = text(&["PackedPolicySize"]).unwrap_or_default(),
        "AWS issued keys"
    );
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    Ok(Granted {
        material: Material::Aws(AwsKeys {
            access_key_id: id.into(),
            secret_access_key: secret(secret_key),
            session_token: secret(token),
        }),
        usable: Use::Bearer,
        expires: Some(expires),
        audience: Arc::new([session.role.as_str().into()]),
        scopes: policies.into(),
    })
}

/// Whose session it is. Some emulators say nothing; what is said must be right.
fn check_session(said: Option<&str>, session: &Session) -> Result<(), ExchangeError> {
    let expected = RoleArn::read(&session.role).map(|role| role.session(&session.name));
    match said {
        Some(said) if !said.is_empty() && Some(said) != expected.as_deref() => {
            Err(bad("the keys are of another role or session than was asked for"))
        }
        _ => Ok(()),
    }
}

fn bad(problem: &str) -> ExchangeError {
    ExchangeError::BadAnswer { problem: problem.into() }
}
