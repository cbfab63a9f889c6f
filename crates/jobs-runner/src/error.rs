//! How running a job can end without its result.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;

use jobs_core::disk::advice;
use jobs_core::fleet::WatchError;
use jobs_core::vendor::Delivery;
use jobs_core::{Error, ErrorKind, JobId, LostSubmit, Ticket, WaitError, WaitErrorKind};
use jobs_ledger::{JobRecord, LedgerError, LedgerErrorKind, LedgerId, OverBudget, Stage};

use crate::job_input::InputError;

/// A job that was not run to its result, or could not be.
///
/// Whatever was bought is in the ledger; [`ticket`](Self::ticket) and [`job`](Self::job) name what to continue with.
pub struct RunnerError(Box<Inner>);

struct Inner {
    kind: RunnerErrorKind,
    job: Option<LedgerId>,
    ticket: Option<Ticket>,
    price_anew: Option<Price>,
}

/// What a job was charged, in the vendor's unit.
struct Price {
    credits: Option<i64>,
    unit: &'static str,
}

/// Why there is no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunnerErrorKind {
    /// The ledger has no such job.
    NotFound,
    /// The runner has no handler for jobs of this kind.
    NoHandler {
        /// The vendor.
        vendor: Box<str>,
        /// The kind of job.
        kind: Box<str>,
    },
    /// The job belongs to another account than the handler's.
    WrongAccount,
    /// The input cannot be used. Nothing was sent.
    InvalidInput(InputError),
    /// The result cannot be put there. After acceptance the error holds a ticket.
    InvalidOutput {
        /// Where the result was to go.
        path: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
    /// The vendor did not take the submit, or it was never sent; nothing was charged.
    Rejected(Error),
    /// A budget of one's own holds the submit back. Workers submit it when there is room again.
    OverBudget(OverBudget),
    /// The answer to a submit was lost; it may have been charged. A person decides, with
    /// [`Runner::resolve`](crate::Runner::resolve).
    OutcomeUnknown {
        /// What was sent, and what came instead of an answer.
        lost: LostSubmit,
        /// Jobs at the vendor that may be it.
        candidates: Vec<JobId>,
        /// Whether the search was cut short because the program ends.
        interrupted: bool,
    },
    /// The wait ended without the output.
    Wait(WaitError),
    /// The deadline came while the result was fetched; the job goes on at the vendor.
    DeadlineExceeded {
        /// The vendor.
        vendor: &'static str,
        /// The vendor's id.
        job_id: JobId,
        /// What kept the result away until then.
        last: Option<Error>,
    },
    /// The result could not be fetched. It can still be had.
    NotFetched(Error),
    /// The result arrived whole, does not pass its check, and is not fetched again.
    Unverified {
        /// What the check says.
        reason: String,
        /// Where its bytes are kept.
        kept: Option<PathBuf>,
    },
    /// A result that lies on this machine could not be copied.
    CopyFailed {
        /// Where it lies.
        path: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
    /// Another process still worked on the job at the deadline.
    Busy,
    /// Another process has taken the job over and continues with it.
    TakenOver,
    /// The job ended before without a result, and the same input attaches to it.
    Settled {
        /// The job.
        row: Box<JobRecord>,
        /// Whether the caller has the input, so that it could submit and pay again.
        can_resubmit: bool,
    },
    /// There is nothing to decide about a job at this stage.
    NotResolvable {
        /// Its stage.
        stage: Stage,
    },
    /// The result was delivered before, lies there no longer, and fetching it again would cost money.
    AlreadyDelivered {
        /// Where it was put.
        output: Option<PathBuf>,
    },
    /// All paid polls that were allowed are spent.
    PaidPollsSpent {
        /// The vendor.
        vendor: &'static str,
        /// The vendor's id.
        job_id: JobId,
        /// How many were allowed.
        calls: u32,
    },
    /// The program ends. Without a vendor's id nothing was sent.
    Interrupted {
        /// The vendor and its id of the job, if it was accepted.
        accepted: Option<(&'static str, JobId)>,
    },
    /// The vendor has the job, and the ledger could not say so: keep the ticket.
    NotRecorded {
        /// What the ledger said.
        problem: LedgerError,
        /// The vendor.
        vendor: &'static str,
        /// The vendor's id.
        job_id: JobId,
    },
    /// The ledger could not be read or written.
    Ledger(LedgerError),
    /// The scheduler does not poll the job.
    NotWatched(WatchError),
    /// A defect, or a record that no version of this program has written.
    Unexpected(String),
}

/// The classes of ends that callers act on, the worst first: of many jobs, the first one decides how the whole ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorCategory {
    /// It may have been charged, and nobody knows.
    OutcomeUnknown,
    /// Quota, balance, or a limit of one's own is used up.
    QuotaExceeded,
    /// The vendor does not accept the credentials.
    Unauthenticated,
    /// The vendor said that the job failed, or refused it.
    Failed,
    /// The vendor could not be reached before anything was accepted.
    Unreachable,
    /// Not finished here; it can be continued.
    Unfinished,
    /// The caller has to change something. Nothing was sent.
    InvalidInput,
    /// A defect, or trouble that may pass.
    Unexpected,
    /// The program was asked to end.
    Interrupted,
}

impl RunnerError {
    pub(crate) fn new(kind: RunnerErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            job: None,
            ticket: None,
            price_anew: None,
        }))
    }

    pub(crate) fn unexpected(text: impl Into<String>) -> Self {
        Self::new(RunnerErrorKind::Unexpected(text.into()))
    }

    pub(crate) fn invalid_output(path: impl Into<PathBuf>, problem: io::Error) -> Self {
        Self::new(RunnerErrorKind::InvalidOutput {
            path: path.into(),
            problem,
        })
    }

    pub(crate) fn of_job(mut self, job: LedgerId) -> Self {
        self.0.job = Some(job);
        self
    }

    pub(crate) fn with_ticket(mut self, ticket: impl Into<Option<Ticket>>) -> Self {
        self.0.ticket = ticket.into();
        self
    }

    /// Says that the job was delivered before and stays completed, and what a new one costs.
    pub(crate) fn after_delivery(mut self, credits: Option<i64>, unit: &'static str) -> Self {
        self.0.price_anew = Some(Price { credits, unit });
        self
    }

    /// Whether the job was delivered before and stays completed: it is the second delivery that failed.
    pub fn is_after_delivery(&self) -> bool {
        self.0.price_anew.is_some()
    }

    /// Why there is no result.
    pub fn kind(&self) -> &RunnerErrorKind {
        &self.0.kind
    }

    /// The job in the ledger.
    pub fn job(&self) -> Option<LedgerId> {
        self.0.job
    }

    /// What to continue with, in any process.
    pub fn ticket(&self) -> Option<&Ticket> {
        self.0.ticket.as_ref()
    }

    /// Whether a submit may have been charged and nobody knows.
    pub fn is_outcome_unknown(&self) -> bool {
        self.category() == ErrorCategory::OutcomeUnknown
    }

    /// The class that callers act on.
    pub fn category(&self) -> ErrorCategory {
        use RunnerErrorKind as Kind;
        match self.kind() {
            Kind::InvalidOutput { .. } | Kind::CopyFailed { .. } if self.ticket().is_some() => {
                ErrorCategory::Unfinished
            }
            Kind::NotFound
            | Kind::NoHandler { .. }
            | Kind::WrongAccount
            | Kind::InvalidInput(_)
            | Kind::InvalidOutput { .. }
            | Kind::CopyFailed { .. }
            | Kind::NotResolvable { .. }
            | Kind::AlreadyDelivered { .. } => ErrorCategory::InvalidInput,
            Kind::Rejected(error) => ErrorCategory::of_rejection(error),
            Kind::OutcomeUnknown {
                interrupted: true, ..
            }
            | Kind::Interrupted { .. } => ErrorCategory::Interrupted,
            Kind::OutcomeUnknown { .. } => ErrorCategory::OutcomeUnknown,
            Kind::Wait(end) => ErrorCategory::of_wait(end),
            // The vendor has the job, and its ticket is told.
            Kind::Ledger(_) if self.ticket().is_some() => ErrorCategory::Unfinished,
            Kind::DeadlineExceeded { .. }
            | Kind::NotRecorded { .. }
            | Kind::NotFetched(_)
            | Kind::Unverified { .. }
            | Kind::Busy
            | Kind::TakenOver => ErrorCategory::Unfinished,
            Kind::Settled { .. } => ErrorCategory::Failed,
            Kind::PaidPollsSpent { .. } | Kind::OverBudget(_) => ErrorCategory::QuotaExceeded,
            Kind::Ledger(problem) => ErrorCategory::of_ledger(problem),
            Kind::NotWatched(_) | Kind::Unexpected(_) => ErrorCategory::Unexpected,
        }
    }

    /// The beginning of an answer that was not understood, cleaned of credentials.
    pub fn body_excerpt(&self) -> Option<&str> {
        match self.kind() {
            RunnerErrorKind::Rejected(error) | RunnerErrorKind::NotFetched(error) => {
                error.body_excerpt()
            }
            RunnerErrorKind::OutcomeUnknown { lost, .. } => lost.error.body_excerpt(),
            RunnerErrorKind::Wait(end) => match end.kind() {
                WaitErrorKind::Unreachable(error) | WaitErrorKind::PollRejected(error) => {
                    Some(error)
                }
                _ => end.last_error(),
            }
            .and_then(Error::body_excerpt),
            _ => None,
        }
    }
}

impl ErrorCategory {
    /// An error before any job was accepted; nothing was charged.
    pub fn of_rejection(error: &Error) -> Self {
        use ErrorKind::{
            InvalidInput, LocalIo, NotFound, OperationRetired, QuotaExceeded, RateLimited, Refused,
            Timeout, TooLarge, Unauthenticated, Unavailable, UnexpectedResponse, Unreachable,
        };
        match error.kind() {
            InvalidInput | LocalIo | OperationRetired => Self::InvalidInput,
            Unauthenticated => Self::Unauthenticated,
            QuotaExceeded => Self::QuotaExceeded,
            // An answer that is too large is none, like one that cannot be read.
            RateLimited | Unreachable | Unavailable | Timeout | UnexpectedResponse | TooLarge => {
                Self::Unreachable
            }
            Refused | NotFound => Self::Failed,
            _ => Self::Unexpected,
        }
    }

    /// An error about a job that the vendor has; it goes on there.
    pub fn of_accepted(error: &Error) -> Self {
        match error.kind() {
            _ if error.is_transient() => Self::Unfinished,
            ErrorKind::LocalIo | ErrorKind::TooLarge => Self::Unexpected,
            // A poll that costs money and was not answered.
            _ if error.delivery() == Delivery::MaybeSent => Self::OutcomeUnknown,
            // Of the submit, which was taken, this says nothing.
            ErrorKind::InvalidInput
            | ErrorKind::NotFound
            | ErrorKind::OperationRetired
            | ErrorKind::Refused => Self::Unfinished,
            _ => Self::of_rejection(error),
        }
    }

    /// A wait that ended without the output.
    pub fn of_wait(end: &WaitError) -> Self {
        match end.kind() {
            WaitErrorKind::Failed(_) | WaitErrorKind::Expired | WaitErrorKind::Gone => Self::Failed,
            WaitErrorKind::PollRejected(error) => Self::of_accepted(error),
            _ => Self::Unfinished,
        }
    }

    /// Trouble with the ledger. What was written down stays.
    pub fn of_ledger(error: &LedgerError) -> Self {
        use LedgerErrorKind::{
            ClaimLost, Corrupt, Denied, InvalidInput, Newer, NotALedger, NotFound, ReadOnly,
        };
        match error.kind() {
            Corrupt | Denied | InvalidInput | Newer | NotALedger | NotFound | ReadOnly => {
                Self::InvalidInput
            }
            LedgerErrorKind::OverBudget => Self::QuotaExceeded,
            // A person has to see first whether it was bought.
            LedgerErrorKind::InDoubt | LedgerErrorKind::Restored => Self::OutcomeUnknown,
            // Nothing is wrong here: another process continues with it.
            ClaimLost => Self::Unfinished,
            // What may pass says nothing about the caller.
            _ => Self::Unexpected,
        }
    }

    /// The worse of two ends.
    #[must_use]
    pub fn worse(worst: Option<Self>, other: Self) -> Self {
        worst.map_or(other, |worst| worst.min(other))
    }
}

impl fmt::Display for RunnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        match &self.0.price_anew {
            Some(price) => write!(f, "; it was delivered before, and a new one costs {price}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.credits, self.unit) {
            (Some(1), unit) => write!(f, "1 {unit}"),
            (Some(credits), unit) => write!(f, "{credits} {unit}s"),
            (None, unit) => write!(f, "what the vendor charges for each {unit}"),
        }
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use RunnerErrorKind as Kind;
        let job = JobName(self.job);
        match &self.kind {
            Kind::NotFound => write!(f, "{job} is not in this ledger"),
            Kind::NoHandler { vendor, kind } => {
                write!(f, "{vendor} {kind} jobs are not known here")
            }
            Kind::WrongAccount => f.write_str(
                "the job belongs to another account than the credentials in use; use those of the account that submitted it",
            ),
            Kind::InvalidInput(error) => error.fmt(f),
            Kind::InvalidOutput { path, problem } => {
                write!(f, "cannot write {}: {problem}; {}", path.display(), advice(problem))
            }
            Kind::Rejected(error) | Kind::NotFetched(error) => error.fmt(f),
            Kind::OutcomeUnknown {
                lost, interrupted, ..
            } => {
                if *interrupted {
                    write!(f, "the submit of {} was under way and may have been charged, {job}", lost.summary)
                } else {
                    lost.fmt(f)
                }
            }
            Kind::OverBudget(over) => over.fmt(f),
            Kind::Wait(end) => end.fmt(f),
            Kind::DeadlineExceeded {
                vendor,
                job_id,
                last,
            } => {
                match last {
                    Some(error) => write!(f, "the deadline passed: {error}")?,
                    None => f.write_str("the deadline passed while the result was fetched")?,
                }
                write!(f, "; {vendor} job {job_id} goes on at the vendor")
            }
            Kind::Unverified { reason, kept } => {
                f.write_str(reason)?;
                if let Some(path) = kept {
                    write!(f, "; its bytes are kept as {}", path.display())?;
                }
                f.write_str("; it is not fetched again")
            }
            Kind::CopyFailed { path, problem } => {
                write!(f, "{job}: cannot copy {}: {problem}; {}", path.display(), advice(problem))
            }
            Kind::Busy => write!(f, "another process still works on {job}"),
            Kind::TakenOver => {
                write!(f, "another process has taken {job} over and continues with it")
            }
            Kind::Settled { row, .. } => {
                let reason = row.error.as_deref().unwrap_or_default();
                write!(f, "job {} is {}: {reason}", row.id, row.stage)
            }
            Kind::NotResolvable { stage } => write!(f, "{job} is {stage}: there is nothing to resolve"),
            Kind::AlreadyDelivered { output } => {
                write!(f, "{job} was delivered before")?;
                if let Some(path) = output {
                    write!(f, " to {}", path.display())?;
                }
                f.write_str(", and fetching it again may cost money")
            }
            Kind::PaidPollsSpent {
                vendor,
                job_id,
                calls,
            } => write!(
                f,
                "{vendor} job {job_id}: all {calls} calls are spent, each of which may have cost credits"
            ),
            Kind::Interrupted { accepted: None } => f.write_str("interrupted; nothing was sent"),
            Kind::Interrupted {
                accepted: Some((vendor, job_id)),
            } => write!(f, "interrupted; {vendor} job {job_id} goes on at the vendor"),
            Kind::NotRecorded {
                problem,
                vendor,
                job_id,
            } => write!(f, "{problem}; {vendor} accepted job {job_id}: keep its ticket"),
            Kind::Ledger(problem) => problem.fmt(f),
            Kind::NotWatched(problem) => write!(f, "{job} cannot be watched: {problem}"),
            Kind::Unexpected(text) => f.write_str(text),
        }
    }
}

/// A job of the ledger in a sentence.
struct JobName(Option<LedgerId>);

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, "job {id}"),
            None => f.write_str("the job"),
        }
    }
}

impl fmt::Debug for RunnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerError")
            .field("kind", &self.0.kind)
            .field("job", &self.0.job)
            .field("ticket", &self.0.ticket.as_ref().map(ToString::to_string))
            .finish()
    }
}

impl StdError for RunnerError {
    /// The cause below the error whose text this one shows.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        use RunnerErrorKind as Kind;
        match self.kind() {
            Kind::Rejected(error) | Kind::NotFetched(error) => error.source(),
            Kind::OutcomeUnknown { lost, .. } => lost.error.source(),
            Kind::Wait(end) => end.source(),
            Kind::NotRecorded { problem, .. } | Kind::Ledger(problem) => problem.source(),
            Kind::DeadlineExceeded { last, .. } => last.as_ref().map(|error| error as _),
            _ => None,
        }
    }
}

impl From<LedgerError> for RunnerError {
    fn from(problem: LedgerError) -> Self {
        Self::new(RunnerErrorKind::Ledger(problem))
    }
}

impl From<InputError> for RunnerError {
    fn from(error: InputError) -> Self {
        Self::new(RunnerErrorKind::InvalidInput(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_end_wins_in_any_order() {
        use ErrorCategory as Category;
        let order = [
            Category::OutcomeUnknown,
            Category::QuotaExceeded,
            Category::Unauthenticated,
            Category::Failed,
            Category::Unreachable,
            Category::Unfinished,
            Category::InvalidInput,
            Category::Unexpected,
            Category::Interrupted,
        ];
        for (at, bad) in order.iter().enumerate() {
            for less in &order[at..] {
                assert_eq!(Category::worse(Some(*bad), *less), *bad);
                assert_eq!(Category::worse(Some(*less), *bad), *bad);
            }
            assert_eq!(Category::worse(None, *bad), *bad);
        }
    }

    #[test]
    fn what_is_said_of_an_accepted_job_is_never_bad_input_nor_a_failed_job() {
        use ErrorCategory as Category;
        for (kind, category) in [
            (ErrorKind::InvalidInput, Category::Unfinished),
            (ErrorKind::NotFound, Category::Unfinished),
            (ErrorKind::OperationRetired, Category::Unfinished),
            (ErrorKind::Refused, Category::Unfinished),
            (ErrorKind::Unauthenticated, Category::Unauthenticated),
            (ErrorKind::QuotaExceeded, Category::QuotaExceeded),
            (ErrorKind::LocalIo, Category::Unexpected),
        ] {
            let error = Error::new(kind, "v", "poll").with_delivery(Delivery::Answered);
            assert_eq!(ErrorCategory::of_accepted(&error), category, "{kind:?}");
        }
    }

    #[test]
    fn an_error_is_as_large_as_a_pointer() {
        assert_eq!(size_of::<RunnerError>(), size_of::<usize>());
    }
}
