//! Many jobs by their inputs or ids in one transaction: what a batch of thousands needs.

use std::collections::HashMap;
use std::path::PathBuf;

use super::new_job::{Inserted, NewJob, path};
use super::row::{self, select_jobs};
use super::{Ledger, batch, claim_jobs, history, totals};
use crate::claim::{ClaimKey, ClaimOutcome};
use crate::error::LedgerError;
use crate::event::event_kind;
use crate::id::LedgerId;
use crate::intent::Intent;
use crate::job_record::JobRecord;
use crate::record::hex_digest;
use crate::store::{Flush, Sql, args};

/// What became of one of many intents.
#[derive(Debug, Clone)]
#[must_use]
pub enum RecordedIntent {
    /// A new job, which is due at once.
    New(LedgerId),
    /// The same is in flight, in doubt, done, failed or gone: nothing was written.
    Attached(Box<JobRecord>),
}

impl Ledger {
    /// Records many intents at once, all or none, and claims none of the jobs; outcomes come in the order of the intents.
    ///
    /// On the disk when this returns. Of two intents for the same input the second one attaches to the first.
    ///
    /// # Errors
    /// As for [`intend`](Self::intend).
    pub async fn intend_all(
        &self,
        intents: Vec<Intent>,
    ) -> Result<Vec<RecordedIntent>, LedgerError> {
        let joined = self.joined_accounts().await?;
        let new = intents
            .iter()
            .map(|intent| NewJob::intended(intent, &joined))
            .collect::<Result<Vec<_>, _>>()?;
        let by = self.writer();
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let mut outcomes = Vec::with_capacity(new.len());
                let (mut first, mut again) = (Vec::new(), Vec::new());
                for intent in &new {
                    outcomes.push(match intent.insert_or_find(tx, &by).await? {
                        Inserted::New(job) => {
                            let key = ClaimKey { job, fence: 1 };
                            let told = if intent.again { &mut again } else { &mut first };
                            told.push(key);
                            RecordedIntent::New(job)
                        }
                        Inserted::Known(job) => RecordedIntent::Attached(job),
                    });
                }
                let attached = outcomes.iter().filter_map(|outcome| match outcome {
                    RecordedIntent::Attached(job) => Some(job.id.to_string()),
                    RecordedIntent::New(_) => None,
                });
                let attached: Vec<String> = attached.collect();
                totals::spare(tx, &attached, by.now).await?;
                history::events(tx, &by, &first, event_kind::INTENDED).await?;
                history::events(tx, &by, &again, event_kind::INTENDED_AGAIN).await?;
                let released = first.into_iter().chain(again);
                let released = released.map(|key| (key, Some(by.now))).collect();
                batch::release(tx, &by, released).await?;
                Ok(outcomes)
            })
        })
        .await
    }

    /// The job that each of these intents would attach to, if there is one. Writes nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn find_same(
        &self,
        intents: &[Intent],
    ) -> Result<Vec<Option<JobRecord>>, LedgerError> {
        const SQL: Sql = select_jobs!(
            "WHERE j.live IN (SELECT unhex(value) FROM json_each($1))",
            "WHERE j.live IN (SELECT decode(x, 'hex') FROM unnest($1::text[]) x)"
        );
        let joined = self.joined_accounts().await?;
        let (mut digests, mut purchases, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for intent in intents {
            let mut same = Vec::new();
            for account in joined.of(intent.account) {
                let (key, asked) = match intent.purchase_of(account) {
                    Some(request) => (request, &mut purchases),
                    None => (intent.digest_of(account), &mut digests),
                };
                asked.push(hex(&key));
                same.push(key);
            }
            keys.push(same);
        }
        let mut known = HashMap::new();
        for row in &self.store.read(SQL, args![digests]).await? {
            let job = row::job(row)?;
            known.insert(job.digest, job);
        }
        if !purchases.is_empty() {
            for (request, job) in self.bought(purchases).await? {
                known.insert(request, job);
            }
        }
        let found = |keys: Vec<[u8; 32]>| keys.iter().find_map(|key| known.get(key).cloned());
        Ok(keys.into_iter().map(found).collect())
    }

    /// The jobs that these requests to buy again made.
    async fn bought(
        &self,
        requests: Vec<String>,
    ) -> Result<Vec<([u8; 32], JobRecord)>, LedgerError> {
        const SQL: Sql = Sql::each(
            "SELECT job, lower(hex(request)) FROM purchase WHERE request IN (SELECT unhex(value) FROM json_each($1))",
            "SELECT job, encode(request, 'hex') FROM purchase \
             WHERE request IN (SELECT decode(x, 'hex') FROM unnest($1::text[]) x)",
        );
        let rows = self.store.read(SQL, args![requests]).await?;
        let mut requests = HashMap::with_capacity(rows.len());
        let mut jobs = Vec::with_capacity(rows.len());
        for row in &rows {
            if let (Ok(job), Some(request)) = (row.str(0)?.parse(), hex_digest::decode(row.str(1)?))
            {
                jobs.push(job);
                requests.insert(job, request);
            }
        }
        let jobs = self.get_many(&jobs).await?.into_iter();
        Ok(jobs
            .filter_map(|job| Some((*requests.get(&job.id)?, job)))
            .collect())
    }

    /// Gives unsettled jobs a place for their results where they have none; says how many had none.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::LedgerErrorKind::InvalidInput) for a path that is not Unicode; else the store's.
    pub async fn set_outputs(&self, places: &[(LedgerId, PathBuf)]) -> Result<u64, LedgerError> {
        const SQL: Sql = Sql::each(
            "UPDATE job SET output = s.value ->> 1, output_seal = unhex(s.value ->> 2) FROM json_each($1) s JOIN wake w ON w.id = s.value ->> 0 \
             WHERE job.id = w.id AND job.output IS NULL \
             AND w.stage IN ('intended', 'submitting', 'accepted', 'available', 'downloading', 'in_doubt')",
            "UPDATE job SET output = s.value ->> 1, output_seal = decode(s.value ->> 2, 'hex') FROM json_array_elements($1::json) s JOIN wake w ON w.id = s.value ->> 0 \
             WHERE job.id = w.id AND job.output IS NULL \
             AND w.stage IN ('intended', 'submitting', 'accepted', 'available', 'downloading', 'in_doubt')",
        );
        let by = self.writer();
        let mut given = Vec::with_capacity(places.len());
        for (job, place) in places {
            let place = path(Some(place))?;
            let seal = by.seal(*job, place.as_deref());
            given.push((job.to_string(), place, seal.as_deref().map(hex)));
        }
        let given = history::lines(given.into_iter());
        self.write(Flush::Now, move |tx| {
            Box::pin(async move { tx.run(SQL, args![given]).await })
        })
        .await
    }

    /// [Claims](Self::claim) these jobs in one transaction; outcomes come in their order.
    ///
    /// # Errors
    /// [`NotFound`](crate::LedgerErrorKind::NotFound) for any of them; else the store's. Then none is claimed.
    pub async fn claim_all(&self, jobs: &[LedgerId]) -> Result<Vec<ClaimOutcome>, LedgerError> {
        let (by, jobs) = (self.writer(), jobs.to_vec());
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                let mut outcomes = Vec::with_capacity(jobs.len());
                for job in &jobs {
                    outcomes.push(claim_jobs::take_one(tx, &by, *job).await?);
                }
                Ok(outcomes)
            })
        })
        .await
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
