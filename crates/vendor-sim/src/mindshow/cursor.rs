//! Pages of lists, newest first, with cursors that mean nothing to the client.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The part of a list (given by its sequence numbers, newest first) behind a cursor, and the next cursor. `None`: not a
/// cursor of ours.
pub(crate) fn page(
    newest_first: &[u64],
    after: &str,
    limit: usize,
    by_offset: bool,
) -> Option<(Range<usize>, String)> {
    let start = match after {
        "" => 0,
        _ => {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(after).ok()?).ok()?;
            match text.split_once(':')? {
                ("before", number) => {
                    let number: u64 = number.parse().ok()?;
                    newest_first.partition_point(|item| *item >= number)
                }
                ("skip", number) => number.parse::<usize>().ok()?.min(newest_first.len()),
                _ => return None,
            }
        }
    };
    let end = start.saturating_add(limit).min(newest_first.len());
    let last = end.checked_sub(1).and_then(|last| newest_first.get(last));
    let next = match last {
        Some(_) if end == newest_first.len() => String::new(),
        Some(_) if by_offset => encoded("skip", end as u64),
        Some(last) => encoded("before", *last),
        None => String::new(),
    };
    Some((start..end, next))
}

fn encoded(word: &str, number: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{word}:{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_everything_once_although_new_items_arrive_between() {
        let mut items: Vec<u64> = (0..5).rev().collect();
        let (first, after) = page(&items, "", 2, false).unwrap();
        assert_eq!(items[first], [4, 3]);
        items.insert(0, 5);
        let (second, after) = page(&items, &after, 2, false).unwrap();
        assert_eq!(items[second], [2, 1]);
        let (third, after) = page(&items, &after, 2, false).unwrap();
        assert_eq!((&items[third], after.as_str()), ([0].as_slice(), ""));
    }

    #[test]
    fn offset_cursors_repeat_an_item_when_a_new_one_arrives() {
        let mut items: Vec<u64> = (0..4).rev().collect();
        let (_, after) = page(&items, "", 2, true).unwrap();
        items.insert(0, 4);
        let (second, _) = page(&items, &after, 2, true).unwrap();
        assert_eq!(items[second], [2, 1]);
    }

    #[test]
    fn empty_lists_end_at_once_and_foreign_cursors_are_refused() {
        assert_eq!(page(&[], "", 10, false), Some((0..0, String::new())));
        assert_eq!(page(&[1], "", 1, false), Some((0..1, String::new())));
        assert_eq!(page(&[1], "nonsense", 1, false), None);
        assert_eq!(page(&[1], "x", 1, false), None);
    }
}
