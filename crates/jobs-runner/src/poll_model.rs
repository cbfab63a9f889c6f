//! How long jobs take, learnt by the workers of a ledger together and kept in it.

use std::sync::{Arc, Mutex, PoisonError};

use jobs_core::vendor::{Account, AdaptiveSchedule, KindPolicy, PollSchedule};
use jobs_ledger::Ledger;

use crate::observer::{Observer, RunnerEvent};

/// The poll schedules of a process that adapt to how long jobs take. Made before the clients; the
/// [worker](crate::Worker) loads them from the ledger and keeps them there.
#[derive(Debug, Clone, Default)]
pub struct PollModels(Arc<Mutex<Vec<(&'static str, AdaptiveSchedule)>>>);

/// What the jobs of one account taught.
pub(crate) struct PollModel {
    account: Account,
    learned: AdaptiveSchedule,
    kept: u64,
}

/// The name under which the ledger keeps it.
const KEY: &str = "durations";

impl PollModels {
    /// Makes these facts pace by what is learnt, and by what they said until enough is. For the builder of a client.
    pub fn learn(&self, vendor: &'static str, facts: &mut KindPolicy) {
        let learned = AdaptiveSchedule::new(facts.schedule.value.clone()).with_bounds(
            facts.initial_delay.value,
            facts.min_interval.value,
            facts.max_interval.value,
        );
        facts.schedule.set(PollSchedule::Adaptive(learned.clone()));
        self.lock().push((vendor, learned));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(&'static str, AdaptiveSchedule)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pacing of an account of `vendor`, as the ledger knows it from other days and other workers. Given out once.
    pub(crate) async fn recall(
        &self,
        ledger: &Ledger,
        vendor: &str,
        account: Account,
    ) -> Option<PollModel> {
        let learned = {
            let mut paces = self.lock();
            let at = paces.iter().position(|(name, _)| *name == vendor)?;
            paces.swap_remove(at).1
        };
        let kept = ledger.get_value(account, KEY).await.ok().flatten();
        if let Some(durations) = kept.and_then(|text| text.parse().ok()) {
            learned.replace_durations(durations);
        }
        Some(PollModel {
            account,
            kept: learned.durations().samples(),
            learned,
        })
    }
}

impl PollModel {
    /// Writes down what was learnt since the last time.
    pub(crate) async fn keep(&mut self, ledger: &Ledger, observer: &dyn Observer) {
        let durations = self.learned.durations();
        if durations.samples() == self.kept {
            return;
        }
        self.kept = durations.samples();
        if let Err(problem) = ledger
            .put_value(self.account, KEY, &durations.to_text())
            .await
        {
            observer.on_event(&RunnerEvent::LedgerTrouble {
                job: None,
                error: &problem,
                is_retried: false,
            });
        }
    }
}
