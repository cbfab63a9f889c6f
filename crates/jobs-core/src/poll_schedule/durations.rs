//! How long jobs of a kind take, as far as was seen.

use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use crate::poll_schedule::forecast::CompletionForecast;

/// Buckets for each doubling of the age: nine per cent apart, finer than any two polls of jobs of minutes.
const PER_DOUBLING: f64 = 8.0;
/// The end of the first bucket, in seconds.
const FIRST: f64 = 0.5;
/// The last one begins after four hours and a quarter and has no end.
const BUCKETS: usize = 120;
/// How many jobs are remembered, about: each new one takes this part from the weight of all others.
const MEMORY: f64 = 128.0;
/// When the last 16 jobs or so were longer or shorter than most that are remembered, so far from the middle, durations
/// have changed. By chance that happens to one in some ten thousand.
const SURPRISE: f64 = 0.2;
const SURPRISE_OVER: f64 = 16.0;
/// Then it forgets so much faster: in the time of the change polls come when they are no use.
const HASTE: f64 = 8.0;
/// The part of a job that goes to all of the time in which it may have ended, so that a guess can be unlearnt.
const DOUBT: f64 = 0.1;

/// A sketch of how long the jobs of a kind take, in less than a kilobyte. It forgets: the last 128 jobs or so count.
///
/// Nobody sees the moment at which a job is done, only that it was not yet at one poll and was at the next. Such an
/// interval is laid over the buckets as those stand already (one step of expectation maximisation for each job), so
/// that a wide one blurs nothing that was known better.
///
/// ```
/// use std::time::Duration;
/// use jobs_core::vendor::Durations;
///
/// let mut durations = Durations::new();
/// for _ in 0..50 {
///     durations.record(Duration::from_secs(18), Duration::from_secs(20));
/// }
/// let kept = durations.to_text();
/// let restored: Durations = kept.parse()?;
/// assert_eq!(restored.samples(), 50);
/// assert!(restored.hazard(Duration::from_secs(19)) > restored.hazard(Duration::from_secs(10)));
/// # Ok::<(), jobs_core::vendor::InvalidDurations>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Durations {
    weights: [f64; BUCKETS],
    samples: u64,
    /// Where the last jobs stood among those remembered: a half when nothing changes.
    counts: f64,
}

/// The text holds no durations that this version can read. Begin with none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no durations of version 1")]
pub struct InvalidDurations(());

impl Durations {
    /// Nothing known.
    pub fn new() -> Self {
        Self {
            weights: [0.0; BUCKETS],
            samples: 0,
            counts: 0.5,
        }
    }

    /// A job was unfinished at age `after` and done at age `until`.
    pub fn record(&mut self, after: Duration, until: Duration) {
        let (after, until) = (after.as_secs_f64(), until.as_secs_f64());
        let until = until.max(after + 0.001);
        self.samples = self.samples.saturating_add(1);
        self.counts += (self.shorter_than(after, until) - self.counts) / SURPRISE_OVER;
        let has_changed = (self.counts - 0.5).abs() > SURPRISE;
        let memory = if has_changed { MEMORY / HASTE } else { MEMORY };
        for weight in &mut self.weights {
            *weight *= 1.0 - 1.0 / memory;
        }
        let known = self.weight().max(1.0);
        let mut shares = [0.0; BUCKETS];
        for (bucket, share) in shares.iter_mut().enumerate() {
            let (from, to) = (edge(bucket), edge(bucket + 1));
            let common = until.min(to) - after.max(from);
            if common > 0.0 {
                *share = self.smooth(bucket) * common / (to - from)
                    + DOUBT * known * common / (until - after);
            }
        }
        let sum: f64 = shares.iter().sum();
        if sum > 0.0 {
            for (weight, share) in self.weights.iter_mut().zip(shares) {
                *weight += share / sum;
            }
        } else if let Some(last) = self.weights.last_mut() {
            *last += 1.0;
        }
    }

    /// How many jobs were recorded, forgotten ones included.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// How likely a job that is unfinished at this age is to end, per second.
    pub fn hazard(&self, age: Duration) -> f64 {
        self.forecast().hazard(age.as_secs_f64())
    }

    /// The text to keep them in: one line of at most a kilobyte.
    pub fn to_text(&self) -> String {
        let mut weights: Vec<String> = self
            .weights
            .iter()
            .map(|weight| format!("{:x}", hundredths(*weight)))
            .collect();
        while weights.last().is_some_and(|weight| weight == "0") {
            weights.pop();
        }
        format!("durations-1 {} {}", self.samples, weights.join(" "))
    }

    /// The distribution to plan with.
    pub(super) fn forecast(&self) -> CompletionForecast {
        // What was never seen stays possible: a hundredth, spread over the buckets, so that the later the rarer.
        const UNSEEN: f64 = 0.01;
        #[allow(clippy::cast_precision_loss, reason = "a hundred and twenty")]
        let unseen = UNSEEN / BUCKETS as f64;
        let weight = self.weight();
        let parts = (0..BUCKETS).map(|bucket| {
            let seen = if weight > 0.0 {
                self.smooth(bucket) / weight
            } else {
                0.0
            };
            (edge(bucket + 1), (1.0 - UNSEEN) * seen + unseen)
        });
        CompletionForecast::new(parts)
    }

    /// The part of those remembered that were shorter than the middle of this interval; a half while they are few.
    fn shorter_than(&self, after: f64, until: f64) -> f64 {
        const FEW: f64 = 10.0;
        let known = self.weight();
        if known < FEW {
            return 0.5;
        }
        let shorter = self.weights.iter().enumerate().map(|(bucket, weight)| {
            let (from, to) = (edge(bucket), edge(bucket + 1));
            let part = |age: f64| ((age - from) / (to - from)).clamp(0.0, 1.0);
            weight * (part(after) + part(until)) / 2.0
        });
        shorter.sum::<f64>() / known
    }

    fn weight(&self) -> f64 {
        self.weights.iter().sum()
    }

    /// The weight with a quarter from each neighbour, because a hundred jobs leave holes by chance.
    fn smooth(&self, bucket: usize) -> f64 {
        let weight = |at: Option<usize>| at.and_then(|at| self.weights.get(at)).copied();
        let own = weight(Some(bucket)).unwrap_or_default();
        // Nothing is lost over the ends.
        let below = weight(bucket.checked_sub(1)).unwrap_or(own);
        let above = weight(Some(bucket + 1)).unwrap_or(own);
        (below + own + own + above) / 4.0
    }
}

impl Default for Durations {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for Durations {
    type Err = InvalidDurations;

    fn from_str(text: &str) -> Result<Self, InvalidDurations> {
        let invalid = || InvalidDurations(());
        let mut words = text.split_ascii_whitespace();
        if words.next() != Some("durations-1") {
            return Err(invalid());
        }
        let samples = words.next().and_then(|word| word.parse().ok());
        let mut durations = Self {
            samples: samples.ok_or_else(invalid)?,
            ..Self::new()
        };
        let mut weights = durations.weights.iter_mut();
        for word in words {
            let hundredths = u16::from_str_radix(word, 16).map_err(|_| invalid())?;
            *weights.next().ok_or_else(invalid)? = f64::from(hundredths) / 100.0;
        }
        Ok(durations)
    }
}

/// At most [`MEMORY`] of them are whole.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range, and never negative"
)]
fn hundredths(weight: f64) -> u16 {
    (weight * 100.0).round().clamp(0.0, f64::from(u16::MAX)) as u16
}

/// Where a bucket begins, in seconds.
fn edge(bucket: usize) -> f64 {
    static EDGES: LazyLock<[f64; BUCKETS]> = LazyLock::new(|| {
        let step = (1.0 / PER_DOUBLING).exp2();
        let mut next = FIRST;
        std::array::from_fn(|_| {
            let edge = next;
            next *= step;
            edge
        })
    });
    let before = bucket.checked_sub(1).and_then(|at| EDGES.get(at));
    before.copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn recorded(jobs: impl IntoIterator<Item = (f64, f64)>) -> Durations {
        let mut durations = Durations::new();
        for (after, until) in jobs {
            durations.record(seconds(after), seconds(until));
        }
        durations
    }

    /// The part of the jobs that end between these ages.
    fn part(durations: &Durations, from: f64, to: f64) -> f64 {
        let forecast = durations.forecast();
        forecast.ended_by(to) - forecast.ended_by(from)
    }

    #[test]
    fn the_hazard_is_that_of_the_jobs_recorded() {
        let mut random = fastrand::Rng::with_seed(7);
        let jobs = (0..4000).map(|_| -20.0 * (1.0 - random.f64()).ln());
        let durations = recorded(jobs.map(|took| (took * 0.99, took * 1.01)));
        for age in [5.0, 10.0, 20.0] {
            let hazard = durations.hazard(seconds(age));
            assert!((0.025..0.1).contains(&hazard), "{hazard} at {age}");
        }
    }

    #[test]
    fn a_wide_interval_does_not_blur_what_is_known_better() {
        let sharp = (0..100).map(|_| (19.0, 21.0));
        let wide = (0..60).map(|_| (4.0, 60.0));
        let known = recorded(sharp.chain(wide));
        assert!(part(&known, 15.0, 26.0) > 0.8);
        let unknown = recorded((0..60).map(|_| (4.0, 60.0)));
        assert!(part(&unknown, 15.0, 26.0) < 0.6);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let old = (0..500).map(|_| (9.0, 11.0));
        let new = (0..300).map(|_| (38.0, 42.0));
        let durations = recorded(old.chain(new));
        assert!(part(&durations, 7.0, 14.0) < 0.15);
        assert!(part(&durations, 30.0, 54.0) > 0.8);
    }

    #[test]
    fn a_change_is_noticed_long_before_the_old_is_forgotten() {
        let old = (0..500).map(|_| (9.0, 11.0));
        let new = (0..50).map(|_| (18.0, 22.0));
        let durations = recorded(old.chain(new));
        assert!(part(&durations, 7.0, 14.0) < 0.4);
        assert!(part(&durations, 14.0, 28.0) > 0.5);
    }

    #[test]
    fn the_text_is_short_and_holds_everything() {
        let mut random = fastrand::Rng::with_seed(3);
        let jobs = (0..5000).map(|_| (14.0 * random.f64()).exp2());
        let mut durations = recorded(jobs.map(|took| (took * 0.9, took)));
        durations.samples = u64::MAX;
        let text = durations.to_text();
        assert!(text.len() <= 1024, "{}", text.len());
        let read: Durations = text.parse().unwrap();
        assert_eq!(read.samples, durations.samples);
        for (read, written) in read.weights.iter().zip(durations.weights) {
            assert!((read - written).abs() <= 0.005);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let many = format!("durations-1 5{}", " 1".repeat(BUCKETS + 1));
        for text in [
            "",
            "durations-2 5 1",
            "durations-1",
            "durations-1 x",
            "durations-1 5 g",
            &many,
        ] {
            assert_eq!(
                text.parse::<Durations>(),
                Err(InvalidDurations(())),
                "{text}"
            );
        }
        assert_eq!("durations-1 0 ".parse(), Ok(Durations::new()));
    }

    proptest! {
        #[test]
        fn no_interval_breaks_it(
            jobs in proptest::collection::vec((0u64..u64::MAX, 0u64..u64::MAX), 0..80),
            age in 0u64..u64::MAX,
        ) {
            let mut durations = Durations::new();
            for (after, until) in &jobs {
                durations.record(Duration::from_millis(*after), Duration::from_millis(*until));
            }
            let weight = durations.weight();
            prop_assert!(weight >= f64::from(!jobs.is_empty()) - 1e-6 && weight <= MEMORY, "{weight}");
            let hazard = durations.hazard(Duration::from_millis(age));
            prop_assert!(hazard.is_finite() && hazard >= 0.0, "{hazard}");
            let read: Durations = durations.to_text().parse().unwrap();
            prop_assert_eq!(read.to_text(), durations.to_text());
        }
    }
}
