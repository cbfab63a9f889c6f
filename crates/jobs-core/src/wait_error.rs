//! How a wait ends without the output.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;
use crate::status::{Failure, Snapshot};
use crate::ticket::Ticket;

/// A wait that ended without the output.
///
/// Always holds the [`Ticket`] to resume with: whatever the cause, nothing was done to the job itself.
pub struct WaitError(Box<Inner>);

struct Inner {
    cause: WaitErrorKind,
    ticket: Ticket,
    last: Option<Snapshot<()>>,
    last_error: Option<Error>,
}

/// Why a wait ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WaitErrorKind {
    /// The vendor gave up on the job; its words are kept. Waiting again is no use.
    Failed(Failure),
    /// The job was done, but its result is no longer kept.
    Expired,
    /// The vendor no longer has the job.
    Gone,
    /// The deadline passed. Wait again with the ticket.
    DeadlineExceeded,
    /// No poll succeeded for too long; this is the last error. Wait again when the vendor is reachable.
    Unreachable(Error),
    /// The vendor kept using this word, which we do not know. Wait again, or ask the vendor what it means.
    UnknownStatus(Box<str>),
    /// A poll was refused for good, for example for its credentials. Wait again once that is mended.
    PollRejected(Error),
}

impl WaitError {
    pub(crate) fn new(
        cause: WaitErrorKind,
        ticket: Ticket,
        last: Option<Snapshot<()>>,
        last_error: Option<Error>,
    ) -> Self {
        Self(Box::new(Inner {
            cause,
            ticket,
            last,
            last_error,
        }))
    }

    /// Why it ended.
    pub fn kind(&self) -> &WaitErrorKind {
        &self.0.cause
    }

    /// The ticket with which any process can resume the job.
    pub fn ticket(&self) -> &Ticket {
        &self.0.ticket
    }

    /// The last good poll, where there was one.
    pub fn last_snapshot(&self) -> Option<&Snapshot<()>> {
        self.0.last.as_ref()
    }

    /// The error of the last failed poll since the last good one.
    pub fn last_error(&self) -> Option<&Error> {
        self.0.last_error.as_ref()
    }

    /// Whether waiting again with the ticket can still bring the output.
    pub fn is_resumable(&self) -> bool {
        !matches!(
            self.0.cause,
            WaitErrorKind::Failed(_) | WaitErrorKind::Expired | WaitErrorKind::Gone
        )
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticket = self.ticket();
        write!(f, "{} job {}: ", ticket.vendor(), ticket.id())?;
        match self.kind() {
            WaitErrorKind::Failed(failure) => {
                write!(f, "failed at the vendor: {}", failure.reason)?;
                if let Some(code) = &failure.code {
                    write!(f, " (code {code})")?;
                }
                return Ok(());
            }
            WaitErrorKind::Expired => return f.write_str("done, but its result is no longer kept"),
            WaitErrorKind::Gone => return f.write_str("no longer known to the vendor"),
            WaitErrorKind::DeadlineExceeded => f.write_str("not done by the deadline")?,
            WaitErrorKind::Unreachable(_) => {
                f.write_str("status checks kept failing for longer than allowed")?;
            }
            WaitErrorKind::UnknownStatus(word) => {
                write!(f, "kept the unknown status {word:?}")?;
            }
            WaitErrorKind::PollRejected(_) => f.write_str("the vendor refused the status check")?,
        }
        if let (WaitErrorKind::DeadlineExceeded, Some(last)) = (self.kind(), self.last_snapshot()) {
            write!(f, " (last seen {:?}", last.vendor_status)?;
            if !last.is_known {
                f.write_str(", an unknown status")?;
            }
            f.write_str(")")?;
        }
        // What the other side said; it was not the vendor's word on the job.
        let error = match self.kind() {
            WaitErrorKind::Unreachable(error) | WaitErrorKind::PollRejected(error) => Some(error),
            _ => self.last_error(),
        };
        if let Some(error) = error {
            write!(f, ": {error}")?;
        }
        f.write_str("; resume it with its ticket")
    }
}

impl fmt::Debug for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitError")
            .field("cause", &self.0.cause)
            .field("ticket", &format_args!("{}", self.0.ticket))
            .field("last", &self.0.last)
            .finish()
    }
}

impl StdError for WaitError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.kind() {
            WaitErrorKind::Unreachable(error) | WaitErrorKind::PollRejected(error) => Some(error),
            _ => self.last_error().map(|error| error as _),
        }
    }
}
