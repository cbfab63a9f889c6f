//! How one job is run, and how that ends well.

use std::path::PathBuf;
use std::time::Duration;

use jobs_core::Ticket;
use jobs_ledger::LedgerId;
use tokio_util::sync::CancellationToken;

use crate::observer::{CompletedJob, JobLabel};

/// How one job is run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunOptions {
    /// How long it may take, from the call on, by the vendor's clock.
    pub deadline: Duration,
    /// Where the result goes.
    pub output: OutputChoice,
    /// Whether a file that is there is replaced, at once and as a whole.
    pub overwrite: bool,
    /// The format of the result; the one on record unless given.
    pub format: Option<String>,
    /// Whether a result is delivered that arrived whole and does not pass its check.
    pub accept_unverified: bool,
    /// How many paid polls may be made for the job in all; what its record allows unless given.
    pub max_paid_polls: Option<u32>,
    /// Whether to return as soon as the vendor has accepted a submit.
    pub until_accepted: bool,
    /// Cancelled when the program ends. What is under way is then left so that it can be continued.
    pub shutdown: CancellationToken,
}

/// Where the result of a run goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputChoice {
    /// Where the job's record says, unless it was put there before; else as for [`Scratch`](Self::Scratch).
    #[default]
    Recorded,
    /// This file.
    File(PathBuf),
    /// No place of its own: the verified bytes are handed to the caller.
    Scratch,
}

/// How a run ended without an error.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunOutcome {
    /// The vendor has the job; only where the run was to go so far.
    Accepted(JobLabel, Ticket),
    /// The result is delivered.
    Completed(CompletedJob),
    /// The result was at its place before.
    AlreadyThere {
        /// The job whose result it is.
        job: LedgerId,
        /// Where it is.
        path: PathBuf,
    },
}

impl Default for RunOptions {
    /// Half an hour.
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30 * 60),
            output: OutputChoice::Recorded,
            overwrite: false,
            format: None,
            accept_unverified: false,
            max_paid_polls: None,
            until_accepted: false,
            shutdown: CancellationToken::new(),
        }
    }
}

impl RunOptions {
    /// Sets how long it may take.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Puts the result there.
    #[must_use]
    pub fn with_output(mut self, output: OutputChoice) -> Self {
        self.output = output;
        self
    }

    /// Whether a file that is there is replaced.
    #[must_use]
    pub fn overwriting(mut self, overwrites: bool) -> Self {
        self.overwrite = overwrites;
        self
    }

    /// Asks for a format of the result.
    #[must_use]
    pub fn with_format(mut self, format: impl Into<String>) -> Self {
        self.format = Some(format.into());
        self
    }

    /// Delivers what arrived whole, whatever its check says.
    #[must_use]
    pub fn accepting_unverified(mut self, accepts: bool) -> Self {
        self.accept_unverified = accepts;
        self
    }

    /// Allows so many paid polls for the job in all.
    #[must_use]
    pub fn with_max_paid_polls(mut self, calls: u32) -> Self {
        self.max_paid_polls = Some(calls);
        self
    }

    /// Returns as soon as the vendor has accepted a submit.
    #[must_use]
    pub fn until_accepted(mut self, until_accepted: bool) -> Self {
        self.until_accepted = until_accepted;
        self
    }

    /// Ends early when this is cancelled.
    #[must_use]
    pub fn with_shutdown(mut self, shutdown: CancellationToken) -> Self {
        self.shutdown = shutdown;
        self
    }
}
