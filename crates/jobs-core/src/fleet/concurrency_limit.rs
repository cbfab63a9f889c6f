//! How many polls of an account may be in flight: a window that follows the answers, and a breaker for outages.

use std::time::Duration;

use crate::clock::Moment;

/// Decides whether one more poll may begin. Pure: time is an argument.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    /// At most this many polls, in quarters: an answer opens it by one poll at first and by less later.
    quarters: u32,
    /// Beyond this the window grows by a quarter of a look for each answer, not by a whole one.
    slow_start_threshold: u32,
    max_quarters: u32,
    in_flight: u32,
    /// Nothing begins before, because the vendor said so.
    not_before: Moment,
    /// When the window was last halved: what began before is no second reason.
    last_halved: Option<Moment>,
    failures: u32,
    breaker: Breaker,
    rng: fastrand::Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaker {
    /// The vendor answers.
    Closed,
    /// The vendor is taken to be away; the pause after which it is tried again, and when that is.
    Open { pause: Duration, until: Moment },
    /// One poll finds out.
    Probing { pause: Duration },
}

/// Whether a poll may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes.
    Admitted,
    /// Yes, at one job, to find out whether the vendor is back.
    Probe,
    /// Not before this moment.
    NotBefore(Moment),
    /// Not before a poll in flight has ended.
    AtLimit,
}

/// What a poll meant for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PollFeedback {
    /// The vendor answered, whatever it said of the jobs.
    Answered,
    /// The vendor answered, but so late that more polls at once are no use: they only wait for each other.
    Slow,
    /// Too many requests; the vendor's word on when to come back.
    RateLimited(Option<Duration>),
    /// No answer, or one that says the service is unavailable.
    Failed,
}

/// Polls that must fail one after another for the breaker to open.
const FAILURES_TO_TRIP: u32 = 5;
const FIRST_PROBE_DELAY: Duration = Duration::from_secs(1);
const MAX_PROBE_DELAY: Duration = Duration::from_secs(60);
/// A vendor that says "come back in ten hours" is asked again after this time.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// The window is counted in quarters of a poll.
const ONE_POLL: u32 = 4;
/// The window before any answer.
const INITIAL_LIMIT: u32 = 4 * ONE_POLL;

impl ConcurrencyLimit {
    /// A gate that opens up to `widest` polls.
    pub(super) fn new(widest: u32, seed: u64) -> Self {
        let widest = widest.max(1) * ONE_POLL;
        Self {
            quarters: widest.min(INITIAL_LIMIT),
            slow_start_threshold: widest,
            max_quarters: widest,
            in_flight: 0,
            not_before: Moment::START,
            last_halved: None,
            failures: 0,
            breaker: Breaker::Closed,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Whether a poll may begin at `now`.
    pub(super) fn admit(&self, now: Moment) -> Admission {
        match self.breaker {
            Breaker::Open { until, .. } if now < until => Admission::NotBefore(until),
            Breaker::Open { .. } => Admission::Probe,
            Breaker::Probing { .. } => Admission::AtLimit,
            Breaker::Closed if self.in_flight >= self.limit() => Admission::AtLimit,
            Breaker::Closed if now < self.not_before => Admission::NotBefore(self.not_before),
            Breaker::Closed => Admission::Admitted,
        }
    }

    /// A poll began.
    pub(super) fn poll_started(&mut self) {
        self.in_flight += 1;
        if let Breaker::Open { pause, .. } = self.breaker {
            self.breaker = Breaker::Probing { pause };
        }
    }

    /// A poll that began at `began` ended at `now`; `probe` says that it was let through to find out.
    pub(super) fn poll_finished(
        &mut self,
        began: Moment,
        now: Moment,
        probe: bool,
        outcome: PollFeedback,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match (self.breaker, probe) {
            (Breaker::Probing { pause }, true) if outcome == PollFeedback::Failed => {
                self.trip(now, (pause * 2).min(MAX_PROBE_DELAY));
                return;
            }
            (Breaker::Probing { .. }, true) => {
                // Back: let the others follow one by one, not all at once.
                self.breaker = Breaker::Closed;
                self.slow_start_threshold = (self.quarters / 2).max(ONE_POLL);
                self.quarters = ONE_POLL;
                self.failures = 0;
            }
            // Polls from before the breaker opened say nothing new.
            (Breaker::Open { .. } | Breaker::Probing { .. }, _) => return,
            (Breaker::Closed, _) => {}
        }
        match outcome {
            PollFeedback::Answered => {
                self.failures = 0;
                let step = if self.quarters < self.slow_start_threshold {
                    ONE_POLL
                } else {
                    1
                };
                self.quarters = (self.quarters + step).min(self.max_quarters);
            }
            PollFeedback::Slow => {
                self.failures = 0;
                // Not below the first window: a vendor may be slow by nature.
                self.quarters = self
                    .quarters
                    .saturating_sub(1)
                    .max(self.quarters.min(INITIAL_LIMIT));
                self.slow_start_threshold = self.quarters;
            }
            PollFeedback::RateLimited(wait) => {
                self.failures = 0;
                let wait = wait.unwrap_or_default().min(MAX_RETRY_AFTER);
                self.not_before = self.not_before.max(now + wait);
                if self.last_halved.is_none_or(|halved| began > halved) {
                    self.last_halved = Some(now);
                    self.quarters = (self.quarters / 2).max(ONE_POLL);
                    self.slow_start_threshold = self.quarters;
                }
            }
            PollFeedback::Failed => {
                self.failures += 1;
                if self.failures >= FAILURES_TO_TRIP {
                    self.trip(now, FIRST_PROBE_DELAY);
                }
            }
        }
    }

    /// Whether the vendor is taken to be away.
    pub(super) fn is_breaker_open(&self) -> bool {
        self.breaker != Breaker::Closed
    }

    /// How many polls may be in flight.
    pub(super) fn limit(&self) -> u32 {
        self.quarters / ONE_POLL
    }

    /// All polls in flight were dropped, as when the runtime went away.
    pub(super) fn polls_dropped(&mut self, now: Moment) {
        self.in_flight = 0;
        if let Breaker::Probing { pause } = self.breaker {
            self.breaker = Breaker::Open { pause, until: now };
        }
    }

    fn trip(&mut self, now: Moment, pause: Duration) {
        let until = now + pause.mul_f64(1.0 + self.rng.f64() / 4.0);
        self.breaker = Breaker::Open { pause, until };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn limit() -> ConcurrencyLimit {
        ConcurrencyLimit::new(16, 7)
    }

    /// Begins what the gate lets through at `now`; how many that is.
    fn fill(limit: &mut ConcurrencyLimit, now: Moment) -> u32 {
        let mut begun = 0;
        while limit.admit(now) == Admission::Admitted {
            limit.poll_started();
            begun += 1;
        }
        begun
    }

    fn all(
        limit: &mut ConcurrencyLimit,
        polls: u32,
        began: Moment,
        now: Moment,
        outcome: PollFeedback,
    ) {
        for _ in 0..polls {
            limit.poll_finished(began, now, false, outcome);
        }
    }

    #[test]
    fn answers_open_the_window_up_to_its_limit() {
        let mut limit = limit();
        let mut windows = Vec::new();
        for round in 0..4 {
            let polls = fill(&mut limit, at(round));
            windows.push(polls);
            all(
                &mut limit,
                polls,
                at(round),
                at(round),
                PollFeedback::Answered,
            );
        }
        assert_eq!(windows, [4, 8, 16, 16]);
    }

    #[test]
    fn a_refusal_halves_once_for_all_polls_in_flight_and_its_hint_is_kept_up_to_a_cap() {
        for (hint, opens) in [(None, 1), (Some(9), 10), (Some(36_000), 61)] {
            let mut limit = limit();
            let polls = fill(&mut limit, at(0));
            all(&mut limit, polls, at(0), at(0), PollFeedback::Answered);
            let polls = fill(&mut limit, at(0));
            assert_eq!(polls, 8);
            let hint = hint.map(Duration::from_secs);
            all(
                &mut limit,
                polls,
                at(0),
                at(1),
                PollFeedback::RateLimited(hint),
            );
            assert_eq!(limit.limit(), 4, "hint of {hint:?}");
            let before = limit.admit(Moment::after_start(
                Duration::from_secs(opens) - Duration::from_millis(1),
            ));
            assert_eq!(before, Admission::NotBefore(at(opens)), "hint of {hint:?}");
            assert_eq!(limit.admit(at(opens)), Admission::Admitted);
        }
    }

    #[test]
    fn after_a_refusal_the_window_grows_slowly() {
        let mut limit = limit();
        let polls = fill(&mut limit, at(0));
        all(&mut limit, polls, at(0), at(0), PollFeedback::Answered);
        limit.poll_started();
        limit.poll_finished(at(0), at(1), false, PollFeedback::RateLimited(None));
        let mut windows = Vec::new();
        for _ in 0..3 {
            let polls = fill(&mut limit, at(2));
            windows.push(polls);
            all(&mut limit, polls, at(2), at(2), PollFeedback::Answered);
        }
        assert_eq!(windows, [4, 5, 6]);
    }

    #[test]
    fn slow_answers_narrow_the_window_and_quick_ones_open_it_again() {
        let mut limit = limit();
        for _ in 0..100 {
            limit.poll_started();
            limit.poll_finished(at(0), at(0), false, PollFeedback::Answered);
        }
        assert_eq!(limit.limit(), 16);
        for _ in 0..100 {
            limit.poll_started();
            limit.poll_finished(at(0), at(9), false, PollFeedback::Slow);
        }
        assert_eq!(limit.limit(), 4);
        for _ in 0..100 {
            limit.poll_started();
            limit.poll_finished(at(9), at(9), false, PollFeedback::Answered);
        }
        assert_eq!(limit.limit(), 16);
    }

    #[test]
    fn an_outage_is_probed_by_one_poll_after_growing_pauses() {
        let mut limit = limit();
        for _ in 0..FAILURES_TO_TRIP - 1 {
            limit.poll_started();
            limit.poll_finished(at(0), at(0), false, PollFeedback::Failed);
            assert_eq!(limit.admit(at(0)), Admission::Admitted);
        }
        limit.poll_started();
        limit.poll_finished(at(0), at(0), false, PollFeedback::Failed);
        let (mut now, mut pauses) = (at(0), Vec::new());
        for _ in 0..9 {
            let Admission::NotBefore(until) = limit.admit(now) else {
                panic!("{:?}", limit.admit(now));
            };
            pauses.push(until.since(now).as_secs_f64());
            now = until;
            assert_eq!(limit.admit(now), Admission::Probe);
            limit.poll_started();
            assert_eq!(
                limit.admit(now + Duration::from_secs(3600)),
                Admission::AtLimit
            );
            limit.poll_finished(now, now, true, PollFeedback::Failed);
        }
        for (pause, doubled) in pauses.iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
            let doubled = f64::from(doubled);
            assert!((doubled..doubled * 1.25).contains(pause), "{pauses:?}");
        }
    }

    #[test]
    fn after_an_outage_the_polls_come_back_one_by_one() {
        let mut limit = limit();
        let polls = fill(&mut limit, at(0));
        all(&mut limit, polls, at(0), at(0), PollFeedback::Answered);
        let polls = fill(&mut limit, at(1));
        all(&mut limit, polls, at(1), at(1), PollFeedback::Failed);
        assert!(limit.is_breaker_open());
        assert_eq!(limit.admit(at(5)), Admission::Probe);
        limit.poll_started();
        // A straggler from before says nothing, neither way.
        limit.poll_finished(at(1), at(5), false, PollFeedback::Answered);
        assert!(limit.is_breaker_open());
        limit.poll_finished(at(5), at(6), true, PollFeedback::Answered);
        assert!(!limit.is_breaker_open());
        let windows: Vec<u32> = (0..3)
            .map(|_| {
                let polls = fill(&mut limit, at(6));
                all(&mut limit, polls, at(6), at(6), PollFeedback::Answered);
                polls
            })
            .collect();
        assert_eq!(windows, [2, 4, 5]);
    }

    #[test]
    fn a_vendor_that_refuses_by_rate_is_not_away() {
        let mut limit = limit();
        for second in 0..20 {
            limit.poll_started();
            limit.poll_finished(
                at(second),
                at(second),
                false,
                PollFeedback::RateLimited(None),
            );
        }
        assert!(!limit.is_breaker_open());
        assert_eq!(limit.limit(), 1);
    }

    #[test]
    fn a_probe_that_was_dropped_is_made_again() {
        let mut limit = limit();
        for _ in 0..FAILURES_TO_TRIP {
            limit.poll_started();
            limit.poll_finished(at(0), at(0), false, PollFeedback::Failed);
        }
        limit.poll_started();
        limit.polls_dropped(at(3));
        assert_eq!(limit.admit(at(3)), Admission::Probe);
    }
}
