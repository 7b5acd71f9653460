//! The ledger of revocations: bounded, asked for each call, empty for most.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Birth, LoginTag, Revocation, Whose};
use crate::caller::Principal;
use crate::time::Timestamp;

/// Entries kept, about.
pub const MOST: usize = 65_536;
const SHARDS: usize = 16;

/// Who was revoked, and when. Shared by all that must not outlive it; it outlives a reload.
///
/// An entry is kept for as long as a token from before it may live. When there are too many, the oldest go first,
/// and then, as for one that was kept long enough, nothing is forgotten: the moment becomes a floor for all callers
/// of that issuer whose names hash to the same sixteenth of the table. Their older tokens are refused too, which
/// costs them a login; no revoked one comes back.
pub struct Revocations {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    /// One stands apart, so that there is one for every number.
    last: Mutex<Shard>,
    per_shard: usize,
    count: AtomicU64,
}

#[derive(Default)]
struct Shard {
    ended: HashMap<u128, Ended>,
    /// Oldest first; with leftovers of entries that were renewed.
    order: VecDeque<(u128, Timestamp)>,
    /// By issuer: what was let go.
    floors: HashMap<u128, Moment>,
}

#[derive(Clone, Copy)]
struct Ended {
    issuer: u128,
    moment: Moment,
}

/// The same moment on both clocks, and when the last token from before it ends.
#[derive(Clone, Copy, Default)]
struct Moment {
    issued: Timestamp,
    at: Timestamp,
    until: Timestamp,
}

/// What an entry is found under.
#[derive(Hash)]
enum Key<'a> {
    Subject(&'a str),
    Session(LoginTag),
    /// Tokens of this subject that name no session.
    Sessionless(&'a str),
}

/// What is asked about: by which clock, and when.
#[derive(Clone, Copy)]
enum Asked {
    /// A token; one that does not say when it was issued could be of any time.
    Token {
        issued: Option<Timestamp>,
        expires: Timestamp,
    },
    Made(Timestamp),
}

impl Default for Revocations {
    fn default() -> Self {
        Self::with(MOST)
    }
}

impl Revocations {
    /// An empty ledger of about so many entries.
    pub fn with(most: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (1..SHARDS).map(|_| Mutex::default()).collect(),
            last: Mutex::default(),
            per_shard: most.div_ceil(SHARDS).max(1),
            count: AtomicU64::new(0),
        }
    }

    /// Notes a revocation.
    pub fn note(&self, revocation: &Revocation) {
        let Revocation { issuer, whose, issued, at, keep } = revocation;
        let moment = Moment { issued: *issued, at: *at, until: at.plus(*keep) };
        let put = |key: Key<'_>| self.put(issuer, &key, moment, *at);
        match whose {
            Whose::Subject(subject) => put(Key::Subject(subject)),
            Whose::Session { sid, subject } => {
                put(Key::Session(LoginTag::of(sid)));
                if let Some(subject) = subject {
                    put(Key::Sessionless(subject));
                }
            }
        }
        self.count.fetch_add(1, Ordering::Release);
    }

    /// How many revocations were noted: whoever waits or streams looks again when it grows.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// True when the token that this caller came with was issued before a revocation of theirs.
    pub fn ends(&self, who: &Principal) -> bool {
        // Most gateways, most of the time: nobody was revoked.
        self.count() > 0
            && self.has_ended(
                who,
                who.session.as_deref().map(LoginTag::of),
                Asked::Token { issued: who.issued, expires: who.expires },
            )
    }

    /// True when what the gateway made for this caller was made before a revocation of theirs.
    pub fn ended(&self, who: &Principal, birth: Birth) -> bool {
        self.count() > 0 && self.has_ended(who, birth.login, Asked::Made(birth.at))
    }

    fn has_ended(&self, who: &Principal, login: Option<LoginTag>, asked: Asked) -> bool {
        let of_login = login.map_or(Key::Sessionless(&who.subject), Key::Session);
        [Key::Subject(&who.subject), of_login].iter().any(|key| self.has(&who.issuer_url, key, asked))
    }

    fn has(&self, issuer: &str, key: &Key<'_>, asked: Asked) -> bool {
        let (issuer, key) = (self.wide(issuer), self.wide((issuer, key)));
        let shard = self.shard(key);
        let ended = shard.ended.get(&key).is_some_and(|ended| asked.is_before(ended.moment));
        ended || shard.floors.get(&issuer).is_some_and(|floor| asked.is_below(*floor))
    }

    fn put(&self, issuer: &str, key: &Key<'_>, moment: Moment, now: Timestamp) {
        let (issuer, key) = (self.wide(issuer), self.wide((issuer, key)));
        let mut shard = self.shard(key);
        let ended = shard.ended.entry(key).or_insert(Ended { issuer, moment });
        ended.moment = ended.moment.later(moment);
        let until = ended.moment.until;
        shard.order.push_back((key, until));
        shard.tidy(self.per_shard, now);
    }

    fn shard(&self, key: u128) -> MutexGuard<'_, Shard> {
        let number = (key % SHARDS as u128) as usize;
        self.shards.get(number).unwrap_or(&self.last).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// 128 bits: one caller's entry must not be another's.
    fn wide(&self, of: impl Hash) -> u128 {
        let one = self.hasher.hash_one((0_u8, &of));
        let two = self.hasher.hash_one((1_u8, &of));
        u128::from(one) << 64 | u128::from(two)
    }
}

impl Shard {
    fn tidy(&mut self, most: usize, now: Timestamp) {
        while let Some((key, until)) = self.order.front().copied() {
            let current = self.ended.get(&key).is_some_and(|ended| ended.moment.until == until);
            if current && until >= now && self.ended.len() <= most {
                break;
            }
            self.order.pop_front();
            if current && let Some(ended) = self.ended.remove(&key) {
                let floor = self.floors.entry(ended.issuer).or_default();
                *floor = floor.later(ended.moment);
            }
        }
        // One caller revoked again and again leaves a leftover each time.
        if self.order.len() > 2 * self.ended.len() + 16 {
            let ended = &self.ended;
            self.order
                .retain(|(key, until)| ended.get(key).is_some_and(|ended| ended.moment.until == *until));
        }
    }
}

impl Moment {
    fn later(self, other: Self) -> Self {
        Self {
            issued: self.issued.max(other.issued),
            at: self.at.max(other.at),
            until: self.until.max(other.until),
        }
    }
}

impl Asked {
    /// `iat` is in whole seconds: a token of the very second of the revocation may be from before it.
    fn is_before(self, moment: Moment) -> bool {
        match self {
            Self::Token { issued: Some(issued), .. } => issued <= moment.issued,
            Self::Token { issued: None, .. } => true,
            Self::Made(at) => at <= moment.at,
        }
    }

    /// The same of a floor, which is of others: nobody is shut out by it for good because their tokens have no `iat`.
    fn is_below(self, floor: Moment) -> bool {
        match self {
            Self::Token { issued: None, expires } => expires <= floor.until,
            _ => self.is_before(floor),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Revocation, Revocations, Whose};
    use crate::caller::Principal;
    use crate::mcp::fixture;
    use crate::revocation::Birth;
    use crate::time::Timestamp;

    const ISSUER: &str = "https://idp.example.com";
    const DAY: Duration = Duration::from_secs(86_400);

    fn secs(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn token(subject: &str, session: Option<&str>, issued: u64) -> Principal {
        Principal { session: session.map(Into::into), issued: Some(secs(issued)), ..fixture::caller(subject) }
    }

    fn subject(name: &str) -> Whose {
        Whose::Subject(name.into())
    }

    fn session(sid: &str, subject: Option<&str>) -> Whose {
        Whose::Session { sid: sid.into(), subject: subject.map(Into::into) }
    }

    fn shards(ledger: &Revocations) -> impl Iterator<Item = &std::sync::Mutex<super::Shard>> {
        ledger.shards.iter().chain([&ledger.last])
    }

    fn revoked(whose: Whose, at: u64) -> Revocation {
        Revocation { issuer: ISSUER.into(), whose, issued: secs(at), at: secs(at), keep: DAY }
    }

    #[test]
    fn a_token_from_before_has_ended_and_one_from_after_has_not() {
        let ledger = Revocations::default();
        assert!(!ledger.ends(&token("alice", None, 100)));
        ledger.note(&revoked(subject("alice"), 100));
        assert!(!ledger.ends(&token("alice", None, 101)));
        for issued in [0, 99, 100] {
            assert!(ledger.ends(&token("alice", None, issued)), "{issued}");
        }
        assert!(ledger.ends(&Principal { issued: None, ..token("alice", None, 0) }), "of any time");
        assert!(!ledger.ends(&token("bob", None, 99)));
        let elsewhere = Principal { issuer_url: "https://other.example".into(), ..token("alice", None, 99) };
        assert!(!ledger.ends(&elsewhere));
    }

    #[test]
    fn an_earlier_moment_takes_nothing_back() {
        let ledger = Revocations::default();
        ledger.note(&revoked(subject("alice"), 100));
        ledger.note(&revoked(subject("alice"), 50));
        assert!(ledger.ends(&token("alice", None, 100)));
    }

    /// Edge: 73
    #[test]
    fn a_session_ends_alone_and_a_token_that_names_none_ends_with_any_of_its_subject() {
        let ledger = Revocations::default();
        ledger.note(&revoked(session("s1", None), 100));
        assert!(ledger.ends(&token("alice", Some("s1"), 99)));
        for other in
            [token("alice", Some("s2"), 99), token("alice", None, 99), token("alice", Some("s1"), 101)]
        {
            assert!(!ledger.ends(&other), "{other:?}");
        }
        ledger.note(&revoked(session("s3", Some("alice")), 100));
        assert!(ledger.ends(&token("alice", Some("s3"), 99)) && ledger.ends(&token("alice", None, 99)));
        assert!(!ledger.ends(&token("alice", Some("s2"), 99)) && !ledger.ends(&token("bob", None, 99)));
        ledger.note(&revoked(subject("alice"), 100));
        assert!(ledger.ends(&token("alice", Some("s2"), 99)), "all of hers");
    }

    #[test]
    fn what_the_gateway_made_is_held_against_its_own_clock() {
        let ledger = Revocations::default();
        let alice = token("alice", Some("s1"), 0);
        let revocation = Revocation { issued: secs(50), ..revoked(session("s1", None), 100) };
        ledger.note(&revocation);
        assert!(!ledger.ended(&alice, Birth::of(&alice, Timestamp::from_micros(100_000_001))));
        assert!(ledger.ended(&alice, Birth::of(&alice, secs(100))));
        let later = token("alice", Some("s2"), 200);
        assert!(ledger.ended(&later, Birth::of(&alice, secs(99))), "made in the login that ended");
        assert!(!ledger.ended(&later, Birth::of(&later, secs(99))));
    }

    #[test]
    fn what_was_kept_long_enough_or_had_to_go_becomes_a_floor() {
        let ledger = Revocations::with(16);
        let keep = Duration::from_secs(10);
        ledger.note(&Revocation { keep, ..revoked(subject("alice"), 100) });
        for number in 0..1000_u64 {
            ledger.note(&Revocation { keep, ..revoked(subject(&number.to_string()), 200 + number) });
        }
        let kept: usize = shards(&ledger).map(|shard| shard.lock().unwrap().ended.len()).sum();
        assert!(kept <= 16, "{kept}");
        assert!(ledger.ends(&token("alice", None, 100)));
        assert!((0..1000).all(|number| ledger.ends(&token(&number.to_string(), None, 200 + number))));
        assert!(!ledger.ends(&token("alice", None, 2000)));
        // Nobody is shut out for good by what others did, also not who has no `iat`.
        let undated =
            |name: &str, expires| Principal { issued: None, expires: secs(expires), ..token(name, None, 0) };
        assert!((0..1000).all(|number| !ledger.ends(&undated(&format!("other-{number}"), 200 + 1000 + 10))));
        assert!((0..1000).any(|number| ledger.ends(&undated(&format!("other-{number}"), 200))));
    }

    #[test]
    fn one_caller_revoked_again_and_again_takes_one_place() {
        let ledger = Revocations::default();
        for at in 0..10_000 {
            ledger.note(&revoked(subject("alice"), at));
        }
        let order: usize = shards(&ledger).map(|shard| shard.lock().unwrap().order.len()).sum();
        assert!(order < 64, "{order}");
        assert!(ledger.ends(&token("alice", None, 9_999)) && !ledger.ends(&token("alice", None, 10_000)));
    }

    proptest! {
        /// However small the table: no token from before its caller's last revocation is ever accepted, and while
        /// nothing had to go, every other one is.
        #[test]
        fn no_revoked_token_comes_back(
            events in prop::collection::vec((0..6_usize, 1..200_u64, any::<bool>()), 1..60),
            most in prop::sample::select(vec![1_usize, 4096]),
        ) {
            let ledger = Revocations::with(most);
            let mut last = [0_u64; 6];
            for (who, at, revokes) in events {
                let name = format!("user-{who}");
                if revokes {
                    ledger.note(&revoked(subject(&name), at));
                    last[who] = last[who].max(at);
                }
                let ended = ledger.ends(&token(&name, None, at));
                if at <= last[who] {
                    prop_assert!(ended, "{name} {at}");
                } else if most > 1 {
                    prop_assert!(!ended, "{name} {at}");
                }
            }
        }
    }
}
