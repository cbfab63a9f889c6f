//! The inbox of webhooks: each call gets a verdict, and a row where there is room; none of them is believed. All that a
//! call can do is bring the next poll of its job forward.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use jobs_core::JobId;
use sha2::{Digest, Sha256};

use super::Ledger;
use super::history::lines;
use super::row::Writer;
use super::totals::day_of;
use crate::error::LedgerError;
use crate::id::LedgerId;
use crate::job_record::from_micros;
use crate::store::{Flush, Row, Sql, Tx, args};

/// How long a call for an id that is not known yet waits for the answer of the submit that names it.
pub(super) const EARLY: i64 = 600_000_000;

/// How many rows a day are kept of each verdict but *verified*.
const ROWS_A_DAY: i64 = 1_000;

/// How many ids that nobody knows are kept at once.
const UNKNOWN_IDS: i64 = 10_000;

/// How long rows are kept.
const KEPT: i64 = 30 * 24 * 3600 * 1_000_000;

/// How many of the oldest rows are looked at for being too old, with each batch.
const PRUNED: i64 = 100;

/// How much of a body is kept.
const BODY: usize = 64 * 1024;

/// How far a call can be trusted to come from the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebhookTrust {
    /// Its signature is wrong.
    Forged,
    /// Its signature is right.
    Signed,
    /// It has none.
    Unsigned,
}

/// A call of a vendor, as it is put into the inbox.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebhookCall {
    /// The vendor, as in its kinds.
    pub vendor: String,
    /// The vendor's id of the job, if the call names one.
    pub remote_id: Option<JobId>,
    /// What it said, without secrets.
    pub body: String,
    /// How far it can be trusted.
    pub trust: WebhookTrust,
}

impl WebhookCall {
    /// A call of a vendor about a job.
    pub fn new(
        vendor: impl Into<String>,
        remote_id: Option<JobId>,
        body: impl Into<String>,
        trust: WebhookTrust,
    ) -> Self {
        Self {
            vendor: vendor.into(),
            remote_id,
            body: body.into(),
            trust,
        }
    }

    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let id = self.remote_id.as_ref().map_or("", JobId::as_str);
        for part in [self.vendor.as_str(), id, &self.body] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// What was made of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WebhookVerdict {
    /// Its signature is wrong: nothing was done.
    Forged,
    /// The same vendor said the same of the same job before.
    Duplicate,
    /// No job has that id, or it names none.
    UnknownJob,
    /// It came before the answer of the submit that named its id, and counted then.
    Early,
    /// It is signed.
    Verified,
    /// The vendor does not sign.
    Unsigned,
}

impl WebhookVerdict {
    /// Every verdict.
    pub const ALL: [Self; 6] = [
        Self::Forged,
        Self::Duplicate,
        Self::UnknownJob,
        Self::Early,
        Self::Verified,
        Self::Unsigned,
    ];

    /// The word for it in the ledger and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::Duplicate => "duplicate",
            Self::UnknownJob => "unknown_job",
            Self::Early => "early",
            Self::Verified => "verified",
            Self::Unsigned => "unsigned",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == word)
    }
}

/// A row of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookRecord {
    /// Its number.
    pub seq: i64,
    /// When it came.
    pub at: SystemTime,
    /// Which vendor it came from, or says that it does.
    pub vendor: String,
    /// The vendor's id of the job.
    pub remote_id: Option<String>,
    /// Our id of it.
    pub job: Option<LedgerId>,
    /// What was made of it; none for a word of a newer version.
    pub verdict: Option<WebhookVerdict>,
    /// What it said.
    pub body: String,
}

/// Which rows of the inbox to list; the newest first.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct WebhookFilter {
    /// Only with this verdict.
    pub verdict: Option<WebhookVerdict>,
    /// Only of this vendor.
    pub vendor: Option<String>,
    /// Only of this job.
    pub job: Option<LedgerId>,
    /// Only before this row, which ended the page before.
    pub after: Option<i64>,
    /// How many at most; 0 for 100.
    pub limit: usize,
}

impl WebhookFilter {
    /// All rows.
    pub fn all() -> Self {
        Self::default()
    }
}

/// How many calls got a verdict on a day, kept as rows or not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookCount {
    /// From this vendor.
    pub vendor: String,
    /// With this verdict.
    pub verdict: WebhookVerdict,
    /// So many.
    pub calls: u64,
}

/// What the news of a job led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookReceipt {
    /// The job is known. If it is unfinished it is due at once, or as soon as its claim ends.
    Matched,
    /// No job has that id yet; the news is kept for ten minutes.
    Stored,
}

impl Ledger {
    /// Notes that there is news of a job, without a row in the inbox: it is polled soon, nothing else.
    ///
    /// # Errors
    /// The store's.
    pub async fn record_webhook(
        &self,
        vendor: &str,
        remote_id: &JobId,
    ) -> Result<WebhookReceipt, LedgerError> {
        let (vendor, remote_id, now) =
            (vendor.replace('\0', ""), remote_id.to_string(), self.now());
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                let sql = "SELECT id FROM job WHERE vendor = $1 AND remote_id = $2";
                let rows = tx
                    .rows(sql, args![vendor.as_str(), remote_id.as_str()])
                    .await?;
                if rows.is_empty() {
                    let unknown = lines([(vendor, remote_id)].into_iter());
                    await_answers(tx, now, unknown).await?;
                    return Ok(WebhookReceipt::Stored);
                }
                let jobs = rows
                    .iter()
                    .map(|row| row.text(0))
                    .collect::<Result<_, _>>()?;
                bring_forward(tx, now, jobs).await?;
                Ok(WebhookReceipt::Matched)
            })
        })
        .await
    }

    /// Puts calls of vendors into the inbox, in one transaction, brings the polls of their jobs forward and wakes the
    /// workers; the verdicts come in the order of the calls.
    ///
    /// # Errors
    /// The store's; then nothing was written, and the vendor may repeat its call.
    pub async fn record_webhooks(
        &self,
        calls: Vec<WebhookCall>,
    ) -> Result<Vec<WebhookVerdict>, LedgerError> {
        let by = self.writer();
        let calls: Vec<WebhookCall> = calls.into_iter().map(plain).collect();
        self.write(Flush::Later, move |tx| {
            Box::pin(async move { record(tx, &by, calls).await })
        })
        .await
    }

    /// Counts calls of which no row is kept, such as those to an address with a wrong secret.
    ///
    /// # Errors
    /// The store's.
    pub async fn count_webhooks(
        &self,
        vendor: &str,
        verdict: WebhookVerdict,
        calls: u64,
    ) -> Result<(), LedgerError> {
        let (vendor, now) = (vendor.replace('\0', ""), self.now());
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                let counts = HashMap::from([((vendor, verdict), calls)]);
                count(tx, day_of(now), &counts).await
            })
        })
        .await
    }

    /// Rows of the inbox, the newest first; whoever wants more goes on [after](WebhookFilter::after) the last one's number.
    ///
    /// # Errors
    /// The store's.
    pub async fn webhooks(
        &self,
        filter: &WebhookFilter,
    ) -> Result<Vec<WebhookRecord>, LedgerError> {
        macro_rules! select {
            ($which:literal) => {
                concat!(
                    "SELECT seq, at, vendor, remote_id, job, verdict, body FROM webhook WHERE seq < $1 ",
                    $which,
                    " AND (CAST($3 AS TEXT) IS NULL OR verdict = $3) AND (CAST($4 AS TEXT) IS NULL OR vendor = $4) \
                     AND (CAST($5 AS TEXT) IS NULL OR job = $5) ORDER BY seq DESC LIMIT $2"
                )
            };
        }
        // The first condition names the index.
        let sql = match filter {
            WebhookFilter { job: Some(_), .. } => select!("AND job = $5"),
            WebhookFilter {
                verdict: Some(_), ..
            } => select!("AND verdict = $3"),
            WebhookFilter {
                vendor: Some(_), ..
            } => select!("AND vendor = $4"),
            _ => select!(""),
        };
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let args = args![
            filter.after.unwrap_or(i64::MAX),
            i64::try_from(limit).unwrap_or(i64::MAX),
            filter.verdict.map(WebhookVerdict::as_str),
            filter.vendor.as_deref(),
            filter.job.map(|job| job.to_string())
        ];
        let rows = self.store.read(sql.into(), args).await?;
        rows.iter().map(webhook).collect()
    }

    /// How many calls of the latest `days` days got which verdict, today included.
    ///
    /// # Errors
    /// The store's.
    pub async fn webhook_counts(&self, days: u32) -> Result<Vec<WebhookCount>, LedgerError> {
        const SQL: Sql = Sql::each(
            "SELECT vendor, verdict, sum(calls) FROM webhook_count WHERE day > $1 GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT vendor, verdict, sum(calls)::bigint FROM webhook_count WHERE day > $1 GROUP BY 1, 2 ORDER BY 1, 2",
        );
        let since = day_of(self.now()).saturating_sub(i64::from(days));
        let mut counts = Vec::new();
        for row in self.store.read(SQL, args![since]).await? {
            if let Some(verdict) = WebhookVerdict::parse(row.str(1)?) {
                counts.push(WebhookCount {
                    vendor: row.text(0)?,
                    verdict,
                    calls: u64::try_from(row.int(2)?).unwrap_or_default(),
                });
            }
        }
        Ok(counts)
    }
}

/// Neither store takes more than it should, and PostgreSQL takes no NUL.
fn plain(call: WebhookCall) -> WebhookCall {
    let end = call.body.floor_char_boundary(BODY);
    let body = call.body.get(..end).unwrap_or_default();
    WebhookCall {
        vendor: call.vendor.replace('\0', ""),
        body: body.replace('\0', "\u{fffd}"),
        ..call
    }
}

fn webhook(row: &Row) -> Result<WebhookRecord, LedgerError> {
    Ok(WebhookRecord {
        seq: row.int(0)?,
        at: from_micros(row.int(1)?),
        vendor: row.text(2)?,
        remote_id: row.opt_text(3)?,
        job: row.opt_str(4)?.and_then(|job| job.parse().ok()),
        verdict: WebhookVerdict::parse(row.str(5)?),
        body: row.text(6)?,
    })
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn record(
    tx: &mut Tx,
    by: &Writer,
    calls: Vec<WebhookCall>,
) -> Result<Vec<WebhookVerdict>, LedgerError> {
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    let day = day_of(by.now);
    let digests: Vec<String> = calls.iter().map(|call| hex(call.digest())).collect();
    let mut seen = known_digests(tx, digests.clone()).await?;
    let jobs = known_jobs(tx, &calls).await?;
    let mut room = rows_of(tx, day).await?;
    let (mut verdicts, mut rows) = (Vec::new(), Vec::new());
    let mut counts: HashMap<(String, WebhookVerdict), i64> = HashMap::new();
    let (mut woken, mut unknown) = (Vec::new(), Vec::new());
    for (call, digest) in calls.iter().zip(digests) {
        let id = call.remote_id.as_ref().map(JobId::as_str);
        let job = id.and_then(|id| jobs.get(&(call.vendor.as_str(), id)));
        let verdict = match call.trust {
            WebhookTrust::Forged => WebhookVerdict::Forged,
            _ if seen.contains(&digest) => WebhookVerdict::Duplicate,
            _ if job.is_none() => WebhookVerdict::UnknownJob,
            WebhookTrust::Signed => WebhookVerdict::Verified,
            WebhookTrust::Unsigned => WebhookVerdict::Unsigned,
        };
        match (verdict, id) {
            (WebhookVerdict::UnknownJob, Some(id)) => unknown.push((call.vendor.clone(), id)),
            (WebhookVerdict::Verified | WebhookVerdict::Unsigned, _) => woken.extend(job.cloned()),
            _ => {}
        }
        let kept = room.entry(verdict).or_default();
        if verdict == WebhookVerdict::Verified || *kept < ROWS_A_DAY {
            *kept += 1;
            let job = job.filter(|_| verdict != WebhookVerdict::Forged);
            rows.push((
                &call.vendor,
                id,
                job,
                verdict.as_str(),
                &call.body,
                digest.clone(),
            ));
        }
        if verdict != WebhookVerdict::Forged {
            seen.insert(digest);
        }
        *counts.entry((call.vendor.clone(), verdict)).or_default() += 1;
        verdicts.push(verdict);
    }
    insert(tx, by.now, lines(rows.into_iter())).await?;
    count(tx, day, &counts).await?;
    if !unknown.is_empty() {
        await_answers(tx, by.now, lines(unknown.into_iter())).await?;
    }
    bring_forward(tx, by.now, woken).await?;
    prune(tx, by.now).await?;
    Ok(verdicts)
}

async fn known_digests(tx: &mut Tx, digests: Vec<String>) -> Result<HashSet<String>, LedgerError> {
    const SQL: Sql = Sql::each(
        "SELECT lower(hex(digest)) FROM webhook WHERE digest IN (SELECT unhex(value) FROM json_each($1)) \
         AND verdict <> 'forged'",
        "SELECT encode(digest, 'hex') FROM webhook WHERE digest IN (SELECT decode(x, 'hex') FROM unnest($1::text[]) x) \
         AND verdict <> 'forged'",
    );
    let rows = tx.rows(SQL, args![digests]).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// Jobs by vendor and the vendor's id.
async fn known_jobs<'c>(
    tx: &mut Tx,
    calls: &'c [WebhookCall],
) -> Result<HashMap<(&'c str, &'c str), String>, LedgerError> {
    const SQL: Sql = Sql::each(
        "SELECT vendor, remote_id, id FROM job WHERE remote_id IN (SELECT value FROM json_each($1)) ORDER BY created_at",
        "SELECT vendor, remote_id, id FROM job WHERE remote_id = ANY ($1) ORDER BY created_at",
    );
    let named = |call: &'c WebhookCall| {
        let id = call.remote_id.as_ref()?;
        Some((call.vendor.as_str(), id.as_str()))
    };
    let ids: Vec<String> = calls
        .iter()
        .filter_map(|call| named(call).map(|(_, id)| id.to_owned()))
        .collect();
    let mut found = HashMap::new();
    for row in tx.rows(SQL, args![ids]).await? {
        found.insert((row.text(0)?, row.text(1)?), row.text(2)?);
    }
    let known = calls.iter().filter_map(named).filter_map(|(vendor, id)| {
        let job = found.get(&(vendor.to_owned(), id.to_owned()))?;
        Some(((vendor, id), job.clone()))
    });
    Ok(known.collect())
}

/// How many rows of each verdict came on a day, at least: calls, kept or not.
async fn rows_of(tx: &mut Tx, day: i64) -> Result<HashMap<WebhookVerdict, i64>, LedgerError> {
    const SQL: Sql = Sql::each(
        "SELECT verdict, sum(calls) FROM webhook_count WHERE day = $1 GROUP BY verdict",
        "SELECT verdict, sum(calls)::bigint FROM webhook_count WHERE day = $1 GROUP BY verdict",
    );
    let mut rows = HashMap::new();
    for row in tx.rows(SQL, args![day]).await? {
        if let Some(verdict) = WebhookVerdict::parse(row.str(0)?) {
            rows.insert(verdict, row.int(1)?);
        }
    }
    Ok(rows)
}

async fn insert(tx: &mut Tx, now: i64, rows: String) -> Result<(), LedgerError> {
    const SQL: Sql = Sql::each(
        "INSERT INTO webhook (at, vendor, remote_id, job, verdict, body, digest) SELECT $2, value ->> 0, value ->> 1, \
         value ->> 2, value ->> 3, value ->> 4, unhex(value ->> 5) FROM json_each($1) ORDER BY key",
        "INSERT INTO webhook (at, vendor, remote_id, job, verdict, body, digest) SELECT $2, r ->> 0, r ->> 1, r ->> 2, \
         r ->> 3, r ->> 4, decode(r ->> 5, 'hex') FROM json_array_elements($1::json) r",
    );
    tx.run(SQL, args![rows, now]).await.map(drop)
}

async fn count(
    tx: &mut Tx,
    day: i64,
    counts: &HashMap<(String, WebhookVerdict), i64>,
) -> Result<(), LedgerError> {
    let mut counts: Vec<_> = counts.iter().collect();
    // In one order, so that two batches never wait for each other.
    counts.sort_unstable();
    for ((vendor, verdict), calls) in counts {
        tx.run(
            "INSERT INTO webhook_count (day, vendor, verdict, calls) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (day, vendor, verdict) DO UPDATE SET calls = webhook_count.calls + excluded.calls",
            args![day, vendor.as_str(), verdict.as_str(), *calls],
        )
        .await?;
    }
    Ok(())
}

/// Keeps ids that nobody knows yet for the answer of a submit that is under way.
async fn await_answers(tx: &mut Tx, now: i64, ids: String) -> Result<(), LedgerError> {
    const SQL: Sql = Sql::each(
        "INSERT INTO hint (vendor, remote_id, at) SELECT DISTINCT value ->> 0, value ->> 1, $2 FROM json_each($1) \
         WHERE (SELECT count(*) FROM hint) < $3 ON CONFLICT (vendor, remote_id) DO UPDATE SET at = excluded.at",
        "INSERT INTO hint (vendor, remote_id, at) SELECT DISTINCT r ->> 0, r ->> 1, $2::bigint \
         FROM json_array_elements($1::json) r WHERE (SELECT count(*) FROM hint) < $3 ORDER BY 1, 2 \
         ON CONFLICT (vendor, remote_id) DO UPDATE SET at = excluded.at",
    );
    let old = "DELETE FROM hint WHERE at < $1";
    tx.run(old, args![now.saturating_sub(EARLY)]).await?;
    tx.run(SQL, args![ids, now, UNKNOWN_IDS]).await.map(drop)
}

/// Makes jobs that are polled due at once; of a claimed one its worker is told.
pub(super) async fn bring_forward(
    tx: &mut Tx,
    now: i64,
    jobs: Vec<String>,
) -> Result<u64, LedgerError> {
    const SQL: Sql = Sql::each(
        // The due time of a claimed job is its lease: it is not touched, the end of the claim sees the mark.
        "UPDATE wake SET due = CASE WHEN owner IS NULL THEN $2 ELSE due END, \
         poll_soon = CASE WHEN owner IS NULL THEN 0 ELSE 1 END, parked = NULL \
         WHERE stage = 'accepted' AND id IN (SELECT value FROM json_each($1))",
        "UPDATE wake SET due = CASE WHEN owner IS NULL THEN $2 ELSE due END, \
         poll_soon = CASE WHEN owner IS NULL THEN 0 ELSE 1 END, parked = NULL \
         WHERE id = ANY (ARRAY(SELECT id FROM wake WHERE stage = 'accepted' AND id = ANY ($1) ORDER BY id FOR UPDATE))",
    );
    if jobs.is_empty() {
        return Ok(0);
    }
    let woken = tx.run(SQL, args![jobs, now]).await?;
    if woken > 0 {
        tx.notify_on_commit();
    }
    Ok(woken)
}

/// What came before the answer of the submit is told as such.
pub(super) async fn settle_early(
    tx: &mut Tx,
    by: &Writer,
    job: LedgerId,
    remote_id: &str,
) -> Result<(), LedgerError> {
    let early = tx
        .rows(
            "UPDATE webhook SET verdict = 'early', job = $1 WHERE remote_id = $2 AND verdict = 'unknown_job' \
             AND at >= $3 AND vendor = (SELECT vendor FROM job WHERE id = $1) RETURNING vendor",
            args![job.to_string(), remote_id, by.now.saturating_sub(EARLY)],
        )
        .await?;
    let Some(first) = early.first() else {
        return Ok(());
    };
    let (vendor, calls) = (first.text(0)?, i64::try_from(early.len()).unwrap_or(0));
    let counts = HashMap::from([
        ((vendor.clone(), WebhookVerdict::Early), calls),
        ((vendor, WebhookVerdict::UnknownJob), -calls),
    ]);
    count(tx, day_of(by.now), &counts).await
}

async fn prune(tx: &mut Tx, now: i64) -> Result<(), LedgerError> {
    tx.run(
        "DELETE FROM webhook WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM webhook ORDER BY seq LIMIT $2) oldest \
         WHERE at < $1)",
        args![now.saturating_sub(KEPT), PRUNED],
    )
    .await
    .map(drop)
}
