//! Who works on the jobs of the ledger, as they report themselves, and what is asked of them.

use std::time::SystemTime;

use super::row;
use super::{Ledger, history, inbox};
use crate::error::LedgerError;
use crate::event::{Note, event_kind};
use crate::id::{InvalidLedgerId, LedgerId};
use crate::job_record::from_micros;
use crate::record::ParkReason;
use crate::stage::Stage;
use crate::store::{Flush, args};

/// How long a worker that does not report itself is still listed.
const LISTED: i64 = 60_000_000;

/// How long its row is kept.
const KEPT: i64 = 24 * 3600 * 1_000_000;

/// A process that works on jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerRecord {
    /// Its name in the history.
    pub id: String,
    /// When it reported itself last.
    pub last_seen: SystemTime,
    /// How many jobs it held then.
    pub jobs: u64,
}

impl Ledger {
    /// Reports that this worker is alive and holds so many jobs; every 10 to 20 seconds.
    ///
    /// # Errors
    /// The store's.
    pub async fn worker_seen(&self, jobs: usize) -> Result<(), LedgerError> {
        let (worker, now) = (self.worker().to_owned(), self.now());
        let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                tx.run(
                    "INSERT INTO worker (id, last_seen, jobs) VALUES ($1, $2, $3) \
                     ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen, jobs = excluded.jobs",
                    args![worker, now, jobs],
                )
                .await?;
                let old = "DELETE FROM worker WHERE last_seen < $1";
                tx.run(old, args![now.saturating_sub(KEPT)]).await.map(drop)
            })
        })
        .await
    }

    /// Reports that this worker has stopped.
    ///
    /// # Errors
    /// The store's.
    pub async fn worker_stopped(&self) -> Result<(), LedgerError> {
        let worker = self.worker().to_owned();
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM worker WHERE id = $1";
                tx.run(sql, args![worker]).await.map(drop)
            })
        })
        .await
    }

    /// The workers that reported themselves within the last minute.
    ///
    /// # Errors
    /// The store's.
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>, LedgerError> {
        let sql = "SELECT id, last_seen, jobs FROM worker WHERE last_seen > $1 ORDER BY id";
        let since = self.now().saturating_sub(LISTED);
        let rows = self.store.read(sql.into(), args![since]).await?;
        rows.iter()
            .map(|row| {
                Ok(WorkerRecord {
                    id: row.text(0)?,
                    last_seen: from_micros(row.int(1)?),
                    jobs: row.int(2)?.unsigned_abs(),
                })
            })
            .collect()
    }

    /// Brings the next poll of a job forward, never below the vendor's floor, and gives whether the job is polled at all.
    ///
    /// # Errors
    /// [`NotFound`](crate::LedgerErrorKind::NotFound); else the store's.
    pub async fn poll_soon(&self, job: LedgerId, note: Note) -> Result<bool, LedgerError> {
        let by = self.writer();
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                if row::lock(tx, job).await?.stage != Stage::Accepted {
                    return Ok(false);
                }
                inbox::bring_forward(tx, by.now, vec![job.to_string()]).await?;
                let kind = event_kind::POLL_REQUESTED;
                history::event(tx, &by, job, None, kind, &note).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Allows an unsettled job so many paid polls in all, unless it has more, and makes it due if it waits for that.
    ///
    /// # Errors
    /// [`NotFound`](crate::LedgerErrorKind::NotFound); else the store's.
    pub async fn allow_calls(
        &self,
        job: LedgerId,
        calls: u32,
        note: Note,
    ) -> Result<(), LedgerError> {
        const ALLOW: &str =
            "UPDATE job SET max_calls = $2 WHERE id = $1 AND coalesce(max_calls, 0) < $2";
        const UNPARK: &str = "UPDATE wake SET due = $2, parked = NULL, updated_at = $2 WHERE id = $1 AND parked = $3 \
            AND (SELECT calls FROM job WHERE id = $1) < $4";
        let by = self.writer();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                if row::lock(tx, job).await?.stage.is_settled() {
                    return Ok(());
                }
                let (id, calls) = (job.to_string(), i64::from(calls));
                tx.run(ALLOW, args![id.as_str(), calls]).await?;
                let reason = ParkReason::PaidPolls.as_str();
                let unpark = args![id.as_str(), by.now, reason, calls];
                if tx.run(UNPARK, unpark).await? > 0 {
                    tx.notify_on_commit();
                    let kind = event_kind::UNPARKED;
                    history::event(tx, &by, job, None, kind, &note).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// The jobs that this worker holds whose polls somebody wants sooner, each told once. Ask when
    /// [`wait_for_work`](Self::wait_for_work) returns; the end of a claim answers the rest.
    ///
    /// # Errors
    /// The store's.
    pub async fn take_poll_requests(&self) -> Result<Vec<LedgerId>, LedgerError> {
        let owner = self.owner.to_text();
        let waiting = "SELECT count(*) FROM wake WHERE owner = $1 AND poll_soon = 1";
        let rows = self
            .store
            .read(waiting.into(), args![owner.as_str()])
            .await?;
        if rows.first().map(|row| row.int(0)).transpose()? == Some(0) {
            return Ok(Vec::new());
        }
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                let sql =
                    "UPDATE wake SET poll_soon = 0 WHERE owner = $1 AND poll_soon = 1 RETURNING id";
                let rows = tx.rows(sql, args![owner]).await?;
                let ids = rows.iter().map(|row| {
                    row.str(0)?.parse().map_err(|problem: InvalidLedgerId| {
                        let line = "a job has an id that is none: restore the ledger from a copy";
                        LedgerError::new(crate::error::LedgerErrorKind::Corrupt, line)
                            .with_source(problem)
                    })
                });
                ids.collect()
            })
        })
        .await
    }
}
