//! The rate that all requests of one account share.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::{Clock, Moment};

/// "At most `limit` requests in any `per`".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How many requests.
    pub limit: NonZeroU32,
    /// In how much time.
    pub per: Duration,
}

/// The rate of an account, drawn on by submit, look and fetch alike. Clones share it.
///
/// Each window is a set of places. A request takes one place of every window and gives it back one window length
/// after its *answer*, because the vendor may have counted it as late as that; so however slow the way is, the
/// vendor never sees more than `limit` in any `per`. A request that takes longer than a window, such as an upload,
/// is taken to have been counted by then and holds its place no longer.
#[derive(Debug, Clone)]
pub struct Quota {
    clock: Arc<dyn Clock>,
    windows: Arc<Mutex<Vec<Places>>>,
    /// Whoever holds it is the next to go, in the order of asking; the others sleep without a timer.
    turn: Arc<Semaphore>,
}

#[derive(Debug)]
struct Places {
    limit: usize,
    per: Duration,
    /// Only those that were ever taken, so that a generous limit costs no memory.
    places: Vec<Place>,
}

impl Places {
    /// The place that is free first, and since when.
    fn earliest(&self, now: Moment) -> (usize, Moment) {
        let taken = self
            .places
            .iter()
            .enumerate()
            .min_by_key(|(_, place)| place.free_at);
        match taken.map(|(at, place)| (at, place.free_at)) {
            Some((_, free_at)) if free_at > now && self.places.len() < self.limit => {
                (self.places.len(), Moment::START)
            }
            Some(earliest) => earliest,
            None => (0, Moment::START),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Place {
    free_at: Moment,
    taken: u64,
}

/// The right to make one request; drop it when the answer is there.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped: hold it until the answer is there"]
pub struct Permit {
    quota: Quota,
    /// One entry for each window: the place and the how-manieth taking of it this is.
    taken: Vec<(usize, u64)>,
}

impl Quota {
    /// A quota of these windows, all of which must allow a request; none means no limit.
    pub fn new(clock: Arc<dyn Clock>, windows: &[Window]) -> Self {
        let places = |window: &Window| Places {
            limit: usize::try_from(window.limit.get()).unwrap_or(usize::MAX),
            per: window.per,
            places: Vec::new(),
        };
        Self {
            clock,
            windows: Arc::new(Mutex::new(windows.iter().map(places).collect())),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Waits until one more request is allowed. Callers go in the order in which they asked; a dropped call leaves
    /// nothing behind.
    pub async fn acquire(&self) -> Permit {
        let _turn = self.turn.acquire().await;
        loop {
            match self.try_acquire() {
                Ok(permit) => return permit,
                Err(free_at) => self.clock.sleep_until(free_at).await,
            }
        }
    }

    /// Takes a place now, or says when to try again.
    ///
    /// # Errors
    /// The moment at which a place is free, if no answer frees it earlier.
    pub fn try_acquire(&self) -> Result<Permit, Moment> {
        let now = self.clock.now();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let places: Vec<(usize, Moment)> =
            windows.iter().map(|window| window.earliest(now)).collect();
        if let Some(free_at) = places.iter().map(|(_, free_at)| *free_at).max()
            && free_at > now
        {
            return Err(free_at);
        }
        let mut taken = Vec::with_capacity(places.len());
        for (window, (at, _)) in windows.iter_mut().zip(places) {
            if at == window.places.len() {
                window.places.push(Place {
                    free_at: now,
                    taken: 0,
                });
            }
            if let Some(place) = window.places.get_mut(at) {
                place.free_at = now + window.per * 2;
                place.taken += 1;
                taken.push((at, place.taken));
            }
        }
        Ok(Permit {
            quota: self.clone(),
            taken,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = self.quota.clock.now();
        let mut windows = self
            .quota
            .windows
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (window, (at, taken)) in windows.iter_mut().zip(&self.taken) {
            let free_at = now + window.per;
            if let Some(place) = window.places.get_mut(*at)
                && place.taken == *taken
            {
                place.free_at = place.free_at.min(free_at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::ManualClock;

    fn window(limit: u32, per: Duration) -> Window {
        Window {
            limit: NonZeroU32::new(limit).unwrap(),
            per,
        }
    }

    /// When the vendor sees each of `delays.len()` requests: the delays are the times from sending to being counted
    /// and from being counted to the answer, in milliseconds.
    async fn arrivals(windows: &[Window], delays: &[(u64, u64)]) -> Vec<Moment> {
        let clock = ManualClock::new();
        let quota = Quota::new(clock.shared(), windows);
        let mut seen = Vec::new();
        clock
            .run(async {
                for (there, back) in delays {
                    let permit = quota.acquire().await;
                    clock
                        .sleep_until(clock.now() + Duration::from_millis(*there))
                        .await;
                    seen.push(clock.now());
                    clock
                        .sleep_until(clock.now() + Duration::from_millis(*back))
                        .await;
                    drop(permit);
                }
            })
            .await;
        seen
    }

    #[tokio::test]
    async fn the_limit_is_used_to_the_full() {
        let seen = arrivals(&[window(2, Duration::from_secs(1))], &[(0, 0); 21]).await;
        assert_eq!(seen.last().unwrap().since_start(), Duration::from_secs(10));
    }

    #[tokio::test]
    async fn every_window_must_allow_a_request() {
        let windows = [
            window(2, Duration::from_secs(1)),
            window(3, Duration::from_secs(60)),
        ];
        let seen = arrivals(&windows, &[(0, 0); 4]).await;
        let seconds: Vec<_> = seen.iter().map(|at| at.since_start().as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 60]);
    }

    #[tokio::test]
    async fn a_dropped_caller_gives_its_turn_to_the_next() {
        let clock = ManualClock::new();
        let quota = Quota::new(clock.shared(), &[window(1, Duration::from_secs(1))]);
        drop(quota.acquire().await);
        {
            let mut waiting = Box::pin(quota.acquire());
            assert!(futures_now(&mut waiting).is_none());
        }
        let _permit = clock.run(quota.acquire()).await;
        assert_eq!(clock.now().since_start(), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_long_upload_does_not_hold_its_place_for_ever() {
        let clock = ManualClock::new();
        let quota = Quota::new(clock.shared(), &[window(1, Duration::from_secs(1))]);
        let _upload = quota.acquire().await;
        let _look = clock.run(quota.acquire()).await;
        assert_eq!(clock.now().since_start(), Duration::from_secs(2));
    }

    fn futures_now<T>(work: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(work).poll(&mut cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_the_limit(
            delays in proptest::collection::vec((0u64..1000, 0u64..1000), 1..60),
            limit in 1u32..5,
        ) {
            let per = Duration::from_secs(1);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let seen = runtime.block_on(arrivals(&[window(limit, per)], &delays));
            for pair in seen.windows(limit as usize + 1) {
                prop_assert!(pair[limit as usize].since(pair[0]) >= per);
            }
        }
    }
}
