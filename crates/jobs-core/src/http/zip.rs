//! Tests a zip on the disk: its directory, and every entry against its checksum, within bounds.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;

use crate::http::result_file::{CheckError, Inspection, StoppableReader};

/// What a zip was seen to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ZipContents {
    /// The number of files.
    pub files: u64,
    /// Their bytes once unpacked, of those that could be tested.
    pub size: u64,
}

/// The longest directory that is read: it is held in memory, some times over. Fifty thousand entries fit.
const DIRECTORY: u64 = 4 << 20;

/// The most that is unpacked for testing: a bound on time, not an opinion on zips.
const UNPACKED: u64 = 4 << 30;

const TOO_MUCH: &str = "unpacked, the entries are more than 4 GiB";

/// Tests a zip and lets `seen` know the name of each entry.
///
/// What cannot be tested here is not held against the bytes, which were paid for: an entry that is packed by a method that
/// we do not have or is encrypted, a directory longer than is held in memory, more than 4 GiB unpacked. `inspection` is
/// warned of it.
///
/// # Errors
/// [`CheckError::Invalid`] for damage that was seen.
pub fn check_zip(
    file: &mut File,
    inspection: &mut Inspection,
    mut seen: impl FnMut(&str),
) -> Result<ZipContents, CheckError> {
    let mut contents = ZipContents::default();
    let mut untested = Untested::default();
    let left = Cell::new(DIRECTORY);
    let Some(mut zip) = open(file, &left, inspection, &mut untested)? else {
        untested.warn(inspection);
        return Ok(contents);
    };
    let mut room = UNPACKED;
    for index in 0..zip.len() {
        let is_file = {
            let entry = zip
                .by_index_raw(index)
                .map_err(|problem| damaged(index, &problem))?;
            if let Ok(name) = entry.name() {
                seen(&name);
            }
            entry.is_file()
        };
        contents.files += u64::from(is_file);
        let mut entry = match zip.by_index(index) {
            Ok(entry) => entry,
            Err(problem) if is_unknown(&problem) => {
                untested.add(index, &problem);
                continue;
            }
            Err(problem) => return Err(damaged(index, &problem)),
        };
        if room == 0 {
            untested.add(index, TOO_MUCH);
            continue;
        }
        let read = match io::copy(&mut (&mut entry).take(room), &mut io::sink()) {
            Ok(read) => read,
            // Some methods are found to be missing only here.
            Err(cause) if cause.kind() == io::ErrorKind::Unsupported => {
                untested.add(index, &cause);
                continue;
            }
            Err(cause) => return Err(damaged(index, &cause)),
        };
        room -= read;
        // What a folder is said to contain is tested, and never unpacked.
        contents.size += if is_file { read } else { 0 };
        if room == 0 {
            untested.add(index, TOO_MUCH);
        }
    }
    untested.warn(inspection);
    Ok(contents)
}

type Opened<'f> = ZipArchive<BufReader<Bounded<'f, StoppableReader<&'f mut File>>>>;

/// `None` for one whose directory cannot be read here, though nothing says that it is damaged.
fn open<'f>(
    file: &'f mut File,
    left: &'f Cell<u64>,
    inspection: &Inspection,
    untested: &mut Untested,
) -> Result<Option<Opened<'f>>, CheckError> {
    if !has_end(file)? {
        return Err(CheckError::Invalid(
            "it has no directory at its end, so it is cut or no zip".to_owned(),
        ));
    }
    let reader = Bounded {
        from: inspection.reader(file),
        left,
    };
    let mut reader = BufReader::with_capacity(64 * 1024, reader);
    let config = |archive_offset| Config { archive_offset };
    left.set(DIRECTORY);
    let at_start = ZipArchive::with_config(config(ArchiveOffset::Known(0)), &mut reader);
    // Some writers leave something in front of it.
    let offset = match at_start.map(drop) {
        Err(ZipError::InvalidArchive(_)) => ArchiveOffset::Detect,
        _ => ArchiveOffset::Known(0),
    };
    left.set(DIRECTORY);
    match ZipArchive::with_config(config(offset), reader) {
        Ok(zip) => {
            left.set(u64::MAX);
            Ok(Some(zip))
        }
        Err(ZipError::Io(cause)) if cause.kind() == io::ErrorKind::FileTooLarge => {
            untested.all = Some("its directory is longer than is read here".to_owned());
            Ok(None)
        }
        Err(problem) if is_unknown(&problem) => {
            untested.all = Some(problem.to_string());
            Ok(None)
        }
        Err(problem) => Err(CheckError::Invalid(format!(
            "it is cut or damaged: {problem}"
        ))),
    }
}

/// Whether the record that ends every zip is where it may be. What searches for the directory would else read all of a
/// large page.
fn has_end(file: &mut File) -> io::Result<bool> {
    const RECORD: u64 = 22;
    const COMMENT: u64 = 0xffff;
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(len.saturating_sub(RECORD + COMMENT)))?;
    let mut tail = Vec::new();
    file.by_ref()
        .take(RECORD + COMMENT)
        .read_to_end(&mut tail)?;
    file.rewind()?;
    Ok(tail.windows(4).any(|window| window == b"PK\x05\x06"))
}

/// Whether it says that we lack something, not that the bytes are wrong.
fn is_unknown(problem: &ZipError) -> bool {
    matches!(
        problem,
        ZipError::CompressionMethodNotSupported(_)
            | ZipError::UnsupportedArchive(_)
            | ZipError::InvalidPassword
    )
}

fn damaged(index: usize, problem: &dyn fmt::Display) -> CheckError {
    CheckError::Invalid(format!("entry {index} is damaged: {problem}"))
}

/// The entries that were not tested, and why.
#[derive(Default)]
struct Untested {
    first: Option<(usize, String)>,
    count: u64,
    all: Option<String>,
}

impl Untested {
    fn add(&mut self, index: usize, why: impl fmt::Display) {
        self.first.get_or_insert_with(|| (index, why.to_string()));
        self.count += 1;
    }

    fn warn(self, inspection: &mut Inspection) {
        if let Some(why) = self.all {
            inspection.warn(format!("the zip could not be tested: {why}"));
        }
        if let Some((index, why)) = self.first {
            let entries = match self.count {
                1 => format!("entry {index} of the zip"),
                count => format!("{count} entries of the zip, the first of them {index},"),
            };
            inspection.warn(format!("{entries} could not be tested: {why}"));
        }
    }
}

/// Fails beyond so many bytes.
struct Bounded<'b, R> {
    from: R,
    left: &'b Cell<u64>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        let left = self.left.get().checked_sub(count as u64);
        self.left.set(left.ok_or(io::ErrorKind::FileTooLarge)?);
        Ok(count)
    }
}

impl<R: Seek> Seek for Bounded<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.from.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::CompressionMethod;
    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn zipped(names: impl IntoIterator<Item = String>) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for name in names {
            zip.start_file(name, stored).unwrap();
            zip.write_all(b"content").unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn checked(bytes: &[u8]) -> Result<(ZipContents, Vec<String>), String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut inspection = Inspection::unbounded();
        match check_zip(&mut file, &mut inspection, |_| ()) {
            Ok(contents) => {
                let warnings = inspection.warnings().iter().map(ToString::to_string);
                Ok((contents, warnings.collect()))
            }
            Err(CheckError::Invalid(problem)) => Err(problem),
            Err(CheckError::Local(cause)) => panic!("{cause}"),
        }
    }

    /// The same zip with another method in both headers of the entry that comes first.
    fn with_method(mut zip: Vec<u8>, method: u16) -> Vec<u8> {
        let directory = zip.windows(4).position(|at| at == b"PK\x01\x02").unwrap();
        for at in [8, directory + 10] {
            zip[at..at + 2].copy_from_slice(&method.to_le_bytes());
        }
        zip
    }

    #[test]
    fn an_entry_that_cannot_be_tested_is_a_warning_and_the_others_are_tested() {
        // LZMA, Zstandard, WavPack, and one that nobody knows.
        for method in [14, 93, 97, 4711] {
            let zip = with_method(zipped(["a".into(), "b".into()]), method);
            let (contents, warnings) = checked(&zip).unwrap();
            assert_eq!(contents, ZipContents { files: 2, size: 7 });
            assert!(
                matches!(&*warnings, [one] if one.starts_with("entry 0 of the zip could not be tested")),
                "{warnings:?}"
            );
            let mut damaged = zip;
            let second = damaged.windows(7).rposition(|at| at == b"content").unwrap();
            damaged[second] ^= 1;
            let problem = checked(&damaged).unwrap_err();
            assert!(problem.contains("entry 1 is damaged"), "{problem}");
        }
    }

    #[test]
    fn an_encrypted_entry_cannot_be_tested_either() {
        let mut zip = zipped(["a".into()]);
        let directory = zip.windows(4).position(|at| at == b"PK\x01\x02").unwrap();
        for at in [6, directory + 8] {
            zip[at] |= 1;
        }
        assert_eq!(checked(&zip).unwrap().1.len(), 1);
    }

    #[test]
    fn a_long_directory_is_not_read_into_memory() {
        let zip = zipped((0..40).map(|n| format!("{n:0>65000}")));
        assert_eq!(checked(&zip).unwrap().0.files, 40);
        let zip = zipped((0..140).map(|n| format!("{n:0>65000}")));
        let (contents, warnings) = checked(&zip).unwrap();
        assert_eq!(contents.files, 0);
        assert!(warnings[0].contains("longer than is read"), "{warnings:?}");
    }

    #[test]
    fn what_is_no_zip_is_damage_however_long_it_is() {
        for bytes in [Vec::new(), b"<html>".to_vec(), vec![b' '; 9 << 20]] {
            assert!(checked(&bytes).unwrap_err().contains("no zip"));
        }
        let zip = zipped(["a".into()]);
        for end in 0..zip.len() {
            assert!(checked(&zip[..end]).is_err(), "cut at {end}");
        }
    }
}
