//! Budgets: what may be spent at a vendor, checked in the transaction that permits a paid call.
//!
//! A call is permitted if spent + reserved + its estimate fits. Spent and reserved are sums of the totals by day, so a
//! budget can be set at any time and counts what was bought before. Whoever is permitted to submit holds the budget's row
//! until the reservation is committed: over all machines, one after the other. Without a budget nobody waits.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use chrono::{Datelike as _, NaiveDate};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::Ledger;
use super::row::{self, AfterWrite, LockedJob, Writer};
use super::totals::{day_begins, day_of};
use super::{history, totals};
use crate::claim::{Claim, ClaimKey, at};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::event::{Note, event_kind};
use crate::id::LedgerId;
use crate::job_record::{from_micros, micros, rfc3339};
use crate::record::{ErrorRecord, OVER_BUDGET};
use crate::store::{Flush, Row, Source, Sql, Tx, args};

/// Until somebody changes the budget: the end of the year 9999.
const NEVER: i64 = 253_402_300_799_000_000;

/// How many of the jobs that a budget holds back are tried when there may be room again.
const TRIED: i64 = 4;

/// How long a budget lasts before it begins anew. Days begin at midnight in Shanghai.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BudgetPeriod {
    /// A day.
    Day,
    /// A month of the calendar.
    Month,
    /// It never begins anew.
    Total,
}

impl BudgetPeriod {
    /// The word for it in the ledger and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The first day of the period that has this one, and the first day of the next.
    fn around(self, day: i64) -> (i64, Option<i64>) {
        match self {
            Self::Day => (day, Some(day + 1)),
            Self::Month => {
                let date = i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days);
                let first = date.and_then(|date| date.with_day(1));
                let next = first.and_then(|first| first.checked_add_months(chrono::Months::new(1)));
                let number = |date: NaiveDate| i64::from(date.to_epoch_days());
                (first.map_or(day, number), next.map(number))
            }
            Self::Total => (i64::MIN, None),
        }
    }
}

impl fmt::Display for BudgetPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is no period of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a budget is per day, month or total")]
pub struct InvalidBudgetPeriod;

impl FromStr for BudgetPeriod {
    type Err = InvalidBudgetPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidBudgetPeriod> {
        [Self::Day, Self::Month, Self::Total]
            .into_iter()
            .find(|period| period.as_str() == text.trim())
            .ok_or(InvalidBudgetPeriod)
    }
}

/// What may be spent at a vendor, and what of it is.
///
/// Serialises with the keys `vendor, limit, per, spent, reserved, resets_at`, and `strict`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// The vendor, as in its kinds.
    pub vendor: String,
    /// How many of the vendor's units may be spent in a period.
    pub limit: u64,
    /// The period.
    pub per: BudgetPeriod,
    /// Whether what cannot be estimated is refused.
    pub strict: bool,
    /// What was charged in this period, by the day of the submit.
    pub spent: u64,
    /// What is kept free for jobs under way or in doubt.
    pub reserved: u64,
    /// When the next period begins.
    pub resets_at: Option<SystemTime>,
}

impl Budget {
    /// What is left.
    pub fn left(&self) -> u64 {
        self.limit
            .saturating_sub(self.spent)
            .saturating_sub(self.reserved)
    }
}

impl Serialize for Budget {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut row = to.serialize_struct("Budget", 7)?;
        row.serialize_field("vendor", &self.vendor)?;
        row.serialize_field("limit", &self.limit)?;
        row.serialize_field("per", self.per.as_str())?;
        row.serialize_field("spent", &self.spent)?;
        row.serialize_field("reserved", &self.reserved)?;
        row.serialize_field("resets_at", &self.resets_at.map(rfc3339))?;
        row.serialize_field("strict", &self.strict)?;
        row.end()
    }
}

/// What a paid call will cost, in the vendor's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimate {
    /// Nothing, whatever the budget.
    Free,
    /// So much.
    Units(u64),
    /// It cannot be known: the mean of the account's jobs so far is taken, 1 at first.
    Unknown,
}

/// Whether a paid call may be made.
#[derive(Debug)]
#[must_use]
pub enum SubmitPermission {
    /// Make it now, once.
    Granted(Claim<at::Submitting>),
    /// It does not fit into the budget: the job stays *intended*, and is due again when there may be room.
    OverBudget(OverBudget),
}

impl SubmitPermission {
    /// The claim with which to make the call.
    ///
    /// # Errors
    /// [`OverBudget`]: the job was given back.
    pub fn granted(self) -> Result<Claim<at::Submitting>, OverBudget> {
        match self {
            Self::Granted(claim) => Ok(claim),
            Self::OverBudget(over) => Err(over),
        }
    }
}

/// Why a budget holds a job back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct OverBudget {
    /// The job.
    pub job: LedgerId,
    /// The budget as it is.
    pub budget: Budget,
    /// The estimate that does not fit; none if there is none and the budget is strict.
    pub needed: Option<u64>,
}

impl OverBudget {
    /// When there is room again at the latest; none if only a changed budget or an ended job makes some.
    pub fn until(&self) -> Option<SystemTime> {
        let fits = self.needed.is_some_and(|units| units <= self.budget.limit);
        self.budget.resets_at.filter(|_| fits)
    }
}

impl From<OverBudget> for LedgerError {
    fn from(over: OverBudget) -> Self {
        Self::of(LedgerErrorKind::OverBudget, over.job, over.to_string()).with_source(over)
    }
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Budget {
            vendor, limit, per, ..
        } = &self.budget;
        match self.needed {
            Some(needed) => write!(
                f,
                "the budget of {vendor} ({limit} per {per}) has {} left and job {} needs {needed}",
                self.budget.left(),
                self.job
            )?,
            None => write!(
                f,
                "the budget of {vendor} ({limit} per {per}) is strict and the price of job {} cannot be estimated",
                self.job
            )?,
        }
        match self.until() {
            Some(until) => write!(f, "; there is room again at {}", rfc3339(until)),
            None => write!(f, "; docjobs budget set {vendor} changes it"),
        }
    }
}

impl Ledger {
    /// Sets what may be spent at a vendor in each period, in its units. What was bought before counts. With `strict`,
    /// jobs whose price cannot be estimated are refused.
    ///
    /// # Errors
    /// [`InvalidInput`](LedgerErrorKind::InvalidInput) for a name that is none; else the store's.
    pub async fn set_budget(
        &self,
        vendor: &str,
        limit: u64,
        per: BudgetPeriod,
        strict: bool,
    ) -> Result<Budget, LedgerError> {
        if vendor.is_empty() || vendor.contains('\0') {
            let line = "a budget is of a vendor, by its name";
            return Err(LedgerError::new(LedgerErrorKind::InvalidInput, line));
        }
        let (vendor, by) = (vendor.to_owned(), self.writer());
        let units = i64::try_from(limit).unwrap_or(i64::MAX);
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                shut_out(tx, &vendor).await?;
                tx.run(
                    "INSERT INTO budget (vendor, units, per, strict) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (vendor) DO UPDATE SET units = excluded.units, per = excluded.per, \
                     strict = excluded.strict",
                    args![vendor.as_str(), units, per.as_str(), strict],
                )
                .await?;
                unblock(tx, &by, &vendor, i64::MAX).await?;
                read(tx, Some(&vendor), by.now).await?.pop().ok_or_else(lost)
            })
        })
        .await
    }

    /// Takes the vendor's budget away, and gives whether it had one.
    ///
    /// # Errors
    /// The store's.
    pub async fn clear_budget(&self, vendor: &str) -> Result<bool, LedgerError> {
        let (vendor, by) = (vendor.replace('\0', ""), self.writer());
        self.write(Flush::Now, move |tx| {
            Box::pin(async move {
                shut_out(tx, &vendor).await?;
                let sql = "DELETE FROM budget WHERE vendor = $1";
                let had = tx.run(sql, args![vendor.as_str()]).await? > 0;
                unblock(tx, &by, &vendor, i64::MAX).await?;
                Ok(had)
            })
        })
        .await
    }

    /// The vendor's budget, if it has one.
    ///
    /// # Errors
    /// The store's.
    pub async fn budget(&self, vendor: &str) -> Result<Option<Budget>, LedgerError> {
        let vendor = vendor.replace('\0', "");
        let mut found = read(&mut self.committed(), Some(&vendor), self.now()).await?;
        Ok(found.pop())
    }

    /// All budgets, by vendor.
    ///
    /// # Errors
    /// The store's.
    pub async fn budgets(&self) -> Result<Vec<Budget>, LedgerError> {
        read(&mut self.committed(), None, self.now()).await
    }
}

fn lost() -> LedgerError {
    LedgerError::new(LedgerErrorKind::Store, "a budget was set and is not there")
}

/// Whether a paid call fits.
pub(super) enum Admission {
    Granted { units: i64, has_budget: bool },
    Refused(OverBudget),
}

/// Decides over a paid call, and keeps others who would spend of the same budget from deciding until the transaction ends.
pub(super) async fn admit(
    tx: &mut Tx,
    by: &Writer,
    job: LedgerId,
    estimate: Estimate,
) -> Result<Admission, LedgerError> {
    // Whoever sets a budget waits for those who were permitted without it.
    const SHARE: &str = "SELECT 1 FROM (SELECT pg_advisory_xact_lock_shared(hashtextextended(current_schema() || \
        '.budget.' || vendor, 0)) FROM job WHERE id = $1) locked";
    const LOCKED: Sql = Sql::each(
        "SELECT j.vendor, j.account, b.units FROM job j LEFT JOIN budget b ON b.vendor = j.vendor WHERE j.id = $1",
        "SELECT j.vendor, j.account, b.units FROM job j LEFT JOIN LATERAL (SELECT units FROM budget \
         WHERE budget.vendor = j.vendor FOR UPDATE) b ON true WHERE j.id = $1",
    );
    let units = match estimate {
        Estimate::Free => {
            return Ok(Admission::Granted {
                units: 0,
                has_budget: false,
            });
        }
        Estimate::Units(units) => Some(i64::try_from(units).unwrap_or(i64::MAX)),
        Estimate::Unknown => None,
    };
    if !tx.is_sqlite() {
        tx.run(SHARE, args![job.to_string()]).await?;
    }
    let found = tx
        .row(LOCKED, args![job.to_string()])
        .await?
        .ok_or_else(|| LedgerError::not_found(job))?;
    let (vendor, account) = (found.text(0)?, found.text(1)?);
    // Read anew now that the row is ours: what others have reserved until then counts.
    let budget = match found.opt_int(2)? {
        Some(_) => read(tx, Some(&vendor), by.now).await?.pop(),
        None => None,
    };
    let refused = |budget, needed| {
        Ok(Admission::Refused(OverBudget {
            job,
            budget,
            needed,
        }))
    };
    let units = match (units, &budget) {
        (Some(units), _) => units,
        (None, Some(budget)) if budget.strict => return refused(budget.clone(), None),
        (None, _) => mean(tx, &vendor, &account).await?,
    };
    match budget {
        Some(budget) if units.unsigned_abs() > budget.left() => {
            refused(budget, Some(units.unsigned_abs()))
        }
        budget => Ok(Admission::Granted {
            units,
            has_budget: budget.is_some(),
        }),
    }
}

/// Gives the job back until there may be room.
pub(super) async fn block(
    tx: &mut Tx,
    by: &Writer,
    key: ClaimKey,
    held: &LockedJob,
    over: &OverBudget,
) -> Result<(), LedgerError> {
    let until = over.until().map_or(NEVER, micros);
    row::put(tx, by, key, held.stage, AfterWrite::End(Some(until)), held).await?;
    let before = tx
        .row(
            "SELECT error_kind FROM job WHERE id = $1",
            args![key.job.to_string()],
        )
        .await?;
    let is_told = match before {
        Some(row) => row.opt_str(0)? == Some(OVER_BUDGET),
        None => false,
    };
    // Due then even if a webhook wanted it sooner: there is nothing to poll.
    tx.run(
        "UPDATE wake SET due = $2, blocked_until = $2 WHERE id = $1",
        args![key.job.to_string(), until],
    )
    .await?;
    let mut error = ErrorRecord::default();
    error.kind = OVER_BUDGET.to_owned();
    error.operation = "submit".to_owned();
    error.sent = "no".to_owned();
    let note = Note::new(over.to_string()).with_error(error);
    row::error(tx, key.job, &note).await?;
    if is_told {
        return Ok(());
    }
    history::event(tx, by, key.job, Some(key.fence), event_kind::BLOCKED, &note).await
}

/// What the vendor's jobs that a budget holds back wait for may be there: the oldest are tried.
pub(super) async fn retry_blocked(
    tx: &mut Tx,
    by: &Writer,
    vendor: &str,
) -> Result<(), LedgerError> {
    unblock(tx, by, vendor, TRIED).await
}

async fn unblock(tx: &mut Tx, by: &Writer, vendor: &str, limit: i64) -> Result<(), LedgerError> {
    const SQL: Sql = Sql::each(
        "UPDATE wake SET due = $2, blocked_until = NULL WHERE id IN (SELECT id FROM wake WHERE blocked_until IS NOT NULL \
         AND account IN (SELECT account FROM job_class WHERE vendor = $1) ORDER BY created_at LIMIT $3)",
        "UPDATE wake SET due = $2, blocked_until = NULL WHERE id = ANY (ARRAY(SELECT id FROM wake \
         WHERE blocked_until IS NOT NULL AND account IN (SELECT account FROM job_class WHERE vendor = $1) \
         ORDER BY created_at LIMIT $3 FOR UPDATE SKIP LOCKED))",
    );
    if tx.run(SQL, args![vendor, by.now, limit]).await? > 0 {
        tx.notify_on_commit();
    }
    Ok(())
}

/// Waits for every paid call of the vendor that is being permitted, and keeps further ones waiting.
async fn shut_out(tx: &mut Tx, vendor: &str) -> Result<(), LedgerError> {
    const SQL: &str = "SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.budget.' || \
        $1, 0))) locked";
    if tx.is_sqlite() {
        return Ok(());
    }
    tx.run(SQL, args![vendor]).await.map(drop)
}

/// The budgets of one or all vendors with what is spent and reserved of them.
async fn read(
    source: &mut impl Source,
    vendor: Option<&str>,
    now: i64,
) -> Result<Vec<Budget>, LedgerError> {
    const BUDGETS: &str = "SELECT vendor, units, per, strict FROM budget \
        WHERE CAST($1 AS TEXT) IS NULL OR vendor = $1 ORDER BY vendor";
    const USED: Sql = Sql::each(
        "SELECT coalesce(sum(charged), 0), coalesce(sum(reserved), 0) FROM money_total WHERE vendor = $1 AND day >= $2",
        "SELECT coalesce(sum(charged), 0)::bigint, coalesce(sum(reserved), 0)::bigint FROM (\
         SELECT charged, reserved FROM money_total WHERE vendor = $1 AND day >= $2 UNION ALL \
         SELECT charged, reserved FROM money_delta WHERE vendor = $1 AND day >= $2) t",
    );
    let rows = source.rows(BUDGETS.into(), args![vendor]).await?;
    let mut budgets = Vec::with_capacity(rows.len());
    for row in &rows {
        let vendor = row.text(0)?;
        let per: BudgetPeriod = row.str(2)?.parse().map_err(|problem| {
            let line = "a budget has a period of a newer version: use that version";
            LedgerError::new(LedgerErrorKind::Corrupt, line).with_source(format!("{problem}"))
        })?;
        let (first, next) = per.around(day_of(now));
        let used = source.rows(USED, args![vendor.as_str(), first]).await?;
        let sum = |column| -> Result<u64, LedgerError> {
            let sum = used.first().map(|row: &Row| row.int(column)).transpose()?;
            Ok(u64::try_from(sum.unwrap_or_default()).unwrap_or_default())
        };
        budgets.push(Budget {
            vendor,
            limit: row.int(1)?.unsigned_abs(),
            per,
            strict: row.int(3)? != 0,
            spent: sum(0)?,
            reserved: sum(1)?,
            resets_at: next.map(|next| from_micros(day_begins(next))),
        });
    }
    Ok(budgets)
}

/// What a job of the account has cost in the mean, rounded up; 1 as long as nothing was charged.
async fn mean(tx: &mut Tx, vendor: &str, account: &str) -> Result<i64, LedgerError> {
    const SQL: Sql = Sql::each(
        "SELECT coalesce(sum(charged), 0), coalesce(sum(jobs), 0) FROM money_total WHERE vendor = $1 AND account = $2",
        "SELECT coalesce(sum(charged), 0)::bigint, coalesce(sum(jobs), 0)::bigint FROM (\
         SELECT charged, jobs FROM money_total WHERE vendor = $1 AND account = $2 UNION ALL \
         SELECT charged, jobs FROM money_delta WHERE vendor = $1 AND account = $2) t",
    );
    let row = tx.row(SQL, args![vendor, account]).await?;
    let (charged, jobs) = match row {
        Some(row) => (row.int(0)?, row.int(1)?),
        None => (0, 0),
    };
    if jobs <= 0 || charged <= 0 {
        return Ok(1);
    }
    Ok(charged.saturating_add(jobs - 1) / jobs)
}

/// After a job's reservation has changed: who is held back by the vendor's budget may fit now.
pub(super) async fn room(tx: &mut Tx, by: &Writer, job: LedgerId) -> Result<(), LedgerError> {
    let sql = "SELECT b.vendor FROM budget b JOIN job j ON j.vendor = b.vendor WHERE j.id = $1";
    match tx.row(sql, args![job.to_string()]).await? {
        Some(row) => retry_blocked(tx, by, &row.text(0)?).await,
        None => Ok(()),
    }
}

/// Reserves what was admitted.
pub(super) async fn reserve(
    tx: &mut Tx,
    by: &Writer,
    job: LedgerId,
    units: i64,
) -> Result<(), LedgerError> {
    if units <= 0 {
        return Ok(());
    }
    totals::reserve(tx, job, units, by.now).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: u32, day: u32) -> i64 {
        let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
        i64::from(date.to_epoch_days())
    }

    #[test]
    fn periods_begin_where_the_calendar_does() {
        use BudgetPeriod::{Day, Month, Total};
        let cases = [
            (
                Day,
                day(2026, 2, 28),
                day(2026, 2, 28),
                Some(day(2026, 3, 1)),
            ),
            (
                Month,
                day(2026, 2, 28),
                day(2026, 2, 1),
                Some(day(2026, 3, 1)),
            ),
            (
                Month,
                day(2026, 12, 31),
                day(2026, 12, 1),
                Some(day(2027, 1, 1)),
            ),
            (
                Month,
                day(2028, 2, 29),
                day(2028, 2, 1),
                Some(day(2028, 3, 1)),
            ),
        ];
        for (per, at, first, next) in cases {
            assert_eq!(per.around(at), (first, next), "{per} {at}");
        }
        assert_eq!(Total.around(day(2026, 1, 1)).1, None);
    }

    #[test]
    fn periods_come_back_from_text() {
        for period in [BudgetPeriod::Day, BudgetPeriod::Month, BudgetPeriod::Total] {
            assert_eq!(period.to_string().parse(), Ok(period));
        }
        assert_eq!("week".parse::<BudgetPeriod>(), Err(InvalidBudgetPeriod));
    }

    #[test]
    fn a_job_that_never_fits_waits_for_another_budget() {
        let budget = Budget {
            vendor: "textin".into(),
            limit: 10,
            per: BudgetPeriod::Day,
            strict: false,
            spent: 4,
            reserved: 3,
            resets_at: Some(from_micros(1_767_283_200_000_000)),
        };
        let over = |needed| OverBudget {
            job: "0000000001".parse().unwrap(),
            budget: budget.clone(),
            needed,
        };
        assert_eq!(budget.left(), 3);
        assert_eq!(over(Some(4)).until(), budget.resets_at);
        assert_eq!(over(Some(11)).until(), None);
        assert_eq!(over(None).until(), None);
        assert_eq!(
            over(Some(4)).to_string(),
            "the budget of textin (10 per day) has 3 left and job 0000000001 needs 4; there is room again at \
             2026-01-01T16:00:00.000Z"
        );
    }
}
