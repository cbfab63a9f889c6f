//! Many claims at once: a statement for each kind of verdict, however many jobs it is about.

use std::collections::HashSet;

use serde_json::Value;

use super::history::{events, lines, pairs};
use super::poll::{PollRecord, record_poll};
use super::row::{AfterWrite, Writer};
use super::submit::exit;
use super::totals::day_of;
use super::{Due, Ledger};
use crate::claim::{Claim, ClaimKey, at};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::event::{Note, event_kind};
use crate::id::LedgerId;
use crate::stage::{Stage, Transition};
use crate::store::{Flush, Row, Sql, Tx, args};

/// What becomes of one claim of a batch.
#[derive(Debug, Clone)]
#[must_use]
pub struct ClaimUpdate {
    key: ClaimKey,
    verdict: Verdict,
}

#[derive(Debug, Clone)]
enum Verdict {
    /// The claim goes on unless there is a due time.
    Polled(PollRecord, Option<Due>),
    NotPolled(Due),
    Available(Box<str>, Note),
    Ended(Transition, Note),
}

impl ClaimUpdate {
    /// Still unfinished: poll again when due.
    pub fn polled(claim: Claim<at::Accepted>, poll: PollRecord, due: Due) -> Self {
        Self::of(&claim, Verdict::Polled(poll, Some(due)))
    }

    /// Still unfinished, and the claim goes on with a new lease, which [`Claim::lease_until`] does not know of.
    ///
    /// If the job is told as lost, drop the claim.
    pub fn polled_and_kept(claim: &Claim<at::Accepted>, poll: PollRecord) -> Self {
        Self::of(claim, Verdict::Polled(poll, None))
    }

    /// No poll was made, or none that can be believed: poll again when due. Does not count as a poll.
    pub fn not_polled(claim: Claim<at::Accepted>, due: Due) -> Self {
        Self::of(&claim, Verdict::NotPolled(due))
    }

    /// Finished: whoever takes it up next, at once, fetches the result.
    pub fn available(claim: Claim<at::Accepted>, result: &Value, note: Note) -> Self {
        Self::of(&claim, Verdict::Available(result.to_string().into(), note))
    }

    /// The vendor gave up on it.
    pub fn failed(claim: Claim<at::Accepted>, note: Note) -> Self {
        Self::of(&claim, Verdict::Ended(Transition::Fail, note))
    }

    /// The vendor no longer has it.
    pub fn gone(claim: Claim<at::Accepted>, note: Note) -> Self {
        Self::of(&claim, Verdict::Ended(Transition::Disappear, note))
    }

    fn of(claim: &Claim<at::Accepted>, verdict: Verdict) -> Self {
        Self {
            key: claim.key(),
            verdict,
        }
    }
}

/// How a batch went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClaimUpdateSummary {
    /// How many were written.
    pub accepted: usize,
    /// The jobs whose claims were stale; nothing was written for these.
    pub lost: Vec<LedgerId>,
}

impl Ledger {
    /// Ends many claims at once, or goes on with them, in one transaction. Stale ones are told and not written.
    ///
    /// Polls without a note and finished jobs share a few statements, however many they are.
    ///
    /// # Errors
    /// The store's; then nothing was written.
    pub async fn update_claims(
        &self,
        batch: Vec<ClaimUpdate>,
    ) -> Result<ClaimUpdateSummary, LedgerError> {
        let by = self.writer();
        self.write(Flush::Later, move |tx| {
            Box::pin(async move { settle(tx, &by, batch).await })
        })
        .await
    }

    /// Renews many claims at once, and gives the jobs whose claims are lost.
    ///
    /// # Errors
    /// The store's.
    pub async fn renew_all(&self, claims: &[ClaimKey]) -> Result<Vec<LedgerId>, LedgerError> {
        const RENEW: Sql = Sql::each(
            "UPDATE wake SET due = $2 FROM jsonb_each($1) s WHERE wake.id = s.value ->> 0 \
             AND wake.fence = s.value ->> 1 AND wake.owner IS NOT NULL RETURNING id",
            "WITH locked AS (SELECT w.id FROM wake w JOIN json_array_elements($1::json) s \
             ON w.id = s ->> 0 AND w.fence = (s ->> 1)::bigint WHERE w.owner IS NOT NULL ORDER BY w.id FOR UPDATE OF w) \
             UPDATE wake SET due = $2 FROM locked WHERE wake.id = locked.id RETURNING wake.id",
        );
        let by = self.writer();
        let claims = claims.to_vec();
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                let rows = tx.rows(RENEW, args![pairs(&claims), by.lease_end]).await?;
                Ok(split(claims, &rows)?.1)
            })
        })
        .await
    }

    /// Gives many jobs back as they are, in whatever stages; others may take them up from `due` on. For a graceful stop.
    ///
    /// Gives the jobs that were not given back: those that another process has taken over, and those that are being
    /// sent, of which it must be said first how the call ended.
    ///
    /// # Errors
    /// The store's; then nothing was written.
    pub async fn release_all(
        &self,
        claims: &[ClaimKey],
        due: Due,
    ) -> Result<Vec<LedgerId>, LedgerError> {
        let by = self.writer();
        let claims = claims.to_vec();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let due = due.at(by.now);
                let claims = claims.into_iter().map(|key| (key, due)).collect();
                Ok(release(tx, &by, claims).await?.1)
            })
        })
        .await
    }
}

async fn settle(
    tx: &mut Tx,
    by: &Writer,
    batch: Vec<ClaimUpdate>,
) -> Result<ClaimUpdateSummary, LedgerError> {
    let (mut polls, mut kept, mut unseen) = (Vec::new(), Vec::new(), Vec::new());
    let (mut finished, mut others) = (Vec::new(), Vec::new());
    for ClaimUpdate { key, verdict } in batch {
        match verdict {
            Verdict::Polled(poll, due) if poll.note == Note::none() => match due {
                Some(due) => polls.push((key, poll.vendor_status, due.at(by.now))),
                None => kept.push((key, poll.vendor_status, Some(by.lease_end))),
            },
            Verdict::NotPolled(due) => unseen.push((key, due.at(by.now))),
            Verdict::Available(result, note) => finished.push((key, result, note)),
            verdict => others.push((key, verdict)),
        }
    }
    let mut settled = ClaimUpdateSummary::default();
    for (written, lost) in [
        poll_all(tx, by, polls, true).await?,
        poll_all(tx, by, kept, false).await?,
        release(tx, by, unseen).await?,
        finish(tx, by, finished).await?,
    ] {
        settled.accepted += written.len();
        settled.lost.extend(lost);
    }
    // In the order in which everybody locks rows, so that two batches never wait for each other.
    others.sort_unstable_by_key(|(key, _)| key.job);
    for (key, verdict) in others {
        match one(tx, by, key, verdict).await {
            Ok(()) => settled.accepted += 1,
            Err(lost) if is_stale(&lost) => settled.lost.push(key.job),
            Err(problem) => return Err(problem),
        }
    }
    Ok(settled)
}

/// Nothing was written for that one, and the transaction can go on.
fn is_stale(problem: &LedgerError) -> bool {
    matches!(
        problem.kind(),
        LedgerErrorKind::ClaimLost | LedgerErrorKind::IllegalTransition | LedgerErrorKind::NotFound
    )
}

async fn one(tx: &mut Tx, by: &Writer, key: ClaimKey, verdict: Verdict) -> Result<(), LedgerError> {
    match verdict {
        Verdict::Polled(poll, Some(due)) => {
            record_poll(tx, by, key, &poll, AfterWrite::End(due.at(by.now))).await
        }
        Verdict::Polled(poll, None) => record_poll(tx, by, key, &poll, AfterWrite::Keep).await,
        Verdict::Ended(step, note) => exit(tx, by, key, step, AfterWrite::End(None), &note).await,
        // Settled by the batch.
        Verdict::NotPolled(_) | Verdict::Available(..) => Ok(()),
    }
}

/// Which of the claims are in the rows, whose first column is the job, and the jobs of the others.
fn split(
    claims: impl IntoIterator<Item = ClaimKey>,
    rows: &[Row],
) -> Result<(Vec<ClaimKey>, Vec<LedgerId>), LedgerError> {
    let mut ids = Vec::with_capacity(rows.len());
    for row in rows {
        ids.push(row.text(0)?);
    }
    ids.sort_unstable();
    let (written, lost): (Vec<_>, Vec<_>) = claims
        .into_iter()
        .partition(|key| ids.binary_search(&key.job.to_string()).is_ok());
    Ok((written, lost.into_iter().map(ClaimKey::job).collect()))
}

type Polls = Vec<(ClaimKey, Box<str>, Option<i64>)>;

/// Plain polls in one statement (two for SQLite, which writes to one table at a time).
async fn poll_all(
    tx: &mut Tx,
    by: &Writer,
    polls: Polls,
    ends: bool,
) -> Result<(Vec<ClaimKey>, Vec<LedgerId>), LedgerError> {
    if polls.is_empty() {
        return Ok(Default::default());
    }
    let keys: Vec<ClaimKey> = polls.iter().map(|(key, ..)| *key).collect();
    let rows = if tx.is_sqlite() {
        poll_in_sqlite(tx, by, polls, ends).await?
    } else {
        Some(poll_in_postgres(tx, by, polls, ends).await?)
    };
    match rows {
        Some(rows) => split(keys, &rows),
        None => Ok((keys, Vec::new())),
    }
}

/// The batch goes over as one JSON text: several, joined by their keys, would be compared each with each. Which rows
/// were written is only asked for if not all were: nothing costs more here than handing rows over.
async fn poll_in_sqlite(
    tx: &mut Tx,
    by: &Writer,
    polls: Polls,
    ends: bool,
) -> Result<Option<Vec<Row>>, LedgerError> {
    const EVENTS: &str = "INSERT INTO event (job, at, fence, worker, what, text) \
        SELECT w.id, $2, w.fence, $3, 'polled', s.value ->> 3 \
        FROM jsonb_each($1) s JOIN wake w ON w.id = s.value ->> 0 \
        WHERE w.fence = s.value ->> 1 AND w.stage = $4 AND w.vendor_status IS NOT s.value ->> 3";
    macro_rules! poll {
        ($then:literal, $if:literal) => {
            concat!(
                "UPDATE wake SET ",
                $then,
                ", polls = polls + 1, last_poll = $2, vendor_status = s.value ->> 3, updated_at = $2 ",
                "FROM jsonb_each($1) s WHERE wake.id = s.value ->> 0 AND wake.fence = s.value ->> 1 ",
                "AND wake.stage = $3",
                $if
            )
        };
    }
    const END: &str = poll!(
        "due = CASE WHEN wake.poll_soon = 1 THEN $2 ELSE s.value ->> 2 END, owner = NULL, poll_soon = 0, \
         parked = CASE WHEN wake.poll_soon = 0 AND s.value ->> 2 IS NULL THEN 'unspecified' END",
        ""
    );
    const KEEP: &str = poll!("due = s.value ->> 2", " AND wake.owner IS NOT NULL");
    // What makes a claim a good one is not changed by the write.
    const WRITTEN: &str = "SELECT w.id FROM jsonb_each($1) s JOIN wake w ON w.id = s.value ->> 0 \
        WHERE w.fence = s.value ->> 1 AND w.stage = $2 AND ($3 = 1 OR w.owner IS NOT NULL)";
    let count = polls.len();
    let batch = lines(
        polls
            .iter()
            .map(|(key, status, due)| (key.job.to_string(), key.fence, due, status)),
    );
    let held = Stage::Accepted.as_str();
    tx.run(
        EVENTS,
        args![batch.clone(), by.now, by.owner.worker(), held],
    )
    .await?;
    let sql = if ends { END } else { KEEP };
    let changed = tx.run(sql, args![batch.clone(), by.now, held]).await?;
    if usize::try_from(changed) == Ok(count) {
        return Ok(None);
    }
    tx.rows(WRITTEN, args![batch, held, ends]).await.map(Some)
}

async fn poll_in_postgres(
    tx: &mut Tx,
    by: &Writer,
    polls: Polls,
    ends: bool,
) -> Result<Vec<Row>, LedgerError> {
    /// Stands for "parked" in a list that has no nulls.
    const NEVER: i64 = i64::MAX;
    macro_rules! poll {
        ($then:literal, $if:literal) => {
            concat!(
                "WITH s AS (SELECT * FROM unnest($1, $2, $3, $4) AS s (id, fence, due, vendor_status)), ",
                "locked AS (SELECT w.id, w.vendor_status AS before, s.fence, s.due, s.vendor_status FROM wake w JOIN s ON s.id = w.id ",
                "WHERE w.fence = s.fence AND w.stage = $7",
                $if,
                " ORDER BY w.id FOR UPDATE OF w), ",
                "told AS (INSERT INTO event (job, at, fence, worker, what, text) ",
                "SELECT id, $5, fence, $6, 'polled', vendor_status FROM locked WHERE before IS DISTINCT FROM vendor_status) ",
                "UPDATE wake SET ",
                $then,
                ", polls = polls + 1, last_poll = $5, vendor_status = locked.vendor_status, updated_at = $5 ",
                "FROM locked WHERE wake.id = locked.id AND wake.fence = locked.fence RETURNING wake.id"
            )
        };
    }
    const END: &str = poll!(
        "due = CASE WHEN wake.poll_soon = 1 THEN $5 ELSE nullif(locked.due, 9223372036854775807) END, \
         owner = NULL, poll_soon = 0, \
         parked = CASE WHEN wake.poll_soon = 0 AND locked.due = 9223372036854775807 THEN 'unspecified' END",
        ""
    );
    const KEEP: &str = poll!("due = locked.due", " AND w.owner IS NOT NULL");
    let (mut ids, mut fences, mut dues, mut statuses) = (vec![], vec![], vec![], vec![]);
    for (key, status, due) in polls {
        ids.push(key.job.to_string());
        fences.push(key.fence);
        dues.push(due.unwrap_or(NEVER));
        statuses.push(status.into_string());
    }
    let held = Stage::Accepted.as_str();
    let sql = if ends { END } else { KEEP };
    tx.rows(
        sql,
        args![ids, fences, dues, statuses, by.now, by.owner.worker(), held],
    )
    .await
}

/// Ends claims without a word on their jobs. What the same claim has ended already stays as it is, and counts.
pub(super) async fn release(
    tx: &mut Tx,
    by: &Writer,
    claims: Vec<(ClaimKey, Option<i64>)>,
) -> Result<(Vec<ClaimKey>, Vec<LedgerId>), LedgerError> {
    const SQL: Sql = Sql::each(
        "UPDATE wake SET due = CASE WHEN wake.owner IS NULL THEN wake.due \
         WHEN wake.poll_soon = 1 AND s.value ->> 2 IS NOT NULL THEN $2 ELSE s.value ->> 2 END, \
         owner = NULL, poll_soon = 0, updated_at = $2, \
         parked = CASE WHEN wake.owner IS NULL THEN wake.parked \
         WHEN s.value ->> 2 IS NULL THEN 'unspecified' END FROM jsonb_each($1) s WHERE wake.id = s.value ->> 0 \
         AND wake.fence = s.value ->> 1 AND wake.stage IN ('intended', 'accepted', 'available', 'downloading', 'in_doubt') \
         RETURNING id",
        "WITH locked AS (SELECT w.id, (s ->> 2)::bigint AS due FROM wake w JOIN json_array_elements($1::json) s \
         ON w.id = s ->> 0 AND w.fence = (s ->> 1)::bigint \
         WHERE w.stage IN ('intended', 'accepted', 'available', 'downloading', 'in_doubt') ORDER BY w.id FOR UPDATE OF w) \
         UPDATE wake SET due = CASE WHEN wake.owner IS NULL THEN wake.due \
         WHEN wake.poll_soon = 1 AND locked.due IS NOT NULL THEN $2 ELSE locked.due END, \
         owner = NULL, poll_soon = 0, updated_at = $2, \
         parked = CASE WHEN wake.owner IS NULL THEN wake.parked WHEN locked.due IS NULL THEN 'unspecified' END \
         FROM locked WHERE wake.id = locked.id RETURNING wake.id",
    );
    if claims.is_empty() {
        return Ok(Default::default());
    }
    let batch = lines(
        claims
            .iter()
            .map(|(key, due)| (key.job.to_string(), key.fence, due)),
    );
    let rows = tx.rows(SQL, args![batch, by.now]).await?;
    if claims
        .iter()
        .any(|(_, due)| due.is_some_and(|due| due <= by.now))
    {
        tx.notify_on_commit();
    }
    let parked: HashSet<ClaimKey> = claims
        .iter()
        .filter_map(|(key, due)| due.is_none().then_some(*key))
        .collect();
    let (written, lost) = split(claims.into_iter().map(|(key, _)| key), &rows)?;
    let told: Vec<ClaimKey> = written
        .iter()
        .filter(|key| parked.contains(key))
        .copied()
        .collect();
    events(tx, by, &told, event_kind::PARKED).await?;
    Ok((written, lost))
}

/// Finished jobs, with what is needed to fetch their results.
async fn finish(
    tx: &mut Tx,
    by: &Writer,
    jobs: Vec<(ClaimKey, Box<str>, Note)>,
) -> Result<(Vec<ClaimKey>, Vec<LedgerId>), LedgerError> {
    if jobs.is_empty() {
        return Ok(Default::default());
    }
    let batch = lines(jobs.iter().map(|(key, result, note)| {
        let Note {
            text,
            request_id,
            credits,
            data,
        } = note;
        let data = data.to_text();
        let job = key.job.to_string();
        (job, key.fence, result, text, request_id, credits, data)
    }));
    let has_credits = jobs.iter().any(|(.., note)| note.credits.is_some());
    let rows = if tx.is_sqlite() {
        finish_in_sqlite(tx, by, batch, has_credits).await?
    } else {
        finish_in_postgres(tx, by, batch).await?
    };
    if !rows.is_empty() {
        tx.notify_on_commit();
    }
    split(jobs.into_iter().map(|(key, ..)| key), &rows)
}

async fn finish_in_sqlite(
    tx: &mut Tx,
    by: &Writer,
    batch: String,
    has_credits: bool,
) -> Result<Vec<Row>, LedgerError> {
    const EVENTS: &str = "INSERT INTO event (job, at, fence, worker, what, text, request_id, credits, data) \
        SELECT w.id, $2, w.fence, $3, $4, s.value ->> 3, s.value ->> 4, s.value ->> 5, s.value ->> 6 \
        FROM jsonb_each($1) s JOIN wake w ON w.id = s.value ->> 0 \
        WHERE w.fence = s.value ->> 1 AND w.stage = 'accepted'";
    // As for one job in the totals.
    const MONEY: &str = "INSERT INTO money_total (vendor, account, day, charged, reserved, spared, jobs) \
        SELECT j.vendor, j.account, coalesce(j.charge_day, $2), sum(s.value ->> 5), \
        -sum(min(coalesce(j.reserved, 0), s.value ->> 5)), 0, sum(j.credits IS NULL) \
        FROM jsonb_each($1) s JOIN wake w ON w.id = s.value ->> 0 JOIN job j ON j.id = w.id \
        WHERE w.fence = s.value ->> 1 AND w.stage = 'accepted' AND s.value ->> 5 IS NOT NULL GROUP BY 1, 2, 3 \
        ON CONFLICT (vendor, account, day) DO UPDATE SET charged = charged + excluded.charged, \
        reserved = reserved + excluded.reserved, jobs = jobs + excluded.jobs";
    const JOBS: &str = "UPDATE job SET result = s.value ->> 2, credits = CASE WHEN s.value ->> 5 IS NULL \
        THEN credits ELSE coalesce(credits, 0) + (s.value ->> 5) END, \
        reserved = CASE WHEN s.value ->> 5 IS NULL THEN reserved WHEN reserved < (s.value ->> 5) THEN 0 \
        ELSE reserved - (s.value ->> 5) END, \
        charge_day = CASE WHEN s.value ->> 5 IS NULL THEN charge_day ELSE coalesce(charge_day, $2) END \
        FROM jsonb_each($1) s JOIN wake w ON w.id = s.value ->> 0 \
        WHERE job.id = w.id AND w.fence = s.value ->> 1 AND w.stage = 'accepted'";
    const WAKE: &str = "UPDATE wake SET stage = 'available', due = $2, owner = NULL, poll_soon = 0, polls = polls + 1, \
        last_poll = $2, updated_at = $2 FROM jsonb_each($1) s \
        WHERE wake.id = s.value ->> 0 AND wake.fence = s.value ->> 1 AND wake.stage = 'accepted' RETURNING id";
    let args = args![
        batch.clone(),
        by.now,
        by.owner.worker(),
        event_kind::AVAILABLE
    ];
    tx.run(EVENTS, args).await?;
    let money = args![batch.clone(), day_of(by.now)];
    if has_credits {
        tx.run(MONEY, money.clone()).await?;
    }
    tx.run(JOBS, money).await?;
    tx.rows(WAKE, args![batch, by.now]).await
}

async fn finish_in_postgres(
    tx: &mut Tx,
    by: &Writer,
    batch: String,
) -> Result<Vec<Row>, LedgerError> {
    const SQL: &str = "WITH s AS (SELECT e ->> 0 AS id, (e ->> 1)::bigint AS fence, e ->> 2 AS result, \
        e ->> 3 AS text, e ->> 4 AS request_id, (e ->> 5)::bigint AS credits, e ->> 6 AS data FROM json_array_elements($1::json) e), \
        locked AS (SELECT s.* FROM wake w JOIN s ON s.id = w.id \
                   WHERE w.fence = s.fence AND w.stage = 'accepted' ORDER BY w.id FOR UPDATE OF w), \
        told AS (INSERT INTO event (job, at, fence, worker, what, text, request_id, credits, data) \
                 SELECT id, $2, fence, $3, $4, text, request_id, credits, data FROM locked), \
        money AS (INSERT INTO money_delta (vendor, account, day, charged, reserved, spared, jobs) \
                  SELECT j.vendor, j.account, coalesce(j.charge_day, $5), l.credits, \
                  -least(coalesce(j.reserved, 0), l.credits), 0, CASE WHEN j.credits IS NULL THEN 1 ELSE 0 END \
                  FROM locked l JOIN job j ON j.id = l.id WHERE l.credits IS NOT NULL), \
        kept AS (UPDATE job SET result = locked.result, credits = CASE WHEN locked.credits IS NULL \
                 THEN job.credits ELSE coalesce(job.credits, 0) + locked.credits END, \
                 reserved = CASE WHEN locked.credits IS NULL THEN job.reserved \
                 WHEN job.reserved < locked.credits THEN 0 ELSE job.reserved - locked.credits END, \
                 charge_day = CASE WHEN locked.credits IS NULL THEN job.charge_day \
                 ELSE coalesce(job.charge_day, $5) END \
                 FROM locked WHERE job.id = locked.id) \
        UPDATE wake SET stage = 'available', due = $2, owner = NULL, poll_soon = 0, polls = polls + 1, \
        last_poll = $2, updated_at = $2 FROM locked WHERE wake.id = locked.id RETURNING wake.id";
    let args = args![
        batch,
        by.now,
        by.owner.worker(),
        event_kind::AVAILABLE,
        day_of(by.now)
    ];
    tx.rows(SQL, args).await
}
