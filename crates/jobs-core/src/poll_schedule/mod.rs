//! When to poll next.

mod adaptive;
mod durations;
mod forecast;

use std::borrow::Cow;
use std::time::Duration;

pub use self::adaptive::AdaptiveSchedule;
pub use self::durations::{Durations, InvalidDurations};

/// The pause between two polls as a function of the number of polls so far and the age of the job.
///
/// What comes out is a wish: the minimum and maximum interval of the kind's [`KindPolicy`](crate::kind_policy::KindPolicy) bound it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PollSchedule {
    /// The vendor's advice, pause by pause; the last one repeats.
    Steps(Cow<'static, [Duration]>),
    /// Each pause is `factor` times the one before.
    Exponential {
        /// The first pause.
        first: Duration,
        /// How much longer each next one is; below one counts as one.
        factor: f64,
    },
    /// When jobs of the kind tend to end, learnt from those before.
    Adaptive(AdaptiveSchedule),
}

impl PollSchedule {
    /// The same pause every time.
    pub fn every(pause: Duration) -> Self {
        Self::Steps(Cow::Owned(vec![pause]))
    }

    /// The pause after poll number `polls`, counted from one, of a job of this `age`: the time since its acceptance,
    /// or since the wait began where that is not known.
    pub fn next_delay(&self, polls: u32, age: Duration) -> Duration {
        let step = polls.saturating_sub(1);
        match self {
            Self::Steps(steps) => {
                let step = usize::try_from(step).unwrap_or(usize::MAX);
                steps
                    .get(step)
                    .or(steps.last())
                    .copied()
                    .unwrap_or_default()
            }
            Self::Exponential { first, factor } => {
                let factor = if *factor >= 1.0 { *factor } else { 1.0 };
                let grown = first.as_secs_f64() * factor.powf(f64::from(step));
                Duration::try_from_secs_f64(grown).unwrap_or(Duration::MAX)
            }
            Self::Adaptive(learned) => learned.next_delay(polls, age),
        }
    }

    /// A job was seen unfinished at age `after` and done at age `until`. Steps and ramps learn nothing from it.
    pub fn record_completion(&self, after: Duration, until: Duration) {
        if let Self::Adaptive(learned) = self {
            learned.record_completion(after, until);
        }
    }

    /// How likely a job of this `age` is to finish in the next second; `None` while nothing is known.
    pub fn hazard(&self, age: Duration) -> Option<f64> {
        match self {
            Self::Adaptive(learned) => learned.hazard(age),
            Self::Steps(_) | Self::Exponential { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_repeats() {
        let steps = PollSchedule::Steps(Cow::Owned([2, 5, 10].map(Duration::from_secs).to_vec()));
        let pauses: Vec<_> = (0..6)
            .map(|polls| steps.next_delay(polls, Duration::ZERO).as_secs())
            .collect();
        assert_eq!(pauses, [2, 2, 5, 10, 10, 10]);
    }

    #[test]
    fn odd_parameters_neither_panic_nor_shrink() {
        let ramp = |factor| PollSchedule::Exponential {
            first: Duration::from_millis(1500),
            factor,
        };
        assert_eq!(
            ramp(2.0).next_delay(3, Duration::ZERO),
            Duration::from_secs(6)
        );
        assert_eq!(
            ramp(2.0).next_delay(u32::MAX, Duration::ZERO),
            Duration::MAX
        );
        assert_eq!(
            ramp(f64::NAN).next_delay(9, Duration::ZERO),
            Duration::from_millis(1500)
        );
        assert_eq!(
            ramp(0.1).next_delay(9, Duration::ZERO),
            Duration::from_millis(1500)
        );
        assert_eq!(
            PollSchedule::Steps(Cow::Owned(vec![])).next_delay(1, Duration::ZERO),
            Duration::ZERO
        );
    }
}
