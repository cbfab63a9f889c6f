//! What is known of a kind of job, and from where.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::poll_schedule::{AdaptiveSchedule, Durations, PollSchedule};

/// A value with its origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Sourced<T> {
    /// The value in force.
    pub value: T,
    /// Who says so.
    pub provenance: Provenance,
}

/// Where a fact comes from. The text names the page, or the reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provenance {
    /// The vendor documents it.
    Documented(&'static str),
    /// Seen in the vendor's own software or in recorded traffic.
    Observed(&'static str),
    /// Our inference: nobody states it, so callers may set it.
    Inferred(&'static str),
    /// Set by the caller.
    Caller,
}

impl<T> Sourced<T> {
    /// The vendor documents it on `page`.
    pub const fn documented(value: T, page: &'static str) -> Self {
        Self {
            value,
            provenance: Provenance::Documented(page),
        }
    }

    /// Seen at `place`.
    pub const fn observed(value: T, place: &'static str) -> Self {
        Self {
            value,
            provenance: Provenance::Observed(place),
        }
    }

    /// Inferred for `reason`.
    pub const fn inferred(value: T, reason: &'static str) -> Self {
        Self {
            value,
            provenance: Provenance::Inferred(reason),
        }
    }

    /// Replaces the value by the caller's.
    pub fn set(&mut self, value: T) {
        *self = Self {
            value,
            provenance: Provenance::Caller,
        };
    }
}

/// The constants of one kind of job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KindPolicy {
    /// The shortest time between two polls of one job.
    pub min_interval: Sourced<Duration>,
    /// The longest time between two polls; a vendor's longer hint is cut to it.
    pub max_interval: Sourced<Duration>,
    /// The time from acceptance to the first poll.
    pub initial_delay: Sourced<Duration>,
    /// When to poll in between.
    pub schedule: Sourced<PollSchedule>,
    /// How long one poll may take.
    pub poll_timeout: Sourced<Duration>,
    /// How many ids fit one poll.
    pub max_batch: Sourced<NonZeroUsize>,
    /// How long the result can be fetched once the job is done; `None` where nobody says.
    pub result_ttl: Option<Sourced<Duration>>,
    /// How long the vendor knows the id; `None` where nobody says.
    pub job_ttl: Option<Sourced<Duration>>,
}

impl KindPolicy {
    /// Facts of a kind whose jobs take a minute or so: first look after `first_poll`, then every `pause`, one id
    /// a poll, at most a minute apart and half a minute each. Refine with the public fields.
    pub fn new(
        min_interval: Sourced<Duration>,
        initial_delay: Sourced<Duration>,
        schedule: Sourced<PollSchedule>,
    ) -> Self {
        Self {
            min_interval,
            max_interval: Sourced::inferred(
                Duration::from_secs(60),
                "a minute late is little beside a job's minutes",
            ),
            initial_delay,
            schedule,
            poll_timeout: Sourced::inferred(Duration::from_secs(30), "a status answer is small"),
            max_batch: Sourced::inferred(
                NonZeroUsize::MIN,
                "one id a request unless the vendor offers more",
            ),
            result_ttl: None,
            job_ttl: None,
        }
    }

    /// Paces by how long earlier jobs took from now on, and until enough is known as before; `durations` are what was
    /// learnt before. The handle tells what to keep.
    pub fn poll_adaptively(&mut self, durations: Durations) -> AdaptiveSchedule {
        let adaptive = AdaptiveSchedule::new(self.schedule.value.clone())
            .with_bounds(
                self.initial_delay.value,
                self.min_interval.value,
                self.max_interval.value,
            )
            .with_durations(durations);
        self.schedule.set(PollSchedule::Adaptive(adaptive.clone()));
        adaptive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_learns_begins_with_the_vendors_steps_and_keeps_the_min_interval() {
        let seconds = Duration::from_secs;
        let mut policy = KindPolicy::new(
            Sourced::documented(seconds(10), "test"),
            Sourced::documented(seconds(3), "test"),
            Sourced::documented(PollSchedule::every(seconds(12)), "test"),
        );
        let adaptive = policy.poll_adaptively(Durations::new());
        let pause = |policy: &KindPolicy| policy.schedule.value.next_delay(1, seconds(3));
        assert_eq!(pause(&policy), seconds(12));
        assert_eq!(policy.schedule.provenance, Provenance::Caller);
        for _ in 0..50 {
            policy
                .clone()
                .schedule
                .value
                .record_completion(seconds(4), seconds(5));
        }
        assert_eq!(adaptive.durations().samples(), 50);
        assert_eq!(pause(&policy), seconds(10));
    }
}
