//! The history of a job: what was tried, when, by which claim, and how it ended.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::id::LedgerId;
use crate::job_record::rfc3339;
use crate::record::{ErrorRecord, EventData};

/// One entry of the append-only history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JobEvent {
    /// Its number in the ledger, for acknowledging it.
    pub seq: i64,
    /// The job.
    #[serde(rename = "id", serialize_with = "display")]
    pub job: LedgerId,
    /// When it was written.
    #[serde(serialize_with = "time")]
    pub at: SystemTime,
    /// The fence of the claim that wrote it; none for what needs no claim.
    pub fence: Option<i64>,
    /// The process that wrote it, by a name that is random for each.
    pub worker: String,
    /// What happened: one of the words in [`event_kind`].
    pub kind: String,
    /// The details, in words for people; nothing is decided by them.
    pub text: Option<String>,
    /// The details, in types.
    #[serde(skip_serializing_if = "EventData::is_empty")]
    pub data: EventData,
    /// The vendor's id of the request.
    pub request_id: Option<String>,
    /// What it cost.
    pub credits: Option<i64>,
}

/// The words of [`JobEvent::kind`].
pub mod event_kind {
    use crate::stage::Transition;

    /// The intent was recorded.
    pub const INTENDED: &str = "intended";
    /// The intent was recorded although the same was bought before.
    pub const INTENDED_AGAIN: &str = "intended_again";
    /// A job of another machine or ledger was taken in by its ticket.
    pub const IMPORTED: &str = "imported";
    /// The paid call was about to be made; the text is the number of the attempt.
    pub const SUBMITTING: &str = "submitting";
    /// The vendor accepted it; the text is the vendor's id.
    pub const ACCEPTED: &str = "accepted";
    /// The answer came after the job had been given up as unknown; the text is the vendor's id.
    pub const ANSWERED_LATE: &str = "answered_late";
    /// The submit was refused: nothing was bought, and nothing will be.
    pub const REJECTED: &str = "rejected";
    /// Nothing was bought; it may be tried again.
    pub const NOT_SENT: &str = "not_sent";
    /// Nobody knows whether it was bought.
    pub const IN_DOUBT: &str = "in_doubt";
    /// A poll saw another word than the one before; the text is the word.
    pub const POLLED: &str = "polled";
    /// The vendor has finished.
    pub const AVAILABLE: &str = "available";
    /// The download was begun.
    pub const DOWNLOADING: &str = "downloading";
    /// The link no longer works: poll again.
    pub const LINK_EXPIRED: &str = "link_expired";
    /// The result is here; the text is its path.
    pub const COMPLETED: &str = "completed";
    /// The vendor gave up on it.
    pub const FAILED: &str = "failed";
    /// The vendor no longer has it.
    pub const GONE: &str = "gone";
    /// A job found at the vendor was taken to be this one.
    pub const ADOPTED: &str = "adopted";
    /// A person gave it up.
    pub const ABANDONED: &str = "abandoned";
    /// The result is to be fetched again.
    pub const REOPENED: &str = "reopened";
    /// The work of a process that stopped was taken over.
    pub const TAKEN_OVER: &str = "reclaimed";
    /// It waits until somebody takes it up by hand.
    pub const PARKED: &str = "parked";
    /// What arrived was verified, and is about to get its name; the data has its digest.
    pub const VERIFIED: &str = "verified";
    /// The work on this side has ended and is about to be reported; the data says how.
    pub const OUTCOME: &str = "outcome";
    /// The result arrived whole and did not pass our checks; the data has its digest.
    pub const UNVERIFIED: &str = "unverified";
    /// An answer was not understood; the data has its beginning.
    pub const NOT_UNDERSTOOD: &str = "not_understood";
    /// It was parked, and is due again.
    pub const UNPARKED: &str = "unparked";
    /// Somebody asked for a poll at once.
    pub const POLL_REQUESTED: &str = "poll_requested";
    /// It does not fit into the vendor's budget.
    pub const BLOCKED: &str = "blocked";
    /// A remark of the caller.
    pub const NOTED: &str = "noted";

    /// The word for a step that a job has taken.
    pub(crate) fn of(step: Transition) -> &'static str {
        match step {
            Transition::Submit => SUBMITTING,
            Transition::NotSent => NOT_SENT,
            Transition::Reject => REJECTED,
            Transition::Accept => ACCEPTED,
            Transition::Doubt => IN_DOUBT,
            Transition::Poll => POLLED,
            Transition::MakeAvailable => AVAILABLE,
            Transition::Download => DOWNLOADING,
            Transition::ExpireLink => LINK_EXPIRED,
            Transition::Complete => COMPLETED,
            Transition::Fail => FAILED,
            Transition::Disappear => GONE,
            Transition::Adopt => ADOPTED,
            Transition::Abandon => ABANDONED,
            Transition::Reopen => REOPENED,
        }
    }
}

/// What a caller adds to the history with a write.
///
/// Texts are made one line of at most 2000 characters. Never put a secret into them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    pub(crate) text: Option<Box<str>>,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) credits: Option<i64>,
    pub(crate) data: EventData,
}

impl Note {
    /// Nothing to add.
    pub fn none() -> Self {
        Self::default()
    }

    /// A remark.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self {
            text: Some(one_line(text.as_ref())).filter(|text| !text.is_empty()),
            ..Self::default()
        }
    }

    /// Adds who did it.
    #[must_use]
    pub fn by(mut self, actor: impl AsRef<str>) -> Self {
        self.data.actor = Some(one_line(actor.as_ref()).into());
        self
    }

    /// Adds the vendor's id of the request.
    #[must_use]
    pub fn with_request_id(mut self, id: Option<impl AsRef<str>>) -> Self {
        self.request_id = id.map(|id| one_line(id.as_ref()));
        self
    }

    /// Adds what went wrong, in types.
    #[must_use]
    pub fn with_error(mut self, error: ErrorRecord) -> Self {
        self.data.error = Some(error);
        self
    }

    /// Says that what was completed is in another format than the job's record asks for, and its digest.
    #[must_use]
    pub fn in_other_format(mut self, format: impl Into<String>, sha256: Option<[u8; 32]>) -> Self {
        self.data.format = Some(format.into());
        self.data.sha256 = sha256;
        self
    }

    pub(crate) fn with_remote_id(mut self, id: &str) -> Self {
        self.data.remote_id = Some(id.to_owned());
        self
    }

    /// Adds what it cost. Costs of several writes of one job add up until it is over; a result that is fetched once more costs
    /// nothing.
    #[must_use]
    pub fn with_credits(mut self, credits: Option<i64>) -> Self {
        self.credits = credits;
        self
    }
}

impl From<&jobs_core::Error> for Note {
    /// The error's line, which holds no secret, its request id, and what the other side answered.
    fn from(error: &jobs_core::Error) -> Self {
        Self::new(error.to_string())
            .with_request_id(error.request_id())
            .with_error(error.into())
    }
}

impl From<&str> for Note {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// One line of at most 2000 characters. PostgreSQL takes no NUL, a list of jobs no line break.
pub(crate) fn one_line(text: &str) -> Box<str> {
    let plain = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    let line: String = text.chars().map(plain).collect();
    line.trim().chars().take(2000).collect::<String>().into()
}

fn display<S: Serializer>(id: &LedgerId, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}

fn time<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_outside_become_one_line() {
        let note = Note::new("bad\0 thing\nat line 2\n").with_request_id(Some("r\r1"));
        assert_eq!(note.text.as_deref(), Some("bad  thing at line 2"));
        assert_eq!(note.request_id.as_deref(), Some("r 1"));
        assert_eq!(
            Note::new("文".repeat(3000)).text.unwrap().chars().count(),
            2000
        );
        assert_eq!(Note::new(" \n"), Note::none());
    }
}
