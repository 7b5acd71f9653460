//! Who: the move from a head with a token to a known caller. A token that was verified before is looked up by its
//! digest; nothing else of it is read again until it ends or its issuer's keys change.

mod known;
mod logout;

use std::sync::Arc;

use safeconduct_core::caller::{
    Bearer, IssuerRules, LogoutRules, Principal, TokenDigest, TokenProblem, Verified, examine, looks_signed,
    peek_issuer, verify_jwt,
};
use safeconduct_core::path::{Arrived, Authenticated, Moved};
use safeconduct_core::refusal::Reason;
use safeconduct_core::revocation::Revocations;
use safeconduct_core::server::Server;
use safeconduct_core::time::Timestamp;

use crate::introspection::{Asked, Introspection};
use crate::issuer::{IssuerKeys, IssuerStatus, Unavailable};
pub use known::KnownTokens;
use known::Memory;

/// One issuer, as the verifier uses it.
pub struct Issuer {
    /// What its tokens must be like.
    pub rules: IssuerRules,
    /// Its keys.
    pub keys: Arc<IssuerKeys>,
    /// How it is asked about opaque tokens.
    pub introspection: Option<Introspection>,
    /// What its logout tokens must be like; None: it sends none.
    pub logout: Option<LogoutRules>,
}

/// See the module. Made anew for each plan; what is known of tokens outlives it.
pub struct Verifier {
    issuers: Vec<Configured>,
    known: Arc<KnownTokens>,
    revocations: Arc<Revocations>,
}

struct Configured {
    index: usize,
    issuer: Issuer,
    /// Hash over all that an earlier verification depends on besides the keys: under other rules a token is verified anew.
    stamp: u64,
}

/// A token at the moment that it came.
struct Presented<'a> {
    bearer: &'a Bearer,
    digest: TokenDigest,
    server: &'a Server,
    now: Timestamp,
}

impl Verifier {
    /// For these issuers.
    pub fn new(issuers: Vec<Issuer>, known: Arc<KnownTokens>) -> Self {
        let configured = |(index, issuer): (usize, Issuer)| {
            let introspection = issuer.introspection.as_ref().map(Introspection::identity);
            let stamp = known.stamp(&format!("{:?} {introspection:?}", issuer.rules));
            Configured { index, issuer, stamp }
        };
        let issuers = issuers.into_iter().enumerate().map(configured).collect();
        Self { issuers, known, revocations: Arc::default() }
    }

    /// The same verifier under this ledger of revocations.
    #[must_use]
    pub fn under(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = revocations;
        self
    }

    /// The caller is known, or refused.
    ///
    /// # Errors
    /// `InvalidToken`, `WrongAudience`, `IssuerUnavailable`.
    pub async fn authenticate(&self, arrived: Arrived, now: Timestamp) -> Moved<Authenticated> {
        let digest = arrived.bearer().digest();
        if let Some(memory) = self.known.recall(&digest, now)
            && let Some(rules) = self.still_stands(&memory)
        {
            return self.unless_revoked(arrived, &memory.verified, rules, now);
        }
        let presented = Presented { bearer: arrived.bearer(), digest, server: arrived.server(), now };
        match self.verify(&presented).await {
            Ok((verified, rules)) => self.unless_revoked(arrived, &verified, rules, now),
            Err(reason) => Err(arrived.refuse(reason)),
        }
    }

    /// A token is good until its end, unless its caller was revoked after it was issued. Asked each time: what is
    /// remembered of a token may be older than the revocation.
    fn unless_revoked(
        &self,
        arrived: Arrived,
        verified: &Verified,
        rules: &IssuerRules,
        now: Timestamp,
    ) -> Moved<Authenticated> {
        match self.revocations.ends(verified.principal()) {
            true => Err(arrived.revoked(verified)),
            false => arrived.authenticated(verified, &rules.audiences, now),
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
        let status = |issuer: &Issuer| IssuerStatus {
            introspection: issuer.introspection.is_some(),
            ..issuer.keys.status()
        };
        self.issuers.iter().map(|it| (&*it.issuer.rules.alias, status(&it.issuer))).collect()
    }

    /// The rules of a remembered token's issuer, if rules and keys are what they were.
    fn still_stands(&self, memory: &Memory) -> Option<&IssuerRules> {
        let configured =
            self.issuers.get(memory.issuer).filter(|configured| configured.stamp == memory.stamp)?;
        let keys = &configured.issuer.keys;
        let stands = memory.generation.is_none_or(|generation| keys.generation() == Some(generation));
        stands.then_some(&configured.issuer.rules)
    }

    async fn verify(&self, token: &Presented<'_>) -> Result<(Verified, &IssuerRules), Reason> {
        if !looks_signed(token.bearer) {
            return self.opaque(token).await;
        }
        let peeked = peek_issuer(token.bearer)?;
        let configured = self.issuers.iter().find(|it| it.issuer.rules.issuer == peeked.issuer);
        let configured = configured.ok_or_else(unknown_issuer)?;
        let verified = match self.signed(configured, token, peeked.kid.as_deref()).await {
            // An issuer that shows no keys can still be asked: it is the one that the token names.
            Err(Unsigned::NoKeys(error)) => match &configured.issuer.introspection {
                Some(introspection) => self.introspected(configured, introspection, token).await?,
                None => return Err(Reason::IssuerUnavailable(error.to_string())),
            },
            Err(Unsigned::Refused(problem)) => return Err(problem.into()),
            Ok(verified) => verified,
        };
        Ok((verified, &configured.issuer.rules))
    }

    async fn signed(
        &self,
        configured: &Configured,
        token: &Presented<'_>,
        kid: Option<&str>,
    ) -> Result<Verified, Unsigned> {
        let Issuer { rules, keys: source, introspection, .. } = &configured.issuer;
        // Nobody waits for keys that can be done without; they are tried for in the background.
        if let Some(error) = introspection.as_ref().and_then(|_| source.failure()) {
            return Err(Unsigned::NoKeys(error));
        }
        let mut keys = source.first().await.map_err(Unsigned::NoKeys)?;
        let mut verified = verify_jwt(token.bearer, rules, &keys.set, token.now);
        if verified.as_ref().is_err_and(|problem| may_be_of_a_newer_key(*problem, kid))
            && let Some(newer) = source.newer(keys.generation, kid).await
        {
            keys = newer;
            verified = verify_jwt(token.bearer, rules, &keys.set, token.now);
        }
        let verified = verified.map_err(Unsigned::Refused)?;
        self.remember(configured, token, &verified, Some(keys.generation), verified.principal().expires);
        Ok(verified)
    }

    /// Asks the server's issuers that can be asked, in the order of the configuration, until one of them knows the token.
    async fn opaque(&self, token: &Presented<'_>) -> Result<(Verified, &IssuerRules), Reason> {
        let mut outcome = Reason::InvalidToken(
            "not a signed JWT, and no issuer of this server is configured with introspection".into(),
        );
        for configured in &self.issuers {
            let Issuer { rules, introspection: Some(introspection), .. } = &configured.issuer else {
                continue;
            };
            if !token.server.issuers.contains(&rules.alias) {
                continue;
            }
            match self.introspected(configured, introspection, token).await {
                Ok(verified) => return Ok((verified, rules)),
                // Another one may know it.
                Err(Asked::Refused(problem @ (TokenProblem::Inactive | TokenProblem::WrongIssuer))) => {
                    // As long as one could not be asked, nobody knows that the token is bad.
                    if !matches!(outcome, Reason::IssuerUnavailable(_)) {
                        outcome = problem.into();
                    }
                }
                Err(Asked::Unavailable(failed)) => outcome = failed.into(),
                Err(Asked::Refused(problem)) => return Err(problem.into()),
            }
        }
        Err(outcome)
    }

    async fn introspected(
        &self,
        configured: &Configured,
        introspection: &Introspection,
        token: &Presented<'_>,
    ) -> Result<Verified, Asked> {
        let Presented { bearer, digest, now, .. } = *token;
        if let Some(problem) = self.known.recall_refusal(&digest, configured.stamp, now) {
            return Err(Asked::Refused(problem));
        }
        let until = now.plus(introspection.cache());
        match introspection.ask(bearer, &digest, &configured.issuer.rules, now).await {
            Ok(verified) => {
                self.remember(configured, token, &verified, None, until.min(verified.principal().expires));
                Ok(verified)
            }
            Err(Asked::Refused(problem)) => {
                self.known.remember_refusal(digest, configured.stamp, problem, now, until);
                Err(Asked::Refused(problem))
            }
            Err(unavailable) => Err(unavailable),
        }
    }

    fn remember(
        &self,
        configured: &Configured,
        token: &Presented<'_>,
        verified: &Verified,
        generation: Option<u64>,
        until: Timestamp,
    ) {
        let memory = Memory {
            issuer: configured.index,
            stamp: configured.stamp,
            verified: verified.clone(),
            generation,
            since: token.now,
            until,
            length: token.bearer.expose_for_verification().len(),
        };
        self.known.remember(Arc::new(memory), token.now);
    }

    fn issuer_of(&self, token: &[u8]) -> Result<&Issuer, Reason> {
        let claims = token.split(|byte| *byte == b'.').nth(1).and_then(decode).unwrap_or_default();
        let named = claims.get("iss").and_then(serde_json::Value::as_str).unwrap_or_default();
        let found = self.issuers.iter().find(|it| *it.issuer.rules.issuer == *named);
        found.map(|it| &it.issuer).ok_or_else(unknown_issuer)
    }
}

/// Why a signed token is not believed.
enum Unsigned {
    NoKeys(Unavailable),
    Refused(TokenProblem),
}

/// Whether the issuer's newer keys may think better of the token. One without `kid` does not say which key it means.
fn may_be_of_a_newer_key(problem: TokenProblem, kid: Option<&str>) -> bool {
    match problem {
        TokenProblem::UnknownKey => true,
        TokenProblem::Signature | TokenProblem::AmbiguousKey => kid.is_none(),
        _ => false,
    }
}

fn unknown_issuer() -> Reason {
    Reason::InvalidToken("the token's issuer is not among those configured".into())
}

fn decode(part: &[u8]) -> Option<serde_json::Value> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&text).ok()
}
