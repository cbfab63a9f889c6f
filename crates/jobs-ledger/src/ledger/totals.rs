//! What is summed up beside the jobs, so that nobody has to read them all: settled jobs by stage, money by day.
//!
//! SQLite has one writer, which changes the totals in place. In PostgreSQL two transactions that change the same total
//! would wait for each other, so each appends its change, and whoever comes by sums them up.

use std::time::SystemTime;

use chrono::NaiveDate;
use jobs_core::vendor::Account;

use super::Ledger;
use crate::error::{LedgerError, LedgerErrorKind};
use crate::id::LedgerId;
use crate::job_record::from_micros;
use crate::stage::Stage;
use crate::store::{Flush, Sql, Tx, args};

/// Eight hours east of Greenwich, where the vendors' days begin.
const SHANGHAI: i64 = 8 * 3600 * 1_000_000;
const DAY: i64 = 24 * 3600 * 1_000_000;

/// How many changes are summed up at once, at most.
const FOLD: i64 = 20_000;

/// The day in Shanghai, counted since 1970, of a time in microseconds.
pub(super) fn day_of(at: i64) -> i64 {
    at.saturating_add(SHANGHAI).div_euclid(DAY)
}

/// When that day begins, in microseconds.
pub(super) fn day_begins(day: i64) -> i64 {
    day.saturating_mul(DAY).saturating_sub(SHANGHAI)
}

macro_rules! add_money {
    ($values:literal, $of:literal) => {
        Sql::each(
            concat!(
                "INSERT INTO money_total (vendor, account, day, charged, reserved, spared, jobs) SELECT ",
                $values,
                $of,
                " ON CONFLICT (vendor, account, day) DO UPDATE SET charged = charged + excluded.charged, \
                 reserved = reserved + excluded.reserved, spared = spared + excluded.spared, \
                 jobs = jobs + excluded.jobs"
            ),
            concat!(
                "INSERT INTO money_delta (vendor, account, day, charged, reserved, spared, jobs) SELECT ",
                $values,
                $of
            ),
        )
    };
}

/// Counts a job that entered or left a settled stage.
pub(super) async fn count_stage(
    tx: &mut Tx,
    id: LedgerId,
    stage: Stage,
    jobs: i64,
) -> Result<(), LedgerError> {
    const COUNT: Sql = Sql::each(
        "INSERT INTO stage_total (vendor, kind, account, stage, jobs) SELECT vendor, kind, account, $2, $3 FROM job \
         WHERE id = $1 ON CONFLICT (vendor, kind, account, stage) DO UPDATE SET jobs = jobs + excluded.jobs",
        "INSERT INTO stage_delta (vendor, kind, account, stage, jobs) SELECT vendor, kind, account, $2, $3 FROM job \
         WHERE id = $1",
    );
    let args = args![id.to_string(), stage.as_str(), jobs];
    tx.run(COUNT, args).await.map(drop)
}

/// Adds a charge that was told to the job and to the money of the day of its reservation, which it uses up. Says whether it
/// counts: a job that is taken up once more is paid for, and only its result is fetched again.
pub(super) async fn charge(
    tx: &mut Tx,
    id: LedgerId,
    credits: i64,
    now: i64,
) -> Result<bool, LedgerError> {
    const MONEY: Sql = add_money!(
        "vendor, account, coalesce(charge_day, $3), $2, \
         -(CASE WHEN coalesce(reserved, 0) < $2 THEN coalesce(reserved, 0) ELSE $2 END), 0, \
         CASE WHEN credits IS NULL AND $2 > 0 THEN 1 ELSE 0 END",
        " FROM job WHERE id = $1 AND (credits IS NULL OR reserved IS NOT NULL \
         OR NOT EXISTS (SELECT 1 FROM event WHERE event.job = $1 AND event.what = 'reopened'))"
    );
    let args = args![id.to_string(), credits, day_of(now)];
    if tx.run(MONEY, args.clone()).await? == 0 {
        return Ok(false);
    }
    tx.run(
        "UPDATE job SET credits = coalesce(credits, 0) + $2, charge_day = coalesce(charge_day, $3), \
         reserved = CASE WHEN reserved < $2 THEN 0 ELSE reserved - $2 END WHERE id = $1",
        args,
    )
    .await?;
    Ok(true)
}

/// What becomes of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reservation {
    /// Nothing was bought.
    Released,
    /// It was bought: what was told replaces the estimate, and where nothing was told the estimate counts as charged.
    Charged,
}

impl Reservation {
    /// At the move into `to`; none while it stays open.
    pub(super) fn after(from: Stage, to: Stage) -> Option<Self> {
        match to {
            Stage::Intended | Stage::Rejected => Some(Self::Released),
            // A person who gives up a job in doubt says that the vendor has none.
            Stage::Abandoned if !from.is_polled() => Some(Self::Released),
            Stage::Completed | Stage::Failed | Stage::Gone | Stage::Abandoned => {
                Some(Self::Charged)
            }
            _ => None,
        }
    }
}

/// Ends the reservation of a job, if it has one, and gives whether that left money for others.
pub(super) async fn close_reservation(
    tx: &mut Tx,
    id: LedgerId,
    how: Reservation,
) -> Result<bool, LedgerError> {
    const MONEY: Sql = add_money!(
        "vendor, account, charge_day, CASE WHEN $2 = 1 AND credits IS NULL THEN reserved ELSE 0 END, -reserved, 0, \
         CASE WHEN $2 = 1 AND credits IS NULL THEN 1 ELSE 0 END",
        " FROM job WHERE id = $1"
    );
    let sql = "SELECT reserved, credits FROM job WHERE id = $1";
    let Some(row) = tx.row(sql, args![id.to_string()]).await? else {
        return Ok(false);
    };
    let (reserved, credits) = (row.opt_int(0)?, row.opt_int(1)?);
    let Some(reserved) = reserved else {
        return Ok(false);
    };
    let is_charged = how == Reservation::Charged;
    tx.run(MONEY, args![id.to_string(), is_charged]).await?;
    let sql = "UPDATE job SET credits = CASE WHEN $2 = 1 THEN coalesce(credits, reserved) ELSE credits END, \
         reserved = NULL WHERE id = $1";
    tx.run(sql, args![id.to_string(), is_charged]).await?;
    Ok(reserved > 0 && !(is_charged && credits.is_none()))
}

/// Keeps money free for a job that is about to be submitted.
pub(super) async fn reserve(
    tx: &mut Tx,
    id: LedgerId,
    units: i64,
    now: i64,
) -> Result<(), LedgerError> {
    const MONEY: Sql = add_money!(
        "vendor, account, $3, 0, $2, 0, 0",
        " FROM job WHERE id = $1"
    );
    let args = args![id.to_string(), units, day_of(now)];
    tx.run(MONEY, args.clone()).await?;
    let sql = "UPDATE job SET reserved = $2, charge_day = $3 WHERE id = $1";
    tx.run(sql, args).await.map(drop)
}

/// Counts what attaching to these jobs spared, at what they cost.
pub(super) async fn spare(tx: &mut Tx, jobs: &[String], now: i64) -> Result<(), LedgerError> {
    const MONEY: Sql = Sql::each(
        "INSERT INTO money_total (vendor, account, day, charged, reserved, spared, jobs) \
         SELECT vendor, account, $2, 0, 0, sum(coalesce(credits, reserved, 0)), 0 FROM job \
         WHERE id IN (SELECT value FROM json_each($1)) AND coalesce(credits, reserved, 0) > 0 GROUP BY vendor, account \
         ON CONFLICT (vendor, account, day) DO UPDATE SET spared = spared + excluded.spared",
        "INSERT INTO money_delta (vendor, account, day, charged, reserved, spared, jobs) \
         SELECT vendor, account, $2, 0, 0, sum(coalesce(credits, reserved, 0)), 0 FROM job \
         WHERE id = ANY ($1) AND coalesce(credits, reserved, 0) > 0 GROUP BY vendor, account",
    );
    if jobs.is_empty() {
        return Ok(());
    }
    tx.run(MONEY, args![jobs.to_vec(), day_of(now)])
        .await
        .map(drop)
}

/// Sums up what waits for it, where changes are appended.
pub(super) async fn fold(tx: &mut Tx) -> Result<(), LedgerError> {
    const STAGES: &str = "WITH gone AS (DELETE FROM stage_delta WHERE ctid = ANY (ARRAY(SELECT ctid FROM stage_delta \
        LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING vendor, kind, account, stage, jobs) \
        INSERT INTO stage_total (vendor, kind, account, stage, jobs) \
        SELECT vendor, kind, account, stage, sum(jobs)::bigint FROM gone GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 \
        ON CONFLICT (vendor, kind, account, stage) DO UPDATE SET jobs = stage_total.jobs + excluded.jobs";
    const MONEY: &str = "WITH gone AS (DELETE FROM money_delta WHERE ctid = ANY (ARRAY(SELECT ctid FROM money_delta \
        LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING vendor, account, day, charged, reserved, spared, jobs) \
        INSERT INTO money_total (vendor, account, day, charged, reserved, spared, jobs) \
        SELECT vendor, account, day, sum(charged)::bigint, sum(reserved)::bigint, sum(spared)::bigint, \
        sum(jobs)::bigint FROM gone GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 \
        ON CONFLICT (vendor, account, day) DO UPDATE SET charged = money_total.charged + excluded.charged, \
        reserved = money_total.reserved + excluded.reserved, spared = money_total.spared + excluded.spared, \
        jobs = money_total.jobs + excluded.jobs";
    if tx.is_sqlite() {
        return Ok(());
    }
    tx.run(STAGES, args![FOLD]).await?;
    tx.run(MONEY, args![FOLD]).await.map(drop)
}

/// How many jobs are in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageCount {
    /// Of this vendor.
    pub vendor: String,
    /// Of this kind.
    pub kind: String,
    /// Of this account.
    pub account: Account,
    /// In this stage.
    pub stage: Stage,
    /// So many.
    pub jobs: u64,
}

/// The money of one day, in the vendor's units.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DayMoney {
    /// Of this vendor.
    pub vendor: String,
    /// Of this account.
    pub account: Account,
    /// The day in Shanghai, as 2026-01-31.
    pub day: String,
    /// What was charged, by the day of the submit.
    pub charged: i64,
    /// What is kept free for jobs that are under way or in doubt.
    pub reserved: i64,
    /// What was spared by attaching to what was bought before.
    pub spared: i64,
    /// How many jobs were charged.
    pub jobs: i64,
}

/// What may have been charged and nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MoneyInDoubt {
    /// At this vendor.
    pub vendor: String,
    /// To this account.
    pub account: Account,
    /// Jobs in doubt.
    pub jobs: u64,
    /// What is kept free for them.
    pub reserved: i64,
}

impl Ledger {
    /// How many jobs there are in each stage, of each vendor, kind and account; combinations without a job are left out.
    /// Nothing settled is read.
    ///
    /// # Errors
    /// The store's.
    pub async fn stage_counts(&self) -> Result<Vec<StageCount>, LedgerError> {
        macro_rules! open {
            () => {
                "SELECT vendor, kind, account, stage, jobs FROM (SELECT c.vendor AS vendor, c.kind AS kind, \
                 c.account AS account, s.stage AS stage, (SELECT count(*) FROM wake w WHERE w.account = c.account \
                 AND w.kind = c.kind AND w.stage = s.stage) AS jobs FROM job_class c CROSS JOIN \
                 (SELECT 'intended' AS stage UNION ALL SELECT 'submitting' UNION ALL SELECT 'accepted' \
                 UNION ALL SELECT 'available' UNION ALL SELECT 'downloading' UNION ALL SELECT 'in_doubt') s) o \
                 WHERE jobs > 0 UNION ALL "
            };
        }
        const SQL: Sql = Sql::each(
            concat!(
                open!(),
                "SELECT vendor, kind, account, stage, jobs FROM stage_total WHERE jobs > 0 ORDER BY 1, 2, 3, 4"
            ),
            concat!(
                open!(),
                "SELECT vendor, kind, account, stage, sum(jobs)::bigint FROM (SELECT vendor, kind, account, stage, jobs \
                 FROM stage_total UNION ALL SELECT vendor, kind, account, stage, jobs FROM stage_delta) t \
                 GROUP BY 1, 2, 3, 4 HAVING sum(jobs) > 0 ORDER BY 1, 2, 3, 4"
            ),
        );
        let rows = self.store.read(SQL, Vec::new()).await?;
        rows.iter()
            .map(|row| {
                Ok(StageCount {
                    vendor: row.text(0)?,
                    kind: row.text(1)?,
                    account: known(Account::parse(row.str(2)?))?,
                    stage: known(Stage::parse(row.str(3)?))?,
                    jobs: row.int(4)?.unsigned_abs(),
                })
            })
            .collect()
    }

    /// When the oldest job was written down that waits for its submit; none when none waits.
    ///
    /// # Errors
    /// The store's.
    pub async fn waiting_since(&self) -> Result<Option<SystemTime>, LedgerError> {
        // One step into an index for each class, however many wait.
        const SQL: &str = "SELECT min(oldest) FROM (SELECT (SELECT min(w.created_at) FROM wake w \
                           WHERE w.account = c.account AND w.kind = c.kind AND w.stage = 'intended') AS oldest \
                           FROM job_class c) o";
        let rows = self.store.read(SQL.into(), Vec::new()).await?;
        let oldest = rows.first().map(|row| row.opt_int(0)).transpose()?;
        Ok(oldest.flatten().map(from_micros))
    }

    /// The money of each day, vendor and account, of the latest `days` days, today included; the newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn money(&self, days: u32) -> Result<Vec<DayMoney>, LedgerError> {
        const SQL: Sql = Sql::each(
            "SELECT vendor, account, day, charged, reserved, spared, jobs FROM money_total WHERE day > $1 \
             ORDER BY day DESC, vendor, account",
            "SELECT vendor, account, day, sum(charged)::bigint, sum(reserved)::bigint, sum(spared)::bigint, \
             sum(jobs)::bigint FROM (SELECT vendor, account, day, charged, reserved, spared, jobs FROM money_total \
             WHERE day > $1 UNION ALL SELECT vendor, account, day, charged, reserved, spared, jobs FROM money_delta \
             WHERE day > $1) t GROUP BY 1, 2, 3 ORDER BY day DESC, vendor, account",
        );
        let since = day_of(self.now()).saturating_sub(i64::from(days));
        let rows = self.store.read(SQL, args![since]).await?;
        rows.iter()
            .map(|row| {
                Ok(DayMoney {
                    vendor: row.text(0)?,
                    account: known(Account::parse(row.str(1)?))?,
                    day: day_name(row.int(2)?),
                    charged: row.int(3)?,
                    reserved: row.int(4)?,
                    spared: row.int(5)?,
                    jobs: row.int(6)?,
                })
            })
            .collect()
    }

    /// What is in doubt, by vendor and account.
    ///
    /// # Errors
    /// The store's.
    pub async fn money_in_doubt(&self) -> Result<Vec<MoneyInDoubt>, LedgerError> {
        let sql = Sql::each(
            "SELECT c.vendor, c.account, count(*), coalesce(sum(j.reserved), 0) FROM job_class c JOIN wake w \
             ON w.account = c.account AND w.kind = c.kind AND w.stage = 'in_doubt' JOIN job j ON j.id = w.id \
             GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT c.vendor, c.account, count(*), coalesce(sum(j.reserved), 0)::bigint FROM job_class c JOIN wake w \
             ON w.account = c.account AND w.kind = c.kind AND w.stage = 'in_doubt' JOIN job j ON j.id = w.id \
             GROUP BY 1, 2 ORDER BY 1, 2",
        );
        let rows = self.store.read(sql, Vec::new()).await?;
        rows.iter()
            .map(|row| {
                Ok(MoneyInDoubt {
                    vendor: row.text(0)?,
                    account: known(Account::parse(row.str(1)?))?,
                    jobs: row.int(2)?.unsigned_abs(),
                    reserved: row.int(3)?,
                })
            })
            .collect()
    }

    /// Sums up what waits for it; whoever searches for ended processes does so by the way.
    pub(super) async fn fold_totals(&self) -> Result<(), LedgerError> {
        if !self.store.is_far() {
            return Ok(());
        }
        self.write(Flush::Later, |tx| Box::pin(async move { fold(tx).await }))
            .await
    }
}

fn known<T>(value: Option<T>) -> Result<T, LedgerError> {
    value.ok_or_else(|| {
        LedgerError::new(
            LedgerErrorKind::Corrupt,
            "a total is of an account or stage that does not exist: restore the ledger from a copy",
        )
    })
}

fn day_name(day: i64) -> String {
    let day = i32::try_from(day).unwrap_or_default();
    NaiveDate::from_epoch_days(day).map_or_else(String::new, |day| day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_in_shanghai() {
        // 2026-01-01T00:00:00+08:00 is 2025-12-31T16:00:00Z.
        let midnight = 1_767_196_800_000_000;
        let day = day_of(midnight);
        assert_eq!(day_begins(day), midnight);
        assert_eq!(day_of(midnight - 1), day - 1);
        assert_eq!(day_of(midnight + DAY - 1), day);
        assert_eq!(day_of(0), 0);
        assert_eq!(day_name(day), "2026-01-01");
    }

    #[test]
    fn a_reservation_ends_where_the_charge_is_decided() {
        use Reservation::{Charged, Released};
        use Stage as S;
        for (from, to, expected) in [
            (S::Submitting, S::Intended, Some(Released)),
            (S::Submitting, S::Rejected, Some(Released)),
            (S::Submitting, S::Accepted, None),
            (S::Submitting, S::InDoubt, None),
            (S::InDoubt, S::Accepted, None),
            (S::InDoubt, S::Abandoned, Some(Released)),
            (S::Intended, S::Abandoned, Some(Released)),
            (S::Accepted, S::Abandoned, Some(Charged)),
            (S::Accepted, S::Available, None),
            (S::Downloading, S::Completed, Some(Charged)),
            (S::Accepted, S::Failed, Some(Charged)),
            (S::Available, S::Gone, Some(Charged)),
        ] {
            assert_eq!(Reservation::after(from, to), expected, "{from} {to}");
        }
    }
}
