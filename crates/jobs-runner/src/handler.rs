//! What a kind of job must offer so that it can be run durably.

use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::clock::Moment;
use jobs_core::disk::OutputPath;
use jobs_core::http::{DownloadError, Verified};
use jobs_core::vendor::JobKind;
use jobs_core::{Error, Job, JobId, LostSubmit, SubmitError};
use jobs_ledger::{Claim, Estimate, at};
use serde_json::Value;

use crate::job_input::{InputError, InputSource, JobInput};
use crate::option_spec::OptionSpec;

/// One kind of job, in all formats of its result.
///
/// The runner owns the order of the steps and the ledger; a handler only knows how one vendor does each of them.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The kind that is polled. Its output is a link or an id, cheap to copy: a fetch that fails is tried again with it.
    type Kind: JobKind<Output: Clone> + 'static;
    /// What the vendor is handed.
    type Input: Send + Sync + 'static;

    /// The kind of the account in use.
    fn kind(&self) -> Arc<Self::Kind>;

    /// The documented options that [`input`](Self::input) takes, each by its name.
    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    /// Describes an input for a program that has no types for it, such as an HTTP API. `options` is a JSON object.
    ///
    /// # Errors
    /// [`InputError`] for a source or an option that this kind does not take.
    fn input(&self, source: InputSource, options: &Value) -> Result<JobInput, InputError>;

    /// Builds the input of a recorded job anew: it was written down and never sent, or its submit was lost.
    ///
    /// # Errors
    /// [`InputError`] when it cannot be read any more, or is no longer what it was.
    fn rebuild_input(&self, job: &jobs_ledger::JobRecord) -> Result<Self::Input, InputError>;

    /// Hands the input to the vendor. **Costs money**, so it asks for the proof that the ledger has flushed the intent to
    /// the disk.
    async fn submit(
        &self,
        permit: &Claim<at::Submitting>,
        input: &Self::Input,
    ) -> Result<Job<Self::Kind>, SubmitError>;

    /// Whether the vendor can be searched for a job whose submit was lost.
    fn can_search(&self) -> bool {
        false
    }

    /// Lists the jobs at the vendor that may be the one whose submit was lost. Free. Called only where the kind
    /// [can be searched](Self::can_search).
    async fn search(&self, input: &Self::Input, lost: &LostSubmit) -> Result<Vec<JobId>, Error> {
        let _ = (input, lost);
        Ok(Vec::new())
    }

    /// Downloads and verifies what a completed job gave, beside the target, until the deadline.
    async fn fetch(
        &self,
        output: <Self::Kind as JobKind>::Output,
        format: Option<&str>,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<FetchedResult, DownloadError>;

    /// The formats in which a result can be had, the default first; empty where there is no choice.
    fn formats(&self) -> &'static [&'static str] {
        &[]
    }

    /// The extension of the name of a result.
    fn extension(&self, format: Option<&str>) -> &'static str;

    /// Whether a result is text, which can be printed.
    fn is_text(&self, format: Option<&str>) -> bool {
        let _ = format;
        false
    }

    /// The extensions of the documents that the vendor takes, in lower case; empty where no document is taken.
    fn accepted_types(&self) -> &'static [&'static str] {
        &[]
    }

    /// The largest document with this extension that the vendor takes, in bytes.
    fn largest_document(&self, extension: &str) -> u64 {
        let _ = extension;
        u64::MAX
    }

    /// Whether the vendor fetches a document from an address itself.
    fn accepts_url(&self) -> bool {
        false
    }

    /// Whether polls of this kind may cost money.
    fn polls_cost(&self) -> bool {
        false
    }

    /// For a kind whose [polls cost](Self::polls_cost): how many the record of this job allows. Zero where nobody has
    /// allowed any yet.
    fn paid_polls(&self, job: &jobs_ledger::JobRecord) -> u32 {
        let _ = job;
        0
    }

    /// The kind that keeps within a budget of paid polls.
    fn kind_within(&self, budget: CallBudget) -> Arc<Self::Kind> {
        let _ = budget;
        self.kind()
    }

    /// How many paid polls `kind` has made for a job, those before it included.
    fn calls_made(&self, kind: &Self::Kind, id: &JobId) -> u32 {
        let _ = (kind, id);
        0
    }

    /// What a submit of this input will be charged, in the vendor's [unit](Self::unit), as far as that can be known here.
    /// Free; may read the input.
    fn estimate(&self, input: &Self::Input) -> Estimate {
        let _ = input;
        Estimate::Unknown
    }

    /// What the vendor charges for a job that failed there, in its [unit](Self::unit); none where that is not documented,
    /// and what was reserved counts as charged.
    fn charge_of_failed(&self) -> Option<u64> {
        None
    }

    /// The unit in which the vendor charges, such as `page`.
    fn unit(&self) -> &'static str {
        "job"
    }
}

/// What a completed job gave.
#[derive(Debug)]
pub struct FetchedResult {
    pub(crate) content: Content,
    pub(crate) charge: Option<u64>,
}

#[derive(Debug)]
pub(crate) enum Content {
    File(Box<Verified>),
    Text(String),
}

impl FetchedResult {
    /// A verified file beside its target, which still has to get its name.
    pub fn file(verified: Verified) -> Self {
        Self {
            content: Content::File(Box::new(verified)),
            charge: None,
        }
    }

    /// An id, which is all there is.
    pub fn text(id: impl Into<String>) -> Self {
        Self {
            content: Content::Text(id.into()),
            charge: None,
        }
    }

    /// What the job was charged, in the vendor's [unit](Handler::unit), where that is told; without it, the estimate counts.
    #[must_use]
    pub fn with_charge(mut self, units: Option<u64>) -> Self {
        self.charge = units;
        self
    }
}

/// Polls that cost money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallBudget {
    /// How many may be made for a job.
    pub calls: u32,
    /// How many were made before.
    pub made: u32,
}
