//! Polls and lateness under one poll schedule over many jobs; pure, no clock at all.

use std::time::Duration;

use jobs_core::vendor::{AdaptiveSchedule, PollSchedule};

/// How long jobs take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Log-normal with median 20 s and σ 0.8: the middle half from 12 to 34 s, one in twenty above 75 s.
    LogNormal,
    /// 70 % near 3 s and 30 % near 120 s, each give or take a tenth.
    TwoHumps,
    /// 45 s, and beyond that an exponential tail of 20 s.
    FloorAndTail,
}

impl Mix {
    pub(crate) const ALL: [Self; 3] = [Self::LogNormal, Self::TwoHumps, Self::FloorAndTail];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LogNormal => "log-normal 20 s",
            Self::TwoHumps => "70 % 3 s, 30 % 120 s",
            Self::FloorAndTail => "45 s and a tail",
        }
    }

    fn draw(self, random: &mut fastrand::Rng) -> f64 {
        match self {
            Self::LogNormal => 20.0 * (0.8 * normal(random)).exp(),
            Self::TwoHumps => {
                let median = if random.f64() < 0.7 { 3.0 } else { 120.0 };
                median * (0.1 * normal(random)).exp()
            }
            Self::FloorAndTail => 45.0 - 20.0 * (1.0 - random.f64()).ln(),
        }
    }

    /// The durations of so many jobs; with a shift those of the second half are doubled.
    pub(crate) fn durations(self, jobs: usize, has_shift: bool, seed: u64) -> Vec<Duration> {
        let mut random = fastrand::Rng::with_seed(seed);
        let factor = |job| {
            if has_shift && job >= jobs / 2 {
                2.0
            } else {
                1.0
            }
        };
        (0..jobs)
            .map(|job| Duration::from_secs_f64(self.draw(&mut random) * factor(job)))
            .collect()
    }
}

/// By Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f64 {
    let (radius, angle) = (1.0 - random.f64(), std::f64::consts::TAU * random.f64());
    (-2.0 * radius.ln()).sqrt() * angle.cos()
}

/// A poll schedule and its first poll.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    pub(crate) first: Duration,
    pub(crate) schedule: PollSchedule,
}

impl Policy {
    /// What we ship: knows nothing at first and doubles until it does.
    pub(crate) fn learned() -> Self {
        let Self {
            first, schedule, ..
        } = Self::doubling();
        Self {
            name: "learned",
            first,
            schedule: PollSchedule::Adaptive(AdaptiveSchedule::new(schedule).with_seed(1)),
        }
    }

    /// One second, two, four and so on up to a minute.
    pub(crate) fn doubling() -> Self {
        Self {
            name: "exponential 1 to 60 s",
            first: Duration::from_secs(1),
            schedule: PollSchedule::Exponential {
                first: Duration::from_secs(2),
                factor: 2.0,
            },
        }
    }

    pub(crate) fn fixed(name: &'static str, seconds: u64) -> Self {
        let pause = Duration::from_secs(seconds);
        Self {
            name,
            first: pause,
            schedule: PollSchedule::every(pause),
        }
    }
}

/// What a policy cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// Polls for each job.
    pub(crate) polls: f64,
    /// Seconds from a job's end to the poll that saw it, on average.
    pub(crate) mean: f64,
    /// The same for the job that is later than 95 of 100.
    pub(crate) p95: f64,
}

/// Waits for the jobs one after another, with pauses from one second to a minute.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn play(policy: &Policy, durations: &[Duration]) -> Outcome {
    const MIN_INTERVAL: Duration = Duration::from_secs(1);
    const CAP: Duration = Duration::from_secs(60);
    let (mut all, mut late) = (0u64, Vec::with_capacity(durations.len()));
    for took in durations {
        let (mut before, mut age, mut polls) = (Duration::ZERO, policy.first, 1);
        while age < *took {
            before = age;
            age += policy
                .schedule
                .next_delay(polls, age)
                .clamp(MIN_INTERVAL, CAP);
            polls += 1;
        }
        policy.schedule.record_completion(before, age);
        all += u64::from(polls);
        late.push((age - *took).as_secs_f64());
    }
    late.sort_by(f64::total_cmp);
    let jobs = late.len() as f64;
    Outcome {
        polls: all as f64 / jobs,
        mean: late.iter().sum::<f64>() / jobs,
        p95: late.get(late.len() * 95 / 100).copied().unwrap_or_default(),
    }
}
