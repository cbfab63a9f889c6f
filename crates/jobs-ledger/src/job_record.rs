//! One row of the ledger: all that is known of a job.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use jobs_core::vendor::Account;
use jobs_core::{JobId, Ticket};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::id::LedgerId;
use crate::record::{ErrorRecord, JobOutcome, ParkReason, UnverifiedResult};
use crate::stage::Stage;

/// What the ledger knows of a job.
///
/// Serialises to the object that `jobs --json` prints, with the keys `id, vendor, kind, stage, remote_id, ticket, input,
/// output, created_at, updated_at, credits, error`. `Debug` leaves out the request and the result, whose links may
/// open without a key.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct JobRecord {
    /// Our id.
    pub id: LedgerId,
    /// The vendor, as in its kind.
    pub vendor: String,
    /// The kind of job, as in its kind.
    pub kind: String,
    /// Whose account pays.
    pub account: Account,
    /// How far it is.
    pub stage: Stage,
    /// The vendor's id, once accepted.
    pub remote_id: Option<JobId>,
    /// When the vendor accepted it.
    pub accepted_at: Option<SystemTime>,
    /// What a person reads.
    pub input: String,
    /// Where the content is.
    pub input_path: Option<PathBuf>,
    /// SHA-256 of the content.
    pub content: [u8; 32],
    /// By what the same input is recognised: vendor, kind, account, options and content.
    pub digest: [u8; 32],
    /// The options of the submit.
    pub options: Value,
    /// All that a submit needs beside the content; null if nobody said.
    pub request: Value,
    /// What of it nobody may read, such as an address that opens without a key; null once the job is accepted or over.
    pub private_request: Value,
    /// Where the result shall go, and once done, where it is.
    pub output: Option<PathBuf>,
    /// Who gave that place, where it is proved.
    pub(crate) output_seal: Option<[u8; 32]>,
    /// In which form the result is wanted, in the caller's word.
    pub format: Option<String>,
    /// SHA-256 of the result file, where the caller computed it.
    pub sha256: Option<[u8; 32]>,
    /// SHA-256 of what was verified last, written down before it gets its name.
    pub verified: Option<[u8; 32]>,
    /// Results that arrived whole and did not pass our checks.
    pub unverified: Vec<UnverifiedResult>,
    /// How the work on this side ended, written down before it is reported.
    pub outcome: Option<JobOutcome>,
    /// What the vendor gave as output, from *available* until *completed*: enough to fetch the result.
    pub result: Option<Value>,
    /// Whether it was bought although the same had been bought before.
    pub again: bool,
    /// How often the paid call was begun.
    pub attempts: i64,
    /// When the latest paid call was begun: a search looks at jobs not older than this.
    pub sent_at: Option<SystemTime>,
    /// How many polls that cost money were counted by [`spend_call`](crate::Ledger::spend_call).
    pub calls: i64,
    /// The vendor's latest word for its state.
    pub vendor_status: Option<String>,
    /// When it was polled last, by any process: the floor counts from here.
    ///
    /// Taking a job over from a process that stopped counts as a poll: that process may have made one and not told.
    pub last_poll: Option<SystemTime>,
    /// How often it was looked at.
    pub polls: i64,
    /// When it wants attention next; none when settled or parked.
    pub due: Option<SystemTime>,
    /// Why it waits for somebody; of a job that was just claimed, why it did.
    pub parked: Option<ParkReason>,
    /// Set while the job does not fit into its vendor's budget: when that begins anew, or the year 9999 where only
    /// another budget helps.
    pub blocked_until: Option<SystemTime>,
    /// How many polls that cost money it allows.
    pub max_calls: Option<u32>,
    /// What the vendor's budget keeps free for it, until the charge is known or there is none.
    pub reserved: Option<i64>,
    /// Whether a process has claimed it; its lease then ends at [`due`](Self::due).
    pub claimed: bool,
    /// When the wish was written down.
    pub created_at: SystemTime,
    /// When anything of it changed last.
    pub updated_at: SystemTime,
    /// What it cost: what was told, or the estimate where nothing was told once the job is over.
    pub credits: Option<i64>,
    /// Why it failed, is gone, parked or in doubt, in words for people; nothing is decided by them.
    pub error: Option<String>,
    /// The same in types.
    pub error_data: Option<ErrorRecord>,
}

impl JobRecord {
    /// Whether the result may be fetched again in this format, or in any: not after the same bytes failed our checks twice,
    /// or any five times.
    pub fn allows_fetch(&self, format: Option<&str>) -> bool {
        let known = self.unverified.iter();
        UnverifiedResult::allow_fetch(known.filter(|one| one.is_about(format)))
    }

    /// Whether it is parked, and nobody works on it all the same: only a person can go on with it.
    pub fn needs_attention(&self) -> bool {
        self.parked.is_some() && !self.claimed
    }

    /// The text with which to go on waiting elsewhere; none before the vendor accepted the job.
    pub fn ticket(&self) -> Option<Ticket> {
        Ticket::new(
            &self.vendor,
            &self.kind,
            self.account,
            self.accepted_at?,
            self.remote_id.clone()?,
        )
        .ok()
    }
}

impl Serialize for JobRecord {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut row = to.serialize_struct("Job", 12)?;
        row.serialize_field("id", &self.id.to_string())?;
        row.serialize_field("vendor", &self.vendor)?;
        row.serialize_field("kind", &self.kind)?;
        row.serialize_field("stage", self.stage.as_str())?;
        row.serialize_field("remote_id", &self.remote_id.as_ref().map(JobId::as_str))?;
        row.serialize_field("ticket", &self.ticket().map(|ticket| ticket.to_string()))?;
        row.serialize_field("input", &self.input)?;
        row.serialize_field(
            "output",
            &self.output.as_ref().map(|path| path.to_string_lossy()),
        )?;
        row.serialize_field("created_at", &rfc3339(self.created_at))?;
        row.serialize_field("updated_at", &rfc3339(self.updated_at))?;
        row.serialize_field("credits", &self.credits)?;
        row.serialize_field("error", &self.error)?;
        row.end()
    }
}

impl fmt::Debug for JobRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &format_args!("{}", self.id))
            .field("vendor", &self.vendor)
            .field("kind", &self.kind)
            .field("account", &format_args!("{}", self.account))
            .field("stage", &self.stage)
            .field("remote_id", &self.remote_id.as_ref().map(JobId::as_str))
            .field("input", &self.input)
            .field("output", &self.output)
            .field("attempts", &self.attempts)
            .field("word", &self.vendor_status)
            .field("polls", &self.polls)
            .field("due", &self.due)
            .field("parked", &self.parked)
            .field("claimed", &self.claimed)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// Microseconds since 1970, the unit of every time in the ledger.
pub(crate) fn micros(at: SystemTime) -> i64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or_default()
}

/// The time so many microseconds after 1970.
pub(crate) fn from_micros(at: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_micros(u64::try_from(at).unwrap_or_default()))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The time as people and programs read it, in UTC.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    DateTime::<Utc>::from_timestamp_micros(micros(at))
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_and_read_well() {
        let at = from_micros(1_767_225_600_123_456);
        assert_eq!(micros(at), 1_767_225_600_123_456);
        assert_eq!(rfc3339(at), "2026-01-01T00:00:00.123Z");
        assert_eq!(from_micros(-1), SystemTime::UNIX_EPOCH);
        assert_eq!(rfc3339(from_micros(i64::MAX)), "1970-01-01T00:00:00.000Z");
    }
}
