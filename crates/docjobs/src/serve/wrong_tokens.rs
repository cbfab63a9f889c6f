//! Slows guessing: how many wrong tokens an address gave within the last minute.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobs_core::clock::{Clock, Moment};

/// So many wrong ones of an address
const MOST: usize = 10;
/// within this time are answered with 401; from then on each is refused for the rest of it.
const WITHIN: Duration = Duration::from_secs(60);
/// An attacker with many addresses must not fill the memory.
const ADDRESSES: usize = 10_000;

/// Counts wrong tokens.
pub(super) struct WrongTokens {
    clock: Arc<dyn Clock>,
    seen: Mutex<HashMap<IpAddr, VecDeque<Moment>>>,
}

impl WrongTokens {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            seen: Mutex::default(),
        }
    }

    /// Notes one more; gives for how long this address is refused, if it is.
    pub(super) fn note(&self, address: IpAddr) -> Option<Duration> {
        let now = self.clock.now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= ADDRESSES {
            seen.retain(|_, times| times.back().is_some_and(|last| now.since(*last) < WITHIN));
            if seen.len() >= ADDRESSES {
                seen.clear();
            }
        }
        let times = seen.entry(network(address)).or_default();
        while times
            .front()
            .is_some_and(|first| now.since(*first) >= WITHIN)
        {
            times.pop_front();
        }
        if times.len() < MOST {
            times.push_back(now);
            return None;
        }
        let first = times.front().copied().unwrap_or(now);
        Some(WITHIN.saturating_sub(now.since(first)))
    }
}

/// Whoever has one IPv6 address has the 2^64 beside it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        short @ IpAddr::V4(_) => short,
    }
}

#[cfg(test)]
mod tests {
    use jobs_core::testing::ManualClock;

    use super::*;

    #[test]
    fn the_eleventh_within_a_minute_is_refused_until_the_first_is_a_minute_old() {
        let clock = ManualClock::new();
        let wrong = WrongTokens::new(Arc::new(clock.clone()));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..MOST {
            assert_eq!(wrong.note(address), None);
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(wrong.note(address), Some(Duration::from_secs(50)));
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        assert_eq!(wrong.note(other), None);
        clock.advance(Duration::from_secs(50));
        assert_eq!(wrong.note(address), None);
    }

    #[test]
    fn addresses_of_one_network_count_together_and_are_bounded() {
        let clock = ManualClock::new();
        let wrong = WrongTokens::new(Arc::new(clock));
        for number in 0..MOST {
            let address: IpAddr = format!("2001:db8::{number:x}").parse().unwrap();
            assert_eq!(wrong.note(address), None);
        }
        assert!(wrong.note("2001:db8::ffff".parse().unwrap()).is_some());
        for number in 0..2 * u32::try_from(ADDRESSES).unwrap() {
            wrong.note(IpAddr::V4(number.into()));
        }
        assert!(wrong.seen.lock().unwrap().len() <= ADDRESSES);
    }
}
