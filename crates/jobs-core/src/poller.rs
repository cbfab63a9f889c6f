//! Decides when to poll one job and when to stop; pure, time is an argument.

use std::time::Duration;

use crate::clock::Moment;
use crate::error::{Delivery, Error, ErrorKind};
use crate::id::JobId;
use crate::kind::PollResult;
use crate::kind_policy::KindPolicy;
use crate::status::{Snapshot, Status};
use crate::wait_error::WaitErrorKind;

/// How long a wait may last and what it puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitOptions {
    /// The wait ends after this time, with a last poll exactly then.
    pub deadline: Duration,
    /// It ends earlier when no poll succeeded for this long.
    pub max_unreachable: Duration,
    /// It ends earlier when the vendor kept using a word that we do not know for this long.
    pub max_unknown_status: Duration,
}

impl WaitOptions {
    /// Until `deadline`, a quarter of an hour without a good poll, and an hour with an unknown word.
    pub const fn new(deadline: Duration) -> Self {
        Self {
            deadline,
            max_unreachable: Duration::from_secs(15 * 60),
            max_unknown_status: Duration::from_secs(60 * 60),
        }
    }
}

impl From<Duration> for WaitOptions {
    fn from(deadline: Duration) -> Self {
        Self::new(deadline)
    }
}

/// What holds for every job that is waited for alike.
#[derive(Debug, Clone)]
pub(crate) struct WaitParams {
    pub(crate) policy: KindPolicy,
    /// Its deadline is that of nobody: each job has its own in its [`WaitState`].
    pub(crate) options: WaitOptions,
    /// By how much of itself a pause may grow by chance, so that jobs that began together drift apart.
    pub(crate) jitter: f64,
}

/// The state of one wait, in 40 bytes: a fleet holds one for each of a million jobs.
///
/// Only [`deadline`](Self::deadline) and what is due are kept to the nanosecond; the rest is in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitState {
    deadline: Moment,
    due: Moment,
    polls: u32,
    /// By how many milliseconds what is due may be brought forward.
    slack: u32,
    /// From the first poll that saw an unknown word to the last good one, in milliseconds; [`STATUS_KNOWN`] when the last
    /// one saw a known word.
    unknown_for: u32,
    /// The last good poll, else the begin of the wait.
    last_good: Tick,
    /// The acceptance, else the begin of the wait.
    accepted_or_started: Tick,
    failures: u8,
    flags: u8,
}

/// How long the poll at the deadline may take: the wait is to end there.
const LAST_POLL: Duration = Duration::from_secs(3);

const STATUS_KNOWN: u32 = u32::MAX;
/// What is due is the end of the wait, not a poll.
const NO_POLL_LEFT: u8 = 1;
/// The moment of acceptance is known.
const ACCEPTED: u8 = 2;

/// A moment in whole milliseconds, rounded down; saturates after 34 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tick([u8; 5]);

impl Tick {
    fn of(moment: Moment) -> Self {
        let [a, b, c, d, e, 0, 0, 0] = moment.millis().to_le_bytes() else {
            return Self([u8::MAX; 5]);
        };
        Self([a, b, c, d, e])
    }

    fn moment(self) -> Moment {
        let [a, b, c, d, e] = self.0;
        Moment::after_millis(u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]))
    }
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// A poll.
    Poll(Moment),
    /// The end of the wait without another poll, because the minimum interval or a hint leaves no room for one.
    Deadline(Moment),
}

/// What a poll meant for the wait.
#[derive(Debug)]
pub(crate) enum PollOutcome<O> {
    /// Not final: hand it out, then go on.
    Progress(Snapshot<O>),
    /// The poll failed; go on.
    PollFailed(Error),
    /// Done.
    Output(O),
    /// Over without an output.
    Ended(WaitErrorKind),
}

/// What is known of a job when a wait for it begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct History {
    pub(crate) accepted: Option<Moment>,
    pub(crate) last_poll: Option<Moment>,
}

impl WaitState {
    /// A wait that begins now and ends at `deadline`.
    pub(crate) fn new(
        params: &WaitParams,
        deadline: Moment,
        now: Moment,
        history: History,
    ) -> Self {
        let floor = params.policy.min_interval.value;
        let mut state = Self {
            deadline,
            due: now,
            polls: 0,
            slack: 0,
            unknown_for: STATUS_KNOWN,
            last_good: Tick::of(now),
            accepted_or_started: Tick::of(history.accepted.unwrap_or(now)),
            failures: 0,
            flags: if history.accepted.is_some() {
                ACCEPTED
            } else {
                0
            },
        };
        let allowed = history.last_poll.map_or(now, |at| now.max(at + floor));
        let first = history
            .accepted
            .map_or(now, |at| at + params.policy.initial_delay.value);
        state.schedule(params, allowed, first);
        state
    }

    /// The state of no job.
    pub(crate) fn blank() -> Self {
        let start = Tick::of(Moment::START);
        Self {
            deadline: Moment::START,
            due: Moment::START,
            polls: 0,
            slack: 0,
            unknown_for: STATUS_KNOWN,
            last_good: start,
            accepted_or_started: start,
            failures: 0,
            flags: 0,
        }
    }

    pub(crate) fn due(&self) -> Due {
        if self.flags & NO_POLL_LEFT == 0 {
            Due::Poll(self.due)
        } else {
            Due::Deadline(self.due)
        }
    }

    /// The moment of whatever is due.
    pub(crate) fn at(&self) -> Moment {
        self.due
    }

    /// Parks a job that waits for something else than its own moment: nothing is due before `at`.
    pub(crate) fn park(&mut self, at: Moment) {
        self.due = at;
        self.slack = 0;
    }

    pub(crate) fn deadline(&self) -> Moment {
        self.deadline
    }

    /// The first moment at which the minimum interval and the vendor's hints allow a poll.
    pub(crate) fn earliest(&self) -> Moment {
        self.due.less_millis(self.slack)
    }

    /// The end of the tolerance for failed polls.
    pub(crate) fn unreachable_at(&self, params: &WaitParams) -> Moment {
        self.last_good.moment() + params.options.max_unreachable
    }

    /// The last good poll, else the begin of the wait.
    pub(crate) fn last_good(&self) -> Moment {
        self.last_good.moment()
    }

    /// The time since acceptance, else since the wait began.
    pub(crate) fn age(&self, now: Moment) -> Duration {
        now.since(self.accepted_or_started.moment())
    }

    /// The ages between which a job that is done at `now` was finished; `None` when its acceptance is not known.
    pub(crate) fn finished_between(&self, now: Moment) -> Option<(Duration, Duration)> {
        let after = if self.polls == 0 {
            Duration::ZERO
        } else {
            self.age(self.last_good.moment())
        };
        (self.flags & ACCEPTED != 0).then(|| (after, self.age(now)))
    }

    /// Whether a poll at `now` would be allowed and so little too early that it may go along with another's.
    ///
    /// A quarter of the pause; never the owed poll at the deadline, which would be owed still.
    pub(crate) fn may_coalesce(&self, params: &WaitParams, now: Moment) -> bool {
        let pause = Duration::from_millis(u64::from(self.slack)) + params.policy.min_interval.value;
        self.due < self.deadline && self.earliest() <= now && now + pause / 4 >= self.due
    }

    /// Somebody says that the job may be done: brings the next poll forward to what the minimum interval allows.
    pub(crate) fn poll_soon(&mut self, params: &WaitParams, now: Moment) {
        if self.flags & NO_POLL_LEFT == 0 {
            let earliest = self.earliest().max(now);
            self.schedule(params, earliest, earliest);
        }
    }

    /// A poll begins at `now`. It has until the returned moment: its own time-out, or the deadline at which the last
    /// poll is owed, and that one a moment. Should it be dropped in between, the wait can go on and the minimum interval still holds.
    pub(crate) fn start_poll(&mut self, params: &WaitParams, now: Moment) -> Moment {
        let next = after(params, now, Duration::ZERO);
        self.schedule(params, next, next);
        let limit = now + params.policy.poll_timeout.value;
        if now < self.deadline {
            limit.min(self.deadline)
        } else {
            limit.min(now + LAST_POLL)
        }
    }

    /// The poll that began at `began` ended at `now` with an answer. `seed` spreads the pauses.
    pub(crate) fn on_response<O>(
        &mut self,
        params: &WaitParams,
        began: Moment,
        now: Moment,
        poll: PollResult<O>,
        seed: u64,
    ) -> PollOutcome<O> {
        let outcome = match poll {
            Ok(snapshot) => self.on_snapshot(params, now, snapshot, seed),
            Err(error) => self.on_error(params, now, now, error, seed),
        };
        self.or_deadline(began, outcome)
    }

    /// The poll that began at `began` was cut at `now`, which `error` tells.
    pub(crate) fn on_timeout<O>(
        &mut self,
        params: &WaitParams,
        began: Moment,
        now: Moment,
        error: Error,
        seed: u64,
    ) -> PollOutcome<O> {
        // The vendor counted this poll when it began, so the minimum interval runs from there.
        let outcome = self.on_error(params, now, began, error, seed);
        self.or_deadline(began, outcome)
    }

    fn or_deadline<O>(&self, began: Moment, outcome: PollOutcome<O>) -> PollOutcome<O> {
        match outcome {
            PollOutcome::Progress(_) | PollOutcome::PollFailed(_) if began >= self.deadline => {
                PollOutcome::Ended(WaitErrorKind::DeadlineExceeded)
            }
            outcome => outcome,
        }
    }

    fn on_snapshot<O>(
        &mut self,
        params: &WaitParams,
        now: Moment,
        snapshot: Snapshot<O>,
        seed: u64,
    ) -> PollOutcome<O> {
        match snapshot.status {
            Status::Succeeded(output) => return PollOutcome::Output(output),
            Status::Failed(failure) => return PollOutcome::Ended(WaitErrorKind::Failed(failure)),
            Status::Expired => return PollOutcome::Ended(WaitErrorKind::Expired),
            Status::Gone => return PollOutcome::Ended(WaitErrorKind::Gone),
            Status::Queued | Status::Running => {}
        }
        self.polls = self.polls.saturating_add(1);
        self.failures = 0;
        let before = std::mem::replace(&mut self.last_good, Tick::of(now));
        if snapshot.is_known {
            self.unknown_for = STATUS_KNOWN;
        } else {
            let since = self.last_good.moment().since(before.moment());
            let more = u32::try_from(since.as_millis()).unwrap_or(STATUS_KNOWN);
            self.unknown_for = match self.unknown_for {
                STATUS_KNOWN => 0,
                so_far => so_far.saturating_add(more).min(STATUS_KNOWN - 1),
            };
            if Duration::from_millis(u64::from(self.unknown_for))
                >= params.options.max_unknown_status
            {
                return PollOutcome::Ended(WaitErrorKind::UnknownStatus(snapshot.vendor_status));
            }
        }
        let earliest = after(params, now, snapshot.retry_after.unwrap_or_default());
        let wanted = match snapshot.retry_after {
            Some(_) => earliest,
            None => {
                let pause = params
                    .policy
                    .schedule
                    .value
                    .next_delay(self.polls, self.age(now));
                let pause = pause.saturating_add(self.jitter(params, pause, seed));
                after(params, now, pause)
            }
        };
        self.schedule(params, earliest, wanted);
        PollOutcome::Progress(snapshot)
    }

    fn on_error<O>(
        &mut self,
        params: &WaitParams,
        now: Moment,
        counted: Moment,
        error: Error,
        seed: u64,
    ) -> PollOutcome<O> {
        if !error.is_transient() {
            return PollOutcome::Ended(WaitErrorKind::PollRejected(error));
        }
        if now >= self.unreachable_at(params) {
            return PollOutcome::Ended(WaitErrorKind::Unreachable(error));
        }
        let pause =
            Duration::from_secs(1 << self.failures.min(6)).mul_f64(1.0 + self.random(seed) / 4.0);
        self.failures = self.failures.saturating_add(1);
        let earliest = after(params, counted, error.retry_after().unwrap_or_default());
        self.schedule(params, earliest, after(params, now, pause));
        PollOutcome::PollFailed(error)
    }

    /// By how much a pause grows by chance: whole milliseconds, so that jobs still come due together now and then.
    fn jitter(&self, params: &WaitParams, pause: Duration, seed: u64) -> Duration {
        if params.jitter <= 0.0 {
            return Duration::ZERO;
        }
        let pause = pause.min(params.policy.max_interval.value).as_secs_f64();
        let drift = pause * 1000.0 * params.jitter * self.random(seed);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "neither is negative, and what is too large stays the largest"
        )]
        Duration::from_millis(drift as u64)
    }

    /// A number from 0 to 1 that is the same for the same seed and the same number of polls.
    fn random(&self, seed: u64) -> f64 {
        let outcome = u64::from(self.polls) << 8 | u64::from(self.failures);
        fastrand::Rng::with_seed(seed ^ outcome.wrapping_mul(0x9E37_79B9_7F4A_7C15)).f64()
    }

    /// Plans the next poll at `wanted`, but not before `earliest`.
    ///
    /// The poll at the deadline is owed, so an earlier one that would leave it no room gives way to it.
    fn schedule(&mut self, params: &WaitParams, earliest: Moment, wanted: Moment) {
        let at = earliest.max(wanted);
        self.flags &= !NO_POLL_LEFT;
        self.due = if earliest > self.deadline {
            self.flags |= NO_POLL_LEFT;
            self.deadline
        } else if at + params.policy.min_interval.value > self.deadline {
            self.deadline
        } else {
            at
        };
        // Rounded down, so that what is brought forward still keeps the minimum interval.
        let slack = self.due.nanos().saturating_sub(earliest.nanos());
        self.slack = u32::try_from(Moment::after_nanos(slack).millis()).unwrap_or(u32::MAX);
    }
}

/// The error for a poll of `job` that was cut while it waited for `address`.
pub(crate) fn timed_out(vendor: &'static str, job: JobId, address: Option<&str>) -> Error {
    let error = Error::new(ErrorKind::Timeout, vendor, "poll")
        .with_delivery(Delivery::MaybeSent)
        .with_job(job);
    match address {
        Some(address) => error.with_address(address),
        None => error,
    }
}

/// The moment `pause` after `from`, within the minimum and the maximum interval.
fn after(params: &WaitParams, from: Moment, pause: Duration) -> Moment {
    let floor = params.policy.min_interval.value;
    from + pause.clamp(floor, params.policy.max_interval.value.max(floor))
}

/// The wait for one job: its rules, its state and the poll in flight.
#[derive(Debug)]
pub(crate) struct Poller {
    params: WaitParams,
    state: WaitState,
    began: Moment,
    seed: u64,
}

impl Poller {
    /// A wait that begins now. `seed` spreads the pauses after failed polls.
    pub(crate) fn new(
        policy: &KindPolicy,
        options: WaitOptions,
        now: Moment,
        history: History,
        seed: u64,
    ) -> Self {
        let params = WaitParams {
            policy: policy.clone(),
            options,
            jitter: 0.0,
        };
        Self {
            state: WaitState::new(&params, now + options.deadline, now, history),
            params,
            began: now,
            seed,
        }
    }

    pub(crate) fn due(&self) -> Due {
        self.state.due()
    }

    /// See [`WaitState::poll_soon`].
    pub(crate) fn poll_soon(&mut self, now: Moment) {
        self.state.poll_soon(&self.params, now);
    }

    /// See [`WaitState::start_poll`].
    pub(crate) fn start_poll(&mut self, now: Moment) -> Moment {
        self.began = now;
        self.state.start_poll(&self.params, now)
    }

    /// The poll ended at `now` with an answer. A success teaches the poll schedule how long such jobs take.
    pub(crate) fn on_response<O>(&mut self, now: Moment, poll: PollResult<O>) -> PollOutcome<O> {
        let outcome = self
            .state
            .on_response(&self.params, self.began, now, poll, self.seed);
        if let (PollOutcome::Output(_), Some((after, until))) =
            (&outcome, self.state.finished_between(now))
        {
            self.params
                .policy
                .schedule
                .value
                .record_completion(after, until);
        }
        outcome
    }

    /// The poll was cut at `now`, the moment that [`start_poll`](Self::start_poll) returned.
    pub(crate) fn on_timeout<O>(&mut self, now: Moment, error: Error) -> PollOutcome<O> {
        self.state
            .on_timeout(&self.params, self.began, now, error, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::kind_policy::Sourced;
    use crate::poll_schedule::PollSchedule;

    const MIN_INTERVAL: Duration = Duration::from_secs(2);

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn poller(deadline_secs: u64, history: History) -> Poller {
        let schedule = PollSchedule::every(Duration::from_secs(5));
        let mut policy = KindPolicy::new(
            Sourced::documented(MIN_INTERVAL, "test"),
            Sourced::documented(Duration::from_secs(3), "test"),
            Sourced::documented(schedule, "test"),
        );
        policy.max_interval.set(Duration::from_secs(30));
        let options = WaitOptions {
            deadline: Duration::from_secs(deadline_secs),
            max_unreachable: Duration::from_secs(60),
            max_unknown_status: Duration::from_secs(20),
        };
        Poller::new(&policy, options, at(0), history, 1)
    }

    fn running() -> PollResult<()> {
        Ok(Snapshot::new(Status::Running, "busy"))
    }

    fn unavailable() -> Error {
        Error::new(ErrorKind::Unavailable, "v", "poll")
    }

    /// Rules with next to no floor, under which pauses are seen as they are.
    fn bare(jitter: f64) -> WaitParams {
        let mut policy = KindPolicy::new(
            Sourced::documented(Duration::from_millis(1), "test"),
            Sourced::documented(Duration::ZERO, "test"),
            Sourced::documented(PollSchedule::every(Duration::from_secs(5)), "test"),
        );
        policy.max_interval.set(Duration::from_secs(100));
        WaitParams {
            policy,
            options: WaitOptions::new(Duration::ZERO),
            jitter,
        }
    }

    fn state(params: &WaitParams) -> WaitState {
        WaitState::new(params, at(100_000_000), at(0), History::default())
    }

    /// The moments of all polls of a wait in which every poll takes no time and answers as told.
    fn polls(
        mut poller: Poller,
        mut answer: impl FnMut(usize) -> PollResult<()>,
    ) -> (Vec<u64>, Option<WaitErrorKind>) {
        let mut moments = Vec::new();
        loop {
            match poller.due() {
                Due::Deadline(_) => return (moments, Some(WaitErrorKind::DeadlineExceeded)),
                Due::Poll(now) => {
                    moments.push(u64::try_from(now.since_start().as_millis()).unwrap());
                    poller.start_poll(now);
                    match poller.on_response(now, answer(moments.len())) {
                        PollOutcome::Ended(cause) => return (moments, Some(cause)),
                        PollOutcome::Output(()) => return (moments, None),
                        PollOutcome::Progress(_) | PollOutcome::PollFailed(_) => {}
                    }
                }
            }
        }
    }

    #[test]
    fn polls_begin_after_acceptance_and_end_exactly_at_the_deadline() {
        let history = History {
            accepted: Some(at(0)),
            last_poll: None,
        };
        let (moments, cause) = polls(poller(20, history), |_| running());
        assert_eq!(moments, [3000, 8000, 13_000, 18_000, 20_000]);
        assert!(matches!(cause, Some(WaitErrorKind::DeadlineExceeded)));
    }

    #[test]
    fn a_poll_that_would_crowd_the_last_one_gives_way() {
        let (moments, _) = polls(poller(16, History::default()), |_| running());
        assert_eq!(moments, [0, 5000, 10_000, 16_000]);
    }

    #[test]
    fn the_min_interval_holds_across_waits() {
        let history = History {
            accepted: None,
            last_poll: Some(at(0)),
        };
        assert_eq!(poller(60, history).due(), Due::Poll(at(2000)));
    }

    #[test]
    fn a_hint_wins_between_min_interval_and_cap() {
        for (hint, next) in [(1u64, 2000), (10, 10_000), (36_000, 30_000)] {
            let mut poller = poller(600, History::default());
            poller.start_poll(at(0));
            let poll = Ok(Snapshot::<()>::new(Status::Running, "busy")
                .with_retry_after(Some(Duration::from_secs(hint))));
            assert!(matches!(
                poller.on_response(at(0), poll),
                PollOutcome::Progress(_)
            ));
            assert_eq!(poller.due(), Due::Poll(at(next)), "hint of {hint} s");
        }
    }

    #[test]
    fn no_poll_is_squeezed_in_before_a_hint_that_ends_after_the_deadline() {
        let hinted = || {
            Ok(Snapshot::new(Status::Running, "busy")
                .with_retry_after(Some(Duration::from_secs(25))))
        };
        let (moments, cause) = polls(poller(20, History::default()), |_| hinted());
        assert_eq!(moments, [0]);
        assert!(matches!(cause, Some(WaitErrorKind::DeadlineExceeded)));
    }

    #[test]
    fn failed_polls_are_endured_until_unreachable() {
        let (moments, cause) = polls(poller(3600, History::default()), |_| Err(unavailable()));
        assert!(
            matches!(cause, Some(WaitErrorKind::Unreachable(_))),
            "{cause:?}"
        );
        let last = *moments.last().unwrap();
        assert!((60_000..=90_000).contains(&last), "{last}");
        assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= 2000));
    }

    #[test]
    fn a_wait_is_unreachable_after_a_quarter_of_an_hour_and_at_a_loss_after_an_hour() {
        let deadline = Duration::from_secs(5);
        let expected = WaitOptions {
            deadline,
            max_unreachable: Duration::from_secs(900),
            max_unknown_status: Duration::from_secs(3600),
        };
        assert_eq!(WaitOptions::new(deadline), expected);
    }

    #[test]
    fn the_pause_after_a_failure_doubles_up_to_a_minute_and_grows_by_chance_up_to_a_quarter() {
        let params = bare(0.0);
        let mut by_failures = vec![Vec::new(); 9];
        for seed in 0..100 {
            let mut state = state(&params);
            for (failures, pauses) in by_failures.iter_mut().enumerate() {
                // As long as it is not blind.
                state.last_good = Tick::of(state.at());
                let now = state.at();
                state.on_error::<()>(&params, now, now, unavailable(), seed);
                let least = f64::from(1 << failures.min(6));
                pauses.push(state.at().since(now).as_secs_f64() / least);
            }
        }
        for pauses in by_failures {
            let (least, most) = pauses
                .iter()
                .fold((2.0_f64, 0.0_f64), |(least, most), pause| {
                    (least.min(*pause), most.max(*pause))
                });
            assert!((1.0..1.05).contains(&least), "{least}");
            assert!((1.2..=1.25).contains(&most), "{most}");
        }
    }

    #[test]
    fn chance_differs_from_poll_to_poll_and_from_job_to_job() {
        let mut state = state(&bare(0.0));
        let mut seen = HashSet::new();
        for (polls, failures) in (0..20).flat_map(|polls| (0..20).map(move |fails| (polls, fails)))
        {
            (state.polls, state.failures) = (polls, failures);
            seen.insert(state.random(7).to_bits());
        }
        assert_eq!(seen.len(), 400);
        let others: HashSet<u64> = (0..400).map(|seed| state.random(seed).to_bits()).collect();
        assert_eq!(others.len(), 400);
    }

    #[test]
    fn pauses_drift_apart_by_as_much_as_the_rules_say() {
        let five = Duration::from_secs(5);
        let drifts = |jitter, pause| -> Vec<u128> {
            let params = bare(jitter);
            let state = state(&params);
            let drift = |seed| state.jitter(&params, pause, seed);
            (0..200).map(|seed| drift(seed).as_millis()).collect()
        };
        let tenth = drifts(0.1, five);
        assert!(tenth.iter().all(|drift| *drift <= 500), "{tenth:?}");
        assert!(tenth.iter().any(|drift| *drift > 450), "{tenth:?}");
        assert!(tenth.iter().any(|drift| *drift < 50), "{tenth:?}");
        assert!(drifts(0.0, five).iter().all(|drift| *drift == 0));
        let capped = drifts(0.1, Duration::MAX);
        assert!(capped.iter().all(|drift| *drift <= 10_000), "{capped:?}");
        assert!(capped.iter().any(|drift| *drift > 9000), "{capped:?}");
    }

    #[test]
    fn a_good_poll_resets_the_tolerance() {
        let answer = |n: usize| {
            if n.is_multiple_of(4) {
                running()
            } else {
                Err(unavailable())
            }
        };
        let (moments, cause) = polls(poller(1000, History::default()), answer);
        assert_eq!(*moments.last().unwrap(), 1_000_000);
        assert!(matches!(cause, Some(WaitErrorKind::DeadlineExceeded)));
    }

    #[test]
    fn a_permanent_error_ends_at_once() {
        let denied = || Err(Error::new(ErrorKind::Unauthenticated, "v", "poll"));
        let (moments, cause) = polls(poller(1000, History::default()), |_| denied());
        assert_eq!(moments, [0]);
        assert!(matches!(cause, Some(WaitErrorKind::PollRejected(_))));
    }

    #[test]
    fn an_unknown_word_runs_on_and_is_named_in_the_end() {
        let (moments, cause) = polls(poller(1000, History::default()), |_| {
            Ok(Snapshot::unknown("dithering"))
        });
        assert_eq!(moments, [0, 5000, 10_000, 15_000, 20_000]);
        assert!(matches!(cause, Some(WaitErrorKind::UnknownStatus(word)) if &*word == "dithering"));
    }

    #[test]
    fn a_waiting_state_is_forty_bytes() {
        assert_eq!(size_of::<WaitState>(), 40);
    }

    #[test]
    fn a_poll_soon_brings_the_poll_forward_to_the_min_interval_and_never_before_a_hint() {
        for (hint, next) in [(None, 2000), (Some(4), 4000)] {
            let mut poller = poller(600, History::default());
            poller.start_poll(at(0));
            let poll = Ok(Snapshot::<()>::new(Status::Running, "busy")
                .with_retry_after(hint.map(Duration::from_secs)));
            poller.on_response(at(0), poll);
            poller.state.poll_soon(&poller.params, at(500));
            assert_eq!(poller.due(), Due::Poll(at(next)), "hint of {hint:?} s");
        }
    }

    #[test]
    fn a_job_rides_along_late_in_its_pause_only_and_never_at_its_deadline() {
        let mut poller = poller(600, History::default());
        poller.start_poll(at(0));
        poller.on_response(at(0), running());
        let rides = |millis| poller.state.may_coalesce(&poller.params, at(millis));
        assert_eq!(
            [1000, 3000, 3749, 3750].map(rides),
            [false, false, false, true]
        );
        let mut last = self::poller(6, History::default());
        last.start_poll(at(0));
        last.on_response(at(0), running());
        assert_eq!(last.due(), Due::Poll(at(6000)));
        assert!(!last.state.may_coalesce(&last.params, at(5900)));
    }

    #[test]
    fn a_success_lies_between_the_last_unfinished_poll_and_the_one_that_saw_it() {
        let history = History {
            accepted: Some(at(0)),
            last_poll: None,
        };
        let mut poller = poller(60, history);
        let seconds =
            |pair: Option<(Duration, Duration)>| pair.map(|(a, b)| (a.as_secs(), b.as_secs()));
        assert_eq!(
            seconds(poller.state.finished_between(at(3000))),
            Some((0, 3))
        );
        poller.start_poll(at(3000));
        poller.on_response(at(3000), running());
        assert_eq!(
            seconds(poller.state.finished_between(at(8000))),
            Some((3, 8))
        );
        let unknown = self::poller(60, History::default());
        assert_eq!(unknown.state.finished_between(at(8000)), None);
    }

    #[test]
    fn a_poll_that_hangs_over_the_deadline_is_cut_and_the_last_one_made() {
        let cut = || timed_out("v", JobId::new("j").unwrap(), Some("h:1"));
        assert_eq!(
            cut().to_string(),
            "v poll of job j at h:1: no answer in time"
        );
        let mut poller = poller(20, History::default());
        assert_eq!(poller.start_poll(at(10_000)), at(20_000));
        assert!(matches!(
            poller.on_timeout::<()>(at(20_000), cut()),
            PollOutcome::PollFailed(_)
        ));
        assert_eq!(poller.due(), Due::Poll(at(20_000)));
        assert_eq!(poller.start_poll(at(20_000)), at(23_000));
        assert!(matches!(
            poller.on_timeout::<()>(at(50_000), cut()),
            PollOutcome::Ended(WaitErrorKind::DeadlineExceeded)
        ));
    }
}
