//! A file that gets its name when it is complete.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempPath;

/// A file on its way to a name: nobody sees it half done, and it is gone when dropped.
///
/// On Linux it has no name at all until it is [kept](Self::keep), where the file system knows such files, so not even a
/// killed process leaves anything behind. Elsewhere it is called `.docjobs-….part` meanwhile.
#[derive(Debug)]
pub struct Draft {
    file: File,
    name: Option<TempPath>,
}

impl Draft {
    /// An empty file in `folder`, with the permissions that a shell's redirection would give.
    ///
    /// # Errors
    /// Whatever keeps a file from being made there.
    pub fn new_in(folder: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Some(file) = nameless::new_in(folder) {
            return Ok(Self { file, name: None });
        }
        Self::named_in(folder)
    }

    fn named_in(folder: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".docjobs-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let (file, name) = builder.tempfile_in(folder)?.into_parts();
        let name = Some(name);
        Ok(Self { file, name })
    }

    /// The open file, for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The open file, for reading and writing.
    pub fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// The file alone; it never gets a name.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Brings the bytes to the disk and gives them the name `path`, in the folder that the file was made in. Never
    /// replaces anything. The folder's own entry is on the disk after [`sync_folder`](Self::sync_folder).
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when something has that name, or what the disk says.
    pub fn keep(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        match self.name {
            Some(name) => Ok(name.persist_noclobber(path)?),
            #[cfg(target_os = "linux")]
            None => nameless::keep(&self.file, path),
            #[cfg(not(target_os = "linux"))]
            None => unreachable!("only Linux makes files without a name"),
        }
    }

    /// Makes the entries of `folder` for new files survive a power cut.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync_folder(folder: &Path) -> io::Result<()> {
        if cfg!(unix) {
            File::open(folder)?.sync_all()
        } else {
            Ok(())
        }
    }
}

#[cfg(target_os = "linux")]
mod nameless {
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

    use super::{File, Path, fs, io};

    /// `None` where the file system has no such files, or where they could not be given a name later.
    pub(super) fn new_in(folder: &Path) -> Option<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = File::from(openat(CWD, folder, flags, Mode::from_raw_mode(0o666)).ok()?);
        fs::symlink_metadata(descriptor(&file)).ok()?;
        Some(file)
    }

    pub(super) fn keep(file: &File, path: &Path) -> io::Result<()> {
        let from = descriptor(file);
        Ok(linkat(CWD, &from, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
    }

    fn descriptor(file: &File) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_draft_gets_its_name_once_and_replaces_nothing() {
        for make in [Draft::new_in, Draft::named_in] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("result");
            let draft = |text: &str| {
                let mut draft = make(folder.path()).unwrap();
                draft.file_mut().write_all(text.as_bytes()).unwrap();
                draft
            };
            let (first, second) = (draft("first"), draft("second"));
            first.keep(&path).unwrap();
            let refused = second.keep(&path).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"first");
            drop(draft("third"));
            assert_eq!(entries(folder.path()), 1);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_killed_process_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // A killed process runs no destructor.
        std::mem::forget(Draft::new_in(folder.path()).unwrap());
        assert_eq!(entries(folder.path()), 0);
    }

    #[test]
    #[cfg(unix)]
    fn others_may_read_it_as_if_a_shell_had_written_it() {
        use std::os::unix::fs::PermissionsExt;
        for make in [Draft::new_in, Draft::named_in] {
            let folder = tempfile::tempdir().unwrap();
            let (ours, shell) = (folder.path().join("ours"), folder.path().join("shell"));
            make(folder.path()).unwrap().keep(&ours).unwrap();
            File::create(&shell).unwrap();
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode(&ours), mode(&shell));
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert_eq!(
            Draft::new_in(&missing).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
