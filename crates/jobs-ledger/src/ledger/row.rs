//! Rows of the tables, and the one way in which a job moves: locked, fenced, judged, written.

use std::path::PathBuf;
use std::sync::Arc;

use jobs_core::JobId;
use jobs_core::vendor::Account;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::totals;
use crate::claim::{Claim, ClaimKey, Claimed};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::event::Note;
use crate::id::LedgerId;
use crate::job_record::{JobRecord, from_micros};
use crate::place_key::PlaceKey;
use crate::process_liveness::Owner;
use crate::record::{self, ParkReason, hex_digest};
use crate::stage::{Stage, Transition, transition};
use crate::store::{Row, Sql, Tx, args};

/// A whole job as one JSON array in the order of [`Fields`]: handing a value over costs as much as finding it.
macro_rules! job_line {
    (sqlite) => {
        $crate::ledger::row::job_line!("json_array", "hex(j.content), hex(j.sha256), hex(j.verified), hex(j.output_seal), hex(j.digest))")
    };
    (postgres) => {
        $crate::ledger::row::job_line!(
            "json_build_array",
            "encode(j.content, 'hex'), encode(j.sha256, 'hex'), encode(j.verified, 'hex'), \
             encode(j.output_seal, 'hex'), encode(j.digest, 'hex'))::text"
        )
    };
    ($array:literal, $digests:literal) => {
        concat!(
            $array,
            "(w.id, j.vendor, j.kind, j.account, w.stage, j.remote_id, j.accepted_at, j.input, j.input_path, ",
            "j.options, j.output, j.result, j.again, j.attempts, j.sent_at, j.calls, w.word, w.last_look, w.looks, ",
            "w.due, CASE WHEN w.owner IS NULL THEN 0 ELSE 1 END, j.created_at, w.updated_at, j.credits, j.error, ",
            "j.format, w.fence, j.request, j.request_private, j.unverified, j.outcome, j.error_data, w.parked, ",
            "w.blocked_until, j.max_calls, j.reserved, ",
            $digests
        )
    };
}
pub(super) use job_line;

/// `SELECT` of whole jobs, a row each, for [`job`].
macro_rules! select_jobs {
    ($rest:literal) => {
        select_jobs!($rest, $rest)
    };
    ($sqlite:literal, $postgres:literal) => {
        $crate::store::Sql::each(
            concat!(
                "SELECT ",
                $crate::ledger::row::job_line!(sqlite),
                " FROM wake w JOIN job j ON j.id = w.id ",
                $sqlite
            ),
            concat!(
                "SELECT ",
                $crate::ledger::row::job_line!(postgres),
                " FROM wake w JOIN job j ON j.id = w.id ",
                $postgres
            ),
        )
    };
}
pub(super) use select_jobs;

/// What is in the array, in this order.
#[derive(Deserialize)]
struct Fields<'r> {
    id: &'r str,
    vendor: String,
    kind: String,
    account: &'r str,
    stage: &'r str,
    remote_id: Option<String>,
    accepted_at: Option<i64>,
    input: String,
    input_path: Option<PathBuf>,
    options: String,
    output: Option<PathBuf>,
    result: Option<String>,
    again: i64,
    attempts: i64,
    sent_at: Option<i64>,
    calls: i64,
    vendor_status: Option<String>,
    last_poll: Option<i64>,
    polls: i64,
    due: Option<i64>,
    claimed: i64,
    created_at: i64,
    updated_at: i64,
    credits: Option<i64>,
    error: Option<String>,
    format: Option<String>,
    fence: i64,
    request: Option<String>,
    request_private: Option<String>,
    unverified: Option<String>,
    outcome: Option<String>,
    error_data: Option<String>,
    parked: Option<&'r str>,
    blocked_until: Option<i64>,
    max_calls: Option<i64>,
    reserved: Option<i64>,
    content: &'r str,
    sha256: Option<&'r str>,
    verified: Option<&'r str>,
    output_seal: Option<&'r str>,
    digest: &'r str,
}

/// A job as [`select_jobs`] asked for it.
pub(super) fn job(row: &Row) -> Result<JobRecord, LedgerError> {
    let it: Fields<'_> = known(serde_json::from_str(row.str(0)?).ok())?;
    fenced(it).map(|(job, _)| job)
}

/// The jobs and fences of such rows, each of which may hold several lines with commas between them, or none.
pub(super) fn jobs(rows: &[Row]) -> Result<Vec<(JobRecord, i64)>, LedgerError> {
    let mut text = String::from("[");
    for row in rows {
        if let Some(lines) = row.opt_str(0)? {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(lines);
        }
    }
    text.push(']');
    let lines: Vec<Fields<'_>> = known(serde_json::from_str(&text).ok())?;
    lines.into_iter().map(fenced).collect()
}

fn fenced(it: Fields<'_>) -> Result<(JobRecord, i64), LedgerError> {
    let json = |text: &str| known(serde_json::from_str(text).ok());
    let value = |text: Option<String>| text.as_deref().map_or(Ok(Value::Null), json);
    let job = JobRecord {
        id: known(it.id.parse().ok())?,
        vendor: it.vendor,
        kind: it.kind,
        account: known(Account::parse(it.account))?,
        stage: known(Stage::parse(it.stage))?,
        remote_id: it
            .remote_id
            .map(|id| known(JobId::new(id).ok()))
            .transpose()?,
        accepted_at: it.accepted_at.map(from_micros),
        input: it.input,
        input_path: it.input_path,
        content: known(hex_digest::decode(it.content))?,
        digest: known(hex_digest::decode(it.digest))?,
        options: json(&it.options)?,
        output: it.output,
        output_seal: opt_digest(it.output_seal)?,
        sha256: opt_digest(it.sha256)?,
        verified: opt_digest(it.verified)?,
        unverified: read_or_default(it.unverified.as_deref())?,
        outcome: read_or_default(it.outcome.as_deref())?,
        request: value(it.request)?,
        private_request: value(it.request_private)?,
        parked: it.parked.map(ParkReason::parse),
        blocked_until: it.blocked_until.map(from_micros),
        max_calls: it.max_calls.and_then(|calls| u32::try_from(calls).ok()),
        reserved: it.reserved,
        result: it.result.as_deref().map(json).transpose()?,
        again: it.again != 0,
        attempts: it.attempts,
        sent_at: it.sent_at.map(from_micros),
        calls: it.calls,
        vendor_status: it.vendor_status,
        last_poll: it.last_poll.map(from_micros),
        polls: it.polls,
        due: it.due.map(from_micros),
        claimed: it.claimed != 0,
        created_at: from_micros(it.created_at),
        updated_at: from_micros(it.updated_at),
        credits: it.credits,
        error: it.error,
        error_data: read_or_default(it.error_data.as_deref())?,
        format: it.format,
    };
    Ok((job, it.fence))
}

/// SQLite's text of no bytes is empty.
fn opt_digest(text: Option<&str>) -> Result<Option<[u8; 32]>, LedgerError> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| known(hex_digest::decode(text))).transpose()
}

/// A typed value of a column; nothing is none of it.
pub(super) fn read_or_default<T: DeserializeOwned + Default>(
    text: Option<&str>,
) -> Result<T, LedgerError> {
    text.map_or_else(
        || Ok(T::default()),
        |text| known(serde_json::from_str(text).ok()),
    )
}

fn known<T>(value: Option<T>) -> Result<T, LedgerError> {
    value.ok_or_else(|| {
        LedgerError::new(
            LedgerErrorKind::Corrupt,
            "a row holds a value that does not belong there: restore the ledger from a copy",
        )
    })
}

/// What decides over a write.
#[derive(Debug, Clone)]
pub(super) struct LockedJob {
    pub(super) stage: Stage,
    pub(super) fence: i64,
    pub(super) owner: Option<String>,
    pub(super) due: Option<i64>,
    pub(super) poll_soon: bool,
}

impl LockedJob {
    /// Whether a worker has it, its lease has not ended, and its process is not known to have ended.
    pub(super) fn is_taken(&self, by: &Writer) -> bool {
        self.due.is_some_and(|due| due > by.now)
            && self
                .owner
                .as_ref()
                .is_some_and(|owner| !by.owner.is_gone(owner))
    }
}

const LOCK: Sql = Sql::each(
    "SELECT stage, fence, owner, due, nudge FROM wake WHERE id = $1",
    "SELECT stage, fence, owner, due, nudge FROM wake WHERE id = $1 FOR UPDATE",
);

/// Reads the narrow row, and keeps others from it until the transaction ends.
pub(super) async fn lock(tx: &mut Tx, id: LedgerId) -> Result<LockedJob, LedgerError> {
    let row = tx
        .row(LOCK, args![id.to_string()])
        .await?
        .ok_or_else(|| LedgerError::not_found(id))?;
    Ok(LockedJob {
        stage: known(Stage::parse(&row.text(0)?))?,
        fence: row.int(1)?,
        owner: row.opt_text(2)?,
        due: row.opt_int(3)?,
        poll_soon: row.int(4)? != 0,
    })
}

/// Who writes, and when.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) owner: Arc<Owner>,
    pub(super) now: i64,
    /// The end of a lease that begins now.
    pub(super) lease_end: i64,
    pub(super) place_key: Option<PlaceKey>,
}

impl Writer {
    /// What is written beside a place that is given now.
    pub(super) fn seal(&self, job: LedgerId, place: Option<&str>) -> Option<Vec<u8>> {
        Some(self.place_key?.seal(job, place?))
    }
}

/// What becomes of the claim with a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterWrite {
    /// It goes on, with a new lease.
    Keep,
    /// It ends; the job is due then, or never.
    End(Option<i64>),
}

/// How a move went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It was made now, from this stage.
    Made(Stage),
    /// It had been made by the same claim before: the answer was lost, and there is nothing to write.
    Repeated,
}

/// Moves a job for the holder of `key`.
pub(super) async fn apply_transition(
    tx: &mut Tx,
    by: &Writer,
    key: ClaimKey,
    step: Transition,
    then: AfterWrite,
) -> Result<Step, LedgerError> {
    let held = lock(tx, key.job).await?;
    if held.fence != key.fence {
        return Err(LedgerError::claim_lost(key.job));
    }
    let to = match transition(held.stage, step) {
        Ok(to) => to,
        Err(_) if Some(held.stage) == only_target(step) => return Ok(Step::Repeated),
        Err(illegal) => return Err(LedgerError::illegal_transition(key.job, illegal)),
    };
    put(tx, by, key, to, then, &held).await?;
    Ok(Step::Made(held.stage))
}

/// Where a move leads, if it is not one that may be made again and again.
fn only_target(step: Transition) -> Option<Stage> {
    Some(match step {
        Transition::NotSent => Stage::Intended,
        Transition::Reject => Stage::Rejected,
        Transition::Fail => Stage::Failed,
        Transition::MakeAvailable => Stage::Available,
        Transition::ExpireLink => Stage::Accepted,
        Transition::Complete => Stage::Completed,
        Transition::Disappear => Stage::Gone,
        Transition::Abandon => Stage::Abandoned,
        // Accept and Adopt name an id, which has to be compared; Send must never count twice.
        _ => return None,
    })
}

/// Writes the narrow row of a job that is locked.
pub(super) async fn put(
    tx: &mut Tx,
    by: &Writer,
    key: ClaimKey,
    to: Stage,
    then: AfterWrite,
    held: &LockedJob,
) -> Result<(), LedgerError> {
    let (due, owner, nudge) = match then {
        _ if to.is_settled() => (None, None, false),
        AfterWrite::Keep => (Some(by.lease_end), Some(by.owner.to_text()), held.poll_soon),
        AfterWrite::End(due) => (
            due.map(|due| if held.poll_soon { by.now } else { due }),
            None,
            false,
        ),
    };
    if owner.is_none() && due.is_some_and(|due| due <= by.now) {
        tx.notify_on_commit();
    }
    // Whoever knows better says so in the same transaction.
    let parked = (owner.is_none() && due.is_none() && !to.is_settled())
        .then_some(ParkReason::Unspecified.as_str());
    let changed = tx
        .run(
            "UPDATE wake SET stage = $3, due = $4, owner = $5, nudge = $6, updated_at = $7, parked = $8, settled_at = $9, \
             blocked_until = NULL WHERE id = $1 AND fence = $2",
            args![
                key.job.to_string(),
                key.fence,
                to.as_str(),
                due,
                owner,
                nudge,
                by.now,
                parked,
                to.is_settled().then_some(by.now)
            ],
        )
        .await?;
    if changed == 0 {
        return Err(LedgerError::claim_lost(key.job));
    }
    if to != held.stage {
        if to.is_settled() {
            totals::count_stage(tx, key.job, to, 1).await?;
        }
        if held.stage.is_settled() {
            totals::count_stage(tx, key.job, held.stage, -1).await?;
        }
    }
    if to.is_settled() && to != Stage::Completed {
        tx.run(
            "UPDATE job SET request_private = NULL WHERE id = $1",
            args![key.job.to_string()],
        )
        .await?;
    }
    if to.frees_input() {
        free_input(tx, key.job, to).await?;
    }
    Ok(())
}

/// From now on the same input does not attach to this job. If *again* was refused, it attaches to what was bought before.
async fn free_input(tx: &mut Tx, id: LedgerId, to: Stage) -> Result<(), LedgerError> {
    // The request that bought it anew buys anew once more.
    let sql = "DELETE FROM purchase WHERE job = $1";
    tx.run(sql, args![id.to_string()]).await?;
    let was_live = tx
        .run(
            "UPDATE job SET live = NULL WHERE id = $1 AND live IS NOT NULL",
            args![id.to_string()],
        )
        .await?;
    if was_live == 0 || to == Stage::Abandoned {
        return Ok(());
    }
    let earlier = tx
        .row(
            "SELECT o.id, w.stage FROM job o JOIN wake w ON w.id = o.id \
             WHERE o.digest = (SELECT digest FROM job WHERE id = $1) AND o.live IS NULL AND o.id <> $1 \
             AND w.stage <> 'rejected' ORDER BY o.created_at DESC, o.id DESC LIMIT 1",
            args![id.to_string()],
        )
        .await?;
    if let Some(earlier) = earlier
        && earlier.text(1)? != Stage::Abandoned.as_str()
    {
        tx.run(
            "UPDATE job SET live = digest WHERE id = $1",
            args![earlier.text(0)?],
        )
        .await?;
    }
    Ok(())
}

/// Keeps the reason of a side exit where the list of jobs shows it; nothing when there is none.
pub(super) async fn error(tx: &mut Tx, id: LedgerId, note: &Note) -> Result<(), LedgerError> {
    tx.run(
        // What is said in words and not in types is no longer what the types say.
        "UPDATE job SET error = coalesce($2, error), \
         error_data = CASE WHEN $2 IS NULL THEN coalesce($3, error_data) ELSE $3 END, \
         error_kind = CASE WHEN $2 IS NULL THEN coalesce($4, error_kind) ELSE $4 END WHERE id = $1",
        args![
            id.to_string(),
            note.text.as_deref(),
            note.data.error.as_ref().map(record::to_text),
            note.data.error.as_ref().map(|error| error.kind.as_str())
        ],
    )
    .await
    .map(drop)
}

/// One whole job.
pub(super) async fn read(tx: &mut Tx, id: LedgerId) -> Result<JobRecord, LedgerError> {
    let row = tx
        .row(select_jobs!("WHERE w.id = $1"), args![id.to_string()])
        .await?
        .ok_or_else(|| LedgerError::not_found(id))?;
    job(&row)
}

/// The claim that fits the stage; none for one that nobody works in.
pub(super) fn claimed(job: JobRecord, fence: i64, lease_end: i64) -> Option<Claimed> {
    let (id, until) = (job.id, from_micros(lease_end));
    Some(match job.stage {
        Stage::Intended => Claimed::Intended(Claim::new(id, fence, until), job),
        Stage::Accepted => Claimed::Accepted(Claim::new(id, fence, until), job),
        Stage::Available => Claimed::Available(Claim::new(id, fence, until), job),
        Stage::Downloading => Claimed::Downloading(Claim::new(id, fence, until), job),
        Stage::InDoubt => Claimed::InDoubt(Claim::new(id, fence, until), job),
        _ => return None,
    })
}
