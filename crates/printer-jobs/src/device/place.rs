//! Where a job's files appear: complete and under their final names, or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

use jobs_core::disk::Draft;

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

    /// An empty file that can get one of the names.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        Draft::new_in(&self.folder)
    }

    /// Cuts the pages of one joined file apart.
    pub(super) fn split(&self, joined: &mut File, pages: &[Range<u64>]) -> io::Result<Vec<Draft>> {
        joined.rewind()?;
        pages
            .iter()
            .map(|page| {
                let mut piece = self.draft()?;
                let length = page.end.saturating_sub(page.start);
                let copied = io::copy(&mut joined.take(length), piece.file_mut())?;
                if copied == length {
                    Ok(piece)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
            })
            .collect()
    }

    /// Gives complete files their names. The last name comes first, so that the first page is there only when all are.
    pub(super) fn publish(&self, files: Vec<Draft>, names: &[PathBuf]) -> io::Result<()> {
        // All bytes reach the disk before the first name does.
        for file in &files {
            file.file().sync_all()?;
        }
        let mut published = Vec::new();
        for (file, name) in files.into_iter().zip(names).rev() {
            if let Err(error) = file.keep(name) {
                for name in published {
                    drop(fs::remove_file(name));
                }
                return Err(error);
            }
            published.push(name);
        }
        Draft::sync_folder(&self.folder)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stem_that_leaves_the_folder_is_refused() {
        for stem in ["", ".", "..", "a/b", "/a", "a\\b", "a/", &"x".repeat(201)] {
            assert!(Destination::new("spool", stem).is_err(), "{stem:?}");
        }
        let place = Destination::new("spool", "job-1").unwrap();
        assert_eq!(place.file(&Format::Pdf), Path::new("spool/job-1.pdf"));
        assert_eq!(place.page(0), Path::new("spool/job-1-001.jpg"));
    }

    #[test]
    fn page_that_cannot_be_named_takes_the_others_back() {
        let folder = tempfile::tempdir().unwrap();
        let place = Destination::new(folder.path(), "j").unwrap();
        let names: Vec<_> = (0..3).map(|index| place.page(index)).collect();
        let files = (0..3).map(|_| place.draft().unwrap()).collect();
        fs::write(&names[1], "precious").unwrap();
        let error = place.publish(files, &names).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&names[1]).unwrap(), b"precious");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
