//! The last snapshot of each job, kept once for all jobs with the same one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::status::{Progress, Snapshot, Status};

/// Nothing was seen yet.
pub(super) const NO_SNAPSHOT: u32 = u32::MAX;

/// What a snapshot says of an unfinished job, without how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SharedSnapshot {
    queued: bool,
    is_known: bool,
    vendor_status: Box<str>,
    retry_after: Option<Duration>,
}

/// Snapshots by number, each with a count of its jobs: a vendor that never says the same twice costs no more than one for each job.
#[derive(Debug, Default)]
pub(super) struct SnapshotInterner {
    snapshots: Vec<Option<(Arc<SharedSnapshot>, u32)>>,
    numbers: HashMap<Arc<SharedSnapshot>, u32>,
    free: Vec<u32>,
}

impl SnapshotInterner {
    /// The number for what was seen, in place of number `before`.
    pub(super) fn replace<O>(&mut self, before: u32, seen: &Snapshot<O>) -> u32 {
        let queued = matches!(seen.status, Status::Queued);
        if let Some(Some((shared, _))) = self.snapshots.get(before as usize)
            && shared.queued == queued
            && shared.is_known == seen.is_known
            && shared.vendor_status == seen.vendor_status
            && shared.retry_after == seen.retry_after
        {
            return before;
        }
        self.release(before);
        let shared = Arc::new(SharedSnapshot {
            queued,
            is_known: seen.is_known,
            vendor_status: seen.vendor_status.clone(),
            retry_after: seen.retry_after,
        });
        if let Some(number) = self.numbers.get(&shared).copied()
            && let Some(Some((_, jobs))) = self.snapshots.get_mut(number as usize)
        {
            *jobs += 1;
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.snapshots.push(None);
            u32::try_from(self.snapshots.len() - 1).unwrap_or(NO_SNAPSHOT)
        });
        if let Some(place) = self.snapshots.get_mut(number as usize) {
            *place = Some((Arc::clone(&shared), 1));
            self.numbers.insert(shared, number);
        }
        number
    }

    /// One job less has this snapshot.
    pub(super) fn release(&mut self, number: u32) {
        let Some(place) = self.snapshots.get_mut(number as usize) else {
            return;
        };
        let Some((shared, jobs)) = place else { return };
        *jobs -= 1;
        if *jobs == 0 {
            self.numbers.remove(shared);
            *place = None;
            self.free.push(number);
        }
    }

    /// What was last seen of a job.
    pub(super) fn snapshot(&self, number: u32, progress: u32) -> Option<Snapshot<()>> {
        let (shared, _) = self.snapshots.get(number as usize)?.as_ref()?;
        let status = if shared.queued {
            Status::Queued
        } else {
            Status::Running
        };
        Some(Snapshot {
            status,
            vendor_status: shared.vendor_status.clone(),
            is_known: shared.is_known,
            progress: unpack(progress),
            retry_after: shared.retry_after,
        })
    }
}

const NO_JOBS_AHEAD: u32 = (1 << 25) - 1;
const NO_PERCENT: u32 = 127;

/// Progress in four bytes: seven bits of per cent, the rest for the jobs before it, where 33 million stand for more.
pub(super) fn pack(progress: Progress) -> u32 {
    let percent = progress
        .percent
        .map_or(NO_PERCENT, |percent| u32::from(percent.min(100)));
    let ahead = progress
        .jobs_ahead
        .map_or(NO_JOBS_AHEAD, |ahead| ahead.min(NO_JOBS_AHEAD - 1));
    percent << 25 | ahead
}

fn unpack(packed: u32) -> Progress {
    let (percent, ahead) = (packed >> 25, packed & NO_JOBS_AHEAD);
    Progress {
        percent: u8::try_from(percent).ok().filter(|percent| *percent <= 100),
        jobs_ahead: (ahead != NO_JOBS_AHEAD).then_some(ahead),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_comes_back_as_it_was() {
        let mut interner = SnapshotInterner::default();
        for progress in [
            Progress::default(),
            Progress::percent(0),
            Progress::percent(100),
            Progress::ahead(0),
            Progress::ahead(123_456),
        ] {
            let seen = Snapshot::<()>::unknown("dithering")
                .with_progress(progress)
                .with_retry_after(Some(Duration::from_secs(7)));
            let number = interner.replace(NO_SNAPSHOT, &seen);
            assert_eq!(interner.snapshot(number, pack(progress)), Some(seen));
        }
        assert_eq!(interner.snapshot(NO_SNAPSHOT, 0), None);
    }

    #[test]
    fn an_outline_is_kept_once_and_only_while_some_job_has_it() {
        let mut interner = SnapshotInterner::default();
        let said = |word: String| Snapshot::<()>::new(Status::Running, word);
        let jobs: Vec<u32> = (0..1000)
            .map(|_| interner.replace(NO_SNAPSHOT, &said("busy".to_owned())))
            .collect();
        assert_eq!(interner.snapshots.len(), 1);
        let mut last = jobs;
        for round in 0..50 {
            for (job, number) in last.iter_mut().enumerate() {
                *number = interner.replace(*number, &said(format!("{round} {job}")));
            }
        }
        assert!(
            interner.snapshots.len() <= 1001,
            "{}",
            interner.snapshots.len()
        );
        last.into_iter().for_each(|number| interner.release(number));
        assert!(interner.numbers.is_empty());
    }
}
