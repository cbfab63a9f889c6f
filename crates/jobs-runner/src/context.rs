//! What every part of a runner works with: the ledger, who hears of events, and the workers of this process.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jobs_core::JobId;
use jobs_ledger::{JobRecord, Ledger, LedgerError};

use crate::observer::{NoObserver, Observer, RunnerEvent};

/// Brings the next poll of a job forward, where a scheduler of this process watches it.
type PollSoon = Box<dyn Fn(&str, &JobId) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) ledger: Ledger,
    pub(crate) observer: Arc<dyn Observer>,
    schedulers: Arc<Mutex<Vec<(u64, PollSoon)>>>,
}

/// A scheduler that can be told to poll soon, as long as this lives.
pub(crate) struct Registered {
    schedulers: Arc<Mutex<Vec<(u64, PollSoon)>>>,
    number: u64,
}

impl Context {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            observer: Arc::new(NoObserver),
            schedulers: Arc::default(),
        }
    }

    pub(crate) fn event(&self, event: &RunnerEvent<'_>) {
        self.observer.on_event(event);
    }

    /// The place of a job's result that this user gave on this machine: nothing is written to anybody else's.
    pub(crate) fn own_output(&self, job: &JobRecord) -> Option<PathBuf> {
        let is_own = self.ledger.is_own_output(job);
        job.output.clone().filter(|_| is_own)
    }

    pub(crate) fn ledger_trouble(&self, error: &LedgerError) {
        self.event(&RunnerEvent::LedgerTrouble {
            job: None,
            error,
            is_retried: false,
        });
    }

    pub(crate) fn register(
        &self,
        poll_soon: impl Fn(&str, &JobId) + Send + Sync + 'static,
    ) -> Registered {
        let mut schedulers = lock(&self.schedulers);
        let number = schedulers.last().map_or(0, |(last, _)| last + 1);
        schedulers.push((number, Box::new(poll_soon)));
        Registered {
            schedulers: Arc::clone(&self.schedulers),
            number,
        }
    }

    pub(crate) fn poll_soon(&self, vendor: &str, id: &JobId) {
        for (_, poll_soon) in lock(&self.schedulers).iter() {
            poll_soon(vendor, id);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.schedulers).retain(|(number, _)| *number != self.number);
    }
}

fn lock<T>(schedulers: &Mutex<T>) -> MutexGuard<'_, T> {
    schedulers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}
