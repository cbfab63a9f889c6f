//! Whether an account is taken to be unavailable, and when a single poll finds out whether it is back.

use std::time::Duration;

use crate::clock::Moment;

/// Opens after some failed polls in a row, lets one probe through after a delay, and closes when that succeeds. Pure: time is
/// an argument.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    state: State,
    /// Failed polls in a row.
    failures: u32,
    rng: fastrand::Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The vendor answers.
    Closed,
    /// The vendor is taken to be unavailable. It is probed at `until`; should that fail, again after twice `delay`.
    Open { delay: Duration, until: Moment },
    /// The probe is in flight.
    Probing { delay: Duration },
}

/// What the breaker says to a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// It may begin.
    Free,
    /// It may begin as the probe.
    Probe,
    /// It may not begin before this moment.
    NotBefore(Moment),
    /// It may not begin before the probe has ended.
    AfterProbe,
}

/// What a finished poll did to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transition {
    /// Nothing.
    None,
    /// It opened, or opened again after a probe.
    Opened,
    /// The probe succeeded, and it closed.
    Closed,
    /// Nothing: the poll began before it opened, and says nothing new.
    Stale,
}

/// Failed polls in a row after which it opens.
const FAILURES_TO_OPEN: u32 = 5;
const FIRST_PROBE_DELAY: Duration = Duration::from_secs(1);
const MAX_PROBE_DELAY: Duration = Duration::from_secs(60);

impl CircuitBreaker {
    /// A closed one. `seed` spreads the probes of several accounts.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: State::Closed,
            failures: 0,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Whether a poll may begin at `now`.
    pub(super) fn passage(&self, now: Moment) -> Passage {
        match self.state {
            State::Closed => Passage::Free,
            State::Open { until, .. } if now < until => Passage::NotBefore(until),
            State::Open { .. } => Passage::Probe,
            State::Probing { .. } => Passage::AfterProbe,
        }
    }

    /// A poll began.
    pub(super) fn poll_started(&mut self) {
        if let State::Open { delay, .. } = self.state {
            self.state = State::Probing { delay };
        }
    }

    /// A poll ended at `now`.
    pub(super) fn poll_finished(
        &mut self,
        now: Moment,
        is_probe: bool,
        has_failed: bool,
    ) -> Transition {
        match self.state {
            State::Probing { delay } if is_probe && has_failed => {
                self.open(now, (delay * 2).min(MAX_PROBE_DELAY));
                Transition::Opened
            }
            State::Probing { .. } if is_probe => {
                self.state = State::Closed;
                self.failures = 0;
                Transition::Closed
            }
            State::Open { .. } | State::Probing { .. } => Transition::Stale,
            State::Closed if has_failed => {
                self.failures += 1;
                if self.failures < FAILURES_TO_OPEN {
                    return Transition::None;
                }
                self.open(now, FIRST_PROBE_DELAY);
                Transition::Opened
            }
            State::Closed => {
                self.failures = 0;
                Transition::None
            }
        }
    }

    /// All polls in flight were dropped, as when the runtime went away.
    pub(super) fn polls_dropped(&mut self, now: Moment) {
        if let State::Probing { delay } = self.state {
            self.state = State::Open { delay, until: now };
        }
    }

    /// Whether the vendor is taken to be unavailable.
    pub(super) fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    fn open(&mut self, now: Moment, delay: Duration) {
        let until = now + delay.mul_f64(1.0 + self.rng.f64() / 4.0);
        self.state = State::Open { delay, until };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn opened(now: Moment) -> CircuitBreaker {
        let mut breaker = CircuitBreaker::new(7);
        for _ in 0..FAILURES_TO_OPEN - 1 {
            assert_eq!(breaker.poll_finished(now, false, true), Transition::None);
            assert_eq!(breaker.passage(now), Passage::Free);
        }
        assert_eq!(breaker.poll_finished(now, false, true), Transition::Opened);
        breaker
    }

    #[test]
    fn an_outage_is_probed_by_one_poll_after_growing_delays() {
        let mut breaker = opened(at(0));
        let (mut now, mut delays) = (at(0), Vec::new());
        for _ in 0..9 {
            let Passage::NotBefore(until) = breaker.passage(now) else {
                panic!("{:?}", breaker.passage(now));
            };
            delays.push(until.since(now).as_secs_f64());
            now = until;
            assert_eq!(breaker.passage(now), Passage::Probe);
            breaker.poll_started();
            let later = now + Duration::from_secs(3600);
            assert_eq!(breaker.passage(later), Passage::AfterProbe);
            breaker.poll_finished(now, true, true);
        }
        for (delay, doubled) in delays.iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
            let doubled = f64::from(doubled);
            assert!((doubled..doubled * 1.25).contains(delay), "{delays:?}");
        }
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let mut breaker = CircuitBreaker::new(7);
        for number in 0..100 {
            breaker.poll_finished(at(0), false, number % FAILURES_TO_OPEN != 0);
            assert!(!breaker.is_open());
        }
    }

    #[test]
    fn a_poll_from_before_the_outage_says_nothing() {
        let mut breaker = opened(at(0));
        assert_eq!(
            breaker.poll_finished(at(1), false, false),
            Transition::Stale
        );
        breaker.poll_started();
        assert_eq!(
            breaker.poll_finished(at(5), false, false),
            Transition::Stale
        );
        assert_eq!(
            breaker.poll_finished(at(6), true, false),
            Transition::Closed
        );
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_probe_that_was_dropped_is_made_again() {
        let mut breaker = opened(at(0));
        breaker.poll_started();
        breaker.polls_dropped(at(3));
        assert_eq!(breaker.passage(at(3)), Passage::Probe);
    }
}
