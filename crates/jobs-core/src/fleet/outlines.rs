//! What was last seen of each job, kept once for all jobs of which the same was seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::status::{Progress, Snapshot, Status};

/// Nothing was seen yet.
pub(super) const UNSEEN: u32 = u32::MAX;

/// What a snapshot says of an unfinished job, without how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Outline {
    queued: bool,
    recognised: bool,
    word: Box<str>,
    hint: Option<Duration>,
}

/// Outlines by number, each counted: a vendor that never says the same twice costs no more than one for each job.
#[derive(Debug, Default)]
pub(super) struct Outlines {
    kept: Vec<Option<(Arc<Outline>, u32)>>,
    numbers: HashMap<Arc<Outline>, u32>,
    free: Vec<u32>,
}

impl Outlines {
    /// The number for what was seen, in place of number `before`.
    pub(super) fn replace<O>(&mut self, before: u32, seen: &Snapshot<O>) -> u32 {
        let queued = matches!(seen.status, Status::Queued);
        if let Some(Some((outline, _))) = self.kept.get(before as usize)
            && outline.queued == queued
            && outline.recognised == seen.recognised
            && outline.word == seen.word
            && outline.hint == seen.hint
        {
            return before;
        }
        self.release(before);
        let outline = Arc::new(Outline {
            queued,
            recognised: seen.recognised,
            word: seen.word.clone(),
            hint: seen.hint,
        });
        if let Some(number) = self.numbers.get(&outline).copied()
            && let Some(Some((_, jobs))) = self.kept.get_mut(number as usize)
        {
            *jobs += 1;
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.kept.push(None);
            u32::try_from(self.kept.len() - 1).unwrap_or(UNSEEN)
        });
        if let Some(place) = self.kept.get_mut(number as usize) {
            *place = Some((Arc::clone(&outline), 1));
            self.numbers.insert(outline, number);
        }
        number
    }

    /// One job less has this outline.
    pub(super) fn release(&mut self, number: u32) {
        let Some(place) = self.kept.get_mut(number as usize) else {
            return;
        };
        let Some((outline, jobs)) = place else { return };
        *jobs -= 1;
        if *jobs == 0 {
            self.numbers.remove(outline);
            *place = None;
            self.free.push(number);
        }
    }

    /// What was last seen of a job.
    pub(super) fn snapshot(&self, number: u32, progress: u32) -> Option<Snapshot<()>> {
        let (outline, _) = self.kept.get(number as usize)?.as_ref()?;
        let status = if outline.queued {
            Status::Queued
        } else {
            Status::Running
        };
        Some(Snapshot {
            status,
            word: outline.word.clone(),
            recognised: outline.recognised,
            progress: unpack(progress),
            hint: outline.hint,
        })
    }
}

const AHEAD: u32 = (1 << 25) - 1;
const NO_PERCENT: u32 = 127;

/// Progress in four bytes: seven bits of per cent, the rest for the jobs before it, where 33 million stand for more.
pub(super) fn pack(progress: Progress) -> u32 {
    let percent = progress
        .percent
        .map_or(NO_PERCENT, |percent| u32::from(percent.min(100)));
    let ahead = progress.ahead.map_or(AHEAD, |ahead| ahead.min(AHEAD - 1));
    percent << 25 | ahead
}

fn unpack(packed: u32) -> Progress {
    let (percent, ahead) = (packed >> 25, packed & AHEAD);
    Progress {
        percent: u8::try_from(percent).ok().filter(|percent| *percent <= 100),
        ahead: (ahead != AHEAD).then_some(ahead),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_comes_back_as_it_was() {
        let mut outlines = Outlines::default();
        for progress in [
            Progress::default(),
            Progress::percent(0),
            Progress::percent(100),
            Progress::ahead(0),
            Progress::ahead(123_456),
        ] {
            let seen = Snapshot::<()>::unrecognised("dithering")
                .with_progress(progress)
                .with_hint(Some(Duration::from_secs(7)));
            let number = outlines.replace(UNSEEN, &seen);
            assert_eq!(outlines.snapshot(number, pack(progress)), Some(seen));
        }
        assert_eq!(outlines.snapshot(UNSEEN, 0), None);
    }

    #[test]
    fn an_outline_is_kept_once_and_only_while_some_job_has_it() {
        let mut outlines = Outlines::default();
        let said = |word: String| Snapshot::<()>::new(Status::Running, word);
        let jobs: Vec<u32> = (0..1000)
            .map(|_| outlines.replace(UNSEEN, &said("busy".to_owned())))
            .collect();
        assert_eq!(outlines.kept.len(), 1);
        let mut last = jobs;
        for turn in 0..50 {
            for (job, number) in last.iter_mut().enumerate() {
                *number = outlines.replace(*number, &said(format!("{turn} {job}")));
            }
        }
        assert!(outlines.kept.len() <= 1001, "{}", outlines.kept.len());
        last.into_iter().for_each(|number| outlines.release(number));
        assert!(outlines.numbers.is_empty());
    }
}
