//! Asking the ledger: jobs, their histories, the outbox; and forgetting what is long over.

use std::time::Duration;

use jobs_core::Account;

use super::Ledger;
use super::row::{self, select_jobs};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::event::JobEvent;
use crate::id::{InvalidLedgerId, LedgerId};
use crate::job_record::{JobRecord, from_micros, micros};
use crate::stage::Stage;
use crate::store::{self, Flush, Row, Sql, args};

/// Which jobs to list; the newest first.
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
    /// Only after this job, which ended the page before.
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

/// The state of the ledger itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerCheck {
    /// `sqlite` or `postgres`.
    pub store: &'static str,
    /// The number of its layout.
    pub schema: i64,
    /// How many jobs there are.
    pub jobs: i64,
    /// How many of them are not settled.
    pub unfinished: i64,
    /// How many events were not acknowledged.
    pub unread: i64,
    /// How far this machine's clock is off the database's, where that has one. Leases hold by the clocks of the workers:
    /// beyond a second or two, a worker takes over jobs of others too early or too late.
    pub clock_off: Option<Duration>,
    /// Whether what is written goes to another machine in plain text.
    pub plain_text: bool,
}

impl Ledger {
    /// One job by our id.
    ///
    /// # Errors
    /// The store's.
    pub async fn get(&self, job: LedgerId) -> Result<Option<JobRecord>, LedgerError> {
        let sql = select_jobs!("WHERE w.id = $1");
        let rows = self.store.read(sql, args![job.to_string()]).await?;
        rows.first().map(row::job).transpose()
    }

    /// The jobs that a person may mean by this text: ours of that id, then those with that id at a vendor, the newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(&self, id: &str) -> Result<Vec<JobRecord>, LedgerError> {
        let id = id.trim().replace('\0', "");
        let mut found = Vec::new();
        if let Ok(ours) = id.parse() {
            found.extend(self.get(ours).await?);
        }
        let sql = select_jobs!("WHERE j.remote_id = $1 ORDER BY j.created_at DESC, j.id DESC");
        for row in self.store.read(sql, args![id]).await? {
            found.push(row::job(&row)?);
        }
        Ok(found)
    }

    /// A page of the list of jobs, the newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, filter: &JobFilter) -> Result<JobPage, LedgerError> {
        const SQL: Sql = select_jobs!(
            "WHERE w.stage IN (SELECT value FROM json_each($1)) AND ($2 IS NULL OR j.vendor = $2) \
                 AND ($3 IS NULL OR j.kind = $3) AND ($4 IS NULL OR j.account = $4) AND ($5 IS NULL OR \
                 (j.created_at, j.id) < (SELECT p.created_at, p.id FROM job p WHERE p.id = $5)) \
                 ORDER BY j.created_at DESC, j.id DESC LIMIT $6",
            "WHERE w.stage = ANY ($1) AND ($2 IS NULL OR j.vendor = $2) \
                 AND ($3 IS NULL OR j.kind = $3) AND ($4 IS NULL OR j.account = $4) AND ($5 IS NULL OR \
                 (j.created_at, j.id) < (SELECT p.created_at, p.id FROM job p WHERE p.id = $5)) \
                 ORDER BY j.created_at DESC, j.id DESC LIMIT $6"
        );
        let stages = if filter.stages.is_empty() {
            &Stage::ALL[..]
        } else {
            &filter.stages
        };
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let stages: Vec<String> = stages.iter().map(|s| s.as_str().to_owned()).collect();
        let rows = self
            .store
            .read(
                SQL,
                args![
                    stages,
                    filter.vendor.clone(),
                    filter.kind.clone(),
                    filter.account.map(|account| account.to_string()),
                    filter.after.map(|job| job.to_string()),
                    limit
                ],
            )
            .await?;
        let jobs = rows.iter().map(row::job).collect::<Result<Vec<_>, _>>()?;
        let is_full = i64::try_from(jobs.len()).is_ok_and(|count| count >= limit);
        let next = jobs.last().filter(|_| is_full).map(|job| job.id);
        Ok(JobPage { jobs, next })
    }

    /// The history of a job, in the order of writing.
    ///
    /// # Errors
    /// The store's.
    pub async fn events(&self, job: LedgerId) -> Result<Vec<JobEvent>, LedgerError> {
        let sql = "SELECT seq, job, at, fence, worker, what, text, request_id, credits, data FROM event \
                   WHERE job = $1 ORDER BY seq";
        let rows = self.store.read(sql.into(), args![job.to_string()]).await?;
        rows.iter().map(event).collect()
    }

    /// Events of all jobs that were not [acknowledged](Self::ack), the oldest first.
    ///
    /// Each is given at least once: again and again until it is acknowledged. An event may show up after one with a
    /// higher number, so acknowledge what you have seen, not "all up to".
    ///
    /// # Errors
    /// The store's.
    pub async fn outbox(&self, limit: usize) -> Result<Vec<JobEvent>, LedgerError> {
        let sql = "SELECT seq, job, at, fence, worker, what, text, request_id, credits, data FROM event \
                   WHERE acked = 0 ORDER BY seq LIMIT $1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.store.read(sql.into(), args![limit]).await?;
        rows.iter().map(event).collect()
    }

    /// Says that these events, by their numbers, need not be given again.
    ///
    /// # Errors
    /// The store's.
    pub async fn ack(&self, seqs: &[i64]) -> Result<(), LedgerError> {
        const SQL: Sql = Sql::each(
            "UPDATE event SET acked = 1 WHERE seq IN (SELECT value FROM json_each($1))",
            "UPDATE event SET acked = 1 WHERE seq = ANY ($1)",
        );
        let seqs = seqs.to_vec();
        self.write(Flush::Later, move |tx| {
            Box::pin(async move { tx.run(SQL, args![seqs]).await.map(drop) })
        })
        .await
    }

    /// Forgets jobs that were settled longer ago than `older_than`, with their histories; gives their number.
    ///
    /// A wish that was done is new again afterwards. Jobs in doubt are never forgotten.
    ///
    /// # Errors
    /// The store's.
    pub async fn prune(&self, older_than: Duration) -> Result<u64, LedgerError> {
        let age = i64::try_from(older_than.as_micros()).unwrap_or(i64::MAX);
        let before = self.now().saturating_sub(age);
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                tx.run(
                    "DELETE FROM event WHERE job IN (SELECT id FROM wake WHERE updated_at < $1 \
                     AND stage IN ('completed', 'rejected', 'failed', 'gone', 'abandoned'))",
                    args![before],
                )
                .await?;
                tx.run(
                    "DELETE FROM job WHERE id IN (SELECT id FROM wake WHERE updated_at < $1 \
                     AND stage IN ('completed', 'rejected', 'failed', 'gone', 'abandoned'))",
                    args![before],
                )
                .await
            })
        })
        .await
    }

    /// Looks for damage, and at the clocks.
    ///
    /// # Errors
    /// [`Corrupt`](crate::LedgerErrorKind::Corrupt) for a damaged file; else the store's.
    pub async fn check(&self) -> Result<LedgerCheck, LedgerError> {
        self.store.check().await?;
        let sql = "SELECT (SELECT count(*) FROM wake), (SELECT count(*) FROM wake \
                   WHERE stage NOT IN ('completed', 'rejected', 'failed', 'gone', 'abandoned')), \
                   (SELECT count(*) FROM event WHERE acked = 0)";
        let rows = self.store.read(sql.into(), Vec::new()).await?;
        let count = |column| match rows.first() {
            Some(row) => row.int(column),
            None => Ok(0),
        };
        let ahead = self.store.ahead(micros(self.clock.wall())).await?;
        Ok(LedgerCheck {
            store: self.store.name(),
            schema: store::SCHEMA,
            jobs: count(0)?,
            unfinished: count(1)?,
            unread: count(2)?,
            plain_text: self.store.is_plain().await?,
            clock_off: ahead.map(|off| Duration::from_micros(off.unsigned_abs())),
        })
    }
}

fn event(row: &Row) -> Result<JobEvent, LedgerError> {
    Ok(JobEvent {
        seq: row.int(0)?,
        job: row.text(1)?.parse().map_err(|problem: InvalidLedgerId| {
            LedgerError::new(
                LedgerErrorKind::Corrupt,
                "an event names no job: restore the ledger from a copy",
            )
            .with_source(problem)
        })?,
        at: from_micros(row.int(2)?),
        fence: row.opt_int(3)?,
        worker: row.text(4)?,
        kind: row.text(5)?,
        text: row.opt_text(6)?,
        request_id: row.opt_text(7)?,
        credits: row.opt_int(8)?,
        data: row::read_or_default(row.opt_str(9)?)?,
    })
}
