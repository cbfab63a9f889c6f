//! What can go wrong with the ledger itself, and what to do then.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::id::LedgerId;
use crate::stage::{IllegalTransition, Stage};

/// An error of the ledger, not of a vendor.
///
/// One pointer in size. `Display` is one line that says what was tried and what to do; it never holds the database's
/// address, which may carry a password.
#[derive(Clone)]
pub struct LedgerError(Arc<Inner>);

struct Inner {
    kind: LedgerErrorKind,
    job: Option<LedgerId>,
    message: Box<str>,
    /// The store has provably kept nothing of the write.
    unwritten: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of errors that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LedgerErrorKind {
    /// Somebody else has claimed the job since; nothing was written. Drop the claim and do not act on the job.
    ClaimLost,
    /// The job is in a stage that does not have this move; nothing was written.
    IllegalTransition,
    /// No job of that id.
    NotFound,
    /// The arguments cannot be kept, such as a path that is not Unicode.
    InvalidInput,
    /// A job is to be bought again that may have been bought already.
    InDoubt,
    /// The ledger was restored from a copy, and the job may have been bought since.
    Restored,
    /// A paid call does not fit into the vendor's budget; the source is the [`OverBudget`](crate::OverBudget).
    OverBudget,
    /// Another process holds the file locked.
    Locked,
    /// The file or its directory cannot be written.
    ReadOnly,
    /// The file is damaged.
    Corrupt,
    /// The file or database holds something else.
    NotALedger,
    /// It was made by a newer version of this software.
    Newer,
    /// The disk is full.
    Full,
    /// The database cannot be reached, or went away in the middle.
    Unavailable,
    /// The database refused the user or its rights.
    Denied,
    /// Anything else the store said.
    Store,
}

impl LedgerError {
    pub(crate) fn new(kind: LedgerErrorKind, message: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            job: None,
            message: message.into(),
            unwritten: false,
            source: None,
        }))
    }

    pub(crate) fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.edit(|inner| inner.source = Some(source.into()))
    }

    pub(crate) fn unwritten(self) -> Self {
        self.edit(|inner| inner.unwritten = true)
    }

    /// Whether the same write may be made again by ourselves after so many tries: nothing of it was kept, and it failed
    /// for another transaction's sake or with its connection.
    pub(crate) fn may_repeat(&self, tries: u32) -> bool {
        /// Those who conflict finish one after the other.
        const CONFLICTS: u32 = 20;
        /// Every connection of a command may have been cut at once.
        const CUTS: u32 = 3;
        let is_conflict = matches!(self.sql_state().as_deref(), Some("40001" | "40P01"));
        let most = match self.kind() {
            LedgerErrorKind::Locked if is_conflict => CONFLICTS,
            LedgerErrorKind::Unavailable => CUTS,
            _ => 0,
        };
        self.0.unwritten && tries < most
    }

    /// Whether a database is there and cannot serve us just now: it has too many connections, accepts none, is
    /// starting, or is a standby for the time of a failover. Worth waiting for, unlike a server that is not there.
    pub fn is_server_busy(&self) -> bool {
        let state = self.sql_state();
        match state.as_deref() {
            Some("53100") => false,
            Some("25006" | "55000" | "57P03") => true,
            Some(state) => state.starts_with("53"),
            None => {
                let source = self.0.source.as_deref();
                let source = source.and_then(|source| source.downcast_ref::<sqlx::Error>());
                matches!(source, Some(sqlx::Error::PoolTimedOut))
            }
        }
    }

    /// Whether a database said that it is read-only.
    pub(crate) fn is_read_only(&self) -> bool {
        self.sql_state().as_deref() == Some("25006")
    }

    fn sql_state(&self) -> Option<String> {
        let source = self.0.source.as_deref()?;
        let said = source.downcast_ref::<sqlx::Error>()?.as_database_error()?;
        said.code().map(Into::into)
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        // Only a freshly made error is edited, so there is one owner.
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        }
        self
    }

    pub(crate) fn of(kind: LedgerErrorKind, job: LedgerId, message: impl Into<Box<str>>) -> Self {
        Self::new(kind, message).edit(|inner| inner.job = Some(job))
    }

    /// For a write that is not waited for any longer. It may still be made.
    pub fn not_in_time() -> Self {
        Self::new(
            LedgerErrorKind::Unavailable,
            "it did not take down what was to be recorded in time",
        )
    }

    pub(crate) fn claim_lost(job: LedgerId) -> Self {
        Self::of(
            LedgerErrorKind::ClaimLost,
            job,
            "another process has taken the job over; nothing was written",
        )
    }

    pub(crate) fn illegal_transition(job: LedgerId, problem: IllegalTransition) -> Self {
        Self::of(LedgerErrorKind::IllegalTransition, job, problem.to_string())
    }

    pub(crate) fn not_parkable(job: LedgerId, stage: Stage) -> Self {
        let line = format!("a job that is {stage} cannot be given back as it is");
        Self::of(LedgerErrorKind::IllegalTransition, job, line)
    }

    pub(crate) fn not_found(job: LedgerId) -> Self {
        Self::of(
            LedgerErrorKind::NotFound,
            job,
            "the ledger has no such job: see the list of jobs for the ids it has",
        )
    }

    /// The kind.
    pub fn kind(&self) -> LedgerErrorKind {
        self.0.kind
    }

    /// The job, where the error is about one.
    pub fn job(&self) -> Option<LedgerId> {
        self.0.job
    }

    /// Whether the claim is no longer valid. Usual after a pause longer than the lease: stop working on the job.
    pub fn is_claim_lost(&self) -> bool {
        self.kind() == LedgerErrorKind::ClaimLost
    }

    /// Whether the same call may succeed later: locked, full or unreachable.
    ///
    /// Writes may be repeated with the same claim: what is recorded already counts as success.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind(),
            LedgerErrorKind::Locked | LedgerErrorKind::Full | LedgerErrorKind::Unavailable
        )
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.job {
            Some(job) => write!(f, "ledger, job {job}: {}", self.0.message),
            None => write!(f, "ledger: {}", self.0.message),
        }
    }
}

impl fmt::Debug for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerError")
            .field("kind", &self.0.kind)
            .field("job", &self.0.job)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for LedgerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
