//! Rows of the tables, and the one way in which a job moves: locked, fenced, judged, written.

use std::path::PathBuf;
use std::sync::Arc;

use jobs_core::vendor::Account;

use jobs_core::JobId;
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
use crate::record::{self, ParkReason};
use crate::stage::{Stage, Transition, transition};
use crate::store::{Row, Sql, Tx, args};

/// The columns of a whole job, in the order in which [`fenced`] reads them.
macro_rules! job_columns {
    () => {
        "w.id, j.vendor, j.kind, j.account, w.stage, j.remote_id, j.accepted_at, j.input, j.input_path, j.options, \
         j.output, j.result, j.again, j.attempts, j.sent_at, j.calls, w.vendor_status, w.last_poll, w.polls, w.due, w.owner, \
         j.created_at, w.updated_at, j.credits, j.error, j.format, w.fence, j.request, j.request_private, j.unverified, \
         j.outcome, j.error_data, w.parked, w.blocked_until, j.max_calls, j.reserved, j.content, j.sha256, j.verified, \
         j.output_seal, j.digest"
    };
}
pub(super) use job_columns;

/// `SELECT` of whole jobs, a row each, for [`job`].
macro_rules! select_jobs {
    ($rest:literal) => {
        select_jobs!($rest, $rest)
    };
    ($sqlite:literal, $postgres:literal) => {
        $crate::store::Sql::each(
            concat!(
                "SELECT ",
                $crate::ledger::row::job_columns!(),
                " FROM wake w JOIN job j ON j.id = w.id ",
                $sqlite
            ),
            concat!(
                "SELECT ",
                $crate::ledger::row::job_columns!(),
                " FROM wake w JOIN job j ON j.id = w.id ",
                $postgres
            ),
        )
    };
}
pub(super) use select_jobs;

/// A job as [`select_jobs`] asked for it.
pub(super) fn job(row: &Row) -> Result<JobRecord, LedgerError> {
    fenced(row).map(|(job, _)| job)
}

/// A job and its fence.
pub(super) fn fenced(row: &Row) -> Result<(JobRecord, i64), LedgerError> {
    let json = |text: &str| known(serde_json::from_str(text).ok());
    let value = |column| row.opt_str(column)?.map_or(Ok(Value::Null), json);
    let time = |column| Ok::<_, LedgerError>(row.opt_int(column)?.map(from_micros));
    let path = |column| Ok::<_, LedgerError>(row.opt_str(column)?.map(PathBuf::from));
    let digest = |column| {
        let bytes = row.opt_bytes(column)?;
        bytes.map(|bytes| known(bytes.try_into().ok())).transpose()
    };
    let job = JobRecord {
        id: known(row.str(0)?.parse().ok())?,
        vendor: row.text(1)?,
        kind: row.text(2)?,
        account: known(Account::parse(row.str(3)?))?,
        stage: known(Stage::parse(row.str(4)?))?,
        remote_id: row
            .opt_text(5)?
            .map(|id| known(JobId::new(id).ok()))
            .transpose()?,
        accepted_at: time(6)?,
        input: row.text(7)?,
        input_path: path(8)?,
        options: json(row.str(9)?)?,
        output: path(10)?,
        result: row.opt_str(11)?.map(json).transpose()?,
        again: row.int(12)? != 0,
        attempts: row.int(13)?,
        sent_at: time(14)?,
        calls: row.int(15)?,
        vendor_status: row.opt_text(16)?,
        last_poll: time(17)?,
        polls: row.int(18)?,
        due: time(19)?,
        claimed: row.opt_str(20)?.is_some(),
        created_at: from_micros(row.int(21)?),
        updated_at: from_micros(row.int(22)?),
        credits: row.opt_int(23)?,
        error: row.opt_text(24)?,
        format: row.opt_text(25)?,
        request: value(27)?,
        private_request: value(28)?,
        unverified: read_or_default(row.opt_str(29)?)?,
        outcome: read_or_default(row.opt_str(30)?)?,
        error_data: read_or_default(row.opt_str(31)?)?,
        parked: row.opt_str(32)?.map(ParkReason::parse),
        blocked_until: time(33)?,
        max_calls: row.opt_int(34)?.and_then(|calls| u32::try_from(calls).ok()),
        reserved: row.opt_int(35)?,
        content: known(digest(36)?)?,
        sha256: digest(37)?,
        verified: digest(38)?,
        output_seal: digest(39)?,
        digest: known(digest(40)?)?,
    };
    Ok((job, row.int(26)?))
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
    "SELECT stage, fence, owner, due, poll_soon FROM wake WHERE id = $1",
    "SELECT stage, fence, owner, due, poll_soon FROM wake WHERE id = $1 FOR UPDATE",
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

/// Takes a job that is locked from whoever has it: an older claim is lost from now on.
pub(super) async fn fence_off(
    tx: &mut Tx,
    job: LedgerId,
    held: &LockedJob,
) -> Result<ClaimKey, LedgerError> {
    let fence = held.fence + 1;
    let sql = "UPDATE wake SET fence = $2 WHERE id = $1";
    tx.run(sql, args![job.to_string(), fence]).await?;
    Ok(ClaimKey { job, fence })
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
    let (due, owner, poll_soon) = match then {
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
            "UPDATE wake SET stage = $3, due = $4, owner = $5, poll_soon = $6, updated_at = $7, parked = $8, settled_at = $9, \
             blocked_until = NULL WHERE id = $1 AND fence = $2",
            args![
                key.job.to_string(),
                key.fence,
                to.as_str(),
                due,
                owner,
                poll_soon,
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
