//! How many looks of an account may be in flight: a window that follows the answers, and a breaker for outages.

use std::time::Duration;

use crate::clock::Moment;

/// Decides whether one more look may begin. Pure: time is an argument.
#[derive(Debug)]
pub(super) struct Gate {
    /// At most this many looks, in quarters: an answer opens it by one look at first and by less later.
    window: u32,
    /// Beyond this the window grows by a quarter of a look for each answer, not by a whole one.
    calm: u32,
    widest: u32,
    in_flight: u32,
    /// Nothing begins before, because the vendor said so.
    closed_until: Moment,
    /// When the window was last halved: what began before is no second reason.
    halved: Option<Moment>,
    failures: u32,
    breaker: Breaker,
    chance: fastrand::Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaker {
    /// The vendor answers.
    Closed,
    /// The vendor is taken to be away; the pause after which it is tried again, and when that is.
    Open { pause: Duration, until: Moment },
    /// One look finds out.
    Probing { pause: Duration },
}

/// Whether a look may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Yes.
    Go,
    /// Yes, at one job, to find out whether the vendor is back.
    Probe,
    /// Not before this moment.
    At(Moment),
    /// Not before a look in flight has ended.
    Full,
}

/// What a look meant for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The vendor answered, whatever it said of the jobs.
    Answered,
    /// The vendor answered, but so late that more looks at once are no use: they only wait for each other.
    Slow,
    /// Too many requests; the vendor's word on when to come back.
    Refused(Option<Duration>),
    /// No answer, or one from a vendor in trouble.
    Failed,
}

/// Looks that must fail one after another for the breaker to open.
const TRIP: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A vendor that says "come back in ten hours" is asked again after this time.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The window is counted in quarters of a look.
const ONE: u32 = 4;
/// The window before any answer.
const FIRST: u32 = 4 * ONE;

impl Gate {
    /// A gate that opens up to `widest` looks.
    pub(super) fn new(widest: u32, seed: u64) -> Self {
        let widest = widest.max(1) * ONE;
        Self {
            window: widest.min(FIRST),
            calm: widest,
            widest,
            in_flight: 0,
            closed_until: Moment::START,
            halved: None,
            failures: 0,
            breaker: Breaker::Closed,
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    /// Whether a look may begin at `now`.
    pub(super) fn leave(&self, now: Moment) -> Leave {
        match self.breaker {
            Breaker::Open { until, .. } if now < until => Leave::At(until),
            Breaker::Open { .. } => Leave::Probe,
            Breaker::Probing { .. } => Leave::Full,
            Breaker::Closed if self.in_flight >= self.looks() => Leave::Full,
            Breaker::Closed if now < self.closed_until => Leave::At(self.closed_until),
            Breaker::Closed => Leave::Go,
        }
    }

    /// A look began.
    pub(super) fn began(&mut self) {
        self.in_flight += 1;
        if let Breaker::Open { pause, .. } = self.breaker {
            self.breaker = Breaker::Probing { pause };
        }
    }

    /// A look that began at `began` ended at `now`; `probe` says that it was let through to find out.
    pub(super) fn ended(&mut self, began: Moment, now: Moment, probe: bool, outcome: Outcome) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match (self.breaker, probe) {
            (Breaker::Probing { pause }, true) if outcome == Outcome::Failed => {
                self.open(now, (pause * 2).min(LONGEST_PAUSE));
                return;
            }
            (Breaker::Probing { .. }, true) => {
                // Back: let the others follow one by one, not all at once.
                self.breaker = Breaker::Closed;
                self.calm = (self.window / 2).max(ONE);
                self.window = ONE;
                self.failures = 0;
            }
            // Looks from before the breaker opened say nothing new.
            (Breaker::Open { .. } | Breaker::Probing { .. }, _) => return,
            (Breaker::Closed, _) => {}
        }
        match outcome {
            Outcome::Answered => {
                self.failures = 0;
                let step = if self.window < self.calm { ONE } else { 1 };
                self.window = (self.window + step).min(self.widest);
            }
            Outcome::Slow => {
                self.failures = 0;
                // Not below the first window: a vendor may be slow by nature.
                self.window = self.window.saturating_sub(1).max(self.window.min(FIRST));
                self.calm = self.window;
            }
            Outcome::Refused(wait) => {
                self.failures = 0;
                let wait = wait.unwrap_or_default().min(LONGEST_WAIT);
                self.closed_until = self.closed_until.max(now + wait);
                if self.halved.is_none_or(|halved| began > halved) {
                    self.halved = Some(now);
                    self.window = (self.window / 2).max(ONE);
                    self.calm = self.window;
                }
            }
            Outcome::Failed => {
                self.failures += 1;
                if self.failures >= TRIP {
                    self.open(now, FIRST_PAUSE);
                }
            }
        }
    }

    /// Whether the vendor is taken to be away.
    pub(super) fn is_open(&self) -> bool {
        self.breaker != Breaker::Closed
    }

    /// How many looks may be in flight.
    pub(super) fn looks(&self) -> u32 {
        self.window / ONE
    }

    /// All looks in flight were dropped, as when the runtime went away.
    pub(super) fn dropped(&mut self, now: Moment) {
        self.in_flight = 0;
        if let Breaker::Probing { pause } = self.breaker {
            self.breaker = Breaker::Open { pause, until: now };
        }
    }

    fn open(&mut self, now: Moment, pause: Duration) {
        let until = now + pause.mul_f64(1.0 + self.chance.f64() / 4.0);
        self.breaker = Breaker::Open { pause, until };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn gate() -> Gate {
        Gate::new(16, 7)
    }

    /// Begins what the gate lets through at `now`; how many that is.
    fn fill(gate: &mut Gate, now: Moment) -> u32 {
        let mut begun = 0;
        while gate.leave(now) == Leave::Go {
            gate.began();
            begun += 1;
        }
        begun
    }

    fn all(gate: &mut Gate, looks: u32, began: Moment, now: Moment, outcome: Outcome) {
        for _ in 0..looks {
            gate.ended(began, now, false, outcome);
        }
    }

    #[test]
    fn answers_open_the_window_up_to_its_limit() {
        let mut gate = gate();
        let mut windows = Vec::new();
        for round in 0..4 {
            let looks = fill(&mut gate, at(round));
            windows.push(looks);
            all(&mut gate, looks, at(round), at(round), Outcome::Answered);
        }
        assert_eq!(windows, [4, 8, 16, 16]);
    }

    #[test]
    fn a_refusal_halves_once_for_all_looks_in_flight_and_its_hint_is_kept_up_to_a_cap() {
        for (hint, opens) in [(None, 1), (Some(9), 10), (Some(36_000), 61)] {
            let mut gate = gate();
            let looks = fill(&mut gate, at(0));
            all(&mut gate, looks, at(0), at(0), Outcome::Answered);
            let looks = fill(&mut gate, at(0));
            assert_eq!(looks, 8);
            let hint = hint.map(Duration::from_secs);
            all(&mut gate, looks, at(0), at(1), Outcome::Refused(hint));
            assert_eq!(gate.looks(), 4, "hint of {hint:?}");
            let before = gate.leave(Moment::after_start(
                Duration::from_secs(opens) - Duration::from_millis(1),
            ));
            assert_eq!(before, Leave::At(at(opens)), "hint of {hint:?}");
            assert_eq!(gate.leave(at(opens)), Leave::Go);
        }
    }

    #[test]
    fn after_a_refusal_the_window_grows_slowly() {
        let mut gate = gate();
        let looks = fill(&mut gate, at(0));
        all(&mut gate, looks, at(0), at(0), Outcome::Answered);
        gate.began();
        gate.ended(at(0), at(1), false, Outcome::Refused(None));
        let mut windows = Vec::new();
        for _ in 0..3 {
            let looks = fill(&mut gate, at(2));
            windows.push(looks);
            all(&mut gate, looks, at(2), at(2), Outcome::Answered);
        }
        assert_eq!(windows, [4, 5, 6]);
    }

    #[test]
    fn slow_answers_narrow_the_window_and_quick_ones_open_it_again() {
        let mut gate = gate();
        for _ in 0..100 {
            gate.began();
            gate.ended(at(0), at(0), false, Outcome::Answered);
        }
        assert_eq!(gate.looks(), 16);
        for _ in 0..100 {
            gate.began();
            gate.ended(at(0), at(9), false, Outcome::Slow);
        }
        assert_eq!(gate.looks(), 4);
        for _ in 0..100 {
            gate.began();
            gate.ended(at(9), at(9), false, Outcome::Answered);
        }
        assert_eq!(gate.looks(), 16);
    }

    #[test]
    fn an_outage_is_probed_by_one_look_after_growing_pauses() {
        let mut gate = gate();
        for _ in 0..TRIP - 1 {
            gate.began();
            gate.ended(at(0), at(0), false, Outcome::Failed);
            assert_eq!(gate.leave(at(0)), Leave::Go);
        }
        gate.began();
        gate.ended(at(0), at(0), false, Outcome::Failed);
        let (mut now, mut pauses) = (at(0), Vec::new());
        for _ in 0..9 {
            let Leave::At(until) = gate.leave(now) else {
                panic!("{:?}", gate.leave(now));
            };
            pauses.push(until.since(now).as_secs_f64());
            now = until;
            assert_eq!(gate.leave(now), Leave::Probe);
            gate.began();
            assert_eq!(gate.leave(now + Duration::from_secs(3600)), Leave::Full);
            gate.ended(now, now, true, Outcome::Failed);
        }
        for (pause, doubled) in pauses.iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
            let doubled = f64::from(doubled);
            assert!((doubled..doubled * 1.25).contains(pause), "{pauses:?}");
        }
    }

    #[test]
    fn after_an_outage_the_looks_come_back_one_by_one() {
        let mut gate = gate();
        let looks = fill(&mut gate, at(0));
        all(&mut gate, looks, at(0), at(0), Outcome::Answered);
        let looks = fill(&mut gate, at(1));
        all(&mut gate, looks, at(1), at(1), Outcome::Failed);
        assert!(gate.is_open());
        assert_eq!(gate.leave(at(5)), Leave::Probe);
        gate.began();
        // A straggler from before says nothing, neither way.
        gate.ended(at(1), at(5), false, Outcome::Answered);
        assert!(gate.is_open());
        gate.ended(at(5), at(6), true, Outcome::Answered);
        assert!(!gate.is_open());
        let windows: Vec<u32> = (0..3)
            .map(|_| {
                let looks = fill(&mut gate, at(6));
                all(&mut gate, looks, at(6), at(6), Outcome::Answered);
                looks
            })
            .collect();
        assert_eq!(windows, [2, 4, 5]);
    }

    #[test]
    fn a_vendor_that_refuses_by_rate_is_not_away() {
        let mut gate = gate();
        for second in 0..20 {
            gate.began();
            gate.ended(at(second), at(second), false, Outcome::Refused(None));
        }
        assert!(!gate.is_open());
        assert_eq!(gate.looks(), 1);
    }

    #[test]
    fn a_probe_that_was_dropped_is_made_again() {
        let mut gate = gate();
        for _ in 0..TRIP {
            gate.began();
            gate.ended(at(0), at(0), false, Outcome::Failed);
        }
        gate.began();
        gate.dropped(at(3));
        assert_eq!(gate.leave(at(3)), Leave::Probe);
    }
}
