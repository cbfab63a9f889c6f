//! Who works on a job: claims, leases, and what is due.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use jobs_core::clock::Moment;
use jobs_core::vendor::Account;

use super::row::{self, AfterWrite, Writer, job_columns};
use super::{Ledger, history, keep};
use crate::claim::{Abandonable, AtStage, Claim, ClaimKey, ClaimOutcome, Claimed};
use crate::error::LedgerError;
use crate::event::{Note, event_kind};
use crate::id::LedgerId;
use crate::job_record::{JobRecord, from_micros, micros};
use crate::lease_heartbeat::LeaseHeartbeat;
use crate::record::ParkReason;
use crate::stage::{Stage, Transition, transition};
use crate::store::{Flush, Sql, Tx, args};

/// How long [`claim_due`](Ledger::claim_due) does not search for processes that ended: one that restarts searches at once,
/// another one takes over soon, and the search costs next to nothing.
const SEARCH_PAUSE: Duration = Duration::from_secs(1);

/// When a job wants attention next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At once.
    Now,
    /// Then.
    At(SystemTime),
    /// Not until somebody [claims](Ledger::claim) it by its id.
    Parked,
}

impl Due {
    pub(super) fn at(self, now: i64) -> Option<i64> {
        match self {
            Self::Now => Some(now),
            Self::At(at) => Some(micros(at)),
            Self::Parked => None,
        }
    }
}

impl Ledger {
    /// Takes up one job, due or not, unless a process works on it: until its lease ends, or at once when that process ran
    /// on this machine and has provably ended.
    ///
    /// A job whose process stopped while *submitting* is *in_doubt* from here on.
    ///
    /// # Errors
    /// [`NotFound`](crate::LedgerErrorKind::NotFound); else the store's.
    pub async fn claim(&self, job: LedgerId) -> Result<ClaimOutcome, LedgerError> {
        let by = self.writer();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move { take_one(tx, &by, job).await })
        })
        .await
    }

    /// Takes up at most `limit` jobs of these accounts that are due, the longest due first.
    ///
    /// Jobs of processes that stopped are due when their lease ends, and at once if they stopped on this machine: the
    /// first call looks for those, later ones once a second. Jobs found *submitting* are *in_doubt* from then on.
    ///
    /// # Errors
    /// The store's.
    pub async fn claim_due(
        &self,
        accounts: &[Account],
        limit: usize,
    ) -> Result<Vec<Claimed>, LedgerError> {
        let by = self.writer();
        let accounts: Vec<String> = accounts.iter().map(Account::to_string).collect();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (began, searches) = (self.clock.now(), self.is_time_to_search());
        if searches && let Err(problem) = self.fold_totals().await {
            tracing::debug!(%problem, "totals are summed up later");
        }
        let taken = self
            .write(Flush::Later, move |tx| {
                Box::pin(async move {
                    if searches {
                        expire_ended(tx, &by, &accounts).await?;
                    }
                    take_due(tx, &by, accounts, limit).await
                })
            })
            .await?;
        if searches {
            *self.searched() = Some(began);
        }
        Ok(taken)
    }

    fn is_time_to_search(&self) -> bool {
        self.searched()
            .is_none_or(|last| self.clock.now().since(last) >= SEARCH_PAUSE)
    }

    fn searched(&self) -> MutexGuard<'_, Option<Moment>> {
        self.searched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the claim a whole lease from now on.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn renew<S: AtStage>(&self, claim: &mut Claim<S>) -> Result<(), LedgerError> {
        let until = self.lease_end(self.now()).1;
        if self.renew_all(&[claim.key()]).await?.is_empty() {
            claim.lease_until = until;
            Ok(())
        } else {
            Err(LedgerError::claim_lost(claim.job))
        }
    }

    /// Renews the claim in the background until the keeper is dropped.
    pub fn heartbeat<S: AtStage>(&self, claim: &Claim<S>) -> LeaseHeartbeat {
        LeaseHeartbeat::new(self.clone(), claim.key())
    }

    /// Gives the job back as it is; others may take it up from `due` on.
    ///
    /// Not possible while sending: say first how the call ended.
    ///
    /// # Errors
    /// [`ClaimLost`](crate::LedgerErrorKind::ClaimLost) when another process has the job; else the store's.
    pub async fn release<S: Abandonable>(
        &self,
        claim: Claim<S>,
        due: Due,
    ) -> Result<(), LedgerError> {
        let (by, key) = (self.writer(), claim.key());
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let held = row::lock(tx, key.job).await?;
                if held.fence != key.fence {
                    return Err(LedgerError::claim_lost(key.job));
                }
                let due = due.at(by.now);
                if due.is_none() {
                    let note = Note::none();
                    history::event(tx, &by, key.job, Some(key.fence), event_kind::PARKED, &note)
                        .await?;
                }
                row::put(tx, &by, key, held.stage, AfterWrite::End(due), &held).await
            })
        })
        .await
    }

    /// When the next job of these accounts is due; in the past if one is waiting now.
    ///
    /// # Errors
    /// The store's.
    pub async fn next_due(&self, accounts: &[Account]) -> Result<Option<SystemTime>, LedgerError> {
        const SQL: Sql = Sql::each(
            "SELECT min(due) FROM wake WHERE account IN (SELECT value FROM json_each($1)) AND due IS NOT NULL",
            "SELECT min(due) FROM wake WHERE account = ANY ($1) AND due IS NOT NULL",
        );
        let accounts: Vec<String> = accounts.iter().map(Account::to_string).collect();
        let rows = self.store.read(SQL, args![accounts]).await?;
        let due = rows.first().map(|row| row.opt_int(0)).transpose()?;
        Ok(due.flatten().map(from_micros))
    }
}

/// Whoever takes a job over does not know whether it was polled just before: it counts as polled.
macro_rules! take {
    ($which:literal) => {
        concat!(
            "UPDATE wake SET fence = fence + 1, owner = $2, due = $3, poll_soon = 0, parked = NULL, blocked_until = NULL, last_poll = CASE ",
            "WHEN owner IS NOT NULL AND stage IN ('accepted', 'available', 'downloading') AND coalesce(last_poll, 0) < $4 ",
            "THEN $4 ELSE last_poll END ",
            $which
        )
    };
}

/// Makes the jobs of processes that ended on this machine due now, as their leases would.
///
/// A claimed job is due when its lease ends, so only what is due within a lease has to be read; a longer lease of
/// another worker is waited out. An ended process does not come back: what is seen here still holds at the commit.
async fn expire_ended(tx: &mut Tx, by: &Writer, accounts: &[String]) -> Result<(), LedgerError> {
    const OWNERS: Sql = Sql::each(
        "SELECT DISTINCT owner FROM wake WHERE account IN (SELECT value FROM json_each($1)) \
         AND due > $2 AND due <= $3 AND owner IS NOT NULL",
        "SELECT DISTINCT owner FROM wake WHERE account = ANY ($1) \
         AND due > $2 AND due <= $3 AND owner IS NOT NULL",
    );
    const EXPIRE: Sql = Sql::each(
        "UPDATE wake SET due = $2 WHERE account IN (SELECT value FROM json_each($1)) \
         AND due > $2 AND due <= $3 AND owner IN (SELECT value FROM json_each($4))",
        "UPDATE wake SET due = $2 WHERE id IN (SELECT id FROM wake WHERE account = ANY ($1) \
         AND due > $2 AND due <= $3 AND owner = ANY ($4) ORDER BY id FOR UPDATE SKIP LOCKED)",
    );
    let mut ended = Vec::new();
    let within = args![accounts.to_vec(), by.now, by.lease_end];
    for row in tx.rows(OWNERS, within.clone()).await? {
        let owner = row.text(0)?;
        if by.owner.is_gone(&owner) {
            ended.push(owner);
        }
    }
    if ended.is_empty() {
        return Ok(());
    }
    let mut args = within;
    args.extend(args![ended]);
    if tx.run(EXPIRE, args).await? > 0 {
        // There may be more than one worker's share.
        tx.notify_on_commit();
    }
    Ok(())
}

pub(super) async fn take_one(
    tx: &mut Tx,
    by: &Writer,
    id: LedgerId,
) -> Result<ClaimOutcome, LedgerError> {
    let held = row::lock(tx, id).await?;
    let job = row::read(tx, id).await?;
    if held.stage.is_settled() {
        return Ok(ClaimOutcome::Settled(job));
    }
    if job.parked == Some(ParkReason::Restored) {
        return Err(keep::held_back(id));
    }
    if held.is_taken(by) {
        let until = from_micros(held.due.unwrap_or(by.now));
        return Ok(ClaimOutcome::Busy { until, job });
    }
    tx.run(
        take!("WHERE id = $1"),
        args![id.to_string(), by.owner.to_text(), by.lease_end, by.now],
    )
    .await?;
    if job.claimed && job.stage != Stage::Submitting {
        let note = Note::none();
        history::event(
            tx,
            by,
            id,
            Some(held.fence + 1),
            event_kind::TAKEN_OVER,
            &note,
        )
        .await?;
    }
    let job = after_taking(tx, by, job, held.fence + 1).await?;
    row::claimed(job, held.fence + 1, by.lease_end)
        .map(ClaimOutcome::Claimed)
        .ok_or_else(|| LedgerError::not_found(id))
}

async fn take_due(
    tx: &mut Tx,
    by: &Writer,
    accounts: Vec<String>,
    limit: i64,
) -> Result<Vec<Claimed>, LedgerError> {
    // Of one account the index gives the longest due first. Of several, all that is due has to be sorted; SQLite chooses
    // before it reads the wide rows, PostgreSQL must give the rows as it locked them, not as they were before.
    macro_rules! pick {
        ($sqlite:literal, $postgres:literal) => {
            Sql::each(
                concat!(
                    "SELECT ",
                    job_columns!(),
                    " FROM wake w JOIN job j ON j.id = w.id ",
                    $sqlite
                ),
                concat!(
                    "SELECT ",
                    job_columns!(),
                    " FROM wake w JOIN job j ON j.id = w.id ",
                    $postgres,
                    " AND w.due <= $2 ORDER BY w.due LIMIT $3 FOR UPDATE OF w SKIP LOCKED"
                ),
            )
        };
    }
    const PICK_OF_ONE: Sql = pick!(
        "WHERE w.account = $1 AND w.due <= $2 ORDER BY w.due LIMIT $3",
        "WHERE w.account = $1"
    );
    const PICK: Sql = pick!(
        "WHERE w.id IN (SELECT id FROM wake WHERE account IN (SELECT value FROM json_each($1)) \
         AND due <= $2 ORDER BY due LIMIT $3) ORDER BY w.due",
        "WHERE w.account = ANY ($1)"
    );
    const TAKE: Sql = Sql::each(
        take!("WHERE id IN (SELECT value FROM json_each($1))"),
        take!("WHERE id = ANY ($1)"),
    );
    let rows = match accounts.as_slice() {
        [account] => {
            let args = args![account.as_str(), by.now, limit];
            tx.rows(PICK_OF_ONE, args).await?
        }
        _ => tx.rows(PICK, args![accounts, by.now, limit]).await?,
    };
    let mut picked = Vec::with_capacity(rows.len());
    for row in &rows {
        let (job, fence) = row::fenced(row)?;
        picked.push((job, fence + 1));
    }
    if picked.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = picked.iter().map(|(job, _)| job.id.to_string()).collect();
    tx.run(TAKE, args![ids, by.owner.to_text(), by.lease_end, by.now])
        .await?;
    let rescued: Vec<ClaimKey> = picked
        .iter()
        .filter(|(job, _)| job.claimed && job.stage != Stage::Submitting)
        .map(|(job, fence)| ClaimKey {
            job: job.id,
            fence: *fence,
        })
        .collect();
    history::events(tx, by, &rescued, event_kind::TAKEN_OVER).await?;
    let mut taken = Vec::with_capacity(picked.len());
    for (job, fence) in picked {
        let job = after_taking(tx, by, job, fence).await?;
        taken.extend(row::claimed(job, fence, by.lease_end));
    }
    Ok(taken)
}

/// What the taking of a job itself changes: a call that was under way is now in doubt.
async fn after_taking(
    tx: &mut Tx,
    by: &Writer,
    mut job: JobRecord,
    fence: i64,
) -> Result<JobRecord, LedgerError> {
    let was_claimed = std::mem::replace(&mut job.claimed, true);
    job.due = Some(from_micros(by.lease_end));
    if was_claimed && job.stage.is_polled() {
        job.last_poll = job.last_poll.max(Some(from_micros(by.now)));
    }
    if job.stage != Stage::Submitting {
        return Ok(job);
    }
    job.stage = transition(job.stage, Transition::Doubt)
        .map_err(|illegal| LedgerError::illegal_transition(job.id, illegal))?;
    tx.run(
        "UPDATE wake SET stage = $3, updated_at = $4 WHERE id = $1 AND fence = $2",
        args![job.id.to_string(), fence, job.stage.as_str(), by.now],
    )
    .await?;
    let note = Note::new("the process that was sending it stopped; it may have been charged");
    row::error(tx, job.id, &note).await?;
    history::event(tx, by, job.id, Some(fence), event_kind::IN_DOUBT, &note).await?;
    job.error = note.text.map(Into::into);
    job.updated_at = from_micros(by.now);
    Ok(job)
}
