//! What is written down beside the moves of a job because something is decided by it later; and parking.

use std::path::Path;

use jobs_core::Error;
use jobs_core::vendor::Account;

use super::new_job::path;
use super::row::{self, AfterWrite, LockedJob};
use super::{Ledger, history};
use crate::claim::{AtStage, AtVendor, Claim, ClaimKey};
use crate::error::LedgerError;
use crate::event::{Note, event_kind};
use crate::record::{ErrorRecord, JobOutcome, ParkReason, UnverifiedResult, to_text};
use crate::stage::Stage;
use crate::store::{Flush, Sql, Tx, args};

/// How many answers that were not understood are kept for a job.
const ANSWERS: i64 = 16;

impl Ledger {
    /// Writes down the digest of a result that passed our checks, right before it gets its final name: a crash in between
    /// must not take it for somebody else's file. Flushed when it returns.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_verified<S: AtStage>(
        &self,
        claim: &Claim<S>,
        sha256: [u8; 32],
    ) -> Result<(), LedgerError> {
        let mut note = Note::none();
        note.data.sha256 = Some(sha256);
        let sql = "UPDATE job SET verified = $2 WHERE id = $1";
        let args = args![claim.job.to_string(), Some(sha256.to_vec())];
        self.record(claim.key(), sql, args, event_kind::VERIFIED, note)
            .await
    }

    /// Writes down how the work on this side ended, before it is reported. Flushed when it returns.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_outcome<S: AtStage>(
        &self,
        claim: &Claim<S>,
        outcome: &JobOutcome,
    ) -> Result<(), LedgerError> {
        let mut note = Note::new(match outcome {
            JobOutcome::Succeeded => "succeeded",
            JobOutcome::Failed { message, .. } => message,
        });
        note.data.outcome = Some(outcome.clone());
        let sql = "UPDATE job SET outcome = $2 WHERE id = $1";
        let args = args![claim.job.to_string(), to_text(outcome)];
        self.record(claim.key(), sql, args, event_kind::OUTCOME, note)
            .await
    }

    /// Counts a result that arrived whole and did not pass our checks, with the format in which it was asked for and the
    /// place where its bytes are kept, if they are. Gives all of them; whether to fetch again says [`JobRecord::allows_fetch`](crate::JobRecord::allows_fetch), or
    /// [`allows_fetch`](Self::allows_fetch) for what is given here.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::LedgerErrorKind::InvalidInput) for a path that is not Unicode;
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_unverified<S: AtVendor>(
        &self,
        claim: &Claim<S>,
        sha256: [u8; 32],
        format: Option<&str>,
        kept: Option<&Path>,
        note: Note,
    ) -> Result<Vec<UnverifiedResult>, LedgerError> {
        let kept = path(kept)?;
        let format = format.map(str::to_owned);
        let (by, key) = (self.writer(), claim.key());
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                own(tx, key).await?;
                let id = key.job.to_string();
                let known = tx
                    .row(
                        "SELECT unverified FROM job WHERE id = $1",
                        args![id.clone()],
                    )
                    .await?
                    .ok_or_else(|| LedgerError::not_found(key.job))?;
                let mut all: Vec<UnverifiedResult> = row::read_or_default(known.opt_str(0)?)?;
                let path = kept.as_deref().map(Into::into);
                UnverifiedResult::count(&mut all, sha256, format.as_deref(), path);
                tx.run(
                    "UPDATE job SET unverified = $2 WHERE id = $1",
                    args![id, to_text(&all)],
                )
                .await?;
                let mut note = note;
                note.data.sha256 = Some(sha256);
                note.data.path = kept.map(Into::into);
                history::event(
                    tx,
                    &by,
                    key.job,
                    Some(key.fence),
                    event_kind::UNVERIFIED,
                    &note,
                )
                .await?;
                Ok(all)
            })
        })
        .await
    }

    /// Whether a result may be fetched again after these: not after the same bytes failed our checks twice, or any five
    /// times.
    pub fn allows_fetch(unverified: &[UnverifiedResult]) -> bool {
        UnverifiedResult::allow_fetch(unverified)
    }

    /// Keeps the beginning of an answer that was not understood with its job, for whoever asks the vendor about it. The
    /// same one is kept once, and 16 of a job at most; it is the job's error until more is known. Takes the claim of any
    /// stage.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_not_understood(
        &self,
        key: ClaimKey,
        error: &Error,
    ) -> Result<(), LedgerError> {
        let record = ErrorRecord::from(error);
        if record.body.is_none() {
            return Ok(());
        }
        let (by, note) = (self.writer(), Note::from(error));
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                own(tx, key).await?;
                let known = tx
                    .row(
                        "SELECT count(*), coalesce(sum(CASE WHEN data = $3 THEN 1 ELSE 0 END), 0) FROM event \
                         WHERE job = $1 AND what = $2",
                        args![
                            key.job.to_string(),
                            event_kind::NOT_UNDERSTOOD,
                            note.data.to_text()
                        ],
                    )
                    .await?;
                let (count, same) = match known {
                    Some(row) => (row.int(0)?, row.int(1)?),
                    None => (0, 0),
                };
                if same > 0 || count >= ANSWERS {
                    return Ok(());
                }
                row::error(tx, key.job, &note).await?;
                history::event(tx, &by, key.job, Some(key.fence), event_kind::NOT_UNDERSTOOD, &note).await
            })
        })
        .await
    }

    /// Gives the job back until somebody claims it by its id, or [`unpark`](Self::unpark) finds its reason passed. The
    /// words of the note become the job's error. Takes the claim of any stage but *submitting*.
    ///
    /// # Errors
    /// [`IllegalTransition`](crate::LedgerErrorKind::IllegalTransition) while it is being sent, or settled;
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn park(
        &self,
        key: ClaimKey,
        reason: ParkReason,
        note: Note,
    ) -> Result<(), LedgerError> {
        let by = self.writer();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let held = own(tx, key).await?;
                if held.stage == Stage::Submitting || held.stage.is_settled() {
                    return Err(LedgerError::not_parkable(key.job, held.stage));
                }
                row::put(tx, &by, key, held.stage, AfterWrite::End(None), &held).await?;
                tx.run(
                    "UPDATE wake SET parked = $2 WHERE id = $1",
                    args![key.job.to_string(), reason.as_str()],
                )
                .await?;
                row::error(tx, key.job, &note).await?;
                let mut note = note;
                note.data.parked = Some(reason);
                history::event(tx, &by, key.job, Some(key.fence), event_kind::PARKED, &note).await
            })
        })
        .await
    }

    /// Makes the parked jobs of these accounts due at once whose reason is one of these, such as
    /// [`ParkReason::RETRIED`] where a worker begins; gives their number.
    ///
    /// # Errors
    /// The store's.
    pub async fn unpark(
        &self,
        accounts: &[Account],
        reasons: &[ParkReason],
    ) -> Result<u64, LedgerError> {
        // A job in doubt is settled by a person, whatever it was parked for.
        const EVENTS: Sql = Sql::each(
            "INSERT INTO event (job, at, fence, worker, what) SELECT id, $3, NULL, $4, $5 FROM wake \
             WHERE account IN (SELECT value FROM json_each($1)) AND parked IN (SELECT value FROM json_each($2)) \
             AND stage <> 'in_doubt'",
            "INSERT INTO event (job, at, fence, worker, what) SELECT id, $3, NULL, $4, $5 FROM wake \
             WHERE account = ANY ($1) AND parked = ANY ($2) AND stage <> 'in_doubt' ORDER BY id FOR UPDATE",
        );
        const UNPARK: Sql = Sql::each(
            "UPDATE wake SET due = $3, parked = NULL, updated_at = $3 \
             WHERE account IN (SELECT value FROM json_each($1)) AND parked IN (SELECT value FROM json_each($2)) \
             AND stage <> 'in_doubt'",
            "UPDATE wake SET due = $3, parked = NULL, updated_at = $3 \
             WHERE account = ANY ($1) AND parked = ANY ($2) AND stage <> 'in_doubt'",
        );
        let by = self.writer();
        let accounts: Vec<String> = accounts.iter().map(Account::to_string).collect();
        let reasons: Vec<String> = reasons.iter().map(|it| it.as_str().to_owned()).collect();
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                let which = args![accounts, reasons, by.now];
                let mut told = which.clone();
                told.extend(args![by.owner.worker(), event_kind::UNPARKED]);
                if tx.run(EVENTS, told).await? == 0 {
                    return Ok(0);
                }
                tx.notify_on_commit();
                tx.run(UNPARK, which).await
            })
        })
        .await
    }

    async fn record(
        &self,
        key: ClaimKey,
        sql: &'static str,
        args: Vec<crate::store::Value>,
        what: &'static str,
        note: Note,
    ) -> Result<(), LedgerError> {
        let by = self.writer();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                own(tx, key).await?;
                tx.run(sql, args).await?;
                history::event(tx, &by, key.job, Some(key.fence), what, &note).await
            })
        })
        .await
    }
}

/// Locks the row for the holder of the claim.
async fn own(tx: &mut Tx, key: ClaimKey) -> Result<LockedJob, LedgerError> {
    let held = row::lock(tx, key.job).await?;
    if held.fence == key.fence {
        Ok(held)
    } else {
        Err(LedgerError::claim_lost(key.job))
    }
}
