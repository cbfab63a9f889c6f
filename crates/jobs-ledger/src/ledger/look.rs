//! While the vendor has the job, and until its result is here.

use std::path::Path;

use serde_json::{Value, json};

use super::row::{self, Step, Then, Writer};
use super::submit::exit;
use super::{Due, Ledger};
use crate::claim::{AtVendor, Claim, ClaimKey, WithResult, at};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::event::{Note, one_line, what};
use crate::id::LedgerId;
use crate::job::from_micros;
use crate::stage::{Move, Stage, apply};
use crate::store::{Flush, Row, Tx, args};

/// What a look at an unfinished job saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    word: Box<str>,
    note: Note,
}

impl Look {
    /// The vendor's word for the job's state. It enters the history when it is another than before.
    pub fn new(word: impl AsRef<str>) -> Self {
        Self {
            word: one_line(word.as_ref()),
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

/// How one claim of a batch ends.
#[derive(Debug)]
#[must_use]
pub struct Settle {
    key: ClaimKey,
    verdict: Verdict,
}

#[derive(Debug)]
enum Verdict {
    Looked(Look, Due),
    Unseen(Due),
    Ready(Box<str>, Note),
    Failed(Note),
    Gone(Note),
}

impl Settle {
    /// Still unfinished: look again when due.
    pub fn looked(claim: Claim<at::Held>, look: Look, due: Due) -> Self {
        Self::of(&claim, Verdict::Looked(look, due))
    }

    /// No look was made, or none that can be believed: look again when due. Does not count as a look.
    pub fn unseen(claim: Claim<at::Held>, due: Due) -> Self {
        Self::of(&claim, Verdict::Unseen(due))
    }

    /// Finished: whoever takes it up next, at once, fetches the result.
    pub fn ready(claim: Claim<at::Held>, result: &Value, note: Note) -> Self {
        Self::of(&claim, Verdict::Ready(result.to_string().into(), note))
    }

    /// The vendor gave up on it.
    pub fn failed(claim: Claim<at::Held>, note: Note) -> Self {
        Self::of(&claim, Verdict::Failed(note))
    }

    /// The vendor no longer has it.
    pub fn gone(claim: Claim<at::Held>, note: Note) -> Self {
        Self::of(&claim, Verdict::Gone(note))
    }

    fn of(claim: &Claim<at::Held>, verdict: Verdict) -> Self {
        Self {
            key: claim.key(),
            verdict,
        }
    }
}

/// How a batch went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Settled {
    /// How many were written.
    pub accepted: usize,
    /// The jobs whose claims were stale; nothing was written for these.
    pub lost: Vec<LedgerId>,
}

impl Ledger {
    /// Records a look that saw the job unfinished; keeps the claim and renews its lease.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn looked(&self, claim: &mut Claim<at::Held>, look: Look) -> Result<(), LedgerError> {
        let by = self.writer();
        let (key, until) = (claim.key(), from_micros(by.lease_end));
        self.write(Flush::Later, move |tx| {
            Box::pin(async move { looked(tx, &by, key, &look, Then::Keep).await })
        })
        .await?;
        claim.lease_until = until;
        Ok(())
    }

    /// Ends many claims at once, in one transaction. Stale ones are told and not written.
    ///
    /// # Errors
    /// The store's; then nothing was written.
    pub async fn settle(&self, batch: Vec<Settle>) -> Result<Settled, LedgerError> {
        let by = self.writer();
        self.write(Flush::Later, move |tx| {
            Box::pin(async move { settle(tx, &by, batch).await })
        })
        .await
    }

    /// Counts one look that costs money, before it is made; flushed when it returns.
    ///
    /// Gives the number of this call, or none when `budget` calls were counted already: then do not make it.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's. Do not make the call.
    pub async fn spend_call(
        &self,
        claim: &Claim<at::Held>,
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
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn ready(
        &self,
        claim: &Claim<at::Held>,
        result: &Value,
        note: Note,
    ) -> Result<Claim<at::Ready>, LedgerError> {
        let by = self.writer();
        let (key, until) = (claim.key(), from_micros(by.lease_end));
        let result = result.to_string();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move { ready(tx, &by, key, &result, &note, Then::Keep).await })
        })
        .await?;
        Ok(claim.moved(until))
    }

    /// Says that the download begins, or begins again.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn fetching<S: WithResult>(
        &self,
        claim: &Claim<S>,
    ) -> Result<Claim<at::Fetching>, LedgerError> {
        let by = self.writer();
        let (key, until) = (claim.key(), from_micros(by.lease_end));
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                row::step(tx, &by, key, Move::Fetch, Then::Keep).await?;
                let note = Note::none();
                row::event(tx, &by, key.job, Some(key.fence), what::FETCHING, &note).await
            })
        })
        .await?;
        Ok(claim.moved(until))
    }

    /// Says that the result cannot be fetched with what is known, as when its link has lapsed: look again.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn lapsed<S: WithResult>(
        &self,
        claim: &Claim<S>,
        note: Note,
    ) -> Result<Claim<at::Held>, LedgerError> {
        let until = self.lease_end(self.now()).1;
        self.exit(claim.key(), Move::Lapse, Then::Keep, what::LAPSED, note)
            .await?;
        Ok(claim.moved(until))
    }

    /// Says that the result is here, complete and under its final name; without a path when the result is an id only.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn done<S: WithResult>(
        &self,
        claim: &Claim<S>,
        path: Option<&Path>,
        sha256: Option<[u8; 32]>,
        note: Note,
    ) -> Result<(), LedgerError> {
        let (by, key) = (self.writer(), claim.key());
        // A name that is not Unicode is kept as well as it can be: by now the file is there and paid for.
        let path = path.map(|path| path.to_string_lossy().replace('\0', ""));
        let sha256 = sha256.map(|sum| sum.to_vec());
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                if row::step(tx, &by, key, Move::Keep, Then::End(None)).await? == Step::Repeated {
                    return Ok(());
                }
                tx.run(
                    "UPDATE job SET output = coalesce($2, output), sha256 = $3, result = NULL, error = NULL \
                     WHERE id = $1",
                    args![key.job.to_string(), path.as_deref(), sha256],
                )
                .await?;
                let note = Note {
                    text: note.text.or(path.map(Into::into)),
                    ..note
                };
                row::event(tx, &by, key.job, Some(key.fence), what::DONE, &note).await
            })
        })
        .await
    }

    /// Says that the vendor gave up on the job. Its reason belongs into the note.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn failed<S: AtVendor>(
        &self,
        claim: &Claim<S>,
        note: Note,
    ) -> Result<(), LedgerError> {
        self.exit(claim.key(), Move::Fail, Then::End(None), what::FAILED, note)
            .await
    }

    /// Says that the vendor no longer has the job or its result.
    ///
    /// # Errors
    /// [`ClaimLost`](LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn gone<S: AtVendor>(&self, claim: &Claim<S>, note: Note) -> Result<(), LedgerError> {
        self.exit(claim.key(), Move::Vanish, Then::End(None), what::GONE, note)
            .await
    }

    /// Takes up a job that is done once more, because its result is missing: look again, and fetch.
    ///
    /// # Errors
    /// [`IllegalMove`](LedgerErrorKind::IllegalMove) when it is not done; else the store's.
    pub async fn reopen(&self, job: LedgerId) -> Result<Claim<at::Held>, LedgerError> {
        let by = self.writer();
        let until = from_micros(by.lease_end);
        let fence = self
            .write(Flush::Now, move |tx| {
                Box::pin(async move {
                    let held = row::lock(tx, job).await?;
                    let to = apply(held.stage, Move::Reopen)
                        .map_err(|illegal| LedgerError::illegal(job, illegal))?;
                    let fence = held.fence + 1;
                    tx.run(
                        "UPDATE wake SET fence = $2 WHERE id = $1",
                        args![job.to_string(), fence],
                    )
                    .await?;
                    let key = ClaimKey { job, fence };
                    row::put(tx, &by, key, to, Then::Keep, &held).await?;
                    row::event(tx, &by, job, Some(fence), what::REOPENED, &Note::none()).await?;
                    Ok(fence)
                })
            })
            .await?;
        Ok(Claim::new(job, fence, until))
    }
}

async fn looked(
    tx: &mut Tx,
    by: &Writer,
    key: ClaimKey,
    look: &Look,
    then: Then,
) -> Result<(), LedgerError> {
    row::step(tx, by, key, Move::Look, then).await?;
    let before = tx
        .row(
            "SELECT word FROM wake WHERE id = $1",
            args![key.job.to_string()],
        )
        .await?
        .map(|row| row.opt_text(0))
        .transpose()?
        .flatten();
    tx.run(
        "UPDATE wake SET looks = looks + 1, last_look = $3, word = $4 WHERE id = $1 AND fence = $2",
        args![key.job.to_string(), key.fence, by.now, &*look.word],
    )
    .await?;
    if before.as_deref() == Some(&look.word) && look.note == Note::none() {
        return Ok(());
    }
    let text = match &look.note.text {
        Some(text) => one_line(&format!("{} {text}", look.word)),
        None => look.word.clone(),
    };
    let note = Note {
        text: Some(text),
        ..look.note.clone()
    };
    row::event(tx, by, key.job, Some(key.fence), what::LOOKED, &note).await
}

async fn ready(
    tx: &mut Tx,
    by: &Writer,
    key: ClaimKey,
    result: &str,
    note: &Note,
    then: Then,
) -> Result<(), LedgerError> {
    if row::step(tx, by, key, Move::Finish, then).await? == Step::Repeated {
        return Ok(());
    }
    tx.run(
        "UPDATE job SET result = $2 WHERE id = $1",
        args![key.job.to_string(), result],
    )
    .await?;
    tx.run(
        "UPDATE wake SET looks = looks + 1, last_look = $2 WHERE id = $1",
        args![key.job.to_string(), by.now],
    )
    .await?;
    row::event(tx, by, key.job, Some(key.fence), what::READY, note).await
}

async fn settle(tx: &mut Tx, by: &Writer, mut batch: Vec<Settle>) -> Result<Settled, LedgerError> {
    let mut settled = Settled::default();
    let (mut looks, mut others) = (Vec::new(), Vec::new());
    batch.sort_by_key(|settle| settle.key.job);
    for settle in batch {
        match settle.verdict {
            Verdict::Looked(look, due) if look.note == Note::none() => {
                looks.push((settle.key, look.word, due.at(by.now)));
            }
            verdict => others.push((settle.key, verdict)),
        }
    }
    settle_looks(tx, by, looks, &mut settled).await?;
    for (key, verdict) in others {
        match one(tx, by, key, &verdict).await {
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
        LedgerErrorKind::ClaimLost | LedgerErrorKind::IllegalMove | LedgerErrorKind::NotFound
    )
}

async fn one(
    tx: &mut Tx,
    by: &Writer,
    key: ClaimKey,
    verdict: &Verdict,
) -> Result<(), LedgerError> {
    let end = Then::End(None);
    match verdict {
        Verdict::Looked(look, due) => looked(tx, by, key, look, Then::End(due.at(by.now))).await,
        Verdict::Unseen(due) => row::step(tx, by, key, Move::Look, Then::End(due.at(by.now)))
            .await
            .map(drop),
        Verdict::Ready(result, note) => {
            ready(tx, by, key, result, note, Then::End(Some(by.now))).await
        }
        Verdict::Failed(note) => exit(tx, by, key, Move::Fail, end, what::FAILED, note).await,
        Verdict::Gone(note) => exit(tx, by, key, Move::Vanish, end, what::GONE, note).await,
    }
}

/// The plain looks of a batch, however many, in one statement (two for SQLite, which writes to one table at a time).
async fn settle_looks(
    tx: &mut Tx,
    by: &Writer,
    looks: Vec<(ClaimKey, Box<str>, Option<i64>)>,
    settled: &mut Settled,
) -> Result<(), LedgerError> {
    if looks.is_empty() {
        return Ok(());
    }
    let keys: Vec<ClaimKey> = looks.iter().map(|(key, ..)| *key).collect();
    let rows = if tx.is_sqlite() {
        settle_in_sqlite(tx, by, looks).await?
    } else {
        settle_in_postgres(tx, by, looks).await?
    };
    settled.accepted += rows.len();
    let mut written = Vec::with_capacity(rows.len());
    for row in &rows {
        written.push(row.text(0)?);
    }
    written.sort_unstable();
    let lost = keys
        .into_iter()
        .map(ClaimKey::job)
        .filter(|job| written.binary_search(&job.to_string()).is_err());
    settled.lost.extend(lost);
    Ok(())
}

/// The batch goes over as one JSON text: several, joined by their keys, would be compared each with each.
async fn settle_in_sqlite(
    tx: &mut Tx,
    by: &Writer,
    looks: Vec<(ClaimKey, Box<str>, Option<i64>)>,
) -> Result<Vec<Row>, LedgerError> {
    const EVENTS: &str = "INSERT INTO event (job, at, fence, worker, what, text, acked) \
        SELECT w.id, $2, w.fence, $3, 'looked', s.value ->> 3, 0 \
        FROM json_each($1) s JOIN wake w ON w.id = s.value ->> 0 \
        WHERE w.fence = s.value ->> 1 AND w.stage = $4 AND w.word IS NOT s.value ->> 3";
    const SETTLE: &str = "UPDATE wake SET due = CASE WHEN wake.nudge = 1 THEN $2 ELSE s.value ->> 2 END, \
        owner = NULL, nudge = 0, looks = looks + 1, last_look = $2, word = s.value ->> 3, updated_at = $2 \
        FROM json_each($1) s \
        WHERE wake.id = s.value ->> 0 AND wake.fence = s.value ->> 1 AND wake.stage = $3 RETURNING id";
    let batch: Vec<_> = looks
        .into_iter()
        .map(|(key, word, due)| json!([key.job.to_string(), key.fence, due, word]))
        .collect();
    let batch = Value::from(batch).to_string();
    let held = Stage::Held.as_str();
    tx.run(
        EVENTS,
        args![batch.clone(), by.now, by.worker.as_str(), held],
    )
    .await?;
    tx.rows(SETTLE, args![batch, by.now, held]).await
}

async fn settle_in_postgres(
    tx: &mut Tx,
    by: &Writer,
    looks: Vec<(ClaimKey, Box<str>, Option<i64>)>,
) -> Result<Vec<Row>, LedgerError> {
    /// Stands for "parked" in a list that has no nulls.
    const NEVER: i64 = i64::MAX;
    const SETTLE: &str = "WITH s AS (SELECT * FROM unnest($1, $2, $3, $4) AS s (id, fence, due, word)), \
        locked AS (SELECT w.id, w.word AS before, s.fence, s.due, s.word FROM wake w JOIN s ON s.id = w.id \
                   WHERE w.fence = s.fence AND w.stage = $7 ORDER BY w.id FOR UPDATE OF w), \
        told AS (INSERT INTO event (job, at, fence, worker, what, text, acked) \
                 SELECT id, $5, fence, $6, 'looked', word, 0 FROM locked WHERE before IS DISTINCT FROM word) \
        UPDATE wake SET due = CASE WHEN wake.nudge = 1 THEN $5 ELSE nullif(locked.due, 9223372036854775807) END, \
        owner = NULL, nudge = 0, looks = looks + 1, last_look = $5, word = locked.word, updated_at = $5 \
        FROM locked WHERE wake.id = locked.id AND wake.fence = locked.fence RETURNING wake.id";
    let (mut ids, mut fences, mut dues, mut words) = (vec![], vec![], vec![], vec![]);
    for (key, word, due) in looks {
        ids.push(key.job.to_string());
        fences.push(key.fence);
        dues.push(due.unwrap_or(NEVER));
        words.push(word.into_string());
    }
    let held = Stage::Held.as_str();
    tx.rows(
        SETTLE,
        args![ids, fences, dues, words, by.now, by.worker.as_str(), held],
    )
    .await
}
