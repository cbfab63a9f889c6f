//! Before the vendor has the job: wanted, sending, and how the submit ended.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use jobs_core::{JobId, Ticket};

use super::budget::{self, Admission, Estimate, OverBudget, SubmitPermission};
use super::new_job::{Inserted, NewJob};
use super::row::{self, AfterWrite, LockedJob, Step, Writer, select_jobs};
use super::totals::{self, Reservation};
use super::{Due, Ledger, history, inbox};
use crate::claim::{Abandonable, AtStage, Claim, ClaimKey, Rejectable, at};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::event::{Note, event_kind, one_line};
use crate::id::LedgerId;
use crate::intent::{IntendOutcome, Intent};
use crate::job_record::{JobRecord, from_micros, micros};
use crate::stage::{Stage, Transition, transition};
use crate::store::{Flush, Tx, args};

impl Ledger {
    /// Writes the wish down and claims it, or finds the same wish in flight, in doubt, done, failed or gone.
    ///
    /// On the disk when this returns. After a job was refused, which bought nothing, or was given up, the same wish is new.
    ///
    /// # Errors
    /// [`InvalidInput`](LedgerErrorKind::InvalidInput) for names or paths that cannot be kept; else the store's.
    pub async fn intend(&self, intent: Intent) -> Result<IntendOutcome, LedgerError> {
        let new = NewJob::intended(&intent, &self.joined_accounts().await?)?;
        let again = new.again;
        let by = self.writer();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                match new.insert_or_find(tx, &by).await? {
                    Inserted::New(id) => {
                        let what = if again {
                            event_kind::INTENDED_AGAIN
                        } else {
                            event_kind::INTENDED
                        };
                        history::event(tx, &by, id, Some(1), what, &new.note()).await?;
                        let job = row::read(tx, id).await?;
                        let claim = Claim::new(id, 1, from_micros(by.lease_end));
                        Ok(IntendOutcome::New(claim, job))
                    }
                    Inserted::Known(job) => {
                        totals::spare(tx, &[job.id.to_string()], by.now).await?;
                        Ok(IntendOutcome::Attached(*job))
                    }
                }
            })
        })
        .await
    }

    /// Takes in a job of another machine or ledger by its ticket, due at once; the one already here if it is known.
    ///
    /// # Errors
    /// [`InvalidInput`](LedgerErrorKind::InvalidInput) for a path that is not Unicode; else the store's.
    pub async fn import(
        &self,
        ticket: &Ticket,
        output: Option<&Path>,
    ) -> Result<JobRecord, LedgerError> {
        let new = NewJob::held(ticket, output)?;
        let by = self.writer();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let known = tx
                    .row(
                        select_jobs!(
                            "WHERE j.remote_id = $1 AND j.vendor = $2 AND j.kind = $3 AND j.account = $4 \
                             ORDER BY j.created_at DESC LIMIT 1"
                        ),
                        args![
                            new.remote_id.clone(),
                            new.vendor.clone(),
                            new.kind.clone(),
                            new.account.clone()
                        ],
                    )
                    .await?;
                if let Some(known) = known {
                    return row::job(&known);
                }
                match new.insert(tx, &by).await? {
                    Inserted::New(id) => {
                        history::event(tx, &by, id, None, event_kind::IMPORTED, &Note::none()).await?;
                        tx.notify_on_commit();
                        row::read(tx, id).await
                    }
                    Inserted::Known(job) => Ok(*job),
                }
            })
        })
        .await
    }

    /// Says *submitting* and reserves the estimate in the vendor's budget, and is flushed when it returns: only now the
    /// paid call may be made, once. If the estimate does not fit, the job stays *intended* and is given back.
    ///
    /// The claim is used up even on error. Whether the word reached the disk is then not known: when the lease has
    /// ended the job is found as *intended*, or to be safe as *in_doubt*.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's. Do not send.
    pub async fn begin_submit(
        &self,
        claim: Claim<at::Intended>,
        estimate: Estimate,
    ) -> Result<SubmitPermission, LedgerError> {
        let by = self.writer();
        let (key, until) = (claim.key(), from_micros(by.lease_end));
        let over = self
            .write(Flush::Now, move |tx| {
                Box::pin(async move { begin_submit(tx, &by, key, estimate).await })
            })
            .await?;
        Ok(match over {
            None => SubmitPermission::Granted(claim.moved(until)),
            Some(over) => SubmitPermission::OverBudget(over),
        })
    }

    /// Says that the vendor accepted the job under this id. Flushed when it returns.
    ///
    /// Repeat it while the error [is transient](LedgerError::is_transient): the id is worth money. If the job was given
    /// up as *in_doubt* meanwhile, the answer of that very attempt still counts and takes a new claim. If it was settled
    /// in another way, the id is kept in the history only. The text of the note gives way to the id.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_accepted(
        &self,
        claim: &Claim<at::Submitting>,
        remote_id: &JobId,
        accepted_at: SystemTime,
        note: Note,
    ) -> Result<Claim<at::Accepted>, LedgerError> {
        let by = self.writer();
        let until = from_micros(by.lease_end);
        let (key, remote_id, accepted_at) =
            (claim.key(), remote_id.to_string(), micros(accepted_at));
        let fence = self
            .write(Flush::Now, move |tx| {
                Box::pin(async move { accept(tx, &by, key, remote_id, accepted_at, note).await })
            })
            .await?
            .ok_or_else(|| LedgerError::claim_lost(key.job))?;
        Ok(Claim::new(key.job, fence, until))
    }

    /// Says that nothing was bought and nothing will be: the vendor, or a check before sending, said no.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_rejected<S: Rejectable>(
        &self,
        claim: &Claim<S>,
        note: Note,
    ) -> Result<(), LedgerError> {
        self.exit(claim.key(), Transition::Reject, AfterWrite::End(None), note)
            .await
    }

    /// Says that the paid call provably did not reach the vendor, or was refused before any work: the job is wanted again
    /// from `due` on.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_not_sent(
        &self,
        claim: &Claim<at::Submitting>,
        due: Due,
        note: Note,
    ) -> Result<(), LedgerError> {
        let then = AfterWrite::End(due.at(self.now()));
        self.exit(claim.key(), Transition::NotSent, then, note)
            .await
    }

    /// Says that nobody knows how the paid call ended. Keeps the claim, for searching.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_in_doubt(
        &self,
        claim: &Claim<at::Submitting>,
        note: Note,
    ) -> Result<Claim<at::InDoubt>, LedgerError> {
        self.exit(claim.key(), Transition::Doubt, AfterWrite::Keep, note)
            .await?;
        Ok(claim.moved(self.lease_end(self.now()).1))
    }

    /// Takes a job found at the vendor to be this one, by a search or by a person's word.
    ///
    /// # Errors
    /// [`InvalidInput`](LedgerErrorKind::InvalidInput) when another job of the same kind already has that id;
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn adopt(
        &self,
        claim: &Claim<at::InDoubt>,
        remote_id: &JobId,
        accepted_at: SystemTime,
        note: Note,
    ) -> Result<Claim<at::Accepted>, LedgerError> {
        let by = self.writer();
        let until = from_micros(by.lease_end);
        let (key, remote_id, accepted_at) =
            (claim.key(), remote_id.to_string(), micros(accepted_at));
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let held = row::lock(tx, key.job).await?;
                if held.fence != key.fence {
                    return Err(LedgerError::claim_lost(key.job));
                }
                if is_repeat(tx, key, &held, &remote_id).await? {
                    return Ok(());
                }
                let to = transition(held.stage, Transition::Adopt)
                    .map_err(|illegal| LedgerError::illegal_transition(key.job, illegal))?;
                refuse_second_owner(tx, key.job, &remote_id).await?;
                row::put(tx, &by, key, to, AfterWrite::Keep, &held).await?;
                keep_id(tx, &by, key.job, &remote_id, accepted_at).await?;
                let text = note.text.as_deref().unwrap_or_default();
                let note = Note {
                    text: Some(one_line(&format!("{remote_id} {text}"))),
                    ..note.clone()
                }
                .with_remote_id(&remote_id);
                history::event(
                    tx,
                    &by,
                    key.job,
                    Some(key.fence),
                    event_kind::ADOPTED,
                    &note,
                )
                .await
            })
        })
        .await?;
        Ok(claim.moved(until))
    }

    /// Gives the job up: the same wish is then new. Nothing is cancelled at the vendor.
    ///
    /// Get the claim by [`claim`](Self::claim); it is refused while another process works on the job.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn abandon<S: Abandonable>(
        &self,
        claim: &Claim<S>,
        note: Note,
    ) -> Result<(), LedgerError> {
        self.exit(
            claim.key(),
            Transition::Abandon,
            AfterWrite::End(None),
            note,
        )
        .await
    }

    /// Adds a remark to the history.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn note<S: AtStage>(&self, claim: &Claim<S>, note: Note) -> Result<(), LedgerError> {
        let (by, key) = (self.writer(), claim.key());
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                if row::lock(tx, key.job).await?.fence != key.fence {
                    return Err(LedgerError::claim_lost(key.job));
                }
                history::event(tx, &by, key.job, Some(key.fence), event_kind::NOTED, &note).await
            })
        })
        .await
    }

    /// Adds a remark to the history, whoever holds the job.
    ///
    /// # Errors
    /// [`NotFound`](LedgerErrorKind::NotFound) when there is no such job; else the store's.
    pub async fn remark(&self, job: LedgerId, note: Note) -> Result<(), LedgerError> {
        let by = self.writer();
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                row::lock(tx, job).await?;
                history::event(tx, &by, job, None, event_kind::NOTED, &note).await
            })
        })
        .await
    }

    /// A move with nothing to it but its note, which also becomes the job's error.
    pub(super) async fn exit(
        &self,
        key: ClaimKey,
        step: Transition,
        then: AfterWrite,
        note: Note,
    ) -> Result<(), LedgerError> {
        let by = self.writer();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move { exit(tx, &by, key, step, then, &note).await })
        })
        .await
    }

    pub(super) fn writer(&self) -> Writer {
        let now = self.now();
        Writer {
            owner: Arc::clone(&self.owner),
            now,
            lease_end: self.lease_end(now).0,
            place_key: self.place_key,
        }
    }
}

pub(super) async fn exit(
    tx: &mut Tx,
    by: &Writer,
    key: ClaimKey,
    step: Transition,
    then: AfterWrite,
    note: &Note,
) -> Result<(), LedgerError> {
    let Step::Made(from) = row::apply_transition(tx, by, key, step, then).await? else {
        return Ok(());
    };
    row::error(tx, key.job, note).await?;
    history::event(tx, by, key.job, Some(key.fence), event_kind::of(step), note).await?;
    end_reservation(tx, by, key.job, from, step).await
}

/// None if the call is permitted.
async fn begin_submit(
    tx: &mut Tx,
    by: &Writer,
    key: ClaimKey,
    estimate: Estimate,
) -> Result<Option<OverBudget>, LedgerError> {
    let held = row::lock(tx, key.job).await?;
    if held.fence != key.fence {
        return Err(LedgerError::claim_lost(key.job));
    }
    let to = transition(held.stage, Transition::Submit)
        .map_err(|illegal| LedgerError::illegal_transition(key.job, illegal))?;
    let (units, has_budget) = match budget::admit(tx, by, key.job, estimate).await? {
        Admission::Granted { units, has_budget } => (units, has_budget),
        Admission::Refused(over) => {
            budget::block(tx, by, key, &held, &over).await?;
            return Ok(Some(over));
        }
    };
    row::put(tx, by, key, to, AfterWrite::Keep, &held).await?;
    let row = tx
        .row(
            "UPDATE job SET attempts = attempts + 1, sent_fence = $2, sent_at = $3, error = NULL, error_data = NULL, \
             error_kind = NULL WHERE id = $1 RETURNING attempts",
            args![key.job.to_string(), key.fence, by.now],
        )
        .await?;
    let attempt = row.map(|row| row.int(0)).transpose()?.unwrap_or_default();
    budget::reserve(tx, by, key.job, units).await?;
    let mut note = Note::new(format!("attempt {attempt}"));
    note.data.attempt = Some(attempt);
    let fence = Some(key.fence);
    history::event(tx, by, key.job, fence, event_kind::SUBMITTING, &note).await?;
    if has_budget {
        // Where one fits, the next may fit too.
        budget::room(tx, by, key.job).await?;
    }
    Ok(None)
}

/// After what the move told of the charge.
pub(super) async fn end_reservation(
    tx: &mut Tx,
    by: &Writer,
    id: LedgerId,
    from: Stage,
    step: Transition,
) -> Result<(), LedgerError> {
    let to =
        transition(from, step).map_err(|illegal| LedgerError::illegal_transition(id, illegal))?;
    match Reservation::after(from, to) {
        Some(how) if totals::close_reservation(tx, id, how).await? => {
            budget::room(tx, by, id).await
        }
        _ => Ok(()),
    }
}

/// Writes the vendor's id down; the fence of the claim that goes on, or none if it only went into the history.
async fn accept(
    tx: &mut Tx,
    by: &Writer,
    key: ClaimKey,
    remote_id: String,
    accepted_at: i64,
    note: Note,
) -> Result<Option<i64>, LedgerError> {
    let held = row::lock(tx, key.job).await?;
    if held.fence == key.fence {
        if is_repeat(tx, key, &held, &remote_id).await? {
            return Ok(Some(key.fence));
        }
        let to = transition(held.stage, Transition::Accept)
            .map_err(|illegal| LedgerError::illegal_transition(key.job, illegal))?;
        row::put(tx, by, key, to, AfterWrite::Keep, &held).await?;
        keep_id(tx, by, key.job, &remote_id, accepted_at).await?;
        let note = Note {
            text: Some(remote_id.as_str().into()),
            ..note
        }
        .with_remote_id(&remote_id);
        history::event(
            tx,
            by,
            key.job,
            Some(key.fence),
            event_kind::ACCEPTED,
            &note,
        )
        .await?;
        return Ok(Some(key.fence));
    }
    // The claim is stale, but this answer is the one that everybody lacks: only the attempt's own claim can have it.
    let row = tx
        .row(
            "SELECT sent_fence, remote_id FROM job WHERE id = $1",
            args![key.job.to_string()],
        )
        .await?
        .ok_or_else(|| LedgerError::not_found(key.job))?;
    if row.opt_int(0)? != Some(key.fence) || row.opt_text(1)?.as_ref() == Some(&remote_id) {
        return Ok(None);
    }
    let note = Note {
        text: Some(remote_id.as_str().into()),
        ..note
    }
    .with_remote_id(&remote_id);
    if transition(held.stage, Transition::Accept) != Ok(Stage::Accepted) {
        history::event(
            tx,
            by,
            key.job,
            Some(key.fence),
            event_kind::ANSWERED_LATE,
            &note,
        )
        .await?;
        return Ok(None);
    }
    // Above the fence of whoever searches now, so that its verdict does not count any more.
    let key = row::fence_off(tx, key.job, &held).await?;
    row::put(tx, by, key, Stage::Accepted, AfterWrite::Keep, &held).await?;
    keep_id(tx, by, key.job, &remote_id, accepted_at).await?;
    history::event(
        tx,
        by,
        key.job,
        Some(key.fence),
        event_kind::ANSWERED_LATE,
        &note,
    )
    .await?;
    Ok(Some(key.fence))
}

/// Whether the same claim has written the same id before.
async fn is_repeat(
    tx: &mut Tx,
    key: ClaimKey,
    held: &LockedJob,
    remote_id: &str,
) -> Result<bool, LedgerError> {
    if held.stage != Stage::Accepted {
        return Ok(false);
    }
    let row = tx
        .row(
            "SELECT remote_id FROM job WHERE id = $1",
            args![key.job.to_string()],
        )
        .await?;
    Ok(match row {
        Some(row) => row.opt_text(0)?.as_deref() == Some(remote_id),
        None => false,
    })
}

/// Two wishes must not be settled by one job of the vendor.
async fn refuse_second_owner(
    tx: &mut Tx,
    id: LedgerId,
    remote_id: &str,
) -> Result<(), LedgerError> {
    let row = tx
        .row(
            "SELECT o.id FROM job o JOIN job j ON j.id = $1 \
             WHERE o.remote_id = $2 AND o.vendor = j.vendor AND o.kind = j.kind AND o.id <> j.id",
            args![id.to_string(), remote_id],
        )
        .await?;
    match row {
        Some(row) => Err(LedgerError::new(
            LedgerErrorKind::InvalidInput,
            format!(
                "the vendor's job {} already belongs to job {} of this ledger",
                one_line(remote_id),
                row.text(0)?
            ),
        )),
        None => Ok(()),
    }
}

/// Keeps the vendor's id; a push that came before it makes the job due as soon as its claim ends.
async fn keep_id(
    tx: &mut Tx,
    by: &Writer,
    id: LedgerId,
    remote_id: &str,
    accepted_at: i64,
) -> Result<(), LedgerError> {
    tx.run(
        "UPDATE job SET remote_id = $2, accepted_at = $3, error = NULL, error_data = NULL, \
         error_kind = NULL, request_private = NULL WHERE id = $1",
        args![id.to_string(), remote_id, accepted_at],
    )
    .await?;
    let hints = tx
        .run(
            "DELETE FROM hint WHERE remote_id = $2 AND at >= $3 \
             AND vendor = (SELECT vendor FROM job WHERE id = $1)",
            args![id.to_string(), remote_id, by.now - inbox::EARLY],
        )
        .await?;
    if hints > 0 {
        inbox::settle_early(tx, by, id, remote_id).await?;
        tx.run(
            "UPDATE wake SET poll_soon = 1 WHERE id = $1",
            args![id.to_string()],
        )
        .await?;
    }
    Ok(())
}
