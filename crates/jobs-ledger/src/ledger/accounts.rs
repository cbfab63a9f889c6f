//! Accounts that are one: a key was exchanged for another, and what was bought with the old one stays bought.

use std::collections::HashMap;

use jobs_core::vendor::Account;

use super::Ledger;
use crate::error::{LedgerError, LedgerErrorKind};
use crate::store::{Flush, Tx, args};

/// Which accounts are one. The jobs of each are found with the key of any.
#[derive(Debug, Clone, Default)]
pub struct JoinedAccounts(HashMap<Account, Account>);

impl JoinedAccounts {
    /// All that are one with this account, itself included. The first is the same whichever is asked about.
    pub fn of(&self, account: Account) -> Vec<Account> {
        let first = self.0.get(&account).copied().unwrap_or(account);
        let mut all = vec![first];
        let others = self.0.iter().filter(|(_, joined)| **joined == first);
        all.extend(others.map(|(account, _)| *account));
        all
    }

    /// Whether two accounts are one.
    pub fn are_one(&self, account: Account, other: Account) -> bool {
        self.of(account).contains(&other)
    }
}

impl Ledger {
    /// The accounts that were [joined](Self::join_accounts).
    ///
    /// # Errors
    /// The store's.
    pub async fn joined_accounts(&self) -> Result<JoinedAccounts, LedgerError> {
        let sql = "SELECT account, joined FROM account_alias";
        let mut joined = HashMap::new();
        for row in self.store.read(sql.into(), Vec::new()).await? {
            let pair = (Account::parse(row.str(0)?), Account::parse(row.str(1)?));
            if let (Some(account), Some(first)) = pair {
                joined.insert(account, first);
            }
        }
        Ok(JoinedAccounts(joined))
    }

    /// Says that two accounts of a vendor are one, whose key was exchanged: the jobs of `old` are those of `new` from now
    /// on, with what they cost, and the same input attaches to them with either key. Gives how many jobs were moved.
    ///
    /// Budgets are the vendor's and not touched. Rates are counted by key until the old one is out of use.
    ///
    /// # Errors
    /// [`InvalidInput`](LedgerErrorKind::InvalidInput) for an account without a job, one account twice, or accounts of two
    /// vendors; else the store's.
    pub async fn join_accounts(&self, old: Account, new: Account) -> Result<u64, LedgerError> {
        if old == new {
            return Err(invalid(format!("{old} is one account, and named twice")));
        }
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                let vendor = vendor(tx, old).await?;
                let vendor = vendor
                    .ok_or_else(|| invalid(format!("no job of the account {old} is recorded")))?;
                match self::vendor(tx, new).await? {
                    Some(other) if other != vendor => {
                        return Err(invalid(format!(
                            "{old} is an account of {vendor}, and {new} one of {other}"
                        )));
                    }
                    _ => {}
                }
                let moved = alias(tx, old, new).await?;
                tx.notify_on_commit();
                Ok(moved)
            })
        })
        .await
    }
}

fn invalid(problem: String) -> LedgerError {
    LedgerError::new(LedgerErrorKind::InvalidInput, problem)
}

async fn vendor(tx: &mut Tx, account: Account) -> Result<Option<String>, LedgerError> {
    let sql = "SELECT vendor FROM job_class WHERE account = $1 LIMIT 1";
    let row = tx.row(sql, args![account.to_string()]).await?;
    row.map(|row| row.text(0)).transpose()
}

/// What an account is known as for good.
async fn first(tx: &mut Tx, account: Account) -> Result<String, LedgerError> {
    let sql = "SELECT joined FROM account_alias WHERE account = $1";
    let row = tx.row(sql, args![account.to_string()]).await?;
    row.map_or_else(|| Ok(account.to_string()), |row| row.text(0))
}

async fn alias(tx: &mut Tx, old: Account, new: Account) -> Result<u64, LedgerError> {
    let (from, to) = (first(tx, old).await?, first(tx, new).await?);
    if from != to {
        let known = "UPDATE account_alias SET joined = $2 WHERE joined = $1";
        tx.run(known, args![from.as_str(), to.as_str()]).await?;
        let itself = "INSERT INTO account_alias (account, joined) VALUES ($1, $2)";
        tx.run(itself, args![from.as_str(), to.as_str()]).await?;
    }
    move_jobs(tx, &old.to_string(), &new.to_string()).await
}

async fn move_jobs(tx: &mut Tx, old: &str, new: &str) -> Result<u64, LedgerError> {
    const TOTALS: [&str; 6] = [
        "INSERT INTO job_class (vendor, kind, account) SELECT vendor, kind, CAST($2 AS TEXT) FROM job_class \
         WHERE account = $1 ON CONFLICT DO NOTHING",
        "INSERT INTO stage_total (vendor, kind, account, stage, jobs) SELECT vendor, kind, CAST($2 AS TEXT), stage, jobs \
         FROM stage_total WHERE account = $1 ON CONFLICT (vendor, kind, account, stage) \
         DO UPDATE SET jobs = stage_total.jobs + excluded.jobs",
        "INSERT INTO money_total (vendor, account, day, charged, reserved, spared, jobs) \
         SELECT vendor, CAST($2 AS TEXT), day, charged, reserved, spared, jobs FROM money_total WHERE account = $1 \
         ON CONFLICT (vendor, account, day) DO UPDATE SET charged = money_total.charged + excluded.charged, \
         reserved = money_total.reserved + excluded.reserved, spared = money_total.spared + excluded.spared, \
         jobs = money_total.jobs + excluded.jobs",
        "DELETE FROM job_class WHERE account = $1",
        "DELETE FROM stage_total WHERE account = $1",
        "DELETE FROM money_total WHERE account = $1",
    ];
    // Where changes of the totals wait to be summed up.
    const DELTAS: [&str; 2] = [
        "UPDATE stage_delta SET account = $2 WHERE account = $1",
        "UPDATE money_delta SET account = $2 WHERE account = $1",
    ];
    let both = || args![old, new];
    let sql = "UPDATE wake SET account = $2 WHERE account = $1";
    tx.run(sql, both()).await?;
    let sql = "UPDATE job SET account = $2 WHERE account = $1";
    let moved = tx.run(sql, both()).await?;
    for sql in TOTALS {
        let args = if sql.contains("$2") {
            both()
        } else {
            args![old]
        };
        tx.run(sql, args).await?;
    }
    if !tx.is_sqlite() {
        for sql in DELTAS {
            tx.run(sql, both()).await?;
        }
    }
    Ok(moved)
}
