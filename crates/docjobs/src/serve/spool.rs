//! The folder for uploads, and for results that were given no place. Every process of a ledger may share it.
//!
//! Each process has a folder of its own below `uploads`, with a locked file in it for as long as the process lives: what
//! lies in the folder of a process that has ended, and belongs to no unsettled job, is nobody's.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use jobs_ledger::LedgerId;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

const LOCK: &str = ".lock";
/// A submit that takes longer from its password to its job loses the password to a process that begins then.
const SUBMIT: Duration = Duration::from_secs(10 * 60);
/// Longer names are cut; the type at the end stays.
const LONGEST_NAME: usize = 200;

/// The folder.
pub(super) struct Spool {
    root: PathBuf,
    own: PathBuf,
    next: AtomicU64,
    begun: SystemTime,
    /// Locked as long as this process lives.
    _alive: File,
}

/// What could not be kept, and why.
#[derive(Debug)]
pub(super) enum SpoolError {
    Full(io::Error),
    Other(io::Error),
}

impl From<io::Error> for SpoolError {
    fn from(problem: io::Error) -> Self {
        match problem.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(problem),
            _ => Self::Other(problem),
        }
    }
}

impl Spool {
    /// Makes the folder where needed, for this user alone.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let root = std::path::absolute(root)?;
        for folder in ["uploads", "results", "passwords"] {
            make_private(&root.join(folder))?;
        }
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        let own = root.join("uploads").join(hex(&name));
        make_private(&own)?;
        let alive = File::create(own.join(LOCK))?;
        alive.lock()?;
        let begun = alive.metadata()?.modified()?;
        Ok(Self {
            root,
            own,
            begun,
            next: AtomicU64::new(0),
            _alive: alive,
        })
    }

    /// Where results go that were given no place.
    pub(super) fn results(&self) -> PathBuf {
        self.root.join("results")
    }

    /// Where the result of a job lies that was given no place, or was fetched again.
    pub(super) fn result_path(&self, job: LedgerId, extension: &str) -> PathBuf {
        self.results().join(format!("{job}.{extension}"))
    }

    /// Removes results that nobody changed for so long.
    pub(super) fn remove_old_results(&self, before: SystemTime) {
        for entry in fs::read_dir(self.results()).into_iter().flatten().flatten() {
            let modified = entry.metadata().and_then(|about| about.modified());
            if modified.is_ok_and(|modified| modified < before) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    /// Keeps a result that is a text.
    pub(super) fn keep_result(&self, path: &Path, text: &str) -> io::Result<()> {
        let mut staged = tempfile::NamedTempFile::new_in(self.results())?;
        io::Write::write_all(&mut staged, text.as_bytes())?;
        staged
            .persist(path)
            .map(drop)
            .map_err(|problem| problem.error)
    }

    /// Begins to keep what a client uploads under this name.
    pub(super) async fn begin_upload(&self, name: &str) -> Result<Upload, SpoolError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.own.join(number.to_string());
        make_private(&folder)?;
        let path = folder.join(plain_name(name));
        let file = tokio::fs::File::create_new(&path).await?;
        Ok(Upload {
            folder: Some(folder),
            path,
            file,
            digest: Sha256::new(),
            length: 0,
        })
    }

    /// Keeps the password of a document until its job is settled. Where it lies depends on the document and its other
    /// options alone, so that the same call is the same input.
    pub(super) fn keep_password(
        &self,
        document: &[u8; 32],
        options: &str,
        password: &str,
    ) -> Result<KeptPassword, SpoolError> {
        let mut name = Sha256::new();
        name.update(document);
        name.update(options);
        let path = self.root.join("passwords").join(hex(&name.finalize()));
        let is_new = !path.exists();
        let mut staged = tempfile::NamedTempFile::new_in(self.root.join("passwords"))?;
        io::Write::write_all(&mut staged, password.as_bytes())?;
        staged.persist(&path).map_err(|problem| problem.error)?;
        Ok(KeptPassword { path, is_new })
    }

    /// Removes the upload of a settled job.
    pub(super) fn forget_upload(&self, input: &Path) {
        let uploads = self.root.join("uploads");
        if let Some(folder) = input.parent()
            && folder.parent().and_then(Path::parent) == Some(&*uploads)
        {
            drop(fs::remove_dir_all(folder));
        }
    }

    /// Removes the password of a job that was settled then. One that was written later is of another submit.
    pub(super) fn forget_password(&self, path: &Path, settled: SystemTime) {
        if path.parent() != Some(&*self.root.join("passwords")) {
            return;
        }
        if written(path).is_some_and(|written| written <= settled) {
            drop(fs::remove_file(path));
        }
    }

    /// The uploads of processes that have ended. Each is a folder with one document.
    pub(super) fn left_behind(&self) -> Vec<PathBuf> {
        let processes = folders(&self.root.join("uploads"));
        processes
            .into_iter()
            .filter(|process| self.is_over(process))
            .flat_map(|process| folders(&process))
            .collect()
    }

    /// The passwords that no submit is just about to name: they were written before this process began, and well before
    /// while others are at work.
    pub(super) fn settled_passwords(&self) -> Vec<PathBuf> {
        let processes = folders(&self.root.join("uploads"));
        let has_others = processes
            .iter()
            .any(|process| *process != self.own && !self.is_over(process));
        let margin = if has_others { SUBMIT } else { Duration::ZERO };
        let before = self.begun.checked_sub(margin);
        let entries = fs::read_dir(self.root.join("passwords"));
        let paths = entries.into_iter().flatten().flatten();
        paths
            .map(|entry| entry.path())
            .filter(|path| {
                written(path)
                    .zip(before)
                    .is_some_and(|(written, before)| written < before)
            })
            .collect()
    }

    /// Whether the process of a folder has ended.
    fn is_over(&self, process: &Path) -> bool {
        let lock = File::open(process.join(LOCK));
        process != self.own
            && match lock.as_ref().map(File::try_lock) {
                Ok(Ok(())) => true,
                Ok(Err(TryLockError::WouldBlock)) => false,
                // Without a lock it is of nobody; what cannot be asked is left alone.
                Err(problem) => problem.kind() == io::ErrorKind::NotFound,
                Ok(Err(TryLockError::Error(_))) => false,
            }
    }

    /// Removes the folders of ended processes in which nothing lies any more.
    pub(super) fn remove_empty(&self) {
        for process in folders(&self.root.join("uploads")) {
            if process != self.own && folders(&process).is_empty() {
                let lock = File::open(process.join(LOCK));
                if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
                    drop(fs::remove_dir_all(process));
                }
            }
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if folders(&self.own).is_empty() {
            drop(fs::remove_dir_all(&self.own));
        }
    }
}

/// A password in the spool.
pub(super) struct KeptPassword {
    pub(super) path: PathBuf,
    /// Nothing lay there before, so no other submit needs it.
    is_new: bool,
}

impl KeptPassword {
    /// No job came of it.
    pub(super) fn discard(self) {
        if self.is_new {
            drop(fs::remove_file(self.path));
        }
    }
}

/// A document that arrives. Dropped before it is kept, it is gone.
pub(super) struct Upload {
    folder: Option<PathBuf>,
    path: PathBuf,
    file: tokio::fs::File,
    digest: Sha256,
    length: u64,
}

impl Upload {
    pub(super) async fn write(&mut self, piece: &[u8]) -> Result<(), SpoolError> {
        self.digest.update(piece);
        self.length += piece.len() as u64;
        Ok(self.file.write_all(piece).await?)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// All of it is here: on the disk when this returns.
    pub(super) async fn finish(&mut self) -> Result<[u8; 32], SpoolError> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        Ok(self.digest.clone().finalize().into())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A job needs it: it stays until that is settled.
    pub(super) fn keep(mut self) {
        self.folder = None;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            drop(fs::remove_dir_all(folder));
        }
    }
}

/// The name without what leads elsewhere or does not fit into a folder.
fn plain_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    let plain = plain.trim();
    if matches!(plain, "" | "." | ".." | LOCK) {
        return "upload".to_owned();
    }
    if plain.len() <= LONGEST_NAME {
        return plain.to_owned();
    }
    let kind = plain.rsplit_once('.').map_or("", |(_, kind)| kind);
    let kind = if kind.len() <= 16 { kind } else { "" };
    let end = plain.floor_char_boundary(LONGEST_NAME - kind.len() - 1);
    format!("{}.{kind}", plain.get(..end).unwrap_or_default())
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    paths.map(|entry| entry.path()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else_and_keeps_its_type() {
        for (name, plain) in [
            ("a.pdf", "a.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\docs\\季报.pdf", "季报.pdf"),
            ("..", "upload"),
            ("", "upload"),
            ("a\0b\n.pdf", "ab.pdf"),
            (".lock", "upload"),
            ("<b>.pdf", "<b>.pdf"),
        ] {
            assert_eq!(plain_name(name), plain);
        }
        let long = plain_name(&format!("{}.pdf", "文".repeat(300)));
        assert!(
            long.len() <= LONGEST_NAME && long.ends_with(".pdf"),
            "{long}"
        );
    }

    #[tokio::test]
    async fn an_upload_that_is_not_kept_is_gone_and_one_that_is_kept_goes_with_its_job() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let mut upload = spool.begin_upload("a.pdf").await.unwrap();
        upload.write(b"half").await.unwrap();
        let path = upload.path().to_owned();
        drop(upload);
        assert!(!path.exists());

        let mut upload = spool.begin_upload("a.pdf").await.unwrap();
        upload.write(b"whole").await.unwrap();
        let digest = upload.finish().await.unwrap();
        assert_eq!(digest, <[u8; 32]>::from(Sha256::digest("whole")));
        let path = upload.path().to_owned();
        upload.keep();
        assert!(path.exists());
        assert!(spool.left_behind().is_empty(), "its process lives");
        let elsewhere = folder.path().join("other.pdf");
        fs::write(&elsewhere, "x").unwrap();
        spool.forget_upload(&elsewhere);
        spool.forget_upload(&path);
        assert!(!path.exists() && elsewhere.exists());
    }

    #[tokio::test]
    async fn what_an_ended_process_left_is_told_from_what_a_living_one_has() {
        let folder = tempfile::tempdir().unwrap();
        let living = Spool::open(folder.path()).unwrap();
        let ended = Spool::open(folder.path()).unwrap();
        let upload = ended.begin_upload("a.pdf").await.unwrap();
        let path = upload.path().to_owned();
        upload.keep();
        assert!(living.left_behind().is_empty());
        drop(ended);
        assert_eq!(living.left_behind(), [path.parent().unwrap()]);
        living.forget_upload(&path);
        living.remove_empty();
        assert_eq!(folders(&folder.path().join("uploads")).len(), 1);
    }

    #[test]
    fn the_same_document_with_the_same_options_has_its_password_at_the_same_place() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let keep = |options: &str, password: &str| {
            spool
                .keep_password(&[7; 32], options, password)
                .unwrap()
                .path
        };
        let first = keep("{}", "hunter2");
        assert_eq!(keep("{}", "another"), first);
        assert_ne!(keep("{\"pages\":1}", "hunter2"), first);
        assert_eq!(fs::read_to_string(&first).unwrap(), "another");
        assert!(!first.display().to_string().contains("hunter2"));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &fs::metadata(&first).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600);
        }
        let written = fs::metadata(&first).unwrap().modified().unwrap();
        spool.forget_password(&first, written - Duration::from_secs(1));
        assert!(first.exists(), "it is of a later submit");
        spool.forget_password(&first, written);
        assert!(!first.exists());
    }

    #[test]
    fn a_password_of_which_no_job_came_goes_unless_it_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let keep = || spool.keep_password(&[7; 32], "{}", "hunter2").unwrap();
        let first = keep();
        let path = first.path.clone();
        keep().discard();
        assert!(path.exists(), "another submit needs it");
        first.discard();
        assert!(!path.exists());
    }

    #[test]
    fn passwords_of_before_are_told_from_those_of_now() {
        let folder = tempfile::tempdir().unwrap();
        let ended = Spool::open(folder.path()).unwrap();
        let old = ended.keep_password(&[7; 32], "{}", "hunter2").unwrap().path;
        let of_before = |spool: &Spool| {
            let file = File::options().write(true).open(&old).unwrap();
            file.set_modified(spool.begun - Duration::from_secs(1))
                .unwrap();
            spool.settled_passwords()
        };
        let living = Spool::open(folder.path()).unwrap();
        assert!(of_before(&living).is_empty(), "the other one may need it");
        drop(ended);
        living.keep_password(&[8; 32], "{}", "hunter2").unwrap();
        assert_eq!(of_before(&living), std::slice::from_ref(&old));
    }
}
