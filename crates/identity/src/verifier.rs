//! Who: the move from a head with a token to a known caller. A token that was verified before is looked up by its
//! digest; nothing else of it is read again until it ends or its issuer's keys change.

mod known;

use std::sync::Arc;

use safeconduct_core::caller::{
    Bearer, IssuerRules, TokenProblem, Verified, examine, looks_signed, peek_issuer, verify_jwt,
};
use safeconduct_core::caller::Principal;
use safeconduct_core::path::{Arrived, Authenticated, Moved};
use safeconduct_core::refusal::Reason;
use safeconduct_core::time::Timestamp;

use crate::introspection::{Asked, Introspection, LONGEST};
use crate::issuer::{IssuerKeys, IssuerStatus, Keys};
use crate::wire::Wire;
pub use known::KnownTokens;
use known::{Knows, Memory};

/// One issuer, as the verifier uses it.
pub struct Issuer {
    /// What its tokens must be like.
    pub rules: IssuerRules,
    /// Its keys.
    pub keys: Arc<IssuerKeys>,
    /// How it is asked about opaque tokens.
    pub introspection: Option<Introspection>,
}

/// See the module. Made anew for each plan; what is known of tokens outlives it.
pub struct Verifier {
    issuers: Vec<Issuer>,
    /// Hash over each issuer's rules: a token that was verified under others is verified anew.
    stamps: Vec<u64>,
    wire: Wire,
    known: Arc<KnownTokens>,
}

impl Verifier {
    /// For these issuers.
    pub fn new(issuers: Vec<Issuer>, wire: Wire, known: Arc<KnownTokens>) -> Self {
        let stamps = issuers.iter().map(|issuer| known.stamp(&format!("{:?}", issuer.rules))).collect();
        Self { issuers, stamps, wire, known }
    }

    /// The caller is known, or refused.
    ///
    /// # Errors
    /// `InvalidToken`, `WrongAudience`, `IssuerUnavailable`.
    pub async fn authenticate(&self, arrived: Arrived, now: Timestamp) -> Moved<Authenticated> {
        let digest = arrived.bearer().digest();
        if let Some(memory) = self.known.recall(&digest, now) {
            match self.still_stands(&memory) {
                Some(Ok((verified, rules))) => return arrived.authenticated(verified, &rules.audiences, now),
                Some(Err(problem)) => return Err(arrived.refuse(problem.into())),
                None => {}
            }
        }
        let (index, outcome) = match self.verify(arrived.bearer(), now).await {
            Ok(done) => done,
            Err(reason) => return Err(arrived.refuse(reason)),
        };
        let Some(issuer) = self.issuers.get(index) else {
            return Err(arrived.refuse(Reason::Internal("no such issuer".into())));
        };
        if let Some(knows) = outcome.remembered {
            self.known.remember(digest, Memory { issuer: index, stamp: self.stamp(index), knows }, now);
        }
        match outcome.verified {
            Ok(verified) => arrived.authenticated(&verified, &issuer.rules.audiences, now),
            Err(reason) => Err(arrived.refuse(reason)),
        }
    }

    /// What a token that did not come with a request says, verified (`explain --token-file`). No proof comes of it.
    ///
    /// # Errors
    /// As [`Verifier::authenticate`].
    pub async fn examine(&self, token: &[u8], now: Timestamp) -> Result<(Principal, Vec<Box<str>>), Reason> {
        let issuer = self.issuer_of(token)?;
        let keys = issuer.keys.first().await.map_err(|error| Reason::IssuerUnavailable(error.to_string()))?;
        match examine(token, &issuer.rules, &keys.set, now) {
            Err(TokenProblem::UnknownKey) => match issuer.keys.newer(keys.generation, None).await {
                Some(keys) => Ok(examine(token, &issuer.rules, &keys.set, now)?),
                None => Err(TokenProblem::UnknownKey.into()),
            },
            other => Ok(other?),
        }
    }

    /// Each issuer's name and how it is.
    pub fn status(&self) -> Vec<(&str, IssuerStatus)> {
        self.issuers.iter().map(|issuer| (&*issuer.rules.alias, issuer.keys.status())).collect()
    }

    fn stamp(&self, index: usize) -> u64 {
        self.stamps.get(index).copied().unwrap_or_default()
    }

    /// What is remembered, if issuer, rules and keys are what they were.
    fn still_stands<'a>(
        &'a self,
        memory: &'a Memory,
    ) -> Option<Result<(&'a Verified, &'a IssuerRules), TokenProblem>> {
        let issuer = self.issuers.get(memory.issuer)?;
        if memory.stamp != self.stamp(memory.issuer) {
            return None;
        }
        match &memory.knows {
            Knows::Signed(verified, generation) => {
                (issuer.keys.current()?.generation == *generation).then_some(Ok((verified, &issuer.rules)))
            }
            Knows::Introspected(verified, _) => Some(Ok((verified, &issuer.rules))),
            Knows::Refused(problem, _) => Some(Err(*problem)),
        }
    }

    async fn verify(&self, bearer: &Bearer, now: Timestamp) -> Result<(usize, Outcome), Reason> {
        if looks_signed(bearer) {
            let peeked = peek_issuer(bearer)?;
            let index = self.issuers.iter().position(|issuer| issuer.rules.issuer == peeked.issuer);
            let index = index.ok_or_else(unknown_issuer)?;
            let issuer = self.issuers.get(index).ok_or_else(unknown_issuer)?;
            return Ok((index, self.signed(issuer, bearer, peeked.kid.as_deref(), now).await?));
        }
        let asks = |issuer: &Issuer| issuer.introspection.is_some();
        let index = self.issuers.iter().position(asks).ok_or_else(|| {
            Reason::InvalidToken("not a signed JWT, and no issuer is configured with introspection".into())
        })?;
        let issuer = self.issuers.get(index).ok_or_else(unknown_issuer)?;
        Ok((index, self.introspected(issuer, bearer, now).await?))
    }

    async fn signed(
        &self,
        issuer: &Issuer,
        bearer: &Bearer,
        kid: Option<&str>,
        now: Timestamp,
    ) -> Result<Outcome, Reason> {
        let unavailable = |error: crate::issuer::Unavailable| Reason::IssuerUnavailable(error.to_string());
        let mut keys: Arc<Keys> = issuer.keys.first().await.map_err(unavailable)?;
        let mut verified = verify_jwt(bearer, &issuer.rules, &keys.set, now);
        if matches!(verified, Err(TokenProblem::UnknownKey))
            && let Some(newer) = issuer.keys.newer(keys.generation, kid).await
        {
            keys = newer;
            verified = verify_jwt(bearer, &issuer.rules, &keys.set, now);
        }
        let remembered = verified.as_ref().ok().map(|it| Knows::Signed(it.clone(), keys.generation));
        Ok(Outcome { verified: verified.map_err(Reason::from), remembered })
    }

    async fn introspected(&self, issuer: &Issuer, bearer: &Bearer, now: Timestamp) -> Result<Outcome, Reason> {
        let introspection = issuer.introspection.as_ref().ok_or_else(unknown_issuer)?;
        let until = now.plus(introspection.cache.min(LONGEST));
        match introspection.ask(bearer, &issuer.rules, &self.wire, now).await {
            Ok(verified) => {
                let remembered = Some(Knows::Introspected(verified.clone(), until));
                Ok(Outcome { verified: Ok(verified), remembered })
            }
            Err(Asked::Refused(problem)) => {
                let remembered = Some(Knows::Refused(problem, until));
                Ok(Outcome { verified: Err(problem.into()), remembered })
            }
            Err(unavailable) => Err(unavailable.into()),
        }
    }

    fn issuer_of(&self, token: &[u8]) -> Result<&Issuer, Reason> {
        let claims = token.split(|byte| *byte == b'.').nth(1).and_then(decode).unwrap_or_default();
        let named = claims.get("iss").and_then(serde_json::Value::as_str).unwrap_or_default();
        self.issuers.iter().find(|issuer| *issuer.rules.issuer == *named).ok_or_else(unknown_issuer)
    }
}

struct Outcome {
    verified: Result<Verified, Reason>,
    remembered: Option<Knows>,
}

fn unknown_issuer() -> Reason {
    Reason::InvalidToken("the token's issuer is not among those configured".into())
}

fn decode(part: &[u8]) -> Option<serde_json::Value> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&text).ok()
}
