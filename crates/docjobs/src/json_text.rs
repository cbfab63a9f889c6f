//! A text of any length as a JSON string, without holding it in memory.

use std::io::{self, Read, Write};

/// Writes what `from` gives as the inside of a JSON string. Bytes that are no UTF-8 become U+FFFD.
pub(crate) fn write(mut from: impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    // The beginning of a character whose rest is in the next piece.
    let mut kept = 0;
    loop {
        let count = match from.read(piece.get_mut(kept..).unwrap_or_default()) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        let text = piece.get(..kept + count).unwrap_or_default();
        let whole = if count == 0 { text.len() } else { whole(text) };
        let (now, later) = text.split_at(whole);
        let quoted = serde_json::to_string(&String::from_utf8_lossy(now))?;
        let inside = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        to.write_all(inside.as_bytes())?;
        if count == 0 {
            return Ok(());
        }
        let len = later.len();
        piece.copy_within(whole..whole + len, 0);
        kept = len;
    }
}

/// How much of `text` does not end within a character.
fn whole(text: &[u8]) -> usize {
    const LONGEST: usize = 3;
    let begins = |byte: &u8| *byte >= 0xc0;
    let tail = text.len().saturating_sub(LONGEST);
    let last = text.get(tail..).unwrap_or_default();
    match last.iter().rposition(begins) {
        Some(at) => {
            let start = tail + at;
            let rest = text.get(start..).unwrap_or_default();
            match str::from_utf8(rest) {
                Err(problem) if problem.error_len().is_none() => start,
                _ => text.len(),
            }
        }
        None => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(into.len());
            let (now, later) = self.0.split_at(count);
            into[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    #[test]
    fn a_text_is_the_same_however_it_comes() {
        for text in [
            &b""[..],
            "plain \" \\ \n \u{1} 中文 😀 é".as_bytes(),
            b"bad \xff\xfe \xe4\xb8 end \xf0\x9f",
        ] {
            let expected = serde_json::to_string(&String::from_utf8_lossy(text)).unwrap();
            for step in 1..9 {
                let mut written = Vec::new();
                write(Dribble(text, step), &mut written).unwrap();
                let written = format!("\"{}\"", String::from_utf8(written).unwrap());
                assert_eq!(written, expected, "{step}");
            }
        }
    }
}
