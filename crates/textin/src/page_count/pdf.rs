//! Counts the pages of a PDF by following its cross-references to the root of the page tree, which says how many there are.
//!
//! A document of any size is read in a few pieces: the end names the newest cross-reference section, that one the one before
//! it and the catalog, the catalog the page tree. A section or an object may be compressed; then it is inflated as it is read
//! and not kept.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use flate2::bufread::ZlibDecoder;

use super::Uncounted;
use super::pdf_value::{Dictionary, Reader, Value};

/// How far from the end the word that tells where to begin is looked for, and from the beginning the first one.
const END: u64 = 64 << 10;
const BEGINNING: u64 = 1 << 10;
/// The largest object that is read, and where reading one starts.
const LARGEST_OBJECT: u64 = 1 << 20;
const USUAL_OBJECT: u64 = 4 << 10;
/// How many sections, and parts of one, a file may have.
const SECTIONS: usize = 1 << 10;
const PARTS: usize = 1 << 14;
/// How much is inflated at most to reach one object.
const INFLATED: u64 = 256 << 20;

/// What the catalog says.
pub(super) fn count(file: &mut (impl Read + Seek)) -> Result<u32, Uncounted> {
    let mut pdf = Pdf::open(file)?;
    let root = match pdf.root {
        Some(root) => pdf.dictionary(root)?,
        None => return Err(Uncounted::Odd),
    };
    let pages = match root.get("Pages") {
        Some(Value::Reference(pages)) => pdf.dictionary(*pages)?,
        Some(Value::Dictionary(pages)) => pages.clone(),
        _ => return Err(Uncounted::Odd),
    };
    let count = match pages.get("Count") {
        Some(Value::Integer(count)) => *count,
        Some(Value::Reference(count)) => match pdf.object(*count)? {
            Value::Integer(count) => count,
            _ => return Err(Uncounted::Odd),
        },
        _ => return Err(Uncounted::Odd),
    };
    match u32::try_from(count) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Uncounted::Odd),
    }
}

struct Pdf<'a, F> {
    file: &'a mut F,
    length: u64,
    /// Where the file begins that the positions in it are counted from.
    begin: u64,
    /// Newest first.
    sections: Vec<Section>,
    root: Option<u32>,
}

/// Where objects are, as one cross-reference section tells.
enum Section {
    Table(Vec<Lines>),
    /// A stream of rows.
    Stream(StreamSection),
}

/// Lines of 20 bytes, one for each object of a run of numbers.
struct Lines {
    first: u64,
    count: u64,
    position: u64,
}

struct StreamSection {
    stream: Stream,
    /// How many bytes of a row its three fields have.
    widths: [usize; 3],
    /// Runs of object numbers: the first, and how many.
    runs: Vec<(u64, u64)>,
}

/// The content of a stream, and how it is undone.
struct Stream {
    position: u64,
    length: u64,
    is_deflated: bool,
    /// The bytes of a row, where each stands relative to the one above it.
    predicted: Option<usize>,
}

/// Where one object is.
enum Place {
    At(u64),
    /// The object of this index in the stream of another.
    Within(u32, u64),
}

impl<'a, F: Read + Seek> Pdf<'a, F> {
    fn open(file: &'a mut F) -> Result<Self, Uncounted> {
        let length = file.seek(SeekFrom::End(0))?;
        let mut pdf = Self {
            file,
            length,
            begin: 0,
            sections: Vec::new(),
            root: None,
        };
        let head = pdf.piece(0, BEGINNING)?;
        let begin = find(&head, b"%PDF-").ok_or(Uncounted::Odd)?;
        let tail = pdf.piece(length.saturating_sub(END), END)?;
        pdf.begin = begin as u64;
        let word = rfind(&tail, b"startxref").ok_or(Uncounted::Odd)?;
        let mut reader = Reader::new(tail.get(word..).unwrap_or_default());
        reader.word("startxref").ok_or(Uncounted::Odd)?;
        let mut next = Some(reader.number().ok_or(Uncounted::Odd)?);
        while let Some(position) = next {
            if pdf.sections.len() >= SECTIONS {
                return Err(Uncounted::Odd);
            }
            let trailer = pdf.section(position)?;
            // What is in an encrypted file cannot be read.
            if trailer.get("Encrypt").is_some() {
                return Err(Uncounted::Odd);
            }
            if let (None, Some(Value::Reference(root))) = (pdf.root, trailer.get("Root")) {
                pdf.root = Some(*root);
            }
            next = trailer
                .integer("Prev")
                .and_then(|at| u64::try_from(at).ok());
        }
        Ok(pdf)
    }

    /// Takes a section down, and gives its trailer.
    fn section(&mut self, position: u64) -> Result<Dictionary, Uncounted> {
        let at = self.begin.checked_add(position).ok_or(Uncounted::Odd)?;
        let head = self.piece(at, USUAL_OBJECT)?;
        if Reader::new(&head).word("xref").is_none() {
            let (dictionary, stream) = self.stream_at(position)?;
            let section = StreamSection::new(&dictionary, stream)?;
            self.sections.push(Section::Stream(section));
            return Ok(dictionary);
        }
        let (parts, trailer) = self.table(at)?;
        self.sections.push(Section::Table(parts));
        // Objects that readers of old versions shall not see.
        if let Some(hidden) = trailer.integer("XRefStm") {
            let hidden = u64::try_from(hidden).map_err(|_| Uncounted::Odd)?;
            let (dictionary, stream) = self.stream_at(hidden)?;
            let section = StreamSection::new(&dictionary, stream)?;
            self.sections.push(Section::Stream(section));
        }
        Ok(trailer)
    }

    /// The parts of a table, and the trailer behind it.
    fn table(&mut self, mut at: u64) -> Result<(Vec<Lines>, Dictionary), Uncounted> {
        const LINE: u64 = 20;
        let head = self.piece(at, 64)?;
        let mut reader = Reader::new(&head);
        reader.word("xref").ok_or(Uncounted::Odd)?;
        at += reader.position() as u64;
        let mut parts = Vec::new();
        loop {
            let head = self.piece(at, 64)?;
            let mut reader = Reader::new(&head);
            if reader.word("trailer").is_some() {
                at += reader.position() as u64;
                let (value, _) = self.value(at)?;
                return match value {
                    Value::Dictionary(trailer) => Ok((parts, trailer)),
                    _ => Err(Uncounted::Odd),
                };
            }
            let (Some(first), Some(count)) = (reader.number(), reader.number()) else {
                return Err(Uncounted::Odd);
            };
            // The first line begins with the digits of a position.
            let gap = head.get(reader.position()..).unwrap_or_default();
            let gap = gap.iter().take_while(|byte| byte.is_ascii_whitespace());
            let lines = at + (reader.position() + gap.count()) as u64;
            parts.push(Lines {
                first,
                count,
                position: lines,
            });
            at = count
                .checked_mul(LINE)
                .and_then(|size| lines.checked_add(size))
                .filter(|_| parts.len() <= PARTS)
                .ok_or(Uncounted::Odd)?;
        }
    }

    fn dictionary(&mut self, number: u32) -> Result<Dictionary, Uncounted> {
        match self.object(number)? {
            Value::Dictionary(dictionary) => Ok(dictionary),
            _ => Err(Uncounted::Odd),
        }
    }

    fn object(&mut self, number: u32) -> Result<Value, Uncounted> {
        match self.place(number)? {
            Place::At(position) => {
                let (value, _) = self.object_at(position, number)?;
                Ok(value)
            }
            Place::Within(container, index) => self.object_within(container, index, number),
        }
    }

    /// The newest section that knows an object says where it is.
    fn place(&mut self, number: u32) -> Result<Place, Uncounted> {
        let number = u64::from(number);
        for section in &self.sections {
            let place = match section {
                Section::Table(parts) => in_table(self.file, parts, number)?,
                Section::Stream(section) => section.place(self.file, number)?,
            };
            if let Some(place) = place {
                return Ok(place);
            }
        }
        Err(Uncounted::Odd)
    }

    /// The object at a position, and where what follows it begins.
    fn object_at(&mut self, position: u64, number: u32) -> Result<(Value, u64), Uncounted> {
        let (at, found) = self.object_head(position)?;
        if found != u64::from(number) {
            return Err(Uncounted::Odd);
        }
        self.value(at)
    }

    /// Where the value of an object begins, and its number.
    fn object_head(&mut self, position: u64) -> Result<(u64, u64), Uncounted> {
        let at = self.begin.checked_add(position).ok_or(Uncounted::Odd)?;
        let head = self.piece(at, 64)?;
        let mut reader = Reader::new(&head);
        let number = reader.number().ok_or(Uncounted::Odd)?;
        reader.number().ok_or(Uncounted::Odd)?;
        reader.word("obj").ok_or(Uncounted::Odd)?;
        Ok((at + reader.position() as u64, number))
    }

    /// The value at a place of the file, read in as large a piece as it needs.
    fn value(&mut self, at: u64) -> Result<(Value, u64), Uncounted> {
        let mut size = USUAL_OBJECT;
        loop {
            let piece = self.piece(at, size)?;
            let mut reader = Reader::new(&piece);
            if let Some(value) = reader.value() {
                return Ok((value, at + reader.position() as u64));
            }
            if size >= LARGEST_OBJECT || (piece.len() as u64) < size {
                return Err(Uncounted::Odd);
            }
            size *= 16;
        }
    }

    fn stream_at(&mut self, position: u64) -> Result<(Dictionary, Stream), Uncounted> {
        let (at, _) = self.object_head(position)?;
        let (Value::Dictionary(dictionary), at) = self.value(at)? else {
            return Err(Uncounted::Odd);
        };
        let head = self.piece(at, 64)?;
        let mut reader = Reader::new(&head);
        reader.word("stream").ok_or(Uncounted::Odd)?;
        let rest = head.get(reader.position()..).unwrap_or_default();
        let line_end = if rest.starts_with(b"\r\n") { 2 } else { 1 };
        let stream = Stream::new(&dictionary, at + reader.position() as u64 + line_end)?;
        Ok((dictionary, stream))
    }

    fn object_within(
        &mut self,
        container: u32,
        index: u64,
        number: u32,
    ) -> Result<Value, Uncounted> {
        // A container is never in a container.
        let Place::At(position) = self.place(container)? else {
            return Err(Uncounted::Odd);
        };
        let (dictionary, stream) = self.stream_at(position)?;
        let first = dictionary
            .integer("First")
            .and_then(|at| u64::try_from(at).ok());
        let first = first
            .filter(|first| *first <= LARGEST_OBJECT)
            .ok_or(Uncounted::Odd)?;
        let mut content = stream.open(self.file)?;
        let mut head = Vec::new();
        (&mut content).take(first).read_to_end(&mut head)?;
        let mut reader = Reader::new(&head);
        let mut offset = None;
        for at in 0..=index {
            let (Some(known), Some(there)) = (reader.number(), reader.number()) else {
                return Err(Uncounted::Odd);
            };
            offset = (at == index && known == u64::from(number)).then_some(there);
        }
        let offset = offset
            .filter(|offset| *offset <= INFLATED)
            .ok_or(Uncounted::Odd)?;
        skip(&mut content, offset)?;
        let mut text = Vec::new();
        content.take(LARGEST_OBJECT).read_to_end(&mut text)?;
        Reader::new(&text).value().ok_or(Uncounted::Odd)
    }

    /// So many bytes from a place on, or what there is of them.
    fn piece(&mut self, at: u64, size: u64) -> Result<Vec<u8>, Uncounted> {
        if at > self.length {
            return Err(Uncounted::Odd);
        }
        let mut piece = Vec::new();
        self.file.seek(SeekFrom::Start(at))?;
        self.file.take(size).read_to_end(&mut piece)?;
        Ok(piece)
    }
}

/// Where the lines of a table say that an object is.
fn in_table(
    file: &mut (impl Read + Seek),
    parts: &[Lines],
    number: u64,
) -> Result<Option<Place>, Uncounted> {
    for part in parts {
        let Some(nth) = number
            .checked_sub(part.first)
            .filter(|nth| *nth < part.count)
        else {
            continue;
        };
        let mut line = [0; 20];
        file.seek(SeekFrom::Start(part.position + nth * 20))?;
        file.read_exact(&mut line)?;
        let mut reader = Reader::new(&line);
        let position = reader.number().ok_or(Uncounted::Odd)?;
        reader.number().ok_or(Uncounted::Odd)?;
        // A free entry may be one that a hidden section knows.
        return Ok(reader.word("n").map(|()| Place::At(position)));
    }
    Ok(None)
}

impl StreamSection {
    fn new(dictionary: &Dictionary, stream: Stream) -> Result<Self, Uncounted> {
        let whole = |values: &[Value]| -> Option<Vec<u64>> {
            let number = |value: &Value| match value {
                Value::Integer(number) => u64::try_from(*number).ok(),
                _ => None,
            };
            values.iter().map(number).collect()
        };
        let list = |key: &str| match dictionary.get(key) {
            Some(Value::Array(values)) => whole(values),
            _ => None,
        };
        let widths = list("W").ok_or(Uncounted::Odd)?;
        let mut sizes = [0; 3];
        for (size, width) in sizes.iter_mut().zip(&widths) {
            *size = usize::try_from(*width)
                .ok()
                .filter(|width| *width <= 8)
                .ok_or(Uncounted::Odd)?;
        }
        if widths.len() != 3 || sizes.iter().all(|size| *size == 0) {
            return Err(Uncounted::Odd);
        }
        let runs = match (list("Index"), dictionary.integer("Size")) {
            (Some(runs), _) if runs.len() <= PARTS => runs,
            (None, Some(size)) => vec![0, u64::try_from(size).map_err(|_| Uncounted::Odd)?],
            _ => return Err(Uncounted::Odd),
        };
        let (runs, []) = runs.as_chunks::<2>() else {
            return Err(Uncounted::Odd);
        };
        Ok(Self {
            stream,
            widths: sizes,
            runs: runs.iter().map(|[first, count]| (*first, *count)).collect(),
        })
    }

    fn place(
        &self,
        file: &mut (impl Read + Seek),
        number: u64,
    ) -> Result<Option<Place>, Uncounted> {
        let mut row: u64 = 0;
        for (first, count) in &self.runs {
            match number.checked_sub(*first).filter(|nth| nth < count) {
                Some(nth) => {
                    let row = row.checked_add(nth).ok_or(Uncounted::Odd)?;
                    return self.row(file, row);
                }
                None => row = row.checked_add(*count).ok_or(Uncounted::Odd)?,
            }
        }
        Ok(None)
    }

    fn row(&self, file: &mut (impl Read + Seek), row: u64) -> Result<Option<Place>, Uncounted> {
        let width: usize = self.widths.iter().sum();
        let bytes = self.stream.row(file, row, width)?;
        let mut rest = bytes.as_slice();
        let mut field = |width: usize| {
            let (bytes, behind) = rest.split_at_checked(width)?;
            rest = behind;
            Some(
                bytes
                    .iter()
                    .fold(0_u64, |all, byte| all << 8 | u64::from(*byte)),
            )
        };
        let [kind_width, second, third] = self.widths;
        let fields = (|| Some((field(kind_width)?, field(second)?, field(third)?)))();
        let (kind, second, third) = fields.ok_or(Uncounted::Odd)?;
        // A field without bytes says that all objects are of the usual kind.
        match if kind_width == 0 { 1 } else { kind } {
            1 => Ok(Some(Place::At(second))),
            2 => {
                let container = u32::try_from(second).map_err(|_| Uncounted::Odd)?;
                Ok(Some(Place::Within(container, third)))
            }
            _ => Ok(None),
        }
    }
}

impl Stream {
    fn new(dictionary: &Dictionary, position: u64) -> Result<Self, Uncounted> {
        let name = |value: &Value| match value {
            Value::Name(name) => Some(name.clone()),
            _ => None,
        };
        let filter = match dictionary.get("Filter") {
            None => None,
            Some(Value::Array(filters)) => match filters.as_slice() {
                [] => None,
                [filter] => Some(name(filter).ok_or(Uncounted::Odd)?),
                _ => return Err(Uncounted::Odd),
            },
            Some(filter) => Some(name(filter).ok_or(Uncounted::Odd)?),
        };
        let is_deflated = match filter.as_deref() {
            None => false,
            Some(b"FlateDecode" | b"Fl") => true,
            _ => return Err(Uncounted::Odd),
        };
        let parameters = match dictionary.get("DecodeParms") {
            Some(Value::Dictionary(parameters)) => Some(parameters),
            Some(Value::Array(all)) => match all.as_slice() {
                [Value::Dictionary(parameters)] => Some(parameters),
                _ => None,
            },
            _ => None,
        };
        let number = |key: &str| parameters.and_then(|parameters| parameters.integer(key));
        let is_byte_wise =
            number("Colors").unwrap_or(1) == 1 && number("BitsPerComponent").unwrap_or(8) == 8;
        let predicted = match number("Predictor").unwrap_or(1) {
            1 => None,
            10..=15 if is_byte_wise => {
                let columns = usize::try_from(number("Columns").unwrap_or(1)).unwrap_or(0);
                Some(columns)
                    .filter(|columns| (1..=64).contains(columns))
                    .map_or(Err(Uncounted::Odd), |columns| Ok(Some(columns)))?
            }
            _ => return Err(Uncounted::Odd),
        };
        // Where the length stands elsewhere, the compression knows its own end.
        let length = match dictionary.integer("Length") {
            Some(length) => u64::try_from(length).map_err(|_| Uncounted::Odd)?,
            None if is_deflated => u64::MAX,
            None => return Err(Uncounted::Odd),
        };
        Ok(Self {
            position,
            length,
            is_deflated,
            predicted,
        })
    }

    /// Its content, without what a prediction did to it.
    fn open<'f>(
        &self,
        file: &'f mut (impl Read + Seek),
    ) -> Result<Box<dyn BufRead + 'f>, Uncounted> {
        file.seek(SeekFrom::Start(self.position))?;
        let raw = BufReader::with_capacity(16 << 10, file.take(self.length));
        Ok(if self.is_deflated {
            Box::new(BufReader::with_capacity(
                16 << 10,
                ZlibDecoder::new(raw).take(INFLATED),
            ))
        } else {
            Box::new(raw)
        })
    }

    /// The row of a table that it holds.
    fn row(
        &self,
        file: &mut (impl Read + Seek),
        row: u64,
        width: usize,
    ) -> Result<Vec<u8>, Uncounted> {
        let mut content = self.open(file)?;
        let mut bytes = vec![0; width];
        match self.predicted {
            None => {
                let before = row
                    .checked_mul(width as u64)
                    .filter(|before| *before <= INFLATED);
                skip(&mut content, before.ok_or(Uncounted::Odd)?)?;
                content.read_exact(&mut bytes)?;
                Ok(bytes)
            }
            Some(columns) if columns == width => {
                let mut above = vec![0; width];
                for _ in 0..=row {
                    let mut filter = [0];
                    content.read_exact(&mut filter)?;
                    content.read_exact(&mut bytes)?;
                    undo(filter, &above, &mut bytes)?;
                    above.copy_from_slice(&bytes);
                }
                Ok(above)
            }
            Some(_) => Err(Uncounted::Odd),
        }
    }
}

/// Undoes what PNG calls a filter, for pixels of one byte.
fn undo([filter]: [u8; 1], above: &[u8], row: &mut [u8]) -> Result<(), Uncounted> {
    let (mut left, mut above_left) = (0_u8, 0_u8);
    for (byte, above) in row.iter_mut().zip(above) {
        let predicted = match filter {
            0 => 0,
            1 => left,
            2 => *above,
            3 => left.midpoint(*above),
            4 => nearest(left, *above, above_left),
            _ => return Err(Uncounted::Odd),
        };
        *byte = byte.wrapping_add(predicted);
        (left, above_left) = (*byte, *above);
    }
    Ok(())
}

/// Whichever of three bytes is nearest to left + above - above left.
fn nearest(left: u8, above: u8, above_left: u8) -> u8 {
    let [a, b, c] = [left, above, above_left].map(i16::from);
    let [to_a, to_b, to_c] = [a, b, c].map(|known| (a + b - c - known).abs());
    if to_a <= to_b && to_a <= to_c {
        left
    } else if to_b <= to_c {
        above
    } else {
        above_left
    }
}

fn skip(content: &mut impl Read, count: u64) -> Result<(), Uncounted> {
    let skipped = std::io::copy(&mut content.take(count), &mut std::io::sink())?;
    if skipped < count {
        return Err(Uncounted::Odd);
    }
    Ok(())
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

fn rfind(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).rposition(|window| window == word)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use lopdf::{Document, Object, SaveOptions, dictionary};
    use proptest::prelude::*;

    use super::*;

    /// A document with so many pages, below one node of the page tree or in nests of ten.
    fn document(pages: u32, is_nested: bool) -> Document {
        let mut document = Document::with_version("1.5");
        let root = document.new_object_id();
        let mut leaves: Vec<Object> = Vec::new();
        for _ in 0..pages {
            let page = dictionary! { "Type" => "Page", "Parent" => root };
            leaves.push(document.add_object(page).into());
        }
        let kids: Vec<Object> = if is_nested {
            let nest = |leaves: &[Object]| dictionary! { "Type" => "Pages", "Parent" => root, "Kids" => leaves.to_vec(), "Count" => leaves.len() as i64 };
            let nests: Vec<_> = leaves.chunks(10).map(nest).collect();
            nests
                .into_iter()
                .map(|nest| document.add_object(nest).into())
                .collect()
        } else {
            leaves
        };
        let tree = dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => i64::from(pages) };
        document.objects.insert(root, tree.into());
        let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => root });
        document.trailer.set("Root", catalog);
        document
    }

    fn plain(pages: u32) -> Vec<u8> {
        let mut file = Vec::new();
        document(pages, pages > 10).save_to(&mut file).unwrap();
        file
    }

    /// With its objects and its cross-references in streams.
    fn compressed(pages: u32) -> Vec<u8> {
        let mut file = Vec::new();
        let options = SaveOptions::builder()
            .use_object_streams(true)
            .use_xref_streams(true)
            .max_objects_per_stream(7)
            .build();
        document(pages, pages > 10)
            .save_with_options(&mut file, options)
            .unwrap();
        file
    }

    fn counted(file: &[u8]) -> Option<u32> {
        count(&mut Cursor::new(file)).ok()
    }

    #[test]
    fn pages_are_counted_however_the_file_is_written() {
        for pages in [1, 2, 9, 100, 1234] {
            assert_eq!(counted(&plain(pages)), Some(pages));
            let compressed = compressed(pages);
            assert!(
                find(&compressed, b"/ObjStm").is_some() && find(&compressed, b"trailer").is_none()
            );
            assert_eq!(counted(&compressed), Some(pages));
        }
    }

    #[test]
    fn a_file_by_hand_is_counted_with_junk_around_it_and_after_an_update() {
        let first = "%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj<</Kids[]/Count 3/Type/Pages>>endobj\n";
        let (root, tree) = (
            first.find("1 0 obj").unwrap(),
            first.find("2 0 obj").unwrap(),
        );
        let table = first.len();
        let whole = format!(
            "{first}xref\n0 1\n0000000000 65535 f \n1 2\n{root:010} 00000 n \n{tree:010} 00000 n \ntrailer\n<</Size 3/Root 1 0 R>>\nstartxref\n{table}\n%%EOF\n"
        );
        assert_eq!(counted(whole.as_bytes()), Some(3));
        assert_eq!(
            counted(format!("junk\n{whole}\n\n\0\0").as_bytes()),
            Some(3)
        );
        // A later version of the page tree, whose count stands elsewhere.
        let (tree, number) = (whole.len(), whole.len() + 36);
        let update = "2 0 obj<</Type/Pages/Count 7 0 R>>\n\n7 0 obj 4 endobj\n".to_owned();
        let second = tree + update.len();
        let updated = format!(
            "{whole}{update}xref\n2 1\n{tree:010} 00000 n \n7 1\n{number:010} 00000 n \ntrailer <</Size 8/Root 1 0 R/Prev {table}>>\nstartxref\n{second}\n%%EOF"
        );
        assert_eq!(counted(updated.as_bytes()), Some(4));
        let encrypted = whole.replace("/Root", "/Encrypt 9 0 R/Root");
        assert_eq!(counted(encrypted.as_bytes()), None);
        let circle = whole.replace("/Size 3", &format!("/Size 3/Prev {table}"));
        assert_eq!(counted(circle.as_bytes()), None);
        let none = whole.replace("/Count 3", "/Count 0");
        assert_eq!(counted(none.as_bytes()), None);
    }

    #[test]
    fn positions_beyond_the_file_are_odd_whatever_their_size() {
        for number in [
            "99999",
            "4294967296",
            "9223372036854775808",
            "18446744073709551615",
        ] {
            let start = format!("%PDF-1.4\nstartxref\n{number}\n%%EOF");
            assert!(
                matches!(count(&mut Cursor::new(start)), Err(Uncounted::Odd)),
                "{number}"
            );
            let table =
                format!("%PDF-1.4\nxref\n0 {number}\ntrailer<</Root 1 0 R>>startxref\n9\n%%EOF");
            assert!(count(&mut Cursor::new(table)).is_err(), "{number}");
            let lines = format!(
                "%PDF-1.4\nxref\n0 1\n{number} 0 n\n         trailer<</Root 0 0 R>>startxref\n9\n%%EOF"
            );
            assert!(count(&mut Cursor::new(lines)).is_err(), "{number}");
        }
    }

    #[test]
    fn rows_are_read_through_every_prediction() {
        let rows: [[u8; 4]; 3] = [[1, 0, 0, 9], [1, 1, 200, 0], [2, 0, 7, 255]];
        for filter in 0..5_u8 {
            let mut above = [0_u8; 4];
            for row in rows {
                let mut sent = [0; 4];
                for at in 0..4 {
                    let left = if at > 0 { row[at - 1] } else { 0 };
                    let above_left = if at > 0 { above[at - 1] } else { 0 };
                    let predicted = match filter {
                        0 => 0,
                        1 => left,
                        2 => above[at],
                        3 => u8::try_from((u16::from(left) + u16::from(above[at])) / 2).unwrap(),
                        _ => nearest(left, above[at], above_left),
                    };
                    sent[at] = row[at].wrapping_sub(predicted);
                }
                undo([filter], &above, &mut sent).unwrap();
                assert_eq!(sent, row, "{filter}");
                above = row;
            }
        }
        assert_eq!(
            (nearest(1, 2, 3), nearest(10, 20, 15), nearest(5, 9, 5)),
            (1, 15, 9)
        );
    }

    #[test]
    fn a_file_cut_anywhere_is_unknown_or_right() {
        for file in [plain(3), compressed(3)] {
            for end in 0..file.len() {
                assert!(
                    counted(&file[..end]).is_none_or(|pages| pages == 3),
                    "{end}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic_or_hang(
            hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
            is_compressed in any::<bool>(),
        ) {
            let mut file = if is_compressed { compressed(12) } else { plain(12) };
            for (at, byte) in hits {
                let at = at.index(file.len());
                file[at] = byte;
            }
            let _ = counted(&file);
        }
    }
}
