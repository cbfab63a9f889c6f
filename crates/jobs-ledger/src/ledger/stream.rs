//! The history of all jobs behind a cursor, for any number of readers: none is missed, whoever writes.
//!
//! SQLite numbers events in the order of their commits. PostgreSQL numbers them as they are written, and a transaction
//! with lower numbers may commit later: there the order is that of the transactions, and a reader stays below the oldest
//! one that still runs.

use std::fmt;
use std::str::FromStr;

use super::Ledger;
use super::read::event;
use crate::error::LedgerError;
use crate::event::JobEvent;
use crate::stage::Stage;
use crate::store::{Sql, args};

/// How far somebody has read the history; as text, two numbers that mean something to the same ledger only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventCursor {
    tx: i64,
    seq: i64,
}

impl EventCursor {
    /// Before the first event.
    pub const START: Self = Self { tx: 0, seq: 0 };
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.tx, self.seq)
    }
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place in the history has two numbers, like 0-1234")]
pub struct InvalidEventCursor;

impl FromStr for EventCursor {
    type Err = InvalidEventCursor;

    fn from_str(text: &str) -> Result<Self, InvalidEventCursor> {
        let number = |text: &str| match text.parse() {
            Ok(number) if number >= 0 => Ok(number),
            _ => Err(InvalidEventCursor),
        };
        let (tx, seq) = text.trim().split_once('-').ok_or(InvalidEventCursor)?;
        Ok(Self {
            tx: number(tx)?,
            seq: number(seq)?,
        })
    }
}

/// An event with its place in the history of all jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamedEvent {
    /// Where to go on after it.
    pub cursor: EventCursor,
    /// The stage in which its job is now; none if the job is no longer there.
    pub stage: Option<Stage>,
    /// The vendor of its job.
    pub vendor: Option<String>,
    /// The event.
    pub event: JobEvent,
}

impl Ledger {
    /// At most `limit` events of all jobs behind the cursor, in the order in which every reader gets them.
    ///
    /// Each is given at least once to whoever goes on where it stopped. On PostgreSQL an event shows up when every
    /// transaction that was older than its own has ended.
    ///
    /// # Errors
    /// The store's.
    pub async fn events_after(
        &self,
        cursor: EventCursor,
        limit: usize,
    ) -> Result<Vec<StreamedEvent>, LedgerError> {
        const SQL: Sql = Sql::each(
            "SELECT e.seq, e.job, e.at, e.fence, e.worker, e.what, e.text, e.request_id, e.credits, e.data, 0, w.stage, \
             j.vendor FROM event e LEFT JOIN wake w ON w.id = e.job LEFT JOIN job j ON j.id = e.job \
             WHERE e.seq > $2 AND $1 IS NOT NULL ORDER BY e.seq LIMIT $3",
            "SELECT e.seq, e.job, e.at, e.fence, e.worker, e.what, e.text, e.request_id, e.credits, e.data, e.tx, \
             w.stage, j.vendor FROM event e LEFT JOIN wake w ON w.id = e.job LEFT JOIN job j ON j.id = e.job \
             WHERE (e.tx, e.seq) > ($1, $2) AND e.tx < txid_snapshot_xmin(txid_current_snapshot()) \
             ORDER BY e.tx, e.seq LIMIT $3",
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self
            .store
            .read(SQL, args![cursor.tx, cursor.seq, limit])
            .await?;
        rows.iter()
            .map(|row| {
                let event = event(row)?;
                Ok(StreamedEvent {
                    cursor: EventCursor {
                        tx: row.int(10)?,
                        seq: event.seq,
                    },
                    stage: row.opt_str(11)?.and_then(Stage::parse),
                    vendor: row.opt_text(12)?,
                    event,
                })
            })
            .collect()
    }

    /// The end of the history as it can be read now: from here on is what happens next.
    ///
    /// # Errors
    /// The store's.
    pub async fn event_cursor(&self) -> Result<EventCursor, LedgerError> {
        const SQL: Sql = Sql::each(
            "SELECT 0, coalesce(max(seq), 0) FROM event",
            "SELECT txid_snapshot_xmin(txid_current_snapshot()) - 1, 9223372036854775807",
        );
        let rows = self.store.read(SQL, Vec::new()).await?;
        match rows.first() {
            Some(row) => Ok(EventCursor {
                tx: row.int(0)?,
                seq: row.int(1)?,
            }),
            None => Ok(EventCursor::START),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_from_text_and_other_texts_are_refused() {
        let cursor = EventCursor { tx: 12, seq: 345 };
        assert_eq!(cursor.to_string(), "12-345");
        assert_eq!("12-345".parse(), Ok(cursor));
        for text in ["", "12", "-1-2", "1--2", "a-b", "1-2-3", "文-1"] {
            assert_eq!(
                text.parse::<EventCursor>(),
                Err(InvalidEventCursor),
                "{text}"
            );
        }
    }
}
