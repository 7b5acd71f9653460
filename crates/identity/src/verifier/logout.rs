//! An issuer's word that a login has ended (OpenID Connect Back-Channel Logout 1.0).

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use safeconduct_core::caller::{IssuerRules, LogoutToken, TokenProblem, peek, verify_logout};
use safeconduct_core::refusal::Reason;
use safeconduct_core::revocation::{Revocation, Whose};
use safeconduct_core::time::Timestamp;

use super::{Configured, Issuer, Verifier, may_be_of_a_newer_key};

/// Logout tokens remembered as used.
const USED: usize = 65_536;
/// Life of a token where no `max_age` bounds it. One that lives longer is refused at last for another reason: see
/// [`Revocations`](safeconduct_core::revocation::Revocations).
const UNSTATED_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

impl Verifier {
    /// Whether this issuer (by its name in the configuration) may send logout tokens.
    pub fn takes_logouts(&self, issuer: &str) -> bool {
        self.named(issuer).is_some_and(|it| it.issuer.logout.is_some())
    }

    /// What a logout token of this issuer revokes. Each token is good once.
    ///
    /// # Errors
    /// `BadLogout`; `IssuerUnavailable` when there are no keys to verify it with.
    pub async fn logout(&self, issuer: &str, token: &[u8], now: Timestamp) -> Result<Revocation, Reason> {
        let unknown = || Reason::BadLogout("no logouts are taken from this issuer".into());
        let configured = self.named(issuer).ok_or_else(unknown)?;
        let LogoutToken { whose, issued, expires, id } = configured.logout(token, now).await?;
        let issuer = configured.issuer.rules.issuer.clone();
        if !self.known.used.first(&issuer, &id, expires, now) {
            return Err(Reason::BadLogout("this logout token was used before".into()));
        }
        Ok(Revocation { issuer, whose, issued, at: now, keep: configured.longest_life() })
    }

    /// What it is to revoke these logins of an issuer (by its name in the configuration, or its identifier) now.
    /// None for one that is not believed.
    pub fn revocation(&self, issuer: &str, whose: Whose, now: Timestamp) -> Option<Revocation> {
        let by_identifier = || self.issuers.iter().find(|it| *it.issuer.rules.issuer == *issuer);
        let configured = self.named(issuer).or_else(by_identifier)?;
        let issuer = configured.issuer.rules.issuer.clone();
        Some(Revocation { issuer, whose, issued: now, at: now, keep: configured.longest_life() })
    }

    fn named(&self, issuer: &str) -> Option<&Configured> {
        self.issuers.iter().find(|it| *it.issuer.rules.alias == *issuer)
    }
}

impl Configured {
    /// How long one of its tokens may live, from its issue on.
    fn longest_life(&self) -> Duration {
        let IssuerRules { max_age, leeway, .. } = &self.issuer.rules;
        max_age.unwrap_or(UNSTATED_LIFE).saturating_add(*leeway)
    }

    async fn logout(&self, token: &[u8], now: Timestamp) -> Result<LogoutToken, Reason> {
        let Issuer { rules, keys: source, logout, .. } = &self.issuer;
        let bad = |problem: TokenProblem| Reason::BadLogout(problem.to_string().into());
        let Some(logout) = logout else {
            return Err(Reason::BadLogout("no logouts are taken from this issuer".into()));
        };
        // Anybody can post here: what does not even say that it is of this issuer costs no look at its keys.
        let peeked = peek(token).map_err(bad)?;
        if peeked.issuer != rules.issuer {
            return Err(bad(TokenProblem::WrongIssuer));
        }
        let keys = source.first().await.map_err(|error| Reason::IssuerUnavailable(error.to_string()))?;
        let verdict = verify_logout(token, rules, logout, &keys.set, now);
        let kid = peeked.kid.as_deref();
        if verdict.as_ref().is_err_and(|problem| may_be_of_a_newer_key(*problem, kid))
            && let Some(newer) = source.newer(keys.generation, kid).await
        {
            return verify_logout(token, rules, logout, &newer.set, now).map_err(bad);
        }
        verdict.map_err(bad)
    }
}

/// Logout tokens that were heeded, until they end. Only tokens that an issuer signed get here; should there be too
/// many, those that end first go: to heed one again costs its caller a session, and nobody anything else.
#[derive(Default)]
pub(super) struct UsedTokens {
    hasher: RandomState,
    used: Mutex<HashMap<u64, Timestamp>>,
}

impl UsedTokens {
    /// True for the first use of this token.
    fn first(&self, issuer: &str, id: &str, expires: Timestamp, now: Timestamp) -> bool {
        let token = self.hasher.hash_one((issuer, id));
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.get(&token).is_some_and(|until| now < *until) {
            return false;
        }
        if used.len() >= USED {
            used.retain(|_, until| now < *until);
        }
        if used.len() >= USED
            && let Some((first, _)) = used.iter().map(|(token, until)| (*token, *until)).min_by_key(|it| it.1)
        {
            used.remove(&first);
        }
        used.insert(token, expires);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Timestamp, USED, UsedTokens};

    /// Edge: 72
    #[test]
    fn a_token_is_good_once_and_another_issuers_of_the_same_name_is_another() {
        let (used, now) = (UsedTokens::default(), Timestamp::from_secs(1000));
        let end = now.plus(Duration::from_secs(120));
        assert!(used.first("https://a", "j1", end, now));
        assert!(!used.first("https://a", "j1", end, now));
        assert!(used.first("https://b", "j1", end, now) && used.first("https://a", "j2", end, now));
        let last = Timestamp::from_micros(end.micros() - 1);
        assert!(!used.first("https://a", "j1", end, last));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (used, now) = (UsedTokens::default(), Timestamp::from_secs(1000));
        for number in 0..USED as u64 {
            assert!(used.first("https://a", &number.to_string(), Timestamp::from_secs(1200 + number), now));
        }
        assert!(used.first("https://a", "one more", Timestamp::from_secs(1100), now));
        assert_eq!(used.used.lock().unwrap().len(), USED);
        assert!(!used.first("https://a", "1", Timestamp::from_secs(1201), now));
        // All have ended: room for all.
        assert!(used.first(
            "https://a",
            "new",
            Timestamp::from_secs(2_000_000),
            Timestamp::from_secs(1_000_000)
        ));
        assert_eq!(used.used.lock().unwrap().len(), 1);
    }
}
