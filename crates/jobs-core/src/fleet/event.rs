//! What a fleet reports, and why it does not watch a job.

use crate::error::Error;
use crate::id::{Account, JobId};
use crate::status::Snapshot;
use crate::wait_error::WaitError;

/// The wait for one job is over: reported exactly once for each watched job, unless it is unwatched first.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished<O, T = ()> {
    /// The tag that the caller put on the job.
    pub tag: T,
    /// The vendor.
    pub vendor: &'static str,
    /// The kind of job.
    pub kind: &'static str,
    /// The account.
    pub account: Account,
    /// The vendor's id.
    pub id: JobId,
    /// The output, or why there is none and the ticket to resume with.
    pub result: Result<O, WaitError>,
}

/// What a fleet reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum FleetEvent<O, T = ()> {
    /// The wait for a job is over.
    Finished(Finished<O, T>),
    /// A poll saw the job unfinished. Only of kinds that [report polls](crate::fleet::KindHandle::with_poll_events).
    Progress {
        /// The tag that the caller put on the job.
        tag: T,
        /// The vendor.
        vendor: &'static str,
        /// The kind of job.
        kind: &'static str,
        /// The vendor's id.
        id: JobId,
        /// What the poll saw.
        snapshot: Snapshot<()>,
    },
    /// A poll failed; the wait goes on. Only of kinds that [report polls](crate::fleet::KindHandle::with_poll_events).
    PollFailed {
        /// The tag that the caller put on the job.
        tag: T,
        /// The vendor.
        vendor: &'static str,
        /// The kind of job.
        kind: &'static str,
        /// The vendor's id.
        id: JobId,
        /// Why it failed.
        error: Error,
    },
}

/// Why a job is not watched. Nothing was sent, and nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The fleet watches it already; it is reported once.
    #[error("the fleet already watches the job")]
    AlreadyWatched,
    /// The fleet watches as many jobs as its capacity allows, or has been given 65 535 kinds of one account.
    #[error("the fleet is full")]
    AtCapacity,
    /// The fleet was shut down or dropped.
    #[error("the fleet was shut down")]
    ShutDown,
    /// The job is of another kind or account than the handle.
    #[error("the job is of another kind or account than the handle")]
    KindMismatch,
    /// The caller is outside of a tokio runtime, which runs the account's task.
    #[error("no tokio runtime is running here")]
    NoRuntime,
}
