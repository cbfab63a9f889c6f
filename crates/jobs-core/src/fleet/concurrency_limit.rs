//! How many polls of an account may be in flight: a limit that follows the answers, behind a [`CircuitBreaker`].

use std::time::Duration;

use crate::clock::Moment;
use crate::fleet::circuit_breaker::{CircuitBreaker, Passage, Transition};

/// Decides whether one more poll may begin. Pure: time is an argument.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    /// At most this many polls, in quarters: at first an answer adds a whole poll, later less.
    quarters: u32,
    /// Beyond this, an answer adds a quarter of a poll and not a whole one.
    slow_start_threshold: u32,
    max_quarters: u32,
    in_flight: u32,
    /// Nothing begins before, because the vendor said so.
    not_before: Moment,
    /// When the limit was last halved. A poll that began before is no second reason.
    last_halved: Option<Moment>,
    breaker: CircuitBreaker,
}

/// Whether a poll may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes.
    Admitted,
    /// Yes, with one job, to find out whether the vendor is back.
    Probe,
    /// Not before this moment.
    NotBefore(Moment),
    /// Not before a poll in flight has ended.
    AtLimit,
}

/// What a poll said about the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PollFeedback {
    /// The vendor answered, whatever it said of the jobs.
    Answered,
    /// The vendor answered, but so late that more polls at once are no use: they only wait for each other.
    Slow,
    /// Too many requests, and the time after which the vendor wants to be asked again.
    RateLimited(Option<Duration>),
    /// No answer, or one that says the service is unavailable.
    Failed,
}

/// The longest retry-after that is obeyed; a vendor that says ten hours is asked again after this time.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// The limit is counted in quarters of a poll.
const ONE_POLL: u32 = 4;
/// The limit before any answer.
const INITIAL_LIMIT: u32 = 4 * ONE_POLL;

impl ConcurrencyLimit {
    /// A limit that grows up to `max` polls.
    pub(super) fn new(max: u32, seed: u64) -> Self {
        let max = max.max(1) * ONE_POLL;
        Self {
            quarters: max.min(INITIAL_LIMIT),
            slow_start_threshold: max,
            max_quarters: max,
            in_flight: 0,
            not_before: Moment::START,
            last_halved: None,
            breaker: CircuitBreaker::new(seed),
        }
    }

    /// Whether a poll may begin at `now`.
    pub(super) fn admit(&self, now: Moment) -> Admission {
        match self.breaker.passage(now) {
            Passage::NotBefore(until) => Admission::NotBefore(until),
            Passage::Probe => Admission::Probe,
            Passage::AfterProbe => Admission::AtLimit,
            Passage::Free if self.in_flight >= self.limit() => Admission::AtLimit,
            Passage::Free if now < self.not_before => Admission::NotBefore(self.not_before),
            Passage::Free => Admission::Admitted,
        }
    }

    /// A poll began.
    pub(super) fn poll_started(&mut self) {
        self.in_flight += 1;
        self.breaker.poll_started();
    }

    /// A poll that began at `began` ended at `now`.
    pub(super) fn poll_finished(
        &mut self,
        began: Moment,
        now: Moment,
        is_probe: bool,
        feedback: PollFeedback,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let has_failed = feedback == PollFeedback::Failed;
        match self.breaker.poll_finished(now, is_probe, has_failed) {
            Transition::Opened | Transition::Stale => return,
            Transition::Closed => {
                // Back: the others follow one by one, not all at once.
                self.slow_start_threshold = (self.quarters / 2).max(ONE_POLL);
                self.quarters = ONE_POLL;
            }
            Transition::None => {}
        }
        match feedback {
            PollFeedback::Answered => {
                let step = if self.quarters < self.slow_start_threshold {
                    ONE_POLL
                } else {
                    1
                };
                self.quarters = (self.quarters + step).min(self.max_quarters);
            }
            PollFeedback::Slow => {
                // Not below the first limit: a vendor may be slow by nature.
                self.quarters = self
                    .quarters
                    .saturating_sub(1)
                    .max(self.quarters.min(INITIAL_LIMIT));
                self.slow_start_threshold = self.quarters;
            }
            PollFeedback::RateLimited(retry_after) => {
                let retry_after = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
                self.not_before = self.not_before.max(now + retry_after);
                if self.last_halved.is_none_or(|halved| began > halved) {
                    self.last_halved = Some(now);
                    self.quarters = (self.quarters / 2).max(ONE_POLL);
                    self.slow_start_threshold = self.quarters;
                }
            }
            PollFeedback::Failed => {}
        }
    }

    /// Whether the vendor is taken to be unavailable.
    pub(super) fn is_breaker_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// How many polls may be in flight.
    pub(super) fn limit(&self) -> u32 {
        self.quarters / ONE_POLL
    }

    /// All polls in flight were dropped, as when the runtime went away.
    pub(super) fn polls_dropped(&mut self, now: Moment) {
        self.in_flight = 0;
        self.breaker.polls_dropped(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn concurrency_limit() -> ConcurrencyLimit {
        ConcurrencyLimit::new(16, 7)
    }

    /// Begins what is admitted at `now`; how many that is.
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
    fn answers_raise_the_limit_up_to_its_maximum() {
        let mut limit = concurrency_limit();
        let mut limits = Vec::new();
        for round in 0..4 {
            let polls = fill(&mut limit, at(round));
            limits.push(polls);
            all(
                &mut limit,
                polls,
                at(round),
                at(round),
                PollFeedback::Answered,
            );
        }
        assert_eq!(limits, [4, 8, 16, 16]);
    }

    #[test]
    fn a_refusal_halves_once_for_all_polls_in_flight_and_its_hint_is_kept_up_to_a_cap() {
        for (hint, opens) in [(None, 1), (Some(9), 10), (Some(36_000), 61)] {
            let mut limit = concurrency_limit();
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
    fn after_a_refusal_the_limit_grows_slowly() {
        let mut limit = concurrency_limit();
        let polls = fill(&mut limit, at(0));
        all(&mut limit, polls, at(0), at(0), PollFeedback::Answered);
        limit.poll_started();
        limit.poll_finished(at(0), at(1), false, PollFeedback::RateLimited(None));
        let mut limits = Vec::new();
        for _ in 0..3 {
            let polls = fill(&mut limit, at(2));
            limits.push(polls);
            all(&mut limit, polls, at(2), at(2), PollFeedback::Answered);
        }
        assert_eq!(limits, [4, 5, 6]);
    }

    #[test]
    fn slow_answers_lower_the_limit_and_quick_ones_raise_it_again() {
        let mut limit = concurrency_limit();
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
    fn after_an_outage_the_polls_come_back_one_by_one() {
        let mut limit = concurrency_limit();
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
        let limits: Vec<u32> = (0..3)
            .map(|_| {
                let polls = fill(&mut limit, at(6));
                all(&mut limit, polls, at(6), at(6), PollFeedback::Answered);
                polls
            })
            .collect();
        assert_eq!(limits, [2, 4, 5]);
    }

    #[test]
    fn a_vendor_that_limits_the_rate_is_not_unavailable() {
        let mut limit = concurrency_limit();
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
}
