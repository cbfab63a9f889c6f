//! The place of a result on disk, checked before anything is sent.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use crate::disk::staged_file::{StagedFile, Way, folder_of, replaceable, sweep};

/// A file name at which a result can appear: nothing is there, or what is there may be replaced, and its folder can be
/// written to.
///
/// Make it before the paid call, so that no money is spent on a result that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPath {
    path: PathBuf,
    folder: PathBuf,
    way: Way,
    replaces: bool,
}

impl OutputPath {
    /// Checks the place by making a file beside it and trying to name it; nothing stays there.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when something is there, and whatever keeps a file from being made or named;
    /// [`advice`](super::advice) tells what helps.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        vacant(&path)?;
        Self::checked(path, false)
    }

    /// The same without trying to make and name a file, for a result that is paid for already: what the file system
    /// refuses is told when the file is made and gets its name.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when something is there, and whatever is no name of a file in a folder.
    pub fn untried(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        vacant(&path)?;
        let folder = named(&path)?.0.to_owned();
        if !fs::metadata(&folder)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        sweep(&folder);
        Ok(Self {
            path,
            folder,
            way: Way::Link,
            replaces: false,
        })
    }

    /// The same for a place whose file, if there is one, is to be replaced: at once and as a whole.
    ///
    /// # Errors
    /// [`io::ErrorKind::IsADirectory`] when a folder is there, [`io::ErrorKind::InvalidInput`] for what is no file, and
    /// whatever keeps a file from being made or named.
    pub fn replacing(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        replaceable(&path)?;
        Self::checked(path, true)
    }

    /// A place in the system's folder for temporary files, for a result that is to be read and not kept.
    ///
    /// # Errors
    /// Whatever keeps a file from being made there.
    pub fn temporary() -> io::Result<Self> {
        let name = format!("docjobs-{}-{:016x}", std::process::id(), fastrand::u64(..));
        Self::new(std::env::temp_dir().join(name))
    }

    fn checked(path: PathBuf, replaces: bool) -> io::Result<Self> {
        let (folder, name) = named(&path)?;
        let way = StagedFile::rehearse(folder)?;
        if replaces || way == Way::Rename {
            // Only there a killed process leaves anything.
            sweep(folder);
        }
        try_name(way, folder, name)?;
        Ok(Self {
            folder: folder.to_owned(),
            path,
            way,
            replaces,
        })
    }

    /// The final name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file of these bytes there.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when something has come there since, or what the disk says.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut draft = self.stage()?;
        draft.file_mut().write_all(bytes)?;
        self.persist(draft)
    }

    /// Makes a file there of all that is read, complete or not at all; says how many bytes that were.
    ///
    /// # Errors
    /// As [`write`](Self::write), and what `from` says.
    pub fn write_from(&self, from: &mut impl Read) -> io::Result<u64> {
        let mut draft = self.stage()?;
        let len = io::copy(from, draft.file_mut())?;
        self.persist(draft)?;
        Ok(len)
    }

    /// An empty file that can get the final name.
    pub(crate) fn stage(&self) -> io::Result<StagedFile> {
        StagedFile::by(self.way, &self.folder)
    }

    /// Gives a draft the final name, for good.
    pub(crate) fn persist(&self, draft: StagedFile) -> io::Result<()> {
        if self.replaces {
            draft.replace(&self.path)?;
            StagedFile::sync_folder(&self.folder)
        } else {
            self.keep_as(draft, &self.path)
        }
    }

    /// Gives a draft another name in the same folder, for good; it replaces nothing.
    pub(crate) fn keep_as(&self, draft: StagedFile, path: &Path) -> io::Result<()> {
        draft.persist(path)?;
        StagedFile::sync_folder(&self.folder)
    }
}

fn vacant(path: &Path) -> io::Result<()> {
    if path.file_name().is_some() && fs::symlink_metadata(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is something already, and it is not overwritten",
        ));
    }
    Ok(())
}

/// The folder and the name of a file.
fn named(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not the name of a file",
        ));
    };
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "this is the name of a folder",
        ));
    }
    Ok((folder_of(path), name))
}

/// Whether the file system of `folder` can hold this very name: asked for it, or, where it may find no fault with what it
/// cannot hold, tried in a folder of its own so that nobody sees it at its place. Where no folder can be made, the name is
/// not tried; nor is one that every file system holds.
fn try_name(way: Way, folder: &Path, name: &OsStr) -> io::Result<()> {
    let bytes = name.as_encoded_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    if bytes.len() <= 100 && bytes.iter().all(is_plain) {
        return Ok(());
    }
    if way == Way::Link {
        return match fs::symlink_metadata(folder.join(name)) {
            Err(problem) if problem.kind() != io::ErrorKind::NotFound => Err(problem),
            _ => Ok(()),
        };
    }
    match tempfile::Builder::new()
        .prefix(".docjobs-")
        .tempdir_in(folder)
    {
        Ok(apart) => File::create_new(apart.path().join(name)).map(drop),
        Err(_) => Ok(()),
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
            (folder.path().join("new/"), io::ErrorKind::IsADirectory),
            (
                folder.path().join("n".repeat(256)),
                io::ErrorKind::InvalidFilename,
            ),
        ] {
            assert_eq!(OutputPath::new(&path).unwrap_err().kind(), kind, "{path:?}");
            match OutputPath::untried(&path).map(|place| place.write(b"ours")) {
                Ok(written) => assert_eq!(written.unwrap_err().kind(), kind, "{path:?}"),
                Err(refused) => assert_eq!(refused.kind(), kind, "{path:?}"),
            }
        }
        assert_eq!(fs::read(&taken).unwrap(), b"precious");
        assert!(OutputPath::replacing(&taken).is_ok());
        for (path, kind) in [
            (folder.path().to_owned(), io::ErrorKind::IsADirectory),
            (PathBuf::from("/dev/null"), io::ErrorKind::InvalidInput),
            (taken.join("x"), io::ErrorKind::NotADirectory),
        ] {
            assert_eq!(
                OutputPath::replacing(&path).unwrap_err().kind(),
                kind,
                "{path:?}"
            );
        }
        assert_eq!(fs::read(&taken).unwrap(), b"precious");
    }

    #[test]
    fn what_came_meanwhile_is_replaced_only_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.md");
        let (careful, bold) = (
            OutputPath::new(&path).unwrap(),
            OutputPath::replacing(&path).unwrap(),
        );
        fs::write(&path, "precious").unwrap();
        let refused = careful.write(b"ours").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        bold.write(b"ours").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"ours");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_is_not_tried_holds_a_result() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.md");
        OutputPath::untried(&path).unwrap().write(b"ours").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"ours");
        let taken = OutputPath::untried(&path).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn checking_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        OutputPath::new(folder.path().join("out.md")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
