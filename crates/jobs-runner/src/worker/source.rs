//! Where a worker's jobs come from: whatever is due, or a given set.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, SystemTime};

use jobs_core::vendor::Account;
use jobs_ledger::{ClaimOutcome, Claimed, LedgerError, LedgerErrorKind, LedgerId, Stage};

use crate::context::Context;
use crate::error::{ErrorCategory, RunnerError};
use crate::observer::RunnerEvent;

pub(super) enum Source {
    /// Every job of the accounts that is due.
    Due,
    Given(Given),
}

/// A set of jobs, each of which is worked on until it is settled or cannot be continued before long.
pub(super) struct Given {
    next: VecDeque<LedgerId>,
    /// Jobs that are tried again later, or that another process is at.
    later: Vec<(SystemTime, LedgerId)>,
    ended_elsewhere: Vec<ErrorCategory>,
}

/// How often a job is asked for that another process is at.
const BUSY: Duration = Duration::from_secs(1);

impl Source {
    pub(super) fn new(only: Option<Vec<LedgerId>>) -> Self {
        only.map_or(Self::Due, |jobs| {
            Self::Given(Given {
                next: jobs.into(),
                later: Vec::new(),
                ended_elsewhere: Vec::new(),
            })
        })
    }

    pub(super) fn is_given(&self) -> bool {
        matches!(self, Self::Given(_))
    }

    /// Whether no given job is left.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Due => false,
            Self::Given(given) => given.next.is_empty() && given.later.is_empty(),
        }
    }

    /// Has a given job tried again then.
    pub(super) fn again(&mut self, job: LedgerId, due: SystemTime) {
        if let Self::Given(given) = self {
            given.later.push((due, job));
        }
    }

    /// The given jobs that are asked for next.
    pub(super) fn next(&mut self, now: SystemTime, limit: usize) -> Vec<LedgerId> {
        match self {
            Self::Due => Vec::new(),
            Self::Given(given) => given.next_due(now, limit),
        }
    }

    /// Lets go of given jobs.
    pub(super) fn leave(&mut self, jobs: &HashSet<LedgerId>) {
        if let Self::Given(given) = self {
            given.next.retain(|job| !jobs.contains(job));
        }
    }

    /// Has given jobs tried again now that were to be tried later.
    pub(super) fn hurry(&mut self, is_overdue: impl Fn(LedgerId) -> bool) {
        if let Self::Given(given) = self {
            for (due, _) in given.later.iter_mut().filter(|(_, job)| is_overdue(*job)) {
                *due = SystemTime::UNIX_EPOCH;
            }
        }
    }

    /// How jobs ended that were settled when they were asked for, since this was called last.
    pub(super) fn ended_elsewhere(&mut self) -> Vec<ErrorCategory> {
        match self {
            Self::Due => Vec::new(),
            Self::Given(given) => std::mem::take(&mut given.ended_elsewhere),
        }
    }

    pub(super) async fn claim(
        &mut self,
        context: &Context,
        accounts: &[Account],
        limit: usize,
    ) -> Result<Vec<Claimed>, LedgerError> {
        match self {
            Self::Due => context.ledger.claim_due(accounts, limit).await,
            Self::Given(given) => given.claim(context, limit).await,
        }
    }
}

impl Given {
    fn next_due(&mut self, now: SystemTime, limit: usize) -> Vec<LedgerId> {
        let next = &mut self.next;
        self.later.retain(|(due, job)| {
            let is_due = *due <= now;
            if is_due {
                next.push_back(*job);
            }
            !is_due
        });
        self.next.iter().take(limit).copied().collect()
    }

    async fn claim(
        &mut self,
        context: &Context,
        limit: usize,
    ) -> Result<Vec<Claimed>, LedgerError> {
        let now = context.ledger.clock().wall();
        let jobs = self.next_due(now, limit);
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let (asked, outcomes) = match context.ledger.claim_all(&jobs).await {
            Err(error) if is_of_one(&error) => self.claim_each(context, &jobs).await?,
            outcomes => (jobs.len(), outcomes?),
        };
        self.next.drain(..asked);
        let mut claimed = Vec::new();
        for outcome in outcomes {
            match outcome {
                ClaimOutcome::Claimed(one) => claimed.push(one),
                ClaimOutcome::Busy { job, .. } => self.later.push((now + BUSY, job.id)),
                ClaimOutcome::Settled(row) => {
                    let category = match row.stage {
                        Stage::Completed => None,
                        _ => Some(ErrorCategory::Failed),
                    };
                    self.ended_elsewhere.extend(category);
                    context.event(&RunnerEvent::SettledElsewhere(&row));
                }
                _ => {}
            }
        }
        Ok(claimed)
    }

    /// One that cannot be claimed, whatever is done here, keeps no other waiting. Also says how many were asked for.
    async fn claim_each(
        &mut self,
        context: &Context,
        jobs: &[LedgerId],
    ) -> Result<(usize, Vec<ClaimOutcome>), LedgerError> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for (at, job) in jobs.iter().enumerate() {
            match context.ledger.claim(*job).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) if is_of_one(&error) => {
                    let error = RunnerError::from(error).of_job(*job);
                    self.ended_elsewhere.push(error.category());
                    context.event(&RunnerEvent::Dropped {
                        job: *job,
                        error: &error,
                    });
                }
                Err(error) if at == 0 => return Err(error),
                // The rest is asked for the next time.
                Err(_) => return Ok((at, outcomes)),
            }
        }
        Ok((jobs.len(), outcomes))
    }
}

/// Whether this says something about one job alone: the ledger does not know it, or holds it back.
fn is_of_one(error: &LedgerError) -> bool {
    matches!(
        error.kind(),
        LedgerErrorKind::NotFound | LedgerErrorKind::Restored
    )
}

#[cfg(test)]
mod tests {
    use jobs_core::clock::SystemClock;
    use jobs_ledger::{Due, IntendOutcome, Intent, Ledger};

    use super::*;

    #[tokio::test]
    async fn a_job_that_is_in_no_ledger_keeps_no_other_waiting() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name).display().to_string();
        let account = Account::of("vendor", "key");
        let intend = async |ledger: &Ledger| {
            let intent = Intent::new("vendor", "kind", account, [1; 32]);
            let IntendOutcome::New(claim, job) = ledger.intend(intent).await.unwrap() else {
                panic!("it is new");
            };
            ledger.release(claim, Due::Now).await.unwrap();
            job.id
        };
        let foreign = Ledger::open(&at("foreign.db"), SystemClock::shared()).await;
        let foreign = intend(&foreign.unwrap()).await;
        let ledger = Ledger::open(&at("ledger.db"), SystemClock::shared())
            .await
            .unwrap();
        let ours = intend(&ledger).await;
        let context = Context::new(ledger);
        let mut source = Source::new(Some(vec![foreign, ours, foreign]));
        let claimed = source.claim(&context, &[account], 10).await.unwrap();
        let claimed: Vec<LedgerId> = claimed.iter().map(|it| it.job().id).collect();
        assert_eq!(claimed, [ours]);
        assert_eq!(source.ended_elsewhere().len(), 2);
        assert!(source.is_empty());
    }
}
