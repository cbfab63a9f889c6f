//! Waiting for a job on behalf of a client that is connected.

use std::time::Duration;

use jobs_core::clock::{Moment, bounded};
use jobs_ledger::{JobRecord, LedgerId};

use super::problem::Problem;
use super::state::ServeState;

/// The ledger is asked so often even if nothing is told.
const INTERVAL: Duration = Duration::from_secs(2);

/// The job once it is settled or waits for a person, or as it is after this time, or when the process is about to end.
pub(super) async fn settled_within(
    state: &ServeState,
    id: LedgerId,
    wait: Duration,
) -> Result<JobRecord, Problem> {
    settled_by(state, id, state.clock.now() + wait).await
}

async fn settled_by(state: &ServeState, id: LedgerId, limit: Moment) -> Result<JobRecord, Problem> {
    let mut told = state.feed.subscribe();
    loop {
        let job = state.ledger.get(id).await?;
        let job =
            job.ok_or_else(|| Problem::not_found("the job was pruned meanwhile").with_job(id))?;
        let now = state.clock.now();
        let waits_for_a_person = job.parked.is_some() && !job.claimed;
        let is_over = job.stage.is_settled() || waits_for_a_person;
        if is_over || now >= limit || state.ending.has_begun() {
            return Ok(job);
        }
        let changed = async {
            // What was missed may have been about it.
            while told.recv().await.is_ok_and(|event| event.job != id) {}
        };
        tokio::select! {
            _ = bounded(state.clock.as_ref(), limit.min(now + INTERVAL), changed) => {}
            () = state.ending.begun() => {}
        }
    }
}
