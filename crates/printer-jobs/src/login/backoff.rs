//! How long to stay away before the next connection.

use std::time::Duration;

/// Doubling delays with full jitter.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    attempt: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            attempt: 0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Anything between nothing and the current ceiling, which doubles each time.
    pub(super) fn next(&mut self, random: u64) -> Duration {
        let factor = 2_u32.saturating_pow(self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        let ceiling = self.first.saturating_mul(factor).min(self.most);
        portion(ceiling, random)
    }
}

/// `random` / 2^64 of the duration.
pub(super) fn portion(duration: Duration, random: u64) -> Duration {
    let nanos = (duration.as_nanos().min(u128::from(u64::MAX)) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceiling_doubles_from_one_second_to_sixty() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let ceilings: Vec<f64> = (0..9)
            .map(|_| backoff.next(u64::MAX).as_secs_f64().round())
            .collect();
        assert_eq!(ceilings, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
        backoff.reset();
        assert!(backoff.next(u64::MAX) <= Duration::from_secs(1));
    }

    #[test]
    fn jitter_spans_the_whole_range() {
        let minute = Duration::from_secs(60);
        assert_eq!(portion(minute, 0), Duration::ZERO);
        assert_eq!(portion(minute, 1 << 63), Duration::from_secs(30));
        assert!(portion(minute, u64::MAX) < minute);
        assert!(portion(minute, u64::MAX) > Duration::from_secs(59));
        assert!(portion(Duration::MAX, u64::MAX) < Duration::MAX);
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for _ in 0..100 {
            assert!(backoff.next(u64::MAX) < Duration::from_secs(60));
        }
    }
}
