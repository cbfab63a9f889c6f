//! The only file that reads time or sleeps: a virtual clock that runs at a speed factor or is moved by hand.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the clock that everything else is given"
)]

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::lock::lock;

/// Where a hand-moved clock begins: 2027-01-15 08:00:00 UTC, a round number that is easy to spot in failures.
const MANUAL_START: Duration = Duration::from_secs(1_800_000_000);

/// Virtual time since the Unix epoch. Clones share the same time.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    born: Instant,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Real {
        start: Duration,
        speed: f64,
    },
    Manual {
        now: Mutex<Duration>,
        moved: watch::Sender<()>,
    },
}

impl VirtualClock {
    /// A clock that begins at the present and runs `speed` times as fast as the world. Speeds that make no sense count as 1.
    #[must_use]
    pub fn real(speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 {
            speed
        } else {
            1.0
        };
        let start = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self::of(Source::Real { start, speed })
    }

    /// A clock that stands still until [`advance`](Self::advance) moves it.
    #[must_use]
    pub fn manual() -> Self {
        Self::of(Source::Manual {
            now: Mutex::new(MANUAL_START),
            moved: watch::Sender::new(()),
        })
    }

    fn of(source: Source) -> Self {
        Self {
            inner: Arc::new(Inner {
                born: Instant::now(),
                source,
            }),
        }
    }

    /// Virtual time since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.inner.source {
            Source::Real { start, speed } => {
                start.saturating_add(scaled(self.inner.born.elapsed(), *speed))
            }
            Source::Manual { now, .. } => *lock(now),
        }
    }

    /// Virtual time as Unix seconds.
    #[must_use]
    pub fn now_unix(&self) -> f64 {
        self.now().as_secs_f64()
    }

    /// How many virtual seconds pass in a real one; a hand-moved clock has no speed and says 1.
    #[must_use]
    pub fn speed(&self) -> f64 {
        match &self.inner.source {
            Source::Real { speed, .. } => *speed,
            Source::Manual { .. } => 1.0,
        }
    }

    /// The time of day in the world at a virtual instant (both since the Unix epoch): what answers show, and what
    /// signed timestamps are held against. A hand-moved clock is its own world.
    #[must_use]
    pub fn wall_of(&self, instant: Duration) -> Duration {
        match &self.inner.source {
            Source::Real { start, speed } => {
                start.saturating_add(scaled(instant.saturating_sub(*start), 1.0 / speed))
            }
            Source::Manual { .. } => instant,
        }
    }

    /// Real time since this clock was made, whatever the virtual time does.
    #[must_use]
    pub fn real_elapsed(&self) -> Duration {
        self.inner.born.elapsed()
    }

    /// Moves a hand-moved clock forward and wakes whoever has slept long enough. `false` for a running clock.
    pub fn advance(&self, by: Duration) -> bool {
        match &self.inner.source {
            Source::Real { .. } => false,
            Source::Manual { now, moved } => {
                let mut now = lock(now);
                *now = now.saturating_add(by);
                drop(now);
                moved.send_replace(());
                true
            }
        }
    }

    /// Sleeps for a virtual duration.
    pub async fn sleep(&self, virtual_time: Duration) {
        self.sleep_until(self.now().saturating_add(virtual_time))
            .await;
    }

    /// Sleeps until a virtual instant, given as time since the Unix epoch.
    pub async fn sleep_until(&self, instant: Duration) {
        match &self.inner.source {
            Source::Real { speed, .. } => {
                let left = instant.saturating_sub(self.now());
                if !left.is_zero() {
                    tokio::time::sleep(scaled(left, 1.0 / speed)).await;
                }
            }
            Source::Manual { moved, .. } => {
                let mut moves = moved.subscribe();
                while self.now() < instant {
                    // The sender lives in this clock, so this ends only by a move.
                    if moves.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Bounds work on a socket by real time, so that a silent peer cannot hold a simulator. `None` when time ran out.
    pub async fn within_real<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        tokio::time::timeout(limit, work).await.ok()
    }
}

/// A virtual duration from seconds that came from outside. Nonsense counts as nothing and more than a century as one, so
/// that sums of instants and durations never overflow.
#[must_use]
pub fn seconds(seconds: f64) -> Duration {
    const CENTURY: f64 = 100.0 * 365.0 * 86_400.0;
    Duration::try_from_secs_f64(seconds.min(CENTURY)).unwrap_or_default()
}

fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_by_hand() {
        let clock = VirtualClock::manual();
        assert_eq!(clock.now(), MANUAL_START);
        assert!(clock.advance(Duration::from_millis(1500)));
        assert_eq!(clock.now(), MANUAL_START + Duration::from_millis(1500));
        assert_eq!(clock.clone().now(), clock.now());
    }

    #[tokio::test]
    async fn manual_sleep_ends_when_the_clock_has_moved_far_enough() {
        let clock = VirtualClock::manual();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock
                    .sleep_until(MANUAL_START + Duration::from_secs(10))
                    .await;
            }
        });
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
    }

    #[tokio::test]
    async fn fast_clock_sleeps_a_fraction_of_the_virtual_time() {
        let clock = VirtualClock::real(10_000.0);
        let before = clock.now();
        clock.sleep(Duration::from_secs(100)).await;
        assert!(clock.now() - before >= Duration::from_secs(100));
        assert!(clock.real_elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn time_of_day_is_that_of_the_world_and_not_the_fast_one() {
        let clock = VirtualClock::real(100.0);
        let start = clock.wall_of(Duration::ZERO);
        let hour = clock.wall_of(start + Duration::from_secs(3_600));
        assert_eq!(hour - start, Duration::from_secs(36));
        let still = VirtualClock::manual();
        assert_eq!(still.wall_of(still.now()), still.now());
    }

    #[test]
    fn nonsense_speed_counts_as_one() {
        assert!((VirtualClock::real(f64::NAN).speed() - 1.0).abs() < f64::EPSILON);
        assert!((VirtualClock::real(-3.0).speed() - 1.0).abs() < f64::EPSILON);
        assert_eq!(seconds(-1.0), Duration::ZERO);
        assert_eq!(seconds(f64::INFINITY), Duration::from_secs(3_153_600_000));
    }
}
