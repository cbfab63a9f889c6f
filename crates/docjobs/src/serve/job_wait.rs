//! Waiting for a job on behalf of a client that is connected.

use std::time::Duration;

use jobs_core::clock::bounded;
use jobs_ledger::{JobRecord, LedgerId};

use super::problem::Problem;
use super::state::ServeState;

/// The ledger is asked so often even if nothing is told.
const INTERVAL: Duration = Duration::from_secs(2);

/// The job once that is so, or as it is after this time, or when the process is about to end.
pub(super) async fn within(
    state: &ServeState,
    id: LedgerId,
    wait: Duration,
    is_over: impl Fn(&JobRecord) -> bool,
) -> Result<JobRecord, Problem> {
    let limit = state.clock.now() + wait;
    let mut told = state.feed.subscribe();
    loop {
        let job = state.ledger.get(id).await?;
        let job =
            job.ok_or_else(|| Problem::not_found("the job was pruned meanwhile").with_job(id))?;
        let now = state.clock.now();
        if is_over(&job) || now >= limit || state.ending.has_begun() {
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
