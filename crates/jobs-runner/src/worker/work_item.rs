//! What a worker does beside polling: paid calls, searches, recoveries, fetches.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jobs_core::clock::Moment;
use jobs_core::vendor::Account;
use jobs_core::{JobId, LostSubmit};
use jobs_ledger::{Claim, Claimed, JobRecord, LedgerId, Note, at};
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use crate::context::Context;
use crate::durable_steps::{self, FetchOutcome, SearchOutcome};
use crate::dyn_handler::{DynSubmitOutcome, Plan, Start};
use crate::error::RunnerError;
use crate::fleet_lane::FetchTask;
use crate::options::{RunOptions, RunOutcome};
use crate::output::OutputTarget;

/// What every task of a worker has at hand.
#[derive(Clone)]
pub(super) struct WorkerContext {
    pub(super) context: Context,
    /// Cancelled when the worker is to end.
    pub(super) shutdown: CancellationToken,
    /// Whether a file that is at the place of a result is replaced.
    pub(super) overwrites: bool,
    /// Whether a result is delivered that arrived whole and does not pass its check.
    pub(super) accepts_unverified: bool,
}

/// What waits for a free task.
pub(super) enum WorkItem {
    /// The moment at which it is given up, if it is given one when it begins.
    Submit(Entry, Claim<at::Intended>, Box<JobRecord>, Option<Moment>),
    Search(Entry, Claim<at::InDoubt>, Box<JobRecord>, LostSubmit),
    /// A job whose process was stopped between its last poll and *done*.
    Recover(Entry, Box<Claimed>, PathBuf),
    Fetch(
        Entry,
        Claim<at::Accepted>,
        JobId,
        FetchTask,
        PathBuf,
        Option<&'static str>,
    ),
    /// A job that is not polled with others: its polls cost money, so each is counted before it is made, or its result came
    /// whole and broken and is not fetched again.
    Alone(Entry, Box<Claimed>, PathBuf, RunOptions, Duration),
}

/// How much a task of the worker may be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkClass {
    /// Must not be broken off.
    PaidCall,
    /// Can be broken off and begun anew.
    Fetch,
    Other,
}

/// What a task has done.
pub(super) enum Outcome {
    Submitted(Entry, Box<JobRecord>, DynSubmitOutcome),
    Searched(Entry, Box<JobRecord>, LostSubmit, SearchOutcome),
    Recovered(Entry, Box<JobRecord>, Option<Claim<at::Accepted>>),
    Fetched(Entry, JobId, FetchOutcome),
    RunAlone(RunOutcome),
    RunAloneFailed(RunnerError),
    /// There is no place for the result.
    NoTarget(RunnerError),
}

impl WorkItem {
    pub(super) fn class(&self) -> WorkClass {
        match self {
            Self::Submit(..) => WorkClass::PaidCall,
            Self::Fetch(..) => WorkClass::Fetch,
            Self::Search(..) | Self::Recover(..) | Self::Alone(..) => WorkClass::Other,
        }
    }

    pub(super) fn account(&self) -> Account {
        match self {
            Self::Submit(entry, ..)
            | Self::Search(entry, ..)
            | Self::Recover(entry, ..)
            | Self::Fetch(entry, ..)
            | Self::Alone(entry, ..) => entry.account(),
        }
    }

    pub(super) fn job(&self) -> LedgerId {
        match self {
            Self::Submit(_, claim, ..) => claim.job(),
            Self::Search(_, claim, ..) => claim.job(),
            Self::Recover(_, claimed, _) | Self::Alone(_, claimed, ..) => claimed.job().id,
            Self::Fetch(_, claim, ..) => claim.job(),
        }
    }

    pub(super) async fn run(self, worker: &WorkerContext) -> Result<Outcome, RunnerError> {
        let context = &worker.context;
        match self {
            Self::Submit(entry, claim, row, deadline) => {
                let submitted = entry
                    .handler
                    .submit(context, &worker.shutdown, deadline, claim, &row)
                    .await?;
                Ok(Outcome::Submitted(entry, row, submitted))
            }
            Self::Search(entry, claim, row, lost) => {
                let searched = entry.handler.search(context, claim, &row, &lost).await?;
                Ok(Outcome::Searched(entry, row, lost, searched))
            }
            Self::Recover(entry, claimed, path) => match *claimed {
                Claimed::Available(claim, row) => recover(context, entry, claim, row, &path).await,
                Claimed::Downloading(claim, row) => {
                    recover(context, entry, claim, row, &path).await
                }
                other => Err(RunnerError::unexpected(format!(
                    "job {} cannot be continued by this version",
                    other.job().id
                ))),
            },
            Self::Fetch(entry, claim, id, fetch, path, format) => {
                match OutputTarget::of_paid(&path, worker.overwrites) {
                    Ok(target) => {
                        let accepts = worker.accepts_unverified;
                        let fetched = fetch
                            .begin(context.clone(), claim, target, format, accepts)
                            .await?;
                        Ok(Outcome::Fetched(entry, id, fetched))
                    }
                    Err(error) => Ok(Outcome::NoTarget(error)),
                }
            }
            Self::Alone(entry, claimed, path, options, retry_after) => {
                let target = match OutputTarget::at(Some(&path), worker.overwrites) {
                    Ok(target) => target,
                    Err(error) => return Ok(Outcome::NoTarget(error)),
                };
                let plan = Plan {
                    context,
                    options: &options,
                    target: &target,
                    deadline: entry.handler.clock().now() + options.deadline,
                    live: None,
                    retry_after: Some(retry_after),
                };
                let run = entry.handler.run(plan, Start::Claimed(*claimed)).await;
                Ok(match run {
                    Ok(outcome) => Outcome::RunAlone(outcome),
                    Err(error) => Outcome::RunAloneFailed(error),
                })
            }
        }
    }
}

/// The result may have got its name just before the process was stopped; else the job is polled again.
async fn recover<S: jobs_ledger::WithResult>(
    context: &Context,
    entry: Entry,
    claim: Claim<S>,
    row: JobRecord,
    path: &Path,
) -> Result<Outcome, RunnerError> {
    let ledger = &context.ledger;
    if let Some(digest) = durable_steps::arrived(ledger, &row, path).await? {
        durable_steps::is_here(ledger, &claim, path, digest).await?;
        return Ok(Outcome::Recovered(entry, Box::new(row), None));
    }
    let held = ledger.record_link_expired(&claim, Note::none()).await?;
    Ok(Outcome::Recovered(entry, Box::new(row), Some(held)))
}
