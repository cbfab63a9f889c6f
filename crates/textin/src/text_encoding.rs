//! The encoding of a result, as its first bytes tell it.

use std::io::{self, Read, Seek, SeekFrom};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How the text of a result is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextEncoding {
    encoding: &'static Encoding,
    /// No decoder knows UTF-32, so it is read as UTF-8.
    utf32: Option<Utf32>,
    /// The length of the marks that told it.
    mark: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Utf32 {
    Little,
    Big,
}

impl TextEncoding {
    /// JSON is UTF-8, whatever servers declare by habit, so a declared charset counts only where the bytes are not that.
    pub(crate) fn of(from: &mut (impl Read + Seek), charset: Option<&str>) -> io::Result<Self> {
        from.rewind()?;
        let mut head = Vec::new();
        from.by_ref().take(4).read_to_end(&mut head)?;
        let told = |encoding, mark| {
            Ok(Self {
                encoding,
                utf32: None,
                mark,
            })
        };
        let utf32 = |order, mark| {
            Ok(Self {
                encoding: UTF_8,
                utf32: Some(order),
                mark,
            })
        };
        // The mark of UTF-32 begins with the one of UTF-16.
        match *head {
            [0xff, 0xfe, 0, 0] => return utf32(Utf32::Little, marks(from, &head)?),
            [0, 0, 0xfe, 0xff] => return utf32(Utf32::Big, marks(from, &head)?),
            _ => {}
        }
        if let Some((encoding, mark)) = Encoding::for_bom(&head) {
            return told(encoding, marks(from, head.get(..mark).unwrap_or_default())?);
        }
        match *head {
            [first, 0, 0, 0] if may_begin(first) => return utf32(Utf32::Little, 0),
            [0, 0, 0, first] if may_begin(first) => return utf32(Utf32::Big, 0),
            [first, 0, ..] if may_begin(first) => return told(UTF_16LE, 0),
            [0, first, ..] if may_begin(first) => return told(UTF_16BE, 0),
            _ => {}
        }
        let declared =
            charset.and_then(|label| Encoding::for_label_no_replacement(label.trim().as_bytes()));
        match declared {
            Some(declared) if declared != UTF_8 && !is_utf8(from)? => told(declared, 0),
            _ => told(UTF_8, 0),
        }
    }

    pub(crate) fn other_than_utf8(&self) -> Option<&'static str> {
        match self.utf32 {
            Some(Utf32::Little) => Some("UTF-32LE"),
            Some(Utf32::Big) => Some("UTF-32BE"),
            None => (self.encoding != UTF_8).then(|| self.encoding.name()),
        }
    }

    pub(crate) fn is_marked_utf8(&self) -> bool {
        self.mark > 0 && self.other_than_utf8().is_none()
    }

    /// The bytes behind the marks, and what makes text of them.
    pub(crate) fn reader<'r>(
        &self,
        mut from: impl Read + Seek + 'r,
    ) -> io::Result<(Box<dyn Read + 'r>, Decoder)> {
        from.seek(SeekFrom::Start(self.mark))?;
        let from: Box<dyn Read> = match self.utf32 {
            Some(order) => Box::new(FromUtf32 { from, order }),
            None => Box::new(from),
        };
        Ok((from, self.encoding.new_decoder_without_bom_handling()))
    }
}

/// How many bytes of this mark the text begins with: whoever writes one may do so in front of another's.
fn marks(from: &mut (impl Read + Seek), mark: &[u8]) -> io::Result<u64> {
    from.rewind()?;
    let mut from = io::BufReader::new(from);
    let (mut length, mut next) = (0, vec![0; mark.len()]);
    loop {
        match from.read_exact(&mut next) {
            Ok(()) if next == mark => length += mark.len() as u64,
            Err(cause) if cause.kind() != io::ErrorKind::UnexpectedEof => return Err(cause),
            _ => return Ok(length),
        }
    }
}

/// Whether an object may begin so.
fn may_begin(first: u8) -> bool {
    matches!(first, b'{' | b' ' | b'\t' | b'\r' | b'\n')
}

/// Whatever is interrupted is tried again.
pub(crate) fn read(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(into) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn is_utf8(from: &mut (impl Read + Seek)) -> io::Result<bool> {
    from.rewind()?;
    let mut decoder = UTF_8.new_decoder_without_bom_handling();
    let (mut bytes, mut text) = (vec![0; 16 * 1024], vec![0; 64 * 1024]);
    loop {
        let count = read(from, &mut bytes)?;
        let mut rest = bytes.get(..count).unwrap_or_default();
        loop {
            let (outcome, taken, _) =
                decoder.decode_to_utf8_without_replacement(rest, &mut text, count == 0);
            rest = rest.get(taken..).unwrap_or_default();
            match outcome {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => return Ok(false),
            }
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

/// UTF-32 as UTF-8, with a byte that is none for what is no character. Reads nothing into less than four bytes.
struct FromUtf32<R> {
    from: R,
    order: Utf32,
}

impl<R: Read> Read for FromUtf32<R> {
    fn read(&mut self, mut into: &mut [u8]) -> io::Result<usize> {
        // No character is longer in UTF-8.
        let room = into.len() / 4 * 4;
        let (len, mut units) = (into.len(), Vec::with_capacity(room));
        self.from
            .by_ref()
            .take(room as u64)
            .read_to_end(&mut units)?;
        for unit in units.chunks(4) {
            let number = unit.try_into().ok().map(|unit| match self.order {
                Utf32::Little => u32::from_le_bytes(unit),
                Utf32::Big => u32::from_be_bytes(unit),
            });
            let mut buffer = [0; 4];
            let text = match number.and_then(char::from_u32) {
                Some(character) => character.encode_utf8(&mut buffer).as_bytes(),
                None => b"\xff",
            };
            io::Write::write_all(&mut into, text)?;
        }
        Ok(len - into.len())
    }
}
