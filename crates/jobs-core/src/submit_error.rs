//! How a submit ends without a job: rejected, or with an unknown outcome.

use std::fmt;
use std::time::SystemTime;

use crate::error::Error;

/// A submit that brought no job.
///
/// `?` hands both ways on together; whoever repeats the submit has to tell them apart, because an unknown outcome may have
/// been charged.
#[derive(Debug, Clone)]
pub enum SubmitError {
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

impl SubmitError {
    /// Whether the job may exist and may have been charged.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown(_))
    }

    /// What went wrong with the request.
    pub fn error(&self) -> &Error {
        match self {
            Self::Rejected(error) => error,
            Self::OutcomeUnknown(lost) => &lost.error,
        }
    }
}

/// Found before anything was sent, or refused by the vendor.
impl From<Error> for SubmitError {
    fn from(error: Error) -> Self {
        Self::Rejected(error)
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
