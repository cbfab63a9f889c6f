//! What a download left on the disk: bytes that are to be checked, bytes that passed, and bytes that arrived whole and did
//! not pass.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use crate::clock::{Clock, Moment, bounded};
use crate::disk::{OutputPath, StagedFile, advice};
use crate::error::{Error, ErrorKind};
use crate::http::coding::Codings;
use crate::http::context::Context;
use crate::http::partial::{Headers, Partial};

/// Bytes on disk beside their place, complete as far as HTTP can tell, and removed when dropped.
#[derive(Debug)]
pub struct UnverifiedFile {
    pub(super) partial: Partial,
    pub(super) context: Context,
    pub(super) limit: Limit,
    /// How long the bytes may become when what was done to them is undone.
    pub(super) cap: u64,
}

/// Until when work on a result may go on.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) deadline: Moment,
}

/// Bytes that passed the vendor's own check, and may get their final name.
#[derive(Debug)]
pub struct Verified {
    file: StagedFile,
    target: OutputPath,
    len: u64,
    sha256: Option<[u8; 32]>,
    warnings: Vec<Warning>,
    context: Context,
    limit: Limit,
}

/// Bytes that arrived whole and did not pass the check: a page instead of a zip, a wrong checksum, JSON that ends too
/// early. They were paid for, so they can be [kept](Self::persist) beside their place or [accepted](Self::accept) as they
/// are; dropped, they are gone.
#[derive(Debug)]
pub struct InvalidFile {
    file: StagedFile,
    target: OutputPath,
    len: u64,
    /// Of the bytes as they arrived.
    arrived: [u8; 32],
    /// Of the file, unless a coding was undone.
    sha256: Option<[u8; 32]>,
    error: Error,
    context: Context,
    limit: Limit,
}

/// What is odd about a result that is delivered all the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Warning(Box<str>);

/// Why a download brought no verified file.
#[derive(Debug)]
pub enum DownloadError {
    /// The bytes did not all arrive, or could not be kept on this machine.
    Failed(Error),
    /// They all arrived and did not pass the check. Boxed, because it holds the file.
    Invalid(Box<InvalidFile>),
}

/// Why a check does not pass a file.
#[derive(Debug)]
pub enum CheckError {
    /// What is wrong with the bytes.
    Invalid(String),
    /// This machine could not read or write them, or the check was stopped.
    Local(io::Error),
}

/// What a check is given beside the file.
#[derive(Debug)]
pub struct Inspection {
    stopped: Arc<AtomicBool>,
    charset: Option<String>,
    warnings: Vec<Warning>,
}

/// A reader that fails once the caller of the check has gone away or its deadline has come, so that whatever reads through
/// it ends then.
#[derive(Debug)]
pub struct StoppableReader<R> {
    from: R,
    stopped: Arc<AtomicBool>,
}

/// A result at its final name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// Its digest, where it is byte for byte what the vendor served.
    pub sha256: Option<[u8; 32]>,
}

impl UnverifiedFile {
    /// The number of bytes.
    pub fn size(&self) -> u64 {
        self.partial.len
    }

    /// Lets `check` read the bytes from the beginning; only what it accepts can be saved under the final name.
    ///
    /// The check ends with the download's deadline and when this future is dropped, as far as it reads through
    /// [`Inspection::reader`].
    ///
    /// # Errors
    /// [`DownloadError::Invalid`] with [`ErrorKind::UnexpectedResponse`] and the words of `check`; [`DownloadError::Failed`] with
    /// [`ErrorKind::Timeout`] at the deadline, or [`ErrorKind::LocalIo`] for trouble with the disk.
    pub async fn verify<T: Send + 'static>(
        self,
        check: impl FnOnce(&mut File, &mut Inspection) -> Result<T, CheckError> + Send + 'static,
    ) -> Result<(Verified, T), DownloadError> {
        self.checked(|draft, inspection| check(draft.file_mut(), inspection))
            .await
    }

    /// Turns the bytes into others, such as the one text that the caller wants out of a result. `convert` reads the
    /// first file, writes the second, and thereby verifies what it read.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn convert<T: Send + 'static>(
        self,
        convert: impl FnOnce(&mut File, &mut File, &mut Inspection) -> Result<T, CheckError>
        + Send
        + 'static,
    ) -> Result<(Verified, T), DownloadError> {
        let mut fresh = self
            .partial
            .target
            .stage()
            .map_err(|cause| local(&self.context, self.partial.target.path(), cause))?;
        let checked = self.checked(move |draft, inspection| {
            let value = convert(draft.file_mut(), fresh.file_mut(), inspection)?;
            let len = fresh.file().metadata()?.len();
            Ok((fresh, len, value))
        });
        let (verified, (file, len, value)) = checked.await?;
        let converted = Verified {
            file,
            len,
            sha256: None,
            ..verified
        };
        Ok((converted, value))
    }

    async fn checked<T: Send + 'static>(
        self,
        check: impl FnOnce(&mut StagedFile, &mut Inspection) -> Result<T, CheckError> + Send + 'static,
    ) -> Result<(Verified, T), DownloadError> {
        let Self {
            partial:
                Partial {
                    target,
                    mut draft,
                    file,
                    digest,
                    mut len,
                    headers,
                    ..
                },
            context,
            limit,
            cap,
        } = self;
        drop(file);
        let arrived: [u8; 32] = digest.finalize().into();
        let Headers { codings, charset } = headers;
        let place = target.clone();
        let checked = until(&limit, &context, target.path(), move |stopped| {
            let mut inspection = Inspection {
                stopped,
                charset,
                warnings: Vec::new(),
            };
            let (mut is_as_served, mut checked) = (true, Ok(()));
            if let Some(codings) = codings {
                let mut plain = place.stage()?;
                let from = inspection.reader(draft.file_mut());
                checked = undo(&codings, from, plain.file_mut(), cap);
                if checked.is_ok() {
                    len = plain.file().metadata()?.len();
                    (draft, is_as_served) = (plain, false);
                }
            }
            let checked = checked.and_then(|()| {
                draft.file_mut().rewind()?;
                check(&mut draft, &mut inspection)
            });
            let outcome = match checked {
                Ok(value) => Ok((value, inspection.warnings)),
                Err(CheckError::Invalid(_)) if inspection.stopped.load(Ordering::Relaxed) => {
                    return Err(stopped_error());
                }
                Err(CheckError::Invalid(problem)) => Err(problem),
                Err(CheckError::Local(cause)) => return Err(cause),
            };
            Ok((draft, len, is_as_served, outcome))
        });
        let (file, len, is_as_served, outcome) = checked.await?;
        let sha256 = is_as_served.then_some(arrived);
        match outcome {
            Ok((value, warnings)) => {
                let verified = Verified {
                    file,
                    target,
                    len,
                    sha256,
                    warnings,
                    context,
                    limit,
                };
                Ok((verified, value))
            }
            Err(problem) => {
                let error = context
                    .error(ErrorKind::UnexpectedResponse)
                    .with_message(problem);
                Err(DownloadError::Invalid(Box::new(InvalidFile {
                    file,
                    target,
                    len,
                    arrived,
                    sha256,
                    error,
                    context,
                    limit,
                })))
            }
        }
    }
}

impl Verified {
    /// The SHA-256 of the bytes as they will lie on the disk. Reads them once more where they were
    /// [converted](UnverifiedFile::convert).
    ///
    /// A program that writes it down before [`save`](Self::save) can tell after a crash whether the file at the final
    /// name is this one.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when the file cannot be read again.
    pub async fn digest(&self) -> Result<[u8; 32], Error> {
        if let Some(known) = self.sha256 {
            return Ok(known);
        }
        let again = self.file.file().try_clone();
        until(
            &self.limit,
            &self.context,
            self.target.path(),
            move |stopped| {
                let mut file = again?;
                file.rewind()?;
                sha256(StoppableReader {
                    from: file,
                    stopped,
                })
            },
        )
        .await
    }

    /// What is odd about it; empty for nearly every result.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Flushes the bytes to the disk and gives them their final name. Never replaces anything.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when something has appeared at that name since it was checked, or the disk is in trouble.
    pub async fn save(self) -> Result<SavedFile, Error> {
        let Self {
            file,
            target,
            len,
            sha256,
            context,
            ..
        } = self;
        let path = target.path().to_owned();
        on_disk(&context, &path.clone(), move || {
            target.persist(file)?;
            Ok(SavedFile { path, len, sha256 })
        })
        .await
    }

    /// The bytes as an unnamed file, for a caller that passes them on instead of keeping them.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when the file cannot be read again.
    pub fn into_file(self) -> Result<File, Error> {
        let mut file = self.file.into_file();
        file.rewind()
            .map_err(|cause| local(&self.context, self.target.path(), cause))?;
        Ok(file)
    }
}

impl InvalidFile {
    /// What the check said, on which job.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The number of bytes.
    pub fn size(&self) -> u64 {
        self.len
    }

    /// The SHA-256 of the bytes as they arrived: who gets the same one twice need not fetch a third time.
    pub fn sha256(&self) -> [u8; 32] {
        self.arrived
    }

    /// Takes the bytes for the result as they are, with the check's words as a warning.
    pub fn accept(self) -> Verified {
        let problem = self.error.message().unwrap_or("it did not pass the check");
        Verified {
            warnings: vec![Warning::new(format!(
                "the result is not verified: {problem}"
            ))],
            file: self.file,
            target: self.target,
            len: self.len,
            sha256: self.sha256,
            context: self.context,
            limit: self.limit,
        }
    }

    /// Flushes the bytes to the disk beside their place, as `NAME.unverified`, or `NAME.unverified-2` and so on where
    /// other bytes have that name. Never replaces anything, and keeps the same bytes once.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when the disk is in trouble.
    pub async fn persist(self) -> Result<SavedFile, Error> {
        const NAMES: u32 = 100;
        let Self {
            mut file,
            target,
            len,
            sha256: known,
            context,
            ..
        } = self;
        let place = target.path().to_owned();
        on_disk(&context, &place, move || {
            let digest = match known {
                Some(digest) => digest,
                None => {
                    file.file_mut().rewind()?;
                    sha256(file.file_mut())?
                }
            };
            for number in 1..=NAMES {
                let path = unverified(target.path(), number);
                let saved = |path| SavedFile {
                    path,
                    len,
                    sha256: Some(digest),
                };
                if is_same(&path, len, digest) {
                    return Ok(saved(path));
                }
                if path.symlink_metadata().is_err() {
                    target.keep_as(file, &path)?;
                    return Ok(saved(path));
                }
            }
            Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there are 100 unverified files beside it already",
            ))
        })
        .await
    }
}

/// Undoes what was done to the bytes on their way. They arrived whole, so whatever is wrong is wrong with them.
fn undo(
    codings: &Codings,
    from: impl Read + Seek + Send,
    to: &mut File,
    cap: u64,
) -> Result<(), CheckError> {
    let mut from = from;
    from.rewind()?;
    if let Some(name) = codings.unknown() {
        return Err(CheckError::Invalid(format!(
            "the server declares the content coding {name:?}, which cannot be undone here"
        )));
    }
    let wrong = |cause: io::Error| match cause.kind() {
        io::ErrorKind::FileTooLarge => {
            CheckError::Invalid(format!("unpacked, the result is larger than {cap} bytes"))
        }
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            CheckError::Invalid(format!(
                "the result is not in the content coding that the server declares: {cause}"
            ))
        }
        _ => CheckError::Local(cause),
    };
    let mut plain = codings.undo(from, cap).map_err(wrong)?;
    let mut to = BufWriter::with_capacity(64 * 1024, to);
    let mut piece = vec![0; 64 * 1024];
    loop {
        match plain.read(&mut piece) {
            Ok(0) => return Ok(to.flush()?),
            Ok(count) => to.write_all(piece.get(..count).unwrap_or_default())?,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(wrong(cause)),
        }
    }
}

/// `NAME.unverified`, `NAME.unverified-2`, …
fn unverified(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".unverified");
    if number > 1 {
        name.push(format!("-{number}"));
    }
    path.with_file_name(name)
}

fn is_same(path: &Path, len: u64, digest: [u8; 32]) -> bool {
    let is_file = path
        .symlink_metadata()
        .is_ok_and(|found| found.is_file() && found.len() == len);
    is_file
        && File::open(path)
            .and_then(sha256)
            .is_ok_and(|found| found == digest)
}

fn sha256(mut from: impl Read) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(digest.finalize().into()),
            Ok(count) => digest.update(piece.get(..count).unwrap_or_default()),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
}

impl Inspection {
    /// For a check that is made outside a download: nothing stops it.
    pub fn unbounded() -> Self {
        Self {
            stopped: Arc::default(),
            charset: None,
            warnings: Vec::new(),
        }
    }

    /// The charset that the server declares, in its own spelling.
    pub fn charset(&self) -> Option<&str> {
        self.charset.as_deref()
    }

    /// Says what is odd about a file that passes.
    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(Warning::new(warning.into()));
    }

    /// What was said so far.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Reads `from` until the check is stopped.
    pub fn reader<R>(&self, from: R) -> StoppableReader<R> {
        StoppableReader {
            from,
            stopped: Arc::clone(&self.stopped),
        }
    }
}

impl<R> StoppableReader<R> {
    fn go_on(&self) -> io::Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            Err(stopped_error())
        } else {
            Ok(())
        }
    }
}

impl<R: Read> Read for StoppableReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.go_on()?;
        self.from.read(into)
    }
}

impl<R: Seek> Seek for StoppableReader<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.go_on()?;
        self.from.seek(to)
    }
}

fn stopped_error() -> io::Error {
    io::Error::other("the check was stopped")
}

impl Warning {
    fn new(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for CheckError {
    fn from(problem: String) -> Self {
        Self::Invalid(problem)
    }
}

impl From<io::Error> for CheckError {
    fn from(cause: io::Error) -> Self {
        Self::Local(cause)
    }
}

impl DownloadError {
    /// What went wrong, on which job.
    pub fn error(&self) -> &Error {
        match self {
            Self::Failed(error) => error,
            Self::Invalid(file) => file.error(),
        }
    }
}

impl From<Error> for DownloadError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<DownloadError> for Error {
    /// Without the bytes, which are gone then.
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Failed(error) => error,
            DownloadError::Invalid(file) => file.error,
        }
    }
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for DownloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error().source()
    }
}

/// Runs blocking work on files where it does not hold up the runtime, until the deadline. What is given to `work` is set
/// when it is to stop: at the deadline, or when this future is dropped.
async fn until<T: Send + 'static>(
    limit: &Limit,
    context: &Context,
    path: &Path,
    work: impl FnOnce(Arc<AtomicBool>) -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let stop = StopOnDrop(Arc::default());
    let stopped = Arc::clone(&stop.0);
    let done = tokio::task::spawn_blocking(move || work(stopped));
    match bounded(&*limit.clock, limit.deadline, done).await {
        Some(done) => {
            let done = done.map_err(io::Error::other).flatten();
            done.map_err(|cause| local(context, path, cause))
        }
        None => Err(context
            .error(ErrorKind::Timeout)
            .with_message("the deadline came while the result was checked")),
    }
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The same for work that is to be finished.
async fn on_disk<T: Send + 'static>(
    context: &Context,
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other);
    done.flatten().map_err(|cause| local(context, path, cause))
}

pub(super) fn local(context: &Context, path: &Path, cause: io::Error) -> Error {
    context
        .error(ErrorKind::LocalIo)
        .with_message(format!("cannot write {}: {cause}", path.display()))
        .with_help(format!(
            "nothing appeared at the final name; {}, then fetch again",
            advice(&cause)
        ))
        .with_source(cause)
}
