//! Time that tests move by hand.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use crate::clock::{Clock, Moment, Sleep};

/// A clock that stands still until it is told to move. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    now: Duration,
    next_key: u64,
    sleepers: BTreeMap<(Moment, u64), Sleeper>,
}

#[derive(Debug)]
struct Sleeper {
    waker: Waker,
    is_guard: bool,
}

impl ManualClock {
    /// A clock at its start. Its wall time begins at 2026-01-01 00:00 UTC.
    pub fn new() -> Self {
        Self::default()
    }

    /// The clock as clients take it.
    pub fn shared(&self) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }

    /// Moves time on and wakes whoever's moment has come.
    pub fn advance(&self, by: Duration) {
        let target = self.now() + by;
        self.move_to(target);
    }

    /// Moves time on to `target` and wakes whoever's moment has come.
    pub fn move_to(&self, target: Moment) {
        let mut due = {
            let mut state = self.state();
            let now = state.now.max(target.since_start());
            state.now = now;
            let later = state
                .sleepers
                .split_off(&(Moment::after_start(now), u64::MAX));
            std::mem::replace(&mut state.sleepers, later)
        };
        while let Some((_, sleeper)) = due.pop_first() {
            sleeper.waker.wake();
        }
    }

    /// The next moment for which somebody sleeps, not counting guards.
    pub fn next_sleep(&self) -> Option<Moment> {
        let state = self.state();
        state
            .sleepers
            .iter()
            .find(|(_, sleeper)| !sleeper.is_guard)
            .map(|((at, _), _)| *at)
    }

    /// The next guard, which [`run`](Self::run) does not move to by itself.
    pub fn next_guard(&self) -> Option<Moment> {
        let state = self.state();
        state
            .sleepers
            .iter()
            .find(|(_, sleeper)| sleeper.is_guard)
            .map(|((at, _), _)| *at)
    }

    /// Runs `work`, moving time to the next sleeper whenever there is nothing to do but sleep.
    ///
    /// While only guards are pending, `work` is taken to be busy with real input or output, and time stands still.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(value) = work.as_mut().poll(cx) {
                    return Poll::Ready(value);
                }
                match self.next_sleep() {
                    Some(at) => self.move_to(at),
                    None => return Poll::Pending,
                }
            }
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, at: Moment, is_guard: bool) -> Sleep {
        Box::pin(Waiting {
            clock: self.clone(),
            at,
            is_guard,
            key: None,
        })
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment::after_start(self.state().now)
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600) + self.state().now
    }

    fn sleep_until(&self, at: Moment) -> Sleep {
        self.sleep(at, false)
    }

    fn guard_until(&self, at: Moment) -> Sleep {
        self.sleep(at, true)
    }
}

struct Waiting {
    clock: ManualClock,
    at: Moment,
    is_guard: bool,
    key: Option<u64>,
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.state();
        if state.now >= self.at.since_start() {
            return Poll::Ready(());
        }
        let key = *self.key.get_or_insert_with(|| {
            state.next_key += 1;
            state.next_key
        });
        state.sleepers.insert(
            (self.at, key),
            Sleeper {
                waker: cx.waker().clone(),
                is_guard: self.is_guard,
            },
        );
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.clock.state().sleepers.remove(&(self.at, key));
        }
    }
}
