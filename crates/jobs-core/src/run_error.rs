//! Everything that ends the short path, from the settings to the result, in one type.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::error::{Error, ErrorKind};
use crate::submit_error::SubmitError;
use crate::ticket::Ticket;
use crate::wait_error::WaitError;

/// What went wrong between a client's settings and a result on disk.
///
/// Every step of the short path gives it or turns into it, so that one `?` after another is enough. Two questions matter
/// before anything is tried again: [`is_outcome_unknown`](Self::is_outcome_unknown) and [`ticket`](Self::ticket).
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// A setting, a document or a free call. Nothing was charged by it.
    Request(Error),
    /// The submit brought no job.
    Submit(SubmitError),
    /// The job was accepted, and the wait for it ended without the output.
    Wait(WaitError),
    /// The job is done, and its result was not had yet.
    Fetch {
        /// What went wrong.
        error: Error,
        /// With it, the result can be had later.
        ticket: Box<Ticket>,
    },
}

impl RunError {
    /// Whether a job may exist and may have been charged that nobody knows the id of. Running the same again may pay twice.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Submit(error) if error.is_outcome_unknown())
    }

    /// The ticket to resume with, if a job was accepted: `client.resume(ticket)`. Running the same again would pay twice.
    pub fn ticket(&self) -> Option<&Ticket> {
        match self {
            Self::Request(_) | Self::Submit(_) => None,
            Self::Wait(error) => Some(error.ticket()),
            Self::Fetch { ticket, .. } => Some(ticket),
        }
    }

    /// What went wrong with a request, where one did.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Request(error) | Self::Fetch { error, .. } => Some(error),
            Self::Submit(error) => Some(error.error()),
            Self::Wait(error) => error.last_error(),
        }
    }
}

impl From<Error> for RunError {
    fn from(error: Error) -> Self {
        Self::Request(error)
    }
}

impl From<SubmitError> for RunError {
    fn from(error: SubmitError) -> Self {
        Self::Submit(error)
    }
}

impl From<WaitError> for RunError {
    fn from(error: WaitError) -> Self {
        Self::Wait(error)
    }
}

/// A document that cannot be opened.
impl From<io::Error> for RunError {
    fn from(cause: io::Error) -> Self {
        let message = cause.to_string();
        let error = Error::new(ErrorKind::LocalIo, "docjobs", "open").with_message(message);
        Self::Request(error.with_source(cause))
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Submit(error) => error.fmt(f),
            Self::Wait(error) => error.fmt(f),
            Self::Fetch { error, ticket } => {
                write!(f, "{error}; the job is done, ticket: {ticket}")
            }
        }
    }
}

impl StdError for RunError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Request(error) | Self::Fetch { error, .. } => error.source(),
            Self::Submit(error) => error.source(),
            Self::Wait(error) => error.source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::JobId;
    use crate::id::Account;
    use crate::submit_error::LostSubmit;

    #[test]
    fn only_a_lost_submit_is_unknown_and_only_an_accepted_job_has_a_ticket() {
        let error = || Error::new(ErrorKind::Timeout, "v", "submit");
        let ticket = Ticket::new(
            "v",
            "k",
            Account::of("v", "a"),
            SystemTime::UNIX_EPOCH,
            JobId::new("j").unwrap(),
        );
        let lost = LostSubmit {
            summary: "a.pdf".into(),
            sent_at: SystemTime::UNIX_EPOCH,
            error: error(),
        };
        for (error, is_unknown, has_ticket) in [
            (RunError::from(error()), false, false),
            (SubmitError::Rejected(error()).into(), false, false),
            (SubmitError::OutcomeUnknown(lost).into(), true, false),
            (
                RunError::Fetch {
                    error: error(),
                    ticket: Box::new(ticket.unwrap()),
                },
                false,
                true,
            ),
        ] {
            assert_eq!(error.is_outcome_unknown(), is_unknown, "{error}");
            assert_eq!(error.ticket().is_some(), has_ticket, "{error}");
        }
    }
}
