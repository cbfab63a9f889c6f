//! The jobs at a vendor that may be the one whose answer was lost.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobs_core::clock::{Clock, Moment, bounded};
use jobs_ledger::LedgerId;
use jobs_runner::Runner;

/// What the vendors list for jobs in doubt. Asking is free and takes part of the account's rate, so an answer is kept for
/// a while.
#[derive(Default)]
pub(super) struct Candidates(Mutex<HashMap<LedgerId, (Moment, Vec<String>)>>);

/// How long an answer is kept.
const FRESH: Duration = Duration::from_secs(60);
/// How long a page waits for a vendor.
const PATIENCE: Duration = Duration::from_secs(3);

impl Candidates {
    pub(super) async fn of(
        &self,
        runner: &Runner,
        clock: &dyn Clock,
        job: LedgerId,
    ) -> Vec<String> {
        let now = clock.now();
        if let Some((asked, found)) = self.known().get(&job)
            && now.since(*asked) < FRESH
        {
            return found.clone();
        }
        let asked = runner.candidates(job);
        let found = bounded(clock, now + PATIENCE, asked).await;
        let found: Vec<String> = match found {
            Some(Ok(found)) => found.iter().map(|id| id.as_str().to_owned()).collect(),
            Some(Err(problem)) => {
                tracing::debug!("cannot search for job {job}: {problem}");
                Vec::new()
            }
            None => Vec::new(),
        };
        let mut known = self.known();
        known.retain(|_, (asked, _)| now.since(*asked) < FRESH);
        known.insert(job, (now, found.clone()));
        found
    }

    fn known(&self) -> MutexGuard<'_, HashMap<LedgerId, (Moment, Vec<String>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
