//! The H5 bundle: a zip that is checked before it gets its name, and unpacked without trusting it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use jobs_core::http::{CheckError, Inspection, check_zip};
use jobs_core::{Error, ErrorKind};
use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use crate::code::VENDOR;

/// What a bundle was seen to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bundle {
    /// The number of files.
    pub files: u64,
    /// Their bytes once unpacked.
    pub size: u64,
}

/// How much unpacking may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    entries: usize,
    size: u64,
    ratio: u64,
}

impl Default for Limits {
    /// 20 000 entries, 4 GiB, and 250 bytes from each compressed one.
    fn default() -> Self {
        Self {
            entries: 20_000,
            size: 4 << 30,
            ratio: 250,
        }
    }
}

impl Limits {
    /// At most this many files and folders.
    #[must_use]
    pub fn with_entries(mut self, entries: usize) -> Self {
        self.entries = entries;
        self
    }

    /// At most this many bytes in all.
    #[must_use]
    pub fn with_size(mut self, bytes: u64) -> Self {
        self.size = bytes;
        self
    }

    /// At most this many bytes from each compressed one; files up to 1 MiB may have more.
    #[must_use]
    pub fn with_ratio(mut self, ratio: u64) -> Self {
        self.ratio = ratio;
        self
    }

    /// How long one entry may become, which takes `packed` bytes, when `left` bytes of the total are.
    fn of_entry(&self, packed: u64, left: u64) -> u64 {
        const SMALL: u64 = 1 << 20;
        left.min(packed.saturating_mul(self.ratio).max(SMALL))
    }
}

/// Checks the directory and the checksum of every entry.
pub(crate) fn verify(file: &mut File, inspection: &mut Inspection) -> Result<Bundle, CheckError> {
    begins_like_a_bundle(file)?;
    let contents = check_zip(file, inspection, |_| ()).map_err(|problem| match problem {
        CheckError::Invalid(problem) => CheckError::Invalid(format!("the bundle: {problem}")),
        local @ CheckError::Local(_) => local,
    })?;
    // One whose directory cannot be read here is delivered with a warning, as it is.
    if contents.files == 0 && inspection.warnings().is_empty() {
        return Err(CheckError::Invalid("the bundle holds no file".to_owned()));
    }
    Ok(Bundle {
        files: contents.files,
        size: contents.size,
    })
}

/// Unpacks a bundle into a folder that does not exist yet, and appears complete or not at all.
///
/// Blocks on the disk. An entry that would leave the folder, a link, and whatever exceeds the limits refuses the whole
/// bundle. Modes and owners are not taken over.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] when something stands at `into` already, [`ErrorKind::UnexpectedResponse`] or [`ErrorKind::TooLarge`] for a
/// bundle that is damaged, unsafe or above the limits, [`ErrorKind::LocalIo`] when the disk is in trouble.
pub fn unpack(zip: &Path, into: &Path, limits: &Limits) -> Result<Bundle, Error> {
    if fs::symlink_metadata(into).is_ok() {
        return Err(Error::invalid_input(
            VENDOR,
            UNPACK,
            format!("there is something at {} already", into.display()),
        )
        .with_help("choose a folder that does not exist yet"));
    }
    let place = match into.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let disk = |path: &Path| {
        let path = path.display().to_string();
        move |cause: io::Error| {
            Error::local_io(
                VENDOR,
                UNPACK,
                format!("trouble with {path}: {cause}"),
                cause,
            )
        }
    };
    let mut file = File::open(zip).map_err(disk(zip))?;
    // Removed when dropped, together with whatever a broken bundle left in it.
    let beside = tempfile::Builder::new()
        .prefix(".docjobs-")
        .suffix(".part")
        .tempdir_in(place)
        .map_err(disk(place))?;
    let folder = beside.path().join("bundle");
    fs::create_dir(&folder).map_err(disk(&folder))?;
    let bundle = extract(&mut file, &folder, limits).map_err(|problem| match problem {
        Problem::Disk(cause) => disk(into)(cause),
        Problem::Damaged(text) => {
            Error::new(ErrorKind::UnexpectedResponse, VENDOR, UNPACK).with_message(text)
        }
        Problem::TooLarge(text) => {
            Error::new(ErrorKind::TooLarge, VENDOR, UNPACK).with_message(text)
        }
    })?;
    fs::rename(&folder, into).map_err(disk(into))?;
    Ok(bundle)
}

const UNPACK: &str = "unpack";

fn extract(file: &mut File, folder: &Path, limits: &Limits) -> Result<Bundle, Problem> {
    let mut zip = open(file).map_err(Problem::Damaged)?;
    if zip.len() > limits.entries {
        return Err(Problem::TooLarge(format!(
            "the bundle has {} entries; at most {} are unpacked",
            zip.len(),
            limits.entries
        )));
    }
    let mut bundle = Bundle { files: 0, size: 0 };
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|problem| {
            Problem::Damaged(format!("entry {index} cannot be read: {problem}"))
        })?;
        let unsafe_entry = |what: &str| Problem::Damaged(format!("entry {index} {what}"));
        if entry.is_symlink() {
            return Err(unsafe_entry("is a link"));
        }
        let path = entry
            .enclosed_name()
            .filter(|path| {
                !path.as_os_str().is_empty() && !is_rooted(&entry.name().unwrap_or_default())
            })
            .ok_or_else(|| unsafe_entry("would leave the folder"))?;
        let path = folder.join(path);
        let room = limits.of_entry(
            entry.compressed_size(),
            limits.size.saturating_sub(bundle.size),
        );
        let in_entry = |problem: Problem| match problem {
            Problem::Disk(cause) => Problem::Disk(cause),
            Problem::Damaged(_) => Problem::Damaged(problem.in_entry(index)),
            Problem::TooLarge(_) => Problem::TooLarge(problem.in_entry(index)),
        };
        if entry.is_dir() {
            fs::create_dir_all(&path).map_err(|cause| misplaced(index, cause))?;
            // What a folder is said to contain is never unpacked; a bundle in which that is damaged is damaged.
            copy(&mut entry, &mut io::sink(), room).map_err(in_entry)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|cause| misplaced(index, cause))?;
        }
        // A second entry of the same name ends here instead of replacing the first.
        let fresh = OpenOptions::new().write(true).create_new(true).open(&path);
        let fresh = fresh.map_err(|cause| misplaced(index, cause))?;
        let mut fresh = BufWriter::with_capacity(256 * 1024, fresh);
        bundle.size += copy(&mut entry, &mut fresh, room).map_err(in_entry)?;
        fresh.flush().map_err(Problem::Disk)?;
        bundle.files += 1;
    }
    Ok(bundle)
}

/// An entry that cannot have its place in a fresh folder: two of one name, a file where a folder is needed, a name that no
/// file can have. That is the bundle's trouble, not the disk's.
fn misplaced(index: usize, cause: io::Error) -> Problem {
    use io::ErrorKind::{
        AlreadyExists, InvalidFilename, InvalidInput, IsADirectory, NotADirectory,
    };
    match cause.kind() {
        AlreadyExists | InvalidFilename | InvalidInput | IsADirectory | NotADirectory => {
            Problem::Damaged(format!("entry {index} cannot be placed: {cause}"))
        }
        _ => Problem::Disk(cause),
    }
}

/// Whether the name begins at a root or a drive, by the rules of any system.
fn is_rooted(name: &str) -> bool {
    name.starts_with(['/', '\\']) || name.as_bytes().get(1) == Some(&b':')
}

fn begins_like_a_bundle(file: &mut File) -> Result<(), String> {
    let mut beginning = Vec::new();
    let read = file
        .rewind()
        .and_then(|()| Read::take(&mut *file, 4).read_to_end(&mut beginning))
        .and_then(|_| file.rewind());
    read.map_err(|problem| format!("the bundle cannot be read: {problem}"))?;
    match beginning.as_slice() {
        b"PK\x03\x04" => Ok(()),
        // Of a zip without entries.
        b"PK\x05\x06" => Err("the bundle holds no file".to_owned()),
        [b'<' | b'\n' | b'\r' | b' ', ..] => Err("this is a page of text, not a bundle".to_owned()),
        _ => Err("this does not begin like a bundle".to_owned()),
    }
}

fn open(file: &mut File) -> Result<ZipArchive<BufReader<&mut File>>, String> {
    begins_like_a_bundle(file)?;
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    ZipArchive::with_config(config, BufReader::with_capacity(256 * 1024, file))
        .map_err(|problem| format!("the bundle is cut or damaged: {problem}"))
}

#[derive(Debug)]
enum Problem {
    Disk(io::Error),
    Damaged(String),
    TooLarge(String),
}

impl Problem {
    fn in_entry(&self, index: usize) -> String {
        match self {
            Self::Disk(cause) => format!("entry {index} of the bundle: {cause}"),
            Self::Damaged(text) | Self::TooLarge(text) => {
                format!("entry {index} of the bundle {text}")
            }
        }
    }
}

/// Copies an entry to its end, where its checksum is compared, unless it turns out longer than there is room for. What its
/// header says of its length is not asked.
fn copy(from: &mut impl Read, to: &mut impl Write, room: u64) -> Result<u64, Problem> {
    let mut piece = vec![0; 64 * 1024];
    let mut copied = 0;
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => return Ok(copied),
            Ok(count) => count,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(Problem::Damaged(format!("is damaged: {cause}"))),
        };
        copied += count as u64;
        if copied > room {
            return Err(Problem::TooLarge(format!(
                "unpacks to more than {room} bytes"
            )));
        }
        to.write_all(piece.get(..count).unwrap_or_default())
            .map_err(Problem::Disk)?;
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;

    fn deflated() -> SimpleFileOptions {
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
    }

    fn stored() -> SimpleFileOptions {
        SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
    }

    /// A zip of these entries.
    fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            if name.ends_with('/') {
                zip.add_directory(*name, stored()).unwrap();
            } else {
                zip.start_file(*name, deflated()).unwrap();
                zip.write_all(bytes).unwrap();
            }
        }
        zip.finish().unwrap().into_inner()
    }

    /// A stored entry under any name: what no well-kept library writes.
    fn crafted(name: &[u8], mode: u32) -> Vec<u8> {
        let len = u16::try_from(name.len()).unwrap();
        let mut bytes = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".to_vec();
        // The checksum of one byte `x`.
        let sizes = [0x8cdc_1683_u32, 1, 1].map(u32::to_le_bytes).concat();
        bytes.extend_from_slice(&sizes);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(name);
        bytes.push(b'x');
        let directory = u32::try_from(bytes.len()).unwrap();
        bytes.extend_from_slice(b"PK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0\0\0");
        bytes.extend_from_slice(&sizes);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&(mode << 16).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(name);
        let directory_len = u32::try_from(bytes.len()).unwrap() - directory;
        bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        bytes.extend_from_slice(&directory_len.to_le_bytes());
        bytes.extend_from_slice(&directory.to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes
    }

    fn checked(bytes: &[u8]) -> Result<Bundle, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        verify(&mut file, &mut Inspection::unbounded()).map_err(|problem| match problem {
            CheckError::Invalid(problem) => problem,
            CheckError::Local(cause) => panic!("{cause}"),
        })
    }

    fn unpacked(bytes: &[u8], limits: &Limits) -> (TempDir, Result<Bundle, Error>) {
        let folder = tempfile::tempdir().unwrap();
        let zip = folder.path().join("b.zip");
        fs::write(&zip, bytes).unwrap();
        let outcome = unpack(&zip, &folder.path().join("out"), limits);
        (folder, outcome)
    }

    fn names(folder: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into())
            .collect();
        names.sort();
        names
    }

    const PAGE: (&str, &[u8]) = ("index.html", b"<html>deck</html>");

    #[test]
    fn a_whole_bundle_passes() {
        let bytes = zipped(&[PAGE, ("img/", b""), ("img/1.png", &[7; 5000])]);
        assert_eq!(
            checked(&bytes).unwrap(),
            Bundle {
                files: 2,
                size: 5017
            }
        );
    }

    #[test]
    fn a_bundle_cut_anywhere_is_refused() {
        let bytes = zipped(&[PAGE, ("a.js", b"let a = 1;")]);
        for end in 0..bytes.len() {
            assert!(checked(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_changed_byte_of_content_is_noticed() {
        let bytes = crafted(b"good", 0o100_644);
        assert!(checked(&bytes).is_ok());
        let mut damaged = bytes;
        let content = damaged.iter().position(|byte| *byte == b'x').unwrap();
        damaged[content] = b'y';
        let problem = checked(&damaged).unwrap_err();
        assert!(problem.contains("entry 0"), "{problem}");
    }

    #[test]
    fn what_a_folder_is_said_to_contain_is_not_unpacked_but_must_be_whole() {
        let mut bytes = crafted(b"d/", 0o040_755);
        let (_folder, outcome) = unpacked(&bytes, &Limits::default());
        assert_eq!(outcome.unwrap(), Bundle { files: 0, size: 0 });
        let content = bytes.iter().position(|byte| *byte == b'x').unwrap();
        bytes[content] = b'y';
        let problem = checked(&bytes).unwrap_err();
        assert!(problem.contains("entry 0"), "{problem}");
        let (folder, outcome) = unpacked(&bytes, &Limits::default());
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::UnexpectedResponse);
        assert_eq!(names(folder.path()), ["b.zip"].map(PathBuf::from));
    }

    #[test]
    fn no_changed_byte_makes_the_check_panic() {
        let bytes = zipped(&[PAGE, ("a.js", b"let a = 1;")]);
        for place in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[place] ^= change;
                drop(checked(&damaged));
            }
        }
    }

    #[test]
    fn what_is_no_bundle_is_named() {
        let empty = ZipWriter::new(io::Cursor::new(Vec::new()))
            .finish()
            .unwrap()
            .into_inner();
        for (bytes, problem) in [
            (&b"<html>down</html>"[..], "page of text"),
            (b"\n<!doctype html>", "page of text"),
            (b"{\"message\":\"no\"}", "does not begin"),
            (b"", "does not begin"),
            (&empty, "holds no file"),
        ] {
            let found = checked(bytes).unwrap_err();
            assert!(found.contains(problem), "{found}");
        }
        // Even with a bundle behind it.
        let mut page = b"<html>".to_vec();
        page.extend(zipped(&[PAGE]));
        assert!(checked(&page).is_err());
    }

    #[test]
    fn a_bundle_is_unpacked_whole() {
        let bytes = zipped(&[PAGE, ("img/", b""), ("img/deep/1.png", b"png")]);
        let (folder, outcome) = unpacked(&bytes, &Limits::default());
        assert_eq!(outcome.unwrap(), Bundle { files: 2, size: 20 });
        let out = folder.path().join("out");
        assert_eq!(fs::read(out.join("index.html")).unwrap(), PAGE.1);
        assert_eq!(fs::read(out.join("img/deep/1.png")).unwrap(), b"png");
        assert_eq!(names(folder.path()), ["b.zip", "out"].map(PathBuf::from));
    }

    #[test]
    fn nothing_leaves_the_folder_and_nothing_stays_of_a_bad_bundle() {
        const LINK: u32 = 0o120_777;
        for (name, mode) in [
            (&b"../evil"[..], 0o100_644),
            (b"a/../../evil", 0o100_644),
            (b"/evil", 0o100_644),
            (b"..\\evil", 0o100_644),
            (b"C:\\evil", 0o100_644),
            (b"a\0b", 0o100_644),
            (b"link", LINK),
        ] {
            let (folder, outcome) = unpacked(&crafted(name, mode), &Limits::default());
            let error = outcome.unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::UnexpectedResponse,
                "{name:?}: {error}"
            );
            assert_eq!(names(folder.path()), ["b.zip"].map(PathBuf::from));
            assert!(!folder.path().with_file_name("evil").exists());
        }
        let (_folder, outcome) = unpacked(&crafted(b"good", 0o100_644), &Limits::default());
        assert_eq!(outcome.unwrap(), Bundle { files: 1, size: 1 });
    }

    #[test]
    fn entries_without_a_place_are_the_bundles_fault() {
        let long = "n".repeat(300);
        let entries: [&[(&str, &[u8])]; 3] = [
            &[("a", b"file"), ("a/b", b"below it")],
            &[("a/b", b"file"), ("a/", b""), ("a/b/", b"")],
            &[(&long, b"file")],
        ];
        for entries in entries {
            let (folder, outcome) = unpacked(&zipped(entries), &Limits::default());
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{error}");
            assert_eq!(names(folder.path()), ["b.zip"].map(PathBuf::from));
        }
    }

    #[test]
    fn bombs_are_stopped_by_what_comes_out_of_them() {
        let bomb = zipped(&[("zeros", &vec![0; 3 << 20])]);
        for (limits, text) in [
            (Limits::default(), "more than 1048576 bytes"),
            (
                Limits::default().with_ratio(u64::MAX).with_size(100),
                "more than 100 bytes",
            ),
            (Limits::default().with_entries(0), "at most 0"),
        ] {
            let (folder, outcome) = unpacked(&bomb, &limits);
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
            assert!(error.to_string().contains(text), "{error}");
            assert_eq!(names(folder.path()), ["b.zip"].map(PathBuf::from));
        }
        let (_folder, outcome) = unpacked(&bomb, &Limits::default().with_ratio(2000));
        assert_eq!(outcome.unwrap().size, 3 << 20);
    }

    #[test]
    fn the_limit_on_size_counts_all_files_together() {
        let bytes = zipped(&[("a", &[1; 60]), ("b", &[2; 60])]);
        let (_folder, outcome) = unpacked(&bytes, &Limits::default().with_size(119));
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TooLarge);
        let (_folder, outcome) = unpacked(&bytes, &Limits::default().with_size(120));
        assert!(outcome.is_ok());
    }

    #[test]
    fn what_is_there_already_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (zip, out) = (folder.path().join("b.zip"), folder.path().join("out"));
        fs::write(&zip, zipped(&[PAGE])).unwrap();
        fs::create_dir(&out).unwrap();
        fs::write(out.join("mine"), "precious").unwrap();
        let error = unpack(&zip, &out, &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(names(&out), ["mine"].map(PathBuf::from));
    }
}
