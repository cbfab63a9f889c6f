//! Where a worker's jobs come from: whatever is due, or a given set.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use jobs_core::Account;
use jobs_ledger::{ClaimOutcome, Claimed, LedgerError, LedgerId, Stage};

use crate::context::Context;
use crate::error::ErrorCategory;
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
    async fn claim(
        &mut self,
        context: &Context,
        limit: usize,
    ) -> Result<Vec<Claimed>, LedgerError> {
        let now = context.ledger.clock().wall();
        let next = &mut self.next;
        self.later.retain(|(due, job)| {
            let is_due = *due <= now;
            if is_due {
                next.push_back(*job);
            }
            !is_due
        });
        let asked = limit.min(self.next.len());
        let jobs: Vec<LedgerId> = self.next.iter().take(asked).copied().collect();
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = context.ledger.claim_all(&jobs).await?;
        self.next.drain(..asked);
        let mut claimed = Vec::new();
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            match outcome {
                ClaimOutcome::Claimed(one) => claimed.push(one),
                ClaimOutcome::Busy { .. } => self.later.push((now + BUSY, job)),
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
}
