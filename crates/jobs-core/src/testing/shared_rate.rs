//! A shared rate in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::id::Account;
use crate::rate_limit::{Acquired, RateLimit, SharedRate};

/// A [`SharedRate`] for the clients of one test, which can be told to fail. Clones are the same rate.
#[derive(Debug, Clone)]
pub struct InMemorySharedRate {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    fails: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct State {
    granted: Vec<(Account, String)>,
    /// For each window length, the places taken and when they are free again.
    taken: HashMap<(Account, String, Duration), Vec<(u64, Moment)>>,
}

impl InMemorySharedRate {
    /// A rate of which nothing is taken.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Arc::default(),
            fails: Arc::default(),
        }
    }

    /// The rate as clients take it.
    pub fn shared(&self) -> Arc<dyn SharedRate> {
        Arc::new(self.clone())
    }

    /// Fails from now on, or no longer.
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    /// The account and action of every request that was granted so far.
    pub fn granted(&self) -> Vec<(Account, String)> {
        self.state().granted.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SharedRate for InMemorySharedRate {
    async fn acquire(
        &self,
        account: Account,
        action: &str,
        windows: &[RateLimit],
    ) -> Result<Acquired, Error> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::LocalIo, "ledger", "take")
                .with_message("the store is out of reach"));
        }
        let now = self.clock.now();
        let mut state = self.state();
        let key = |window: &RateLimit| (account, action.to_owned(), window.per);
        let mut free_at = now;
        for window in windows {
            let taken = state.taken.entry(key(window)).or_default();
            taken.retain(|(_, free)| *free > now);
            taken.sort_by_key(|(_, free)| *free);
            let limit = usize::try_from(window.limit.get()).unwrap_or(usize::MAX);
            let over = taken.len().checked_sub(limit);
            if let Some((_, free)) = over.and_then(|over| taken.get(over)) {
                free_at = free_at.max(*free);
            }
        }
        if free_at > now {
            return Ok(Acquired::Wait(free_at.since(now)));
        }
        state.granted.push((account, action.to_owned()));
        let serial = u64::try_from(state.granted.len()).unwrap_or(u64::MAX);
        for window in windows {
            let place = (serial, now + window.per * 2);
            state.taken.entry(key(window)).or_default().push(place);
        }
        Ok(Acquired::Granted(serial))
    }

    async fn record_response(&self, account: Account, action: &str, serial: u64) {
        let now = self.clock.now();
        for ((of, under, per), taken) in &mut self.state().taken {
            for (number, free) in taken {
                if (*of, under.as_str(), *number) == (account, action, serial) {
                    *free = (*free).min(now + *per);
                }
            }
        }
    }
}
