//! Adding to the histories of jobs.

use serde::Serialize;

use super::row::Writer;
use super::totals;
use crate::claim::ClaimKey;
use crate::error::LedgerError;
use crate::event::Note;
use crate::id::LedgerId;
use crate::store::{Sql, Tx, args};

/// Adds to the history, and what it cost to the job.
pub(super) async fn event(
    tx: &mut Tx,
    by: &Writer,
    id: LedgerId,
    fence: Option<i64>,
    what: &'static str,
    note: &Note,
) -> Result<(), LedgerError> {
    let credits = match note.credits {
        Some(credits) if totals::charge(tx, id, credits, by.now).await? => Some(credits),
        _ => None,
    };
    tx.run(
        "INSERT INTO event (job, at, fence, worker, what, text, request_id, credits, data) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![
            id.to_string(),
            by.now,
            fence,
            by.owner.worker(),
            what,
            note.text.as_deref(),
            note.request_id.as_deref(),
            credits,
            note.data.to_text()
        ],
    )
    .await
    .map(drop)
}

/// Adds two words to the history of one job.
pub(super) async fn two_events(
    tx: &mut Tx,
    by: &Writer,
    ClaimKey { job, fence }: ClaimKey,
    [first, second]: [&'static str; 2],
) -> Result<(), LedgerError> {
    tx.run(
        "INSERT INTO event (job, at, fence, worker, what) VALUES ($1, $2, $3, $4, $5), ($1, $2, $3, $4, $6)",
        args![job.to_string(), by.now, fence, by.owner.worker(), first, second],
    )
    .await
    .map(drop)
}

/// Adds the same word to the histories of many jobs.
pub(super) async fn events(
    tx: &mut Tx,
    by: &Writer,
    claims: &[ClaimKey],
    what: &'static str,
) -> Result<(), LedgerError> {
    const SQL: Sql = Sql::each(
        "INSERT INTO event (job, at, fence, worker, what) \
         SELECT s.value ->> 0, $2, s.value ->> 1, $3, $4 FROM jsonb_each($1) s",
        "INSERT INTO event (job, at, fence, worker, what) \
         SELECT s ->> 0, $2, (s ->> 1)::bigint, $3, $4 FROM json_array_elements($1::json) s",
    );
    if claims.is_empty() {
        return Ok(());
    }
    let args = args![pairs(claims), by.now, by.owner.worker(), what];
    tx.run(SQL, args).await.map(drop)
}

/// Jobs and fences as such a text.
pub(super) fn pairs(claims: &[ClaimKey]) -> String {
    let pairs = claims.iter().map(|key| (key.job.to_string(), key.fence));
    lines(pairs)
}

/// A batch as one JSON text: an array of arrays.
pub(super) fn lines(rows: impl Iterator<Item = impl Serialize>) -> String {
    // Numbers and texts can always be written.
    serde_json::to_string(&rows.collect::<Vec<_>>()).unwrap_or_default()
}
