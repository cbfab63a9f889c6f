//! Which jobs are meant: the filter of lists, counts and actions on many jobs.

use std::time::SystemTime;

use jobs_core::vendor::Account;

use crate::id::LedgerId;
use crate::job_record::JobRecord;
use crate::record::ErrorRecord;
use crate::stage::Stage;

/// Which jobs to list; the newest first.
///
/// Each condition has an index: a page costs what is on it, however many jobs are settled.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct JobFilter {
    /// Only in these stages; empty for all.
    pub stages: Vec<Stage>,
    /// Only of this vendor.
    pub vendor: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only of this account.
    pub account: Option<Account>,
    /// Only with an input that is this or begins with it.
    pub input: Option<String>,
    /// Only with an error of this kind, in the words of [`ErrorRecord::kind`], or, if it is no such word, with this text
    /// in the error: of the newest 100 000 jobs that have one.
    pub error: Option<String>,
    /// Only written down at this time or later.
    pub since: Option<SystemTime>,
    /// Only written down before this time.
    pub until: Option<SystemTime>,
    /// Only after this job, which ended the page before. New jobs do not move it.
    pub after: Option<LedgerId>,
    /// How many at most; 0 for 100.
    pub limit: usize,
}

impl JobFilter {
    /// All jobs.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only jobs that are not settled.
    pub fn unfinished() -> Self {
        let stages = Stage::ALL.into_iter();
        Self {
            stages: stages.filter(|stage| !stage.is_settled()).collect(),
            ..Self::default()
        }
    }

    /// Only in these stages.
    #[must_use]
    pub fn with_stages(mut self, stages: impl IntoIterator<Item = Stage>) -> Self {
        self.stages = stages.into_iter().collect();
        self
    }

    /// Only of this vendor.
    #[must_use]
    pub fn with_vendor(mut self, vendor: impl Into<String>) -> Self {
        self.vendor = Some(vendor.into());
        self
    }

    /// Only of this kind.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Only of this account.
    #[must_use]
    pub fn with_account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }

    /// Only with an input that is this or begins with it.
    #[must_use]
    pub fn with_input(mut self, input: impl Into<String>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Only with an error of this kind or with this text.
    #[must_use]
    pub fn with_error(mut self, error: impl Into<String>) -> Self {
        self.error = Some(error.into());
        self
    }

    /// Only written down at this time or later.
    #[must_use]
    pub fn since(mut self, at: SystemTime) -> Self {
        self.since = Some(at);
        self
    }

    /// Only written down before this time.
    #[must_use]
    pub fn until(mut self, at: SystemTime) -> Self {
        self.until = Some(at);
        self
    }

    /// At most so many a page.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Goes on after a page.
    #[must_use]
    pub fn after(mut self, job: LedgerId) -> Self {
        self.after = Some(job);
        self
    }

    pub(super) fn page_size(&self) -> usize {
        if self.limit == 0 { 100 } else { self.limit }
    }

    /// Whether it names jobs by what is in their narrow rows.
    pub(super) fn has_class(&self) -> bool {
        !self.stages.is_empty()
            || self.vendor.is_some()
            || self.kind.is_some()
            || self.account.is_some()
    }

    pub(super) fn error_as_kind(&self) -> Option<String> {
        let text = self.error.as_deref()?;
        let word = text.trim().to_lowercase().replace(['-', ' '], "_");
        ErrorRecord::is_kind(&word).then_some(word)
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobRecord>,
    /// Where to [go on](JobFilter::after); none at the end.
    pub next: Option<LedgerId>,
}
