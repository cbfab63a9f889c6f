//! One action on all jobs that a filter finds, if they are as many as was expected.

use super::filter::JobFilter;
use super::row::{self, AfterWrite, Writer};
use super::{Ledger, history, inbox, list, submit};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::event::{Note, event_kind};
use crate::id::LedgerId;
use crate::record::ParkReason;
use crate::stage::{Stage, Transition};
use crate::store::{Flush, Tx, args};

/// How many jobs one action is about at most.
const MOST: usize = 1_000;

/// What is done to each of many jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BulkAction {
    /// It is given up; one that is settled is left as it is.
    Abandon,
    /// Its next poll is brought forward.
    PollSoon,
    /// If it waits for somebody, it is tried again; one in doubt is not.
    Retry,
}

/// How an action on many jobs went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BulkOutcome {
    /// It was done to these; to the others that the filter found it could not be.
    Done(Vec<LedgerId>),
    /// So many of them are held by processes that work on them, so none was given up.
    Held(usize),
    /// The filter finds another number of jobs than was expected, so nothing was done. Beyond 1000 nobody counted on.
    CountDiffers(usize),
}

impl Ledger {
    /// Does something to all jobs that the filter finds, in one transaction, if they are `expect`; at most 1000. The page
    /// of the filter does not matter.
    ///
    /// # Errors
    /// [`InvalidInput`](LedgerErrorKind::InvalidInput) for more than 1000; else the store's. Then nothing was done.
    pub async fn bulk(
        &self,
        action: BulkAction,
        filter: &JobFilter,
        expect: usize,
        note: Note,
    ) -> Result<BulkOutcome, LedgerError> {
        if expect > MOST {
            let line = format!("one action is about {MOST} jobs at most, not {expect}");
            return Err(LedgerError::new(LedgerErrorKind::InvalidInput, line));
        }
        let mut whole = filter.clone();
        whole.after = None;
        let by = self.writer();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let found = list::keys(tx, &whole, MOST + 1).await?;
                if found.len() != expect {
                    return Ok(BulkOutcome::CountDiffers(found.len()));
                }
                let mut ids: Vec<LedgerId> =
                    found.iter().filter_map(|(_, id)| id.parse().ok()).collect();
                // In the order in which everybody locks rows.
                ids.sort_unstable_by_key(LedgerId::to_string);
                if action == BulkAction::Abandon {
                    match held(tx, &by, &ids).await? {
                        0 => {}
                        count => return Ok(BulkOutcome::Held(count)),
                    }
                }
                let mut done = Vec::new();
                for id in ids {
                    if act(tx, &by, action, id, &note).await? {
                        done.push(id);
                    }
                }
                Ok(BulkOutcome::Done(done))
            })
        })
        .await
    }
}

/// How many of these a process works on; all of them are locked then.
async fn held(tx: &mut Tx, by: &Writer, jobs: &[LedgerId]) -> Result<usize, LedgerError> {
    let mut count = 0;
    for job in jobs {
        let job = row::lock(tx, *job).await?;
        let is_submitting = job.stage == Stage::Submitting;
        if is_submitting || (!job.stage.is_settled() && job.is_taken(by)) {
            count += 1;
        }
    }
    Ok(count)
}

async fn act(
    tx: &mut Tx,
    by: &Writer,
    action: BulkAction,
    job: LedgerId,
    note: &Note,
) -> Result<bool, LedgerError> {
    let held = row::lock(tx, job).await?;
    match action {
        BulkAction::Abandon => {
            let is_restored = row::read(tx, job).await?.parked == Some(ParkReason::Restored);
            if is_restored || held.stage.is_settled() {
                return Ok(false);
            }
            let (key, then) = (row::fence_off(tx, job, &held).await?, AfterWrite::End(None));
            submit::exit(tx, by, key, Transition::Abandon, then, note).await?;
            Ok(true)
        }
        BulkAction::PollSoon => {
            if held.stage != Stage::Accepted {
                return Ok(false);
            }
            inbox::bring_forward(tx, by.now, vec![job.to_string()]).await?;
            let kind = event_kind::POLL_REQUESTED;
            history::event(tx, by, job, None, kind, note).await?;
            Ok(true)
        }
        BulkAction::Retry => {
            let waits = held.due.is_none() && held.owner.is_none();
            let is_restored = row::read(tx, job).await?.parked == Some(ParkReason::Restored);
            if !waits || is_restored || held.stage.is_settled() || held.stage == Stage::InDoubt {
                return Ok(false);
            }
            let sql = "UPDATE wake SET due = $2, parked = NULL, updated_at = $2 WHERE id = $1";
            tx.run(sql, args![job.to_string(), by.now]).await?;
            tx.notify_on_commit();
            history::event(tx, by, job, None, event_kind::UNPARKED, note).await?;
            Ok(true)
        }
    }
}
