//! The rate of an account that several processes share.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::id::Account;
use crate::rate_limit::{RateLimit, shortest};

/// Where the places of a rate are kept when several processes share it, such as a ledger.
///
/// A place is taken for two window lengths, or from [`record_response`](Self::record_response) on for one; the vendor has counted
/// the request somewhere in between.
#[async_trait]
pub trait SharedRate: Debug + Send + Sync {
    /// Takes one place of each window for a request of `account` that the vendor counts under `action`.
    ///
    /// A call that is dropped halfway may have taken a place, which is free again after two window lengths.
    ///
    /// # Errors
    /// The store's. The request is then not made.
    async fn acquire(
        &self,
        account: Account,
        action: &str,
        windows: &[RateLimit],
    ) -> Result<Acquired, Error>;

    /// The answer to the request with this number is there. Never saying it is safe and only slower.
    async fn record_response(&self, account: Account, action: &str, serial: u64);
}

/// What a [`SharedRate`] says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    /// It may be made now; this is the number to give its places back by.
    Granted(u64),
    /// Not before this time has passed; then ask again.
    Wait(Duration),
}

/// The part of a store that one quota draws on.
#[derive(Debug, Clone)]
pub(super) struct SharedLimit {
    pub(super) rate: Arc<dyn SharedRate>,
    pub(super) account: Account,
    pub(super) action: Arc<str>,
}

impl SharedLimit {
    /// Waits for a place of each window. One caller at a time asks the store: the holder of the lock.
    ///
    /// The store holds a place for two windows from when it was asked. A request that is to be counted within them leaves
    /// in the first one, so a place that took longer to hand over is let go.
    pub(super) async fn acquire(
        &self,
        clock: &dyn Clock,
        windows: &[RateLimit],
    ) -> Result<SharedSlot, Error> {
        loop {
            let asked = clock.now();
            let taken = self.rate.acquire(self.account, &self.action, windows).await;
            match taken.map_err(store_unavailable)? {
                Acquired::Granted(serial) => {
                    let place = SharedSlot {
                        limit: self.clone(),
                        serial,
                    };
                    if clock.now().since(asked) < shortest(windows) {
                        return Ok(place);
                    }
                }
                Acquired::Wait(pause) => {
                    // For an answer to one of the others the place may be free earlier, as with our own; and a store that
                    // says nothing at all is not asked without a pause.
                    let pause = pause.clamp(Duration::from_millis(1), shortest(windows));
                    clock.sleep_until(clock.now() + pause).await;
                }
            }
        }
    }
}

fn store_unavailable(cause: Error) -> Error {
    Error::new(ErrorKind::LocalIo, cause.vendor(), cause.operation())
        .with_message("the shared rate cannot be asked, so nothing was sent")
        .with_help("check the ledger that keeps it")
        .with_source(cause)
        .with_transient()
}

/// A place taken in the store; told that the answer is there when dropped.
#[derive(Debug)]
pub(super) struct SharedSlot {
    limit: SharedLimit,
    serial: u64,
}

impl Drop for SharedSlot {
    /// In the background, because a drop cannot wait; outside of a runtime not at all, which is safe.
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (shared_limit, serial) = (self.limit.clone(), self.serial);
        runtime.spawn(async move {
            shared_limit
                .rate
                .record_response(shared_limit.account, &shared_limit.action, serial)
                .await;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::clock::Moment;
    use crate::error::Delivery;
    use crate::rate_limit::{RateLimiter, RequestClass};
    use crate::testing::{InMemorySharedRate, ManualClock};

    const PER: Duration = Duration::from_secs(1);

    fn two_a_second(clock: &ManualClock, places: &InMemorySharedRate) -> RateLimiter {
        let window = RateLimit {
            limit: NonZeroU32::new(2).unwrap(),
            per: PER,
        };
        let account = Account::of("v", "anybody");
        RateLimiter::new(clock.shared(), &[window]).with_shared_rate(
            places.shared(),
            account,
            "requests",
        )
    }

    #[tokio::test]
    async fn two_clients_together_keep_the_window() {
        let clock = ManualClock::new();
        let places = InMemorySharedRate::new(clock.shared());
        let limiters = [two_a_second(&clock, &places), two_a_second(&clock, &places)];
        let make = async |limiter: &RateLimiter| {
            let mut seen = Vec::new();
            for _ in 0..20 {
                let permit = limiter.acquire(RequestClass::Poll).await.unwrap();
                seen.push(clock.now());
                drop(permit);
            }
            seen
        };
        let [one, other] = &limiters;
        let both = async { tokio::join!(make(one), make(other)) };
        let (mut seen, others) = clock.run(both).await;
        seen.extend(others);
        seen.sort_unstable();
        for three in seen.windows(3) {
            assert!(three[2].since(three[0]) >= PER, "{three:?}");
        }
        assert_eq!(places.granted().len(), 40);
    }

    #[tokio::test]
    async fn what_the_vendor_counts_apart_is_kept_apart() {
        let clock = ManualClock::new();
        let places = InMemorySharedRate::new(clock.shared());
        let window = [RateLimit {
            limit: NonZeroU32::MIN,
            per: PER,
        }];
        let (one, other) = (Account::of("v", "one"), Account::of("v", "other"));
        for (account, action) in [(one, "poll"), (one, "create"), (other, "poll")] {
            let limiter = RateLimiter::new(clock.shared(), &window);
            let limiter = limiter.with_shared_rate(places.shared(), account, action);
            drop(
                clock
                    .run(limiter.acquire(RequestClass::Poll))
                    .await
                    .unwrap(),
            );
        }
        assert_eq!(clock.now(), Moment::START);
    }

    #[tokio::test]
    async fn an_answer_frees_the_shared_place_early() {
        let clock = ManualClock::new();
        let places = InMemorySharedRate::new(clock.shared());
        let (one, other) = (two_a_second(&clock, &places), two_a_second(&clock, &places));
        for _ in 0..2 {
            drop(clock.run(one.acquire(RequestClass::Poll)).await.unwrap());
        }
        // Lets the background tell the store.
        tokio::task::yield_now().await;
        let _permit = clock.run(other.acquire(RequestClass::Poll)).await.unwrap();
        assert_eq!(clock.now().since_start(), PER);
    }

    /// A store that takes its time to answer, once.
    #[derive(Debug)]
    struct Slow {
        rate: Arc<dyn SharedRate>,
        clock: ManualClock,
        takes: std::sync::Mutex<Duration>,
    }

    #[async_trait]
    impl SharedRate for Slow {
        async fn acquire(
            &self,
            account: Account,
            action: &str,
            windows: &[RateLimit],
        ) -> Result<Acquired, Error> {
            let taken = self.rate.acquire(account, action, windows).await;
            let takes = std::mem::take(&mut *self.takes.lock().unwrap());
            self.clock.sleep_until(self.clock.now() + takes).await;
            taken
        }

        async fn record_response(&self, account: Account, action: &str, serial: u64) {
            self.rate.record_response(account, action, serial).await;
        }
    }

    #[tokio::test]
    async fn a_place_that_came_late_is_not_used() {
        for (takes, granted) in [(PER - Duration::from_millis(1), 1), (PER, 2)] {
            let clock = ManualClock::new();
            let places = InMemorySharedRate::new(clock.shared());
            let slow = Slow {
                rate: places.shared(),
                clock: clock.clone(),
                takes: takes.into(),
            };
            let window = RateLimit {
                limit: NonZeroU32::new(2).unwrap(),
                per: PER,
            };
            let account = Account::of("v", "anybody");
            let limiter = RateLimiter::new(clock.shared(), &[window]).with_shared_rate(
                Arc::new(slow),
                account,
                "requests",
            );
            let _permit = clock
                .run(limiter.acquire(RequestClass::Poll))
                .await
                .unwrap();
            assert_eq!(places.granted().len(), granted, "{takes:?}");
        }
    }

    #[tokio::test]
    async fn without_the_store_nothing_is_sent_and_trying_again_may_help() {
        let clock = ManualClock::new();
        let places = InMemorySharedRate::new(clock.shared());
        let limiter = two_a_second(&clock, &places);
        places.fail(true);
        let error = clock
            .run(limiter.acquire(RequestClass::Poll))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.delivery()),
            (ErrorKind::LocalIo, Delivery::NotSent)
        );
        assert!(error.is_transient());
        places.fail(false);
        // The failure took no place of ours.
        for _ in 0..2 {
            drop(
                clock
                    .run(limiter.acquire(RequestClass::Poll))
                    .await
                    .unwrap(),
            );
        }
        assert_eq!(clock.now(), Moment::START);
    }
}
