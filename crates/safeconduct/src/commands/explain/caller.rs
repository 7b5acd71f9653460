//! Who is asked about: a token that is verified, or claims that are supposed.

use std::path::Path;

use safeconduct_core::caller::{Principal, TokenProblem, suppose};
use safeconduct_core::refusal::Reason;
use safeconduct_core::time::Timestamp;
use serde_json::Value;

use super::{Question, Unanswerable};
use crate::app::Rehearsal;
use crate::commands::token::{self, Token};
use crate::config::plan::{IssuerPlan, Plan, ServerPlan};

/// Who is asked about.
pub(super) enum Caller {
    /// A caller.
    Known {
        principal: Box<Principal>,
        /// The token's audiences; None when claims were supposed without any.
        audiences: Option<Vec<Box<str>>>,
        /// Whether a signature was checked.
        verified: bool,
    },
    /// The gateway would not believe it.
    Refused(Reason),
}

impl Caller {
    pub(super) fn read(
        question: &Question,
        plan: &Plan,
        server: &ServerPlan,
        rehearsal: &Rehearsal<'_>,
        now: Timestamp,
    ) -> Result<Self, Unanswerable> {
        match (&question.claims, &question.token_file) {
            (Some(claims), _) => supposed(claims, question.issuer.as_deref(), plan, server, now),
            (None, Some(file)) => presented(file, plan, rehearsal, now),
            (None, None) => Err(Unanswerable::usage("say who: --claims JSON or --token-file FILE")),
        }
    }
}

fn supposed(
    text: &str,
    issuer: Option<&str>,
    plan: &Plan,
    server: &ServerPlan,
    now: Timestamp,
) -> Result<Caller, Unanswerable> {
    let claims: Value = serde_json::from_str(text)
        .map_err(|error| Unanswerable::usage(format!("--claims is not JSON: {error}")))?;
    let issuer = whose(&claims, issuer, plan, server)?;
    match suppose(text.as_bytes(), &Rehearsal::rules(issuer), now) {
        Ok(principal) => {
            let audiences = principal.claims.get("aud").cloned();
            Ok(Caller::Known { principal: Box::new(principal), audiences, verified: false })
        }
        Err(problem @ (TokenProblem::Malformed(_) | TokenProblem::MissingClaim("sub"))) => {
            Err(Unanswerable::usage(format!("--claims: {problem}")))
        }
        Err(problem) => Ok(Caller::Refused(problem.into())),
    }
}

// The issuer that supposed claims are of.
fn whose<'p>(
    claims: &Value,
    name: Option<&str>,
    plan: &'p Plan,
    server: &ServerPlan,
) -> Result<&'p IssuerPlan, Unanswerable> {
    if let Some(name) = name {
        let unknown = || {
            let help = crate::config::suggest(name, plan.issuers.iter().map(|issuer| issuer.name.as_str()));
            Unanswerable::usage(format!("no issuer is called `{name}`: {}", help.unwrap_or_default()))
        };
        return plan.issuer(name).ok_or_else(unknown);
    }
    if let Some(iss) = claims.get("iss").and_then(Value::as_str) {
        let unknown = || {
            Unanswerable::usage(
                "--claims: `iss` is none of the configured issuers'; correct it, or leave it out",
            )
        };
        return plan.issuers.iter().find(|issuer| issuer.issuer == iss).ok_or_else(unknown);
    }
    if let [only] = server.issuers.as_slice()
        && let Some(issuer) = plan.issuer(only)
    {
        return Ok(issuer);
    }
    Err(Unanswerable::usage(format!(
        "say whose claims these are: --issuer NAME, or a claim `iss`; the server `{}` believes {}",
        server.name,
        server.issuers.join(", ")
    )))
}

fn presented(
    file: &Path,
    plan: &Plan,
    rehearsal: &Rehearsal<'_>,
    now: Timestamp,
) -> Result<Caller, Unanswerable> {
    let token = token::from_file(file)
        .map_err(|why| Unanswerable::usage(format!("the token in {}: {why}", file.display())))?;
    // Only to know whose keys are needed: nothing is believed before the signature was checked with them.
    let iss = match Token::read(&token) {
        Token::Signed(signed) => signed.claims.get("iss").and_then(Value::as_str).map(ToOwned::to_owned),
        Token::Opaque if plan.issuers.iter().any(|issuer| issuer.introspection.is_some()) => {
            return Err(Unanswerable::failed(
                "the token is opaque: the gateway would ask its issuer (introspection), which explain does not do; \
                 use --claims",
            ));
        }
        Token::Encrypted | Token::Opaque => None,
    };
    let Some(issuer) = plan.issuers.iter().find(|issuer| Some(&issuer.issuer) == iss.as_ref()) else {
        let why = if iss.is_some() {
            "its issuer is not configured"
        } else {
            "it is not a signed JWT with an issuer"
        };
        return Ok(Caller::Refused(Reason::InvalidToken(why.into())));
    };
    match rehearsal.examine(issuer, &token, now).map_err(|failed| Unanswerable::failed(failed.to_string()))? {
        Ok((principal, audiences)) => {
            Ok(Caller::Known { principal: Box::new(principal), audiences: Some(audiences), verified: true })
        }
        Err(Reason::IssuerUnavailable(why)) => Err(Unanswerable::failed(format!(
            "the keys of issuer `{}` cannot be had, so the token cannot be verified: {why}",
            issuer.name
        ))),
        Err(reason) => Ok(Caller::Refused(reason)),
    }
}
