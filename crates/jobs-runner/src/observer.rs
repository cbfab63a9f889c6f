//! What a program may hear while its jobs run. Nothing here is printed.

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jobs_core::vendor::{Activity, JobKind, Progress};
use jobs_core::{Error, Job, JobId, Snapshot, Status, Ticket};
use jobs_ledger::{LedgerError, LedgerId};

use crate::error::RunnerError;
use crate::output::DeliveredOutput;

/// Hears what happens. Called on the runtime's threads, so it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn on_event(&self, event: &RunnerEvent<'_>);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn on_event(&self, _: &RunnerEvent<'_>) {}
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunnerEvent<'a> {
    /// The same input is a job of the ledger already; the run continues with it.
    Attached(&'a jobs_ledger::JobRecord),
    /// A paid call is doing this.
    Activity(&'a Activity),
    /// The vendor has taken a job.
    Accepted {
        /// The job.
        job: &'a JobLabel,
        /// What any process can continue with.
        ticket: &'a Ticket,
    },
    /// The answer to a submit was lost, and exactly one job at the vendor fits.
    Adopted(&'a JobLabel),
    /// A poll saw a job unfinished.
    Progress(&'a ProgressUpdate<'a>),
    /// A poll, or a search for a lost submit, failed; it is repeated.
    PollFailed(&'a Error),
    /// The result of a completed job could not be had; a fresh link is asked for after the pause.
    FetchFailed {
        /// Why.
        error: &'a Error,
        /// How long until then.
        pause: Duration,
    },
    /// Something is odd about a result that is delivered all the same.
    Warning(&'a str),
    /// A worker that only polls has seen a job completed at the vendor.
    Available(LedgerId),
    /// The worker has delivered a result.
    Completed {
        /// The job.
        job: &'a JobLabel,
        /// Where the result is.
        output: &'a DeliveredOutput,
    },
    /// A job that the worker was given was settled before the worker could claim it.
    SettledElsewhere(&'a jobs_ledger::JobRecord),
    /// The worker has settled a job without a result, or the wait for it ended.
    Ended {
        /// The job.
        job: LedgerId,
        /// How it ended.
        error: &'a RunnerError,
    },
    /// The worker tries a job again later.
    Delayed {
        /// The job.
        job: LedgerId,
        /// What kept it from going on.
        error: &'a RunnerError,
        /// When it is due again.
        until: SystemTime,
    },
    /// The worker left a job for a person to decide, or to act.
    Parked {
        /// The job.
        job: LedgerId,
        /// Why.
        error: &'a RunnerError,
    },
    /// The worker let go of a job: its claim is lost, or the ledger could not be written. Who claims it next continues.
    Dropped {
        /// The job.
        job: LedgerId,
        /// Why.
        error: &'a RunnerError,
    },
    /// The ledger could not be read or written.
    LedgerTrouble {
        /// The job that is concerned.
        job: Option<LedgerId>,
        /// What it said.
        error: &'a LedgerError,
        /// Whether the same is tried again at once.
        is_retried: bool,
    },
}

/// What a poll saw of an unfinished job.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProgressUpdate<'a> {
    /// The vendor.
    pub vendor: &'static str,
    /// The kind of job.
    pub kind: &'static str,
    /// The vendor's id.
    pub job_id: &'a JobId,
    /// Whether the vendor has not begun yet.
    pub is_queued: bool,
    /// The vendor's word for the state.
    pub vendor_status: &'a str,
    /// Whether the word is documented.
    pub is_known: bool,
    /// How far it is.
    pub progress: &'a Progress,
}

impl<'a> ProgressUpdate<'a> {
    pub(crate) fn new<K: JobKind + ?Sized>(
        kind: &K,
        job_id: &'a JobId,
        snapshot: &'a Snapshot<K::Output>,
    ) -> Self {
        Self {
            vendor: kind.vendor(),
            kind: kind.name(),
            job_id,
            is_queued: matches!(snapshot.status, Status::Queued),
            vendor_status: &snapshot.vendor_status,
            is_known: snapshot.is_known,
            progress: &snapshot.progress,
        }
    }
}

/// A job by all its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLabel {
    /// Its id in the ledger.
    pub id: LedgerId,
    /// The vendor.
    pub vendor: &'static str,
    /// The kind of job.
    pub kind: &'static str,
    /// Its id at the vendor.
    pub job_id: JobId,
}

impl JobLabel {
    pub(crate) fn of<K: JobKind>(id: LedgerId, job: &Job<K>) -> Self {
        Self {
            id,
            vendor: job.kind().vendor(),
            kind: job.kind().name(),
            job_id: job.id().clone(),
        }
    }
}

impl fmt::Display for JobLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} job {}", self.vendor, self.job_id)
    }
}

/// A completed job and its result.
#[derive(Debug)]
pub struct CompletedJob {
    /// The job.
    pub label: JobLabel,
    /// Its result.
    pub output: DeliveredOutput,
}

impl CompletedJob {
    /// The file, if the result is one that stays.
    pub fn path(&self) -> Option<&Path> {
        self.output.path()
    }
}
