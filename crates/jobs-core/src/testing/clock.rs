//! Time that tests move by hand.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
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
    /// How many sleeps were begun and ended.
    changes: u64,
    /// Who moves time and waits for somebody to sleep.
    driver: Option<Waker>,
    sleepers: BTreeMap<(Moment, u64), Sleeper>,
}

#[derive(Debug)]
struct Sleeper {
    waker: Waker,
    is_guard: bool,
}

impl State {
    fn next_sleep(&self) -> Option<Moment> {
        self.sleepers
            .iter()
            .find(|(_, sleeper)| !sleeper.is_guard)
            .map(|((at, _), _)| *at)
    }
}

/// Whether the work that moves time was woken, and who polls it.
#[derive(Default)]
struct Called {
    /// Not so from the start, so that it is polled at least once.
    idle: AtomicBool,
    poller: Mutex<Option<Waker>>,
}

impl Called {
    fn answer(&self, poller: &Waker) {
        let mut held = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(held) if held.will_wake(poller) => {}
            _ => *held = Some(poller.clone()),
        }
    }

    fn was_called(&self) -> bool {
        !self.idle.swap(true, Ordering::AcqRel)
    }
}

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.idle.store(false, Ordering::Release);
        let poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(poller) = &*poller {
            poller.wake_by_ref();
        }
    }
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

    /// Moves time on and wakes the sleepers whose moment has come.
    pub fn advance(&self, by: Duration) {
        let target = self.now() + by;
        self.move_to(target);
    }

    /// Moves time on to `target` and wakes the sleepers whose moment has come.
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
        self.state().next_sleep()
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
    /// Other tasks of a current-thread runtime get their turns before time moves: it moves once nobody has begun or
    /// ended a sleep for some turns. While only guards are pending, `work` is taken to be busy with real input or
    /// output, and time stands still.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        /// Enough for news to pass through a few tasks that do not sleep.
        const QUIET: u32 = 4;
        let mut work = pin!(work);
        let called = Arc::new(Called::default());
        let waker = Waker::from(Arc::clone(&called));
        let (mut quiet, mut changes) = (0, 0);
        poll_fn(|cx| {
            called.answer(cx.waker());
            // Not polled for nothing: it is told by its own waker whether there is something to do.
            if called.was_called() {
                if let Poll::Ready(value) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Poll::Ready(value);
                }
                quiet = 0;
            }
            let (at, now) = {
                let mut state = self.state();
                let at = state.next_sleep();
                if at.is_none() {
                    // Another task may begin a sleep.
                    state.driver = Some(cx.waker().clone());
                }
                (at, state.changes)
            };
            let Some(at) = at else {
                return Poll::Pending;
            };
            quiet = if changes == now { quiet + 1 } else { 0 };
            changes = now;
            if quiet >= QUIET {
                quiet = 0;
                self.move_to(at);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
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
            state.changes += 1;
            if let Some(driver) = state.driver.take() {
                driver.wake();
            }
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
            let mut state = self.clock.state();
            state.sleepers.remove(&(self.at, key));
            state.changes += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_get_their_turn_before_time_moves() {
        let clock = ManualClock::new();
        let (forth, mut forth_end) = tokio::sync::mpsc::unbounded_channel();
        let (back, mut back_end) = tokio::sync::mpsc::unbounded_channel();
        let other = clock.clone();
        let task = tokio::spawn(async move {
            while let Some(step) = forth_end.recv().await {
                other
                    .sleep_until(other.now() + Duration::from_secs(step))
                    .await;
                back.send(other.now()).unwrap();
            }
        });
        let late = clock.sleep_until(Moment::after_start(Duration::from_secs(3600)));
        let steps = clock
            .run(async {
                let mut late = late;
                let mut moments = Vec::new();
                for step in 1..4 {
                    forth.send(step).unwrap();
                    moments.push(back_end.recv().await.unwrap().since_start().as_secs());
                }
                drop(forth);
                poll_fn(|cx| late.as_mut().poll(cx)).await;
                moments
            })
            .await;
        assert_eq!(steps, [1, 3, 6]);
        task.await.unwrap();
    }
}
