//! Asking the ledger: single jobs, their histories, its own state.

use std::path::Path;
use std::time::Duration;

use super::Ledger;
use super::row::{self, select_jobs};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::event::JobEvent;
use crate::id::{InvalidLedgerId, LedgerId};
use crate::job_record::{JobRecord, from_micros, micros};
use crate::store::{self, Flush, Row, Sql, args};

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

    /// The jobs whose results are at this place or shall go there, the newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn find_by_output(&self, output: &Path) -> Result<Vec<JobRecord>, LedgerError> {
        const SQL: Sql = select_jobs!(
            "WHERE substr(j.output, -200) = substr($1, -200) AND j.output = $1 \
             ORDER BY j.created_at DESC, j.id DESC",
            "WHERE right(j.output, 200) = right($1, 200) AND j.output = $1 \
             ORDER BY j.created_at DESC, j.id DESC"
        );
        let place = output.to_string_lossy().replace('\0', "");
        let rows = self.store.read(SQL, args![place]).await?;
        rows.iter().map(row::job).collect()
    }

    /// Whether the place of the job's result was given with the key that this ledger was opened with; every place is, for
    /// one that was opened without.
    pub fn is_own_output(&self, job: &JobRecord) -> bool {
        let Some(key) = self.place_key else {
            return true;
        };
        let place = job.output.as_deref().and_then(Path::to_str);
        place
            .zip(job.output_seal.as_ref())
            .is_some_and(|(place, seal)| key.is_seal(seal, job.id, place))
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

    /// Writes without changing anything: what tells whether a job could be written down.
    ///
    /// # Errors
    /// The store's.
    pub async fn check_writable(&self) -> Result<(), LedgerError> {
        self.write(Flush::Later, |tx| {
            Box::pin(async move {
                let nothing = "UPDATE memo SET value = value WHERE account = '-'";
                tx.run(nothing, Vec::new()).await.map(drop)
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
                   WHERE stage NOT IN ('completed', 'rejected', 'failed', 'gone', 'abandoned'))";
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
            plain_text: self.store.is_plain().await?,
            clock_off: ahead.map(|off| Duration::from_micros(off.unsigned_abs())),
        })
    }
}

pub(super) fn event(row: &Row) -> Result<JobEvent, LedgerError> {
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
