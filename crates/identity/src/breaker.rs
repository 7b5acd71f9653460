//! A circuit breaker: stops asking an endpoint that does not answer, and finds out when it does again. Pure:
//! the time is handed in.

use std::time::Duration;

/// Opens after this many transient failures in a row ...
const IN_A_ROW: u32 = 5;
/// ... or when more than half of the last this many outcomes were such.
const WINDOW: u32 = 20;
/// First pause; it doubles with every failed probe.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// What a breaker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Everything passes.
    Closed,
    /// Nothing passes.
    Open,
    /// One request passes, to find out.
    HalfOpen,
}

impl BreakerState {
    /// Everything passes.
    pub fn is_closed(self) -> bool {
        self == Self::Closed
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Breaker {
    position: Position,
    in_a_row: u32,
    /// Last outcomes, one bit each, newest lowest; 1 is a failure.
    window: u32,
    seen: u32,
    pause: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Position {
    Closed,
    Open { until: Duration },
    Probing,
}

/// How a request that was let through ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There was an answer, whatever it said.
    Answered,
    /// Not reachable, too slow, throttled, broken.
    Failed,
    /// Nobody waited for the end.
    Abandoned,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self { position: Position::Closed, in_a_row: 0, window: 0, seen: 0, pause: SHORTEST }
    }

    /// Lets a request through, or says how long to stay away. True: it is the probe.
    pub(crate) fn admit(&mut self, now: Duration) -> Result<bool, Duration> {
        match self.position {
            Position::Closed => Ok(false),
            Position::Open { until } if now < until => Err(until.saturating_sub(now)),
            Position::Open { .. } => {
                self.position = Position::Probing;
                Ok(true)
            }
            Position::Probing => Err(Duration::from_secs(1)),
        }
    }

    /// Learns how a request ended.
    pub(crate) fn learn(&mut self, outcome: Outcome, probe: bool, now: Duration) {
        match (self.position, outcome) {
            (Position::Probing, Outcome::Answered) if probe => *self = Self::new(),
            (Position::Probing, Outcome::Failed) if probe => self.open(now),
            // The next one finds out.
            (Position::Probing, Outcome::Abandoned) if probe => self.position = Position::Open { until: now },
            (Position::Closed, Outcome::Answered) => self.count(0),
            (Position::Closed, Outcome::Failed) => {
                self.count(1);
                let failures = self.window.count_ones();
                if self.in_a_row >= IN_A_ROW || (self.seen >= WINDOW && failures * 2 > WINDOW) {
                    self.pause = SHORTEST / 2;
                    self.open(now);
                }
            }
            // Late news from before it opened.
            _ => {}
        }
    }

    pub(crate) fn state(&self, now: Duration) -> BreakerState {
        match self.position {
            Position::Closed => BreakerState::Closed,
            Position::Open { until } if now < until => BreakerState::Open,
            Position::Open { .. } | Position::Probing => BreakerState::HalfOpen,
        }
    }

    fn count(&mut self, failure: u32) {
        self.in_a_row = if failure == 1 { self.in_a_row + 1 } else { 0 };
        self.window = ((self.window << 1) | failure) & ((1 << WINDOW) - 1);
        self.seen = (self.seen + 1).min(WINDOW);
    }

    fn open(&mut self, now: Duration) {
        self.pause = (self.pause * 2).clamp(SHORTEST, LONGEST);
        self.position = Position::Open { until: now + self.pause };
        (self.in_a_row, self.window, self.seen) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..5 {
            assert_eq!(breaker.admit(at(0)), Ok(false));
            breaker.learn(Outcome::Failed, false, at(0));
        }
        breaker
    }

    /// Edge: 50
    #[test]
    fn five_failures_in_a_row_open_it_for_five_seconds_and_one_probe_passes_then() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(1)), Err(at(4)));
        assert_eq!(breaker.state(at(1)), BreakerState::Open);
        assert_eq!(breaker.admit(at(5)), Ok(true));
        assert!(breaker.admit(at(5)).is_err(), "a second one while the probe is out");
        breaker.learn(Outcome::Answered, true, at(6));
        assert_eq!(breaker.admit(at(6)), Ok(false));
        assert_eq!(breaker.state(at(6)), BreakerState::Closed);
    }

    /// Edge: 50
    #[test]
    fn failed_probes_double_the_pause_up_to_a_minute() {
        let mut breaker = opened();
        let (mut now, mut pauses) = (at(5), Vec::new());
        for _ in 0..5 {
            assert_eq!(breaker.admit(now), Ok(true));
            breaker.learn(Outcome::Failed, true, now);
            let pause = breaker.admit(now).unwrap_err();
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [10, 20, 40, 60, 60]);
    }

    #[test]
    fn an_answer_in_between_keeps_it_closed_until_more_than_half_fail() {
        let mut breaker = Breaker::new();
        for round in 0..19 {
            let outcome = if round % 2 == 0 { Outcome::Failed } else { Outcome::Answered };
            breaker.learn(outcome, false, at(0));
            assert_eq!(breaker.admit(at(0)), Ok(false));
        }
        breaker.learn(Outcome::Failed, false, at(0));
        assert!(breaker.admit(at(0)).is_err(), "11 of the last 20 failed");
    }

    #[test]
    fn an_abandoned_probe_lets_the_next_one_find_out() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(5)), Ok(true));
        breaker.learn(Outcome::Abandoned, true, at(6));
        assert_eq!(breaker.admit(at(6)), Ok(true));
    }
}
