//! What the commands of every vendor have in common.

use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::disk::OutputPath;
use jobs_core::http::{DownloadError, Verified};
use jobs_core::{Error, Job, JobId, JobKind, LostSubmit, Moment, SubmitError};
use jobs_ledger::{Claim, at};

use crate::exit::Stop;

/// A kind of job as the command line handles it.
#[async_trait]
pub(crate) trait Line: Send + Sync {
    type Kind: JobKind + 'static;
    /// What is handed to the vendor.
    type Order: Send + Sync;

    fn kind(&self) -> Arc<Self::Kind>;

    /// The order of a job that was written down and never sent, or whose submit was lost.
    fn order_again(&self, job: &jobs_ledger::JobRecord) -> Result<Self::Order, Stop>;

    /// Whether it brings the result of this job, which is of its kind, in the form that is wanted.
    fn serves(&self, job: &jobs_ledger::JobRecord) -> bool {
        let _ = job;
        true
    }

    /// Hands it to the vendor. **Costs money**, so it asks for the proof that the ledger has it on the disk.
    async fn submit(
        &self,
        written: &Claim<at::Submitting>,
        order: &Self::Order,
    ) -> Result<Job<Self::Kind>, SubmitError>;

    /// Whether the vendor can be searched for a job whose submit was lost.
    fn can_search(&self) -> bool {
        false
    }

    /// The jobs at the vendor that may be the one whose submit was lost. Free. Asked for only where it
    /// [can be](Self::can_search).
    async fn search(&self, order: &Self::Order, lost: &LostSubmit) -> Result<Vec<JobId>, Error> {
        let _ = (order, lost);
        Ok(Vec::new())
    }

    /// Brings what a finished job gives to the folder of its target, verified, until the deadline.
    async fn fetch(
        &self,
        output: <Self::Kind as JobKind>::Output,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<Brought, DownloadError>;

    /// How the name of a result ends, for one that was given no name.
    fn extension(&self) -> &'static str;

    /// Whether the result is text, which can be printed.
    fn is_text(&self) -> bool {
        false
    }

    /// Looks that cost money: how many may be made for one job, and how many this process has made.
    fn budget(&self, id: &JobId) -> Option<Budget> {
        let _ = id;
        None
    }

    /// Tells the kind how many looks that cost money other processes have made.
    fn spent_elsewhere(&self, calls: u32) {
        let _ = calls;
    }
}

/// What a finished job gave.
pub(crate) enum Brought {
    /// A file beside its place, which still has to get its name.
    File(Box<Verified>),
    /// An id, which is all there is.
    Text(String),
}

/// Looks that cost money.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// How many may be made.
    pub(crate) calls: u32,
    /// How many were made, in this process and before.
    pub(crate) made: u32,
}
