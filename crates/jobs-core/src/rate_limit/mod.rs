//! The rate that all requests of one account share.

mod fair_lock;
mod shared;
mod sliding_window;
mod stride_queue;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::fair_lock::FairLock;
pub use self::shared::{Acquired, SharedRate};
use self::sliding_window::SlidingWindows;
pub use self::stride_queue::RequestClass;

use crate::clock::{Clock, Moment};
use crate::error::Error;
use crate::id::Account;

/// "At most `limit` requests in any `per`".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests.
    pub limit: NonZeroU32,
    /// In how much time.
    pub per: Duration,
}

/// The rate of an account, drawn on by submit, poll and fetch alike. Clones share it.
///
/// Each window is a set of places. A request takes one place of every window and gives it back one window length
/// after its *answer*, because the vendor may have counted it as late as that; so however slow the way is, the
/// vendor never sees more than `limit` in any `per`. A request that takes longer than a window, such as an upload,
/// is taken to have been counted by then and holds its place no longer.
///
/// Other processes know nothing of that unless the places are [shared](Self::with_shared_rate).
#[derive(Debug, Clone)]
pub struct RateLimiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    limits: Arc<[RateLimit]>,
    windows_state: Arc<Mutex<SlidingWindows>>,
    shared: Option<shared::SharedLimit>,
    /// Its holder makes the next request.
    lock: FairLock,
}

/// The right to make one request; drop it when the answer is there.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped: hold it until the answer is there"]
pub struct Permit {
    limiter: RateLimiter,
    taken: sliding_window::TakenSlots,
    acquired_at: Moment,
    _shared: Option<shared::SharedSlot>,
}

impl RateLimiter {
    /// A quota of these windows, all of which must allow a request; none means no limit.
    pub fn new(clock: Arc<dyn Clock>, windows: &[RateLimit]) -> Self {
        Self(Arc::new(Inner {
            clock,
            limits: windows.into(),
            windows_state: Arc::new(Mutex::new(SlidingWindows::new(windows))),
            shared: None,
            lock: FairLock::new(),
        }))
    }

    /// The same quota for all processes that share `rate`: each of its requests takes a place there too.
    ///
    /// `account` and `action` name the places: what the vendor counts together must be named alike everywhere.
    #[must_use]
    pub fn with_shared_rate(
        self,
        rate: Arc<dyn SharedRate>,
        account: Account,
        action: &str,
    ) -> Self {
        let shared_limit = shared::SharedLimit {
            rate,
            account,
            action: action.into(),
        };
        let Inner {
            clock,
            limits: windows,
            windows_state: rate,
            lock,
            ..
        } = &*self.0;
        Self(Arc::new(Inner {
            clock: Arc::clone(clock),
            limits: Arc::clone(windows),
            windows_state: Arc::clone(rate),
            shared: Some(shared_limit).filter(|_| !windows.is_empty()),
            lock: lock.clone(),
        }))
    }

    /// Waits until one more request is allowed. Callers that draw alike go in the order in which they asked, others as
    /// [`RequestClass`] says; a dropped call leaves nothing behind.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`](crate::ErrorKind::LocalIo) when a [`SharedRate`] cannot be asked: do not make the request. It
    /// is transient.
    pub async fn acquire(&self, class: RequestClass) -> Result<Permit, Error> {
        let Inner {
            clock,
            limits: windows,
            shared: shared_limit,
            lock,
            ..
        } = &*self.0;
        #[cfg(feature = "metrics")]
        let began = clock.now();
        let _guard = lock.lock(class).await;
        loop {
            let now = clock.now();
            let Some(free_at) = self.rate().busy_until(now) else {
                break;
            };
            // A request under way holds its place for two windows; should it be answered from now on, for one. So the
            // place may be free earlier than it seems now, but not before one window has passed.
            let again = now + shortest(windows);
            clock.sleep_until(free_at.min(again)).await;
        }
        // Ours are only taken by the holder of the lock, so they stay free while the store is asked; taken before, they
        // would run out during a long wait there.
        let shared = match shared_limit {
            Some(shared_limit) => Some(shared_limit.acquire(&**clock, windows).await?),
            None => None,
        };
        let asked = clock.now();
        #[cfg(feature = "metrics")]
        metrics::histogram!("docjobs_rate_limit_wait_seconds", "class" => class.name())
            .record(asked.since(began).as_secs_f64());
        let taken = self.rate().take(asked);
        Ok(Permit {
            limiter: self.clone(),
            taken,
            acquired_at: asked,
            _shared: shared,
        })
    }

    fn rate(&self) -> MutexGuard<'_, SlidingWindows> {
        self.0
            .windows_state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shortest window, and never no time at all.
fn shortest(windows: &[RateLimit]) -> Duration {
    let shortest = windows.iter().map(|window| window.per).min();
    shortest
        .unwrap_or(Duration::MAX)
        .max(Duration::from_millis(1))
}

impl Permit {
    /// The vendor took the request: a pace that was slowed down recovers by a little.
    pub fn accepted(&self) {
        self.feedback().accepted();
    }

    /// The vendor refused the request for its rate: the quota goes half as fast from now on, and not at all for the time
    /// that the vendor asks for, up to 20 s. Refusals of requests that were under way together count once.
    pub fn rate_limited(&self, hint: Option<Duration>) {
        self.feedback().rate_limited(hint);
    }

    /// The clock that the rate goes by.
    #[cfg(feature = "http")]
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.limiter.0.clock
    }

    /// Reports what the vendor said, after the permit is gone.
    pub(crate) fn feedback(&self) -> RateFeedback {
        RateFeedback {
            limiter: self.limiter.clone(),
            acquired_at: self.acquired_at,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = self.limiter.0.clock.now();
        self.limiter.rate().release(&self.taken, now);
    }
}

/// Tells a quota what became of one request.
#[derive(Debug, Clone)]
pub(crate) struct RateFeedback {
    limiter: RateLimiter,
    acquired_at: Moment,
}

impl RateFeedback {
    pub(crate) fn accepted(&self) {
        self.limiter.rate().accepted();
    }

    pub(crate) fn rate_limited(&self, hint: Option<Duration>) {
        let now = self.limiter.0.clock.now();
        self.limiter
            .rate()
            .rate_limited(self.acquired_at, hint, now);
        tracing::debug!(?hint, "refused for the rate, going slower");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::ManualClock;

    fn window(limit: u32, per: Duration) -> RateLimit {
        RateLimit {
            limit: NonZeroU32::new(limit).unwrap(),
            per,
        }
    }

    /// When the vendor sees each of `delays.len()` requests: the delays are the times from sending to being counted
    /// and from being counted to the answer, in milliseconds.
    async fn arrivals(windows: &[RateLimit], delays: &[(u64, u64)]) -> Vec<Moment> {
        let clock = ManualClock::new();
        let limiter = RateLimiter::new(clock.shared(), windows);
        let mut seen = Vec::new();
        clock
            .run(async {
                for (there, back) in delays {
                    let permit = limiter.acquire(RequestClass::Poll).await.unwrap();
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
        let limiter = RateLimiter::new(clock.shared(), &[window(1, Duration::from_secs(1))]);
        drop(limiter.acquire(RequestClass::Poll).await.unwrap());
        {
            let mut waiting = Box::pin(limiter.acquire(RequestClass::Poll));
            assert!(futures_now(&mut waiting).is_none());
        }
        let _permit = clock
            .run(limiter.acquire(RequestClass::Poll))
            .await
            .unwrap();
        assert_eq!(clock.now().since_start(), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_long_upload_does_not_hold_its_place_for_ever() {
        let clock = ManualClock::new();
        let limiter = RateLimiter::new(clock.shared(), &[window(1, Duration::from_secs(1))]);
        let _upload = limiter.acquire(RequestClass::Poll).await.unwrap();
        let _poll = clock
            .run(limiter.acquire(RequestClass::Poll))
            .await
            .unwrap();
        assert_eq!(clock.now().since_start(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_submit_waits_for_two_of_a_hundred_polls() {
        let clock = ManualClock::new();
        let limiter = RateLimiter::new(clock.shared(), &[window(1, Duration::from_secs(1))]);
        let ended = Mutex::new(Vec::new());
        let make = async |class, name: usize| {
            drop(limiter.acquire(class).await.unwrap());
            ended.lock().unwrap().push(name);
        };
        let polls = futures_util::future::join_all((0..100).map(|n| make(RequestClass::Poll, n)));
        let submit = async {
            clock
                .sleep_until(clock.now() + Duration::from_millis(10_500))
                .await;
            make(RequestClass::Submit, 1000).await;
        };
        clock
            .run(tokio::task::unconstrained(async {
                tokio::join!(polls, submit)
            }))
            .await;
        let ended = ended.into_inner().unwrap();
        // Eleven had gone; the one that had the turn already goes first.
        assert_eq!(ended.iter().position(|name| *name == 1000), Some(12));
    }

    #[tokio::test]
    async fn ten_thousand_that_gave_up_stand_in_nobodys_way() {
        let clock = ManualClock::new();
        let limiter = RateLimiter::new(clock.shared(), &[window(1, Duration::from_secs(1))]);
        drop(limiter.acquire(RequestClass::Poll).await.unwrap());
        let mut waiting: Vec<_> = (0..10_000)
            .map(|_| Box::pin(limiter.acquire(RequestClass::Poll)))
            .collect();
        for one in &mut waiting {
            assert!(futures_now(one).is_none());
        }
        drop(waiting);
        let _permit = clock
            .run(limiter.acquire(RequestClass::Poll))
            .await
            .unwrap();
        assert_eq!(clock.now().since_start(), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_refusal_for_the_rate_slows_all_that_share_the_quota() {
        let clock = ManualClock::new();
        let limiter = RateLimiter::new(clock.shared(), &[window(1, Duration::from_secs(1))]);
        let other = limiter.clone();
        let permit = limiter.acquire(RequestClass::Poll).await.unwrap();
        permit.rate_limited(Some(Duration::from_secs(10)));
        drop(permit);
        let mut seconds = Vec::new();
        for _ in 0..3 {
            drop(clock.run(other.acquire(RequestClass::Poll)).await.unwrap());
            seconds.push(clock.now().since_start().as_secs());
        }
        assert_eq!(seconds, [10, 12, 14]);
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
