//! When to look next.

mod durations;
mod learned;
mod outlook;

use std::borrow::Cow;
use std::time::Duration;

pub use self::durations::{Durations, InvalidDurations};
pub use self::learned::Learned;

/// The pause between two looks as a function of the number of looks so far and the age of the job.
///
/// What comes out is a wish: the floor and the cap of the kind's [`Facts`](crate::Facts) bound it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Pacing {
    /// The vendor's advice, pause by pause; the last one repeats.
    Steps(Cow<'static, [Duration]>),
    /// Each pause is `factor` times the one before.
    Ramp {
        /// The first pause.
        first: Duration,
        /// How much longer each next one is; below one counts as one.
        factor: f64,
    },
    /// When jobs of the kind tend to end, learnt from those before.
    Learned(Learned),
}

impl Pacing {
    /// The same pause every time.
    pub fn every(pause: Duration) -> Self {
        Self::Steps(Cow::Owned(vec![pause]))
    }

    /// The pause after look number `looks`, counted from one, at a job of this `age`: the time since its acceptance,
    /// or since the wait began where that is not known.
    pub fn pause(&self, looks: u32, age: Duration) -> Duration {
        let step = looks.saturating_sub(1);
        match self {
            Self::Steps(steps) => {
                let step = usize::try_from(step).unwrap_or(usize::MAX);
                steps
                    .get(step)
                    .or(steps.last())
                    .copied()
                    .unwrap_or_default()
            }
            Self::Ramp { first, factor } => {
                let factor = if *factor >= 1.0 { *factor } else { 1.0 };
                let grown = first.as_secs_f64() * factor.powf(f64::from(step));
                Duration::try_from_secs_f64(grown).unwrap_or(Duration::MAX)
            }
            Self::Learned(learned) => learned.pause(looks, age),
        }
    }

    /// A job was seen unfinished at age `after` and done at age `until`. Steps and ramps learn nothing from it.
    pub fn ended(&self, after: Duration, until: Duration) {
        if let Self::Learned(learned) = self {
            learned.ended(after, until);
        }
    }

    /// How likely a job of this `age` is to finish in the next second; `None` while nothing is known.
    pub fn hazard(&self, age: Duration) -> Option<f64> {
        match self {
            Self::Learned(learned) => learned.hazard(age),
            Self::Steps(_) | Self::Ramp { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_repeats() {
        let steps = Pacing::Steps(Cow::Owned([2, 5, 10].map(Duration::from_secs).to_vec()));
        let pauses: Vec<_> = (0..6)
            .map(|looks| steps.pause(looks, Duration::ZERO).as_secs())
            .collect();
        assert_eq!(pauses, [2, 2, 5, 10, 10, 10]);
    }

    #[test]
    fn odd_parameters_neither_panic_nor_shrink() {
        let ramp = |factor| Pacing::Ramp {
            first: Duration::from_millis(1500),
            factor,
        };
        assert_eq!(ramp(2.0).pause(3, Duration::ZERO), Duration::from_secs(6));
        assert_eq!(ramp(2.0).pause(u32::MAX, Duration::ZERO), Duration::MAX);
        assert_eq!(
            ramp(f64::NAN).pause(9, Duration::ZERO),
            Duration::from_millis(1500)
        );
        assert_eq!(
            ramp(0.1).pause(9, Duration::ZERO),
            Duration::from_millis(1500)
        );
        assert_eq!(
            Pacing::Steps(Cow::Owned(vec![])).pause(1, Duration::ZERO),
            Duration::ZERO
        );
    }
}
