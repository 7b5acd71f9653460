//! Whether what was issued is what was asked for. Everything that is not, is refused: a token for somebody
//! else, of another type, or for more than was asked for is never passed on.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::credential::Warrant;
use safeconduct_core::secret::Secret;
use safeconduct_core::time::Timestamp;

use super::{Asked, Given, token_type};
use crate::cache::Fields;
use crate::client_auth::ClientAuth;
use crate::provider::answer::TokenAnswer;
use crate::provider::issued::Issued;
use crate::provider::kind::material;
use crate::provider::{ExchangeError, Granted, Subject};

/// What is believed of a token that does not say when it ends.
const UNSAID_LIFETIME: Duration = Duration::from_secs(300);
/// Longest token that is accepted, in bytes: it has to fit into a header (edge case 29).
const MAX_TOKEN: usize = 32 * 1024;

/// What must be said of the issued token's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IssuedTypeCheck {
    /// `token_type` (RFC 6749 §5.1), and of an exchange `issued_token_type` (RFC 8693 §2.2.1), must be there and fit
    /// what was asked for.
    #[default]
    Strict,
    /// They may be missing; what is there must fit.
    Lenient,
}

/// What `aud` of an issued JWT must be, where an audience or resource was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudienceCheck {
    /// Nothing but what was asked for.
    #[default]
    Exact,
    /// Something of what was asked for; more is accepted.
    Contains,
    /// Not looked at: for servers whose audience names are not what stands in the token.
    Off,
}

/// What to do when more scopes are granted than were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BroaderScope {
    /// Refuse the token.
    #[default]
    Refuse,
    /// Use it, and record the scopes: for servers that add default scopes (Keycloak).
    Accept,
}

/// What an issued token must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// `aud` that the issued token has, when it is not what is asked for (logical names).
    pub audience: Vec<Box<str>>,
    /// How `aud` is checked.
    pub audience_check: AudienceCheck,
    /// How the types are checked.
    pub type_check: IssuedTypeCheck,
    /// What happens to a broader scope.
    pub broader_scope: BroaderScope,
}

impl Expected {
    /// Everything that decides whether an answer is accepted.
    pub(in crate::provider) fn identify(&self, fields: &mut Fields) {
        fields
            .set(self.audience.iter().map(|audience| audience.as_bytes()))
            .number(self.audience_check as u64)
            .number(self.type_check as u64)
            .number(self.broader_scope as u64);
    }
}

/// Which members of an answer name types.
#[derive(Clone, Copy)]
pub(in crate::provider) enum Types<'a> {
    /// An exchange's (RFC 8693), with the type that was requested.
    Exchanged(Option<&'a str>),
    /// Any other grant's (RFC 6749): there is no `issued_token_type`, and the token is a bearer token.
    Plain,
}

/// Turns a success into a grant.
pub(in crate::provider) fn grant(
    expected: &Expected,
    types: Types<'_>,
    client: &dyn ClientAuth,
    answer: TokenAnswer,
    asked: &Asked,
    given: &Given,
) -> Result<Granted, ExchangeError> {
    let Given { subject, warrant, now } = given;
    let lifetime = answer.lifetime();
    let TokenAnswer { access_token, issued_token_type, token_type, scope, .. } = answer;
    let token = presentable(access_token.map(|token| token.0))?;
    if subject.is(&token) || warrant.subject().is(&token) {
        return Err(bad("the subject token itself was handed back"));
    }
    check_types(expected, types, issued_token_type.as_deref(), token_type.as_deref())?;
    let issued = Issued::read(&token);
    check_audience(expected, asked, issued.as_ref())?;
    let scopes = check_scope(expected, asked, scope.map(|scope| scope.0), issued.as_ref())?;
    if matches!(subject, Subject::Caller(_)) {
        note_other_subject(warrant, issued.as_ref());
    }
    let expires = Some(end(lifetime, issued.as_ref(), *now));
    let (material, usable) = material(token, token_type.as_deref(), client)?;
    Ok(Granted { material, usable, expires, audience: recorded(asked, issued), scopes })
}

/// What was asked for; of a grant that names its target in the scopes only, what the token says.
fn recorded(asked: &Asked, issued: Option<Issued>) -> Arc<[Box<str>]> {
    match (asked.targets(), issued) {
        (none, Some(issued)) if none.is_empty() => issued.audience.into_iter().map(Into::into).collect(),
        (targets, _) => targets,
    }
}

/// A token that can be presented to somebody.
pub(in crate::provider) fn presentable(token: Option<Secret>) -> Result<Secret, ExchangeError> {
    let token = token.ok_or_else(|| bad("no access_token"))?;
    if token.is_empty() || token.len() > MAX_TOKEN {
        return Err(bad("the access_token is empty or longer than 32 KiB"));
    }
    if !token.expose().iter().all(u8::is_ascii_graphic) {
        return Err(bad("the access_token holds characters that no header may hold"));
    }
    Ok(token)
}

/// When a token ends: what the answer says and what the token says, whichever comes first.
pub(in crate::provider) fn end(
    lifetime: Option<Duration>,
    issued: Option<&Issued>,
    now: Timestamp,
) -> Timestamp {
    let said = lifetime.map(|lifetime| now.plus(lifetime));
    match (said, issued.and_then(|issued| issued.expires)) {
        (Some(said), Some(claimed)) => said.min(claimed),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => now.plus(UNSAID_LIFETIME),
    }
}

fn check_types(
    expected: &Expected,
    types: Types<'_>,
    issued: Option<&str>,
    kind: Option<&str>,
) -> Result<(), ExchangeError> {
    let strict = expected.type_check == IssuedTypeCheck::Strict;
    if let Types::Exchanged(requested) = types {
        match issued {
            None if strict => {
                return Err(bad("issued_token_type is missing (issued_token_type: lenient accepts that)"));
            }
            Some(issued) if !type_fits(requested, issued) => {
                return Err(bad("issued_token_type is not the requested one"));
            }
            _ => {}
        }
    }
    match (kind, types) {
        (None, Types::Exchanged(_)) if strict => {
            Err(bad("token_type is missing (issued_token_type: lenient accepts that)"))
        }
        (None, Types::Plain) if strict => Err(bad("token_type is missing")),
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

fn check_audience(expected: &Expected, asked: &Asked, issued: Option<&Issued>) -> Result<(), ExchangeError> {
    let Some(issued) = issued else { return Ok(()) };
    let audiences: Vec<&str> = if expected.audience.is_empty() {
        asked.audience.iter().chain(&asked.resource).map(|one| &**one).collect()
    } else {
        expected.audience.iter().map(|one| &**one).collect()
    };
    if audiences.is_empty() {
        return Ok(());
    }
    let fits = |audience: &String| audiences.contains(&audience.as_str());
    let accepted = match expected.audience_check {
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
    expected: &Expected,
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
    if refused && expected.broader_scope == BroaderScope::Refuse {
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

pub(in crate::provider) fn bad(problem: &str) -> ExchangeError {
    ExchangeError::BadAnswer { problem: problem.into() }
}
