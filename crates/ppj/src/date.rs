//! Times as the vendor writes and reads them.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::generated::types::Job;

/// UTC with `Z` and whole seconds.
///
/// The service silently ignores a date that it cannot read and then lists everything, and a `+` that is not escaped reads as
/// a blank; without an offset there is none.
pub(crate) fn written(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// When the job was created, if the answer says so in one of the spellings that were seen.
pub(crate) fn created(job: &Job) -> Option<SystemTime> {
    let read = |text: &str| {
        DateTime::parse_from_rfc3339(text)
            .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
            .ok()
            .map(SystemTime::from)
    };
    let seconds = |seconds: i64| {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
    };
    job.created_at
        .as_deref()
        .and_then(read)
        .or_else(|| job.created_at_in_ts.and_then(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis)
    }

    #[test]
    fn a_time_is_written_in_utc_without_an_offset() {
        assert_eq!(written(at(1_501_352_439, 999)), "2017-07-29T18:20:39Z");
    }

    #[test]
    fn every_spelling_that_was_seen_is_read() {
        for (json, wanted) in [
            (
                r#"{"created_at":"2017-07-29T18:20:39.250Z"}"#,
                Some(at(1_501_352_439, 250)),
            ),
            (
                r#"{"created_at":"2017-07-29T18:20:39+00:00"}"#,
                Some(at(1_501_352_439, 0)),
            ),
            (
                r#"{"created_at":"2017-07-30T02:20:39+08:00"}"#,
                Some(at(1_501_352_439, 0)),
            ),
            (
                r#"{"created_at":"2017-07-30T02:20:39+0800"}"#,
                Some(at(1_501_352_439, 0)),
            ),
            (
                r#"{"created_at":"yesterday","created_at_in_ts":"1501352439"}"#,
                Some(at(1_501_352_439, 0)),
            ),
            (r#"{"created_at_in_ts":-1}"#, None),
            (r#"{"created_at_in_ts":9223372036854775807}"#, None),
            ("{}", None),
        ] {
            let job = serde_json::from_str(json).unwrap();
            // A far future may be representable on some systems; no panic is what counts.
            if wanted.is_some() || !json.contains("9223372036854775807") {
                assert_eq!(created(&job), wanted, "{json}");
            }
        }
    }
}
