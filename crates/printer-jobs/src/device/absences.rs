//! When a job that the cloud does not mention is gone.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use jobs_core::JobId;

/// How often each job was absent from a complete answer in a row.
#[derive(Debug)]
pub(crate) struct MissingJobs {
    gone_after: NonZeroU32,
    counts: Mutex<HashMap<JobId, u32>>,
}

impl MissingJobs {
    pub(crate) fn new(gone_after: NonZeroU32) -> Self {
        Self {
            gone_after,
            counts: Mutex::default(),
        }
    }

    pub(crate) fn seen(&self, id: &JobId) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.remove(id);
    }

    /// Whether the job is gone for good.
    pub(crate) fn missed(&self, id: &JobId, deleted: bool) -> bool {
        // Waits that ended early leave their counts behind; starting over costs a few polls.
        const MOST: usize = 100_000;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST {
            counts.clear();
        }
        let count = counts.entry(id.clone()).or_default();
        *count = count.saturating_add(1);
        let gone = deleted || *count >= self.gone_after.get();
        if gone {
            counts.remove(id);
        }
        gone
    }
}

pub(crate) const GONE_AFTER: NonZeroU32 = match NonZeroU32::new(3) {
    Some(polls) => polls,
    None => NonZeroU32::MIN,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> JobId {
        JobId::new(text).unwrap()
    }

    #[test]
    fn three_absences_in_a_row_make_a_job_gone() {
        let absences = MissingJobs::new(GONE_AFTER);
        let job = id("a");
        assert!(!absences.missed(&job, false));
        assert!(!absences.missed(&job, false));
        absences.seen(&job);
        assert!(!absences.missed(&job, false));
        assert!(!absences.missed(&job, false));
        assert!(absences.missed(&job, false));
    }

    #[test]
    fn a_deleted_job_is_gone_at_its_first_absence() {
        let absences = MissingJobs::new(GONE_AFTER);
        assert!(absences.missed(&id("a"), true));
    }
}
