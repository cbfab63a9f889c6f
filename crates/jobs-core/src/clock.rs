//! The one source of time: every read and every sleep goes through an injected clock.

use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::ops::Add;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

/// A point on a [`Clock`]: the time since that clock was made.
///
/// Moments of different clocks must not be mixed; a process has one clock. Eight bytes, so that a waiting job
/// can hold several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Nanos);

/// Aligned to four bytes: what holds moments need not be a multiple of eight, such as the entry of each of a million
/// waiting jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(Rust, packed(4))]
struct Nanos(u64);

const NANOS_PER_MILLI: u64 = 1_000_000;

impl Moment {
    /// The moment at which the clock was made.
    pub const START: Self = Self(Nanos(0));

    /// The moment `elapsed` after the start of the clock; saturates after 584 years.
    pub fn after_start(elapsed: Duration) -> Self {
        Self::after_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The time since the start of the clock.
    pub fn since_start(self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    pub(crate) const fn after_nanos(nanos: u64) -> Self {
        Self(Nanos(nanos))
    }

    pub(crate) const fn after_millis(millis: u64) -> Self {
        Self::after_nanos(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// Nanoseconds since the start of the clock.
    pub(crate) const fn nanos(self) -> u64 {
        self.0.0
    }

    /// Whole milliseconds since the start of the clock.
    pub(crate) const fn millis(self) -> u64 {
        self.nanos() / NANOS_PER_MILLI
    }

    /// This moment, so many milliseconds earlier, but not before the start.
    pub(crate) const fn less_millis(self, millis: u32) -> Self {
        Self::after_nanos(self.nanos().saturating_sub(millis as u64 * NANOS_PER_MILLI))
    }

    /// The time from `earlier` to this moment, zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos().saturating_sub(earlier.nanos()))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self::after_nanos(self.nanos().saturating_add(Self::after_start(rhs).nanos()))
    }
}

/// A sleep in progress; dropping it cancels it.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where time comes from. Production code uses [`SystemClock`]; tests move time by hand.
pub trait Clock: Debug + Send + Sync {
    /// The present moment; never goes back.
    fn now(&self) -> Moment;

    /// The time of day, for timestamps that leave the process. It may jump.
    fn wall(&self) -> SystemTime;

    /// Sleeps until `at`; ready at once when `at` has passed.
    fn sleep_until(&self, at: Moment) -> Sleep;

    /// Like [`sleep_until`](Self::sleep_until), for a bound on something that is expected to end earlier.
    ///
    /// A clock moved by hand does not run ahead to a guard on its own: the thing it guards is still busy.
    fn guard_until(&self, at: Moment) -> Sleep {
        self.sleep_until(at)
    }
}

/// Runs `work` until `limit`; `None` when the limit came first, and `work` is dropped.
pub async fn bounded<T>(
    clock: &dyn Clock,
    limit: Moment,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    // Most work that ends at once never needs it.
    let mut guard: Option<Sleep> = None;
    poll_fn(|cx| {
        if let Poll::Ready(value) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        let guard = guard.get_or_insert_with(|| clock.guard_until(limit));
        guard.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// The operating system's monotonic clock, optionally running faster for simulators.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: std::time::Instant,
    speed: u32,
}

impl SystemClock {
    /// A clock at the speed of the world.
    pub fn new() -> Self {
        Self::with_speed(1)
    }

    /// A clock on which `speed` seconds pass in each real second: every floor, step and deadline measured on it
    /// shrinks by that factor. Zero counts as one. The [wall](Clock::wall) time is not changed.
    #[allow(
        clippy::disallowed_methods,
        reason = "this module is where the operating system's clock is read"
    )]
    pub fn with_speed(speed: u32) -> Self {
        Self {
            start: std::time::Instant::now(),
            speed: speed.max(1),
        }
    }

    /// The same clock behind the pointer that clients share.
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed().saturating_mul(self.speed))
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "this module is where the operating system's clock is read"
    )]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "this module is where the process sleeps"
    )]
    fn sleep_until(&self, at: Moment) -> Sleep {
        Box::pin(tokio::time::sleep_until(
            (self.start + at.since_start() / self.speed).into(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_saturate_instead_of_wrapping() {
        let end = Moment::after_start(Duration::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Moment::START.since(end), Duration::ZERO);
    }

    #[test]
    fn sub_second_parts_survive() {
        let at = Moment::START + Duration::from_micros(1_500_250);
        assert_eq!(at.since(Moment::START), Duration::from_micros(1_500_250));
    }

    #[tokio::test]
    async fn a_fast_clock_sleeps_shorter() {
        let clock = SystemClock::with_speed(1_000_000);
        let begun = clock.now();
        clock.sleep_until(begun + Duration::from_secs(3600)).await;
        assert!(clock.now().since(begun) >= Duration::from_secs(3600));
    }
}
