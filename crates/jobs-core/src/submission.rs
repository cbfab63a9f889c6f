//! The three ways in which a submit can end.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::Error;
use crate::id::JobId;
use crate::job::Job;
use crate::kind::JobKind;
use crate::retry::NotTaken;

/// What became of a submit.
///
/// Not a `Result`, so that the third way cannot be waved through with `?` as if it were a refusal.
#[derive(Debug)]
#[must_use = "an accepted job costs money, and an unknown outcome may have"]
pub enum Submission<K: JobKind + ?Sized> {
    /// The vendor took it.
    Accepted(Job<K>),
    /// The vendor did not take it; nothing was charged.
    Rejected(Error),
    /// It may have been taken and charged. It is never repeated by itself: search for the job, or decide.
    OutcomeUnknown(LostSubmit),
}

/// A submit whose outcome nobody knows.
#[derive(Debug, Clone)]
pub struct LostSubmit {
    /// What was sent, such as the file's name and size.
    pub summary: Box<str>,
    /// When the request was begun.
    pub sent_at: SystemTime,
    /// What came instead of a trustworthy answer.
    pub error: Error,
}

/// A submit that brought no job.
#[derive(Debug, Clone)]
pub enum SubmitError {
    /// The vendor did not take it; nothing was charged.
    Rejected(Error),
    /// It may have been taken and charged.
    OutcomeUnknown(LostSubmit),
}

impl<K: JobKind + ?Sized> Submission<K> {
    /// Builds the outcome from that of the paid call. `what` describes the input for whoever has to search for it.
    pub fn new(
        kind: &Arc<K>,
        what: &str,
        sent_at: SystemTime,
        outcome: Result<JobId, NotTaken>,
    ) -> Self {
        match outcome {
            Ok(id) => Self::Accepted(Job::accepted(Arc::clone(kind), id)),
            Err(NotTaken::Rejected(error)) => Self::Rejected(error),
            Err(NotTaken::OutcomeUnknown(error)) => Self::OutcomeUnknown(LostSubmit {
                summary: what.into(),
                sent_at,
                error,
            }),
        }
    }

    /// The job, if there is one.
    ///
    /// # Errors
    /// [`SubmitError`], which keeps refused and unknown apart.
    pub fn into_result(self) -> Result<Job<K>, SubmitError> {
        match self {
            Self::Accepted(job) => Ok(job),
            Self::Rejected(error) => Err(SubmitError::Rejected(error)),
            Self::OutcomeUnknown(lost) => Err(SubmitError::OutcomeUnknown(lost)),
        }
    }
}

impl fmt::Display for LostSubmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "outcome unknown: the submit of {} may have been taken and charged, and is not repeated: {}",
            self.summary, self.error
        )
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(error) => error.fmt(f),
            Self::OutcomeUnknown(lost) => lost.fmt(f),
        }
    }
}

impl std::error::Error for SubmitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rejected(error) => error.source(),
            Self::OutcomeUnknown(lost) => Some(&lost.error),
        }
    }
}
