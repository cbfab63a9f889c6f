//! What workers share beside jobs: rates, and what was learnt.

use std::time::Duration;

use jobs_core::vendor::{Account, Acquired, RateLimit};

use super::Ledger;
use crate::error::{LedgerError, LedgerErrorKind};
use crate::rate_slots::{Limit, RateSlots};
use crate::store::{Flush, Sql, Tx, args};

/// How often a change of places is tried without a lock, before one is taken.
const SWAPS: u32 = 4;

const PLACES: &str = "SELECT taken FROM quota WHERE account = $1 AND action = $2";

/// How much of a rate is in use that processes share.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateUse {
    /// Of this vendor; none before its account has a job.
    pub vendor: Option<String>,
    /// Of this account.
    pub account: Account,
    /// Of these requests.
    pub action: String,
    /// In this time.
    pub per: Duration,
    /// So many are allowed; 0 if nobody has said so yet.
    pub limit: usize,
    /// So many are taken.
    pub used: usize,
}

impl Ledger {
    /// Asks for one request of the account, counted under `action`, that all processes on this ledger share.
    ///
    /// Every window must have a place. A place is taken for two window lengths, or after [`record_response`](Self::record_response) for
    /// one from then on; the vendor has counted the request somewhere in between, so none of its sliding windows ever
    /// holds more than the limit. Clocks that differ by more than a window loosen that.
    ///
    /// # Errors
    /// The store's. Do not make the request.
    pub async fn acquire(
        &self,
        account: Account,
        action: &str,
        windows: &[RateLimit],
    ) -> Result<Acquired, LedgerError> {
        let limits: Vec<Limit> = windows.iter().map(limit).collect();
        let (name, now) = (action.to_owned(), self.now());
        let turn = self
            .change_slots(account, name, move |places| places.take(&limits, now))
            .await?;
        Ok(match turn {
            Ok(serial) => Acquired::Granted(serial),
            Err(free_at) => Acquired::Wait(Duration::from_micros(
                u64::try_from(free_at.saturating_sub(now)).unwrap_or_default(),
            )),
        })
    }

    /// Says that the answer to the request is there that [`acquire`](Self::acquire) granted under this number. Never saying
    /// it is safe and only slower.
    ///
    /// # Errors
    /// The store's.
    pub async fn record_response(
        &self,
        account: Account,
        action: &str,
        serial: u64,
    ) -> Result<(), LedgerError> {
        let now = self.now();
        self.change_slots(account, action.to_owned(), move |places| {
            places.record_response(serial, now);
        })
        .await
    }

    async fn change_slots<T: Send + 'static>(
        &self,
        account: Account,
        action: String,
        change: impl Fn(&mut RateSlots) -> T + Clone + Send + 'static,
    ) -> Result<T, LedgerError> {
        let account = account.to_string();
        for _ in 0..SWAPS {
            if let Some(value) = self.swap_slots(&account, &action, &change).await? {
                return Ok(value);
            }
        }
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                let mut places = rate_slots(tx, &account, &action).await?;
                let value = change(&mut places);
                let text = to_text(&places);
                tx.run(
                    "UPDATE quota SET taken = $3 WHERE account = $1 AND action = $2",
                    args![account, action, text],
                )
                .await?;
                Ok(value)
            })
        })
        .await
    }

    /// Changes the places if nobody else does in the meantime; two round trips to a database instead of four, no lock
    /// held in between, and one only where there is no place. None where a transaction has to do it.
    async fn swap_slots<T>(
        &self,
        account: &str,
        action: &str,
        change: &(impl Fn(&mut RateSlots) -> T + Send),
    ) -> Result<Option<T>, LedgerError> {
        if !self.store.is_far() {
            return Ok(None);
        }
        let rows = self
            .store
            .read(PLACES.into(), args![account, action])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let before = row.text(0)?;
        let mut places = from_text(&before)?;
        let known = places.clone();
        let value = change(&mut places);
        // Numbers grow with every place that is taken, so the same text is the same state.
        let is_written = places == known
            || self
                .store
                .alone(
                    "UPDATE quota SET taken = $3 WHERE account = $1 AND action = $2 AND taken = $4"
                        .into(),
                    args![account, action, to_text(&places), before],
                )
                .await?
                > 0;
        Ok(is_written.then_some(value))
    }

    /// How much of each rate is in use that processes share, by account and action.
    ///
    /// # Errors
    /// The store's.
    pub async fn rates(&self) -> Result<Vec<RateUse>, LedgerError> {
        let sql = "SELECT q.account, q.action, q.taken, (SELECT min(c.vendor) FROM job_class c WHERE c.account = q.account) \
                   FROM quota q ORDER BY q.account, q.action";
        let mut uses = Vec::new();
        for row in self.store.read(sql.into(), Vec::new()).await? {
            let Some(account) = Account::parse(row.str(0)?) else {
                continue;
            };
            for (per, limit, used) in from_text(row.str(2)?)?.uses(self.now()) {
                uses.push(RateUse {
                    vendor: row.opt_text(3)?,
                    account,
                    action: row.text(1)?,
                    per: Duration::from_micros(per.unsigned_abs()),
                    limit,
                    used,
                });
            }
        }
        Ok(uses)
    }

    /// Keeps a value for all processes on this ledger, such as an address. Never a secret that opens anything.
    ///
    /// # Errors
    /// The store's.
    pub async fn put_shared(&self, key: &str, value: &str) -> Result<(), LedgerError> {
        let args = args![key.replace('\0', ""), value.replace('\0', "")];
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                tx.run(
                    "INSERT INTO memo (account, key, value) VALUES ('', $1, $2) \
                     ON CONFLICT (account, key) DO UPDATE SET value = excluded.value",
                    args,
                )
                .await
                .map(drop)
            })
        })
        .await
    }

    /// The value that was kept last for all processes.
    ///
    /// # Errors
    /// The store's.
    pub async fn get_shared(&self, key: &str) -> Result<Option<String>, LedgerError> {
        let sql = "SELECT value FROM memo WHERE account = '' AND key = $1";
        let rows = self
            .store
            .read(sql.into(), args![key.replace('\0', "")])
            .await?;
        rows.first().map(|row| row.text(0)).transpose()
    }

    /// The value that is kept for all processes, or this one, which is kept from now on: of many who ask at once, all get
    /// the same.
    ///
    /// # Errors
    /// The store's.
    pub async fn get_or_put_shared(&self, key: &str, value: &str) -> Result<String, LedgerError> {
        let args = args![key.replace('\0', ""), value.replace('\0', "")];
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let row = tx
                    .row(
                        "INSERT INTO memo (account, key, value) VALUES ('', $1, $2) \
                         ON CONFLICT (account, key) DO UPDATE SET value = memo.value RETURNING value",
                        args,
                    )
                    .await?;
                match row {
                    Some(row) => row.text(0),
                    None => Ok(String::new()),
                }
            })
        })
        .await
    }

    /// Forgets the value that is kept for all processes.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove_shared(&self, key: &str) -> Result<(), LedgerError> {
        let args = args![key.replace('\0', "")];
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM memo WHERE account = '' AND key = $1";
                tx.run(sql, args).await.map(drop)
            })
        })
        .await
    }

    /// Keeps a value for an account, such as how long its jobs take. Never a secret.
    ///
    /// # Errors
    /// The store's.
    pub async fn put_value(
        &self,
        account: Account,
        key: &str,
        value: &str,
    ) -> Result<(), LedgerError> {
        let args = args![
            account.to_string(),
            key.replace('\0', ""),
            value.replace('\0', "")
        ];
        self.write(Flush::Later, move |tx| {
            Box::pin(async move {
                tx.run(
                    "INSERT INTO memo (account, key, value) VALUES ($1, $2, $3) \
                     ON CONFLICT (account, key) DO UPDATE SET value = excluded.value",
                    args,
                )
                .await
                .map(drop)
            })
        })
        .await
    }

    /// The value that was kept last.
    ///
    /// # Errors
    /// The store's.
    pub async fn get_value(
        &self,
        account: Account,
        key: &str,
    ) -> Result<Option<String>, LedgerError> {
        let sql = "SELECT value FROM memo WHERE account = $1 AND key = $2";
        let args = args![account.to_string(), key.replace('\0', "")];
        let rows = self.store.read(sql.into(), args).await?;
        rows.first().map(|row| row.text(0)).transpose()
    }
}

fn limit(window: &RateLimit) -> Limit {
    Limit {
        limit: usize::try_from(window.limit.get()).unwrap_or(usize::MAX),
        per: i64::try_from(window.per.as_micros()).unwrap_or(i64::MAX),
    }
}

fn to_text(places: &RateSlots) -> String {
    serde_json::to_string(places).unwrap_or_default()
}

fn from_text(text: &str) -> Result<RateSlots, LedgerError> {
    serde_json::from_str(text).map_err(|problem| {
        LedgerError::new(
            LedgerErrorKind::Corrupt,
            "the places of a rate cannot be read: restore the ledger from a copy",
        )
        .with_source(problem)
    })
}

/// Reads the places and keeps others from them until the transaction ends.
async fn rate_slots(tx: &mut Tx, account: &str, action: &str) -> Result<RateSlots, LedgerError> {
    const LOCKED: Sql = Sql::each(
        "SELECT taken FROM quota WHERE account = $1 AND action = $2",
        "SELECT taken FROM quota WHERE account = $1 AND action = $2 FOR UPDATE",
    );
    for _ in 0..2 {
        if let Some(row) = tx.row(LOCKED, args![account, action]).await? {
            return from_text(&row.text(0)?);
        }
        let none = to_text(&RateSlots::default());
        tx.run(
            "INSERT INTO quota (account, action, taken) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            args![account, action, none],
        )
        .await?;
    }
    Ok(RateSlots::default())
}
