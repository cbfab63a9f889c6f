//! Keeping a ledger: dropping what is long over, copies, and what a restored copy must not do.

use std::path::Path;
use std::time::Duration;

use super::row::{self, AfterWrite, Writer};
use super::{Ledger, history};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::event::{Note, event_kind};
use crate::id::LedgerId;
use crate::record::ParkReason;
use crate::stage::{Stage, Transition, transition};
use crate::store::{Flush, Sql, Tx, args};

/// How many jobs are pruned in one transaction.
const PRUNED: i64 = 500;

/// What became of the jobs that a restored ledger held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// So many are due: they are submitted as if they never had been.
    pub due: u64,
    /// So many were being submitted when the copy was made, and are in doubt.
    pub in_doubt: u64,
}

impl Ledger {
    /// Drops the histories, options and texts of jobs that were settled longer ago than `older_than`; gives their number.
    ///
    /// Digests, ids, places and charges stay, so that the same input stays bought. Jobs in doubt are never pruned.
    ///
    /// # Errors
    /// The store's; what was pruned until then stays so.
    pub async fn prune(&self, older_than: Duration) -> Result<u64, LedgerError> {
        let age = i64::try_from(older_than.as_micros()).unwrap_or(i64::MAX);
        let before = self.now().saturating_sub(age);
        let mut pruned = 0;
        loop {
            let count = self
                .write(Flush::Later, move |tx| {
                    Box::pin(async move { prune(tx, before).await })
                })
                .await?;
            if count == 0 {
                return Ok(pruned);
            }
            pruned += count;
        }
    }

    /// Copies the ledger into a new file while it is in use; the copy is as it was at one moment. For a file only: a
    /// database has tools of its own.
    ///
    /// # Errors
    /// [`InvalidInput`](LedgerErrorKind::InvalidInput) when something is at `file`, or for a database; else the store's.
    pub async fn backup(&self, file: &Path) -> Result<(), LedgerError> {
        self.store.backup(file).await
    }

    /// Says that this ledger was restored from a copy: what the copy takes for not submitted may have been bought since.
    /// It waits until somebody [recovers](Self::recover) it; gives how many jobs wait.
    ///
    /// # Errors
    /// The store's.
    pub async fn mark_restored(&self) -> Result<u64, LedgerError> {
        let now = self.now();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                // Whoever had a claim when the copy was made is not there any more.
                tx.run(
                    "UPDATE wake SET due = $1, owner = NULL, poll_soon = 0, fence = fence + 1 WHERE owner IS NOT NULL \
                     AND stage NOT IN ('intended', 'submitting')",
                    args![now],
                )
                .await?;
                if !tx.is_sqlite() {
                    // Transactions of another server have numbers that mean nothing here.
                    tx.run("UPDATE event SET tx = 0 WHERE tx > 0", Vec::new()).await?;
                }
                tx.run(
                    "UPDATE wake SET due = NULL, owner = NULL, poll_soon = 0, fence = fence + 1, blocked_until = NULL, \
                     parked = 'restored' WHERE stage IN ('intended', 'submitting')",
                    Vec::new(),
                )
                .await
            })
        })
        .await
    }

    /// Lets the jobs go on that wait since the ledger was [restored](Self::mark_restored): what was intended is due, what
    /// was being submitted is in doubt.
    ///
    /// # Errors
    /// The store's.
    pub async fn recover(&self) -> Result<Recovered, LedgerError> {
        let by = self.writer();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let waiting = "SELECT id FROM wake WHERE parked = 'restored' ORDER BY id";
                let mut recovered = Recovered::default();
                for row in tx.rows(waiting, Vec::new()).await? {
                    if let Ok(job) = row.str(0)?.parse() {
                        recover(tx, &by, job, &mut recovered).await?;
                    }
                }
                tx.notify_on_commit();
                Ok(recovered)
            })
        })
        .await
    }
}

async fn recover(
    tx: &mut Tx,
    by: &Writer,
    job: LedgerId,
    recovered: &mut Recovered,
) -> Result<(), LedgerError> {
    let held = row::lock(tx, job).await?;
    let key = row::fence_off(tx, job, &held).await?;
    if held.stage == Stage::Submitting {
        let to = transition(held.stage, Transition::Doubt)
            .map_err(|illegal| LedgerError::illegal_transition(job, illegal))?;
        row::put(tx, by, key, to, AfterWrite::End(None), &held).await?;
        let sql = "UPDATE wake SET parked = $2 WHERE id = $1";
        tx.run(sql, args![job.to_string(), ParkReason::InDoubt.as_str()])
            .await?;
        let note = Note::new(
            "it was being submitted when the ledger was copied; it may have been charged",
        );
        row::error(tx, job, &note).await?;
        history::event(tx, by, job, Some(key.fence), event_kind::IN_DOUBT, &note).await?;
        recovered.in_doubt += 1;
        return Ok(());
    }
    row::put(
        tx,
        by,
        key,
        held.stage,
        AfterWrite::End(Some(by.now)),
        &held,
    )
    .await?;
    let note = Note::new("the restored ledger was recovered");
    history::event(tx, by, job, Some(key.fence), event_kind::UNPARKED, &note).await?;
    recovered.due += 1;
    Ok(())
}

/// What is said of a job that must not be claimed yet.
pub(super) fn held_back(job: LedgerId) -> LedgerError {
    LedgerError::of(
        LedgerErrorKind::Restored,
        job,
        "the ledger was restored from a copy and the job may have been bought since: see whether it was, \
         then run docjobs ledger recover",
    )
}

async fn prune(tx: &mut Tx, before: i64) -> Result<u64, LedgerError> {
    const PICK: Sql = Sql::each(
        "SELECT id FROM wake WHERE settled_at IS NOT NULL AND settled_at < $1 ORDER BY settled_at LIMIT $2",
        "SELECT id FROM wake WHERE settled_at IS NOT NULL AND settled_at < $1 ORDER BY settled_at LIMIT $2 \
         FOR UPDATE SKIP LOCKED",
    );
    const EVENTS: Sql = Sql::each(
        "DELETE FROM event WHERE job IN (SELECT value FROM json_each($1))",
        "DELETE FROM event WHERE job = ANY ($1)",
    );
    const JOBS: Sql = Sql::each(
        "UPDATE job SET options = 'null', request = NULL, request_private = NULL, result = NULL, error = NULL, \
         error_data = NULL, error_kind = NULL, unverified = NULL WHERE id IN (SELECT value FROM json_each($1))",
        "UPDATE job SET options = 'null', request = NULL, request_private = NULL, result = NULL, error = NULL, \
         error_data = NULL, error_kind = NULL, unverified = NULL WHERE id = ANY ($1)",
    );
    const WAKES: Sql = Sql::each(
        "UPDATE wake SET settled_at = NULL, vendor_status = NULL WHERE id IN (SELECT value FROM json_each($1))",
        "UPDATE wake SET settled_at = NULL, vendor_status = NULL WHERE id = ANY ($1)",
    );
    let rows = tx.rows(PICK, args![before, PRUNED]).await?;
    let ids = rows
        .iter()
        .map(|row| row.text(0))
        .collect::<Result<Vec<_>, _>>()?;
    if ids.is_empty() {
        return Ok(0);
    }
    for sql in [EVENTS, JOBS, WAKES] {
        tx.run(sql, args![ids.clone()]).await?;
    }
    Ok(u64::try_from(ids.len()).unwrap_or_default())
}
