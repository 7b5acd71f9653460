//! Whether what was issued is what was asked for. Everything that is not, is refused: a token for somebody
//! else, of another type, or for more than was asked for is never passed on.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::credential::Warrant;
use safeconduct_core::time::Timestamp;

use super::config::{AudienceCheck, BroaderScope, ExchangeConfig, IssuedTypeCheck, token_type};
use super::request::Asked;
use crate::provider::answer::TokenAnswer;
use crate::provider::issued::Issued;
use crate::provider::kind::material;
use crate::provider::{ExchangeError, Granted, Subject};

/// What is believed of a token that does not say when it ends.
const UNSAID_LIFETIME: Duration = Duration::from_secs(300);
/// Longest token that is accepted, in bytes: it has to fit into a header (edge case 29).
const MAX_TOKEN: usize = 32 * 1024;

/// Turns a success into a grant.
pub(super) fn grant(
    config: &ExchangeConfig,
    answer: TokenAnswer,
    asked: &Asked,
    subject: &Subject,
    warrant: &Warrant,
    now: Timestamp,
) -> Result<Granted, ExchangeError> {
    let lifetime = answer.lifetime();
    let TokenAnswer { access_token, issued_token_type, token_type, scope, .. } = answer;
    let token = access_token.ok_or_else(|| bad("no access_token"))?.0;
    if token.is_empty() || token.len() > MAX_TOKEN {
        return Err(bad("the access_token is empty or longer than 32 KiB"));
    }
    if !token.expose().iter().all(u8::is_ascii_graphic) {
        return Err(bad("the access_token holds characters that no header may hold"));
    }
    if subject.is(&token) {
        return Err(bad("the subject token itself was handed back"));
    }
    check_types(config, issued_token_type.as_deref(), token_type.as_deref())?;
    let issued = Issued::read(&token);
    check_audience(config, asked, issued.as_ref())?;
    let scopes = check_scope(config, asked, scope.map(|scope| scope.0), issued.as_ref())?;
    note_other_subject(warrant, issued.as_ref());
    let claimed = issued.and_then(|issued| issued.expires);
    let said = lifetime.map(|lifetime| now.plus(lifetime));
    let expires = match (said, claimed) {
        (Some(said), Some(claimed)) => said.min(claimed),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => now.plus(UNSAID_LIFETIME),
    };
    let (material, usable) = material(token, token_type.as_deref(), &*config.client)?;
    Ok(Granted { material, usable, expires: Some(expires), audience: asked.targets(), scopes })
}

fn check_types(
    config: &ExchangeConfig,
    issued: Option<&str>,
    kind: Option<&str>,
) -> Result<(), ExchangeError> {
    let strict = config.issued_type_check == IssuedTypeCheck::Strict;
    match issued {
        None if strict => {
            return Err(bad("issued_token_type is missing (issued_token_type: lenient accepts that)"));
        }
        Some(issued) if !type_fits(config.requested_token_type.uri(), issued) => {
            return Err(bad("issued_token_type is not the requested one"));
        }
        _ => {}
    }
    match kind {
        None if strict => Err(bad("token_type is missing (issued_token_type: lenient accepts that)")),
        _ => Ok(()),
    }
}

/// The type that was asked for; where none was, one that can be presented. An access token may be called a JWT
/// when it is one: the one name says who made it, the other its form (RFC 8693 §3).
fn type_fits(requested: Option<&str>, issued: &str) -> bool {
    let presentable = [token_type::ACCESS_TOKEN, token_type::JWT];
    match requested {
        Some(requested) => {
            issued == requested || (presentable.contains(&requested) && presentable.contains(&issued))
        }
        None => presentable.contains(&issued),
    }
}

fn check_audience(
    config: &ExchangeConfig,
    asked: &Asked,
    issued: Option<&Issued>,
) -> Result<(), ExchangeError> {
    let Some(issued) = issued else { return Ok(()) };
    let expected: Vec<&str> = if config.expected_audience.is_empty() {
        asked.audience.iter().chain(&asked.resource).map(|one| &**one).collect()
    } else {
        config.expected_audience.iter().map(|one| &**one).collect()
    };
    if expected.is_empty() {
        return Ok(());
    }
    let fits = |audience: &String| expected.contains(&audience.as_str());
    let accepted = match config.audience_check {
        AudienceCheck::Off => true,
        AudienceCheck::Contains => issued.audience.iter().any(fits),
        AudienceCheck::Exact => !issued.audience.is_empty() && issued.audience.iter().all(fits),
    };
    if accepted {
        Ok(())
    } else {
        Err(bad(
            "the issued token is for another audience, or for more than was asked for (see issued_audience and expected_audience)",
        ))
    }
}

/// The scopes granted: what the answer says, else what the token says, else what was asked for (RFC 6749 §5.1).
fn check_scope(
    config: &ExchangeConfig,
    asked: &Asked,
    said: Option<Vec<Box<str>>>,
    issued: Option<&Issued>,
) -> Result<Arc<[Box<str>]>, ExchangeError> {
    let said = said.filter(|scopes| !scopes.is_empty());
    let claimed = issued.map(|issued| issued.scopes.as_slice()).unwrap_or_default();
    let broader =
        |scope: &str| !asked.scopes.is_empty() && !asked.scopes.iter().any(|asked| **asked == *scope);
    let refused =
        said.iter().flatten().any(|scope| broader(scope)) || claimed.iter().any(|scope| broader(scope));
    if refused && config.broader_scope == BroaderScope::Refuse {
        return Err(bad("more scopes are granted than were asked for (broader_scope: accept uses them)"));
    }
    Ok(match said {
        Some(said) if *said == *asked.scopes => asked.scopes.clone(),
        Some(said) => said.into(),
        None if claimed.is_empty() => asked.scopes.clone(),
        None => claimed.iter().map(|scope| scope.as_str().into()).collect(),
    })
}

/// The same issuer should name the same subject; where it does not, somebody will want to know (edge case 27).
fn note_other_subject(warrant: &Warrant, issued: Option<&Issued>) {
    let caller = warrant.principal();
    let Some(issued) = issued else { return };
    let same_issuer = issued.issuer.as_deref() == Some(&*caller.issuer_url);
    if same_issuer && issued.subject.as_deref().is_some_and(|subject| *subject != *caller.subject) {
        tracing::warn!(
            server = %warrant.server().name,
            "an exchange within one issuer gave a token for another subject than the caller's"
        );
    }
}

fn bad(problem: &str) -> ExchangeError {
    ExchangeError::BadAnswer { problem: problem.into() }
}
