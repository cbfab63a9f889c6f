//! A create whose answer was lost: which of the account's jobs may be the one that it made.

use std::time::{Duration, SystemTime};

use jobs_core::JobId;

use crate::date;
use crate::generated::types::Job;

/// A job that may be the lost one.
///
/// If there is exactly one, and it [fits by its document](Fit::Document), adopt it with
/// [`Client::job`](crate::Client::job). Otherwise a person decides: nothing here can tell two creates of the same
/// document apart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The job, by its token.
    pub id: JobId,
    /// When it was created, where the vendor says so.
    pub created_at: Option<SystemTime>,
    /// The file name that was sent, where the vendor says so.
    pub name: Option<Box<str>>,
    /// The size that was sent, where the vendor says so.
    pub size: Option<u64>,
    /// How well it fits.
    pub fit: Fit,
}

/// How well a candidate fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fit {
    /// File name, size and time are those of the lost create.
    Document,
    /// It was listed as new enough, and more is not known: all that signed accounts are told. It may be anybody's job of the
    /// same account, so never adopt it without asking.
    TimeOnly,
}

/// From when on jobs are asked for: a little before the create was begun, in whole seconds.
///
/// The vendor's clock may be a little behind ours, and its times may be cut to seconds; how far its clock strays is not
/// known, so a job that it dates earlier than this is not found and the outcome stays unknown.
pub(crate) fn since(sent_at: SystemTime) -> SystemTime {
    const SKEW: Duration = Duration::from_secs(5);
    let begun = sent_at
        .checked_sub(SKEW)
        .and_then(|begun| begun.duration_since(SystemTime::UNIX_EPOCH).ok())
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(begun.as_secs())
}

/// The job as a candidate; `None` when anything that is known of it speaks against that.
///
/// The time is compared here as well: a list may have ignored the date that it was asked for.
pub(crate) fn candidate(
    id: JobId,
    job: Job,
    since: SystemTime,
    name: &str,
    size: u64,
) -> Option<Candidate> {
    let created_at = date::created(&job);
    let sent_name: Option<Box<str>> = job.source_filename.map(Into::into);
    let sent_size: Option<u64> = job.source_filesize.and_then(|size| size.try_into().ok());
    let agrees = [
        created_at.map(|created| created >= since),
        sent_name.as_deref().map(|sent| sent == name),
        sent_size.map(|sent| sent == size),
    ];
    if agrees.contains(&Some(false)) {
        return None;
    }
    let fit = if agrees.contains(&None) {
        Fit::TimeOnly
    } else {
        Fit::Document
    };
    Some(Candidate {
        id,
        created_at,
        name: sent_name,
        size: sent_size,
        fit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Option<Fit> {
        let sent_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_501_352_445_900);
        let job = serde_json::from_str(json).unwrap();
        candidate(JobId::new("t").unwrap(), job, since(sent_at), "a.pptx", 7).map(|found| found.fit)
    }

    #[test]
    fn only_what_agrees_in_everything_fits_by_its_document() {
        for (json, fit) in [
            (
                r#"{"source_filename":"a.pptx","source_filesize":7,"created_at":"2017-07-29T18:20:45.900Z"}"#,
                Some(Fit::Document),
            ),
            // A clock that is five seconds behind.
            (
                r#"{"source_filename":"a.pptx","source_filesize":7,"created_at":"2017-07-29T18:20:40Z"}"#,
                Some(Fit::Document),
            ),
            (
                r#"{"source_filename":"a.pptx","source_filesize":7,"created_at":"2017-07-29T18:20:39.999Z"}"#,
                None,
            ),
            (
                r#"{"source_filename":"b.pptx","source_filesize":7,"created_at":"2017-07-29T18:20:46Z"}"#,
                None,
            ),
            (
                r#"{"source_filename":"a.pptx","source_filesize":8,"created_at":"2017-07-29T18:20:46Z"}"#,
                None,
            ),
            (
                r#"{"source_filename":"a.pptx","source_filesize":7}"#,
                Some(Fit::TimeOnly),
            ),
            (
                r#"{"source_filename":"a.pptx","created_at":"2017-07-29T18:20:46Z"}"#,
                Some(Fit::TimeOnly),
            ),
            ("{}", Some(Fit::TimeOnly)),
        ] {
            assert_eq!(found(json), fit, "{json}");
        }
    }

    #[test]
    fn a_time_before_all_time_does_not_panic() {
        assert_eq!(since(SystemTime::UNIX_EPOCH), SystemTime::UNIX_EPOCH);
    }
}
