//! How a command ends: one number for scripts, one line for people.

use std::fmt::Display;
use std::path::Path;

use jobs_core::{
    Delivery, Error, ErrorKind, LostSubmit, SubmitError, Ticket, WaitError, WaitErrorKind,
};
use jobs_ledger::{LedgerError, LedgerErrorKind, LedgerId};

/// The exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Nobody reads what is printed any more, as with `| head`: they have what they want, so this is no failure.
    Closed = 0,
    Unexpected = 1,
    BadInput = 2,
    Failed = 3,
    Deadline = 4,
    Unknown = 5,
    Credentials = 6,
    Exhausted = 7,
    Unreachable = 8,
    /// What shells report for a program ended by SIGHUP,
    HungUp = 129,
    /// by Ctrl-C,
    Interrupted = 130,
    /// and by SIGTERM.
    Terminated = 143,
}

/// A command that ended before it was done.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) exit: Exit,
    /// What was tried, on which job, what the vendor said, and what to do next.
    pub(crate) line: String,
    /// The causes, for those who ask for more detail.
    pub(crate) causes: Vec<String>,
    /// What to go on with.
    pub(crate) ticket: Option<Box<Ticket>>,
    /// The beginning of an answer that was not understood, cleaned of credentials.
    pub(crate) answer: Option<String>,
}

impl Stop {
    pub(crate) fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self {
            exit,
            line: line.into(),
            causes: Vec::new(),
            ticket: None,
            answer: None,
        }
    }

    pub(crate) fn bad_input(line: impl Into<String>) -> Self {
        Self::new(Exit::BadInput, line)
    }

    pub(crate) fn unexpected(line: impl Into<String>) -> Self {
        Self::new(Exit::Unexpected, line)
    }

    /// Something that could not be printed on stdout; `else_do` is what helps, where the reader is not simply gone.
    pub(crate) fn unprintable(problem: &std::io::Error, else_do: &str) -> Self {
        match problem.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(Exit::Closed, String::new()),
            _ => Self::unexpected(format!("cannot print: {problem}{else_do}")),
        }
    }

    /// The process was asked to end by a signal that has this exit code, and this is how far it was.
    pub(crate) fn asked_to_end(exit: Exit, line: impl Display) -> Self {
        Self::new(exit, format!("interrupted; {line}"))
    }

    /// A submit that brought no job.
    pub(crate) fn not_submitted(error: &SubmitError) -> Self {
        match error {
            SubmitError::Rejected(error) => Self::before_acceptance(error),
            SubmitError::OutcomeUnknown(lost) => Self::lost(lost),
        }
    }

    /// An error before any job was accepted; nothing was charged.
    pub(crate) fn before_acceptance(error: &Error) -> Self {
        use ErrorKind::{
            InvalidInput, LocalIo, NotFound, OperationRetired, QuotaExceeded, RateLimited, Refused,
            Timeout, TooLarge, Unauthenticated, Unavailable, UnexpectedResponse, Unreachable,
        };
        let exit = match error.kind() {
            InvalidInput | LocalIo | OperationRetired => Exit::BadInput,
            Unauthenticated => Exit::Credentials,
            QuotaExceeded => Exit::Exhausted,
            // An answer that is too large is none, like one that cannot be read.
            RateLimited | Unreachable | Unavailable | Timeout | UnexpectedResponse | TooLarge => {
                Exit::Unreachable
            }
            Refused | NotFound => Exit::Failed,
            _ => Exit::Unexpected,
        };
        Self::of(exit, error)
    }

    /// An error about a job that the vendor has; it goes on there.
    pub(crate) fn after_acceptance(error: &Error, ticket: Option<Ticket>) -> Self {
        let exit = match error.kind() {
            _ if error.is_transient() => Exit::Deadline,
            ErrorKind::LocalIo | ErrorKind::TooLarge => Exit::Unexpected,
            // A look that costs money and was not answered.
            _ if error.delivery() == Delivery::MaybeSent => Exit::Unknown,
            _ => Self::before_acceptance(error).exit,
        };
        Self {
            ticket: ticket.map(Box::new),
            ..Self::of(exit, error)
        }
    }

    /// A result that the vendor has and that did not come home. It can still be had.
    pub(crate) fn not_delivered(error: &Error, ticket: Option<Ticket>) -> Self {
        Self {
            ticket: ticket.map(Box::new),
            ..Self::of(Exit::Deadline, error)
        }
    }

    /// A result that arrived whole, does not pass its check, and is not fetched again.
    pub(crate) fn unverified(id: LedgerId, reason: &str, kept: Option<&Path>) -> Self {
        let kept = kept.map_or_else(String::new, |path| {
            format!("; its bytes are kept as {}", path.display())
        });
        Self::new(
            Exit::Deadline,
            format!(
                "{reason}{kept}; it is not fetched again: docjobs wait {id} --accept-unverified delivers it as it is"
            ),
        )
    }

    fn lost(lost: &LostSubmit) -> Self {
        Self {
            causes: causes(&lost.error),
            answer: lost.error.body_excerpt().map(Into::into),
            ..Self::new(Exit::Unknown, lost.to_string())
        }
    }

    /// A wait that ended without the output.
    pub(crate) fn unfinished(end: &WaitError) -> Self {
        let exit = match end.kind() {
            WaitErrorKind::Failed(_) | WaitErrorKind::Expired | WaitErrorKind::Gone => Exit::Failed,
            WaitErrorKind::PollRejected(error) => {
                return Self::after_acceptance(error, Some(end.ticket().clone()));
            }
            _ => Exit::Deadline,
        };
        let ticket = end.is_resumable().then(|| Box::new(end.ticket().clone()));
        Self {
            exit,
            line: end.to_string(),
            causes: causes(end),
            ticket,
            answer: match end.kind() {
                WaitErrorKind::Unreachable(error) => Some(error),
                _ => end.last_error(),
            }
            .and_then(Error::body_excerpt)
            .map(Into::into),
        }
    }

    /// Trouble with the ledger. What was written down stays.
    pub(crate) fn ledger(error: &LedgerError) -> Self {
        use LedgerErrorKind::{
            ClaimLost, Corrupt, Denied, InvalidInput, Newer, NotALedger, NotFound, OverBudget,
            ReadOnly,
        };
        let exit = match error.kind() {
            Corrupt | Denied | InvalidInput | Newer | NotALedger | NotFound | ReadOnly => {
                Exit::BadInput
            }
            OverBudget => Exit::Exhausted,
            // Nothing is wrong here: another process goes on with it.
            ClaimLost => Exit::Deadline,
            // What may pass says nothing about the command.
            _ => Exit::Unexpected,
        };
        Self {
            causes: causes(error),
            ..Self::new(exit, error.to_string())
        }
    }

    fn of(exit: Exit, error: &Error) -> Self {
        Self {
            causes: causes(error),
            answer: error.body_excerpt().map(Into::into),
            ..Self::new(exit, error.to_string())
        }
    }
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::ledger(&error)
    }
}

fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}
