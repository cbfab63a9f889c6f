//! A page of a long text, counted in Unicode characters, with the headings of the whole. Reads once and keeps the page
//! alone, so the text may be longer than memory.

use std::io::{self, Read};

use serde::Serialize;

/// A page, as `get_result` answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TextPage {
    pub(crate) text: String,
    pub(crate) offset: u64,
    pub(crate) next_offset: Option<u64>,
    pub(crate) total: u64,
    pub(crate) outline: Vec<Heading>,
}

/// A heading of Markdown and where its line begins, in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Heading {
    pub(crate) title: String,
    pub(crate) level: u8,
    pub(crate) offset: u64,
}

/// The most characters of a page.
pub(crate) const MAX_PAGE: u64 = 100_000;
/// How many headings an outline names.
const HEADINGS: usize = 500;
/// How much of a line is looked at: a heading is short.
const LINE: usize = 300;

/// Reads the page of `limit` characters from `offset` on. Bytes that are not UTF-8 count as one U+FFFD a piece.
pub(crate) fn read(from: &mut impl Read, offset: u64, limit: u64) -> io::Result<TextPage> {
    let mut page = PageReader::new(offset, limit);
    let mut buffer = vec![0; 64 * 1024];
    let mut carried = 0;
    loop {
        let free = buffer.get_mut(carried..).unwrap_or_default();
        let count = from.read(free)?;
        let filled = carried + count;
        let is_end = count == 0;
        let bytes = buffer.get(..filled).unwrap_or_default();
        let used = page.take(bytes, is_end);
        if is_end {
            return Ok(page.finish());
        }
        buffer.copy_within(used..filled, 0);
        carried = filled - used;
    }
}

struct PageReader {
    offset: u64,
    end: u64,
    text: String,
    position: u64,
    outline: Outline,
}

impl PageReader {
    fn new(offset: u64, limit: u64) -> Self {
        Self {
            offset,
            end: offset.saturating_add(limit),
            text: String::new(),
            position: 0,
            outline: Outline::default(),
        }
    }

    /// Takes whole characters; gives how many bytes that were. Up to three are left for the next piece.
    fn take(&mut self, bytes: &[u8], is_end: bool) -> usize {
        let mut used = 0;
        for piece in bytes.utf8_chunks() {
            for character in piece.valid().chars() {
                self.push(character);
            }
            used += piece.valid().len();
            let invalid = piece.invalid();
            if invalid.is_empty() {
                continue;
            }
            let is_last = used + invalid.len() == bytes.len();
            let may_go_on =
                std::str::from_utf8(invalid).is_err_and(|problem| problem.error_len().is_none());
            if is_last && may_go_on && !is_end {
                return used;
            }
            self.push(char::REPLACEMENT_CHARACTER);
            used += invalid.len();
        }
        used
    }

    fn push(&mut self, character: char) {
        if (self.offset..self.end).contains(&self.position) {
            self.text.push(character);
        }
        self.outline.push(character, self.position);
        self.position += 1;
    }

    fn finish(mut self) -> TextPage {
        self.outline.end_line();
        let is_more = self.end < self.position;
        TextPage {
            text: self.text,
            offset: self.offset,
            next_offset: is_more.then_some(self.end),
            total: self.position,
            outline: self.outline.headings,
        }
    }
}

/// Collects the headings of Markdown line by line, those in fenced code left out.
#[derive(Default)]
struct Outline {
    headings: Vec<Heading>,
    line: String,
    length: usize,
    start: u64,
    fence: Option<(char, usize)>,
}

impl Outline {
    fn push(&mut self, character: char, position: u64) {
        if character == '\n' {
            self.end_line();
            self.start = position + 1;
        } else if self.length < LINE {
            self.line.push(character);
            self.length += 1;
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.length = 0;
        let indented = line.len() - line.trim_start_matches(' ').len();
        let line = line.trim();
        if indented > 3 {
            return;
        }
        if let Some(fence) = fence(line) {
            self.fence = match self.fence {
                None => Some(fence),
                Some(open) if open.0 == fence.0 && fence.1 >= open.1 => None,
                open => open,
            };
        } else if self.fence.is_none()
            && self.headings.len() < HEADINGS
            && let Some((level, title)) = heading(line)
        {
            self.headings.push(Heading {
                title: title.to_owned(),
                level,
                offset: self.start,
            });
        }
    }
}

/// The character and length of a code fence.
fn fence(line: &str) -> Option<(char, usize)> {
    let first = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == first).count();
    (length >= 3).then_some((first, length))
}

fn heading(line: &str) -> Option<(u8, &str)> {
    let rest = line.trim_start_matches('#');
    let level = u8::try_from(line.len() - rest.len()).ok()?;
    let is_heading = (1..=6).contains(&level) && rest.starts_with([' ', '\t']);
    let title = rest.trim();
    let closed = title.trim_end_matches('#');
    let title = if closed.ends_with([' ', '\t']) || closed.is_empty() {
        closed.trim_end()
    } else {
        title
    };
    (is_heading && !title.is_empty()).then_some((level, title))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(text: &str, offset: u64, limit: u64) -> TextPage {
        read(&mut text.as_bytes(), offset, limit).unwrap()
    }

    #[test]
    fn a_page_counts_characters_and_says_where_the_next_begins() {
        let text = "一二三四五六七八九十";
        let first = page(text, 0, 4);
        assert_eq!(
            (first.text.as_str(), first.next_offset),
            ("一二三四", Some(4))
        );
        assert_eq!(first.total, 10);
        let last = page(text, 8, 4);
        assert_eq!((last.text.as_str(), last.next_offset), ("九十", None));
        let exact = page(text, 6, 4);
        assert_eq!((exact.text.as_str(), exact.next_offset), ("七八九十", None));
        let beyond = page(text, 99, 4);
        assert_eq!((beyond.text.as_str(), beyond.next_offset), ("", None));
        assert_eq!(page("", 0, 4).total, 0);
        assert_eq!(page(text, u64::MAX, u64::MAX).text, "");
    }

    #[test]
    fn the_outline_names_the_headings_of_the_whole_text() {
        let text = "# 标题\n\ntext # no\n## Second ##\n#no\n```\n# code\n```\n~~~\n```\n# code\n~~~\n    # code\n\
                    ####### seven\n#\n### C#\r\n# last";
        let outline = page(text, 0, 1).outline;
        let named: Vec<(u8, &str)> = outline
            .iter()
            .map(|heading| (heading.level, heading.title.as_str()))
            .collect();
        assert_eq!(named, [(1, "标题"), (2, "Second"), (3, "C#"), (1, "last")]);
        for heading in outline {
            let line = page(text, heading.offset, u64::from(heading.level) + 1).text;
            assert_eq!(line, format!("{} ", "#".repeat(heading.level.into())));
        }
    }

    #[test]
    fn odd_bytes_are_one_character_a_piece() {
        let bytes = b"a\xff\xe4\xb8b\xe4";
        let page = read(&mut &bytes[..], 0, 99).unwrap();
        assert_eq!(page.text, "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(page.total, 5);
    }

    /// Gives the bytes in pieces of these lengths.
    struct Pieces<'a>(&'a [u8], Vec<usize>);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = self.1.pop().unwrap_or(1).clamp(1, 9).min(into.len());
            let count = most.min(self.0.len());
            let (now, later) = self.0.split_at(count);
            into[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    proptest! {
        #[test]
        fn pages_put_together_are_the_text(
            text in "[#a\n 一🦀é]{0,80}",
            limit in 1_u64..20,
            pieces in prop::collection::vec(1_usize..9, 0..40),
        ) {
            let (mut whole, mut offset) = (String::new(), Some(0));
            while let Some(from) = offset {
                let page = read(&mut Pieces(text.as_bytes(), pieces.clone()), from, limit).unwrap();
                prop_assert_eq!(page.total, text.chars().count() as u64);
                whole.push_str(&page.text);
                offset = page.next_offset;
            }
            prop_assert_eq!(whole, text);
        }

        #[test]
        fn any_bytes_read_as_the_standard_library_reads_them(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            pieces in prop::collection::vec(1_usize..9, 0..40),
        ) {
            let page = read(&mut Pieces(&bytes, pieces), 0, u64::MAX).unwrap();
            prop_assert_eq!(page.text, String::from_utf8_lossy(&bytes));
        }
    }
}
