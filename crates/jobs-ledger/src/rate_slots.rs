//! Which of an account's places are taken: the pure part of a rate that processes share.

use serde::{Deserialize, Serialize};

/// The places of every window of one account and action, as they are kept in the ledger.
///
/// A request takes one place of each window for two window lengths; once answered, it gives it back one length later.
/// The vendor has counted it somewhere in between, so that no window of the vendor's ever holds more than the limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RateSlots {
    serial: u64,
    windows: Vec<WindowSlots>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct WindowSlots {
    per: i64,
    /// How many there are, as it was asked last.
    #[serde(default)]
    limit: usize,
    /// Serial number and the time at which the place is free again.
    #[serde(alias = "places")]
    slots: Vec<(u64, i64)>,
}

/// A window in the ledger's microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) limit: usize,
    pub(crate) per: i64,
}

impl RateSlots {
    /// Takes a place of each window, or says when one may be free.
    pub(crate) fn take(&mut self, limits: &[Limit], now: i64) -> Result<u64, i64> {
        self.forget(now);
        let mut free_at = now;
        for limit in limits {
            let places = &mut self.window(limit.per).slots;
            places.sort_unstable_by_key(|(_, free)| *free);
            if let Some(over) = places.len().checked_sub(limit.limit)
                && let Some((_, free)) = places.get(over)
            {
                free_at = free_at.max(*free);
            }
        }
        if free_at > now {
            return Err(free_at);
        }
        self.serial += 1;
        let serial = self.serial;
        for limit in limits {
            let until = now.saturating_add(limit.per.saturating_mul(2));
            let window = self.window(limit.per);
            window.limit = limit.limit;
            window.slots.push((serial, until));
        }
        Ok(serial)
    }

    /// Of each window in use its length, its limit, and how much of it is taken.
    pub(crate) fn uses(mut self, now: i64) -> Vec<(i64, usize, usize)> {
        self.forget(now);
        let windows = self.windows.iter();
        windows
            .map(|window| (window.per, window.limit, window.slots.len()))
            .collect()
    }

    /// Gives back what was taken under that number, one window length from now.
    pub(crate) fn record_response(&mut self, serial: u64, now: i64) {
        self.forget(now);
        for window in &mut self.windows {
            for (taken, free) in &mut window.slots {
                if *taken == serial {
                    *free = (*free).min(now.saturating_add(window.per));
                }
            }
        }
    }

    /// Drops what is free again, so that what is kept never grows above the limits, not even those of former settings.
    fn forget(&mut self, now: i64) {
        for window in &mut self.windows {
            let latest = now.saturating_add(window.per.saturating_mul(2));
            window.slots.retain_mut(|(_, free)| {
                // A time further away was written by a clock that is ahead.
                *free = (*free).min(latest);
                *free > now
            });
        }
        self.windows.retain(|window| !window.slots.is_empty());
    }

    fn window(&mut self, per: i64) -> &mut WindowSlots {
        let at = self.windows.iter().position(|window| window.per == per);
        let at = at.unwrap_or_else(|| {
            self.windows.push(WindowSlots {
                per,
                limit: 0,
                slots: Vec::new(),
            });
            self.windows.len() - 1
        });
        // The position was found or made just above.
        #[allow(clippy::indexing_slicing, reason = "see above")]
        &mut self.windows[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Limit = Limit { limit: 2, per: 100 };

    #[test]
    fn the_limit_holds_and_answers_free_places_early() {
        let mut places = RateSlots::default();
        let first = places.take(&[TWO], 1000).unwrap();
        places.take(&[TWO], 1000).unwrap();
        assert_eq!(places.take(&[TWO], 1001), Err(1200));
        places.record_response(first, 1010);
        assert_eq!(places.take(&[TWO], 1011), Err(1110));
        assert!(places.take(&[TWO], 1110).is_ok());
        assert_eq!(places.take(&[TWO], 1111), Err(1200));
    }

    #[test]
    fn every_window_must_have_a_place() {
        let long = Limit {
            limit: 3,
            per: 1000,
        };
        let mut places = RateSlots::default();
        for at in [0, 0, 200] {
            places.take(&[TWO, long], at).unwrap();
        }
        assert_eq!(places.take(&[TWO, long], 400), Err(2000));
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_block_the_others_for_long() {
        let mut places = RateSlots::default();
        places.take(&[TWO], 1_000_000).unwrap();
        places.take(&[TWO], 1_000_000).unwrap();
        assert_eq!(places.take(&[TWO], 1000), Err(1200));
    }

    #[test]
    fn a_lowered_limit_holds_at_once() {
        let mut places = RateSlots::default();
        let five = Limit { limit: 5, per: 100 };
        for at in 0..5 {
            places.take(&[five], at).unwrap();
        }
        assert_eq!(places.take(&[TWO], 10), Err(203));
    }

    #[test]
    fn a_limit_of_nothing_is_no_panic() {
        let none = Limit { limit: 0, per: 100 };
        assert!(RateSlots::default().take(&[none], 5).is_ok());
    }

    #[test]
    fn places_of_dead_processes_and_former_settings_are_forgotten() {
        let mut places = RateSlots::default();
        let former = Limit {
            limit: 9,
            per: 1_000,
        };
        for now in 0..9 {
            places.take(&[former], now).unwrap();
        }
        for turn in 0..100 {
            let now = 3_000 + turn * 200;
            let serial = places.take(&[TWO], now).unwrap();
            // Nobody ever says that these are answered.
            places.take(&[TWO], now).unwrap();
            places.record_response(serial, now + 50);
            assert_eq!(places.windows.len(), 1, "{places:?}");
            assert!(places.windows[0].slots.len() <= 2, "{places:?}");
        }
        // An answer long after its place was given to others takes nothing from them.
        places.record_response(10, 22_900);
        assert_eq!(places.take(&[TWO], 22_901), Err(22_950));
    }

    /// Two processes take as fast as they may, the vendor counts at any time before the answer.
    #[test]
    fn no_sliding_window_of_the_vendor_holds_more_than_the_limit() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut places = RateSlots::default();
            let (mut seen, mut pending) = (Vec::new(), Vec::new());
            for now in 0..3000 {
                pending.retain(|(serial, answer)| {
                    if *answer <= now {
                        places.record_response(*serial, now);
                    }
                    *answer > now
                });
                if let Ok(serial) = places.take(&[TWO], now) {
                    let answer = now + random.i64(0..100);
                    seen.push(random.i64(now..=answer));
                    pending.push((serial, answer));
                }
            }
            seen.sort_unstable();
            assert!(seen.len() > 20);
            for three in seen.windows(3) {
                assert!(three[2] - three[0] >= 100, "seed {seed}: {three:?}");
            }
        }
    }
}
