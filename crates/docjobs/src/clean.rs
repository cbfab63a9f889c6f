//! What others wrote, as it may stand on a screen: on one line, without commands to the terminal, and not endless.
//!
//! Vendors' words, names of files and pages of proxies are put into our sentences as they came. Here is the one place
//! that makes them harmless, right before they are printed. JSON for scripts is exact and does not come by.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

/// Characters of one line; what is longer lacks its middle, so that what to do next is still there.
const LONGEST: usize = 4000;
const TAIL: usize = 1000;

/// The text on one line, with every character that steers a terminal, or the order in which others are shown, spelt out.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    let text = short(text);
    if !text.contains(steers) {
        return text;
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean.into()
}

/// Control characters but the tab, line separators, direction marks, and what is invisible.
fn steers(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

fn short(text: &str) -> Cow<'_, str> {
    // Bytes are no fewer than characters.
    if text.len() <= LONGEST {
        return text.into();
    }
    let count = text.chars().count();
    if count <= LONGEST {
        return text.into();
    }
    let at = |nth: usize| {
        text.char_indices()
            .nth(nth)
            .map_or(text.len(), |(at, _)| at)
    };
    let (head, tail) = text.split_at(at(LONGEST - TAIL));
    let mut short = head.to_owned();
    let left_out = count - LONGEST;
    let _ = write!(short, " … {left_out} characters left out … ");
    let tail_at = tail
        .char_indices()
        .nth(left_out)
        .map_or(tail.len(), |(at, _)| at);
    short.push_str(tail.get(tail_at..).unwrap_or_default());
    short.into()
}

/// `1 job`, `2 jobs`.
pub(crate) fn count(number: impl Display, noun: &str) -> String {
    match number.to_string().as_str() {
        "1" => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_spelt_out_and_the_rest_stays() {
        for (given, shown) in [
            ("处理失败 é 👩‍💻\t-", "处理失败 é 👩‍💻\t-"),
            ("\u{1b}]0;owned\u{7}", "\\u{1b}]0;owned\\u{7}"),
            ("a\r\nticket: forged", "a\\r\\nticket: forged"),
            ("\u{9b}31m\u{85}\u{7f}", "\\u{9b}31m\\u{85}\\u{7f}"),
            ("gpj\u{202e}fdp.exe", "gpj\\u{202e}fdp.exe"),
            ("\u{2066}\u{2069}\u{200f}", "\\u{2066}\\u{2069}\\u{200f}"),
            ("a\u{2028}b\u{feff}", "a\\u{2028}b\\u{feff}"),
        ] {
            assert_eq!(line(given), shown);
        }
    }

    #[test]
    fn a_word_of_megabytes_leaves_room_for_ours() {
        for word in ["x", "界", "\u{1b}"] {
            let text = format!("textin said {}; next: docjobs wait 7", word.repeat(8 << 20));
            let shown = line(&text);
            assert!(shown.len() < 40_000, "{}", shown.len());
            assert!(shown.starts_with("textin said "), "{shown}");
            assert!(shown.ends_with("; next: docjobs wait 7"), "{shown}");
            assert!(shown.contains("characters left out"), "{shown}");
        }
        let exact = "界".repeat(LONGEST);
        assert_eq!(line(&exact), exact);
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!(count(1_u32, "job"), "1 job");
        assert_eq!(count(0_u32, "job"), "0 jobs");
        assert_eq!(count(2_u64, "page"), "2 pages");
    }
}
