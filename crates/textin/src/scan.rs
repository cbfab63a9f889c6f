//! Reads a result of any size in one pass, however odd its text is.
//!
//! What was paid for is delivered if all of it arrived, so this tells two things apart that a strict reader does not: a
//! result that is *not whole* (it ends too early, its brackets do not match, it is no object), and one that is whole and
//! *oddly written* (half a surrogate, `NaN`, a control character, a comma too many, another encoding). The second is read
//! as far as it can be, with U+FFFD for what no reader could make sense of. Nothing but the nesting is held in memory,
//! neither keys nor texts, whose length the other side chooses.

use std::fmt;
use std::io::{self, Read, Seek, Write};

use encoding_rs::CoderResult;
use jobs_core::http::CheckError;

use crate::text_encoding::{TextEncoding, read};

/// Where the Markdown text goes.
pub(crate) trait TextSink: Write {
    /// Forgets what was written: a key that is repeated counts as it stands last.
    ///
    /// # Errors
    /// What the disk says.
    fn restart(&mut self) -> io::Result<()>;
}

/// What a result was seen to hold.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) elements: Option<u64>,
    pub(crate) success_count: Option<u64>,
    pub(crate) code: Option<i64>,
    pub(crate) markdown: Option<Level>,
    pub(crate) oddities: Oddities,
}

/// A result comes bare, or below `data` of the envelope. What stands at the top counts for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Data,
    Top,
}

/// Where a result is not written as JSON should be.
#[derive(Debug, Default)]
pub(crate) struct Oddities {
    first: Option<(&'static str, u64)>,
    count: u64,
    encoding: Option<&'static str>,
    has_bad_bytes: bool,
}

impl Oddities {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0 && self.encoding.is_none() && !self.has_bad_bytes
    }
}

impl fmt::Display for Oddities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(encoding) = self.encoding {
            parts.push(format!("it is in {encoding}"));
        }
        if self.has_bad_bytes {
            parts.push("some of its bytes are no text".to_owned());
        }
        if let Some((what, at)) = self.first {
            let more = match self.count {
                1 => String::new(),
                count => format!(" and in {} more places", count - 1),
            };
            parts.push(format!("{what} at byte {at} of its text{more}"));
        }
        f.write_str(&parts.join(", "))
    }
}

/// Reads a whole result and writes its Markdown text as it passes. `charset` is what its headers declare.
///
/// # Errors
/// [`CheckError::Invalid`] for one that is not whole or is no object.
pub(crate) fn scan(
    mut from: impl Read + Seek,
    charset: Option<&str>,
    markdown: &mut impl TextSink,
) -> Result<Seen, CheckError> {
    let found = TextEncoding::of(&mut from, charset)?;
    let mut scanner = Scanner::new(markdown);
    scanner.seen.oddities.encoding = found.other_than_utf8();
    if found.is_marked_utf8() {
        scanner.odd("a byte order mark");
    }
    let (mut from, mut decoder) = found.reader(from)?;
    let (mut bytes, mut text) = (vec![0; 16 * 1024], vec![0; 64 * 1024]);
    loop {
        let count = read(&mut from, &mut bytes)?;
        let mut rest = bytes.get(..count).unwrap_or_default();
        loop {
            let (outcome, taken, written, is_bad) =
                decoder.decode_to_utf8(rest, &mut text, count == 0);
            scanner.seen.oddities.has_bad_bytes |= is_bad;
            scanner.feed(text.get(..written).unwrap_or_default())?;
            rest = rest.get(taken..).unwrap_or_default();
            if outcome == CoderResult::InputEmpty {
                break;
            }
        }
        if count == 0 {
            return scanner.end();
        }
    }
}

/// Deeper than any document, and one place in memory each.
const DEEPEST: usize = 1 << 16;

/// Longer keys, numbers and words are none that are looked for.
const LONGEST: usize = 64;

struct Scanner<'m, M> {
    markdown: &'m mut M,
    seen: Seen,
    open: Vec<Container>,
    mode: Mode,
    /// The beginning of the key, number or word that is being read; one place longer than those that are looked for.
    short: Vec<u8>,
    /// How deep the elements lie while their list is open.
    elements_at: Option<usize>,
    has_begun: bool,
    /// How many bytes of text were read before.
    at: u64,
}

#[derive(Debug, Clone, Copy)]
struct Container {
    is_object: bool,
    expected: Expected,
    is_after_comma: bool,
    key: Key,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    Key,
    Colon,
    Value,
    Comma,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    Elements,
    Markdown,
    SuccessCount,
    Code,
    Data,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Between,
    /// A number or one of the three words, or whatever stands in their place.
    Word(Use),
    Text(Use, Escape, Option<u16>),
}

/// What is done with a text or word.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Use {
    Key,
    Markdown,
    Number,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Escape {
    None,
    Backslash,
    Unicode { digits: u8, unit: u16 },
}

impl<'m, M: TextSink> Scanner<'m, M> {
    fn new(markdown: &'m mut M) -> Self {
        Self {
            markdown,
            seen: Seen::default(),
            open: Vec::new(),
            mode: Mode::Between,
            short: Vec::with_capacity(LONGEST + 1),
            elements_at: None,
            has_begun: false,
            at: 0,
        }
    }

    fn odd(&mut self, what: &'static str) {
        let oddities = &mut self.seen.oddities;
        oddities.first.get_or_insert((what, self.at));
        oddities.count += 1;
    }

    fn feed(&mut self, mut text: &[u8]) -> Result<(), CheckError> {
        while let Some(first) = text.first() {
            let taken = match self.mode {
                Mode::Between => self.between(*first)?,
                Mode::Word(of) => self.word(of, text)?,
                Mode::Text(of, escape, high) => self.text(of, escape, high, text)?,
            };
            self.at += taken as u64;
            text = text.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    fn end(mut self) -> Result<Seen, CheckError> {
        if self.has_begun && self.open.is_empty() && self.mode == Mode::Between {
            return Ok(self.seen);
        }
        self.seen.markdown = None;
        Err(invalid(if self.has_begun {
            "the result is cut: its JSON ends too early"
        } else {
            "the result is empty"
        }))
    }

    /// One byte of what holds the texts and words together. Says how many bytes were taken.
    fn between(&mut self, byte: u8) -> Result<usize, CheckError> {
        if self.open.is_empty() {
            return self.outside(byte);
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'{' | b'[' => {
                self.begin_value(byte);
                self.push(byte == b'{')?;
            }
            b'}' | b']' => self.pop(byte == b'}')?,
            b':' => self.punctuate(Expected::Colon, Expected::Value),
            b',' => {
                let next = match self.open.last() {
                    Some(open) if open.is_object => Expected::Key,
                    _ => Expected::Value,
                };
                self.punctuate(Expected::Comma, next);
                if let Some(open) = self.open.last_mut() {
                    open.is_after_comma = true;
                }
            }
            b'"' => {
                let of = self.begin_text(byte)?;
                self.mode = Mode::Text(of, Escape::None, None);
            }
            _ => {
                let of = self.begin_text(byte)?;
                self.mode = Mode::Word(of);
                return Ok(0);
            }
        }
        Ok(1)
    }

    /// Before the object and behind it.
    fn outside(&mut self, byte: u8) -> Result<usize, CheckError> {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'{' if !self.has_begun => {
                self.has_begun = true;
                self.push(true)?;
            }
            0 => self.odd("a zero byte"),
            _ if self.has_begun => {
                return Err(invalid("the result is no JSON: something follows its end"));
            }
            b'<' => return Err(invalid("the result is no JSON but a page")),
            _ => return Err(invalid("the result is no JSON object")),
        }
        Ok(1)
    }

    fn push(&mut self, is_object: bool) -> Result<(), CheckError> {
        if self.open.len() >= DEEPEST {
            return Err(invalid("the result is nested too deeply"));
        }
        self.open.push(Container {
            is_object,
            expected: if is_object {
                Expected::Key
            } else {
                Expected::Value
            },
            is_after_comma: false,
            key: Key::Other,
        });
        Ok(())
    }

    fn pop(&mut self, is_object: bool) -> Result<(), CheckError> {
        let Some(open) = self.open.pop().filter(|open| open.is_object == is_object) else {
            return Err(invalid("the result is no JSON: its brackets do not match"));
        };
        let is_fine = match (is_object, open.expected) {
            (_, Expected::Comma) => true,
            (true, Expected::Key) | (false, Expected::Value) => !open.is_after_comma,
            _ => false,
        };
        if !is_fine {
            self.odd("a value that is missing");
        }
        if self.elements_at == Some(self.open.len() + 1) {
            self.elements_at = None;
        }
        Ok(())
    }

    fn punctuate(&mut self, expected: Expected, next: Expected) {
        let Some(open) = self.open.last_mut() else {
            return;
        };
        let is_fine = open.expected == expected;
        open.expected = next;
        open.is_after_comma = false;
        if !is_fine {
            self.odd("a comma or colon in the wrong place");
        }
    }

    /// A value begins in the innermost container. Says which key it stands below, if that is one that is looked for.
    fn begin_value(&mut self, byte: u8) -> Option<(Level, Key)> {
        let depth = self.open.len();
        let level = match self.open.as_slice() {
            [_] => Some(Level::Top),
            [top, inner] if top.key == Key::Data && inner.is_object => Some(Level::Data),
            _ => None,
        };
        let open = self.open.last_mut()?;
        let is_fine = open.expected == Expected::Value;
        // A colon may be missing; without a key before it, a value has none.
        let has_key = is_fine || open.expected == Expected::Colon;
        let key = if has_key { open.key } else { Key::Other };
        (open.expected, open.is_after_comma) = (Expected::Comma, false);
        if !is_fine {
            self.odd("a value in the wrong place");
        }
        if self.elements_at == Some(depth) {
            let elements = self.seen.elements.get_or_insert(0);
            *elements += 1;
        }
        if level.is_some() && key == Key::Elements && byte == b'[' {
            self.elements_at = Some(depth + 1);
            self.seen.elements = Some(0);
        }
        level.map(|level| (level, key))
    }

    /// A text or word begins: a key, or a value.
    fn begin_text(&mut self, byte: u8) -> Result<Use, CheckError> {
        self.short.clear();
        let expected = self
            .open
            .last()
            .filter(|open| open.is_object)
            .map(|open| open.expected);
        if matches!(expected, Some(Expected::Key | Expected::Comma)) {
            if expected == Some(Expected::Comma) {
                self.odd("a comma that is missing");
            }
            if byte != b'"' {
                self.odd("a key without quotes");
            }
            return Ok(Use::Key);
        }
        let is_text = byte == b'"';
        Ok(match self.begin_value(byte) {
            Some((level, Key::Markdown)) if is_text && self.seen.markdown <= Some(level) => {
                if self.seen.markdown.replace(level).is_some() {
                    self.markdown.restart()?;
                }
                Use::Markdown
            }
            Some((_, Key::SuccessCount) | (Level::Top, Key::Code)) => Use::Number,
            _ => Use::Nothing,
        })
    }

    /// As much of a word as there is.
    fn word(&mut self, of: Use, text: &[u8]) -> Result<usize, CheckError> {
        let ends = |byte: &u8| {
            matches!(
                byte,
                b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'}' | b'[' | b']' | b':' | b',' | b'"'
            )
        };
        let end = text.iter().position(ends);
        let taken = end.unwrap_or(text.len());
        self.emit(Use::Nothing, text.get(..taken).unwrap_or_default())?;
        if end.is_some() {
            if of != Use::Key && !is_word(&self.short) {
                self.odd("a word that is no value, such as NaN");
            }
            self.finish(of);
            self.mode = Mode::Between;
        }
        Ok(taken)
    }

    /// As much of a text as is one piece: what needs no thought, or one byte of an escape.
    fn text(
        &mut self,
        of: Use,
        escape: Escape,
        high: Option<u16>,
        text: &[u8],
    ) -> Result<usize, CheckError> {
        let byte = text.first().copied().unwrap_or_default();
        match escape {
            Escape::None => self.plain(of, high, text),
            Escape::Backslash => {
                let plain = match byte {
                    b'u' => {
                        let escape = Escape::Unicode { digits: 0, unit: 0 };
                        self.mode = Mode::Text(of, escape, high);
                        return Ok(1);
                    }
                    b'"' | b'\\' | b'/' => Some(byte),
                    b'b' => Some(8),
                    b'f' => Some(12),
                    b'n' => Some(b'\n'),
                    b'r' => Some(b'\r'),
                    b't' => Some(b'\t'),
                    _ => None,
                };
                self.lone(of, high)?;
                self.mode = Mode::Text(of, Escape::None, None);
                match plain {
                    Some(plain) => {
                        self.emit(of, &[plain])?;
                        Ok(1)
                    }
                    // As it stands: the formulas of a careless writer have such.
                    None => {
                        self.odd("a backslash that escapes nothing");
                        self.emit(of, b"\\")?;
                        Ok(0)
                    }
                }
            }
            Escape::Unicode { digits, unit } => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    self.lone(of, high)?;
                    self.odd("an escape that is no character");
                    self.emit(of, REPLACEMENT)?;
                    self.mode = Mode::Text(of, Escape::None, None);
                    return Ok(0);
                };
                let unit = unit << 4 | u16::try_from(digit).unwrap_or_default();
                self.mode = if digits < 3 {
                    let digits = digits + 1;
                    Mode::Text(of, Escape::Unicode { digits, unit }, high)
                } else {
                    let high = self.unit(of, high, unit)?;
                    Mode::Text(of, Escape::None, high)
                };
                Ok(1)
            }
        }
    }

    /// Up to the next quote, escape or control character.
    fn plain(&mut self, of: Use, high: Option<u16>, text: &[u8]) -> Result<usize, CheckError> {
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        let len = text.iter().position(is_special).unwrap_or(text.len());
        if len > 0 {
            self.lone(of, high)?;
            self.mode = Mode::Text(of, Escape::None, None);
            self.emit(of, text.get(..len).unwrap_or_default())?;
            return Ok(len);
        }
        match text.first() {
            Some(b'\\') => self.mode = Mode::Text(of, Escape::Backslash, high),
            Some(b'"') => {
                self.lone(of, high)?;
                self.finish(of);
                self.mode = Mode::Between;
            }
            Some(control) => {
                self.lone(of, high)?;
                self.mode = Mode::Text(of, Escape::None, None);
                self.odd("a control character");
                self.emit(of, &[*control])?;
            }
            None => {}
        }
        Ok(1)
    }

    /// A whole `\uXXXX`. Says which half of a pair now waits for the other.
    fn unit(&mut self, of: Use, high: Option<u16>, unit: u16) -> Result<Option<u16>, CheckError> {
        let units = high.into_iter().chain([unit]);
        let whole = char::decode_utf16(units).next();
        match (high, whole) {
            (Some(_), Some(Ok(pair))) => self.emit_char(of, pair)?,
            (Some(_), _) => {
                self.lone(of, high)?;
                return self.unit(of, None, unit);
            }
            (None, Some(Ok(single))) => self.emit_char(of, single)?,
            (None, _) if (0xd800..0xdc00).contains(&unit) => return Ok(Some(unit)),
            (None, _) => self.lone(of, Some(unit))?,
        }
        Ok(None)
    }

    /// The half of a pair whose other half did not come.
    fn lone(&mut self, of: Use, half: Option<u16>) -> Result<(), CheckError> {
        if half.is_some() {
            self.odd("half of a character (a lone surrogate)");
            self.emit(of, REPLACEMENT)?;
        }
        Ok(())
    }

    fn emit_char(&mut self, of: Use, character: char) -> Result<(), CheckError> {
        let mut buffer = [0; 4];
        self.emit(of, character.encode_utf8(&mut buffer).as_bytes())
    }

    fn emit(&mut self, of: Use, text: &[u8]) -> Result<(), CheckError> {
        if of == Use::Markdown {
            self.markdown.write_all(text)?;
        } else {
            let room = (LONGEST + 1).saturating_sub(self.short.len());
            let beginning = text.get(..room.min(text.len())).unwrap_or_default();
            self.short.extend_from_slice(beginning);
        }
        Ok(())
    }

    /// A key, text or word is whole.
    fn finish(&mut self, of: Use) {
        match of {
            Use::Key => {
                let key = match self.short.as_slice() {
                    b"elements" => Key::Elements,
                    b"markdown" => Key::Markdown,
                    b"success_count" => Key::SuccessCount,
                    b"code" => Key::Code,
                    b"data" => Key::Data,
                    _ => Key::Other,
                };
                if let Some(open) = self.open.last_mut() {
                    (open.key, open.expected) = (key, Expected::Colon);
                    open.is_after_comma = false;
                }
            }
            Use::Number => {
                let text = str::from_utf8(&self.short).unwrap_or_default().trim();
                let is_code = self.open.last().is_some_and(|open| open.key == Key::Code);
                if is_code {
                    self.seen.code = text.parse().ok();
                } else {
                    self.seen.success_count = text.parse().ok();
                }
            }
            Use::Markdown | Use::Nothing => {}
        }
    }
}

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

fn invalid(problem: &str) -> CheckError {
    CheckError::Invalid(problem.to_owned())
}

/// Whether it is a number or one of the three words. A number longer than is kept is taken for one.
fn is_word(text: &[u8]) -> bool {
    match text {
        b"true" | b"false" | b"null" => true,
        _ if text.len() > LONGEST => text
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')),
        _ => is_number(text),
    }
}

fn is_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = digits(text);
    let leads = whole.len() > 1 && whole.starts_with(b"0");
    let (fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let (fraction, rest) = digits(rest);
            (!fraction.is_empty(), rest)
        }
        None => (true, rest),
    };
    let exponent = match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => {
            let (exponent, rest) = digits(rest);
            !exponent.is_empty() && rest.is_empty()
        }
        _ => false,
    };
    !whole.is_empty() && !leads && fraction && exponent
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}
