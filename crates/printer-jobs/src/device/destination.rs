//! Where a job's files appear: complete and under their final names, or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use jobs_core::disk::StagedFile;

use crate::integrity::{Expected, MAX_FILE_BYTES};
use crate::store::file_name;
use crate::wire::{Format, ListedJob};

/// A folder, and the stem of the names that a job's files get in it.
///
/// Names of documents are foreign text, so they never become part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    folder: PathBuf,
    stem: String,
}

/// The files of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Downloaded {
    /// In page order; one file unless the job is a jpg job.
    pub files: Vec<PathBuf>,
    /// The bytes of all of them.
    pub bytes: u64,
}

impl Destination {
    /// Files named after `stem`: `STEM.pdf`, or `STEM-001.jpg` and so on.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a stem that is no plain file name.
    pub fn new(folder: impl Into<PathBuf>, stem: impl Into<String>) -> io::Result<Self> {
        let (folder, stem) = (folder.into(), stem.into());
        let plain = Path::new(&stem)
            .file_name()
            .is_some_and(|name| *name == *stem)
            && !stem.contains(['/', '\\', '\0'])
            && stem.len() <= 200;
        if !plain {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a plain file name",
            ));
        }
        Ok(Self { folder, stem })
    }

    /// Files named after the job's id, with whatever could leave the folder written in another way.
    pub fn for_job(folder: impl Into<PathBuf>, job: &ListedJob) -> Self {
        Self {
            folder: folder.into(),
            stem: file_name(&job.id),
        }
    }

    /// The name of the only file of a job in this format; a format not known here keeps its bytes as `.bin`.
    pub fn file(&self, format: &Format) -> PathBuf {
        let extension = match format {
            Format::Pdf => "pdf",
            Format::Jpg => "jpg",
            Format::Other(_) => "bin",
        };
        self.folder.join(format!("{}.{extension}", self.stem))
    }

    /// The name of a page of a jpg job, which counts from zero; the names count from one.
    pub fn page(&self, index: usize) -> PathBuf {
        self.folder
            .join(format!("{}-{:03}.jpg", self.stem, index.saturating_add(1)))
    }

    /// The names of all files of the job, in page order.
    pub fn files(&self, job: &ListedJob) -> Vec<PathBuf> {
        match job.format {
            Format::Jpg => (0..job.pages.files().len())
                .map(|index| self.page(index))
                .collect(),
            _ => vec![self.file(&job.format)],
        }
    }

    /// Whether the job's files lie there already, by the sizes and start markers that the list promises. A size that was
    /// not listed cannot be checked.
    pub fn has(&self, job: &ListedJob) -> bool {
        let Ok(expected) = Expected::of(job, MAX_FILE_BYTES) else {
            return false;
        };
        let names = self.files(job);
        let parts: Vec<Range<u64>> = match (expected.pages(), expected.bytes()) {
            ([], None) => return false,
            ([], Some(bytes)) => std::iter::once(0..bytes).collect(),
            (pages, _) => pages.to_vec(),
        };
        names.len() == parts.len()
            && names
                .iter()
                .zip(&parts)
                .all(|(name, part)| is_part(name, part, &expected))
    }

    /// Nothing is at any of the names, and the folder can be written to.
    pub(super) fn check(&self, names: &[PathBuf]) -> io::Result<()> {
        if let Some(taken) = names.iter().find(|name| fs::symlink_metadata(name).is_ok()) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!(
                    "{} is there already, and it is not overwritten",
                    taken.display()
                ),
            ));
        }
        self.draft()?;
        Ok(())
    }

    /// An empty file that can get one of the names. Documents are their senders' own, so nobody else can read it.
    pub(super) fn draft(&self) -> io::Result<StagedFile> {
        let draft = StagedFile::new_in(&self.folder)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            match draft
                .file()
                .set_permissions(fs::Permissions::from_mode(0o600))
            {
                // A file system without modes says so in one of these ways, and its mount decides who reads.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied
                            | io::ErrorKind::Unsupported
                            | io::ErrorKind::InvalidInput
                    ) => {}
                changed => changed?,
            }
        }
        Ok(draft)
    }

    /// Gives a complete download its name, or its pages theirs.
    ///
    /// Pages are cut off from the last to the first, each with its name at once: so the first is there only when all are,
    /// and however many there are, few files are open.
    pub(super) fn publish(
        &self,
        mut whole: StagedFile,
        pages: &[Range<u64>],
        names: &[PathBuf],
    ) -> io::Result<()> {
        if let ([name], 0 | 1) = (names, pages.len()) {
            whole.persist(name)?;
            return StagedFile::sync_folder(&self.folder);
        }
        if pages.len() != names.len() {
            return Err(io::Error::other("the pages have no names"));
        }
        let mut published = Vec::new();
        for (page, name) in pages.iter().zip(names).rev() {
            let kept = self
                .cut(whole.file_mut(), page)
                .and_then(|piece| piece.persist(name));
            if let Err(error) = kept {
                for name in published {
                    drop(fs::remove_file(name));
                }
                return Err(error);
            }
            published.push(name);
        }
        StagedFile::sync_folder(&self.folder)
    }

    /// One page of a file that holds all of them.
    fn cut(&self, whole: &mut File, page: &Range<u64>) -> io::Result<StagedFile> {
        let mut piece = self.draft()?;
        let length = page.end.saturating_sub(page.start);
        whole.seek(SeekFrom::Start(page.start))?;
        if io::copy(&mut whole.take(length), piece.file_mut())? == length {
            Ok(piece)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

fn is_part(name: &Path, part: &Range<u64>, expected: &Expected) -> bool {
    let size = part.end.saturating_sub(part.start);
    let is_file = fs::symlink_metadata(name).is_ok_and(|it| it.is_file() && it.len() == size);
    let mut head = [0; 8];
    let read = File::open(name).and_then(|mut file| file.read(&mut head));
    is_file
        && read.is_ok_and(|count| {
            let head = head.get(..count).unwrap_or_default();
            expected.check_chunk(part.start, head).is_ok()
        })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::envelope::{Incoming, decode};
    use crate::wire::JobList;

    #[test]
    fn stem_that_leaves_the_folder_is_refused() {
        for stem in ["", ".", "..", "a/b", "/a", "a\\b", "a/", &"x".repeat(201)] {
            assert!(Destination::new("spool", stem).is_err(), "{stem:?}");
        }
        let place = Destination::new("spool", "job-1").unwrap();
        assert_eq!(place.file(&Format::Pdf), Path::new("spool/job-1.pdf"));
        assert_eq!(place.page(0), Path::new("spool/job-1-001.jpg"));
    }

    fn three_pages(place: &Destination) -> (StagedFile, Vec<Range<u64>>, Vec<PathBuf>) {
        let mut whole = place.draft().unwrap();
        whole.file_mut().write_all(b"onetwothree").unwrap();
        let names = (0..3).map(|index| place.page(index)).collect();
        (whole, vec![0..3, 3..6, 6..11], names)
    }

    #[test]
    fn files_are_there_when_sizes_and_starts_are_as_listed() {
        let folder = tempfile::tempdir().unwrap();
        let listed = |text: &str| {
            let text = format!(r#"{{"errcode":0,"body":{{"printer_job_list":[{text}]}}}}"#);
            let Ok(Incoming::Answer(answer)) = decode(text.as_bytes(), 4096) else {
                panic!("not an answer");
            };
            JobList::from_answer(&answer).unwrap().jobs.remove(0)
        };
        let place = Destination::new(folder.path(), "j").unwrap();
        let pdf = listed(r#"{"jobid":"j","doc_size":8}"#);
        assert!(!place.has(&pdf));
        for (text, is_whole) in [("%PDF-1.7", true), ("%PDF-1.", false), ("GIF89a..", false)] {
            fs::write(place.file(&Format::Pdf), text).unwrap();
            assert_eq!(place.has(&pdf), is_whole, "{text}");
        }
        assert!(!place.has(&listed(r#"{"jobid":"j"}"#)), "without a size");
        let jpg = listed(
            r#"{"jobid":"j","printer_format":"jpg",
                "pic_file_list":{"size":2,"item":[{"idx":0,"pic_size":4},{"idx":1,"pic_size":3}]}}"#,
        );
        fs::write(place.page(0), b"\xff\xd8\xffx").unwrap();
        assert!(!place.has(&jpg), "a page is missing");
        fs::write(place.page(1), b"\xff\xd8\xff").unwrap();
        assert!(place.has(&jpg));
    }

    #[test]
    fn page_that_cannot_be_named_takes_the_others_back() {
        let folder = tempfile::tempdir().unwrap();
        let place = Destination::new(folder.path(), "j").unwrap();
        let (whole, pages, names) = three_pages(&place);
        fs::write(&names[1], "precious").unwrap();
        let error = place.publish(whole, &pages, &names).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&names[1]).unwrap(), b"precious");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn pages_are_cut_apart_and_are_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let place = Destination::new(folder.path(), "j").unwrap();
        let (whole, pages, names) = three_pages(&place);
        place.publish(whole, &pages, &names).unwrap();
        for (name, text) in names.iter().zip(["one", "two", "three"]) {
            assert_eq!(fs::read(name).unwrap(), text.as_bytes());
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let mode = fs::metadata(name).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
            }
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
