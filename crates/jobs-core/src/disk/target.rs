//! The place of a result on disk, checked before anything is sent.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Draft;

/// A file name at which a result can appear: nothing is there, and its folder can be written to.
///
/// Make it before the paid call, so that no money is spent on a result that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    path: PathBuf,
    folder: PathBuf,
}

impl Target {
    /// Checks the place by making a file beside it and removing it again.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when something is there, and whatever keeps a file from being made.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        if path.file_name().is_none() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not the name of a file",
            ));
        }
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        if fs::symlink_metadata(&path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is something already, and it is not overwritten",
            ));
        }
        let target = Self { path, folder };
        target.draft()?;
        Ok(target)
    }

    /// The final name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An empty file that can get the final name.
    pub(crate) fn draft(&self) -> io::Result<Draft> {
        Draft::new_in(&self.folder)
    }

    /// Gives a draft the final name, for good.
    #[cfg(feature = "http")]
    pub(crate) fn keep(&self, draft: Draft) -> io::Result<()> {
        self.keep_as(draft, &self.path)
    }

    /// Gives a draft another name in the same folder, for good.
    #[cfg(feature = "http")]
    pub(crate) fn keep_as(&self, draft: Draft, path: &Path) -> io::Result<()> {
        draft.keep(path)?;
        Draft::sync_folder(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_cannot_hold_a_result_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::write(&taken, "precious").unwrap();
        for (path, kind) in [
            (taken.clone(), io::ErrorKind::AlreadyExists),
            (folder.path().to_owned(), io::ErrorKind::AlreadyExists),
            (folder.path().join("missing/x"), io::ErrorKind::NotFound),
            (taken.join("x"), io::ErrorKind::NotADirectory),
            (PathBuf::from("/"), io::ErrorKind::InvalidInput),
        ] {
            assert_eq!(Target::new(&path).unwrap_err().kind(), kind, "{path:?}");
        }
        assert_eq!(fs::read(&taken).unwrap(), b"precious");
    }

    #[test]
    fn checking_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        Target::new(folder.path().join("out.md")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
