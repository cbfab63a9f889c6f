//! A file that gets its name when it is complete.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempPath;

/// A file on its way to a name: nobody sees it half done, and it is gone when dropped.
///
/// On Linux it has no name at all until it is [kept](Self::persist), where the file system knows such files, so not even a
/// killed process leaves anything behind. Elsewhere it is called `.docjobs-….part` meanwhile.
#[derive(Debug)]
pub struct StagedFile {
    file: File,
    name: Option<TempPath>,
}

impl StagedFile {
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
        // Tells a sweep that somebody is at work on it; where nothing can be locked, its age tells.
        let _ = file.try_lock();
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
    /// Where the file system has neither hard links nor a rename that replaces nothing, the name is first taken by an
    /// empty file, which the complete one then replaces: a process killed between these two calls leaves it empty.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when something has that name, or what the disk says; [`advice`](super::advice)
    /// tells what helps.
    pub fn persist(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        match self.name.take() {
            Some(name) => keep_named(name, path),
            #[cfg(target_os = "linux")]
            None => match nameless::keep(&self.file, path) {
                Err(problem) if is_of_the_way(&problem) => keep_named(self.copied(path)?, path),
                kept => kept,
            },
            #[cfg(not(target_os = "linux"))]
            None => unreachable!("only Linux makes files without a name"),
        }
    }

    /// The same, but a regular file or a link of that name is replaced: at every instant the name has the old bytes or the
    /// new ones. A link is replaced itself, not the file that it leads to.
    ///
    /// # Errors
    /// [`io::ErrorKind::IsADirectory`] for a folder, [`io::ErrorKind::InvalidInput`] for what is no file, or what the disk
    /// says.
    pub fn replace(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        replaceable(path)?;
        // Where there is nothing to replace, no other name is needed on the way.
        #[cfg(target_os = "linux")]
        if self.name.is_none() && nameless::keep(&self.file, path).is_ok() {
            return Ok(());
        }
        let name = match self.name.take() {
            Some(name) => name,
            #[cfg(target_os = "linux")]
            None => self.linked(path)?,
            #[cfg(not(target_os = "linux"))]
            None => unreachable!("only Linux makes files without a name"),
        };
        Ok(name.persist(path)?)
    }

    /// A name of its own beside `path` for a file without any.
    #[cfg(target_os = "linux")]
    fn linked(&mut self, path: &Path) -> io::Result<TempPath> {
        let name = free_name(folder_of(path));
        let _ = self.file.try_lock();
        match nameless::keep(&self.file, &name) {
            Ok(()) => TempPath::try_from_path(name),
            Err(problem) if is_of_the_way(&problem) => self.copied(path),
            Err(problem) => Err(problem),
        }
    }

    /// The same bytes in a file with a name of its own beside `path`, where a file without any cannot get one.
    #[cfg(target_os = "linux")]
    fn copied(&mut self, path: &Path) -> io::Result<TempPath> {
        let mut copy = Self::named_in(folder_of(path))?;
        self.file.rewind()?;
        io::copy(&mut self.file, &mut copy.file)?;
        copy.file.sync_all()?;
        copy.name
            .ok_or_else(|| io::Error::other("the copy has no name"))
    }

    /// Makes a file in `folder` and tries to name it there, so that what the file system refuses is known before there is
    /// anything to lose. The answer says how files get their names there.
    ///
    /// Where files can be without a name, nothing gets one even for an instant, since a process may be killed in it.
    pub(super) fn rehearse(folder: &Path) -> io::Result<Way> {
        #[cfg(target_os = "linux")]
        if nameless::rehearse(folder)? {
            return Ok(Way::Link);
        }
        let name = free_name(folder);
        Self::named_in(folder)?.persist(&name)?;
        TempPath::try_from_path(name)?.close()?;
        Ok(Way::Rename)
    }

    pub(super) fn by(way: Way, folder: &Path) -> io::Result<Self> {
        match way {
            Way::Link => Self::new_in(folder),
            Way::Rename => Self::named_in(folder),
        }
    }

    /// Makes the entries of `folder` for new files survive a power cut.
    ///
    /// # Errors
    /// What the disk says; not that folders cannot be synced there, or not by us: the file has its name already.
    pub fn sync_folder(folder: &Path) -> io::Result<()> {
        use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
        if !cfg!(unix) {
            return Ok(());
        }
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            Err(problem)
                if matches!(
                    problem.kind(),
                    InvalidInput | PermissionDenied | Unsupported
                ) =>
            {
                Ok(())
            }
            synced => synced,
        }
    }
}

/// How a file gets its name in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It has none until it is linked.
    Link,
    /// It has another one until it is renamed.
    Rename,
}

/// Gives a complete file its final name, replacing nothing.
fn keep_named(name: TempPath, path: &Path) -> io::Result<()> {
    match name.persist_noclobber(path) {
        Err(refused) if is_of_the_way(&refused.error) => keep_over_placeholder(refused.path, path),
        kept => Ok(kept?),
    }
}

/// The name is taken by an empty file, which only one process can make, and that one is replaced.
fn keep_over_placeholder(name: TempPath, path: &Path) -> io::Result<()> {
    File::create_new(path)?;
    let is_ours = |path: &Path| {
        fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == 0)
    };
    if !is_ours(path) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    name.persist(path).map_err(|refused| {
        if is_ours(path) {
            let _ = fs::remove_file(path);
        }
        refused.error
    })
}

/// Whether another way to the same name may be open; not where the name or the disk is what is wrong.
fn is_of_the_way(problem: &io::Error) -> bool {
    use io::ErrorKind::{
        AlreadyExists, InvalidFilename, NotADirectory, NotFound, QuotaExceeded, ReadOnlyFilesystem,
        StorageFull,
    };
    !matches!(
        problem.kind(),
        AlreadyExists
            | InvalidFilename
            | NotADirectory
            | NotFound
            | QuotaExceeded
            | ReadOnlyFilesystem
            | StorageFull
    )
}

/// Refuses to put a file where something other than one is.
pub(super) fn replaceable(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let kind = found.file_type();
    if kind.is_file() || kind.is_symlink() {
        return Ok(());
    }
    Err(if kind.is_dir() {
        io::Error::new(io::ErrorKind::IsADirectory, "this is a folder")
    } else {
        io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file")
    })
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Removes what killed processes have left in `folder` half done: nobody holds its lock, or, where nothing can be locked,
/// it is old. Once for each folder and process; what cannot be removed is in nobody's way.
pub(super) fn sweep(folder: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if swept.insert(folder.to_owned()) {
        sweep_now(folder);
    }
}

fn sweep_now(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let is_ours = name.starts_with(b".docjobs-") && name.ends_with(b".part");
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let path = entry.path();
            if is_abandoned(&path) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    /// Longer than any file is on its way.
    const OLD: Duration = Duration::from_secs(24 * 3600);
    /// Longer than it takes to lock what was made.
    const FRESH: Duration = Duration::from_secs(2);
    let Ok(file) = File::options().read(true).write(true).open(path) else {
        return false;
    };
    let age = file
        .metadata()
        .and_then(|it| it.modified())
        .map(|at| at.elapsed().unwrap_or_default());
    let least = match file.try_lock() {
        Ok(()) => FRESH,
        Err(TryLockError::WouldBlock) => return false,
        Err(TryLockError::Error(_)) => OLD,
    };
    age.is_ok_and(|age| age > least)
}

/// A name in `folder` that nothing has: its characters are random.
fn free_name(folder: &Path) -> PathBuf {
    folder.join(format!(".docjobs-{:016x}.part", fastrand::u64(..)))
}

#[cfg(target_os = "linux")]
mod nameless {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

    use super::{File, Path, free_name, fs, io};

    /// `None` where the file system has no such files, or where they could not be given a name later.
    pub(super) fn new_in(folder: &Path) -> Option<File> {
        open(folder, OFlags::empty())
    }

    fn open(folder: &Path, more: OFlags) -> Option<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC | more;
        let file = File::from(openat(CWD, folder, flags, Mode::from_raw_mode(0o666)).ok()?);
        fs::symlink_metadata(descriptor(&file)).ok()?;
        Some(file)
    }

    /// Whether files without a name can be made here and be linked. The one that is tried is made so that it never can be
    /// (`O_EXCL`): the kernel says so only after it has checked everything else that could be in the way.
    pub(super) fn rehearse(folder: &Path) -> io::Result<bool> {
        let Some(file) = open(folder, OFlags::EXCL) else {
            return Ok(false);
        };
        // The answer would be the same in a folder that is removed already.
        if fs::metadata(folder)?.nlink() == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        let name = free_name(folder);
        match keep(&file, &name) {
            Err(problem) => Ok(problem.kind() == io::ErrorKind::NotFound),
            // Not the kernel that we know.
            Ok(()) => fs::remove_file(name).map(|()| true),
        }
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
        for make in [StagedFile::new_in, StagedFile::named_in] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("result");
            let draft = |text: &str| {
                let mut draft = make(folder.path()).unwrap();
                draft.file_mut().write_all(text.as_bytes()).unwrap();
                draft
            };
            let (first, second) = (draft("first"), draft("second"));
            first.persist(&path).unwrap();
            let refused = second.persist(&path).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"first");
            drop(draft("third"));
            assert_eq!(entries(folder.path()), 1);
        }
    }

    #[test]
    fn without_links_and_careful_renames_a_name_is_taken_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        let draft = |text: &str| {
            let mut draft = StagedFile::named_in(folder.path()).unwrap();
            draft.file_mut().write_all(text.as_bytes()).unwrap();
            draft.name.unwrap()
        };
        keep_over_placeholder(draft("first"), &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        let refused = keep_over_placeholder(draft("second"), &path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(entries(folder.path()), 1);
        // A rename that fails takes the placeholder away.
        let lost = draft("third");
        fs::remove_file(&lost).unwrap();
        keep_over_placeholder(lost, &folder.path().join("other")).unwrap_err();
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_that_cannot_be_linked_is_copied_beside_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        let mut draft = StagedFile::new_in(folder.path()).unwrap();
        draft.file_mut().write_all(b"whole").unwrap();
        let name = draft.copied(&path).unwrap();
        keep_named(name, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_file_is_replaced_only_when_asked_and_as_a_whole() {
        for make in [StagedFile::new_in, StagedFile::named_in] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("result");
            for text in ["first", "second"] {
                let mut draft = make(folder.path()).unwrap();
                draft.file_mut().write_all(text.as_bytes()).unwrap();
                draft.replace(&path).unwrap();
                assert_eq!(fs::read(&path).unwrap(), text.as_bytes());
            }
            assert_eq!(entries(folder.path()), 1);
            let below = folder.path().join("below");
            fs::create_dir(&below).unwrap();
            let refused = make(folder.path()).unwrap().replace(&below).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::IsADirectory);
            assert_eq!(entries(folder.path()), 2);
        }
    }

    #[test]
    fn a_rehearsal_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        StagedFile::rehearse(folder.path()).unwrap();
        assert_eq!(entries(folder.path()), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_rehearsal_names_nothing_where_files_can_be_without_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let modified = || fs::metadata(folder.path()).unwrap().modified().unwrap();
        let before = modified();
        if StagedFile::rehearse(folder.path()).unwrap() == Way::Link {
            // Whatever gets a name, or loses it, changes the folder.
            assert_eq!(modified(), before);
        }
        let gone = folder.path().join("gone");
        let problem = StagedFile::rehearse(&gone).unwrap_err();
        assert_eq!(problem.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn only_what_nobody_is_at_work_on_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let age = |path: &Path| {
            let file = File::options().write(true).open(path).unwrap();
            let then = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(60);
            file.set_modified(then).unwrap();
        };
        let ours = StagedFile::named_in(folder.path()).unwrap();
        let at_work = ours.name.as_ref().unwrap().to_path_buf();
        age(&at_work);
        for name in [".docjobs-killed.part", ".docjobs-note", "other.part"] {
            let path = folder.path().join(name);
            fs::write(&path, "x").unwrap();
            age(&path);
        }
        sweep_now(folder.path());
        assert!(at_work.exists());
        assert_eq!(entries(folder.path()), 3);
        drop(ours);
        assert_eq!(entries(folder.path()), 2);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_killed_process_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // A killed process runs no destructor.
        std::mem::forget(StagedFile::new_in(folder.path()).unwrap());
        assert_eq!(entries(folder.path()), 0);
    }

    #[test]
    #[cfg(unix)]
    fn others_may_read_it_as_if_a_shell_had_written_it() {
        use std::os::unix::fs::PermissionsExt;
        for make in [StagedFile::new_in, StagedFile::named_in] {
            let folder = tempfile::tempdir().unwrap();
            let (ours, shell) = (folder.path().join("ours"), folder.path().join("shell"));
            make(folder.path()).unwrap().persist(&ours).unwrap();
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
            StagedFile::new_in(&missing).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
