//! The machine's intervals and limits.

use std::time::Duration;

use super::backoff::portion;

/// Intervals and limits of the login, with defaults after the vendor's documents and measurements.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginTimes {
    /// Between two pings; the vendor asks for 20 to 40 s. 30 s.
    pub heartbeat: Duration,
    /// Shortest interval after jitter. 20 s.
    pub heartbeat_least: Duration,
    /// Longest interval after jitter. 40 s.
    pub heartbeat_most: Duration,
    /// Without any message for so long, the connection is dead. 75 s; the cloud closes after 90 s.
    pub silence: Duration,
    /// So many pings without answer in a row, and the connection is dead. 2.
    pub missed_pings: u32,
    /// How long to wait for an answer. 15 s.
    pub answer: Duration,
    /// How long to wait for a connection. 30 s.
    pub connect: Duration,
    /// Between two polls whether a company has bound the device. 5 s.
    pub binding_poll: Duration,
    /// How long to stay away while another connection may hold the device. 100 s.
    pub hold_off: Duration,
    /// First ceiling of the delay before a new connection, and delay before a step is repeated. 1 s.
    pub backoff_first: Duration,
    /// Last ceiling of the delay before a new connection. 60 s.
    pub backoff_most: Duration,
    /// Online for so long, the next delay starts at the first ceiling again. 60 s.
    pub healthy: Duration,
    /// How often a step answered by "system busy" is repeated on one connection. 3.
    pub busy_repeats: u32,
}

impl Default for LoginTimes {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(30),
            heartbeat_least: Duration::from_secs(20),
            heartbeat_most: Duration::from_secs(40),
            silence: Duration::from_secs(75),
            missed_pings: 2,
            answer: Duration::from_secs(15),
            connect: Duration::from_secs(30),
            binding_poll: Duration::from_secs(5),
            hold_off: Duration::from_secs(100),
            backoff_first: Duration::from_secs(1),
            backoff_most: Duration::from_secs(60),
            healthy: Duration::from_secs(60),
            busy_repeats: 3,
        }
    }
}

impl LoginTimes {
    /// Every interval divided by `divisor` (one at least), for simulators that run faster.
    #[must_use]
    pub fn divided_by(&self, divisor: u32) -> Self {
        let divisor = divisor.max(1);
        Self {
            heartbeat: self.heartbeat / divisor,
            heartbeat_least: self.heartbeat_least / divisor,
            heartbeat_most: self.heartbeat_most / divisor,
            silence: self.silence / divisor,
            missed_pings: self.missed_pings,
            answer: self.answer / divisor,
            connect: self.connect / divisor,
            binding_poll: self.binding_poll / divisor,
            hold_off: self.hold_off / divisor,
            backoff_first: self.backoff_first / divisor,
            backoff_most: self.backoff_most / divisor,
            healthy: self.healthy / divisor,
            busy_repeats: self.busy_repeats,
        }
    }

    /// The interval with 10 % of jitter to either side, inside its bounds.
    pub(super) fn next_ping(&self, random: u64) -> Duration {
        let tenth = self.heartbeat / 10;
        let jittered =
            (self.heartbeat - tenth).saturating_add(portion(tenth.saturating_mul(2), random));
        // Not `clamp`, which panics when the bounds are given the wrong way round.
        jittered.max(self.heartbeat_least).min(self.heartbeat_most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_jittered_by_a_tenth_inside_the_bounds() {
        let mut times = LoginTimes::default();
        assert_eq!(times.next_ping(0), Duration::from_secs(27));
        assert_eq!(times.next_ping(1 << 63), Duration::from_secs(30));
        assert!(times.next_ping(u64::MAX) > Duration::from_millis(32_999));
        times.heartbeat = Duration::from_secs(3);
        assert_eq!(times.next_ping(1 << 63), Duration::from_secs(20));
        times.heartbeat = Duration::MAX;
        assert_eq!(times.next_ping(u64::MAX), Duration::from_secs(40));
    }

    #[test]
    fn divided_times_keep_their_ratios() {
        let fast = LoginTimes::default().divided_by(100);
        assert_eq!(fast.heartbeat, Duration::from_millis(300));
        assert_eq!(fast.hold_off, Duration::from_secs(1));
        assert_eq!(fast.missed_pings, 2);
        assert_eq!(LoginTimes::default().divided_by(0), LoginTimes::default());
    }
}
