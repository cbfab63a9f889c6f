//! While the vendor has the job, and until its result is here.

use std::path::Path;

use serde_json::Value;

use super::new_job::path;
use super::row::{self, AfterWrite, Step, Writer};
use super::submit::end_reservation;
use super::{Ledger, history};
use crate::claim::{AtVendor, Claim, ClaimKey, WithResult, at};
use crate::error::LedgerError;
use crate::event::{Note, event_kind, one_line};
use crate::id::LedgerId;
use crate::job_record::from_micros;
use crate::stage::{Stage, Transition, transition};
use crate::store::{Flush, Tx, args};

/// What a poll of an unfinished job saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollRecord {
    pub(super) vendor_status: Box<str>,
    pub(super) note: Note,
}

impl PollRecord {
    /// The vendor's word for the job's state. It enters the history when it is another than before.
    pub fn new(word: impl AsRef<str>) -> Self {
        Self {
            vendor_status: one_line(word.as_ref()),
            note: Note::none(),
        }
    }

    /// Adds a note, which enters the history in any case.
    #[must_use]
    pub fn with_note(mut self, note: Note) -> Self {
        self.note = note;
        self
    }
}

impl Ledger {
    /// Records a poll that saw the job unfinished; keeps the claim and renews its lease.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_poll(
        &self,
        claim: &mut Claim<at::Accepted>,
        poll: PollRecord,
    ) -> Result<(), LedgerError> {
        let by = self.writer();
        let (key, until) = (claim.key(), from_micros(by.lease_end));
        self.write(Flush::Later, move |tx| {
            Box::pin(async move { record_poll(tx, &by, key, &poll, AfterWrite::Keep).await })
        })
        .await?;
        claim.lease_until = until;
        Ok(())
    }

    /// Counts one poll that costs money, before it is made; flushed when it returns.
    ///
    /// Gives the number of this call, or none when `budget` calls were counted already: then do not make it.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's. Do not make the call.
    pub async fn spend_call(
        &self,
        claim: &Claim<at::Accepted>,
        budget: u32,
    ) -> Result<Option<u32>, LedgerError> {
        let key = claim.key();
        let count = self
            .write(Flush::Now, move |tx| {
                Box::pin(async move {
                    if row::lock(tx, key.job).await?.fence != key.fence {
                        return Err(LedgerError::claim_lost(key.job));
                    }
                    tx.row(
                        "UPDATE job SET calls = calls + 1 WHERE id = $1 AND calls < $2 RETURNING calls",
                        args![key.job.to_string(), i64::from(budget)],
                    )
                    .await?
                    .map(|row| row.int(0))
                    .transpose()
                })
            })
            .await?;
        Ok(count.and_then(|count| u32::try_from(count).ok()))
    }

    /// Says that the vendor has finished. `result` is what fetching needs; it is forgotten once the job is done.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_available(
        &self,
        claim: &Claim<at::Accepted>,
        result: &Value,
        note: Note,
    ) -> Result<Claim<at::Available>, LedgerError> {
        let by = self.writer();
        let (key, until) = (claim.key(), from_micros(by.lease_end));
        let result = result.to_string();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                record_available(tx, &by, key, &result, &note, AfterWrite::Keep).await
            })
        })
        .await?;
        Ok(claim.moved(until))
    }

    /// Says that the vendor has finished and that the download begins, at once. Not flushed: whoever finds the job as it
    /// was before polls it once more.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn begin_fetch(
        &self,
        claim: &Claim<at::Accepted>,
    ) -> Result<Claim<at::Downloading>, LedgerError> {
        let by = self.writer();
        let (key, until) = (claim.key(), from_micros(by.lease_end));
        self.write(Flush::Later, move |tx| {
            Box::pin(async move { begin_fetch(tx, &by, key).await })
        })
        .await?;
        Ok(claim.moved(until))
    }

    /// Says that the download begins, or begins again.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn begin_download<S: WithResult>(
        &self,
        claim: &Claim<S>,
    ) -> Result<Claim<at::Downloading>, LedgerError> {
        let by = self.writer();
        let (key, until) = (claim.key(), from_micros(by.lease_end));
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                row::apply_transition(tx, &by, key, Transition::Download, AfterWrite::Keep).await?;
                let note = Note::none();
                history::event(
                    tx,
                    &by,
                    key.job,
                    Some(key.fence),
                    event_kind::DOWNLOADING,
                    &note,
                )
                .await
            })
        })
        .await?;
        Ok(claim.moved(until))
    }

    /// Says that the result cannot be fetched with what is known, as when its link has lapsed: poll again.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_link_expired<S: WithResult>(
        &self,
        claim: &Claim<S>,
        note: Note,
    ) -> Result<Claim<at::Accepted>, LedgerError> {
        let until = self.lease_end(self.now()).1;
        self.exit(claim.key(), Transition::ExpireLink, AfterWrite::Keep, note)
            .await?;
        Ok(claim.moved(until))
    }

    /// Says that the result is here, complete and under its final name; without a path when the result is an id only.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn complete<S: WithResult>(
        &self,
        claim: &Claim<S>,
        path: Option<&Path>,
        sha256: Option<[u8; 32]>,
        note: Note,
    ) -> Result<(), LedgerError> {
        let (by, key) = (self.writer(), claim.key());
        // A name that is not Unicode is kept as well as it can be: by now the file is there and paid for.
        let path = path.map(|path| path.to_string_lossy().replace('\0', ""));
        let digest = sha256;
        let sha256 = sha256.map(|sum| sum.to_vec());
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let Step::Made(from) =
                    row::apply_transition(tx, &by, key, Transition::Complete, AfterWrite::End(None)).await?
                else {
                    return Ok(());
                };
                // The record tells of the job's own format; of others the history tells.
                const DELIVERED: &str = "UPDATE job SET output = CASE WHEN $5 = 1 THEN coalesce(output, $2) \
                    ELSE coalesce($2, output) END, output_seal = CASE WHEN $2 IS NULL OR ($5 = 1 AND output IS NOT NULL) \
                    THEN output_seal ELSE $4 END, sha256 = CASE WHEN $5 = 1 THEN sha256 ELSE $3 END, result = NULL, \
                    error = NULL, error_data = NULL, error_kind = NULL WHERE id = $1";
                tx.run(
                    DELIVERED,
                    args![
                        key.job.to_string(),
                        path.as_deref(),
                        sha256,
                        by.seal(key.job, path.as_deref()),
                        note.data.format.is_some()
                    ],
                )
                .await?;
                let mut note = note;
                note.data.path = path.as_deref().map(Into::into);
                note.data.sha256 = digest.or(note.data.sha256);
                note.text = note.text.or(path.map(Into::into));
                history::event(tx, &by, key.job, Some(key.fence), event_kind::COMPLETED, &note).await?;
                end_reservation(tx, &by, key.job, from, Transition::Complete).await
            })
        })
        .await
    }

    /// Says that the vendor gave up on the job. Its reason belongs into the note.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_failed<S: AtVendor>(
        &self,
        claim: &Claim<S>,
        note: Note,
    ) -> Result<(), LedgerError> {
        self.exit(claim.key(), Transition::Fail, AfterWrite::End(None), note)
            .await
    }

    /// Says that the vendor no longer has the job or its result.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn record_gone<S: AtVendor>(
        &self,
        claim: &Claim<S>,
        note: Note,
    ) -> Result<(), LedgerError> {
        self.exit(
            claim.key(),
            Transition::Disappear,
            AfterWrite::End(None),
            note,
        )
        .await
    }

    /// Takes up a job that is done once more, because its result is missing: poll again, and fetch it to `output` where
    /// that is another place than before.
    ///
    /// # Errors
    /// [`IllegalTransition`](crate::LedgerErrorKind::IllegalTransition) when it is not done;
    /// [`InvalidInput`](crate::LedgerErrorKind::InvalidInput) for a path that is not Unicode; else the store's.
    pub async fn reopen(
        &self,
        job: LedgerId,
        output: Option<&Path>,
    ) -> Result<Claim<at::Accepted>, LedgerError> {
        let output = path(output)?;
        let by = self.writer();
        let until = from_micros(by.lease_end);
        let fence = self
            .write(Flush::Now, move |tx| {
                Box::pin(async move {
                    let held = row::lock(tx, job).await?;
                    let to = transition(held.stage, Transition::Reopen)
                        .map_err(|illegal| LedgerError::illegal_transition(job, illegal))?;
                    let key = row::fence_off(tx, job, &held).await?;
                    row::put(tx, &by, key, to, AfterWrite::Keep, &held).await?;
                    tx.run(
                        "UPDATE job SET output = coalesce($2, output), \
                         output_seal = CASE WHEN $2 IS NULL THEN output_seal ELSE $3 END WHERE id = $1",
                        args![job.to_string(), output.as_deref(), by.seal(job, output.as_deref())],
                    )
                    .await?;
                    history::event(
                        tx,
                        &by,
                        job,
                        Some(key.fence),
                        event_kind::REOPENED,
                        &Note::none(),
                    )
                    .await?;
                    Ok(key.fence)
                })
            })
            .await?;
        Ok(Claim::new(job, fence, until))
    }

    /// Says that a job that was [taken up once more](Self::reopen) is completed as it was before: where its result is and
    /// what it cost stay as they are. Does nothing, and says so, where a process works on it or it was not completed before.
    ///
    /// # Errors
    /// [`NotFound`](crate::LedgerErrorKind::NotFound); else the store's.
    pub async fn complete_again(&self, job: LedgerId) -> Result<bool, LedgerError> {
        let by = self.writer();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move { complete_again(tx, &by, job).await })
        })
        .await
    }
}

async fn complete_again(tx: &mut Tx, by: &Writer, job: LedgerId) -> Result<bool, LedgerError> {
    let held = row::lock(tx, job).await?;
    if !held.stage.is_polled() || held.is_taken(by) {
        return Ok(false);
    }
    let sql = "SELECT 1 FROM event WHERE job = $1 AND what = $2 LIMIT 1";
    let reopened = args![job.to_string(), event_kind::REOPENED];
    if tx.row(sql, reopened).await?.is_none() {
        return Ok(false);
    }
    let legal = |from, step| {
        transition(from, step).map_err(|illegal| LedgerError::illegal_transition(job, illegal))
    };
    let available = match held.stage {
        Stage::Accepted => legal(held.stage, Transition::MakeAvailable)?,
        stage => stage,
    };
    let to = legal(available, Transition::Complete)?;
    let key = row::fence_off(tx, job, &held).await?;
    row::put(tx, by, key, to, AfterWrite::End(None), &held).await?;
    tx.run(
        "UPDATE job SET result = NULL, error = NULL, error_data = NULL, error_kind = NULL WHERE id = $1",
        args![job.to_string()],
    )
    .await?;
    let note = Note::new("completed as before");
    history::event(tx, by, job, Some(key.fence), event_kind::NOTED, &note).await?;
    Ok(true)
}

pub(super) async fn record_poll(
    tx: &mut Tx,
    by: &Writer,
    key: ClaimKey,
    poll: &PollRecord,
    then: AfterWrite,
) -> Result<(), LedgerError> {
    row::apply_transition(tx, by, key, Transition::Poll, then).await?;
    let before = tx
        .row(
            "SELECT vendor_status FROM wake WHERE id = $1",
            args![key.job.to_string()],
        )
        .await?
        .map(|row| row.opt_text(0))
        .transpose()?
        .flatten();
    tx.run(
        "UPDATE wake SET polls = polls + 1, last_poll = $3, vendor_status = $4 WHERE id = $1 AND fence = $2",
        args![key.job.to_string(), key.fence, by.now, &*poll.vendor_status],
    )
    .await?;
    if before.as_deref() == Some(&poll.vendor_status) && poll.note == Note::none() {
        return Ok(());
    }
    let text = match &poll.note.text {
        Some(text) => one_line(&format!("{} {text}", poll.vendor_status)),
        None => poll.vendor_status.clone(),
    };
    let note = Note {
        text: Some(text),
        ..poll.note.clone()
    };
    history::event(tx, by, key.job, Some(key.fence), event_kind::POLLED, &note).await
}

async fn begin_fetch(tx: &mut Tx, by: &Writer, key: ClaimKey) -> Result<(), LedgerError> {
    let held = row::lock(tx, key.job).await?;
    if held.fence != key.fence {
        return Err(LedgerError::claim_lost(key.job));
    }
    let legal = |from, step| {
        transition(from, step).map_err(|illegal| LedgerError::illegal_transition(key.job, illegal))
    };
    if held.stage == Stage::Downloading {
        // The same claim has said so, and its answer was lost.
        return Ok(());
    }
    let available = legal(held.stage, Transition::MakeAvailable)?;
    let to = legal(available, Transition::Download)?;
    row::put(tx, by, key, to, AfterWrite::Keep, &held).await?;
    tx.run(
        "UPDATE wake SET polls = polls + 1, last_poll = $2 WHERE id = $1",
        args![key.job.to_string(), by.now],
    )
    .await?;
    let told = [event_kind::AVAILABLE, event_kind::DOWNLOADING];
    history::two_events(tx, by, key, told).await
}

async fn record_available(
    tx: &mut Tx,
    by: &Writer,
    key: ClaimKey,
    result: &str,
    note: &Note,
    then: AfterWrite,
) -> Result<(), LedgerError> {
    if row::apply_transition(tx, by, key, Transition::MakeAvailable, then).await? == Step::Repeated
    {
        return Ok(());
    }
    tx.run(
        "UPDATE job SET result = $2 WHERE id = $1",
        args![key.job.to_string(), result],
    )
    .await?;
    tx.run(
        "UPDATE wake SET polls = polls + 1, last_poll = $2 WHERE id = $1",
        args![key.job.to_string(), by.now],
    )
    .await?;
    history::event(
        tx,
        by,
        key.job,
        Some(key.fence),
        event_kind::AVAILABLE,
        note,
    )
    .await
}
