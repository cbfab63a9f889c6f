//! One caller at a time, the others asleep without a timer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::rate_limit::stride_queue::{RequestClass, StrideQueue};

/// Lets one caller through; when it is done, the next in [`StrideQueue`].
#[derive(Clone)]
pub(super) struct FairLock(Arc<Mutex<State>>);

struct State {
    taken: bool,
    waiting: StrideQueue<oneshot::Sender<FairLockGuard>>,
}

/// Being the one caller. Dropping it lets the next one through.
pub(super) struct FairLockGuard(Option<FairLock>);

impl FairLock {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            taken: false,
            waiting: StrideQueue::new(),
        })))
    }

    /// Waits for the turn. A dropped call leaves nothing behind: a turn that nobody took is handed on.
    pub(super) async fn lock(&self, class: RequestClass) -> FairLockGuard {
        {
            let mut state = self.state();
            if !state.taken && state.waiting.pass(class) {
                state.taken = true;
                return FairLockGuard(Some(self.clone()));
            }
        }
        loop {
            let (sender, receiver) = oneshot::channel();
            self.state().waiting.push(class, sender);
            self.let_in();
            // The sender leaves the order only with a turn, so this ends with the first round.
            if let Ok(turn) = receiver.await {
                return turn;
            }
        }
    }

    /// Lets the next one in if nobody is. A loop, because thousands who gave up may stand in between.
    fn let_in(&self) {
        loop {
            let next = {
                let mut state = self.state();
                if state.taken {
                    return;
                }
                let Some(next) = state.waiting.pop(|sender| !sender.is_closed()) else {
                    return;
                };
                state.taken = true;
                next
            };
            let Err(mut refused) = next.send(FairLockGuard(Some(self.clone()))) else {
                return;
            };
            refused.0 = None;
            self.state().taken = false;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FairLockGuard {
    fn drop(&mut self) {
        if let Some(lock) = self.0.take() {
            lock.state().taken = false;
            lock.let_in();
        }
    }
}

impl fmt::Debug for FairLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turnstile")
            .field("taken", &self.state().taken)
            .finish_non_exhaustive()
    }
}
