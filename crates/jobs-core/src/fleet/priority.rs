//! Which jobs are polled first when not all of them can be.

use std::time::Duration;

/// How likely a job is to finish in a second, where its kind has not learned that.
const UNKNOWN: f64 = 1.0 / 60.0;
/// What is learned counts within these bounds, so that a job that hardly ever finishes is polled all the same.
const LEAST: f64 = UNKNOWN / 16.0;
const MOST: f64 = UNKNOWN * 16.0;

/// What a poll is expected to bring: how likely the job has finished since it was last seen.
pub(super) fn gain(hazard: Option<f64>, unseen: Duration) -> f64 {
    let hazard = hazard.unwrap_or(UNKNOWN);
    let hazard = if hazard.is_nan() { UNKNOWN } else { hazard };
    hazard.clamp(LEAST, MOST) * unseen.as_secs_f64()
}

/// Jobs of one kind wait in this many queues by age, because jobs of one age are equally likely to finish: within a
/// queue, the order of coming is the order of gain.
pub(super) const CLASSES: usize = 24;

/// The queue for a job of `age`; the first one while nothing is learned, so that all are equal.
pub(super) fn class(hazard: Option<f64>, age: Duration) -> usize {
    if hazard.is_none() {
        return 0;
    }
    // Half an octave each, from a quarter of a second up to an hour and more.
    let quarters = age.as_secs_f64() * 4.0;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped before"
    )]
    let class = (quarters.max(1.0).log2() * 1.7).clamp(0.0, (CLASSES - 2) as f64) as usize;
    class + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_likelier_and_the_longer_unseen_come_first() {
        for (first, second) in [
            ((Some(0.1), 10), (Some(0.05), 10)),
            ((Some(0.1), 11), (Some(0.1), 10)),
            ((None, 11), (None, 10)),
            ((Some(0.05), 30), (Some(0.1), 10)),
            // However unlikely, a job that waits long enough is next, also against the likeliest.
            ((Some(0.0), 2600), (Some(f64::INFINITY), 10)),
            ((Some(f64::NAN), 11), (None, 10)),
        ] {
            let gain = |(hazard, unseen)| gain(hazard, seconds(unseen));
            assert!(gain(first) > gain(second), "{first:?} {second:?}");
        }
    }

    #[test]
    fn classes_grow_with_age_and_are_one_while_nothing_is_learned() {
        assert_eq!(class(None, seconds(5)), class(None, seconds(5000)));
        let classes: Vec<_> = [0, 1, 2, 8, 60, 3600, 1 << 40]
            .iter()
            .map(|age| class(Some(0.1), seconds(*age)))
            .collect();
        assert!(
            classes.windows(2).all(|pair| pair[0] <= pair[1]),
            "{classes:?}"
        );
        assert!(classes[0] >= 1 && classes[6] == CLASSES - 1, "{classes:?}");
        assert!(classes[1] < classes[3] && classes[3] < classes[4]);
    }
}
