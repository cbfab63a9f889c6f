//! What may be done with one job, whoever asks for it: the API or the page.

use std::time::Duration;

use jobs_core::JobId;
use jobs_ledger::{ClaimOutcome, Claimed, Due, JobRecord, Note, Stage};
use jobs_runner::{Resolution, RunOptions, RunnerErrorKind};

use super::access::Caller;
use super::problem::Problem;
use super::result_routes::{locate, why_not};
use super::state::ServeState;
use crate::exit::ExitCode;

/// How long a poll that costs money may take.
const PAID_POLL: Duration = Duration::from_secs(60);

/// Takes the job to be this one at the vendor.
pub(super) async fn adopt(
    state: &ServeState,
    job: &JobRecord,
    remote_id: &str,
    caller: &Caller,
) -> Result<(), Problem> {
    if job.stage != Stage::InDoubt {
        return Err(wrong_stage(job, "only a job in doubt can adopt"));
    }
    let remote_id = JobId::new(remote_id.trim())
        .map_err(|problem| Problem::bad_request(format!("remote_id: {problem}")))?;
    let decided = Resolution::Adopt(remote_id);
    Ok(state
        .runner
        .resolve(job.id, decided, &caller.as_word())
        .await?)
}

/// Waits for the job no longer.
pub(super) async fn abandon(
    state: &ServeState,
    job: &JobRecord,
    caller: &Caller,
) -> Result<(), Problem> {
    if job.stage.is_settled() {
        return Err(wrong_stage(job, "there is nothing to abandon"));
    }
    Ok(state
        .runner
        .resolve(job.id, Resolution::Abandon, &caller.as_word())
        .await?)
}

/// Brings the next poll forward; of a kind whose polls cost money only with the number of calls that are allowed.
pub(super) async fn poll(
    state: &ServeState,
    job: &JobRecord,
    calls: Option<u32>,
    caller: &Caller,
) -> Result<(), Problem> {
    if job.stage != Stage::Accepted {
        return Err(wrong_stage(
            job,
            "only a job that the vendor has accepted is polled",
        ));
    }
    let costs = state
        .runner
        .handler(&job.vendor, &job.kind)
        .is_some_and(jobs_runner::DynHandler::polls_cost);
    if !costs {
        let note = Note::new(caller.as_word());
        state.ledger.poll_soon(job.id, note).await?;
        return Ok(());
    }
    let Some(calls) = calls.filter(|calls| *calls > 0) else {
        return Err(Problem::conflict(
            "poll-costs",
            "Poll costs",
            format!(
                "each poll of job {} may be charged; say how many with {{\"calls\":1}}",
                job.id
            ),
        )
        .with_exit(ExitCode::QuotaExceeded)
        .with_job(job.id));
    };
    let made = u32::try_from(job.calls).unwrap_or(u32::MAX);
    let options = RunOptions::default()
        .with_deadline(PAID_POLL)
        .with_max_paid_polls(made.saturating_add(calls));
    match state.runner.run_job(job.id, &options).await {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            // The calls were made; the job is not there yet.
            RunnerErrorKind::PaidPollsSpent { .. } | RunnerErrorKind::Wait(_) => Ok(()),
            _ => Err(error.into()),
        },
    }
}

/// Has the result at a place again where it can be read.
pub(super) async fn fetch(
    state: &ServeState,
    job: &JobRecord,
    caller: &Caller,
) -> Result<(), Problem> {
    let asked = Note::new(format!("the result was asked for {}", caller.as_word()));
    match job.stage {
        Stage::Completed => {
            state.ledger.remark(job.id, asked).await?;
            locate(state, job, None, caller).await.map(drop)
        }
        Stage::Available | Stage::Downloading => {
            state.ledger.remark(job.id, asked).await?;
            if let ClaimOutcome::Claimed(claimed) = state.ledger.claim(job.id).await? {
                release(state, claimed).await?;
            }
            Ok(())
        }
        _ => Err(why_not(job)),
    }
}

/// Gives a job to whichever worker is next.
async fn release(state: &ServeState, claimed: Claimed) -> Result<(), Problem> {
    match claimed {
        Claimed::Available(claim, _) => state.ledger.release(claim, Due::Now).await?,
        Claimed::Downloading(claim, _) => state.ledger.release(claim, Due::Now).await?,
        _ => {}
    }
    Ok(())
}

fn wrong_stage(job: &JobRecord, why: &str) -> Problem {
    Problem::conflict(
        "wrong-stage",
        "Wrong stage",
        format!("job {} is {}: {why}", job.id, job.stage),
    )
    .with_job(job.id)
}
