//! How a wait ends without the output.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;
use crate::status::{Failure, Snapshot};
use crate::ticket::Ticket;

/// A wait that ended without the output.
///
/// Always holds the [`Ticket`] with which to go on: whatever the cause, nothing was done to the job itself.
pub struct WaitError(Box<Inner>);

struct Inner {
    cause: Cause,
    ticket: Ticket,
    last: Option<Snapshot<()>>,
    last_error: Option<Error>,
}

/// Why a wait ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Cause {
    /// The vendor gave up on the job; its words are kept. Waiting again is no use.
    Failed(Failure),
    /// The job was done, but its result is no longer kept.
    Expired,
    /// The vendor no longer has the job.
    Gone,
    /// The deadline passed. Wait again with the ticket.
    Deadline,
    /// No look succeeded for too long; this is the last error. Wait again when the vendor is reachable.
    Blind(Error),
    /// The vendor kept using this word, which we do not know. Wait again, or ask the vendor what it means.
    UnknownWord(Box<str>),
    /// A look was refused for good, for example for its credentials. Wait again once that is mended.
    Refused(Error),
}

impl WaitError {
    pub(crate) fn new(
        cause: Cause,
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
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// What to go on with, here or elsewhere.
    pub fn ticket(&self) -> &Ticket {
        &self.0.ticket
    }

    /// The last good look, where there was one.
    pub fn last(&self) -> Option<&Snapshot<()>> {
        self.0.last.as_ref()
    }

    /// The error of the last failed look since the last good one.
    pub fn last_error(&self) -> Option<&Error> {
        self.0.last_error.as_ref()
    }

    /// Whether waiting again with the ticket can still bring the output.
    pub fn is_resumable(&self) -> bool {
        !matches!(
            self.0.cause,
            Cause::Failed(_) | Cause::Expired | Cause::Gone
        )
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticket = self.ticket();
        write!(f, "{} job {}: ", ticket.vendor(), ticket.id())?;
        match self.cause() {
            Cause::Failed(failure) => {
                write!(f, "failed at the vendor: {}", failure.reason)?;
                if let Some(code) = &failure.code {
                    write!(f, " (code {code})")?;
                }
                return Ok(());
            }
            Cause::Expired => return f.write_str("done, but its result is no longer kept"),
            Cause::Gone => return f.write_str("no longer known to the vendor"),
            Cause::Deadline => f.write_str("not done by the deadline")?,
            Cause::Blind(_) => f.write_str("could not be looked at for too long")?,
            Cause::UnknownWord(word) => {
                write!(f, "stays in a state that we do not know, {word:?}")?;
            }
            Cause::Refused(_) => f.write_str("could not be looked at")?,
        }
        if let (Cause::Deadline, Some(last)) = (self.cause(), self.last()) {
            write!(f, " (last seen {:?}", last.word)?;
            if !last.recognised {
                f.write_str(", a state that we do not know")?;
            }
            f.write_str(")")?;
        }
        // What the other side said; it was not the vendor's word on the job.
        let error = match self.cause() {
            Cause::Blind(error) | Cause::Refused(error) => Some(error),
            _ => self.last_error(),
        };
        if let Some(error) = error {
            write!(f, ": {error}")?;
        }
        f.write_str("; go on with its ticket")
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
        match self.cause() {
            Cause::Blind(error) | Cause::Refused(error) => Some(error),
            _ => self.last_error().map(|error| error as _),
        }
    }
}
