//! Lists of jobs: which index leads to them, and the rows themselves.
//!
//! A page is found in two steps. The first walks one index, chosen by the filter, and gives the ids of a page; the second
//! reads these rows. Stages, vendors, kinds and accounts are one index of the narrow rows: each combination that occurs
//! is asked for its newest jobs, and the answers are merged.

use std::collections::HashMap;

use super::Ledger;
use super::filter::{JobFilter, JobPage};
use super::row::{self, select_jobs};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::id::LedgerId;
use crate::job_record::{JobRecord, micros};
use crate::stage::Stage;
use crate::store::{Row, Source, Sql, Value, args};

/// Up to so many inputs that begin alike are sorted in their index.
const FEW: i64 = 20_000;

/// So many of the newest jobs are looked through for inputs that many jobs share.
const NEWEST: i64 = 100_000;

/// A job in the order of the lists.
type Key = (i64, String);

/// What a walk is bounded by: times from `since`, keys below `below`.
#[derive(Debug, Clone)]
struct Bounds {
    since: i64,
    below: Key,
    limit: i64,
}

impl Bounds {
    fn args(&self) -> Vec<Value> {
        let (at, id) = &self.below;
        args![self.since, *at, id.as_str(), self.limit]
    }

    fn with(&self, more: Vec<Value>) -> Vec<Value> {
        let mut all = self.args();
        all.extend(more);
        all
    }
}

impl Ledger {
    /// A page of the list of jobs, the newest first.
    ///
    /// # Errors
    /// [`InvalidInput`](LedgerErrorKind::InvalidInput) when the job to go on after is not there; else the store's.
    pub async fn list(&self, filter: &JobFilter) -> Result<JobPage, LedgerError> {
        let limit = filter.page_size();
        let mut committed = self.committed();
        let keys = keys(&mut committed, filter, limit).await?;
        let next = keys
            .last()
            .filter(|_| keys.len() >= limit)
            .and_then(|(_, id)| id.parse().ok());
        let ids = keys.into_iter().map(|(_, id)| id).collect();
        let mut jobs = read(&mut committed, ids).await?;
        // Somebody may have moved it on between the two steps.
        jobs.retain(|job| filter.stages.is_empty() || filter.stages.contains(&job.stage));
        Ok(JobPage { jobs, next })
    }

    /// How many jobs the filter finds, counted up to `most`; its page does not matter.
    ///
    /// # Errors
    /// The store's.
    pub async fn count(&self, filter: &JobFilter, most: usize) -> Result<usize, LedgerError> {
        let mut whole = filter.clone();
        whole.after = None;
        Ok(keys(&mut self.committed(), &whole, most).await?.len())
    }

    /// These jobs, in their order; those that the ledger does not have are left out.
    ///
    /// # Errors
    /// The store's.
    pub async fn get_many(&self, jobs: &[LedgerId]) -> Result<Vec<JobRecord>, LedgerError> {
        let ids = jobs.iter().map(LedgerId::to_string).collect();
        read(&mut self.committed(), ids).await
    }
}

/// Whole jobs in the order of their ids here.
async fn read(source: &mut impl Source, ids: Vec<String>) -> Result<Vec<JobRecord>, LedgerError> {
    const SQL: Sql = select_jobs!(
        "WHERE w.id IN (SELECT value FROM json_each($1))",
        "WHERE w.id = ANY ($1)"
    );
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = HashMap::with_capacity(ids.len());
    for row in source.rows(SQL, args![ids.clone()]).await? {
        let job = row::job(&row)?;
        found.insert(job.id.to_string(), job);
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// The ids of the newest jobs that the filter finds, with the times by which they are ordered.
pub(super) async fn keys(
    source: &mut impl Source,
    filter: &JobFilter,
    limit: usize,
) -> Result<Vec<Key>, LedgerError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let bounds = Bounds {
        since: filter.since.map_or(i64::MIN, micros),
        below: below(source, filter).await?,
        limit,
    };
    if let Some(kind) = filter.error_as_kind() {
        return by_error_kind(source, filter, &bounds, kind).await;
    }
    if let Some(text) = filter.error.as_deref() {
        return by_error_text(source, filter, &bounds, text).await;
    }
    if let Some(input) = filter.input.as_deref() {
        return by_input(source, filter, &bounds, input).await;
    }
    if filter.has_class() {
        return by_class(source, filter, &bounds).await;
    }
    const ALL: &str = "SELECT created_at, id FROM job WHERE created_at >= $1 AND (created_at, id) < ($2, $3) \
        ORDER BY created_at DESC, id DESC LIMIT $4";
    found(&source.rows(ALL.into(), bounds.args()).await?)
}

/// The upper end of a walk, from the page before and the time.
async fn below(source: &mut impl Source, filter: &JobFilter) -> Result<Key, LedgerError> {
    let until = (filter.until.map_or(i64::MAX, micros), String::new());
    let Some(after) = filter.after else {
        return Ok(until);
    };
    let sql = "SELECT created_at, id FROM job WHERE id = $1";
    let rows = source.rows(sql.into(), args![after.to_string()]).await?;
    let after = found(&rows)?.pop().ok_or_else(|| {
        LedgerError::new(
            LedgerErrorKind::InvalidInput,
            format!("the list cannot go on after {after}: the ledger has no such job"),
        )
    })?;
    Ok(after.min(until))
}

fn found(rows: &[Row]) -> Result<Vec<Key>, LedgerError> {
    rows.iter()
        .map(|row| Ok((row.int(0)?, row.text(1)?)))
        .collect()
}

/// Each combination of what the filter names is one stretch of the index.
async fn by_class(
    source: &mut impl Source,
    filter: &JobFilter,
    bounds: &Bounds,
) -> Result<Vec<Key>, LedgerError> {
    const CLASSES: &str = "SELECT DISTINCT account, kind FROM job_class WHERE (CAST($1 AS TEXT) IS NULL OR vendor = $1) \
        AND (CAST($2 AS TEXT) IS NULL OR kind = $2) AND (CAST($3 AS TEXT) IS NULL OR account = $3)";
    const STRETCH: &str = "SELECT created_at, id FROM wake WHERE account = $5 AND kind = $6 AND stage = $7 \
        AND created_at >= $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4";
    let classes = source.rows(CLASSES.into(), class_args(filter)).await?;
    let mut keys = Vec::new();
    for class in &classes {
        for stage in stages(filter) {
            let stretch = args![class.text(0)?, class.text(1)?, stage.as_str()];
            let rows = source.rows(STRETCH.into(), bounds.with(stretch)).await?;
            keys.extend(found(&rows)?);
        }
    }
    keys.sort_unstable_by(|one, other| other.cmp(one));
    keys.truncate(usize::try_from(bounds.limit).unwrap_or(usize::MAX));
    Ok(keys)
}

fn stages(filter: &JobFilter) -> &[Stage] {
    if filter.stages.is_empty() {
        &Stage::ALL
    } else {
        &filter.stages
    }
}

fn class_args(filter: &JobFilter) -> Vec<Value> {
    args![
        filter.vendor.clone(),
        filter.kind.clone(),
        filter.account.map(|account| account.to_string())
    ]
}

/// A walk over wide rows, with what the filter says beside the index.
macro_rules! walk {
    ($sqlite:literal, $postgres:literal) => {
        Sql::each(
            concat!(
                "SELECT j.created_at, j.id FROM ",
                $sqlite,
                " AND j.created_at >= $1 AND (j.created_at, j.id) < ($2, $3) \
                 AND w.stage IN (SELECT value FROM json_each($5)) \
                 AND ($6 IS NULL OR j.vendor = $6) AND ($7 IS NULL OR j.kind = $7) \
                 AND ($8 IS NULL OR j.account = $8) \
                 AND ($9 IS NULL OR substr(j.input, 1, length($9)) = $9) \
                 ORDER BY j.created_at DESC, j.id DESC LIMIT $4"
            ),
            concat!(
                "SELECT j.created_at, j.id FROM ",
                $postgres,
                " AND j.created_at >= $1 AND (j.created_at, j.id) < ($2, $3) \
                 AND w.stage = ANY ($5) AND ($6 IS NULL OR j.vendor = $6) AND ($7 IS NULL OR j.kind = $7) \
                 AND ($8 IS NULL OR j.account = $8) AND ($9 IS NULL OR starts_with(j.input, $9)) \
                 ORDER BY j.created_at DESC, j.id DESC LIMIT $4"
            ),
        )
    };
}

fn walk_args(filter: &JobFilter, bounds: &Bounds, more: Vec<Value>) -> Vec<Value> {
    let stages: Vec<String> = stages(filter)
        .iter()
        .map(|stage| stage.as_str().to_owned())
        .collect();
    let mut all = bounds.with(args![stages]);
    all.extend(class_args(filter));
    all.extend(args![filter.input.as_deref().map(plain)]);
    all.extend(more);
    all
}

/// No text of the ledger has a NUL, and PostgreSQL takes none.
fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

async fn by_error_kind(
    source: &mut impl Source,
    filter: &JobFilter,
    bounds: &Bounds,
    kind: String,
) -> Result<Vec<Key>, LedgerError> {
    const SQL: Sql = walk!(
        "job j INDEXED BY job_error_kind CROSS JOIN wake w WHERE w.id = j.id AND j.error_kind = $10",
        "job j JOIN wake w ON w.id = j.id WHERE j.error_kind = $10"
    );
    let args = walk_args(filter, bounds, args![kind]);
    found(&source.rows(SQL, args).await?)
}

async fn by_error_text(
    source: &mut impl Source,
    filter: &JobFilter,
    bounds: &Bounds,
    text: &str,
) -> Result<Vec<Key>, LedgerError> {
    const SQL: Sql = walk!(
        "(SELECT * FROM job WHERE error IS NOT NULL ORDER BY created_at DESC, id DESC LIMIT $11) j \
         CROSS JOIN wake w WHERE w.id = j.id AND instr(lower(j.error), $10) > 0",
        "(SELECT * FROM job WHERE error IS NOT NULL ORDER BY created_at DESC, id DESC LIMIT $11) j \
         JOIN wake w ON w.id = j.id WHERE position($10 IN lower(j.error)) > 0"
    );
    let text = plain(&text.to_ascii_lowercase());
    let args = walk_args(filter, bounds, args![text, NEWEST]);
    found(&source.rows(SQL, args).await?)
}

/// Many are mostly among the newest jobs. Few, and those that are not, are sorted in their index, and then judged by what
/// else the filter says.
async fn by_input(
    source: &mut impl Source,
    filter: &JobFilter,
    bounds: &Bounds,
    input: &str,
) -> Result<Vec<Key>, LedgerError> {
    const COUNT: Sql = Sql::each(
        "SELECT count(*) FROM (SELECT 1 FROM job WHERE substr(input, 1, 200) >= $1 AND substr(input, 1, 200) < $2 \
         LIMIT $3)",
        "SELECT count(*) FROM (SELECT 1 FROM job WHERE left(input, 200) COLLATE \"C\" >= $1 \
         AND left(input, 200) COLLATE \"C\" < $2 LIMIT $3) few",
    );
    const SORTED: Sql = Sql::each(
        "SELECT created_at, id FROM job INDEXED BY job_input WHERE substr(input, 1, 200) >= $5 \
         AND substr(input, 1, 200) < $6 AND created_at >= $1 AND (created_at, id) < ($2, $3) \
         ORDER BY created_at DESC, id DESC LIMIT $4",
        "SELECT created_at, id FROM job WHERE left(input, 200) COLLATE \"C\" >= $5 \
         AND left(input, 200) COLLATE \"C\" < $6 AND created_at >= $1 AND (created_at, id) < ($2, $3) \
         ORDER BY created_at DESC, id DESC LIMIT $4",
    );
    const JUDGED: Sql = walk!(
        "job j JOIN wake w ON w.id = j.id WHERE j.id IN (SELECT value FROM json_each($10))",
        "job j JOIN wake w ON w.id = j.id WHERE j.id = ANY ($10)"
    );
    const WALK: Sql = walk!(
        "(SELECT * FROM job WHERE created_at >= $1 AND (created_at, id) < ($2, $3) \
         ORDER BY created_at DESC, id DESC LIMIT $10) j CROSS JOIN wake w WHERE w.id = j.id",
        "(SELECT * FROM job WHERE created_at >= $1 AND (created_at, id) < ($2, $3) \
         ORDER BY created_at DESC, id DESC LIMIT $10) j JOIN wake w ON w.id = j.id WHERE true"
    );
    let from: String = plain(input).chars().take(200).collect();
    // No text that begins like this one comes behind it.
    let to = format!("{from}\u{10ffff}");
    let rows = source
        .rows(COUNT, args![from.as_str(), to.as_str(), FEW + 1])
        .await?;
    let count = rows.first().map(|row| row.int(0)).transpose()?;
    if count.unwrap_or_default() > FEW {
        let args = walk_args(filter, bounds, args![NEWEST]);
        let newest = found(&source.rows(WALK, args).await?)?;
        if i64::try_from(newest.len()).is_ok_and(|len| len >= bounds.limit) {
            return Ok(newest);
        }
    }
    let (mut keys, mut stretch) = (Vec::new(), bounds.clone());
    loop {
        let range = args![from.as_str(), to.as_str()];
        let sorted = found(&source.rows(SORTED, stretch.with(range)).await?)?;
        let Some(last) = sorted.last().cloned() else {
            return Ok(keys);
        };
        let is_all = i64::try_from(sorted.len()).is_ok_and(|len| len < stretch.limit);
        let ids: Vec<String> = sorted.into_iter().map(|(_, id)| id).collect();
        let args = walk_args(filter, bounds, args![ids]);
        keys.extend(found(&source.rows(JUDGED, args).await?)?);
        if is_all || i64::try_from(keys.len()).is_ok_and(|len| len >= bounds.limit) {
            keys.truncate(usize::try_from(bounds.limit).unwrap_or(usize::MAX));
            return Ok(keys);
        }
        stretch.below = last;
        stretch.limit = stretch.limit.saturating_mul(4);
    }
}
