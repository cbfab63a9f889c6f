//! What is known of a kind of job, and from where.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::pacing::{Durations, Learned, Pacing};

/// A value with its origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact<T> {
    /// The value in force.
    pub value: T,
    /// Who says so.
    pub source: Source,
}

/// Where a fact comes from. The text names the page, or the reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The vendor documents it.
    Documented(&'static str),
    /// Seen in the vendor's own software or in recorded traffic.
    Observed(&'static str),
    /// Our inference: nobody states it, so callers may set it.
    Inferred(&'static str),
    /// Set by the caller.
    Caller,
}

impl<T> Fact<T> {
    /// The vendor documents it on `page`.
    pub const fn documented(value: T, page: &'static str) -> Self {
        Self {
            value,
            source: Source::Documented(page),
        }
    }

    /// Seen at `place`.
    pub const fn observed(value: T, place: &'static str) -> Self {
        Self {
            value,
            source: Source::Observed(place),
        }
    }

    /// Inferred for `reason`.
    pub const fn inferred(value: T, reason: &'static str) -> Self {
        Self {
            value,
            source: Source::Inferred(reason),
        }
    }

    /// Replaces the value by the caller's.
    pub fn set(&mut self, value: T) {
        *self = Self {
            value,
            source: Source::Caller,
        };
    }
}

/// The constants of one kind of job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Facts {
    /// The shortest time between two looks at one job.
    pub floor: Fact<Duration>,
    /// The longest time between two looks; a vendor's longer hint is cut to it.
    pub cap: Fact<Duration>,
    /// The time from acceptance to the first look.
    pub first_look: Fact<Duration>,
    /// When to look in between.
    pub pacing: Fact<Pacing>,
    /// How long one look may take.
    pub look_timeout: Fact<Duration>,
    /// How many ids fit one look.
    pub batch: Fact<NonZeroUsize>,
    /// What each operation costs and whether repeating it is harmless.
    pub calls: &'static [Call],
    /// How long the result can be fetched once the job is done; `None` where nobody says.
    pub result_life: Option<Fact<Duration>>,
    /// How long the vendor knows the id; `None` where nobody says.
    pub job_life: Option<Fact<Duration>>,
}

impl Facts {
    /// Facts of a kind whose jobs take a minute or so: first look after `first_look`, then every `pause`, one id
    /// a look, at most a minute apart and half a minute each. Refine with the public fields.
    pub fn new(
        floor: Fact<Duration>,
        first_look: Fact<Duration>,
        pacing: Fact<Pacing>,
        calls: &'static [Call],
    ) -> Self {
        Self {
            floor,
            cap: Fact::inferred(
                Duration::from_secs(60),
                "a minute late is little beside a job's minutes",
            ),
            first_look,
            pacing,
            look_timeout: Fact::inferred(Duration::from_secs(30), "a status answer is small"),
            batch: Fact::inferred(
                NonZeroUsize::MIN,
                "one id a request unless the vendor offers more",
            ),
            calls,
            result_life: None,
            job_life: None,
        }
    }

    /// Paces by how long earlier jobs took from now on, and until enough is known as before; `durations` are what was
    /// learnt before. The handle tells what to keep.
    pub fn learn(&mut self, durations: Durations) -> Learned {
        let learned = Learned::new(self.pacing.value.clone())
            .with_bounds(self.first_look.value, self.floor.value, self.cap.value)
            .with_durations(durations);
        self.pacing.set(Pacing::Learned(learned.clone()));
        learned
    }
}

/// One operation of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The operation, as errors name it.
    pub operation: &'static str,
    /// What one successful call costs.
    pub cost: Cost,
    /// Whether a repetition changes anything.
    pub repeat: Repeat,
    /// Who says so.
    pub source: Source,
}

/// What one call costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cost {
    /// Nothing is stated or charged.
    Free,
    /// Between `least` and `most` of `unit`.
    Charged {
        /// The smallest charge.
        least: u32,
        /// The largest charge; `None` when it depends on the document.
        most: Option<u32>,
        /// What is counted.
        unit: &'static str,
    },
    /// Charged, but nobody says how much.
    Unstated,
}

/// Whether a call may be repeated without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing.
    Harmless,
    /// It starts work or costs money each time.
    Paid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_learns_begins_with_the_vendors_steps_and_keeps_the_floor() {
        let seconds = Duration::from_secs;
        let mut facts = Facts::new(
            Fact::documented(seconds(10), "test"),
            Fact::documented(seconds(3), "test"),
            Fact::documented(Pacing::every(seconds(12)), "test"),
            &[],
        );
        let learned = facts.learn(Durations::new());
        let pause = |facts: &Facts| facts.pacing.value.pause(1, seconds(3));
        assert_eq!(pause(&facts), seconds(12));
        assert_eq!(facts.pacing.source, Source::Caller);
        for _ in 0..50 {
            facts.clone().pacing.value.ended(seconds(4), seconds(5));
        }
        assert_eq!(learned.durations().samples(), 50);
        assert_eq!(pause(&facts), seconds(10));
    }
}
