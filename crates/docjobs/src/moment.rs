//! Points in time as they are typed (a date, a time, or how long ago) and as programs read them.

use std::time::SystemTime;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

/// A [point] in time, or `2h` for two hours ago.
pub(crate) fn parse(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    let ago = || now.checked_sub(humantime::parse_duration(text.trim()).ok()?);
    let at = read(text.trim()).or_else(ago);
    since_the_epoch(at).ok_or_else(|| {
        "write a date such as 2026-11-30, a time such as 2026-11-30T14:05:00Z, or how long ago, such as 2h".to_owned()
    })
}

/// `2026-11-30`, `2026-11-30 14:05`, `2026-11-30T14:05:09+08:00`. Without an offset: UTC.
pub(crate) fn point(text: &str) -> Result<SystemTime, String> {
    since_the_epoch(read(text.trim())).ok_or_else(|| {
        format!(
            "{text:?} is no time; write a date such as 2026-11-30 or a time such as 2026-11-30T14:05:00Z"
        )
    })
}

fn since_the_epoch(at: Option<SystemTime>) -> Option<SystemTime> {
    at.filter(|at| *at >= SystemTime::UNIX_EPOCH)
}

/// As RFC 3339 writes it, to the millisecond in UTC.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn read(text: &str) -> Option<SystemTime> {
    // A plus sign in a query is a blank unless it was written as %2B.
    for spelled in [text.replacen(' ', "T", 1), text.replacen(' ', "+", 1)] {
        if let Ok(at) = DateTime::parse_from_rfc3339(&spelled) {
            return Some(at.into());
        }
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day.and_time(chrono::NaiveTime::MIN).and_utc().into());
    }
    [
        "%Y-%m-%d %H:%M",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%dT%H:%M:%S",
    ]
    .into_iter()
    .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
    .map(|at| at.and_utc().into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_times_and_ages_are_understood() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_500_000);
        let seconds = |text: &str| {
            let at = parse(text, now).ok()?;
            Some(at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
        };
        for (text, at) in [
            ("1970-01-02", 86_400),
            ("1970-01-02 00:01", 86_460),
            ("1970-01-02T00:01:01", 86_461),
            ("1970-01-02T00:01:01Z", 86_461),
            ("1970-01-02T08:00:00+08:00", 86_400),
            ("1970-01-02 08:00:00+08:00", 86_400),
            ("1970-01-02T08:00:00 08:00", 86_400),
            ("2h", 1_764_500_000 - 7200),
            (" 1d ", 1_764_500_000 - 86_400),
        ] {
            assert_eq!(seconds(text), Some(at), "{text}");
        }
        for wrong in ["", "yesterday", "2026-13-01", "30.11.2026", "99999999y"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_point_in_time_is_no_age() {
        assert_eq!(
            point("1970-01-02"),
            Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(86_400))
        );
        for wrong in ["2h", "1969-12-31", "yesterday"] {
            assert!(point(wrong).is_err(), "{wrong}");
        }
    }
}
