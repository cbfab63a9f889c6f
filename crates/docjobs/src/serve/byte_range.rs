//! Which bytes of a file a request asks for, and whether it has them already.

use std::ops::RangeInclusive;

/// What part of a file is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Bytes(RangeInclusive<u64>),
    /// No byte of the file is in the range.
    Unsatisfiable,
}

/// The part that the header `Range` asks for. Several ranges, another unit, and what makes no sense are answered with the
/// whole file, as the standard allows; so is a range of another version than `If-Range` names.
pub(super) fn part(range: Option<&str>, if_range: Option<&str>, etag: &str, length: u64) -> Part {
    let Some(range) = range.filter(|_| if_range.is_none_or(|known| known == etag)) else {
        return Part::Whole;
    };
    let Some((first, last)) = range
        .trim()
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Part::Whole;
    };
    let number = |text: &str| {
        let text = text.trim();
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<u64>().ok())?
    };
    match (number(first), number(last)) {
        (Some(first), _)
            if first >= length && (last.trim().is_empty() || number(last).is_some()) =>
        {
            Part::Unsatisfiable
        }
        (Some(first), Some(last)) if first <= last => Part::Bytes(first..=last.min(length - 1)),
        (Some(first), None) if last.trim().is_empty() => Part::Bytes(first..=length - 1),
        (None, Some(0)) if first.trim().is_empty() => Part::Unsatisfiable,
        (None, Some(_)) if first.trim().is_empty() && length == 0 => Part::Unsatisfiable,
        (None, Some(count)) if first.trim().is_empty() => {
            Part::Bytes(length.saturating_sub(count)..=length - 1)
        }
        _ => Part::Whole,
    }
}

/// Whether a client that says this in `If-None-Match` has the file already.
pub(super) fn has_it(if_none_match: Option<&str>, etag: &str) -> bool {
    if_none_match.is_some_and(|known| {
        known
            .split(',')
            .map(str::trim)
            .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let etag = "\"e\"";
        for (range, wanted) in [
            ("bytes=0-3", Part::Bytes(0..=3)),
            ("bytes=8-", Part::Bytes(8..=9)),
            ("bytes=-3", Part::Bytes(7..=9)),
            ("bytes=-30", Part::Bytes(0..=9)),
            ("bytes=5-500", Part::Bytes(5..=9)),
            ("bytes=9-9", Part::Bytes(9..=9)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=10-20", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=3-1", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=-", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes=a-b", Part::Whole),
        ] {
            assert_eq!(part(Some(range), None, etag, 10), wanted, "{range}");
        }
        assert_eq!(part(None, None, etag, 10), Part::Whole);
        assert_eq!(
            part(Some("bytes=0-0"), Some("\"f\""), etag, 10),
            Part::Whole
        );
        assert_eq!(
            part(Some("bytes=0-0"), Some(etag), etag, 10),
            Part::Bytes(0..=0)
        );
        assert_eq!(part(Some("bytes=0-0"), None, etag, 0), Part::Unsatisfiable);
        assert_eq!(part(Some("bytes=-1"), None, etag, 0), Part::Unsatisfiable);
    }

    #[test]
    fn a_version_that_is_known_is_told_from_others() {
        assert!(has_it(Some("\"a\", \"b\""), "\"b\""));
        assert!(has_it(Some("W/\"b\""), "\"b\""));
        assert!(has_it(Some("*"), "\"b\""));
        assert!(!has_it(Some("\"a\""), "\"b\""));
        assert!(!has_it(None, "\"b\""));
    }
}
