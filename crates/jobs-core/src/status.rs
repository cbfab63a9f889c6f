//! What one poll of a job saw.

use std::time::Duration;

/// One observation of a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot<O> {
    /// The normalised state.
    pub status: Status<O>,
    /// The vendor's own word for it.
    pub vendor_status: Box<str>,
    /// Whether [`vendor_status`](Self::vendor_status) is one that we know. A job with an unknown word counts as running.
    pub is_known: bool,
    /// How far it is, where the vendor says so.
    pub progress: Progress,
    /// When the vendor wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// The normalised state of a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Status<O> {
    /// Waiting for its turn at the vendor.
    Queued,
    /// Being worked on.
    Running,
    /// Done. The output exists only here, so that "done without a result" cannot be written.
    Succeeded(O),
    /// The vendor gave up on it.
    Failed(Failure),
    /// It was done, but its result is no longer kept.
    Expired,
    /// The vendor no longer has it: deleted or stopped.
    Gone,
}

/// Why the vendor gave up on a job, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Failure {
    /// The vendor's text.
    pub reason: Box<str>,
    /// The vendor's code, where there is one.
    pub code: Option<Box<str>>,
}

impl Failure {
    /// A failure for this reason.
    pub fn new(reason: impl Into<Box<str>>) -> Self {
        Self {
            reason: reason.into(),
            code: None,
        }
    }

    /// Adds the vendor's code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Box<str>>) -> Self {
        self.code = Some(code.into());
        self
    }
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Per cent done, 0 to 100.
    pub percent: Option<u8>,
    /// How many jobs stand before it in the queue.
    pub jobs_ahead: Option<u32>,
}

impl Progress {
    /// This many per cent, cut to 100.
    pub fn percent(percent: u8) -> Self {
        Self {
            percent: Some(percent.min(100)),
            jobs_ahead: None,
        }
    }

    /// This many jobs before it.
    pub fn ahead(jobs: u32) -> Self {
        Self {
            percent: None,
            jobs_ahead: Some(jobs),
        }
    }
}

impl<O> Snapshot<O> {
    /// A job in `status`, which the vendor calls `word`.
    pub fn new(status: Status<O>, word: impl Into<Box<str>>) -> Self {
        Self {
            status,
            vendor_status: word.into(),
            is_known: true,
            progress: Progress::default(),
            retry_after: None,
        }
    }

    /// A job for whose state the vendor used a word that we do not know: it runs on, and the word is kept.
    pub fn unknown(word: impl Into<Box<str>>) -> Self {
        Self {
            is_known: false,
            ..Self::new(Status::Running, word)
        }
    }

    /// Adds how far it is.
    #[must_use]
    pub fn with_progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Adds the vendor's hint when to poll again.
    #[must_use]
    pub fn with_retry_after(mut self, hint: Option<Duration>) -> Self {
        self.retry_after = hint;
        self
    }

    /// The same observation with another output.
    pub fn map<P>(self, change: impl FnOnce(O) -> P) -> Snapshot<P> {
        let status = match self.status {
            Status::Queued => Status::Queued,
            Status::Running => Status::Running,
            Status::Succeeded(output) => Status::Succeeded(change(output)),
            Status::Failed(failure) => Status::Failed(failure),
            Status::Expired => Status::Expired,
            Status::Gone => Status::Gone,
        };
        Snapshot {
            status,
            vendor_status: self.vendor_status,
            is_known: self.is_known,
            progress: self.progress,
            retry_after: self.retry_after,
        }
    }
}

impl<O> Status<O> {
    /// Whether the job will not change any more.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}
