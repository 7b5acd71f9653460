//! The cache against a model: never another caller's, never expired, at most one flight a key, and the bounds.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use safeconduct_core::audit::{CredentialRecord, SpeaksFor};
use safeconduct_core::caller::Fingerprint;
use safeconduct_core::credential::Credential;
use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;
use safeconduct_core::server::Delivery;
use safeconduct_core::time::Timestamp;

use super::*;
use crate::clock::Clock;
use crate::clock::fake::FakeClock;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const LATER: Timestamp = Timestamp::from_secs(1_900_000_000);

/// A cache, a clock, and credentials that say whose they are.
struct World {
    cache: Arc<Cache>,
    clock: FakeClock,
}

impl World {
    fn with(limits: CacheLimits) -> Self {
        Self { cache: Arc::new(Cache::new(limits).unwrap()), clock: FakeClock::at(START) }
    }

    fn new() -> Self {
        Self::with(CacheLimits::default())
    }

    fn now(&self) -> Moment {
        Moment { wall: self.clock.wall(), steady: self.clock.steady() }
    }

    fn slot(&self, caller: u8, plan: u8) -> Slot {
        let subject = format!("user{caller}");
        self.cache.slot_of(&[plan; 32], Fingerprint([caller; 32]), "https://idp", &subject, &Fields::new())
    }

    fn look(&self, slot: Slot) -> Found {
        self.cache.look(slot, self.now(), LATER)
    }

    /// Fetches if there is something to fetch; true when it was.
    fn fetch(&self, slot: Slot, whose: &str, seconds: u64) -> bool {
        match self.look(slot) {
            Found::Fetch(lead, _) => {
                self.land(lead, whose, seconds);
                true
            }
            _ => false,
        }
    }

    fn land(&self, lead: Lead, whose: &str, seconds: u64) {
        let now = self.now();
        let kept = Duration::from_secs(seconds);
        let keep = Keep::Credential {
            lifetime: Lifetime { kept, fresh: kept * 8 / 10, by_caller: false },
            ends: now.wall.plus(kept),
            worth_with: Timestamp::default(),
            bytes: whose.len(),
        };
        let credential = credential(whose, now.wall.plus(kept), now.steady + kept);
        lead.land(Ok(Held::Credential(credential)), Some(keep), now);
    }

    fn hit(&self, slot: Slot) -> Option<Credential> {
        match self.look(slot) {
            Found::Hit(Held::Credential(credential), _) => Some(credential),
            _ => None,
        }
    }
}

/// Its record says whose it is, and its two ends.
fn credential(whose: &str, expires: Timestamp, steady_end: Duration) -> Credential {
    let record = CredentialRecord {
        steps: Arc::new([]),
        source: "cache",
        speaks_for: SpeaksFor::Caller,
        audience: Arc::new([whose.into()]),
        scopes: Arc::new([steady_end.as_secs().to_string().into()]),
        expires: Some(expires),
    };
    Credential::issued(
        &Arc::new(Material::Token(Secret::new(whose.as_bytes().to_vec()))),
        &Delivery::default(),
        record,
    )
    .unwrap()
}

/// Edge: 44
#[test]
fn a_wall_clock_that_is_stepped_back_does_not_lengthen_a_life() {
    let world = World::new();
    let slot = world.slot(1, 1);
    assert!(world.fetch(slot, "t", 100));
    world.clock.step_wall_back(Duration::from_secs(3600));
    assert!(world.hit(slot).is_some());
    world.clock.advance(Duration::from_secs(100));
    assert!(world.hit(slot).is_none());
}

/// Edge: 44, 45
#[test]
fn time_that_passed_while_the_machine_slept_counts() {
    let world = World::new();
    let slot = world.slot(1, 1);
    assert!(world.fetch(slot, "t", 100));
    world.clock.suspend(Duration::from_secs(99));
    assert!(world.hit(slot).is_some());
    world.clock.suspend(Duration::from_secs(1));
    assert!(world.hit(slot).is_none());
}

/// Edge: 41
#[test]
fn a_flood_of_one_caller_does_not_evict_another() {
    let world = World::with(CacheLimits { entries: 1000, bytes: usize::MAX, per_caller: 50 });
    let victim = world.slot(1, 1);
    assert!(world.fetch(victim, "victim", 1000));
    for number in 0..5000_u64 {
        let mut print = [9; 32];
        print[..8].copy_from_slice(&number.to_le_bytes());
        let slot =
            world.cache.slot_of(&[1; 32], Fingerprint(print), "https://idp", "flooder", &Fields::new());
        assert!(world.fetch(slot, "flood", 1000));
    }
    assert!(world.hit(victim).is_some());
    assert_eq!(world.cache.size().0, 51);
}

/// Edge: 41
#[test]
fn a_flood_of_many_callers_evicts_what_is_not_used() {
    let world = World::with(CacheLimits { entries: 100, bytes: usize::MAX, per_caller: 50 });
    let used = world.slot(1, 1);
    assert!(world.fetch(used, "used", 1000));
    for number in 0..5000_u64 {
        let subject = format!("flooder{number}");
        let slot = world.cache.slot_of(
            &[1; 32],
            Fingerprint([2; 32]),
            "https://idp",
            &subject,
            &number_field(number),
        );
        assert!(world.fetch(slot, "flood", 1000));
        assert!(world.hit(used).is_some(), "after {number}");
        assert!(world.cache.size().0 <= 100);
    }
}

fn number_field(number: u64) -> Fields {
    let mut fields = Fields::new();
    fields.number(number);
    fields
}

/// Edge: 42
#[test]
fn the_bytes_are_bounded_too() {
    let world = World::with(CacheLimits { entries: usize::MAX, bytes: 100_000, per_caller: 1000 });
    let token = "x".repeat(10_000);
    for number in 0..100 {
        world.fetch(world.slot(number, 1), &token, 1000);
    }
    let (entries, bytes) = world.cache.size();
    assert!(bytes <= 100_000 && entries >= 8, "{entries} entries, {bytes} bytes");
}

#[test]
fn what_has_ended_is_swept_away() {
    let world = World::new();
    for caller in 0..10 {
        world.fetch(world.slot(caller, 1), "t", 10 + u64::from(caller));
    }
    world.clock.advance(Duration::from_secs(15));
    world.cache.sweep(world.now());
    assert_eq!(world.cache.size().0, 4);
    world.clock.advance(Duration::from_secs(15));
    world.cache.sweep(world.now());
    assert_eq!(world.cache.size(), (0, 0));
}

#[tokio::test]
async fn a_lead_that_is_dropped_frees_the_key_and_tells_the_waiters() {
    let world = World::new();
    let slot = world.slot(1, 1);
    let Found::Fetch(lead, _) = world.look(slot) else { panic!() };
    let Found::Wait(flying) = world.look(slot) else { panic!() };
    drop(lead);
    assert!(flying.landed().await.is_none());
    assert!(world.fetch(slot, "t", 100));
}

/// What may happen to a cache.
#[derive(Clone, Debug)]
enum Event {
    Look { caller: u8, plan: u8 },
    Land { which: usize, seconds: u64 },
    Fail { which: usize },
    Drop { which: usize },
    Advance { seconds: u64 },
    Suspend { seconds: u64 },
    TurnBack { seconds: u64 },
    Spend { caller: u8, plan: u8 },
    Forget { caller: u8 },
    LandForgotten { which: usize },
    Sweep,
}

fn step() -> impl Strategy<Value = Event> {
    let (caller, plan) = (0..4_u8, 0..3_u8);
    prop_oneof![
        8 => (caller.clone(), plan.clone()).prop_map(|(caller, plan)| Event::Look { caller, plan }),
        6 => (any::<usize>(), 1..200_u64).prop_map(|(which, seconds)| Event::Land { which, seconds }),
        1 => any::<usize>().prop_map(|which| Event::Fail { which }),
        1 => any::<usize>().prop_map(|which| Event::Drop { which }),
        3 => (1..60_u64).prop_map(|seconds| Event::Advance { seconds }),
        1 => (1..60_u64).prop_map(|seconds| Event::Suspend { seconds }),
        1 => (1..60_u64).prop_map(|seconds| Event::TurnBack { seconds }),
        1 => (caller.clone(), plan).prop_map(|(caller, plan)| Event::Spend { caller, plan }),
        1 => caller.prop_map(|caller| Event::Forget { caller }),
        1 => any::<usize>().prop_map(|which| Event::LandForgotten { which }),
        1 => Just(Event::Sweep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Row: A18
    #[test]
    fn never_another_callers_never_expired_and_at_most_one_flight_a_key(
        steps in prop::collection::vec(step(), 1..120),
        entries in 2..20_usize,
        share in 1..4_usize,
    ) {
        let world = World::with(CacheLimits { entries, bytes: usize::MAX, per_caller: share });
        let mut leads: Vec<((u8, u8), Lead)> = Vec::new();
        let mut forgotten: Vec<((u8, u8), Lead)> = Vec::new();
        for step in steps {
            match step {
                Event::Look { caller, plan } => {
                    let flying = leads.iter().filter(|(whose, _)| *whose == (caller, plan)).count();
                    prop_assert!(flying <= 1, "two flights for one key");
                    match world.look(world.slot(caller, plan)) {
                        Found::Hit(Held::Credential(credential), lead) => {
                            prop_assert_eq!(&*credential.record().audience[0], format!("{caller}/{plan}"));
                            let record = credential.record();
                            let steady_end = Duration::from_secs(record.scopes[0].parse().unwrap());
                            prop_assert!(world.now().steady < steady_end, "kept too long");
                            prop_assert!(world.now().wall < record.expires.unwrap(), "kept too long by the wall clock");
                            if let Some(lead) = lead {
                                prop_assert_eq!(flying, 0);
                                leads.push(((caller, plan), lead));
                            }
                        }
                        Found::Hit(..) => prop_assert!(false, "something else than what was put in"),
                        Found::Refused(_) => {}
                        Found::Wait(_) => prop_assert_eq!(flying, 1),
                        Found::Fetch(lead, _) => {
                            prop_assert_eq!(flying, 0);
                            leads.push(((caller, plan), lead));
                        }
                    }
                }
                Event::Land { which, seconds } => if !leads.is_empty() {
                    let ((caller, plan), lead) = leads.swap_remove(which % leads.len());
                    world.land(lead, &format!("{caller}/{plan}"), seconds);
                },
                Event::Fail { which } => if !leads.is_empty() {
                    let (_, lead) = leads.swap_remove(which % leads.len());
                    let failure = Failure { step: "s".into(), error: ExchangeError::Denied { error: "no".into() } };
                    let keep = Keep::Refusal { lasting: Duration::from_secs(15), asked_with: LATER };
                    lead.land(Err(Arc::new(failure)), Some(keep), world.now());
                },
                Event::Drop { which } => if !leads.is_empty() {
                    leads.swap_remove(which % leads.len());
                },
                Event::Advance { seconds } => world.clock.advance(Duration::from_secs(seconds)),
                Event::Suspend { seconds } => world.clock.suspend(Duration::from_secs(seconds)),
                Event::TurnBack { seconds } => world.clock.step_wall_back(Duration::from_secs(seconds)),
                Event::Spend { caller, plan } => {
                    let slot = world.slot(caller, plan);
                    if let Some(kept) = world.hit(slot) {
                        world.cache.spend(slot, &kept, world.now());
                    }
                }
                Event::Forget { caller } => {
                    // What is under way for them is let go of: it lands, and is not kept.
                    let (gone, left) = leads.into_iter().partition(|((whose, _), _)| *whose == caller);
                    leads = left;
                    forgotten.extend::<Vec<_>>(gone);
                    world.cache.forget("https://idp", &Whose::Subject(format!("user{caller}").into()));
                    for plan in 0..3 {
                        prop_assert!(world.hit(world.slot(caller, plan)).is_none());
                    }
                }
                Event::LandForgotten { which } => if !forgotten.is_empty() {
                    let ((caller, plan), lead) = forgotten.swap_remove(which % forgotten.len());
                    let before = world.cache.size();
                    world.land(lead, &format!("{caller}/{plan} from before"), 100);
                    prop_assert_eq!(world.cache.size(), before);
                },
                Event::Sweep => world.cache.sweep(world.now()),
            }
            let (kept, bytes) = world.cache.size();
            prop_assert!(kept <= entries.max(4 * share), "{kept} entries");
            prop_assert_eq!(kept == 0, bytes == 0);
        }
        // Everything is accounted for: taken out, nothing is left.
        drop((leads, forgotten));
        for caller in 0..4 {
            world.cache.forget("https://idp", &Whose::Subject(format!("user{caller}").into()));
        }
        prop_assert_eq!(world.cache.size(), (0, 0));
    }
}
