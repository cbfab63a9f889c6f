//! Decides when to look at one job and when to stop; pure, time is an argument.

use std::time::Duration;

use crate::clock::Moment;
use crate::end::Cause;
use crate::error::{Error, ErrorKind, Sent};
use crate::facts::Facts;
use crate::kind::Look;
use crate::status::{Snapshot, Status};

/// How long a wait may last and what it puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The wait ends after this time, with a last look exactly then.
    pub deadline: Duration,
    /// It ends earlier when no look succeeded for this long.
    pub blind: Duration,
    /// It ends earlier when the vendor kept using a word that we do not know for this long.
    pub unknown_word: Duration,
}

impl Patience {
    /// Until `deadline`, a quarter of an hour without a good look, and an hour with an unknown word.
    pub const fn until(deadline: Duration) -> Self {
        Self {
            deadline,
            blind: Duration::from_secs(15 * 60),
            unknown_word: Duration::from_secs(60 * 60),
        }
    }
}

impl From<Duration> for Patience {
    fn from(deadline: Duration) -> Self {
        Self::until(deadline)
    }
}

/// The state of one wait.
#[derive(Debug)]
pub(crate) struct Poller {
    facts: Facts,
    patience: Patience,
    deadline: Moment,
    due: Due,
    began: Moment,
    looks: u32,
    failures: u32,
    last_good: Moment,
    unknown_since: Option<Moment>,
    jitter: fastrand::Rng,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// A look.
    Look(Moment),
    /// The end of the wait without another look, because the floor or a hint leaves no room for one.
    Deadline(Moment),
}

/// What a look meant for the wait.
#[derive(Debug)]
pub(crate) enum Turn<O> {
    /// Not final: hand it out, then go on.
    Seen(Snapshot<O>),
    /// The look failed; go on.
    Missed(Error),
    /// Done.
    Output(O),
    /// Over without an output.
    Over(Cause),
}

/// What is known of a job when a wait for it begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Past {
    pub(crate) accepted: Option<Moment>,
    pub(crate) last_look: Option<Moment>,
}

impl Poller {
    /// A wait that begins now. `seed` spreads the pauses after failed looks.
    pub(crate) fn new(
        facts: &Facts,
        patience: Patience,
        now: Moment,
        past: Past,
        seed: u64,
    ) -> Self {
        let mut poller = Self {
            facts: facts.clone(),
            patience,
            deadline: now + patience.deadline,
            due: Due::Look(now),
            began: now,
            looks: 0,
            failures: 0,
            last_good: now,
            unknown_since: None,
            jitter: fastrand::Rng::with_seed(seed),
        };
        let allowed = past
            .last_look
            .map_or(now, |at| now.max(at + facts.floor.value));
        let first = past.accepted.map_or(now, |at| at + facts.first_look.value);
        poller.plan(allowed, first);
        poller
    }

    pub(crate) fn due(&self) -> Due {
        self.due
    }

    /// A look begins at `now`. It has until the returned moment: its own time-out, or the deadline at which the last
    /// look is owed. Should it be dropped in between, the wait can go on and the floor still holds.
    pub(crate) fn begin(&mut self, now: Moment) -> Moment {
        self.began = now;
        let next = self.after(now, Duration::ZERO);
        self.plan(next, next);
        let limit = now + self.facts.look_timeout.value;
        if now < self.deadline {
            limit.min(self.deadline)
        } else {
            limit
        }
    }

    /// The look ended at `now` with an answer.
    pub(crate) fn answered<O>(&mut self, now: Moment, look: Look<O>) -> Turn<O> {
        let turn = match look {
            Ok(snapshot) => self.seen(now, snapshot),
            Err(error) => self.missed(now, now, error),
        };
        self.unless_last(turn)
    }

    /// The look was cut at `now`, the moment that [`begin`](Self::begin) returned.
    pub(crate) fn cut<O>(&mut self, now: Moment, vendor: &'static str) -> Turn<O> {
        let error = Error::new(ErrorKind::TimedOut, vendor, "look").with_sent(Sent::Maybe);
        // The vendor counted this look when it began, so the floor runs from there.
        let turn = self.missed(now, self.began, error);
        self.unless_last(turn)
    }

    fn unless_last<O>(&self, turn: Turn<O>) -> Turn<O> {
        match turn {
            Turn::Seen(_) | Turn::Missed(_) if self.began >= self.deadline => {
                Turn::Over(Cause::Deadline)
            }
            turn => turn,
        }
    }

    fn seen<O>(&mut self, now: Moment, snapshot: Snapshot<O>) -> Turn<O> {
        match snapshot.status {
            Status::Succeeded(output) => return Turn::Output(output),
            Status::Failed(failure) => return Turn::Over(Cause::Failed(failure)),
            Status::Expired => return Turn::Over(Cause::Expired),
            Status::Gone => return Turn::Over(Cause::Gone),
            Status::Queued | Status::Running => {}
        }
        self.looks = self.looks.saturating_add(1);
        self.failures = 0;
        self.last_good = now;
        if snapshot.recognised {
            self.unknown_since = None;
        } else if now.since(*self.unknown_since.get_or_insert(now)) >= self.patience.unknown_word {
            return Turn::Over(Cause::UnknownWord(snapshot.word));
        }
        let earliest = self.after(now, snapshot.hint.unwrap_or_default());
        let wanted = match snapshot.hint {
            Some(_) => earliest,
            None => self.after(now, self.facts.pacing.value.pause(self.looks)),
        };
        self.plan(earliest, wanted);
        Turn::Seen(snapshot)
    }

    fn missed<O>(&mut self, now: Moment, counted: Moment, error: Error) -> Turn<O> {
        if !error.is_transient() {
            return Turn::Over(Cause::Refused(error));
        }
        if now.since(self.last_good) >= self.patience.blind {
            return Turn::Over(Cause::Blind(error));
        }
        let pause =
            Duration::from_secs(1 << self.failures.min(6)).mul_f64(1.0 + self.jitter.f64() / 4.0);
        self.failures = self.failures.saturating_add(1);
        let earliest = self.after(counted, error.wait().unwrap_or_default());
        self.plan(earliest, self.after(now, pause));
        Turn::Missed(error)
    }

    /// The moment `pause` after `from`, not below the floor and not above the cap.
    fn after(&self, from: Moment, pause: Duration) -> Moment {
        let floor = self.facts.floor.value;
        from + pause.clamp(floor, self.facts.cap.value.max(floor))
    }

    /// Plans the next look at `wanted`, but not before `earliest`.
    ///
    /// The look at the deadline is owed, so an earlier one that would leave it no room gives way to it.
    fn plan(&mut self, earliest: Moment, wanted: Moment) {
        let at = earliest.max(wanted);
        self.due = if earliest > self.deadline {
            Due::Deadline(self.deadline)
        } else if at + self.facts.floor.value > self.deadline {
            Due::Look(self.deadline)
        } else {
            Due::Look(at)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Fact;
    use crate::pacing::Pacing;

    const FLOOR: Duration = Duration::from_secs(2);

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn poller(deadline_secs: u64, past: Past) -> Poller {
        let pacing = Pacing::every(Duration::from_secs(5));
        let mut facts = Facts::new(
            Fact::documented(FLOOR, "test"),
            Fact::documented(Duration::from_secs(3), "test"),
            Fact::documented(pacing, "test"),
            &[],
        );
        facts.cap.set(Duration::from_secs(30));
        let patience = Patience {
            deadline: Duration::from_secs(deadline_secs),
            blind: Duration::from_secs(60),
            unknown_word: Duration::from_secs(20),
        };
        Poller::new(&facts, patience, at(0), past, 1)
    }

    fn running() -> Look<()> {
        Ok(Snapshot::new(Status::Running, "busy"))
    }

    fn trouble() -> Error {
        Error::new(ErrorKind::Unavailable, "v", "look")
    }

    /// The moments of all looks of a wait in which every look takes no time and answers as told.
    fn looks(
        mut poller: Poller,
        mut answer: impl FnMut(usize) -> Look<()>,
    ) -> (Vec<u64>, Option<Cause>) {
        let mut moments = Vec::new();
        loop {
            match poller.due() {
                Due::Deadline(_) => return (moments, Some(Cause::Deadline)),
                Due::Look(now) => {
                    moments.push(u64::try_from(now.since_start().as_millis()).unwrap());
                    poller.begin(now);
                    match poller.answered(now, answer(moments.len())) {
                        Turn::Over(cause) => return (moments, Some(cause)),
                        Turn::Output(()) => return (moments, None),
                        Turn::Seen(_) | Turn::Missed(_) => {}
                    }
                }
            }
        }
    }

    #[test]
    fn looks_begin_after_acceptance_and_end_exactly_at_the_deadline() {
        let past = Past {
            accepted: Some(at(0)),
            last_look: None,
        };
        let (moments, cause) = looks(poller(20, past), |_| running());
        assert_eq!(moments, [3000, 8000, 13_000, 18_000, 20_000]);
        assert!(matches!(cause, Some(Cause::Deadline)));
    }

    #[test]
    fn a_look_that_would_crowd_the_last_one_gives_way() {
        let (moments, _) = looks(poller(16, Past::default()), |_| running());
        assert_eq!(moments, [0, 5000, 10_000, 16_000]);
    }

    #[test]
    fn the_floor_holds_across_waits() {
        let past = Past {
            accepted: None,
            last_look: Some(at(0)),
        };
        assert_eq!(poller(60, past).due(), Due::Look(at(2000)));
    }

    #[test]
    fn a_hint_wins_between_floor_and_cap() {
        for (hint, next) in [(1u64, 2000), (10, 10_000), (36_000, 30_000)] {
            let mut poller = poller(600, Past::default());
            poller.begin(at(0));
            let look = Ok(Snapshot::<()>::new(Status::Running, "busy")
                .with_hint(Some(Duration::from_secs(hint))));
            assert!(matches!(poller.answered(at(0), look), Turn::Seen(_)));
            assert_eq!(poller.due(), Due::Look(at(next)), "hint of {hint} s");
        }
    }

    #[test]
    fn no_look_is_squeezed_in_before_a_hint_that_ends_after_the_deadline() {
        let hinted =
            || Ok(Snapshot::new(Status::Running, "busy").with_hint(Some(Duration::from_secs(25))));
        let (moments, cause) = looks(poller(20, Past::default()), |_| hinted());
        assert_eq!(moments, [0]);
        assert!(matches!(cause, Some(Cause::Deadline)));
    }

    #[test]
    fn failed_looks_are_endured_until_blind() {
        let (moments, cause) = looks(poller(3600, Past::default()), |_| Err(trouble()));
        assert!(matches!(cause, Some(Cause::Blind(_))), "{cause:?}");
        let last = *moments.last().unwrap();
        assert!((60_000..=90_000).contains(&last), "{last}");
        assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= 2000));
    }

    #[test]
    fn a_good_look_resets_the_tolerance() {
        let answer = |n: usize| {
            if n.is_multiple_of(4) {
                running()
            } else {
                Err(trouble())
            }
        };
        let (moments, cause) = looks(poller(1000, Past::default()), answer);
        assert_eq!(*moments.last().unwrap(), 1_000_000);
        assert!(matches!(cause, Some(Cause::Deadline)));
    }

    #[test]
    fn a_permanent_error_ends_at_once() {
        let denied = || Err(Error::new(ErrorKind::Credentials, "v", "look"));
        let (moments, cause) = looks(poller(1000, Past::default()), |_| denied());
        assert_eq!(moments, [0]);
        assert!(matches!(cause, Some(Cause::Refused(_))));
    }

    #[test]
    fn an_unknown_word_runs_on_and_is_named_in_the_end() {
        let (moments, cause) = looks(poller(1000, Past::default()), |_| {
            Ok(Snapshot::unrecognised("dithering"))
        });
        assert_eq!(moments, [0, 5000, 10_000, 15_000, 20_000]);
        assert!(matches!(cause, Some(Cause::UnknownWord(word)) if &*word == "dithering"));
    }

    #[test]
    fn a_look_that_hangs_over_the_deadline_is_cut_and_the_last_one_made() {
        let mut poller = poller(20, Past::default());
        assert_eq!(poller.begin(at(10_000)), at(20_000));
        assert!(matches!(poller.cut::<()>(at(20_000), "v"), Turn::Missed(_)));
        assert_eq!(poller.due(), Due::Look(at(20_000)));
        assert_eq!(poller.begin(at(20_000)), at(50_000));
        assert!(matches!(
            poller.cut::<()>(at(50_000), "v"),
            Turn::Over(Cause::Deadline)
        ));
    }
}
